"""Successive halving inside brackets: the part that SuccessiveHalving and Hyperband share.

A bracket is a ladder of rungs. All its trials train to the first rung; the best go on from their
checkpoints to the next. A rung is decided when all of its trials have arrived or ended, as in the
papers (synchronous); while it waits for stragglers, free workers begin the next bracket.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from luthier.schedule.full import rest
from luthier.schedule.rungs import standing_on_arrival
from luthier.study.following import followed
from luthier.study.goals import Goals
from luthier.study.history import History
from luthier.study.limits import epochs_left
from luthier.study.protocols import (
    COMPLETE,
    GO_ON,
    PAUSE,
    Bracket,
    Limits,
    Move,
    Resume,
    Start,
    Verdict,
)
from luthier.study.records import TrialRecord, TrialState


def next_move(brackets: Sequence[Bracket], history: History, limits: Limits) -> Move:
    """Return what a free worker should do under this plan, as far as the epochs hold it.

    The plan is within the limits, but epochs that were trained again, and those of trials that it no longer
    has since the limits were lowered, are no part of it.
    """
    left, short = epochs_left(history, limits), False
    for ladder in _ladders(brackets, history).unfinished():
        offer = ladder.offer()
        if offer is not None and offer[1] <= left:
            return offer[0]
        short = short or offer is not None
    if short:
        return rest(history, f"{limits.epochs} epochs do not hold what is left of the brackets")
    return rest(history, "every bracket is finished")


def judge(last: int, trial: TrialRecord) -> Verdict:
    """Pause the trial at the end of its rung, complete it at the end of the last one, at *last*."""
    if trial.to_step is None or trial.step < trial.to_step:
        return GO_ON
    return COMPLETE if trial.step >= last else PAUSE


def left_behind(
    brackets: Sequence[Bracket], history: History, limits: Limits
) -> list[tuple[int, str]]:
    """Return the paused trials that decided rungs leave behind, and those of brackets no longer planned."""
    if not history.paused:
        return []
    ladders = _ladders(brackets, history)
    gone = "its bracket is no longer planned"
    if limits != Limits():
        gone = "the limits were lowered since, and leave no room for its bracket"
    return sorted([*ladders.left_behind(), *((number, gone) for number in ladders.unplanned)])


def _ladders(brackets: Sequence[Bracket], history: History) -> _Ladders:
    plan = tuple(brackets)
    # By identity: plans are kept by their schedulers, and to hash a long one takes its time. The table
    # holds the plan, so its identity stays its own.
    ladders = followed(history, ("ladders", id(plan)), lambda: _Ladders(plan, history.goals))
    ladders.settle()
    return ladders


@dataclass(eq=False)
class _Ladders:
    """The brackets of a plan, those in which nothing can happen any more set aside.

    Attributes:
        unplanned: paused trials of brackets that the plan does not have.
    """

    plan: tuple[Bracket, ...]
    goals: Goals
    of: dict[int, _Ladder] = field(default_factory=dict[int, "_Ladder"])
    finished: set[int] = field(default_factory=set[int])
    leaving: set[int] = field(default_factory=set[int])  # those that leave somebody behind
    stale: set[int] = field(default_factory=set[int])  # those that have to be climbed anew
    unplanned: set[int] = field(default_factory=set[int])

    def __post_init__(self) -> None:
        self.of = {bracket.index: _Ladder(bracket, self.goals) for bracket in self.plan}
        self._first = 0

    def take(self, trial: TrialRecord) -> None:
        """Replace what is known of *trial*."""
        if (ladder := self.of.get(trial.bracket)) is None:
            _include(self.unplanned, trial.number, trial.state is TrialState.PAUSED)
            return
        ladder.take(trial)
        if ladder.stale:
            self.stale.add(trial.bracket)
        self._file(ladder)

    def settle(self) -> None:
        """Climb the ladders anew whose decided rungs no longer follow from their trials."""
        for index in self.stale:
            self.of[index].climb()
            self._file(self.of[index])
        self.stale.clear()

    def unfinished(self) -> Iterator[_Ladder]:
        """Yield the ladders in which something may still happen, in the plan's order."""
        while self._first < len(self.plan) and self.plan[self._first].index in self.finished:
            self._first += 1
        for at in range(self._first, len(self.plan)):
            if (index := self.plan[at].index) not in self.finished:
                yield self.of[index]

    def left_behind(self) -> Iterator[tuple[int, str]]:
        """Yield the paused trials that will not go on, each with the reason in words."""
        for index in self.leaving:
            yield from self.of[index].left_behind()

    def _file(self, ladder: _Ladder) -> None:
        index = ladder.bracket.index
        _include(self.leaving, index, bool(ladder.behind or ladder.at_its_end))
        if not ladder.finished and index in self.finished:  # a failed trial was put back, say
            self._first = 0
        _include(self.finished, index, ladder.finished)


@dataclass(eq=False)
class _Ladder:
    """One bracket. Rungs below *rung* are decided, and the *entered* trials train to its end.

    All of it follows from the trials as they are: how they stand when a rung is decided no longer changes,
    unless one goes back to an old checkpoint, a failed one is tried again, one that had a place above is
    stopped, or there are more trials than the bracket has places, since the limits were lowered. Then it is
    *stale*: the ladder is climbed anew.
    """

    bracket: Bracket
    goals: Goals
    members: dict[int, TrialRecord] = field(default_factory=dict[int, TrialRecord])
    rewound: dict[int, int] = field(default_factory=dict[int, int])  # what was known of theirs
    over: set[int] = field(default_factory=set[int])  # those that have ended
    rung: int = 0
    entered: set[int] = field(default_factory=set[int])
    missing: set[int] = field(default_factory=set[int])  # entered, and not at the rung's end yet
    behind: dict[int, str] = field(default_factory=dict[int, str])  # and have not ended
    stale: bool = False
    # Above the first rung: those that entered, the best one first, and the places of those that wait.
    order: list[int] = field(default_factory=list[int])
    place: dict[int, int] = field(default_factory=dict[int, int])
    waiting: list[int] = field(default_factory=list[int])

    @property
    def full(self) -> bool:
        """Return whether every trial that this bracket may begin has begun."""
        return len(self.members) >= self.bracket.rungs[0].trials

    @property
    def finished(self) -> bool:
        """Return whether every trial that this bracket may begin has begun and ended."""
        return self.full and len(self.over) == len(self.members)

    @property
    def at_its_end(self) -> set[int]:
        """Return who has not ended at the end of the last rung: the limits made the bracket smaller."""
        last = self.rung + 1 == len(self.bracket.rungs) and not self.missing
        return self.entered - self.over if last and self.full else set()

    def take(self, trial: TrialRecord) -> None:
        """Replace what is known of *trial*."""
        number, ended = trial.number, trial.state.ended
        new = number not in self.members
        back = self.rewound.get(number) != trial.rewound or (number in self.over and not ended)
        self.members[number], self.rewound[number] = trial, trial.rewound
        _include(self.over, number, ended)
        if ended:
            self.behind.pop(number, None)
        if self.rung and (new or back or self._gives_up(trial)):
            self.stale = True
        if self.stale:
            return
        if new:
            self.entered.add(number)
        if number in self.entered:
            _include(self.missing, number, not self._arrived(trial))
            self._wait(trial)
        self._decide()

    def climb(self) -> None:
        """Decide all rungs from the first one on, by the trials as they are."""
        self.stale, self.rung, self.behind = False, 0, {}
        self.order, self.place, self.waiting = [], {}, []
        self.entered = set(self.members)
        self.missing = {n for n, t in self.members.items() if not self._arrived(t)}
        self._decide()

    def offer(self) -> tuple[Start | Resume, int] | None:
        """Return what a worker may do here, the best trial first, and the epochs that it takes."""
        step = self.bracket.rungs[self.rung].step
        if not self.full:
            return Start(step, self.bracket.index), step
        if not self.waiting:
            return None
        number = self.order[self.waiting[0]]
        return Resume(number, step), step - self.members[number].step

    def left_behind(self) -> Iterator[tuple[int, str]]:
        """Yield the paused trials that decided rungs leave behind, each with the reason in words.

        In a bracket that the limits made smaller, those are at last the best ones, too.
        """
        step = self.bracket.rungs[-1].step
        reason = f"its bracket ends at epoch {step}: the limits left no room"
        for number, words in [*self.behind.items(), *((n, reason) for n in self.at_its_end)]:
            if self.members[number].state is TrialState.PAUSED:
                yield number, words

    def _arrived(self, trial: TrialRecord) -> bool:
        return trial.step >= self.bracket.rungs[self.rung].step or trial.state.ended

    def _gives_up(self, trial: TrialRecord) -> bool:
        """Return whether *trial* has a place in the current rung that it will not take."""
        step = self.bracket.rungs[self.rung].step
        return trial.number in self.entered and _stopped_before(trial, step)

    def _wait(self, trial: TrialRecord) -> None:
        """Enter *trial* among those that wait for a worker, or take it out."""
        if (place := self.place.get(trial.number)) is None:
            return
        waits = trial.state is TrialState.PAUSED and trial.number in self.missing
        at = bisect_left(self.waiting, place)
        known = at < len(self.waiting) and self.waiting[at] == place
        if waits and not known:
            self.waiting.insert(at, place)
        elif known and not waits:
            del self.waiting[at]

    def _decide(self) -> None:
        """Decide the rung when all that entered it have arrived or ended, and what follows."""
        rungs = self.bracket.rungs
        while self.full and not self.missing and self.rung + 1 < len(rungs):
            step, above = rungs[self.rung].step, rungs[self.rung + 1]
            ranked = self._ranked([self.members[n] for n in self.entered], step)
            able = [t for t in ranked if self._may_enter(t, step, above.step)]
            best = able[: above.trials]
            self.rung += 1
            self.entered = {t.number for t in best}
            self.missing = {t.number for t in best if not self._arrived(t)}
            self.behind |= {
                t.number: f"rank {rank} of {len(ranked)} at epoch {step}, {above.trials} go on"
                for rank, t in enumerate(ranked, 1)
                if t.number not in self.entered and not t.state.ended
            }
            self.order, self.waiting = [t.number for t in best], []
            self.place = {number: place for place, number in enumerate(self.order)}
            for trial in best:
                self._wait(trial)

    def _ranked(self, trials: list[TrialRecord], step: int) -> list[TrialRecord]:
        """Return the trials as they stand at *step*, best first; the earlier trial wins a tie."""
        return sorted(trials, key=lambda t: (self._standing(t, step), t.number))

    def _may_enter(self, trial: TrialRecord, step: int, above: int) -> bool:
        """Return whether a trial that stands at *step* may have a place in the rung up to *above*."""
        return self._standing(trial, step) != float("inf") and not _stopped_before(trial, above)

    def _standing(self, trial: TrialRecord, step: int) -> float:
        """Return how a trial arrived; infinite when it diverged or failed on the way."""
        if trial.step < step and trial.state in (TrialState.DIVERGED, TrialState.FAILED):
            return float("inf")
        return standing_on_arrival(trial, step, self.goals)


def _stopped_before(trial: TrialRecord, step: int) -> bool:
    """Return whether *trial* was stopped before *step*: by hand, or as the limits had no room for more."""
    return trial.state is TrialState.STOPPED and trial.step < step


def _include(numbers: set[int], number: int, belongs: bool) -> None:
    (numbers.add if belongs else numbers.discard)(number)


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
