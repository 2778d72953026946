"""Learning-rate schedules and the budgets of rungs: which schedules have a length, and when it matters.

A cosine over the full budget is half finished when a scheduler compares trials at an early rung: its rate
is still high, and how a trial looks says little about how it ends. A schedule without a horizon
(warm-up–stable–decay, inverse square root, exponential, plateau) is the same whatever the budget.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from luthier.space import Domain, HyperParameters
    from luthier.study.records import TrialRecord
    from luthier.study.study import Study
    from luthier.study.trial import Trial

Kind = Literal["tied", "free", "unknown"]

_FREE = {
    *("ExponentialDecay", "InverseTimeDecay"),  # Keras
    *("StepLR", "ExponentialLR", "ConstantLR", "ReduceLROnPlateau"),  # PyTorch
}


def kind_of(schedule: object) -> Kind:
    """Return whether a schedule is tied to a length, free of any horizon, or cannot be told.

    Args:
        schedule: a ``LearningRateSchedule`` of Keras or a learning-rate scheduler of PyTorch.
    """
    if length_of(schedule) is not None:
        return "tied"
    if hasattr(schedule, "horizon"):
        return "free"
    names = {each.__name__ for each in type(schedule).__mro__}
    rises = "LinearLR" in names  # to its full rate: a warm-up, whatever comes after it
    return "free" if rises or names & _FREE else "unknown"


def length_of(schedule: object) -> int | None:
    """Return after how many of its own steps a schedule has run its course; None for one that has none.

    A schedule with restarts counts with its first cycle; one made of several with the end of the last.
    Luthier's own schedules (``luthier.craft.schedules``) say it themselves.
    """
    if isinstance(own := getattr(schedule, "horizon", None), int):
        return own
    for each in type(schedule).__mro__:
        if (rule := _LENGTHS.get(each.__name__)) is not None:
            try:
                return rule(schedule)
            except (AttributeError, TypeError, ValueError, OverflowError):
                return None  # a class of the user's that has no more than the name
    return None


def asked_again(
    study: Study, record: TrialRecord, draw: Callable[[str, Domain], Any] | None = None
) -> HyperParameters:
    """Return what ``build`` is given to make a trial's model once more: as in its last job.

    Args:
        study: whose trial it is.
        record: the trial.
        draw: as for ``Study.hyperparameters``.
    """
    hp = study.hyperparameters(record.configuration, draw)
    hp.to_step = record.to_step or hp.horizon
    hp.horizon = max(hp.horizon, hp.to_step)
    return hp


def most_epochs(epochs: object, scheduler: object) -> int:
    """Return the most epochs a trial will train, as *epochs* or the scheduler says; 1 where neither does.

    Numbers that cannot be, which are refused later, count as none.
    """
    found = getattr(scheduler, "epochs", None) if epochs is None else epochs
    return found if isinstance(found, int) and found > 0 else 1


def warn_if_half_finished(trial: Trial, schedule: object, per_epoch: float) -> None:
    """Warn, once a study and process, when *trial* is compared long before *schedule* has ended.

    Args:
        trial: which is about to be trained.
        schedule: of its learning rate.
        per_epoch: steps of the schedule in one epoch.
    """
    at, length = trial.compared_at, length_of(schedule)
    if at is None or length is None or length / per_epoch <= at + 0.5:
        return
    said = (
        f"The learning-rate schedule {type(schedule).__name__} runs over {length / per_epoch:.4g} epochs, but "
        f"this study's scheduler compares trials from epoch {at} on: half-finished schedules, whose rate is "
        "still high, say little about how trials end."
    )
    trial.warn_once("horizon", f"{said} {_IN_RUNGS if trial.in_rungs else _ON_THE_WAY}")


_HORIZON_FREE = "warm-up–stable–decay, inverse square root, or reducing the rate on a plateau"
_IN_RUNGS = (
    "Tie the schedule to the rung (its length from trial.to_step, or hp.to_step in a build function): then "
    "the rate rises again whenever a trial is promoted. Or take a schedule without a horizon, which goes on "
    f"as if it had not been paused: {_HORIZON_FREE}."
)
_ON_THE_WAY = (
    f"Take a schedule without a horizon, which is the same whatever comes after: {_HORIZON_FREE}. Or a "
    "scheduler with rungs, such as 'hyperband', and tie the schedule to them (its length from trial.to_step)."
)


def _attribute(name: str) -> Callable[[Any], int | None]:
    return lambda schedule: int(getattr(schedule, name))


def _keras_cosine(schedule: Any) -> int:
    return int(schedule.decay_steps) + int(getattr(schedule, "warmup_steps", 0) or 0)


def _linear(schedule: Any) -> int | None:
    falls = schedule.end_factor < schedule.start_factor
    return int(schedule.total_iters) if falls else None


def _sequence(schedule: Any) -> int | None:
    starts = [0, *schedule._milestones]
    return _last(zip(starts, schedule._schedulers, strict=True))


def _chained(schedule: Any) -> int | None:
    return _last((0, part) for part in schedule._schedulers)


def _last(parts: Iterable[tuple[int, object]]) -> int | None:
    ends = [start + length for start, part in parts if (length := length_of(part)) is not None]
    return max(ends, default=None)


_LENGTHS: dict[str, Callable[[Any], int | None]] = {
    # Keras, in steps of the optimizer
    "CosineDecay": _keras_cosine,
    "CosineDecayRestarts": _attribute("first_decay_steps"),
    "PolynomialDecay": _attribute("decay_steps"),
    "PiecewiseConstantDecay": lambda schedule: int(max(schedule.boundaries)),
    # PyTorch, in calls of step(): epochs, or batches
    "CosineAnnealingLR": _attribute("T_max"),
    "CosineAnnealingWarmRestarts": _attribute("T_0"),
    "OneCycleLR": _attribute("total_steps"),
    "PolynomialLR": _attribute("total_iters"),
    "LinearLR": _linear,
    "MultiStepLR": lambda schedule: int(max(schedule.milestones, default=0)),
    "SequentialLR": _sequence,
    "ChainedScheduler": _chained,
}
