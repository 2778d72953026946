"""How counts are written in sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from luthier.study.history import History


def counted(count: int, noun: str) -> str:
    """Return the count with its noun: '1 trial', '2 trials'."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def were_tried(trials: int | None) -> str:
    """Return why a study ends that its limit of *trials* ends: '1 trial was tried'."""
    return f"{counted(trials or 0, 'trial')} {'was' if trials == 1 else 'were'} tried"


def copies(history: History) -> int:
    """Return how many trials went on from another one's weights: in a population, or as parts of a schedule."""
    return sum(trial.parent >= 0 for trial in history.trials)


def searched_count(history: History) -> int:
    """Return how many trials a budget of trials counts: neither repetitions nor copies."""
    return len(history.trials) - len(history.repetitions) - copies(history)


def tried(history: History, limit: int | None = None) -> str:
    """Return the trials that a budget counts, of their *limit*, and the others beside them.

    Such as '6 of 10 trials and 4 repetitions of finalists', or '20 trials and 8 that went on from
    others' weights'.
    """
    searched, again, copied = searched_count(history), len(history.repetitions), copies(history)
    said = f"{searched} of {counted(limit, 'trial')}" if limit else counted(searched, "trial")
    said += f" and {counted(again, 'repetition')} of finalists" * bool(again)
    whose = "another's" if copied == 1 else "others'"
    return said + f" and {copied} that went on from {whose} weights" * bool(copied)


def rules_broken(history: History) -> str:
    """Return which constraints even the best trial breaks: 'latency <= 20'; '' where it keeps to them."""
    if history.best is None or not history.best.violation:
        return ""
    return " and ".join(map(str, history.goals.constraints))
