"""What is known about a study: the fold of its events, kept up to date from a cursor.

``History`` decides nothing. Searchers and schedulers read it; only ``apply`` and its kin change it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from luthier.errors import StorageError
from luthier.space import Space
from luthier.space.holding import holds_all
from luthier.study import events as ev
from luthier.study.known import Known, ranked_by
from luthier.study.limits import Limits
from luthier.study.records import SpaceRecord, StageRecord, TrialRecord, TrialState


class History(Known):
    """The fold of a study's log; its attributes are those of ``Known``."""

    def __init__(self) -> None:
        super().__init__()
        self.search: History | None = None  # kept by ``searched``: all this without repetitions
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

    def after(self, number: int, event: ev.AnyEvent) -> History:
        """Return the history with the next event folded in: itself, unless the study begins anew with it."""
        history = self
        if type(event) is ev.StudyCreated and self.created is not None:
            history = History()
            history.cursor, history.last_lease, history.anew = self.cursor, self.last_lease, True
        history.apply(number, event)
        return history

    def after_all(self, numbers: Sequence[int], events: Sequence[ev.AnyEvent]) -> History:
        """Return the history with the next events folded in; see ``after``, of which it is a faster one.

        Raises:
            StorageError: when events are missing or out of order.
        """
        history, first, at = self, self.cursor + 1, 0
        contiguous = numbers[0] == first and numbers[-1] == first + len(events) - 1
        if contiguous and not self.anew and self.created is not None:
            folds = self._fold
            try:
                for at, event in enumerate(events, 1):  # noqa: B007 (it is read below)
                    folds[type(event)](event)
            except (_Again, IndexError):  # the latter: of an unknown trial, as in ``apply``
                at -= 1
            finally:
                self.cursor += at
                self.last_time = events[at - 1].time if at else self.last_time
        for number, event in zip(numbers[at:], events[at:], strict=True):
            history = history.after(number, event)
        return history

    def apply(self, number: int, event: ev.AnyEvent) -> None:
        """Fold the next event in.

        Raises:
            StorageError: when events are missing or out of order.
        """
        if number != self.cursor + 1:
            raise StorageError(f"Event {self.cursor + 1} is missing from the log: got {number}.")
        self.cursor = number
        self.last_time = event.time
        if self.anew and self._is_of_an_unknown_trial(event):
            self.late_reports += 1  # of a trial from before the study began anew
            return
        try:
            self._fold[type(event)](event)
        except IndexError:
            if not self._is_of_an_unknown_trial(event):
                raise
            self.late_reports += 1  # of a trial whose proposal a power cut took away

    def _is_of_an_unknown_trial(self, event: ev.AnyEvent) -> bool:
        known = type(event) is ev.TrialProposed or getattr(event, "trial", -1) < len(self.trials)
        return not known

    # -- one method an event ---------------------------------------------------------------------

    def _created(self, event: ev.StudyCreated) -> None:
        if self.created is not None:
            raise _Again(f"Study {event.name!r} was created twice.")
        if event.format > ev.FORMAT:
            raise StorageError(
                f"Study {event.name!r} was written by luthier {event.luthier} in log format "
                f"{event.format}; this one reads up to {ev.FORMAT}. Upgrade luthier."
            )
        self.begin(event)
        self.space = Space.from_dict(event.space)

    def _grown(self, event: ev.SpaceGrown) -> None:
        self.space = Space.from_dict(event.space)

    def _widening_set(self, event: ev.WideningSet) -> None:
        self.widening = event.allowed

    def _changed(self, event: ev.SpaceChanged) -> None:
        before, self.space = self.space, Space.from_dict(event.space)
        wider = not holds_all(before, self.space)
        self.changes.append(SpaceRecord(event, len(self.trials), wider))
        for key, domain in before.domains.items():
            if key in self.space and self.space[key].free != domain.free:
                self.formerly.setdefault(key, []).append(domain.free)

    def _learned_from(self, event: ev.EarlierTrials) -> None:
        if any(event.same_as(known) for known in self.earlier):
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
            event.start,
            event.start,
        )
        if event.enqueued:
            self.queue.pop(0)
            self.enqueued += 1
            trial.stage = -1  # somebody else's idea: it takes no trial of the stage away
        elif 0 <= event.stage < len(self.stages):
            self.stages[event.stage].trials += 1
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
        if self._constrained and trial.reported:
            trial.violation = self.goals.violation(trial)
        self._refresh_best(trial)
        self._improve_best(trial)  # the reports by which it broke a constraint may be gone
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
        before = trial.step
        if trial.lease != event.lease or trial.state is not _RUNNING or step <= before:
            self.late_reports += 1  # fenced off, or written twice by a cut line
            return
        value = metrics.get(self._metric, math.nan)
        loss = self._sign * value if math.isfinite(value) else math.inf
        self.touched.append(event.trial)
        self.epochs += step - before
        trial.add(step, loss, metrics, event.seconds)
        trial.last_sign = event.time
        if step > trial.furthest:  # the epochs before it were trained before
            trial.furthest = step
            if trial.fruitless:
                trial.fruitless.clear()
        if trial.repeats >= 0:
            self.repeated_epochs += step - before
        if loss < trial.best_loss:
            trial.best_loss, trial.best_step = loss, step
            best = self.best
            better = best is None or (loss, trial.number) < (best.best_loss, best.number)
            if better and not self._constrained and trial.repeats < 0:
                self.best = trial
        if self._constrained:
            self._bounded(trial)

    def _checkpointed(self, event: ev.CheckpointWritten) -> None:
        if trial := self._held(event.trial, event.lease):
            trial.saved(event.step)
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
            self.heirs.pop(trial.number, None)
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
            if trial.resumable:
                self._enter_heir(trial)

    def _requeued(self, event: ev.TrialRequeued) -> None:
        trial = self.trials[event.trial]
        if trial.state is not TrialState.FAILED:
            return  # two processes had the same thought
        trial.why, trial.kind, trial.traceback, trial.ended_at = "", "", "", None
        self._enter_heir(trial)
        trial.fruitless.clear()
        trial.retries[event.cause] = trial.retries.get(event.cause, 0) + 1
        self.ended -= 1
        self.errors.pop(trial.number, None)
        if event.configuration is not None:
            trial.configuration = thawed(event.configuration)
        self._move(trial, TrialState.QUEUED)
        self._improve_best(trial)

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
            self.best = self.ranking()[0] if self.counts_in_ranking(trial) else None
        else:
            self._improve_best(trial)

    def _improve_best(self, trial: TrialRecord) -> None:
        """Let *trial* be the best if it is by the order of ``ranking``."""
        if self.counts_in_ranking(trial) and (
            self.best is None or ranked_by(trial) < ranked_by(self.best)
        ):
            self.best = trial

    def _refresh_best(self, trial: TrialRecord) -> None:
        if self.best is trial and not (self.counts_in_ranking(trial) and trial.state.ended):
            ranking = self.ranking()
            self.best = ranking[0] if ranking else None


class _Again(StorageError):
    """The study begins anew with the event that is to be folded in: ``after`` knows how."""


_RUNNING = TrialState.RUNNING


def thawed(configuration: dict[str, Any]) -> dict[str, Any]:
    """Give a choice among tuples its tuples back, which MessagePack does not have; also those in tuples."""
    if list not in map(type, configuration.values()):
        return configuration
    return {key: _as_tuple(value) for key, value in configuration.items()}


def _as_tuple(value: Any) -> Any:
    return tuple(map(_as_tuple, value)) if isinstance(value, list) else value  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]


def _count(trial: TrialRecord, cause: str) -> None:
    for counts in (trial.retries, trial.fruitless):
        counts[cause] = counts.get(cause, 0) + 1


def fold(log: Iterable[tuple[int, ev.AnyEvent]]) -> History:
    """Return the history that a whole log tells."""
    history = History()
    for number, event in log:
        history = history.after(number, event)
    return history
