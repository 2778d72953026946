"""Derives every proposal and verdict of a study again from its log, and says where it differs.

What it rests on: a proposal depends on the seed, the trial's number and the events up to the ``seen``
that it carries; a verdict on the events up to the report that it follows; what is begun or resumed on
the events before the append that says so (appends of decisions are conditional).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from luthier.study import events as ev
from luthier.study.deciding import proposed, stage_of, turn, within_space
from luthier.study.history import History, thawed
from luthier.study.protocols import (
    Done,
    Fate,
    Resume,
    Scheduler,
    Searcher,
    Start,
    Turn,
    Verdict,
    Widens,
)
from luthier.study.records import TrialState


@dataclass(frozen=True)
class Replay:
    """What was derived again.

    Attributes:
        events: events read.
        proposals: configurations derived again.
        moves: beginnings and promotions derived again.
        verdicts: verdicts derived again.
        difference: the first that came out otherwise, in words; '' when none did.
    """

    events: int
    proposals: int
    moves: int
    verdicts: int
    difference: str


@dataclass
class _Expected:
    """The verdict on a report, to be compared with what the log says next of the trial."""

    lease: int
    verdict: Verdict
    number: int
    time: float
    seconds: float


@dataclass
class _Replayer:
    searcher: Searcher
    scheduler: Scheduler
    widens: Widens | None
    now: History = field(default_factory=History)
    behind: History = field(default_factory=History)  # at the ``seen`` of the last proposal
    pending: deque[tuple[int, ev.AnyEvent]] = field(default_factory=deque[tuple[int, ev.AnyEvent]])
    expected: dict[int, _Expected] = field(default_factory=dict[int, _Expected])
    report: ev.Reported | None = None  # whose verdict is due once its whole batch is folded in
    counts: dict[str, int] = field(
        default_factory=lambda: {"proposals": 0, "moves": 0, "verdicts": 0}
    )

    def take(self, number: int, event: ev.AnyEvent) -> str:
        """Check an event against what is derived, then fold it in; return a difference, or ''."""
        if not self._belongs_to_report(event):
            self._judge_report()
        found = self._checked(number, event)
        if found:
            return f"event {number} ({event.__struct_config__.tag}): {found}"
        self.now.apply(number, event)
        self.pending.append((number, event))
        if isinstance(event, ev.Reported) and event.trial < len(self.now.trials):
            trial = self.now.trials[event.trial]
            held = trial.lease == event.lease and trial.state is TrialState.RUNNING
            self.report = event if held and trial.step == event.step else None
        return ""

    def _belongs_to_report(self, event: ev.AnyEvent) -> bool:
        report = self.report
        return (
            report is not None
            and isinstance(event, ev.CheckpointWritten | ev.TrialDiverged)
            and (event.trial, event.lease, event.step) == (report.trial, report.lease, report.step)
        )

    def _judge_report(self) -> None:
        report, self.report = self.report, None
        if report is None:
            return
        trial = self.now.trials[report.trial]
        if trial.state is TrialState.RUNNING:
            verdict = self.scheduler.judge(self.now, trial)
            self.counts["verdicts"] += 1
            self.expected[report.trial] = _Expected(
                report.lease, verdict, self.now.cursor, report.time, report.seconds
            )

    def _checked(self, number: int, event: ev.AnyEvent) -> str:
        match event:
            case ev.TrialProposed():
                return self._check_proposal(event)
            case ev.StageBegun() | ev.StageConcluded():
                return self._check_turn(event)
            case ev.SpaceChanged(itself=True):
                return self._check_turn(event)
            case ev.JobLeased():
                self.expected.pop(event.trial, None)
                return self._check_resumed(event)
            case ev.TrialPaused() | ev.TrialStopped() | ev.TrialCompleted():
                return self._check_verdict(number, event)
            case _:
                return ""

    def _check_proposal(self, event: ev.TrialProposed) -> str:
        while self.pending and self.pending[0][0] <= event.seen:
            self.behind.apply(*self.pending.popleft())
        self.counts["proposals"] += 1
        limits = within_space(self.now.limits, self.searcher, self.scheduler, self.now)
        move = self.scheduler.next(self.now, limits) if self.now.budgeted else None
        if event.enqueued:
            derived = self.behind.queue[0] if self.behind.queue else {}
        elif isinstance(move, Start) and move.configuration is not None:
            derived = _as_read(move.configuration)
        else:
            derived = _as_read(proposed(self.behind, self.searcher, event.trial))
        if derived != thawed(event.configuration):
            return f"trial {event.trial} has {event.configuration}, derived again it is {derived}"
        stage = stage_of(self.behind) if event.repeats < 0 else -1
        if stage != event.stage:
            return f"trial {event.trial} was begun in stage {event.stage}, derived: {stage}"
        if move is None or (event.enqueued and isinstance(move, Done)):
            return ""  # by hand, though nothing was left to propose
        self.counts["moves"] += 1
        parent = (event.parent, event.start) if event.parent >= 0 else None
        begun = (event.bracket, parent, event.repeats)
        if not isinstance(move, Start) or (move.bracket, move.parent, move.repeats) != begun:
            again = f" to repeat trial {event.repeats}" if event.repeats >= 0 else ""
            return (
                f"trial {event.trial} was begun in bracket {event.bracket}{again}, derived: {move}"
            )
        return ""

    def _check_turn(self, event: Turn) -> str:
        limits = within_space(self.now.limits, self.searcher, self.scheduler, self.now)
        move = self.scheduler.next(self.now, limits)
        self.counts["moves"] += 1
        due = None
        if isinstance(move, Start | Done):
            due = turn(self.now, self.searcher, self.scheduler, limits, move, self.widens)
        derived = None if due is None else msgspec.structs.replace(due, time=event.time)
        if derived is not None and ev.decode(ev.encode(derived)) == event:
            return ""
        what = "the space" if isinstance(event, ev.SpaceChanged) else f"stage {event.stage}"
        return f"{what} is told otherwise, derived again: {derived}"

    def _check_resumed(self, event: ev.JobLeased) -> str:
        trial = self.now.trials[event.trial]
        if trial.state is not TrialState.PAUSED or not self.now.budgeted:
            return ""
        limits = within_space(self.now.limits, self.searcher, self.scheduler, self.now)
        move = self.scheduler.next(self.now, limits)
        self.counts["moves"] += 1
        if move != Resume(event.trial, event.to_step or 0):
            return f"trial {event.trial} went on to epoch {event.to_step}, derived: {move}"
        return ""

    def _check_verdict(
        self, number: int, event: ev.TrialPaused | ev.TrialStopped | ev.TrialCompleted
    ) -> str:
        expected = self.expected.get(event.trial)
        if event.lease == 0 or expected is None or expected.lease != event.lease:
            return ""  # by hand, by the rung's end, or by the training code before any report
        del self.expected[event.trial]
        if isinstance(event, ev.TrialCompleted):
            agrees = expected.verdict.fate in (Fate.COMPLETE, Fate.GO_ON)
            agrees = agrees or _told(number, event, expected)
        elif isinstance(event, ev.TrialPaused):
            agrees = expected.verdict.fate is Fate.PAUSE
        else:
            agrees = expected.verdict == Verdict(Fate.STOP, event.reason)
        if agrees:
            return ""
        return (
            f"trial {event.trial} after event {expected.number}, derived again: "
            f"{expected.verdict.fate.value} {expected.verdict.reason}"
        )


def _told(number: int, event: ev.TrialCompleted, expected: _Expected) -> bool:
    """Return whether ``study.tell`` has ended the trial, which it does whatever the scheduler says.

    It appends the end with the report, at one time; in older logs each has its own.
    """
    at_once = number == expected.number + 1 and expected.seconds == 0.0
    return at_once or event.time == expected.time


def _as_read(configuration: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration as it would come back from a log."""
    event = ev.Enqueued(time=0.0, configuration=configuration)
    again = ev.decode(ev.encode(event))
    assert isinstance(again, ev.Enqueued)
    return thawed(again.configuration)


def replay(
    log: Iterable[tuple[int, ev.AnyEvent]],
    searcher: Searcher,
    scheduler: Scheduler,
    widens: Widens | None = None,
) -> Replay:
    """Derive what the log says again, up to the first difference.

    Args:
        log: the study's events with their numbers.
        searcher: the study's.
        scheduler: the study's.
        widens: the rule by which it widens its space by itself.
    """
    replayer, events, difference = _Replayer(searcher, scheduler, widens), 0, ""
    for number, event in _from_its_beginning(log):
        if not events:
            for history in (replayer.now, replayer.behind):
                history.cursor, history.anew = number - 1, number > 1
        difference = replayer.take(number, event)
        if difference:
            break
        events += 1
    return Replay(events, **replayer.counts, difference=difference)


def _from_its_beginning(
    log: Iterable[tuple[int, ev.AnyEvent]],
) -> Iterator[tuple[int, ev.AnyEvent]]:
    """Yield the events from where the study began anew, which it may before the first report."""
    coming = iter(log)
    first: list[tuple[int, ev.AnyEvent]] = []
    for number, event in coming:
        if isinstance(event, ev.StudyCreated):
            first = []
        first.append((number, event))
        if isinstance(event, ev.Reported):
            break
    yield from first
    yield from coming
