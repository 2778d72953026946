"""What scikit-learn's searches take as ``param_distributions``, as a space.

A list is a choice; ``scipy.stats.uniform``, ``loguniform`` and ``randint`` are ranges; every other frozen
distribution is searched by its quantile. A list of dictionaries is a choice between spaces. Options that
the log cannot hold (estimators, functions, arrays) are searched by a name and looked up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np

from luthier.errors import SpaceError
from luthier.space import Choice, Constant, Domain, Float, Int, Space
from luthier.space.plain import option, same

_BETWEEN = "dictionary"  # of several dictionaries, which one
_QUANTILE = "quantile of "  # before the name of a parameter that is searched by it
_TAIL = 1e-3  # of a distribution, what is left out at each end: it may be infinite, or 0 where that is no value
_MANY = 50  # values of a discrete distribution, from which on it is searched by its quantile
_UNORDERED = 20  # the same where they are no range of whole numbers: options have no order
_LONGEST = 60  # characters of an option's name


@dataclass(frozen=True, eq=False)
class Quantiles:
    """A distribution that is searched by its quantile."""

    distribution: Any

    def __call__(self, quantile: Any) -> Any:
        """Return the distribution's value there, as Python's own number."""
        value = float(self.distribution.ppf(quantile))
        return int(value) if hasattr(self.distribution, "pmf") and value == int(value) else value


@dataclass(frozen=True, eq=False)
class Ranges:
    """A space, and how its values become an estimator's parameters.

    Attributes:
        space: what is searched.
        meanings: by a hyperparameter's full name, the object that each option's name stands for, by
            (type, name), as 1 and 1.0 are two options; or a function of the value; nothing for those that
            are what they are.
    """

    space: Space
    meanings: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def always(self) -> frozenset[str]:
        """Return the parameters that every configuration sets, under their own names."""
        by_condition: dict[Any, set[str]] = {}
        for name, domain in self.space.domains.items():
            known = Space.short(name).removeprefix(_QUANTILE)
            by_condition.setdefault(domain.condition, set()).add(known)
        always = by_condition.get((), set[str]())
        if _BETWEEN in self.meanings:
            of_all = cast(Choice, self.space[_BETWEEN]).options
            each = [by_condition.get(((_BETWEEN, (one,)),), set[str]()) for one in of_all]
            always = always | set[str].intersection(*each)
        return frozenset(always)

    def parameters(self, configuration: Mapping[str, Any]) -> dict[str, Any]:
        """Return what ``estimator.set_params`` takes."""
        found: dict[str, Any] = {}
        for name, value in configuration.items():
            if name == _BETWEEN and _BETWEEN in self.meanings:
                continue
            meaning = self.meanings.get(name)
            if isinstance(meaning, Mapping):
                value = cast("Mapping[Any, Any]", meaning).get((type(value), value), value)
            elif meaning is not None:
                value = meaning(value)
            found[Space.short(name).removeprefix(_QUANTILE)] = value
        return found


def ranges_from(given: Any) -> Ranges:
    """Return the ranges that *given* describes.

    Args:
        given: a ``Space``; or a dictionary of parameters by name (``"svc__C"`` for those of a pipeline's
            step) with a domain, a frozen distribution of ``scipy.stats``, or a list of options each; or a
            list of such dictionaries.

    Raises:
        SpaceError: anything else, or a list without options.
    """
    if isinstance(given, Space):
        return Ranges(given)
    meanings: dict[str, Any] = {}
    if isinstance(given, Mapping):
        return Ranges(_space(cast("Mapping[str, Any]", given), "", meanings), meanings)
    if isinstance(given, Sequence) and given and not isinstance(given, str):
        several = cast("Sequence[Any]", given)
        if all(isinstance(each, Mapping) for each in several):
            if len(several) == 1:
                return ranges_from(several[0])
            meanings[_BETWEEN] = None
            spaces = {
                str(i): _space(each, f"{_BETWEEN}.{i}.", meanings) for i, each in enumerate(several)
            }
            return Ranges(Space({_BETWEEN: Choice(spaces)}), meanings)
    raise SpaceError(
        f"param_distributions={given!r}: expected a dictionary of ranges by parameter, such as "
        '{"alpha": luthier.Float(1e-6, 1, scale="log")}, a list of such dictionaries, or a luthier.Space.'
    )


def _space(given: Mapping[str, Any], path: str, meanings: dict[str, Any]) -> Space:
    """Return the space of one dictionary; what its values mean goes into *meanings*, under *path*."""
    domains: dict[str, Domain] = {}
    for name, values in given.items():
        domain, meaning = _domain(name, values)
        if isinstance(meaning, Quantiles):
            name = f"{_QUANTILE}{name}"
        domains[name] = domain
        if meaning is not None:
            meanings[path + name] = meaning
    return Space(domains)


def _domain(name: str, values: Any) -> tuple[Domain, Any]:
    """Return the domain of one parameter, and what its values mean where they are not themselves."""
    if isinstance(values, Domain):
        return values, None
    if hasattr(values, "ppf") and hasattr(values, "support"):
        return _distribution(values)
    if hasattr(values, "rvs"):
        raise SpaceError(
            f"{name}={values!r} can only be drawn from: expected a frozen distribution of scipy.stats, "
            "luthier.Float(low, high), luthier.Int(low, high), or a list of options."
        )
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        raise SpaceError(
            f"{name}={values!r}: expected a list of options, a distribution of scipy.stats, or a domain "
            f"such as luthier.Float(low, high); for one value, [{values!r}]."
        )
    return _options(name, list(cast("Iterable[Any]", values)))


def _distribution(frozen: Any) -> tuple[Domain, Any]:
    # One that was made of values has no other distribution that it is frozen from.
    kind, (low, high) = getattr(frozen, "dist", frozen).name, frozen.support()
    if kind == "uniform":
        return Float(float(low), float(high)), None
    if kind in ("loguniform", "reciprocal"):
        return Float(float(low), float(high), scale="log"), None
    if kind == "randint":
        return (Constant(int(low)) if low == high else Int(int(low), int(high))), None
    values = _values(frozen) if hasattr(frozen, "pmf") else []
    if len(values) == 1:
        return Constant(values[0]), None
    whole = all(isinstance(v, int) for v in values)
    if values and whole and values[-1] - values[0] < len(values):
        return Int(values[0], values[-1]), None
    if values and len(values) <= _UNORDERED:
        return Choice(*values), None
    return Float(_TAIL, 1 - _TAIL), Quantiles(frozen)


def _values(frozen: Any) -> list[Any]:
    """Return the values of a discrete distribution, but those in its tails; none where they are too many."""
    own = getattr(frozen, "dist", frozen)
    given = getattr(own, "xk", None)
    if given is not None:  # the user's own, of which none is left out
        values, chances = np.ravel(given), np.ravel(own.pk)
        moved = frozen.support()[0] - values.min()
        found = np.sort(values[chances > 0] + moved)
    else:
        low = int(frozen.ppf(_TAIL))
        if frozen.cdf(low + _MANY) < 1 - _TAIL:  # its other end may be beyond counting
            return []
        found = np.arange(low, int(frozen.ppf(1 - _TAIL)) + 1)
        found = found[frozen.pmf(found) > 0]
    if len(found) > _MANY:
        return []
    return [int(value) if value == int(value) else value for value in found.tolist()]


def _options(name: str, values: list[Any]) -> tuple[Domain, Any]:
    if not values:
        raise SpaceError(f"{name}=[]: expected at least one option.")
    options: list[Any] = []
    meanings: dict[tuple[type, Any], Any] = {}
    for value in values:
        known = _plain(value)
        if known is None:
            label = _label(value)
            if any(other is value for other in meanings.values()):
                continue
            known = label if (str, label) not in meanings else f"{label} #{len(options)}"
            meanings[str, known] = value
        elif any(same(known[0], other) for other in options):
            continue
        else:
            known = known[0]
            meanings[type(known), known] = value
        options.append(known)
    domain = Constant(options[0]) if len(options) == 1 else Choice(*options)
    return domain, meanings


def _plain(value: Any) -> tuple[Any] | None:
    """Return an option as the log holds it, in a tuple; None for one that it cannot hold as it is."""
    if isinstance(value, list | dict) or (hasattr(value, "shape") and getattr(value, "ndim", 0)):
        return None
    try:
        return (option(value),)
    except SpaceError:
        return None


def _label(value: Any) -> str:
    """Return a name for an object that is the same in every process."""
    text = " ".join(repr(value).split())
    if " at 0x" in text:
        text = getattr(value, "__qualname__", type(value).__name__)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


__all__ = ["Quantiles", "Ranges", "ranges_from"]
