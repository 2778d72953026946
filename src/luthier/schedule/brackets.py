"""Successive halving inside brackets: the part that SuccessiveHalving and Hyperband share.

A bracket is a ladder of rungs. All its trials train to the first rung; the best go on from their
checkpoints to the next. A rung is decided when all of its trials have arrived or ended, as in the
papers (synchronous); while it waits for stragglers, free workers begin the next bracket.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from luthier.schedule.rungs import standing_on_arrival
from luthier.study.following import followed
from luthier.study.goals import Goals
from luthier.study.history import History
from luthier.study.protocols import (
    COMPLETE,
    GO_ON,
    PAUSE,
    Bracket,
    Done,
    Limits,
    Move,
    Resume,
    Start,
    Verdict,
    Wait,
)
from luthier.study.records import TrialRecord, TrialState


def next_move(brackets: Sequence[Bracket], history: History) -> Move:
    """Return what a free worker should do under this plan."""
    ladders = _ladders(brackets, history)
    for ladder in ladders.unfinished():
        if len(ladder.members) < ladder.bracket.rungs[0].trials:
            return Start(ladder.bracket.rungs[0].step, ladder.bracket.index)
        for number, step in ladder.granted():
            if history.trials[number].state is TrialState.PAUSED:
                return Resume(number, step)
    return Wait() if history.active else Done("every bracket is finished")


def judge(last: int, trial: TrialRecord) -> Verdict:
    """Pause the trial at the end of its rung, complete it at the end of the last one, at *last*."""
    if trial.to_step is None or trial.step < trial.to_step:
        return GO_ON
    return COMPLETE if trial.step >= last else PAUSE


def left_behind(brackets: Sequence[Bracket], history: History) -> list[tuple[int, str]]:
    """Return the paused trials of decided rungs that are not among the best."""
    if not history.paused:
        return []
    ladders = _ladders(brackets, history)
    return [
        (number, reason)
        for ladder in ladders.unfinished()
        for number, reason in ladder.left_behind()
        if history.trials[number].state is TrialState.PAUSED
    ]


def _ladders(brackets: Sequence[Bracket], history: History) -> _Ladders:
    plan = tuple(brackets)
    # By identity: plans are kept by their schedulers, and to hash a long one takes its time. The table
    # holds the plan, so its identity stays its own.
    return followed(history, ("ladders", id(plan)), lambda: _Ladders(plan, history.goals))


@dataclass(eq=False)
class _Ladders:
    """The brackets of a plan, those in which nothing can happen any more set aside."""

    plan: tuple[Bracket, ...]
    goals: Goals
    of: dict[int, _Ladder] = field(default_factory=dict[int, "_Ladder"])
    finished: set[int] = field(default_factory=set[int])

    def __post_init__(self) -> None:
        self.of = {bracket.index: _Ladder(bracket, self.goals) for bracket in self.plan}
        self._first = 0

    def take(self, trial: TrialRecord) -> None:
        """Replace what is known of *trial*."""
        if (ladder := self.of.get(trial.bracket)) is None:
            return
        ladder.take(trial)
        if ladder.finished:
            self.finished.add(trial.bracket)
        elif trial.bracket in self.finished:  # a failed trial was put back
            self.finished.discard(trial.bracket)
            self._first = 0

    def unfinished(self) -> list[_Ladder]:
        """Return the ladders in which something may still happen, in the plan's order."""
        while self._first < len(self.plan) and self.plan[self._first].index in self.finished:
            self._first += 1
        rest = self.plan[self._first :]
        return [self.of[b.index] for b in rest if b.index not in self.finished]


@dataclass(eq=False)
class _Ladder:
    """One bracket. Rungs below *rung* are decided, and the *entered* trials train to its end.

    All of it follows from the trials as they are: how they stand when a rung is decided no longer
    changes, unless one goes back to an old checkpoint or a failed one is tried again; then the ladder is
    climbed anew.
    """

    bracket: Bracket
    goals: Goals
    members: dict[int, TrialRecord] = field(default_factory=dict[int, TrialRecord])
    over: set[int] = field(default_factory=set[int])  # those that have ended
    rung: int = 0
    entered: set[int] = field(default_factory=set[int])
    missing: set[int] = field(default_factory=set[int])  # entered, and not at the rung's end yet
    behind: dict[int, str] = field(default_factory=dict[int, str])

    @property
    def finished(self) -> bool:
        """Return whether every trial that this bracket may begin has begun and ended."""
        full = len(self.members) >= self.bracket.rungs[0].trials
        return full and len(self.over) == len(self.members)

    def take(self, trial: TrialRecord) -> None:
        """Replace what is known of *trial*."""
        number = trial.number
        new = number not in self.members
        self.members[number] = trial
        back = number in self.over and not trial.state.ended
        if trial.state.ended:
            self.over.add(number)
        elif back:
            self.over.discard(number)
        below = self.bracket.rungs[self.rung - 1].step if self.rung else 0
        if back or (number in self.entered and trial.step < below and not trial.state.ended):
            self._climb_anew()
            return
        if self.rung == 0 and new:
            self.entered.add(number)
        if number in self.entered:
            (self.missing.discard if self._arrived(trial) else self.missing.add)(number)
        self._decide()

    def granted(self) -> list[tuple[int, int]]:
        """Return who may go on to the current rung's end, the best at the one below first."""
        if self.rung == 0 or not self.missing:
            return []
        before, step = self.bracket.rungs[self.rung - 1].step, self.bracket.rungs[self.rung].step
        waiting = [self.members[n] for n in self.missing if self.members[n].step < step]
        return [(t.number, step) for t in self._ranked(waiting, before)]

    def left_behind(self) -> list[tuple[int, str]]:
        """Return the trials that decided rungs leave behind, each with the reason in words.

        In a bracket that the limits made smaller, those are at last the best ones, too.
        """
        last = self.rung + 1 == len(self.bracket.rungs) and not self.missing
        full = len(self.members) >= self.bracket.rungs[0].trials
        ends = sorted(self.entered - self.over) if last and full else []
        step = self.bracket.rungs[-1].step
        return [
            *self.behind.items(),
            *(
                (number, f"its bracket ends at epoch {step}: the limits left no room")
                for number in ends
            ),
        ]

    def _climb_anew(self) -> None:
        self.rung, self.behind = 0, {}
        self.entered = set(self.members)
        self.missing = {n for n, t in self.members.items() if not self._arrived(t)}
        self._decide()

    def _arrived(self, trial: TrialRecord) -> bool:
        return trial.step >= self.bracket.rungs[self.rung].step or trial.state.ended

    def _decide(self) -> None:
        """Decide the rung when all that entered it have arrived or ended, and what follows."""
        rungs = self.bracket.rungs
        full = len(self.members) >= rungs[0].trials
        while full and not self.missing and self.rung + 1 < len(rungs):
            step, above = rungs[self.rung].step, rungs[self.rung + 1].trials
            ranked = self._ranked([self.members[n] for n in self.entered], step)
            best = [t for t in ranked[:above] if self._standing(t, step) != float("inf")]
            self.entered = {t.number for t in best}
            self.behind |= {
                t.number: f"rank {rank} of {len(ranked)} at epoch {step}, {above} go on"
                for rank, t in enumerate(ranked, 1)
                if t.number not in self.entered
            }
            self.rung += 1
            self.missing = {t.number for t in best if not self._arrived(t)}

    def _ranked(self, trials: list[TrialRecord], step: int) -> list[TrialRecord]:
        """Return the trials as they stand at *step*, best first; the earlier trial wins a tie."""
        return sorted(trials, key=lambda t: (self._standing(t, step), t.number))

    def _standing(self, trial: TrialRecord, step: int) -> float:
        """Return how a trial arrived; infinite when it diverged or failed on the way."""
        if trial.step < step and trial.state in (TrialState.DIVERGED, TrialState.FAILED):
            return float("inf")
        return standing_on_arrival(trial, step, self.goals)


def within(
    brackets: Sequence[Bracket], limits: Limits, shrink: Callable[[Bracket, int], Bracket]
) -> tuple[Bracket, ...]:
    """Return the brackets that the limits have room for, the last one made smaller to fit.

    Args:
        brackets: in the order in which they run.
        limits: trials and epochs in all.
        shrink: ``(bracket, trials) -> Bracket``: the same ladder begun by fewer trials.
    """
    chosen: list[Bracket] = []
    trials_left = float("inf") if limits.trials is None else limits.trials
    epochs_left = float("inf") if limits.epochs is None else limits.epochs
    for bracket in brackets:
        count = int(min(bracket.rungs[0].trials, trials_left))
        smaller = bracket
        while count > 0:
            smaller = bracket if count == bracket.rungs[0].trials else shrink(bracket, count)
            if smaller.epochs <= epochs_left:
                break
            count -= 1
        if count <= 0:
            break
        chosen.append(smaller)
        trials_left -= count
        epochs_left -= smaller.epochs
        if smaller is not bracket:
            break
    return tuple(chosen)
