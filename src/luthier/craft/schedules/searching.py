"""A schedule as a hyperparameter: its family, its peak, and what only that family has.

Lengths are searched as shares of the training, so the same space serves any number of steps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from luthier.craft.schedules.decays import (
    Constant,
    Cosine,
    CosineRestarts,
    Exponential,
    InverseSquareRoot,
    OneCycle,
    Polynomial,
    Step,
    WarmUpStableDecay,
)
from luthier.craft.schedules.plateau import Plateau
from luthier.craft.schedules.schedule import Schedule, as_whole
from luthier.errors import StudyError, nearest
from luthier.space import Bool, Choice, Float, Int, Space
from luthier.space.asking import Asking
from luthier.space.domains import Domain

Live = Mapping[str, Any]


class _Family(NamedTuple):
    """What is searched of one family, and how a schedule is made of it.

    *make* gets the peak, the warm-up in steps, all steps, and the family's own values.
    """

    space: Space
    make: Callable[[float, int, int, Live], Schedule | Plateau]
    warms_up: bool = True


_FINAL = Float(1e-4, 1.0, scale="log", default=0.01)


def _step(peak: float, warm_up: int, steps: int, live: Live) -> Schedule:
    milestones = range(1, live["drops"] + 1)
    after = [warm_up + round((steps - warm_up) * k / (live["drops"] + 1)) for k in milestones]
    return Step(peak, tuple(dict.fromkeys(after)), live["factor"], warm_up=warm_up)


def _exponential(peak: float, warm_up: int, steps: int, live: Live) -> Schedule:
    every = max(1, (steps - warm_up) // live["stairs"])
    decay = live["final_ratio"] ** (every / (steps - warm_up))
    return Exponential(peak, every, decay, live["staircase"], warm_up=warm_up)


def _restarts(peak: float, warm_up: int, steps: int, live: Live) -> Schedule:
    cycles, growth = live["cycles"], live["growth"]
    period = max(1, round((steps - warm_up) / sum(growth**i for i in range(cycles))))
    return CosineRestarts(peak, period, cycles, growth, live["final_ratio"], warm_up=warm_up)


FAMILIES: dict[str, _Family] = {
    "constant": _Family(Space(), lambda p, w, n, v: Constant(p, warm_up=w)),
    "step": _Family(
        Space(drops=Int(1, 4), factor=Float(0.05, 0.7, scale="log", default=0.1)), _step
    ),
    "exponential": _Family(
        Space(final_ratio=_FINAL, staircase=Bool(), stairs=Int(2, 10).when(staircase=True)),
        lambda p, w, n, v: _exponential(p, w, n, {"stairs": 1, **v}),
    ),
    "polynomial": _Family(
        Space(final_ratio=_FINAL, power=Float(0.5, 3.0, scale="log", default=1.0)),
        lambda p, w, n, v: Polynomial(p, n, v["power"], v["final_ratio"], warm_up=w),
    ),
    "cosine": _Family(
        Space(final_ratio=_FINAL),
        lambda p, w, n, v: Cosine(p, n, v["final_ratio"], warm_up=w),
    ),
    "cosine_restarts": _Family(
        Space(final_ratio=_FINAL, cycles=Int(2, 5), growth=Choice(1.0, 1.5, 2.0)), _restarts
    ),
    "one_cycle": _Family(
        Space(rise=Float(0.1, 0.5, default=0.3), final_ratio=_FINAL),
        lambda p, w, n, v: OneCycle(p, n, v["rise"], final_ratio=v["final_ratio"]),
        warms_up=False,
    ),
    "warm_up_stable_decay": _Family(
        Space(final_ratio=_FINAL, decay=Float(0.1, 0.5, default=0.2)),
        lambda p, w, n, v: WarmUpStableDecay(
            p, n, min(v["decay"], 1 - w / n), v["final_ratio"], warm_up=w
        ),
    ),
    "inverse_square_root": _Family(Space(), lambda p, w, n, v: InverseSquareRoot(p, warm_up=w)),
    "plateau": _Family(
        Space(factor=Float(0.05, 0.7, scale="log", default=0.1), patience=Int(1, 10)),
        lambda p, w, n, v: Plateau(p, v["factor"], v["patience"], floor=p * 1e-4),
        warms_up=False,
    ),
}


def space(
    families: Sequence[str] = ("constant", "cosine", "exponential", "one_cycle"),
    *,
    peak: Float | tuple[float, float] = (1e-4, 1e-1),
    warm_up: tuple[float, float] = (0.0, 0.2),
    rate: str = "learning_rate",
    name: str = "schedule",
) -> Space:
    """Return the hyperparameters of a schedule: only those of the chosen family are live.

    ``Space({**craft.schedules.space(["cosine", "step"], peak=found.domain()).domains, "units": ...})``

    Args:
        families: which to choose between, of ``FAMILIES``.
        peak: the peak's range, on a log scale; a range finder's ``domain()`` fits.
        warm_up: range of the warm-up's share of all steps; it is live for the families that have one.
        rate: the peak's name. Every family shares it, since its best values are close.
        name: the choice's name; that of the warm-up is *name*_warm_up, that of a family's own such as
            ``schedule.cosine.final_ratio``.

    Raises:
        StudyError: an unknown family.
        SpaceError: a range that cannot be.
    """
    chosen = [families] if isinstance(families, str) else list(families)
    for family in chosen:
        if family not in FAMILIES:
            raise StudyError(
                f"There is no schedule {family!r}: expected some of {', '.join(FAMILIES)}."
                f"{nearest(family, FAMILIES)}"
            )
    domain = peak if isinstance(peak, Float) else Float(*peak, scale="log")
    domains: dict[str, Domain] = {
        rate: domain,
        name: Choice({family: FAMILIES[family].space for family in chosen}),
    }
    if warm := [family for family in chosen if FAMILIES[family].warms_up]:
        share = Float(*warm_up)
        # A lone family's condition would always hold.
        domains[f"{name}_warm_up"] = share if warm == chosen else share.when(**{name: warm})
    return Space(domains)


def from_configuration(
    configuration: Live, steps: int, *, rate: str = "learning_rate", name: str = "schedule"
) -> Schedule | Plateau:
    """Return the schedule that a configuration of ``space(...)`` describes.

    Args:
        configuration: values by their full names, such as ``trial.configuration``; other
            hyperparameters may be among them.
        steps: the horizon: optimizer steps of the whole training (epochs × batches).
        rate: the name that ``space`` was given.
        name: the same.

    Raises:
        StudyError: a value is missing, there is no such family, or there are too few steps.
    """
    if (found := as_whole(steps, 0)) < 1:
        raise StudyError(
            f"steps={steps!r}: expected the optimizer steps of the whole training, a whole number from 1 on."
        )
    steps = found
    if missing := {rate, name} - set(configuration):
        raise StudyError(
            f"The configuration has no {min(missing)!r}; it has {', '.join(configuration)}. Search "
            "craft.schedules.space(...), or say how its hyperparameters are called: rate=, name=."
        )
    family = configuration[name]
    if family not in FAMILIES:
        raise StudyError(
            f"{name}={family!r} is no schedule: expected one of {', '.join(FAMILIES)}."
            f"{nearest(str(family), FAMILIES)}"
        )
    prefix = f"{name}.{family}."
    own = {
        key.removeprefix(prefix): value
        for key, value in configuration.items()
        if key.startswith(prefix)
    }
    wanted = FAMILIES[family].space
    for key in wanted:
        if key not in own and wanted.is_active(key, own):
            raise StudyError(
                f"The configuration has no {prefix + key!r}, which the schedule {family!r} needs; it has "
                f"{', '.join(configuration)}."
            )
    warm_up = min(round(configuration.get(f"{name}_warm_up", 0.0) * steps), steps - 1)
    return FAMILIES[family].make(configuration[rate], warm_up, steps, own)


def ask(hp: Asking, steps: int, families: Sequence[str] | None = None, **options: Any) -> Any:
    """Ask for a schedule's hyperparameters while building a model, and return the schedule.

    ``schedule = craft.schedules.ask(hp, steps=10 * 94, families=["cosine", "one_cycle"])``

    Args:
        hp: what ``build(hp)`` is given.
        steps: as for ``from_configuration``.
        families: as for ``space``.
        **options: the others of ``space``.

    Raises:
        StudyError: as for ``space``.
    """
    wanted = space(**options) if families is None else space(families, **options)
    values: dict[str, Any] = {}
    for key, domain in wanted.domains.items():
        if wanted.is_active(key, values):
            values[key] = _asked(hp, key, domain)
    names = {k: options[k] for k in ("rate", "name") if k in options}
    return from_configuration(values, steps, **names)


def _asked(hp: Asking, key: str, domain: Domain) -> Any:
    if isinstance(
        domain, Float
    ):  # a default that nobody gave must not go before what is believed in
        default = domain.default if domain.default_given else None
        return hp.float(
            key, domain.low, domain.high, scale=domain.scale, step=domain.step,
            default=default, prior=domain.prior, confidence=domain.confidence,
        )  # fmt: skip
    if isinstance(domain, Int):
        return hp.int(key, domain.low, domain.high, default=domain.default)
    if isinstance(domain, Bool):
        return hp.bool(key, domain.default)
    assert isinstance(domain, Choice)
    return hp.choice(key, domain.options, default=domain.default)
