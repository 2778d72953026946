"""Freeze and thaw: every few epochs, who deserves the next ones, a trial that paused or a new one?

Swersky, Snoek & Adams 2014; who gets them by the probability to beat a bar at a horizon, both drawn anew for
each decision, so that no trade-off has to be set (Rakotoarison et al. 2024, ifBO, section 4.2,
"MFPI-random"). Curves are continued by ``extrapolation``; where a curve ends is expected near where those of
similar configurations do.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from luthier.errors import StudyError
from luthier.schedule.extrapolation import Belief, Curves, Prediction, Sums, predict
from luthier.schedule.full import rest
from luthier.schedule.hyperband import check_ladder
from luthier.schedule.places import Places
from luthier.schedule.rungs import Place, report_on_arrival
from luthier.space import Space
from luthier.study.chance import derive
from luthier.study.following import followed
from luthier.study.goals import Goals
from luthier.study.history import History
from luthier.study.limits import epochs_left
from luthier.study.protocols import (
    COMPLETE,
    GO_ON,
    PAUSE,
    Bracket,
    Fate,
    Limits,
    Move,
    Plan,
    Resume,
    Rung,
    Start,
    Verdict,
)
from luthier.study.records import TrialRecord, TrialState

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_FIRST = 4  # trials that begin before anything is compared
_CONSIDERED = 128  # paused trials with the best last losses, of which one may go on
_KNOWN = 256  # trials that say what is to be expected, the newest ones
_LONGEST = 8  # trials whose curves say how far a curve falls
_KEPT = (
    8  # paused trials that wait for more epochs when there are none: their checkpoints take disk
)
_NEAR = 0.15  # distance, a hyperparameter, at which a configuration is a neighbour
_DOUBT = 2.0  # neighbours that the median of all weighs as much as
_NEW = 0.35  # a new trial is expected to end where this share of the others is better


@dataclass(frozen=True)
class FreezeThaw:
    """Freeze–thaw with extrapolated learning curves.

    Attributes:
        epochs: R, the most epochs one trial trains.
        unit: epochs that each decision grants; by default a twentieth of R, at least 1.
        chance: a trial that will beat the best one with a smaller probability is abandoned.
    """

    epochs: int
    unit: int | None = None
    chance: float = 0.005

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            StudyError: epochs or unit below 1, or a chance that is not between 0 and 1.
        """
        check_ladder("Freeze–thaw", self.epochs, 2)
        if self.unit is not None and not 1 <= self.unit <= self.epochs:
            raise StudyError(
                f"Freeze–thaw: unit must lie between 1 and epochs={self.epochs}, got {self.unit!r}."
            )
        if not 0 <= self.chance < 1:
            raise StudyError(
                f"Freeze–thaw: chance must lie between 0 and 1 (0.005), got {self.chance!r}."
            )

    @property
    def promotes(self) -> bool:
        """Return True: trials pause and go on from their checkpoints."""
        return True

    def plan(self, limits: Limits) -> Plan | None:
        """Return an upper bound; None where nothing but time ends the study."""
        if limits.trials is None and limits.epochs is None:
            return None
        trials = limits.trials if limits.trials is not None else limits.epochs or 1
        if limits.epochs is not None:
            trials = min(trials, max(1, limits.epochs // self._unit))
        full = trials if limits.epochs is None else max(1, limits.epochs // self.epochs)
        rungs = (Rung(trials, self._unit), Rung(min(trials, full), self.epochs))
        return Plan((Bracket(0, "freeze and thaw", rungs),), at_most=True)

    def next(self, history: History, limits: Limits) -> Move:
        """Grant the next epochs to a paused trial or to a new one."""
        left = epochs_left(history, limits)
        room = limits.trials is None or len(history.trials) < limits.trials
        waiting = followed(history, "waiting", lambda: _Waiting(history.goals)).ordered
        if left < 1 or (not room and not waiting):
            return rest(history, "no epochs are left to grant" if left < 1 else "no trial is left")
        if room and (len(history.trials) < _FIRST or not waiting):
            return Start(min(self._unit, self.epochs, _whole(left)))
        best = [history.trials[number] for _, number in waiting[:_CONSIDERED]]
        scores = self._scores(history, best, new=room)
        scores[[i for i, t in enumerate(best) if _breaks_what_the_best_kept(history, t)]] = -1.0
        chosen = int(scores.argmax())
        if chosen == len(best):
            return Start(min(self._unit, self.epochs, _whole(left)))
        trial = best[chosen]
        granted = min(self._unit, self.epochs - trial.step, _whole(left))
        return Resume(trial.number, trial.step + granted)

    def judge(self, history: History, trial: TrialRecord) -> Verdict:
        """Pause after the granted epochs; abandon a trial that has next to no chance."""
        if trial.step >= self.epochs:
            return COMPLETE
        if trial.to_step is None or trial.step < trial.to_step:
            return GO_ON
        best = history.best
        if best is None or best is trial or len(history.trials) <= _FIRST:
            return PAUSE
        ((chance, words),) = self._outlooks(history, best, [trial])
        return PAUSE if chance >= self.chance else Verdict(Fate.STOP, words)

    def dropped(self, history: History, limits: Limits) -> list[tuple[int, str]]:
        """Return, once no epochs are left, the paused trials but for those with the best chances.

        These stay paused: with more epochs the study goes on with them.
        """
        best = history.best
        if history.active or not history.paused or epochs_left(history, limits) >= 1:
            return []
        waiting = [trial for _, trial in sorted(history.paused.items()) if trial is not best]
        if best is None or not waiting or len(history.trials) <= _FIRST:
            return []
        outlooks = zip(waiting, self._outlooks(history, best, waiting), strict=True)
        ranked = sorted((-chance, trial.number, words) for trial, (chance, words) in outlooks)
        others = f"no epochs are left, and {_KEPT} others have a better chance to beat the best one"
        kept = [number for against, number, _ in ranked[:_KEPT] if -against >= self.chance]
        return sorted(
            (number, words if -against < self.chance else others)
            for against, number, words in ranked[len(kept) :]
        )

    def _outlooks(
        self, history: History, best: TrialRecord, trials: list[TrialRecord]
    ) -> list[tuple[float, str]]:
        """Return for each of *trials* the chance that it ends below the best one's loss, and in words."""
        found = self._expected(history).at(trials, [self.epochs] * len(trials), new=False)
        bar, at = f"{history.value(best.best_loss):.4g}", f"expected at epoch {self.epochs}"
        rows = zip(found.below(best.best_loss), found.mean, found.deviation, strict=True)
        return [
            (
                float(chance),
                f"it will beat {bar} with a probability of {chance:.2g}: {at}: "
                f"{history.value(float(mean)):.4g} ± {deviation:.2g}",
            )
            for chance, mean, deviation in rows
        ]

    @property
    def _unit(self) -> int:
        return self.unit or max(1, self.epochs // 20)

    def _scores(self, history: History, trials: list[TrialRecord], *, new: bool) -> Array:
        """Return the probability of each, the new trial last, to beat the bar at the horizon."""
        import numpy as np

        expected = self._expected(history)
        words = ("freeze thaw", history.epochs, len(history.trials), len(history.active))
        draws = [(derive(history.header.seed, *words, i) >> 11) * 2.0**-53 for i in range(2)]
        horizon = max(1, math.ceil(draws[0] * self.epochs))
        best = history.best.best_loss if history.best else expected.belief.level
        bar = best - 10.0 ** (-4.0 + 3.0 * draws[1]) * expected.belief.level_spread
        ends = [min(self.epochs, trial.step + horizon) for trial in trials]
        found = expected.at(trials, [*ends, horizon] if new else ends, new=new)
        return np.asarray(found.below(bar))

    def _expected(self, history: History) -> _Expected:
        budget = self.epochs
        curves = followed(history, ("curves", budget), lambda: Curves(budget))
        places = followed(history, "places", Places)
        return _Expected.of(curves, places, history)


@dataclass(frozen=True)
class _Expected:
    """What the study's trials so far lead to expect of a curve."""

    curves: Curves
    places: Places
    space: Space
    belief: Belief
    known: Array  # (n, d) places
    ends: Array  # (n,) last losses there

    @classmethod
    def of(cls, curves: Curves, places: Places, history: History) -> _Expected:
        import numpy as np

        space = history.space
        # Where some keep the constraints, what breaks them says nothing of what is looked for.
        trials = [
            t
            for t in list(curves.trials.values())[-_KNOWN:]
            if t.steps
            and math.isfinite(t.best_loss)
            and t.state is not TrialState.DIVERGED
            and not _breaks_what_the_best_kept(history, t)
        ]
        if not trials:
            nothing = Belief(0.0, 1.0, 0.0, 1.0)
            return cls(curves, places, space, nothing, np.zeros((0, 1)), np.zeros(0))
        # A curve's fall is read off the trials that were trained longest: most have begun only.
        longest = sorted(trials, key=lambda t: (-len(t.steps), t.number))[:_LONGEST]
        lows = [np.minimum.accumulate(t.losses) for t in longest]
        falls = np.array([low[0] - low[-1] for low in lows])
        fall = float(np.median(falls[np.isfinite(falls)])) if np.isfinite(falls).any() else 0.0
        ends = np.array([t.best_loss - _still(lows, len(t.steps)) for t in trials])
        low, middle, high = np.quantile(ends, [0.1, 0.5, 0.9])
        spread = max(float(high - low) / 2.0, 1e-9 + 1e-6 * abs(float(middle)))
        belief = Belief(float(middle), spread, fall, max(spread, fall))
        return cls(curves, places, space, belief, places.at(trials, space), ends)

    def at(self, trials: list[TrialRecord], steps: list[int], *, new: bool) -> Prediction:
        """Return the distribution of the losses of *trials*, and of a new one last, at *steps*."""
        import numpy as np

        sums = [self.curves.sums[t.number] for t in trials]
        levels = self._levels(trials)
        if new:
            zero = np.zeros_like(sums[0].shape) if sums else np.zeros(11)
            sums = [*sums, Sums(0.0, 0.0, 0.0, zero, zero, zero)]
            usual = float(np.quantile(self.ends, _NEW)) if len(self.ends) else self.belief.level
            levels = np.append(levels, usual)
        return predict(sums, levels, self.belief, np.array(steps), self.curves.budget)

    def _levels(self, trials: list[TrialRecord]) -> Array:
        """Return where each is expected to end: near its neighbours, or at the median of all."""
        import numpy as np

        if not len(self.ends) or not trials:
            return np.full(len(trials), self.belief.level)
        here = self.places.at(trials, self.space)
        width = max(1, here.shape[1])
        squared = ((here[:, None, :] - self.known[None, :, :]) ** 2).sum(axis=2)
        near = np.exp(-0.5 * squared / (width * _NEAR**2))
        total = near @ self.ends + _DOUBT * self.belief.level
        return total / (near.sum(axis=1) + _DOUBT)


@dataclass(eq=False)
class _Waiting:
    """The paused trials by their last reports, the best one first."""

    goals: Goals
    ordered: list[Place] = field(default_factory=list[Place])
    of: dict[int, Place] = field(default_factory=dict[int, Place])

    def take(self, trial: TrialRecord) -> None:
        """Replace what is known of *trial*."""
        if (old := self.of.pop(trial.number, None)) is not None:
            del self.ordered[bisect_left(self.ordered, old)]
        if trial.state is TrialState.PAUSED:
            self.of[trial.number] = new = (self.goals.standing(trial, -1), trial.number)
            insort(self.ordered, new)


def _breaks_what_the_best_kept(history: History, trial: TrialRecord) -> bool:
    """Return whether *trial* breaks a bound now, and the best trial kept it after as many epochs.

    A bound on accuracy is kept by nobody at first.
    """
    goals, best = history.goals, history.best
    if best is None or best.violation or not goals.breaks(trial, -1):
        return False
    return not goals.breaks(best, report_on_arrival(best, trial.step))


def _still(lows: list[Array], reports: int) -> float:
    """Return how far the longest curves still fell after so many reports, by their median."""
    import numpy as np

    falls = [low[reports - 1] - low[-1] for low in lows if len(low) > reports]
    falls = [fall for fall in falls if math.isfinite(fall)]
    return float(np.median(falls)) if falls else 0.0


def _whole(epochs: float) -> int:
    return int(min(epochs, 2**31))
