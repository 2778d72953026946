"""Finds the space of a build function by running it, before the first trial.

A plain ``if`` hides the hyperparameters of its branch from a single run. So the function is run with
defaults, then with each value of each discrete hyperparameter flipped once, in the situation in which
it was first met, until nothing new turns up. What was asked for exactly when a parent had certain
values becomes conditional on it.
"""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from luthier.errors import Infeasible, LuthierWarning, SpaceError, nearest
from luthier.space.asking import Asking, Scope, check_name, scoped
from luthier.space.define_by_run import HyperParameters
from luthier.space.domains import Domain
from luthier.space.hull import hull
from luthier.space.options import Bool, Choice, Constant
from luthier.space.plain import same
from luthier.space.ranges import Float, Int
from luthier.space.space import Space

_NOTHING = object()
_FLIPPED_INTS = 12  # whole numbers with so many values at most are tried one by one


class Variant(NamedTuple):
    """A hyperparameter as one place in the code asks for it."""

    label: str
    domain: Domain
    site: str
    scope: Scope


@dataclass(frozen=True)
class _Run:
    values: dict[Variant, Any]  # in the order in which they were asked for
    single: frozenset[Variant]  # those of them that were ranges of one value
    whole: bool = True  # False where it was cut short: its values cannot be built


def _never(error: Exception) -> bool:
    return False


def discover(
    build: Callable[[HyperParameters], object],
    limit: int = 64,
    *,
    unfit: Callable[[Exception], bool] = _never,
    horizon: int = 1,
) -> Space:
    """Return the space that *build* asks for.

    Values with which *build* raises ``Infeasible`` are no error: what it had asked for by then counts.

    Args:
        build: called with an ``hp``; what it returns is ignored.
        limit: how often it may be called. Hyperparameters that stay hidden join when a trial
            reaches them.
        unfit: which other errors are the values' own affair, such as memory that ran out.
        horizon: the most epochs a trial will train, for ``hp.horizon`` and ``hp.to_step``.

    Warns of an ``hp.when`` whose parent no run asks for.

    Raises:
        SpaceError: one run asks for the same name with two ranges.
        Exception: whatever else *build* raises.
    """
    runs: list[_Run] = []
    met: dict[str, bool] = {}  # parents of scopes, and whether any run had asked for them
    flipped: dict[tuple[Variant, str], bool] = {}  # and whether in a whole run, which may show more
    waiting: deque[dict[Variant, Any]] = deque([{}])
    while waiting and len(runs) < limit:
        recorder = _Recorder(waiting.popleft())
        recorder.horizon = recorder.to_step = horizon
        whole = _built(build, recorder, unfit)
        for parent, asked in recorder.parents.items():
            met[parent] = asked or met.get(parent, False)
        run = _Run(recorder.values, frozenset(recorder.single), whole)
        runs.append(run)
        for variant, value in run.values.items():
            for other in _flips(variant.domain):
                token = (variant, repr(other))
                if token not in flipped or (whole and not flipped[token]):
                    flipped[token] = whole
                    if not same(other, value):
                        forced = {v: x for v, x in run.values.items() if _flips(v.domain)}
                        waiting.append({**forced, variant: other})
    space = _space_of(_joined(runs))
    for parent, asked in met.items():
        if not asked and not waiting:
            warnings.warn(
                f"hp.when({parent!r}, ...): nothing called {parent!r} was asked for before it, so what is "
                f"inside is never searched.{nearest(parent, space)}",
                LuthierWarning,
                stacklevel=2,
            )
    return space


def _built(
    build: Callable[[HyperParameters], object],
    recorder: _Recorder,
    unfit: Callable[[Exception], bool],
) -> bool:
    """Run *build*, and return whether it came to its end."""
    try:
        build(recorder)  # type: ignore[arg-type]
    except Exception as error:
        if not isinstance(error, Infeasible) and not unfit(error):
            raise
        return False
    return True


class _Recorder(Asking):
    """Answers with forced values and defaults, and remembers what was asked."""

    def __init__(self, forced: dict[Variant, Any]) -> None:
        self._forced = forced
        self._by_label: dict[str, Variant] = {}
        self.parents: dict[str, bool] = {}  # of scopes, and whether they had been asked for
        self.values: dict[Variant, Any] = {}
        self.single: set[Variant] = set()

    def __getitem__(self, name: str) -> Any:
        for label, variant in self._by_label.items():
            if name in (label, Space.short(label)):
                return self.values[variant]
        if name in self._single:
            return self._single[name]
        raise SpaceError(f"{name!r} was not asked for in this run.")

    def get(self, name: str, default: Any = None) -> Any:
        try:
            return self[name]
        except SpaceError:
            return default

    def _domain_of(self, name: str) -> Domain | None:
        self.parents.setdefault(name, False)
        for label, variant in self._by_label.items():
            if name in (label, Space.short(label)):
                self.parents[name] = True
                return variant.domain
        return None

    def _in_scope(self) -> bool:
        return all(_in(self.get(parent, _NOTHING), list(values)) for parent, values in self._scope)

    def _only(self, name: str, value: Any, site: str) -> Any:
        super()._only(name, value, site)
        label = scoped(self._scope, name)
        if self._in_scope() and label not in self._by_label:
            variant = Variant(label, Constant(value), site, self._scope)
            self.values[variant] = value
            self.single.add(variant)
        return value

    def _ask(self, name: str, domain: Domain, site: str) -> Any:
        check_name(name)
        label = scoped(self._scope, name)
        if not self._in_scope():
            return domain.default  # type: ignore[attr-defined]
        if label in self._by_label:
            known = self._by_label[label]
            if known.domain != domain:
                raise SpaceError(
                    f"{name!r} was asked for as {known.domain!r} and then as {domain!r} in the same "
                    "run: use two names, or the same range."
                )
            return self.values[known]
        variant = Variant(label, domain, site, self._scope)
        self._by_label[label] = variant
        self.values[variant] = self._forced.get(variant, domain.default)  # type: ignore[attr-defined]
        return self.values[variant]


def _flips(domain: Domain) -> Sequence[Any]:
    """Return the values that are tried: those on which an ``if`` or a loop may turn."""
    if isinstance(domain, Choice | Bool):
        return domain.values()
    if isinstance(domain, Int):
        return domain.values() if domain.cardinality <= _FLIPPED_INTS else [domain.low, domain.high]
    return ()


def _joined(runs: list[_Run]) -> list[_Run]:
    """Make one hyperparameter of the ranges that one place asks for, which hang on other values.

    Ranges of one value belong to it; where a place asks for nothing else they are no hyperparameter.
    """
    ranges: dict[tuple[str, str, Scope], list[Domain]] = {}  # by place
    for run in runs:
        for variant in run.values.keys() - run.single:
            _take_in(ranges.setdefault(_place(variant), []), variant.domain)
    return [_with_all(ranges, run) for run in runs]


def _place(variant: Variant) -> tuple[str, str, Scope]:
    return variant.label, variant.site, variant.scope


def _take_in(known: list[Domain], asked: Domain) -> None:
    """Let the range of the same kind among *known* hold *asked*, too."""
    for at, domain in enumerate(known):
        both = domain if domain == asked else hull(domain, asked)
        if both is not None:
            known[at] = both
            return
    known.append(asked)


def _with_all(ranges: dict[tuple[str, str, Scope], list[Domain]], run: _Run) -> _Run:
    """Return *run* with those of *ranges* that hold what was asked for."""
    values: dict[Variant, Any] = {}
    for variant, value in run.values.items():
        known = ranges.get(_place(variant), [])
        if variant in run.single:
            domain = next(
                (d for d in known if isinstance(d, Float | Int) and d.contains(value)), None
            )
        else:
            asked = variant.domain
            domain = next(d for d in known if d == asked or hull(d, asked) is d)
        if domain is not None:
            values[variant._replace(domain=domain)] = value
    return _Run(values, frozenset(), run.whole)


def _space_of(runs: list[_Run]) -> Space:
    found: dict[Variant, None] = {}
    for run in runs:
        for variant in run.values:
            found.setdefault(variant)
    conditions = {variant: _condition(variant, list(found), runs) for variant in found}
    keys: dict[Variant, str] = {}
    space: dict[str, Domain] = {}
    for variant in found:
        key = _key(variant, list(found), conditions, keys)
        if key not in space:
            # What comes to one value in every run is no parent.
            scope = [(_called(p, keys), v) for p, v in variant.scope]
            condition = tuple((p, v) for p, v in scope if p in space)
            if (own := conditions[variant]) is not None:  # a plain if, perhaps inside the scope
                parent, values = keys[own[0]], own[1]
                scoped_to = [v for p, outer in condition if p == parent for v in outer]
                if not scoped_to or not all(_in(v, list(values)) for v in scoped_to):
                    condition += ((parent, values),)
            space[key] = variant.domain.under(condition)
        keys[variant] = key
    return Space(space)


def _called(name: str, keys: dict[Variant, str]) -> str:
    """Return the full name of a parent that a scope calls by its own name."""
    return next((k for v, k in keys.items() if name in (v.label, Space.short(v.label))), name)


def _key(
    variant: Variant,
    found: list[Variant],
    conditions: dict[Variant, tuple[Variant, tuple[Any, ...]] | None],
    keys: dict[Variant, str],
) -> str:
    """Return the variant's full name: its label, with its branch where another one shares it."""
    namesakes = [v for v in found if v.label == variant.label]
    own = conditions[variant]
    merged = [v for v in namesakes if v in keys and v.domain == variant.domain]
    if len(namesakes) == 1 or (own is None and not merged):
        taken = {keys[v] for v in namesakes if v in keys}
        return variant.label if variant.label not in taken else f"{variant.label}#{len(taken) + 1}"
    for twin in merged:
        if conditions[twin] == own:
            return keys[twin]  # asked for in the same branch, at another line
    if own is None:
        return keys[merged[0]]
    parent, values = own
    return f"{keys[parent]}.{'|'.join(map(str, values))}.{variant.label}"


def _condition(
    variant: Variant, found: list[Variant], runs: list[_Run]
) -> tuple[Variant, tuple[Any, ...]] | None:
    """Return the earliest parent whose value decides whether *variant* is asked for, or None.

    A run that was cut short does not tell what it would have asked for later.
    """
    present = [run for run in runs if variant in run.values]
    absent = [run for run in runs if variant not in run.values and run.whole]
    if not absent:
        return None
    for parent in found:
        if parent == variant:
            return None
        if not _flips(parent.domain) or any(parent not in run.values for run in present):
            continue
        with_it = [run.values[parent] for run in present]
        without = [run.values[parent] for run in absent if parent in run.values]
        if without and not any(_in(value, with_it) for value in without):
            return parent, _values_between(parent.domain, with_it, without)
    return None


def _values_between(domain: Domain, inside: list[Any], outside: list[Any]) -> tuple[Any, ...]:
    """Return the parent's values that open the branch, untried whole numbers by their neighbours."""
    if not isinstance(domain, Int) or domain.cardinality <= _FLIPPED_INTS:
        return tuple(v for v in domain.values() if _in(v, inside))
    tried = sorted({*inside, *outside})
    return tuple(
        v
        for v in domain.values()
        if v in inside or (v not in outside and any(t in inside for t in _around(v, tried)))
    )


def _around(value: int, tried: list[int]) -> list[int]:
    below = [t for t in tried if t < value][-1:]
    return below + [t for t in tried if t > value][:1]


def _in(value: Any, values: list[Any]) -> bool:
    return any(same(v, value) for v in values)
