"""How much the objective varies when nothing but chance does."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from luthier.study.history import History
from luthier.study.records import TrialRecord, TrialState

_FEWEST_REPEATS = 2  # more trials than configurations, among those tried more than once
_LATE = 0.5  # of a curve's reports
_FEWEST_REPORTS = 4  # late ones


@dataclass(frozen=True)
class Noise:
    """The standard deviation of the objective between trainings that differ by chance only.

    Attributes:
        deviation: in the objective's units; 0 where it is not known.
        source: ``"repeats"`` of the same configuration, ``"curves"``, or ``"unknown"``.
        freedom: the degrees of freedom of a deviation from repeats; 0 for any other.
    """

    deviation: float
    source: str
    freedom: int = 0

    def __str__(self) -> str:
        if self.source == "unknown":
            return "seed noise not known: repeat the best configuration to measure it"
        where = "from repeats" if self.source == "repeats" else "guessed from late in the curves"
        return f"seed noise {self.deviation:.2g} ({where})"


def noise(history: History) -> Noise:
    """Return the noise of the objective.

    From configurations that were tried more than once, trained for equally many epochs, pooled over
    them; those that a race trained again on other seeds are among them, without the trials of the search
    that they repeat: these were chosen for being the best, and lie apart. Trials that went on from
    another one's weights (population-based training) are none of them: what they share of their training
    makes them alike. Without any, from the second half of the better trials' curves: the second
    differences of white noise of deviation σ have the deviation √6 σ, and no trend that is a line changes
    them. That is no more than a guess: epochs of one training differ less than trainings do.
    """
    ranked = history.ranking()
    again = [t for t in history.repetitions.values() if t.state is TrialState.COMPLETED]
    raced = {_words(t) for t in again}
    chosen = [t for t in ranked if t.parent < 0 and _words(t) not in raced]
    repeats = _by_repeats([*chosen, *(t for t in again if math.isfinite(t.best_loss))])
    if repeats is not None:
        return repeats
    curves = [d for trial in ranked[: -(-len(ranked) // 2)] if (d := _of_curve(trial)) is not None]
    if curves:
        return Noise(_median(curves), "curves")
    return Noise(0.0, "unknown")


def _words(trial: TrialRecord) -> str:
    return repr(sorted(trial.configuration.items()))


def _by_repeats(trials: Sequence[TrialRecord]) -> Noise | None:
    groups: dict[tuple[str, int], list[float]] = {}
    for trial in trials:
        groups.setdefault((_words(trial), trial.step), []).append(trial.best_loss)
    again = [losses for losses in groups.values() if len(losses) > 1]
    freedom = sum(len(losses) - 1 for losses in again)
    if freedom < _FEWEST_REPEATS:
        return None
    squares = 0.0
    for losses in again:
        mean = math.fsum(losses) / len(losses)
        squares += math.fsum((loss - mean) ** 2 for loss in losses)
    return Noise(math.sqrt(squares / freedom), "repeats", freedom)


def _of_curve(trial: TrialRecord) -> float | None:
    late = list(trial.losses)[-max(_FEWEST_REPORTS, math.ceil(_LATE * len(trial.losses))) :]
    if len(late) < _FEWEST_REPORTS or not all(map(math.isfinite, late)):
        return None
    second = [a - 2 * b + c for a, b, c in zip(late, late[1:], late[2:], strict=False)]
    return math.sqrt(math.fsum(d * d for d in second) / (6 * len(second)))


def _median(values: Sequence[float]) -> float:
    ordered, middle = sorted(values), len(values) // 2
    return ordered[middle] if len(values) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
