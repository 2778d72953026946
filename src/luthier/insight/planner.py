"""What a study will take before it begins, and which plan makes the most of some hours."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from luthier.errors import StudyError, nearest
from luthier.insight.makespan import makespan, work
from luthier.insight.timing import epoch_seconds, first_epoch, start_seconds
from luthier.insight.trials import Source, history_of
from luthier.run.retention import KEPT
from luthier.schedule import ASHA, SCHEDULERS, Full, Hyperband, SuccessiveHalving
from luthier.study.history import History
from luthier.study.limits import Limits
from luthier.study.protocols import Plan, Scheduler
from luthier.study.records import TrialState

_IDLE = 0.2  # share of the workers' time that may pass waiting for a rung to end
_MANY_WORKERS = 4  # from which on it matters that nobody waits
_FEW_EPOCHS = 4  # of a training, too few to stop any of it early
_SEVERAL = 8  # configurations that a search should see at the least
_MOST = 3_000  # trials of a plan for some hours


@dataclass(frozen=True)
class Costs:
    """What things take.

    Attributes:
        epoch: seconds of an epoch with its evaluation and checkpoint.
        start: seconds that a job takes before its first epoch (loading, compiling).
        checkpoint: bytes of one checkpoint; None when not known.
        workers: trials at the same time.
    """

    epoch: float
    start: float = 0.0
    checkpoint: int | None = None
    workers: int = 1

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            StudyError: an epoch or a start that takes no time at all, or less; fewer than one worker.
        """
        if not 0 < self.epoch < math.inf or not 0 <= self.start < math.inf:
            raise StudyError(
                f"An epoch must take seconds above 0, and a start 0 or more, got {self.epoch!r} and "
                f"{self.start!r}."
            )
        if self.workers < 1:
            raise StudyError(f"workers must be a whole number above 0, got {self.workers!r}.")


@dataclass(frozen=True)
class Estimate:
    """What a plan takes.

    Attributes:
        scheduler: that makes the plan.
        limits: within which it is made.
        plan: its brackets and rungs.
        hours: from its beginning to its end, on all workers; None when an epoch's time is not known, or
            how many epochs a training has.
        idle: share of the workers' time in which they have nothing to do; None likewise.
        disk: bytes of checkpoints at the most, at any time; None when one's size is not known.
        why: why this plan, where it was chosen among several.
    """

    scheduler: Scheduler
    limits: Limits
    plan: Plan
    hours: float | None
    idle: float | None
    disk: int | None
    why: str = ""

    @property
    def trials(self) -> int:
        """Return how many configurations are tried."""
        return self.plan.searched

    @property
    def epochs(self) -> int | None:
        """Return how many epochs are trained in all, at most; None where a training's length is not known."""
        return None if self.plan.to_end else self.plan.epochs


def plan(
    scheduler: str | Scheduler | None = None,
    *,
    epochs: int | None = None,
    max_trials: int | None = None,
    max_epochs: int | None = None,
    costs: Costs | None = None,
) -> Estimate:
    """Return what a study will do, and what it will take, before it begins.

    Args:
        scheduler: as for ``tune``; None trains every trial to its end.
        epochs: as for ``tune``: the most epochs one trial trains.
        max_trials: as for ``tune``.
        max_epochs: as for ``tune``.
        costs: what an epoch takes; without it there are no hours.

    Raises:
        StudyError: only time would end such a study, or an unknown scheduler.
    """
    return _estimate(_named(scheduler, epochs), Limits(max_trials, max_epochs), costs)


def _named(scheduler: str | Scheduler | None, epochs: int | None) -> Scheduler:
    if scheduler is None:
        return Full(epochs)
    if not isinstance(scheduler, str):
        return scheduler
    name = scheduler.replace("_", " ").lower()
    if name not in SCHEDULERS:
        raise StudyError(
            f"Unknown scheduler {scheduler!r}: expected one of "
            f"{', '.join(map(repr, SCHEDULERS))}.{nearest(name, SCHEDULERS)}"
        )
    if epochs is None and name != "none":
        raise StudyError(
            f"Scheduler {name!r} must know how long a full training is: give epochs= (--epochs)."
        )
    return SCHEDULERS[name](epochs=epochs)  # type: ignore[call-arg]


def _estimate(scheduler: Scheduler, limits: Limits, costs: Costs | None) -> Estimate:
    return estimate(scheduler, limits, scheduler.plan(limits), costs)


def estimate(
    scheduler: Scheduler,
    limits: Limits,
    made: Plan | None,
    costs: Costs | None,
    finalists: int = 0,
) -> Estimate:
    """Return what *made*, the plan of *scheduler* within *limits*, comes to.

    Args:
        scheduler: that made it.
        limits: within which it was made.
        made: the plan, with its race where there will be one.
        costs: what things take; None when not known.
        finalists: how many configurations will be raced.

    Raises:
        StudyError: only time would end it.
    """
    if made is None or not made.brackets:
        raise StudyError(
            "Only time would end such a study, so there is nothing to add up: give max_trials or "
            "max_epochs (luthier plan: --trials or --max-epochs)."
        )
    if costs is None:
        return Estimate(scheduler, limits, made, None, None, None)
    disk = None
    if costs.checkpoint is not None:
        disk = costs.checkpoint * checkpoints(made, costs.workers, promotes=scheduler.promotes)
    if made.to_end:
        return Estimate(scheduler, limits, made, None, None, disk)
    seconds = makespan(made, costs.workers, costs.epoch, costs.start, finalists)
    busy = work(made, costs.epoch, costs.start) / (seconds * costs.workers)
    return Estimate(scheduler, limits, made, seconds / 3600, max(0.0, 1 - busy), disk)


def as_long_as(made: Plan, history: History) -> Plan:
    """Return *made* with the length that a training has in *history*, where nobody has said how long it is.

    It is the median over the trials that were trained to their end. Where none was, the plan is as before.
    """
    lengths = [t.step for t in history.trials if t.state is TrialState.COMPLETED and t.step]
    if not made.to_end or not lengths:
        return made
    length = round(statistics.median(lengths))
    brackets = (
        replace(b, rungs=tuple(replace(rung, step=length) for rung in b.rungs))
        for b in made.brackets
    )
    return replace(made, brackets=tuple(brackets), about=True, to_end=False)


def checkpoints(made: Plan, workers: int, *, promotes: bool) -> int:
    """Return how many checkpoints there are at the same time, at most; see ``run.retention``.

    A trial that may go on has its newest and its best, and while one is written a third; of those
    that ended the three best of the study have one. Where rungs are waited for, all trials of a bracket
    may be paused at once, and those of the next one that free workers have begun.
    """
    alive = workers
    if promotes:
        most = max(bracket.rungs[0].trials for bracket in made.brackets)
        alive = made.trials if made.at_most else min(made.trials, most + workers)
    return 2 * min(alive, made.trials) + min(workers, made.trials) + KEPT


def measured(source: Source, workers: int = 1, checkpoint: int | None = None) -> Costs:
    """Return what an epoch and a start took in a study: the medians over its reports.

    A trial's first report holds the start; the later ones tell what an epoch is without it.

    Raises:
        StudyError: no report has its seconds.
    """
    trials = [t for t in history_of(source).trials if any(s > 0 for s in t.seconds)]
    if not trials:
        raise StudyError(
            "No trial of this study says how long an epoch took: train one, or give the time."
        )
    later = [s for t in trials for s in epoch_seconds(t)]
    if not later:  # one report a trial: nothing tells a start from an epoch
        return Costs(statistics.median(map(first_epoch, trials)), 0.0, checkpoint, workers)
    epoch = statistics.median(later)
    start = statistics.median(start_seconds(t, epoch) for t in trials)
    return Costs(epoch, start, checkpoint, workers)


def plans(hours: float, epochs: int, costs: Costs) -> tuple[Estimate, ...]:
    """Return the plans that fit into so many hours, the recommended one first, each with its reason.

    The rule, in order: trainings of fewer than 4 epochs are not worth stopping. Else Hyperband with
    η = 3, or η = 4, if one whole iteration fits, as it hedges between many short and few long trainings
    (Li et al. 2018); with so many workers that a fifth of their time would pass waiting for rungs, ASHA
    in its place (Li et al. 2020). With less time, one bracket of successive halving, the deepest that
    fits with 8 configurations or more and trains some of them to the end; with still less 8 full
    trainings or more, or a bracket that ends early. No plan has more than 3,000 trials.

    Args:
        hours: from beginning to end, on all workers.
        epochs: R, the most epochs one trial trains.
        costs: what an epoch takes, and how many workers there are.

    Raises:
        StudyError: not even one training fits, with the number of epochs that would.
    """
    if not 0 < hours < math.inf:
        raise StudyError(f"hours must be a number above 0, got {hours!r}.")
    if epochs < 1:
        raise StudyError(f"epochs, the most one trial trains, must be >= 1, got {epochs!r}.")
    room = int((hours * 3600 - costs.start) / costs.epoch)
    if room < epochs:
        instead = f"epochs={room} would" if room > 0 else "not one epoch would"
        raise StudyError(
            f"{hours:g} hours do not hold one training of {epochs} epochs at {costs.epoch:g} s each; "
            f"{instead} fit."
        )
    fitting = list(_fitting(hours, epochs, costs))
    order = sorted(range(len(fitting)), key=lambda i: _rank(fitting[i], epochs, costs.workers))
    return tuple(fitting[i] for i in order)


def _fitting(hours: float, epochs: int, costs: Costs) -> Iterator[Estimate]:
    """Yield the largest plan of each kind that fits."""
    kinds: list[tuple[str, Callable[[int], tuple[Scheduler, Limits]]]] = [
        ("every configuration is trained to its end", lambda k: (Full(epochs), Limits(trials=k)))
    ]
    for factor in (3, 4):
        if epochs < factor:
            continue
        kinds += [
            (
                f"hedges between many short and few long trainings, η = {factor}",
                lambda k, f=factor: (Hyperband(epochs, f, iterations=k), Limits()),
            ),
            (
                f"waits for no rung to end, η = {factor}",
                lambda k, f=factor: (ASHA(epochs, f), Limits(trials=k)),
            ),
        ]
        depth, minimum = 1, epochs // factor
        while minimum >= 1:
            kinds.append(
                (
                    f"one bracket of {depth + 1} rungs, η = {factor}",
                    lambda k, f=factor, m=minimum: (
                        SuccessiveHalving(epochs, factor=f, minimum=m), Limits(trials=k),
                    ),
                )
            )  # fmt: skip
            depth, minimum = depth + 1, minimum // factor
    for why, make in kinds:
        most = _largest(lambda k, make=make: _fits(_estimate(*make(k), costs), hours))
        if most:
            yield replace(_estimate(*make(most), costs), why=why)


def _rank(found: Estimate, epochs: int, workers: int) -> tuple[int, float]:
    """Return the place of a plan by the rule of ``plans``: the smaller, the better."""
    scheduler, idle = found.scheduler, found.idle or 0.0
    if isinstance(scheduler, Full):
        return (0 if epochs < _FEW_EPOCHS else 4 if found.trials >= _SEVERAL else 6, 0.0)
    if isinstance(scheduler, Hyperband):
        return (1 if idle <= _IDLE else 3, scheduler.factor)
    if isinstance(scheduler, ASHA):
        # Random configurations that all begin at one epoch: as good as a whole iteration of Hyperband
        # only where it begins as many.
        many = workers >= _MANY_WORKERS and found.trials >= scheduler.factor ** (
            len(found.plan.brackets[0].rungs) - 1
        )
        return (2 if many else 6, scheduler.factor)
    enough = found.trials >= _SEVERAL and found.plan.brackets[0].rungs[-1].step == epochs
    if found.trials < _SEVERAL:
        return (7, -found.trials)
    return (3 if enough else 5, -len(found.plan.brackets[0].rungs))


def _fits(found: Estimate, hours: float) -> bool:
    assert found.hours is not None
    return found.trials <= _MOST and found.hours <= hours


def _largest(fits: Callable[[int], bool]) -> int:
    """Return the largest number that fits, by doubling and halving; 0 when 1 does not."""
    if not fits(1):
        return 0
    low, high = 1, 2
    while fits(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low
