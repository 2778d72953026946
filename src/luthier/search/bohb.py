"""The model of BOHB: kernel densities of good and bad trials at the largest budget that has enough.

Falkner, Klein & Hutter 2018, "BOHB: Robust and efficient hyperparameter optimization at scale",
Algorithm 2 and section 4.1; its settings are the paper's (section 4.2 and appendix). The budgets are the
epochs at which trials paused or ended, so it goes with every scheduler that has rungs.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from luthier.errors import StudyError
from luthier.search.columns import columns_of
from luthier.search.novelty import first_new, lent, untried
from luthier.search.observations import observe, places_of
from luthier.search.order import ordered
from luthier.search.surrogate.parzen import Density, density
from luthier.space import Space
from luthier.study.chance import Chance
from luthier.study.goals import value_at
from luthier.study.history import History
from luthier.study.records import TrialRecord, TrialState
from luthier.study.searched import searched

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_NARROWEST = 1e-3  # of a kernel
_MOST = 1000  # trials of the model, the newest: time per proposal stays flat


@dataclass(frozen=True)
class BOHB:
    """Draws near the good trials of the largest budget that has enough of them, or at random.

    The best of earlier studies are tried first, when there are any.

    Args:
        at_random: ρ, the share of the trials drawn at random, from 0 to 1.
        good: q, the share of a budget's trials that are good, above 0 and below 1.
        candidates: N_s, draws from the good trials' density, of which the most promising is taken.
        widening: b_w, by how much the kernels are wider when drawing, at least 1.

    Raises:
        StudyError: an argument that cannot be.
    """

    at_random: float = 1 / 3
    good: float = 0.15
    candidates: int = 64
    widening: float = 3.0

    def __post_init__(self) -> None:
        """Check the arguments."""
        for name, value, low, high in (
            ("at_random", self.at_random, 0.0, 1.0),
            ("good", self.good, 1e-9, 1 - 1e-9),
            ("candidates", self.candidates, 1, 1e6),
            ("widening", self.widening, 1.0, 1e6),
        ):
            given: Any = value
            if type(given) not in (int, float) or not low <= given <= high:
                raise StudyError(
                    f"BOHB: {name} must be a number from {low:g} to {high:g}, got {value!r}."
                )

    def propose(
        self, history: History, space: Space, number: int, chance: Chance
    ) -> dict[str, Any]:
        """Return the configuration of trial *number*.

        Raises:
            SpaceError: constraints that leave (next to) nothing of the space.
        """
        seen = observe(history, space)
        if not seen.dimension:
            return space.default()
        if (found := lent(seen, history, space, number)) is not None:
            return found
        if chance.uniform("at random") >= self.at_random:
            budget, trials = _largest(history, space)
            if budget:
                trials = trials[-_MOST:]
                points = places_of(history, space)[[t.number for t in trials]]
                losses = _losses(history, trials, budget)
                ranked = self._ranked(points, losses, space, chance.generator())
                again = history.header.noisy
                if (found := first_new(ranked, seen, history, space, again=again)) is not None:
                    return found
        return untried(seen, history, space, number, chance)

    def size(self, space: Space) -> int | None:
        """Return None: there is no end to it."""
        return None

    def explain(self, history: History, space: Space) -> str:
        """Return in one line what the next proposal comes from, and why."""
        budget, trials = _largest(searched(history), space)
        if not budget:
            return f"random: no budget has {_enough(space)} trials yet"
        return (
            f"kernel densities of {len(trials)} trials at epoch {budget}; "
            f"{self.at_random:.0%} at random"
        )

    def _ranked(
        self, points: Array, losses: Array, space: Space, generator: np.random.Generator
    ) -> Array:
        """Return draws (m, d), those first where the densities' ratio l/g is highest."""
        import numpy as np

        columns = columns_of(space)
        count, wide = points.shape
        points = _imputed(points, generator)
        order = np.argsort(losses, kind="stable")
        # Equation 3: no fewer than N_min = d + 1 in either density.
        good = min(max(wide + 1, int(self.good * count)), count - 1)
        bad = min(max(wide + 1, count - good), count)
        indices = tuple(range(wide))
        better, worse = (
            _fitted(density(columns, indices, points[chosen]))
            for chosen in (order[:good], order[-bad:])
        )
        wider = [
            w if n else w * self.widening
            for w, n in zip(better.widths, columns.options, strict=True)
        ]
        broad = Density(columns, indices, better.centres, np.array(wider), believes=False)
        drawn = columns.rounded(broad.draw(self.candidates, generator), active_only=False)
        score = better.log(drawn) - worse.log(drawn)
        return columns.rounded(drawn[np.argsort(-score, kind="stable")])


def _arrived(trial: TrialRecord, budget: int) -> bool:
    """Return whether the trial has a result at *budget*; divergence is one."""
    if trial.state is TrialState.DIVERGED:
        return True
    return trial.step >= budget and trial.state is not TrialState.FAILED


def _enough(space: Space) -> int:
    """Return how many trials a budget must have: N_min + 2, of which N_min = d + 1."""
    return len(space.searched) + 3


def _largest(history: History, space: Space) -> tuple[int, list[TrialRecord]]:
    """Return the largest budget that enough trials within *space* have come to, and these.

    Without such a budget it is 0. Divergence is a result at every budget.
    """
    import numpy as np

    outside = np.all(np.isnan(places_of(history, space)), axis=1)
    inside = [t for t in history.trials if not outside[t.number]]
    budgets = {t.step for t in inside if t.state.ended or t.state is TrialState.PAUSED}
    trials = [t for t in inside if _arrived(t, 1)]
    diverged = sum(t.state is TrialState.DIVERGED for t in trials)
    steps = [t.step for t in trials if t.state is not TrialState.DIVERGED]
    for budget in sorted(budgets - {0}, reverse=True):
        count = diverged + sum(step >= budget for step in steps)
        if count >= _enough(space) and count > diverged:
            return budget, [t for t in trials if _arrived(t, budget)]
    return 0, []


def _losses(history: History, trials: list[TrialRecord], budget: int) -> Array:
    """Return losses (n,) at *budget* whose order is that of *trials*; infinite where one diverged.

    Who breaks a constraint comes after all that keep them. Several objectives have one order, see
    ``order.py``; what was not measured at *budget* is as bad as the worst that was.
    """
    import numpy as np

    goals = history.goals
    losses = np.full(len(trials), math.inf)
    rows: list[int] = []
    outcomes = np.zeros((len(trials), len(goals.objectives)))
    for row, trial in enumerate(trials):
        loss, at = trial.loss_at(budget), bisect_right(trial.steps, budget) - 1
        if math.isfinite(loss):
            losses[row] = goals.standing(trial, at)
        if len(goals.objectives) > 1 and math.isfinite(loss) and not goals.breaks(trial, at):
            rows.append(row)
            told = (value_at(trial, at, goal.metric) for goal in goals.objectives)
            outcomes[row] = [g.loss(v) for g, v in zip(goals.objectives, told, strict=True)]
    if rows:
        losses[rows] = _by_objectives(outcomes[rows])
    return losses


def _by_objectives(outcomes: Array) -> Array:
    """Return an order (n,) of *outcomes* (n, k), infinite where they were not measured."""
    import numpy as np

    known = np.isfinite(outcomes)
    worst = np.max(outcomes, axis=0, where=known, initial=-math.inf)
    found = np.where(known, outcomes, np.where(np.isfinite(worst), worst, 0.0))
    return ordered(found, np.zeros((len(found), 0)))


def _imputed(points: Array, generator: np.random.Generator) -> Array:
    """Return *points* with what is inactive drawn from the other trials' values, as BOHB does."""
    import numpy as np

    found = points.copy()
    for column in range(points.shape[1]):
        missing = np.isnan(points[:, column])
        if missing.any():
            values = points[~missing, column]
            uniforms = generator.random(int(missing.sum()))
            chosen = values[(uniforms * len(values)).astype(int)] if len(values) else uniforms
            found[missing, column] = chosen
    return found


def _fitted(known: Density) -> Density:
    """Return the density with widths by the normal reference rule (Scott), and without a belief."""
    import numpy as np

    count, wide = known.centres.shape
    spread = 1.06 * known.centres.std(axis=0) * count ** (-1.0 / (4 + wide))
    options = np.array([known.columns.options[i] for i in known.indices])
    widths = np.where(options > 0, known.widths, np.maximum(spread, _NARROWEST))
    return Density(known.columns, known.indices, known.centres, widths, believes=False)
