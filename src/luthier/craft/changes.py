"""What was changed in a space, in words: ``learning_rate: 1e-05..0.1 -> 0.0001..0.01``."""

from __future__ import annotations

from typing import Any

from luthier.space import Choice, Constant, Domain, Float, Int, Space


def differences(before: Space, after: Space) -> list[str]:
    """Return, for each hyperparameter that is not as it was, what it was and what it is now.

    Args:
        before: the space until then.
        after: the space from then on.
    """
    said: list[str] = []
    for name in dict.fromkeys([*before.domains, *after.domains]):
        old, new = before.domains.get(name), after.domains.get(name)
        if old is None and new is not None:
            said.append(f"{name}: new, {_shown(new)}")
        elif old is not None and new is None:
            said.append(f"{name}: taken out")
        elif old is not None and new is not None and old != new:
            texts = _shown(old), _shown(new)
            # What is not its range (its scale, its step, ...) is told by the domain itself.
            said.append(
                f"{name}: {' -> '.join(texts if texts[0] != texts[1] else (repr(old), repr(new)))}"
            )
    rules = [[constraint.text for constraint in space.constraints] for space in (before, after)]
    said += [f"no longer {rule}" for rule in rules[0] if rule not in rules[1]]
    said += [f"now {rule}" for rule in rules[1] if rule not in rules[0]]
    return said


def _shown(domain: Domain) -> str:
    """Return a domain as ``luthier space`` takes it."""
    kind: Any = domain
    if isinstance(domain, Float | Int):
        return f"{_number(kind.low)}..{_number(kind.high)}"
    if isinstance(domain, Choice):
        return ",".join(map(str, kind.options))
    return repr(kind.value) if isinstance(domain, Constant) else repr(domain)


def _number(value: float) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
