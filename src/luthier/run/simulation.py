"""A cluster that never was: hundreds or thousands of workers on a virtual clock.

The study, its searcher, its scheduler and its log are the real ones, and so is every rule about leases;
only time, training and death are made up. A minute of simulated cluster costs what its events cost.
"""

from __future__ import annotations

import heapq
import inspect
import itertools
import math
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from luthier.errors import Infeasible, StudyError
from luthier.run.opening import Opening, check_fit, header_for, made_parts, seconds_from
from luthier.run.recording import out_of_memory
from luthier.schedule.race import REPETITIONS, check_repetitions
from luthier.search.widening import due
from luthier.space import Space
from luthier.storage import MemoryStore
from luthier.study import events as ev
from luthier.study.chance import Chance
from luthier.study.deciding import Job
from luthier.study.goals import goals_from
from luthier.study.history import History
from luthier.study.leases import TERM
from luthier.study.protocols import Done, Limits, Scheduler, Searcher, Wait
from luthier.study.records import TrialRecord, TrialState
from luthier.study.study import Study
from luthier.study.trial import Trial

Objective = Callable[..., "float | Mapping[str, float]"]
EpochSeconds = Callable[[dict[str, Any], int, Chance], float]


@dataclass(frozen=True)
class Simulation:
    """What a simulated run came to.

    Attributes:
        study: the real study, on a store in memory.
        seconds: virtual seconds from its start to its end: nothing was left to begin, and all had reported.
        idle: share of the workers' time in which they had nothing to do, up to the moment when there
            was nothing left to begin; time in which a worker was dead does not count.
        deaths: workers that died with a job in their hands.
        cut_off: workers that lost their connection, came back, and found their job taken over.
        epochs_trained: epochs of training, those that a death threw away included.
    """

    study: Study
    seconds: float
    idle: float
    deaths: int
    cut_off: int
    epochs_trained: int

    @property
    def stuck(self) -> list[TrialRecord]:
        """Return the trials that are neither at an end nor paused: lost ones, were there any.

        What was given back as the time was up is none, nor what was held then by a worker that is gone and
        nobody could take over any more: a study with more time goes on with both.
        """
        active = self.study.history.active.values()
        return [t for t in active if not _given_back(t) and not self._left_as_the_time_was_up(t)]

    def _left_as_the_time_was_up(self, trial: TrialRecord) -> bool:
        study, leases = self.study, self.study.leases
        over = study.deadline is not None and study.clock.monotonic() >= study.deadline
        return over and isinstance(leases, VirtualLeases) and leases.silent(trial)


class VirtualClock:
    """A clock that stands still until somebody sets it."""

    def __init__(self) -> None:
        self.now = 1_000_000_000.0

    def time(self) -> float:
        """Return virtual seconds."""
        return self.now

    def monotonic(self) -> float:
        """Return virtual seconds."""
        return self.now


@dataclass
class VirtualLeases:
    """Leases whose holders are silent from a known moment on; the living renew theirs in time."""

    clock: VirtualClock
    term: float = TERM
    holder: ev.Holder = field(default_factory=lambda: _holder(0))
    silent_since: dict[int, float] = field(default_factory=dict[int, float])

    def lapsed(self, trial: TrialRecord) -> bool:
        """Return True when the holder has been silent for longer than the term."""
        since = self._since(trial)
        return since is not None and self.clock.now - since > self.term

    def silent(self, trial: TrialRecord) -> bool:
        """Return True when the holder is dead or cut off, though perhaps not for long."""
        return self._since(trial) is not None

    def _since(self, trial: TrialRecord) -> float | None:
        if trial.state is not TrialState.RUNNING or trial.holder is None:
            return None
        return self.silent_since.get(trial.holder.instance)


class RememberedCheckpoints:
    """Checkpoints that hold no more than their step and report."""

    def __init__(self) -> None:
        self.kept: dict[int, dict[int, tuple[dict[str, float], float]]] = {}

    def save(
        self,
        trial: int,
        step: int,
        write: Callable[[Path], object],
        metrics: Mapping[str, float],
        seconds: float,
    ) -> None:
        """Remember the step."""
        self.kept.setdefault(trial, {})[step] = (dict(metrics), seconds)

    def newest(self, trial: int, at_most: int | None = None) -> tuple[int, dict[str, float], float]:
        """Return the newest step, its metrics and seconds."""
        kept = self.kept.get(trial, {})
        step = max((s for s in kept if at_most is None or s <= at_most), default=0)
        return (step, *kept[step]) if step else (0, {}, 0.0)

    def path(self, trial: int, step: int) -> Path:
        """Return a folder that nobody reads."""
        return Path()

    def keep(self, trial: int, steps: set[int]) -> None:
        """Forget the others."""
        kept = self.kept.get(trial, {})
        self.kept[trial] = {step: kept[step] for step in steps if step in kept}

    def collect(self, history: History) -> None:
        """Do nothing: they are small."""


def simulate(
    objective: Objective,
    space: Space | Mapping[str, Any],
    *,
    maximize: str | Sequence[str] | None = None,
    minimize: str | Sequence[str] | None = None,
    subject_to: str | Sequence[str] | None = None,
    noisy: bool = False,
    workers: int = 100,
    searcher: str | Searcher | None = None,
    scheduler: str | Scheduler | None = "auto",
    epochs: int | None = None,
    max_trials: int | None = None,
    max_epochs: int | None = None,
    max_time: float | str | None = None,
    finalists: int | None = None,
    repetitions: int = REPETITIONS,
    widen: bool | None = None,
    epoch_seconds: float | EpochSeconds = 1.0,
    failures: float = 0.0,
    cut_off: float = 0.0,
    restart_seconds: float = 30.0,
    seed: int = 0,
) -> Simulation:
    """Run a study on simulated workers.

    Args:
        objective: ``(configuration, step) -> value or metrics``: a function, or a look-up in a table of
            curves that were measured before. With a third parameter it is given the trial's seed.
        space: what is searched.
        maximize: as for ``tune``.
        minimize: as for ``tune``.
        subject_to: as for ``tune``.
        noisy: as for ``tune``.
        workers: how many train at the same time.
        searcher: as for ``tune``.
        scheduler: as for ``tune``.
        epochs: the most epochs one trial trains; without a scheduler, each trial's epochs. 1 for an
            objective that is no curve.
        max_trials: as for ``tune``.
        max_epochs: as for ``tune``.
        max_time: virtual seconds, or a text such as ``"2h"``.
        finalists: as for ``tune``.
        repetitions: as for ``tune``.
        widen: as for ``tune``.
        epoch_seconds: virtual seconds of an epoch: a number, or
            ``(configuration, step, randomness) -> seconds``; ``heavy_tailed`` makes one.
        failures: probability that a worker dies during a job, at a random moment of it.
        cut_off: probability that a worker loses its connection during a job for longer than its lease
            lasts, goes on training, and reports when it is back.
        restart_seconds: virtual seconds until a dead worker is back.
        seed: decides everything.

    Raises:
        StudyError: nothing ends the study or a trial, an epoch of negative length, or a setting that
            cannot be (see ``luthier.open``).
    """
    if workers < 1:
        raise StudyError(f"workers must be a whole number above 0, got {workers!r}.")
    if not 0 <= restart_seconds < math.inf:
        raise StudyError(f"restart_seconds must be 0 or more, got {restart_seconds!r}.")
    check_repetitions(finalists, repetitions)
    clock = VirtualClock()
    leases = VirtualLeases(clock)
    store = MemoryStore()
    goals = goals_from(maximize, minimize, subject_to)
    opening = Opening("simulation", space, goals, searcher, scheduler, epochs, seed, noisy=noisy)
    limits = Limits(max_trials, max_epochs)
    check_fit(opening, limits)
    header = header_for(opening, clock.time())
    store.append(header.name, [ev.encode(header)])
    parts = made_parts(header)
    deadline = None if max_time is None else clock.now + seconds_from(max_time)
    study = Study(
        store,
        header.name,
        *parts,
        RememberedCheckpoints(),
        deadline,
        clock=clock,
        leases=leases,
        widens=due,
    )
    study.steer.budget(trials=limits.trials, epochs=limits.epochs)
    if finalists is not None:
        study.steer.race(finalists, repetitions)
    if widen is not None:
        study.steer.widen(widen)
    if study.scheduler.plan(study.limits) is None and deadline is None:
        raise StudyError("Nothing would end this study: give max_trials=, max_epochs=, max_time=.")
    if parts[1].epochs is None:
        raise StudyError(
            "Nothing would end a trial: give epochs=, the epochs that one trains; 1 where the objective "
            "is no curve."
        )
    duration = epoch_seconds if callable(epoch_seconds) else _constant(epoch_seconds)
    cluster = _Cluster(study, clock, leases, objective, duration, failures, cut_off)
    return cluster.run(workers, restart_seconds)


def heavy_tailed(median: float = 10.0, shape: float = 1.5) -> EpochSeconds:
    """Return epoch times whose tail is Pareto's: most near the median, a few many times longer.

    Args:
        median: virtual seconds.
        shape: the tail's exponent, above 1 (finite mean); 1.5 is heavy: one in a hundred epochs takes
            13 times the median.
    """
    scale = median / 2.0 ** (1.0 / shape)

    def seconds(configuration: dict[str, Any], step: int, chance: Chance) -> float:
        return scale / (1.0 - chance.uniform("seconds")) ** (1.0 / shape)

    return seconds


def _constant(value: float) -> EpochSeconds:
    return lambda configuration, step, chance: value


class _Cluster:
    """Workers as entries of a queue ordered by virtual time."""

    def __init__(
        self,
        study: Study,
        clock: VirtualClock,
        leases: VirtualLeases,
        objective: Objective,
        duration: EpochSeconds,
        failures: float,
        cut_off: float,
    ) -> None:
        self._study = study
        self._clock = clock
        self._leases = leases
        self._objective = objective
        self._seeded = _parameters(objective) > 2
        self._duration = duration
        self._failures = failures
        self._cut_off = cut_off
        self._queue: list[tuple[float, int, Generator[float]]] = []
        self._order = itertools.count()
        self._instances = itertools.count(1)
        self._idle: dict[Generator[float], float] = {}  # since when
        self._idle_seconds = 0.0
        self._dead_seconds = 0.0
        self._finished_at: float | None = None
        self._reported_at = clock.now  # the last report that counted
        self._waited = False  # a whole term, in which nobody found a job
        self._deaths = self._cuts = self._epochs = 0

    def run(self, workers: int, restart_seconds: float) -> Simulation:
        began = self._clock.now
        for _ in range(workers):
            self._at(began, self._worker(restart_seconds))
        while self._queue:
            when, _, worker = heapq.heappop(self._queue)
            self._clock.now = max(when, self._clock.now)
            self._advance(worker)
            self._wake()
        end = self._finished_at or self._clock.now
        for since in self._idle.values():
            self._idle_seconds += max(0.0, end - since)
        there = workers * (end - began) - self._dead_seconds
        return Simulation(
            self._study,
            max(end, self._reported_at) - began,
            self._idle_seconds / there if there > 0 else 0.0,
            self._deaths,
            self._cuts,
            self._epochs,
        )

    def _at(self, when: float, worker: Generator[float]) -> None:
        heapq.heappush(self._queue, (when, next(self._order), worker))

    def _advance(self, worker: Generator[float]) -> None:
        """Let a worker act; it answers with the seconds until it acts again, below 0 when it idles."""
        pause = next(worker, None)
        if pause is None:
            return
        if pause < 0:
            self._idle[worker] = self._clock.now
        else:
            self._at(self._clock.now + pause, worker)

    def _wake(self) -> None:
        """Let idle workers ask again, one after another, until one finds nothing."""
        while self._idle:
            worker, since = next(iter(self._idle.items()))
            del self._idle[worker]
            before = len(self._idle)
            self._advance(worker)
            if len(self._idle) > before:
                self._idle.pop(worker)
                # As it was: it has been idle all along, and is first in line again.
                self._idle = {worker: since, **self._idle}
                if not self._queue and self._finished_at is None:
                    self._look_once_more()
                return
            if self._finished_at is None:
                self._idle_seconds += self._clock.now - since

    def _falls_silent(self, holder: ev.Holder) -> None:
        """Note that a worker is silent from now on, and have the idle ones ask when its lease is over.

        Those of a real study ask now and then; here somebody has to wake them.
        """
        self._leases.silent_since[holder.instance] = self._clock.now
        if self._finished_at is None:
            self._at(self._clock.now + self._leases.term + 0.001, _wakes_the_others())

    def _look_once_more(self) -> None:
        """Nobody acts any more: a worker looks again after a term, and then the run is over: it is stuck."""
        if self._waited:
            return
        self._waited = True
        worker = next(iter(self._idle))
        since = self._idle.pop(worker)
        when = self._clock.now + self._leases.term
        self._idle_seconds += when - since
        self._at(when, worker)

    def _worker(self, restart_seconds: float) -> Generator[float]:
        holder = _holder(next(self._instances))
        while True:
            job = self._study.next_job(holder)
            if isinstance(job, Done):
                if self._finished_at is None:
                    self._finished_at = self._clock.now
                return
            if isinstance(job, Wait):
                yield -1.0
                continue
            self._waited = False
            alive = yield from self._train(job, holder)
            if not alive:
                back = self._clock.now + restart_seconds
                end = self._finished_at if self._finished_at is not None else back
                self._dead_seconds += max(0.0, min(end, back) - self._clock.now)
                yield restart_seconds
                holder = _holder(next(self._instances))

    def _train(self, job: Job, holder: ev.Holder) -> Generator[float, None, bool]:
        """Train a job on the virtual clock; return False when the worker died of it."""
        chance = Chance(self._study.seed, ("simulation", job.trial, job.lease))
        steps = (job.to_step or job.from_step + 10) - job.from_step
        dies_at = (
            chance.uniform("when") * steps if chance.uniform("dies") < self._failures else None
        )
        cut_at = chance.uniform("cut") * steps if chance.uniform("is cut") < self._cut_off else None
        trial = Trial(self._study, job)
        epochs = trial.epochs(save=_nothing, restore=_nothing)
        for done, epoch in enumerate(epochs):
            seconds, cut = self._seconds(trial, epoch, chance), False
            if dies_at is not None and done <= dies_at < done + 1:
                yield seconds * (dies_at - done)
                self._falls_silent(holder)
                self._deaths += 1
                trial.closed = True  # the generator is thrown away; the dead write nothing
                epochs.close()  # type: ignore[attr-defined]
                return False
            if cut_at is not None and done <= cut_at < done + 1:
                self._falls_silent(holder)
                cut = True
                seconds += 2 * self._leases.term
            yield seconds
            self._leases.silent_since.pop(holder.instance, None)
            self._epochs += 1
            taken_over = cut and self._study.refresh().trials[trial.number].lease != job.lease
            self._cuts += taken_over
            if not taken_over:
                self._reported_at = self._clock.now
            seed = (trial.seed,) if self._seeded else ()
            try:
                result = self._objective(trial.configuration, epoch + 1, *seed)
            except Exception as error:
                self._fail(trial, error)
                return True
            metric = self._study.objective.metric
            trial.report(dict(result) if isinstance(result, Mapping) else {metric: result})
        if not trial.closed and not trial.should_stop:
            self._study.finish(trial)
        return True

    def _seconds(self, trial: Trial, epoch: int, chance: Chance) -> float:
        seconds = self._duration(trial.configuration, epoch + 1, chance.of(epoch))
        if not 0 <= seconds < math.inf:
            raise StudyError(f"epoch_seconds must give 0 seconds or more, got {seconds!r}.")
        return seconds

    def _fail(self, trial: Trial, error: Exception) -> None:
        """Record what fails a trial alone, as in training; raise any other error."""
        if isinstance(error, Infeasible):
            self._study.fail(trial, "failed", str(error) or "infeasible")
        elif out_of_memory(error):
            self._study.fail(trial, "out of memory", f"{type(error).__name__}: {error}")
        else:
            raise error


def _wakes_the_others() -> Generator[float]:
    """Do nothing at one moment: after each entry of the queue, idle workers ask again."""
    yield from ()


def _given_back(trial: TrialRecord) -> bool:
    return trial.state is TrialState.QUEUED and "time" in trial.retries


def _parameters(function: Callable[..., Any]) -> int:
    """Return how many arguments *function* needs; 2 where nobody can tell."""
    try:
        known = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return 2
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(p.kind in kinds and p.default is inspect.Parameter.empty for p in known)


def _holder(instance: int) -> ev.Holder:
    return ev.Holder("simulated", "", "", 0, "", instance)


def _nothing(folder: Path) -> None:
    """Keep nothing: the objective is a function of the step."""
