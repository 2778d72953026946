"""The outcome of a race of finalists: each one's mean over new seeds, its interval, and who beat whom."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from luthier.schedule.comparing import interval
from luthier.schedule.contest import Contest, finite, p
from luthier.schedule.race import breaches_of, runs_of, standing, undecided
from luthier.study.history import History


@dataclass(frozen=True)
class Finalist:
    """One finalist. Values are the objective's, as they were reported.

    Attributes:
        trial: number of the search's trial.
        configuration: its configuration.
        found: its value in the search, which made it a finalist: too good to be true on the average.
        values: its best value on each new seed, in the order of the runs.
        mean: of *values*; nan without any.
        low: lower end of the 95 % interval of the mean (Student's); -inf with fewer than two values.
        high: its upper end.
        diverged: seeds on which it diverged.
        broke: seeds on which it broke a bound (``subject_to=``) that it had kept in the search.
        failed: repetitions that ended without a result.
        p: of the test against the winner, adjusted for all tests of the race; 1 for the winner itself,
            nan where there was no test.
        dropped: the round after which it was dropped; None while it is in.
        why: why it was dropped, in words; "" while it is in.
    """

    trial: int
    configuration: dict[str, Any]
    found: float
    values: tuple[float, ...]
    mean: float
    low: float
    high: float
    diverged: int
    failed: int
    p: float
    dropped: int | None
    why: str
    broke: int = 0


@dataclass(frozen=True)
class RaceResult:
    """How the race of a study's finalists stands.

    Attributes:
        finalists: the best first; dropped ones after all others.
        rounds: rounds after which somebody could be dropped or was.
        over: whether it has been run to its end.
        significance: the risk that the best finalist was dropped.
        undecided: why nobody leads and nobody will before something is changed, in words; "" elsewhere.
    """

    finalists: tuple[Finalist, ...]
    rounds: int
    over: bool
    significance: float
    undecided: str = ""

    @property
    def winner(self) -> Finalist | None:
        """Return who leads; None before everybody has run on three seeds."""
        return self.finalists[0] if self.rounds and self.finalists[0].values else None

    @property
    def sentences(self) -> list[str]:
        """Return for each other finalist whether the winner beat it: "trial 3 over trial 7, p = 0.01"."""
        if self.winner is None:
            return []
        first = f"trial {self.winner.trial}"
        return [self._against(first, other) for other in self.finalists[1:]]

    @property
    def caution(self) -> str:
        """Return on how many seeds the winner itself broke a bound, in words; "" where it kept them."""
        first = self.winner
        if first is None or not first.broke:
            return ""
        seeds = len(first.values) + first.diverged + first.broke
        return f"trial {first.trial} itself broke a bound on {first.broke} of {seeds} seeds"

    def _against(self, first: str, other: Finalist) -> str:
        if other.dropped is not None and math.isnan(other.p):
            return f"{first} over trial {other.trial}: {other.why}"
        if math.isnan(other.p):
            return f"{first} or trial {other.trial}: too few values"
        if other.dropped is not None or other.p < self.significance:
            return f"{first} over trial {other.trial}, {p(other.p)}"
        return f"{first} or trial {other.trial}: no difference beyond chance ({p(other.p)})"

    def __str__(self) -> str:
        return "\n".join([*self.sentences, *filter(None, [self.caution])])


def race(history: History) -> RaceResult | None:
    """Return how the race of a study's finalists stands, None where there is none.

    The values that made them finalists do not count: they were selected for being high. The winner's
    own mean is a little high, too, as it is the best of a few; its interval does not know that.
    """
    rules, state = history.race, standing(history)
    if rules is None or state is None:
        return None
    runs, breaches = runs_of(history), breaches_of(history)
    found = tuple(
        _finalist(history, n, runs[n], sum(map(bool, breaches[n])), state) for n in state.order
    )
    why = undecided(history)
    return RaceResult(found, state.rounds, state.over, rules.significance, why)


def _finalist(
    history: History, number: int, runs: list[float | None], broke: int, state: Contest
) -> Finalist:
    trial, drop = history.trials[number], state.drops.get(number)
    values = [history.value(loss) for loss in finite(runs)]
    low, high = interval(values)
    return Finalist(
        trial=number,
        configuration=dict(trial.configuration),
        found=history.value(trial.best_loss),
        values=tuple(values),
        mean=fmean(values) if values else math.nan,
        low=low,
        high=high,
        diverged=sum(loss == math.inf for loss in runs) - broke,
        broke=broke,
        failed=sum(loss is not None and math.isnan(loss) for loss in runs),
        p=drop.chance if drop else state.chances.get(number, math.nan),
        dropped=drop.after if drop else None,
        why=drop.why if drop else "",
    )
