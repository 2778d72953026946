"""What the commands read out of a study's log."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Sequence

from luthier.errors import StudyError
from luthier.insight.race import race
from luthier.study.history import History
from luthier.study.holder import Liveness, liveness
from luthier.study.protocols import Store
from luthier.study.records import TrialRecord, TrialState
from luthier.study.snapshot import follow
from luthier.study.words import counted, rules_broken


def read(store: Store, name: str) -> History:
    """Return the history of one study.

    Raises:
        StorageError: an event that this version of Luthier cannot read.
    """
    return follow(store, name, History())


def finite_best(history: History) -> TrialRecord | None:
    """Return the trial that ranks first, None while none has a finite value."""
    ranking = history.ranking()
    return ranking[0] if ranking else None


def on_front(history: History) -> set[int]:
    """Return the numbers of the trials on the front; none where there is a single objective."""
    return {t.number for t in history.front()} if len(history.goals.objectives) > 1 else set()


def mark(trial: TrialRecord, front: Collection[int]) -> str:
    """Return a trial's mark in a ranking: '*' on the front, '!' where it breaks a constraint."""
    return "!" if trial.violation else "*" * (trial.number in front)


def marks_told(history: History, ranking: Sequence[TrialRecord]) -> list[str]:
    """Return what the marks in *ranking* mean."""
    lines: list[str] = []
    if len(history.goals.objectives) > 1:
        lines.append(
            "* on the front: no other trial is better in one objective and as good in the rest"
        )
    if any(trial.violation for trial in ranking):
        lines.append(f"! breaks {' and '.join(map(str, history.goals.constraints))}")
    return lines


def race_winner(history: History) -> tuple[TrialRecord, str] | None:
    """Return the trial that 'wins', or still 'leads', the race on new seeds; None where nobody does."""
    raced = race(history)
    if raced is None or raced.winner is None:
        return None
    return history.trials[raced.winner.trial], "wins" if raced.over else "leads"


def beside_the_best(history: History) -> list[str]:
    """Return what has to be known of the best configuration by whoever gets that alone."""
    best, won = finite_best(history), race_winner(history)
    if best is None:
        return []
    lines: list[str] = []
    if rules := rules_broken(history):
        lines.append(f"no trial keeps to {rules}; this is trial {best.number}, which comes closest")
    if told := last_of_several(best):
        lines.append(told)
    if won is not None and won[0] is not best:
        winner = won[0].number
        lines.append(
            f"this is trial {best.number}, which has the best value; trial {winner} {won[1]} the race on new "
            f"seeds: --trial {winner}"
        )
    return lines


def last_of_several(trial: TrialRecord) -> str:
    """Return what a configuration does not say of itself where its trial had others before it, else ''."""
    if trial.parent < 0:
        return ""
    return (
        f"trial {trial.number} ended with it: its hyperparameters changed on the way, and "
        "luthier.schedule.Replay.of(study) trains it again, this configuration alone does not"
    )


def trial_of(history: History, number: int) -> TrialRecord:
    """Return trial *number*.

    Raises:
        StudyError: there is none.
    """
    if not 0 <= number < len(history.trials):
        last = len(history.trials) - 1
        known = (
            f"expected 0 to {last}" if last > 0 else f"it has {counted(last + 1, 'trial')} so far"
        )
        raise StudyError(f"Study {history.header.name!r} has no trial {number}: {known}.")
    return history.trials[number]


def activity(history: History) -> str:
    """Return 'running' when a living process holds a trial, 'to be continued', or 'idle'."""
    if history.held:
        return f"{history.held} by hand"
    active = history.active.values()
    if any(t.holder is not None and _lives(t, history) for t in active):
        return "running"
    return "to be continued" if active or history.paused else "idle"


def _lives(trial: TrialRecord, history: History) -> bool:
    """Return whether a trial's worker lives, as far as this process can tell."""
    assert trial.holder is not None
    alive = liveness(trial.holder, local=False)
    silent = time.time() - trial.last_sign > 2 * (trial.term or 900.0)
    here = alive in (Liveness.ALIVE, Liveness.STOPPED)
    return here or (alive is Liveness.UNKNOWN and not silent)


def failures(history: History) -> Counter[str]:
    """Return how many trials diverged, and how many failed by each kind of failure."""
    kinds: Counter[str] = Counter()
    for trial in history.trials:
        if kind := failure(trial):
            kinds[kind] += 1
    return kinds


def returns(history: History) -> Counter[str]:
    """Return how often trials were put back in the queue, by cause."""
    causes: Counter[str] = Counter()
    for trial in history.trials:
        causes.update(trial.retries)
    return causes


def failure(trial: TrialRecord) -> str:
    """Return 'diverged' or the kind of failure, '' for a trial that did neither."""
    if trial.state is TrialState.DIVERGED:
        return "diverged"
    return (trial.kind or "failed") if trial.state is TrialState.FAILED else ""
