"""Optuna's studies, each of which is a study of Luthier's."""

from __future__ import annotations

import math
import threading
import warnings
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from enum import IntEnum
from typing import Any

import msgspec

from luthier.compat.optuna import logging as optuna_logging
from luthier.compat.optuna.curves import Curves
from luthier.compat.optuna.distributions import BaseDistribution
from luthier.compat.optuna.frozen import frozen, names_of
from luthier.compat.optuna.optimizing import optimize
from luthier.compat.optuna.pruners import BasePruner, MedianPruner
from luthier.compat.optuna.samplers import BaseSampler
from luthier.compat.optuna.telling import added, tell
from luthier.compat.optuna.trial import FrozenTrial, Trial, TrialState
from luthier.errors import LuthierWarning, StudyError
from luthier.space import Domain
from luthier.study import events as ev
from luthier.study.history import History
from luthier.study.protocols import Done, Wait
from luthier.study.study import Study as OwnStudy
from luthier.study.trial import Trial as OwnTrial

Objective = Callable[[Trial], float | Sequence[float]]
Callback = Callable[["Study", FrozenTrial], object]
_WAIT_SECONDS = 0.5


class StudyDirection(IntEnum):
    """Which way is better."""

    NOT_SET = 0
    MINIMIZE = 1
    MAXIMIZE = 2


class Study:
    """A study, as Optuna's scripts know it; ``own`` is Luthier's.

    Attributes:
        study_name: under which it is found again.
        sampler: what was asked for; who proposes is Luthier's searcher of the log.
        pruner: whom ``trial.should_prune`` asks.
        own: Luthier's study, for everything that this door has no word for.
    """

    def __init__(
        self, own: OwnStudy, sampler: BaseSampler, pruner: BasePruner | None = None
    ) -> None:
        self.own = own
        self.study_name = own.name
        self.sampler = sampler
        self.pruner = pruner or MedianPruner()
        self.lock = threading.RLock()
        grid = own.history.header.searcher["name"] == "grid"
        self.grid: Container[str] = set(own.space) if grid and len(sampler.space()) else ()
        self.stopped = False
        self.optimizing = False
        self.met: dict[str, BaseDistribution] = {}  # how each name was asked for first
        self.live: dict[int, Trial] = {}
        self._curves = Curves()
        self._ended: dict[int, FrozenTrial] = {}
        self._objects: dict[tuple[int, str], Any] = {}
        self._waiting: list[Mapping[str, Any]] = []  # attributes of those that are enqueued

    def __reduce__(self) -> tuple[Any, ...]:
        """Have another process open the same study."""
        from luthier.compat.optuna.pickling import study_again, study_parts

        return study_again, study_parts(self)

    # -- reading ---------------------------------------------------------------------------------

    @property
    def directions(self) -> list[StudyDirection]:
        """Return which way each objective is better."""
        of = {goal.metric: goal.direction for goal in self.own.history.goals.objectives}
        return [StudyDirection[of[name].upper()] for name in names_of(self.own.history)]

    @property
    def direction(self) -> StudyDirection:
        """Return which way the one objective is better.

        Raises:
            StudyError: there are several.
        """
        if len(directions := self.directions) > 1:
            raise StudyError("This study has several objectives: read study.directions.")
        return directions[0]

    @property
    def trials(self) -> list[FrozenTrial]:
        """Return all trials, those that were enqueued included."""
        return self.get_trials()

    def get_trials(
        self, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """Return the trials in *states*, by default all; copies, unless *deepcopy* is False."""
        with self.lock:
            history = self.own.refresh()
            found = [self.frozen(number) for number in range(len(history.trials))]
            found += [
                FrozenTrial(len(history.trials) + i, TrialState.WAITING, params=dict(fixed))
                for i, fixed in enumerate(history.queue)
            ]
        wanted = [t for t in found if states is None or t.state in states]
        return [t.copied() for t in wanted] if deepcopy else wanted

    def frozen(self, number: int) -> FrozenTrial:
        """Return what is known of a trial."""
        known = self._ended.get(number)
        if known is not None:
            return known
        record = self.own.history.trials[number]
        trial = frozen(self.own.history, record)
        for (of, name), value in self._objects.items():
            if of == number:
                trial.user_attrs[name.removeprefix("user:")] = value
        if number in self.live:
            trial.params = dict(self.live[number].params)
            trial.distributions = dict(self.live[number].distributions)
        elif record.state.ended:
            self._ended[number] = trial
        return trial

    @property
    def best_trial(self) -> FrozenTrial:
        """Return the completed trial with the best value, of those that keep their constraints.

        Raises:
            StudyError: none has completed, or there are several objectives.
        """
        if len(self.directions) > 1:
            raise StudyError(
                "study.best_trial is for one objective: this study has several, read study.best_trials."
            )
        sign = -1.0 if self.direction is StudyDirection.MAXIMIZE else 1.0
        done = [t for t in self.get_trials(False, (TrialState.COMPLETE,)) if t.values]
        kept = [t for t in done if t.feasible]
        if not kept:
            raise StudyError(
                "No trial has completed yet." if not done else "No trial keeps to the constraints."
            )
        return min(kept, key=lambda t: (sign * (t.value or 0.0), t.number)).copied()

    @property
    def best_trials(self) -> list[FrozenTrial]:
        """Return the trials that no other one beats in every objective."""
        signs = [-1.0 if d is StudyDirection.MAXIMIZE else 1.0 for d in self.directions]
        done = [
            t for t in self.get_trials(False, (TrialState.COMPLETE,)) if t.values and t.feasible
        ]
        losses = [[s * v for s, v in zip(signs, t.values or [], strict=True)] for t in done]
        return [
            trial.copied()
            for trial, own in zip(done, losses, strict=True)
            if not any(
                other != own and all(a <= b for a, b in zip(other, own, strict=True))
                for other in losses
            )
        ]

    @property
    def best_params(self) -> dict[str, Any]:
        """Return the best trial's parameters."""
        return self.best_trial.params

    @property
    def best_value(self) -> float:
        """Return the best trial's value."""
        value = self.best_trial.value
        assert value is not None
        return value

    @property
    def user_attrs(self) -> dict[str, Any]:
        """Return what was written down about the study."""
        notes = self.own.refresh().attributes.get(-1, {})
        return {k.removeprefix("user:"): v for k, v in notes.items() if k.startswith("user:")}

    @property
    def metric_names(self) -> list[str] | None:
        """Return what the objectives were called, or None."""
        return self.own.refresh().attributes.get(-1, {}).get("metric_names")

    def curves(self) -> History:
        """Return the intermediate values of all trials as a history."""
        return self._curves.follow(self.own.refresh())

    # -- running ---------------------------------------------------------------------------------

    def optimize(
        self,
        func: Objective,
        n_trials: int | None = None,
        timeout: float | None = None,
        n_jobs: int = 1,
        catch: Iterable[type[Exception]] | type[Exception] = (),
        callbacks: Iterable[Callback] | None = None,
        gc_after_trial: bool = False,
        show_progress_bar: bool = False,
    ) -> None:
        """Run *func* on new trials.

        Args:
            func: returns the value, or one for each objective; may raise ``TrialPruned``.
            n_trials: how many more; None for no end but *timeout* and ``study.stop()``.
            timeout: seconds after which no other one is begun.
            n_jobs: threads; -1 for as many as there are cores.
            catch: exceptions that fail a trial and no more; all others end the call.
            callbacks: called with the study and each trial that has ended.
            gc_after_trial: collect garbage after each.
            show_progress_bar: accepted; the lines of each trial say as much.

        Raises:
            Exception: whatever *func* raises, unless it is caught.
        """
        caught = (catch,) if isinstance(catch, type) else tuple(catch)
        optimize(
            self, func, n_trials, timeout, n_jobs, caught, list(callbacks or ()), gc_after_trial
        )

    def ask(self, fixed_distributions: Mapping[str, BaseDistribution] | None = None) -> Trial:
        """Return a trial to run and to ``tell`` of.

        Raises:
            StudyError: there is nothing left to try.
        """
        trial = self.next_trial()
        if trial is None:
            raise StudyError(f"Study {self.study_name!r} has nothing left to try.")
        for name, distribution in (fixed_distributions or {}).items():
            trial._suggest(name, distribution)  # pyright: ignore[reportPrivateUsage]
        return trial

    def next_trial(self) -> Trial | None:
        """Return the next trial; None when there is nothing left to try."""
        while True:
            with self.lock:
                queued = len(self.own.refresh().queue)
                job = self.own.next_job()
                if isinstance(job, Done):
                    return None
                if not isinstance(job, Wait):
                    trial = Trial(self, OwnTrial(self.own, job))
                    self.live[trial.number] = trial
                    if len(self.own.history.queue) < queued and self._waiting:
                        for key, value in self._waiting.pop(0).items():
                            trial.set_user_attr(key, value)
                    return trial
            self.own.wait(_WAIT_SECONDS)

    def tell(
        self,
        trial: Trial | int,
        values: float | Sequence[float] | None = None,
        state: TrialState | None = None,
        skip_if_finished: bool = False,
    ) -> FrozenTrial:
        """End a trial with its value, or as PRUNED or FAIL.

        Raises:
            StudyError: no such trial; it has ended already; no number, or not one for each objective.
        """
        with self.lock:
            return tell(self, trial, values, state, skip_if_finished=skip_if_finished)

    def stop(self) -> None:
        """Have ``optimize`` begin no other trial.

        Raises:
            RuntimeError: it is not running.
        """
        if not self.optimizing:
            raise RuntimeError("study.stop() is for objectives and callbacks of study.optimize().")
        self.stopped = True

    # -- giving ----------------------------------------------------------------------------------

    def enqueue_trial(
        self,
        params: Mapping[str, Any],
        user_attrs: Mapping[str, Any] | None = None,
        skip_if_exists: bool = False,
    ) -> None:
        """Have *params* tried next; what they leave out is drawn at random."""
        with self.lock:
            if skip_if_exists and any(t.params == dict(params) for t in self.get_trials(False)):
                return
            now = self.own.clock.time()
            self.own.append([ev.Enqueued(time=now, configuration=dict(params))])
            self._waiting.append(dict(user_attrs or {}))

    def add_trial(self, trial: FrozenTrial) -> None:
        """Enter a trial that was run elsewhere; see ``create_trial``."""
        self.add_trials([trial])

    def add_trials(self, trials: Iterable[FrozenTrial]) -> None:
        """Enter trials that were run elsewhere, such as another study's."""
        with self.lock:
            added(self, list(trials))

    def set_user_attr(self, key: str, value: Any) -> None:
        """Write something down about the study."""
        with self.lock:
            self.note(f"user:{key}", value)

    def set_metric_names(self, metric_names: Sequence[str]) -> None:
        """Say what the objectives are called.

        Raises:
            StudyError: not one name for each.
        """
        if len(metric_names) != len(self.directions):
            raise StudyError(
                f"set_metric_names: expected {len(self.directions)} names, got {metric_names!r}."
            )
        with self.lock:
            self.own.set_attribute("metric_names", list(metric_names))

    def trials_dataframe(self, attrs: Sequence[str] = (), multi_index: bool = False) -> Any:
        """Return the trials as a pandas data frame; needs pandas."""
        from luthier.compat.optuna.frames import dataframe

        return dataframe(self, attrs)

    # -- parts -----------------------------------------------------------------------------------

    def note(self, name: str, value: Any, trial: int = -1) -> None:
        """Write down a value; what is no plain data stays in this process, with a memory store only.

        Raises:
            StudyError: no plain data, and a store that others read.
        """
        plain = value.item() if type(value).__module__ == "numpy" and value.ndim == 0 else value
        try:
            msgspec.msgpack.encode(plain)
        except (TypeError, ValueError, OverflowError, msgspec.MsgspecError):
            if self.own.store.address != "memory":
                raise StudyError(
                    f"Attribute {name.partition(':')[2]!r} is a {type(value).__name__}, which no store "
                    "can hold: give numbers, texts, lists and dicts, or the path of a file."
                ) from None
            self._objects[trial, name] = value
            return
        self._ended.pop(trial, None)
        self.own.set_attribute(name, plain, trial)

    def warn_outside(self, name: str, value: Any, domain: Domain) -> None:
        """Warn that a value that was asked for is not in the range of its suggestion."""
        warnings.warn(
            f"{name}={value!r} was asked for, which is not in {domain!r}: another value is tried.",
            LuthierWarning,
            stacklevel=5,
        )

    def say(self, trial: FrozenTrial) -> None:
        """Log how a trial ended."""
        logger = optuna_logging.get_logger()
        match trial.state:
            case TrialState.PRUNED:
                logger.info("Trial %d pruned. ", trial.number)
            case TrialState.FAIL:
                logger.warning("Trial %d failed with parameters: %s.", trial.number, trial.params)
            case _ if len(trial.values or ()) > 1:
                logger.info(
                    "Trial %d finished with values: %s and parameters: %s.",
                    trial.number, trial.values, trial.params,
                )  # fmt: skip
            case _:
                value = trial.value if trial.value is not None else math.nan
                logger.info(
                    "Trial %d finished with value: %s and parameters: %s. ",
                    trial.number, value, trial.params,
                )  # fmt: skip


class MaxTrialsCallback:
    """Stops when so many trials have ended in *states*, those of other processes included."""

    def __init__(
        self, n_trials: int, states: Container[TrialState] | None = (TrialState.COMPLETE,)
    ) -> None:
        self._n_trials = n_trials
        self._states = states

    def __call__(self, study: Study, trial: FrozenTrial) -> None:
        """Look, and stop."""
        if len(study.get_trials(False, self._states)) >= self._n_trials:
            study.stop()


__all__ = ["MaxTrialsCallback", "Study", "StudyDirection"]
