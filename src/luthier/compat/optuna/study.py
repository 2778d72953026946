"""Optuna's studies, each of which is a study of Luthier's."""

from __future__ import annotations

import threading
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from enum import IntEnum
from importlib import import_module
from typing import Any

from luthier.compat.optuna.adding import added
from luthier.compat.optuna.attributes import storable
from luthier.compat.optuna.best import best_of, front_of
from luthier.compat.optuna.distributions import BaseDistribution, CategoricalDistribution
from luthier.compat.optuna.enqueuing import begun, enqueue, exists, waiting
from luthier.compat.optuna.frozen import VERBATIM, frozen, give_objects, names_of, numbered
from luthier.compat.optuna.frozen_trial import copied
from luthier.compat.optuna.keeping import check_sampler, kept_sampler
from luthier.compat.optuna.labels import Objects
from luthier.compat.optuna.missing import absent
from luthier.compat.optuna.optimizing import optimize
from luthier.compat.optuna.proceeding import (
    BY_HAND,
    StandingLeases,
    forget_first_run,
    next_job,
    waits_for_a_word,
)
from luthier.compat.optuna.pruners import BasePruner, MedianPruner
from luthier.compat.optuna.repeating import repeated
from luthier.compat.optuna.samplers import BaseSampler, GridSampler
from luthier.compat.optuna.telling import tell
from luthier.compat.optuna.trial import Asked, FrozenTrial, Trial, TrialState, Wanting
from luthier.errors import StudyError
from luthier.space import Space
from luthier.study.deciding import Job
from luthier.study.protocols import Done, Wait
from luthier.study.study import Study as OwnStudy

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
        pruner: whom ``trial.should_prune`` asks.
        own: Luthier's study, for everything that this door has no word for.
    """

    def __init__(
        self, own: OwnStudy, sampler: BaseSampler, pruner: BasePruner | None = None
    ) -> None:
        self.own = own
        own.leases = StandingLeases(own, own.leases)
        self.study_name = own.name
        self._sampler = sampler
        self.pruner = pruner or MedianPruner()
        self.lock = threading.RLock()
        header = own.history.header
        # What a brute-force search has asked for so far is no part of the first event.
        grid = Space.from_dict(header.space) if header.searcher["name"] == "grid" else ()
        self.grid: Container[str] = set(grid)
        self.stopped = False
        self.optimizing = 0  # calls of optimize that run, each in a thread of its own
        self.within = threading.local()  # ``within.loop``: this thread runs objectives
        self.met: dict[str, BaseDistribution] = {}  # how each name was asked for first
        self.live: dict[int, Trial] = {}
        self.objects = Objects()  # choices that the log can only name
        self.apart: dict[str, dict[str, Any]] = {}  # attributes of what is enqueued, likewise
        self._ended: dict[int, FrozenTrial] = {}
        self._asked: dict[int, Asked] = {}  # by trials that this process has ended
        self._objects: dict[tuple[int, str], Any] = {}
        if isinstance(sampler, GridSampler):
            for name, values in sampler.search_space.items():
                self.objects.learn(name, list(values))

    def __reduce__(self) -> tuple[Any, ...]:
        """Have another process open the same study."""
        from luthier.compat.optuna.pickling import study_again, study_parts

        return study_again, study_parts(self)

    @property
    def sampler(self) -> BaseSampler:
        """Return what was asked for; who proposes is Luthier's searcher of the log."""
        return self._sampler

    @sampler.setter
    def sampler(self, sampler: BaseSampler) -> None:
        """Take another one, with a warning where the study keeps its own: see ``load_study``."""
        check_sampler("study.sampler", sampler)
        self._sampler = kept_sampler(self.own, sampler, depth=1)

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
            found += waiting(history, self.objects, self.apart)
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
        if number in self.live or number in self._asked:
            params, distributions = self._asked.get(number) or self.live[number].asked
            trial.params, trial.distributions = dict(params), dict(distributions)
        else:
            give_objects(trial, self.objects)
        if record.state.ended:
            self._ended[number] = trial
        return trial

    def meet(self, name: str, distribution: BaseDistribution) -> None:
        """Take note of a parameter that is asked for, or comes with a trial from elsewhere."""
        if isinstance(distribution, CategoricalDistribution) and self.objects.learn(
            name, distribution.choices
        ):
            self._ended.clear()  # of other processes' trials the names were known alone
        if numbered(name) and VERBATIM + name not in self.own.history.attributes.get(-1, {}):
            self.own.set_attribute(VERBATIM + name, value=True)

    def end(self, number: int) -> None:
        """Remember what a trial of this process had asked for when it ended."""
        if (trial := self.live.pop(number, None)) is not None:
            self._asked[number] = trial.asked
        self._ended.pop(number, None)

    @property
    def best_trial(self) -> FrozenTrial:
        """Return the completed trial with the best value, of those that keep their constraints.

        Raises:
            StudyError: none has completed, or there are several objectives.
        """
        return best_of(self)

    @property
    def best_trials(self) -> list[FrozenTrial]:
        """Return the trials that no other one beats in every objective."""
        return front_of(self)

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
        """Return what was written down about the study; a copy."""
        notes = self.own.refresh().attributes.get(-1, {})
        return copied(
            {k.removeprefix("user:"): v for k, v in notes.items() if k.startswith("user:")}
        )

    @property
    def metric_names(self) -> list[str] | None:
        """Return what the objectives were called, or None."""
        return self.own.refresh().attributes.get(-1, {}).get("metric_names")

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
        """Run *func* on new trials; Ctrl-C fails the trial that runs, and ends the call.

        Threads of one's own may call this at the same time.

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
        """Return a trial to run and to ``tell`` of; of a grid that is used up one of its points again.

        Any process may tell of it, by its number, also when this one has ended: so it runs until somebody
        does, and no other process takes it over.

        Raises:
            StudyError: there is nothing left to try.
        """
        trial = self.next_trial(by_hand=True)
        if trial is None:
            raise StudyError(f"Study {self.study_name!r} has nothing left to try.")
        for name, distribution in (fixed_distributions or {}).items():
            trial._suggest(name, distribution)  # pyright: ignore[reportPrivateUsage]
        return trial

    def next_trial(
        self, *, by_hand: bool = False, over: Callable[[], bool] = lambda: False
    ) -> Trial | None:
        """Return the next trial; None when there is nothing left to try, or it is *over*.

        Args:
            by_hand: whoever tells of it is no part of this process's loop, and a point of a grid that is used
                up is repeated.
            over: whether nobody waits for one any more.
        """
        while True:
            with self.lock:
                if over():
                    return None
                job = next_job(self.own)
                if isinstance(job, Wait | Done) and by_hand:
                    job = repeated(self.own) or job
                if not isinstance(job, Wait | Done):
                    return self._begun(job, by_hand=by_hand)
                if isinstance(job, Done) or waits_for_a_word(self.own.history):
                    return None
            self.own.wait(_WAIT_SECONDS)

    def _begun(self, job: Job, *, by_hand: bool) -> Trial:
        if by_hand:
            self.own.set_attribute(BY_HAND, value=True, trial=job.trial)
            self.own.leased.pop(job.lease, None)  # its lease stands, and needs no renewal
        forget_first_run(self.own, job.trial)
        begun(self, job.trial, job.configuration)
        trial = Trial(self, Wanting(self.own, job), by_hand=by_hand)
        self.live[trial.number] = trial
        return trial

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
            return tell(self, trial, values, state, skip_if_finished=skip_if_finished).copied()

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
        """Have *params* tried next; what they leave out is drawn at random.

        Args:
            params: values by name.
            user_attrs: attributes that the trial will have, whichever process runs it.
            skip_if_exists: do nothing where a trial was enqueued, or has run, with the same parameters.

        Raises:
            StudyError: no dictionary; an attribute that the study's store cannot hold.
        """
        if not isinstance(params, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise StudyError(
                f"enqueue_trial({params!r}): expected a dictionary such as {{'x': 1.0}}."
            )
        with self.lock:
            if not (skip_if_exists and exists(self, params)):
                enqueue(self, params, user_attrs or {})

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
        """Return the trials as a pandas data frame; needs pandas.

        Args:
            attrs: attributes of a trial, in the order of the columns.
            multi_index: columns of two levels, ("params", "x"), in place of "params_x".

        Raises:
            StudyError: pandas is not installed; an attribute that no trial has.
        """
        from luthier.compat.optuna.frames import dataframe

        return dataframe(self, attrs, multi_index=multi_index)

    # -- parts -----------------------------------------------------------------------------------

    def note(self, name: str, value: Any, trial: int = -1) -> None:
        """Write down a value; what is no plain data stays in this process, with a memory store only.

        Raises:
            StudyError: no plain data, and a store that others read.
        """
        plain = storable(self.own, name, value)
        if plain is None and value is not None:
            self._objects[trial, name] = value
            return
        self._ended.pop(trial, None)
        self.own.set_attribute(name, plain, trial)


_MAKING = (
    "StudySummary",
    "copy_study",
    "create_study",
    "get_all_study_names",
    "get_all_study_summaries",
    "load_study",
)
_absent = absent("study", lambda: [*__all__, *_MAKING, "MaxTrialsCallback"])


def __getattr__(name: str) -> Any:  # what makes studies needs this module first
    if name in _MAKING:
        return getattr(import_module("luthier.compat.optuna.making"), name)
    if name == "MaxTrialsCallback":
        return import_module("luthier.compat.optuna.callbacks").MaxTrialsCallback
    return _absent(name)


__all__ = ["Study", "StudyDirection"]
