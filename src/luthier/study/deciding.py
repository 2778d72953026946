"""What a free process should do next, and what is written when it does: functions of the history.

First the trials that nobody holds any more, from their newest checkpoints; then what the scheduler
says. Nothing here writes or waits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeGuard

import msgspec

from luthier.space import Space
from luthier.study import events as ev
from luthier.study.chance import Chance
from luthier.study.exhausting import exhaustible, left, new_one
from luthier.study.feasibility import would_run_out
from luthier.study.goals import diverged_metric
from luthier.study.history import History
from luthier.study.limits import epochs_left
from luthier.study.protocols import (
    Checkpoints,
    Done,
    Exhausts,
    Fate,
    Limits,
    Resume,
    Scheduler,
    Searcher,
    Start,
    Turn,
    Verdict,
    Widens,
    holds,
    in_stages,
)
from luthier.study.records import TrialRecord, TrialState
from luthier.study.searched import searched

# How often in a row a trial may lose its worker, without finishing an epoch, before it has failed.
RETRIES = {"lost": 3, "hung": 2, "out of memory": 2, "preempted": 20}
_DRAWS = 100  # proposals looked at before one that will run out of memory is tried all the same
_IN_VAIN = 50  # trials in a row that fail before their first epoch, in a study that counts epochs
_REASONS = {
    "lost": "most often the machine ran out of memory, or the training code kills its process",
    "hung": "look for a deadlock, such as data-loader processes that wait for one another",
    "out of memory": "the machine has too little memory for this configuration",
    "preempted": "an epoch takes longer than the time limit: write checkpoints more often",
}


@dataclass(frozen=True)
class Job:
    """A trial to train from one step to another; what a worker holds by its lease.

    *source* is another trial's checkpoint to go on from: that trial and the step.
    """

    trial: int
    lease: int
    configuration: Mapping[str, Any]
    from_step: int
    to_step: int | None
    source: tuple[int, int] | None = None


@dataclass(frozen=True)
class Proposal:
    """A configuration for trial *number* in *space*, from the history up to event *seen*."""

    number: int
    seen: int
    configuration: dict[str, Any]
    enqueued: bool
    space: Space
    stage: int = -1


@dataclass(frozen=True)
class Decision:
    """Events to append together, and the job that they give, if any.

    *lost* tells in words of epochs that are trained again because their checkpoint is gone.
    """

    events: list[ev.AnyEvent]
    job: Job | None = None
    lost: str = ""


@dataclass(frozen=True)
class Deciding:
    """Everything that a decision depends on, for one process at one moment."""

    history: History
    searcher: Searcher
    scheduler: Scheduler
    limits: Limits
    checkpoints: Checkpoints
    holder: ev.Holder
    term: float
    now: float
    widens: Widens | None = None

    def stragglers(self) -> Decision | None:
        """Stop the paused trials that the scheduler will never let go on."""
        drops = self.scheduler.dropped(self.history, self.limits)
        if not drops:
            return None
        trials = self.history.trials
        return Decision(
            [
                ev.TrialStopped(time=self.now, trial=t, step=trials[t].step, reason=why)
                for t, why in drops
            ]
        )

    def turn(self, move: Start | Done) -> Decision | None:
        """End a stage, begin the next one, or widen the space, when that is due before *move*."""
        due = turn(self.history, self.searcher, self.scheduler, self.limits, move, self.widens)
        return None if due is None else Decision([msgspec.structs.replace(due, time=self.now)])

    def take_over(self, trial: TrialRecord) -> Decision:
        """Go on with a trial whose worker vanished or gave it back, unless it happens too often."""
        verdict = self.scheduler.judge(self.history, trial) if trial.steps else None
        if verdict and self._had_ended(trial, verdict) and trial.checkpoint in (0, trial.step):
            # Its last report had ended the job; only the word for it was not written.
            lease = self.history.last_lease + 1
            again = self._leased(trial.number, lease, trial.step, trial.to_step)
            return Decision([again, *ending(self.now, trial.number, lease, trial.step, verdict)])
        for cause, allowed in RETRIES.items():
            times = trial.fruitless.get(cause, 0)
            if cause == "lost" and trial.state is TrialState.RUNNING:
                times += 1  # this time: it vanished without a word
            if times >= allowed:
                kind = cause if cause in ("hung", "out of memory") else "lost"
                return Decision([self._given_up(trial, kind, cause, times)])
        return self.resume(trial, trial.to_step)

    def _had_ended(self, trial: TrialRecord, verdict: Verdict) -> bool:
        """Return whether a trial's last report had ended its job, judged again by what is known now.

        A pause and an end hang on the step alone. Whether it is abandoned on its way mostly hangs on others,
        of which more may have reported since: it was told to go on. Only the epochs may be gone.
        """
        if verdict.fate is not Fate.STOP or getattr(self.scheduler, "hangs_on_itself", False):
            return verdict.fate is not Fate.GO_ON
        at_its_end = trial.to_step is not None and trial.step >= trial.to_step
        return at_its_end or not holds(self.scheduler, self.history, trial, self.limits)

    def _given_up(self, trial: TrialRecord, kind: str, cause: str, times: int) -> ev.TrialFailed:
        words = {
            "lost": "its worker was killed",
            "hung": "it hung",
            "preempted": "it was preempted",
        }
        return ev.TrialFailed(
            time=self.now,
            trial=trial.number,
            lease=0,
            step=trial.step,
            kind=kind,
            message=f"{words.get(cause, 'it ran out of memory')} {times} times in a row at step "
            f"{trial.step} without finishing another epoch; {_REASONS[cause]}",
        )

    def start(self, move: Start, proposal: Proposal) -> Decision:
        """Begin a new trial."""
        number, lease = proposal.number, self.history.last_lease + 1
        parent, start = move.parent or (-1, 0)
        proposed = ev.TrialProposed(
            time=self.now,
            trial=number,
            configuration=proposal.configuration,
            seen=proposal.seen,
            bracket=move.bracket,
            enqueued=proposal.enqueued,
            parent=parent,
            start=start,
            repeats=move.repeats,
            stage=proposal.stage,
        )
        leased = self._leased(number, lease, start, move.to_step)
        job = Job(number, lease, proposal.configuration, start, move.to_step, move.parent)
        return Decision([proposed, leased], job)

    def propose(self, move: Start) -> Proposal:
        """Return the configuration of the next trial."""
        history, number = self.history, len(self.history.trials)
        stage = stage_of(history) if move.repeats < 0 else -1
        if history.queue and move.parent is None and move.repeats < 0:
            return Proposal(number, history.cursor, history.queue[0], True, history.space, stage)
        configuration = move.configuration
        if configuration is None:
            configuration = proposed(history, self.searcher, number)
        return Proposal(number, history.cursor, configuration, False, history.space, stage)

    def holds(self, proposal: Proposal) -> bool:
        """Return whether an earlier *proposal* is still one for the next trial.

        What kept it from being written may have been a change of the space, or a trial that ran out of memory.
        """
        history = self.history
        here = (len(history.trials), stage_of(history))
        return (
            (proposal.number, proposal.stage) == here
            and proposal.space is history.space
            and not would_run_out(proposal.configuration, history.infeasible)
        )

    def resume(self, move: Resume | TrialRecord, to_step: int | None) -> Decision:
        """Lease an earlier trial from its newest checkpoint, however far the log had come.

        A worker killed between writing a checkpoint and reporting it leaves the report in the
        checkpoint's manifest; it is entered here, so that no epoch on disk is trained again.
        """
        trial = self.history.trials[move.trial] if isinstance(move, Resume) else move
        lease = self.history.last_lease + 1
        # A worker is at most one report ahead of the log; what is further was written by one that had
        # lost its lease and whose reports do not count.
        stride = max((b - a for a, b in pairwise([trial.start, *trial.steps])), default=1)
        reachable = trial.step + stride
        step, metrics, seconds = self.checkpoints.newest(trial.number, reachable)
        source = (trial.parent, trial.start) if trial.parent >= 0 and not step else None
        step = max(step, trial.start)
        known = min(step, trial.step)
        events: list[ev.AnyEvent] = [self._leased(trial.number, lease, known, to_step)]
        if step > known:
            events += reported(
                self.now,
                self.history,
                trial.number,
                lease,
                step,
                metrics,
                seconds,
                checkpointed=True,
            )
        job = Job(trial.number, lease, dict(trial.configuration), step, to_step, source)
        lost = ""
        if trial.checkpoint > step:
            lost = (
                f"Trial {trial.number} goes on from epoch {step}: its checkpoint of epoch {trial.checkpoint} "
                "is missing or incomplete, so what follows is trained again."
            )
        return Decision(events, job, lost)

    def _leased(self, trial: int, lease: int, from_step: int, to_step: int | None) -> ev.JobLeased:
        return ev.JobLeased(
            time=self.now,
            trial=trial,
            lease=lease,
            holder=self.holder,
            from_step=from_step,
            to_step=to_step,
            term=self.term,
        )


def stage_of(history: History) -> int:
    """Return the stage that a trial proposed now belongs to, -1 for none."""
    under_way = bool(history.stages) and history.stages[-1].concluded is None
    return len(history.stages) - 1 if under_way else -1


def turn(
    history: History,
    searcher: Searcher,
    scheduler: Scheduler,
    limits: Limits,
    move: Start | Done,
    widens: Widens | None,
) -> Turn | None:
    """Return the end or the beginning of a stage, or a wider space, due before *move*; mostly None."""
    if not in_stages(searcher):
        if not history.widening or widens is None or isinstance(move, Done) or move.repeats >= 0:
            return None
        return widens(history, room(searched(history), scheduler, limits))
    seen = searched(history)
    if isinstance(move, Done) or move.repeats >= 0:  # a race begins when the search is over
        return searcher.turn(seen, 0)
    left = room(seen, scheduler, limits)
    return searcher.turn(seen, None if left is None else max(1, left))


def room(history: History, scheduler: Scheduler, limits: Limits) -> int | None:
    """Return how many more trials are expected to be begun within *limits*; None: no end is known.

    Epochs are turned into trials by what one costs in the scheduler's plan, on average.
    """
    plan = scheduler.plan(limits)
    if plan is None:
        return None
    left = [] if limits.trials is None else [limits.trials - len(history.trials)]
    if limits.epochs is not None:
        each = max(1.0, plan.epochs / max(1, plan.trials))
        left.append(int(epochs_left(history, limits) / each))
    return max(0, min(left, default=plan.trials - len(history.trials)))


def in_vain(history: History, since: int = 0) -> str:
    """Return in words that all trials of late failed before their first epoch, '' where that is not so.

    A study that ends with its epochs or its time would go on with such trials for ever.

    Args:
        history: the study.
        since: the number of the first trial that counts: what made earlier ones fail may have been mended.
    """
    last = history.trials[since:][-_IN_VAIN:]
    if history.limits.trials is not None or len(last) < _IN_VAIN:
        return ""
    if any(trial.reported or trial.state is not TrialState.FAILED for trial in last):
        return ""
    return (
        f"The last {_IN_VAIN} trials failed before their first epoch, the latest because of: "
        f"{last[-1].why or last[-1].kind}. Narrow the space to what can be trained, or give max_trials= to "
        "have it end. When it is mended, start again: as many more are tried."
    )


def within_space(
    limits: Limits, searcher: Searcher, scheduler: Scheduler, history: History
) -> Limits:
    """Return *limits* with no more trials than there are configurations to propose."""
    size = searcher.size(history.space)
    if exhausts(searcher):
        seen = searched(history)  # a race's repetitions are no points of it
        # What is enqueued may be one of its points; what is none has its place once it is begun.
        end = len(seen.trials) + max(len(seen.queue), searcher.left(seen))
        if not history.header.define_by_run and size is not None:
            # Code that settles on other values would have its point proposed for ever.
            before = history.changes[-1].first if history.changes else 0
            end = min(end, before + size + seen.enqueued + len(seen.queue))
        size = end
    elif exhaustible(history, searcher, scheduler):
        seen = searched(history)
        size = len(seen.trials) + left(seen)
    if size is None or (limits.trials is not None and limits.trials <= size):
        return limits
    return Limits(trials=size, epochs=limits.epochs)


def exhausts(searcher: Searcher) -> TypeGuard[Exhausts]:
    """Return whether *searcher* says what is left to propose: its points that no trial has, whoever chose them.

    Asked often, see ``in_stages``.
    """
    return hasattr(searcher, "left")


def proposed(history: History, searcher: Searcher, number: int) -> dict[str, Any]:
    """Return what *searcher* proposes for trial *number*: the first draw that should fit in memory.

    The searcher sees no repetitions, nor a gap in the numbers where there were some.
    """
    chance = Chance(history.header.seed, ("trial", number, "configuration"))
    if history.repetitions:
        history, number = searched(history), number - len(history.repetitions)
    first = searcher.propose(history, history.space, number, chance)
    first = new_one(history, searcher, first, chance)
    if not history.infeasible or not would_run_out(first, history.infeasible):
        return first
    for draw in range(1, _DRAWS):
        other = chance.of("again", draw)
        again = searcher.propose(history, history.space, number, other)
        if not would_run_out(again, history.infeasible):
            return new_one(history, searcher, again, other)
    return first


def reported(
    now: float,
    history: History,
    trial: int,
    lease: int,
    step: int,
    metrics: Mapping[str, float],
    seconds: float,
    *,
    checkpointed: bool,
) -> list[ev.AnyEvent]:
    """Return the events of a report."""
    events: list[ev.AnyEvent] = [
        ev.Reported(
            time=now, trial=trial, lease=lease, step=step, metrics=dict(metrics), seconds=seconds
        )
    ]
    if checkpointed:
        events.append(ev.CheckpointWritten(time=now, trial=trial, lease=lease, step=step))
    if (metric := diverged_metric(metrics, history.goals)) is not None:
        events.append(
            ev.TrialDiverged(time=now, trial=trial, lease=lease, step=step, metric=metric)
        )
    return events


def put_back(now: float, held: Sequence[TrialRecord], reason: str, kind: str) -> list[ev.AnyEvent]:
    """Return the events that put running trials back in the queue; *kind* is why."""
    if kind in ("interrupted", "preempted"):  # no fault of their workers
        return [
            ev.JobReleased(time=now, trial=t.number, lease=t.lease, reason=reason, cause=kind)
            for t in held
        ]
    return [
        ev.WorkerLost(time=now, trial=t.number, lease=t.lease, cause=reason, kind=kind)
        for t in held
    ]


def ending(now: float, trial: int, lease: int, step: int, verdict: Verdict) -> list[ev.AnyEvent]:
    """Return the events by which a verdict is carried out."""
    match verdict.fate:
        case Fate.PAUSE:
            return [ev.TrialPaused(time=now, trial=trial, lease=lease, step=step)]
        case Fate.COMPLETE:
            return [ev.TrialCompleted(time=now, trial=trial, lease=lease, step=step)]
        case Fate.STOP:
            reason = verdict.reason
            return [ev.TrialStopped(time=now, trial=trial, lease=lease, step=step, reason=reason)]
        case Fate.RELEASE:
            return [
                ev.JobReleased(
                    time=now,
                    trial=trial,
                    lease=lease,
                    reason=verdict.reason,
                    cause=verdict.cause or "interrupted",
                )
            ]
        case Fate.GO_ON:
            return []
