"""What is known about a study: the fold of its events, kept up to date from a cursor.

``History`` decides nothing. Searchers and schedulers read it; only ``apply`` changes it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from luthier.errors import StorageError
from luthier.space import Domain, Space
from luthier.study import events as ev
from luthier.study.goals import Goals, constraint_from, front_of
from luthier.study.limits import Limits
from luthier.study.objective import Objective
from luthier.study.records import SpaceRecord, StageRecord, TrialRecord, TrialState


class History:
    """The fold of a study's log.

    Attributes:
        cursor: number of the last event folded in.
        trials: every trial, at the index of its number.
        space: the search space as it stands now.
        formerly: what hyperparameters were before somebody widened or narrowed the space, by name:
            define-by-run code still asks for that.
        changes: every widening or narrowing of the space.
        widening: whether the study may widen its space by itself; None while nobody has said.
        limits: how much may be tried.
        opened_for: the limits that a program last opened the study with, if the log tells.
        earlier: what other studies found, to learn from.
        until: when to stop, in seconds since 1970, or None.
        held: '' while the study runs, 'paused' or 'stopped' by hand; ``held_why`` says why.
        touched: the numbers of the trials that events changed, one entry an event: what is derived
            from trials is kept up to date from an index into it.
        epochs: steps trained by all trials together, those trained again after a crash included.
        race: how the best trials are raced when the search is over, or None.
        repetitions: the trials that repeat another one: data of a race, and no candidates.
        repeated_epochs: those of ``epochs`` that repetitions trained.
        stages: what the study was divided in, the last one still under way; none without stages.
        test_reads: every look at the test set.
        attributes: what programs wrote down about each trial, and (-1) the study, by name; the latest
            counts.
        notes: the remark that stands, by trial; that on the whole study under -1.
        late_reports: reports by workers that had lost their lease: kept in the log, used nowhere.
    """

    def __init__(self) -> None:
        self.cursor = 0
        self.anew = False  # whether there are events before the one with which the study began
        self.created: ev.StudyCreated | None = None
        self._objective: Objective | None = None
        self._goals: Goals | None = None
        self.space = Space()
        self.formerly: dict[str, list[Domain]] = {}
        self.changes: list[SpaceRecord] = []
        self.widening: bool | None = None
        self.limits = Limits()
        self.opened_for: Limits | None = None
        self.budgeted = False  # whether the log says what the limits are
        self.until: float | None = None
        self.held = ""
        self.held_why = ""
        self.race: ev.RaceSet | None = None
        self.repetitions: dict[int, TrialRecord] = {}
        self.repeated_epochs = 0
        self.search: History | None = None  # kept by ``searched``: all this without repetitions
        self.trials: list[TrialRecord] = []
        self.touched: list[int] = []
        self.earlier: list[ev.EarlierTrials] = []
        self.queue: list[dict[str, Any]] = []
        self.brackets: dict[int, list[TrialRecord]] = {}
        self.active: dict[int, TrialRecord] = {}  # queued or running
        self.queued: dict[int, TrialRecord] = {}
        self.paused: dict[int, TrialRecord] = {}
        self.heirs: dict[int, TrialRecord] = {}  # that have no checkpoint yet but their parent's
        self.infeasible: list[dict[str, Any]] = []  # configurations that ran out of memory
        self.errors: dict[int, TrialRecord] = {}  # failed by a bug in the user's code
        self.stages: list[StageRecord] = []
        self.test_reads: list[ev.TestRead] = []
        self.attributes: dict[int, dict[str, Any]] = {}
        self.notes: dict[int, ev.NoteTaken] = {}
        self.ended = 0
        self.best: TrialRecord | None = None
        self.epochs = 0
        self.late_reports = 0
        self.last_lease = 0
        self.last_time = 0.0
        self._fold: dict[type[ev.Event], Callable[[Any], None]] = {
            ev.StudyCreated: self._created,
            ev.EarlierTrials: self._learned_from,
            ev.BudgetSet: self._budgeted,
            ev.RaceSet: self._race_set,
            ev.SpaceChanged: self._changed,
            ev.WideningSet: self._widening_set,
            ev.StudyPaused: self._study_paused,
            ev.StudyStopped: self._study_stopped,
            ev.StudyContinued: self._study_continued,
            ev.SpaceGrown: self._grown,
            ev.Enqueued: self._enqueued,
            ev.TrialProposed: self._proposed,
            ev.ConfigurationSettled: self._settled,
            ev.JobLeased: self._leased,
            ev.LeaseRenewed: self._renewed,
            ev.JobReleased: self._released,
            ev.WorkerLost: self._lost,
            ev.Reported: self._reported,
            ev.CheckpointWritten: self._checkpointed,
            ev.TrialPaused: self._paused,
            ev.TrialCompleted: self._completed,
            ev.TrialStopped: self._stopped,
            ev.TrialDiverged: self._diverged,
            ev.TrialFailed: self._failed,
            ev.TrialRequeued: self._requeued,
            ev.StageBegun: self._stage_begun,
            ev.StageConcluded: self._stage_concluded,
            ev.TestRead: self.test_reads.append,
            ev.AttributeSet: self._attribute_set,
            ev.NoteTaken: self._noted,
        }

    @property
    def objective(self) -> Objective:
        """Return what the study is judged by."""
        if self._objective is None:
            header = self.header
            self._objective = Objective(header.metric, header.direction)  # type: ignore[arg-type]
        return self._objective

    @property
    def goals(self) -> Goals:
        """Return all that the study is judged by: every objective, and bounds on other metrics."""
        if self._goals is None:
            also = [Objective(*pair) for pair in self.header.also]  # type: ignore[arg-type]
            rules = tuple(map(constraint_from, self.header.subject_to))
            self._goals = Goals((self.objective, *also), rules)
        return self._goals

    @property
    def header(self) -> ev.StudyCreated:
        """Return the study's first event.

        Raises:
            StorageError: when the log does not begin with one.
        """
        if self.created is None:
            raise StorageError("The study's log is empty: it was never created.")
        return self.created

    def value(self, loss: float) -> float:
        """Return a loss as the objective's value, the way the user reported it."""
        return -loss if self.objective.direction == "maximize" and math.isfinite(loss) else loss

    def counts(self) -> dict[TrialState, int]:
        """Return how many trials are in each state, states without any left out."""
        found: dict[TrialState, int] = {}
        for trial in self.trials:
            found[trial.state] = found.get(trial.state, 0) + 1
        return found

    def ranking(self) -> list[TrialRecord]:
        """Return the trials that have a finite value and did not diverge or fail, best first.

        By the first objective; those that break a constraint come after all others. Repetitions are
        left out.
        """
        scored = [t for t in self.trials if self._counts(t)]
        return sorted(scored, key=lambda t: (t.violation, t.best_loss, t.number))

    def inherited(self) -> dict[int, set[int]]:
        """Return, by trial, the steps whose checkpoints children still have to go on from."""
        found: dict[int, set[int]] = {}
        for child in self.heirs.values():
            found.setdefault(child.parent, set()).add(child.start)
        return found

    def front(self) -> list[TrialRecord]:
        """Return the trials that no other one beats in every objective, within the constraints.

        The best by the first objective comes first. With one objective it is that trial alone.
        """
        allowed = [t for t in self.trials if self._counts(t) and not t.violation]
        goals = self.goals
        return front_of([t for t in allowed if all(map(math.isfinite, goals.losses(t)))], goals)

    def after(self, number: int, event: ev.AnyEvent) -> History:
        """Return the history with the next event folded in: itself, unless the study begins anew with it."""
        history = self
        if type(event) is ev.StudyCreated and self.created is not None:
            history = History()
            history.cursor, history.last_lease, history.anew = self.cursor, self.last_lease, True
        history.apply(number, event)
        return history

    @property
    def barren(self) -> bool:
        """Return whether nothing is lost if the study begins anew: nobody reported or asked for anything."""
        given = (
            self.queue,
            self.changes,
            self.notes,
            self.earlier,
            self.attributes,
            self.test_reads,
        )
        steered = self.opened_for is not None and self.limits != self.opened_for
        if self.epochs or self.late_reports or any(given) or self.held or steered:
            return False
        # Who failed or gave its trial back has said its last word; who fell silent may come back.
        return all(
            trial.kind == "error" or (trial.state is TrialState.QUEUED and not trial.retries)
            for trial in self.trials
        )

    def apply(self, number: int, event: ev.AnyEvent) -> None:
        """Fold the next event in.

        Raises:
            StorageError: when events are missing or out of order.
        """
        if number != self.cursor + 1:
            raise StorageError(f"Event {self.cursor + 1} is missing from the log: got {number}.")
        self.cursor = number
        self.last_time = event.time
        if (
            self.anew
            and getattr(event, "trial", -1) >= len(self.trials)
            and type(event) is not ev.TrialProposed
        ):
            self.late_reports += 1  # of a trial from before the study began anew
            return
        self._fold[type(event)](event)

    def index(self, trial: TrialRecord) -> None:
        """Enter a trial that is new to this history in the indices by bracket and by state."""
        self.touched.append(trial.number)
        self.brackets.setdefault(trial.bracket, []).append(trial)
        if trial.repeats >= 0:
            self.repetitions[trial.number] = trial
        if trial.parent >= 0 and not trial.checkpoint and not trial.state.ended:
            self.heirs[trial.number] = trial
        if trial.state in (TrialState.QUEUED, TrialState.RUNNING):
            self.active[trial.number] = trial
            if trial.state is TrialState.QUEUED:
                self.queued[trial.number] = trial
        elif trial.state is TrialState.PAUSED:
            self.paused[trial.number] = trial
        else:
            self.ended += 1
            if trial.kind == "error":
                self.errors[trial.number] = trial

    # -- one method an event ---------------------------------------------------------------------

    def _created(self, event: ev.StudyCreated) -> None:
        if event.format > ev.FORMAT:
            raise StorageError(
                f"Study {event.name!r} was written by luthier {event.luthier} in log format "
                f"{event.format}; this one reads up to {ev.FORMAT}. Upgrade luthier."
            )
        self.created = event
        self.space = Space.from_dict(event.space)

    def _grown(self, event: ev.SpaceGrown) -> None:
        self.space = Space.from_dict(event.space)

    def _widening_set(self, event: ev.WideningSet) -> None:
        self.widening = event.allowed

    def _changed(self, event: ev.SpaceChanged) -> None:
        self.changes.append(SpaceRecord(event, len(self.trials)))
        before, self.space = self.space.domains, Space.from_dict(event.space)
        for key, domain in before.items():
            if key in self.space and self.space[key].free != domain.free:
                self.formerly.setdefault(key, []).append(domain.free)

    def _learned_from(self, event: ev.EarlierTrials) -> None:
        if any(known.study == event.study for known in self.earlier):
            return  # two processes had the same thought
        thawed_ = [thawed(configuration) for configuration in event.configurations]
        self.earlier.append(msgspec.structs.replace(event, configurations=thawed_))

    def _budgeted(self, event: ev.BudgetSet) -> None:
        self.limits = Limits(event.trials, event.epochs)
        self.budgeted = True
        self.until = event.until
        if event.opened:
            self.opened_for = self.limits

    def _race_set(self, event: ev.RaceSet) -> None:
        self.race = event if event.finalists else None

    def _study_paused(self, event: ev.StudyPaused) -> None:
        self.held, self.held_why = "paused", event.reason

    def _study_stopped(self, event: ev.StudyStopped) -> None:
        self.held, self.held_why = "stopped", event.reason

    def _study_continued(self, event: ev.StudyContinued) -> None:
        self.held, self.held_why = "", ""

    def _enqueued(self, event: ev.Enqueued) -> None:
        self.queue.append(thawed(event.configuration))

    def _proposed(self, event: ev.TrialProposed) -> None:
        trial = TrialRecord(
            event.trial,
            thawed(event.configuration),
            event.bracket,
            TrialState.QUEUED,
            event.time,
            event.parent,
            event.start,
            event.repeats,
            event.stage,
        )
        if 0 <= event.stage < len(self.stages):
            self.stages[event.stage].trials += 1
        if event.enqueued:
            self.queue.pop(0)
        self.trials.append(trial)
        self.index(trial)

    def _settled(self, event: ev.ConfigurationSettled) -> None:
        trial = self.trials[event.trial]
        if trial.lease == event.lease:
            trial.configuration = thawed(event.configuration)
            self.touched.append(trial.number)

    def _leased(self, event: ev.JobLeased) -> None:
        trial = self.trials[event.trial]
        if trial.state is TrialState.RUNNING:  # its worker vanished without a word
            _count(trial, "lost")
        trial.forget_after(event.from_step)
        if self.header.subject_to and trial.steps:
            trial.violation = self.goals.violation(trial)
        self._refresh_best(trial)
        trial.lease = self.last_lease = event.lease
        trial.holder = event.holder
        trial.term = event.term
        trial.to_step = event.to_step
        trial.last_sign = event.time
        self._move(trial, TrialState.RUNNING)

    def _renewed(self, event: ev.LeaseRenewed) -> None:
        if trial := self._held(event.trial, event.lease):
            trial.last_sign = event.time

    def _released(self, event: ev.JobReleased) -> None:
        if trial := self._held(event.trial, event.lease):
            _count(trial, event.cause)
            self._move(trial, TrialState.QUEUED)

    def _lost(self, event: ev.WorkerLost) -> None:
        if trial := self._held(event.trial, event.lease):
            _count(trial, event.kind)
            self._move(trial, TrialState.QUEUED)

    def _reported(self, event: ev.Reported) -> None:
        # The commonest event by far, and every process folds those of all the others: no detours.
        trial, step, metrics = self.trials[event.trial], event.step, event.metrics
        before = trial.steps[-1] if trial.steps else trial.start
        held = trial.lease == event.lease and trial.state is TrialState.RUNNING
        if not held or step <= before:  # fenced off, or written twice by a cut line
            self.late_reports += 1
            return
        objective = self._objective or self.objective
        loss = objective.loss(metrics.get(objective.metric, math.nan))
        self.touched.append(event.trial)
        self.epochs += step - before
        if trial.repeats >= 0:
            self.repeated_epochs += step - before
        trial.add(step, loss, metrics, event.seconds)
        trial.last_sign = event.time
        if trial.fruitless:
            trial.fruitless.clear()
        constrained = self.header.subject_to
        if loss < trial.best_loss:
            trial.best_loss, trial.best_step = loss, step
            first = self.best is None or loss < self.best.best_loss
            if first and not constrained and trial.repeats < 0:
                self.best = trial
        if constrained:
            self._bounded(trial)

    def _checkpointed(self, event: ev.CheckpointWritten) -> None:
        if trial := self._held(event.trial, event.lease):
            trial.checkpoint = event.step
            self.touched.append(trial.number)
            self.heirs.pop(trial.number, None)

    def _paused(self, event: ev.TrialPaused) -> None:
        if trial := self._held(event.trial, event.lease):
            self._move(trial, TrialState.PAUSED)

    def _completed(self, event: ev.TrialCompleted) -> None:
        if trial := self._held(event.trial, event.lease):
            self._end(trial, TrialState.COMPLETED, event.time)

    def _stopped(self, event: ev.TrialStopped) -> None:
        trial = self.trials[event.trial]
        if event.lease in (0, trial.lease) and not trial.state.ended:
            trial.why = event.reason
            self._end(trial, TrialState.STOPPED, event.time)
        elif event.lease == 0 and trial.number in self.errors:
            # Given up by hand: it stays where training is impossible.
            trial.why, trial.kind = event.reason, "pruned"
            self.errors.pop(trial.number)
            self.touched.append(trial.number)

    def _diverged(self, event: ev.TrialDiverged) -> None:
        if trial := self._held(event.trial, event.lease):
            trial.why = f"{event.metric} was not finite at step {event.step}"
            self._end(trial, TrialState.DIVERGED, event.time)

    def _failed(self, event: ev.TrialFailed) -> None:
        trial = self.trials[event.trial]
        if event.lease in (0, trial.lease) and not trial.state.ended:
            trial.why, trial.kind, trial.traceback = event.message, event.kind, event.traceback
            self._end(trial, TrialState.FAILED, event.time)
            if trial.kind == "out of memory":
                self.infeasible.append(trial.configuration)
            if trial.kind == "error":
                self.errors[trial.number] = trial

    def _requeued(self, event: ev.TrialRequeued) -> None:
        trial = self.trials[event.trial]
        if trial.state is not TrialState.FAILED:
            return  # two processes had the same thought
        trial.why, trial.kind, trial.traceback, trial.ended_at = "", "", "", None
        if trial.parent >= 0 and not trial.checkpoint:
            self.heirs[trial.number] = trial
        trial.fruitless.clear()
        trial.retries[event.cause] = trial.retries.get(event.cause, 0) + 1
        self.ended -= 1
        self.errors.pop(trial.number, None)
        if event.configuration is not None:
            trial.configuration = thawed(event.configuration)
        self._move(trial, TrialState.QUEUED)

    def _stage_begun(self, event: ev.StageBegun) -> None:
        around = thawed(event.around)
        begun = msgspec.structs.replace(event, around=around)
        self.stages.append(StageRecord(begun, len(self.trials)))

    def _stage_concluded(self, event: ev.StageConcluded) -> None:
        self.stages[event.stage].concluded = event

    def _attribute_set(self, event: ev.AttributeSet) -> None:
        self.attributes.setdefault(event.trial, {})[event.name] = event.value

    def _noted(self, event: ev.NoteTaken) -> None:
        if event.text:
            self.notes[event.trial] = event
        else:
            self.notes.pop(event.trial, None)
        if event.trial >= 0:
            self.touched.append(event.trial)

    # -- parts -----------------------------------------------------------------------------------

    def _held(self, number: int, lease: int) -> TrialRecord | None:
        """Return the trial if *lease* still holds it: this is what fences a late worker off."""
        trial = self.trials[number]
        return trial if trial.lease == lease and trial.state is TrialState.RUNNING else None

    def _move(self, trial: TrialRecord, state: TrialState) -> None:
        before, number = trial.state, trial.number
        self.touched.append(number)
        if before is TrialState.QUEUED:
            del self.queued[number]
        elif before is TrialState.PAUSED:
            del self.paused[number]
        trial.state = state
        if state is TrialState.RUNNING:
            self.active[number] = trial
            return
        trial.holder = None
        if state is TrialState.QUEUED:
            self.queued[number] = self.active[number] = trial
            return
        self.active.pop(number, None)
        if state is TrialState.PAUSED:
            self.paused[number] = trial

    def _end(self, trial: TrialRecord, state: TrialState, time: float) -> None:
        self._move(trial, state)
        self.heirs.pop(trial.number, None)
        self.ended += 1
        trial.ended_at = time
        self._refresh_best(trial)

    def _bounded(self, trial: TrialRecord) -> None:
        """Judge *trial* by its constraints; a later report may change what was known of them."""
        before, trial.violation = trial.violation, self.goals.violation(trial)
        if self.best is trial and trial.violation > before:
            self.best = self.ranking()[0] if self._counts(trial) else None
        elif self._counts(trial):
            found = (trial.violation, trial.best_loss)
            if self.best is None or found < (self.best.violation, self.best.best_loss):
                self.best = trial

    def _counts(self, trial: TrialRecord) -> bool:
        spoilt = trial.state in (TrialState.DIVERGED, TrialState.FAILED)
        return not spoilt and math.isfinite(trial.best_loss) and trial.repeats < 0

    def _refresh_best(self, trial: TrialRecord) -> None:
        if self.best is trial and not (self._counts(trial) and trial.state.ended):
            ranking = self.ranking()
            self.best = ranking[0] if ranking else None


def thawed(configuration: dict[str, Any]) -> dict[str, Any]:
    """Give a choice among tuples its tuples back, which MessagePack does not have."""
    if list not in map(type, configuration.values()):
        return configuration
    return {k: tuple(v) if isinstance(v, list) else v for k, v in configuration.items()}


def _count(trial: TrialRecord, cause: str) -> None:
    for counts in (trial.retries, trial.fruitless):
        counts[cause] = counts.get(cause, 0) + 1


def fold(log: Iterable[tuple[int, ev.AnyEvent]]) -> History:
    """Return the history that a whole log tells."""
    history = History()
    for number, event in log:
        history = history.after(number, event)
    return history
