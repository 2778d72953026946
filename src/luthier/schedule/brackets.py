"""Successive halving inside brackets: the part that SuccessiveHalving and Hyperband share.

A bracket is a ladder of rungs. All its trials train to the first rung; the best go on from their
checkpoints to the next. A rung is decided when all of its trials have arrived or ended, as in the
papers (synchronous); while it waits for stragglers, free workers begin the next bracket.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

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
    for bracket in brackets:
        members = history.brackets.get(bracket.index, [])
        if len(members) < bracket.rungs[0].trials:
            return Start(bracket.rungs[0].step, bracket.index)
        for promoted, step in _promotions(bracket, members):
            if promoted.state is TrialState.PAUSED:
                return Resume(promoted.number, step)
    return Wait() if history.active else Done("every bracket is finished")


def judge(brackets: Sequence[Bracket], trial: TrialRecord) -> Verdict:
    """Pause the trial at the end of its rung, complete it at the end of the last one."""
    if trial.to_step is None or trial.step < trial.to_step:
        return GO_ON
    ladder = next((b for b in brackets if b.index == trial.bracket), None)
    last = ladder.rungs[-1].step if ladder else trial.to_step
    return COMPLETE if trial.step >= last else PAUSE


def left_behind(brackets: Sequence[Bracket], history: History) -> list[tuple[int, str]]:
    """Return the paused trials of decided rungs that are not among the best."""
    if not history.paused:
        return []
    left: list[tuple[int, str]] = []
    for bracket in brackets:
        members = history.brackets.get(bracket.index, [])
        if not any(t.state is TrialState.PAUSED for t in members):
            continue
        entered = members
        for rung, above in zip(bracket.rungs, bracket.rungs[1:], strict=False):
            if not _decided(bracket, members, entered, rung.step):
                break
            ranked = _ranked(entered, rung.step)
            entered = _finite(ranked[: above.trials], rung.step)
            left += [
                (
                    t.number,
                    f"rank {rank} of {len(ranked)} at epoch {rung.step}, {above.trials} go on",
                )
                for rank, t in enumerate(ranked, 1)
                if t not in entered and t.state is TrialState.PAUSED and t.step == rung.step
            ]
    return left


def _promotions(bracket: Bracket, members: list[TrialRecord]) -> Sequence[tuple[TrialRecord, int]]:
    """Return who may go on to which step, over all decided rungs."""
    granted: list[tuple[TrialRecord, int]] = []
    entered = members
    for rung, above in zip(bracket.rungs, bracket.rungs[1:], strict=False):
        if not _decided(bracket, members, entered, rung.step):
            break
        entered = _finite(_ranked(entered, rung.step)[: above.trials], rung.step)
        granted += [(t, above.step) for t in entered if t.step < above.step]
    return granted


def _decided(
    bracket: Bracket, members: list[TrialRecord], entered: list[TrialRecord], step: int
) -> bool:
    """Return True when all that entered the rung have arrived at its end, or have ended."""
    full = len(members) >= bracket.rungs[0].trials
    return full and all(t.step >= step or t.state.ended for t in entered)


def _ranked(trials: list[TrialRecord], step: int) -> list[TrialRecord]:
    """Return the trials by their loss at *step*, best first; the earlier trial wins a tie."""
    return sorted(trials, key=lambda t: (t.loss_at(step), t.number))


def _finite(trials: list[TrialRecord], step: int) -> list[TrialRecord]:
    """Leave out what diverged or failed: it is worse than every finite trial, and cannot go on."""
    return [t for t in trials if t.loss_at(step) != float("inf")]


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
