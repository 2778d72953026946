"""Freeze and thaw: every few epochs, who deserves the next ones, a trial that paused or a new one?

Swersky, Snoek & Adams 2014; who gets them by the probability to beat a bar at a horizon, both drawn anew for
each decision, so that no trade-off has to be set (Rakotoarison et al. 2024, ifBO, section 4.2,
"MFPI-random"). Curves are continued by ``extrapolation``; where a curve ends is expected near where those of
similar configurations do.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from luthier.errors import StudyError
from luthier.schedule.extrapolation import Belief, Curves, Prediction, Sums, predict
from luthier.schedule.full import rest
from luthier.schedule.places import Places
from luthier.schedule.rungs import Place, report_on_arrival
from luthier.schedule.settings import real, whole
from luthier.space import Space
from luthier.study.chance import derive
from luthier.study.following import followed
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
_NEWEST = 256  # trials that say what is to be expected of a new one
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
        end_below: the study ends when nothing, neither a paused trial nor a new one, is expected to beat
            the best one with at least this probability, between 0 and 1. By default 0: only limits end
            it. 0.01 takes a hundred trials, as the next one of n beats them all in 1 of n + 1 cases.
    """

    epochs: int
    unit: int | None = None
    chance: float = 0.005
    end_below: float = 0.0

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            StudyError: epochs or unit that are not whole or below 1, or a probability that is not between
                0 and 1.
        """
        whole(self, epochs=1, unit=1)
        real(self, "chance", "end_below")
        if self.unit is not None and self.unit > self.epochs:
            raise StudyError(
                f"Freeze–thaw: unit must lie between 1 and epochs={self.epochs}, got {self.unit!r}."
            )
        for name, value in (("chance", self.chance), ("end_below", self.end_below)):
            if not 0 <= value < 1:
                usual = type(self).__dataclass_fields__[name].default
                raise StudyError(
                    f"Freeze–thaw: {name} must lie between 0 and 1 ({usual:g}), got {value!r}."
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
        waiting = _waiting(history)
        if left < 1 or (not room and not waiting):
            return rest(history, "no epochs are left to grant" if left < 1 else "no trial is left")
        if over := self._nothing_is_likely(history, room=room):
            return rest(history, over)
        if room and (len(history.trials) < _FIRST or not waiting):
            return Start(min(self._unit, self.epochs, _whole(left)))
        scores = self._scores(history, waiting, new=room)
        scores[[i for i, t in enumerate(waiting) if _breaks_what_the_best_kept(history, t)]] = -1.0
        chosen = int(scores.argmax())
        if chosen == len(waiting):
            return Start(min(self._unit, self.epochs, _whole(left)))
        trial = waiting[chosen]
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
        """Return, at the study's end, the paused trials but for those with the best chances.

        These stay paused: with more epochs the study goes on with them. Where it ends because nothing has a
        chance, only the best one does.
        """
        best = history.best
        if history.active or best is None or len(history.trials) <= _FIRST:
            return []
        over = ""
        if epochs_left(history, limits) >= 1:
            room = limits.trials is None or len(history.trials) < limits.trials
            over = self._nothing_is_likely(history, room=room)
            if not over:
                return []
        waiting = [trial for _, trial in sorted(history.paused.items()) if trial is not best]
        if over or not waiting:
            return [(trial.number, over) for trial in waiting]
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

    def _nothing_is_likely(self, history: History, *, room: bool) -> str:
        """Return in words that nothing is likely to beat the best any more, "" while something is."""
        best = history.best
        if not self.end_below or best is None or best.violation or history.queue:
            return ""
        if len(history.trials) <= _FIRST:
            return ""
        expected, waiting = self._expected(history), _waiting(history)
        able = [t for t in waiting if not _breaks_what_the_best_kept(history, t)]
        chances = [float(chance) for chance in self._chances(expected, able, best)]
        if room:
            chances.append(self._chance_of_new(expected, best))
        chance = max(chances, default=0.0)
        if chance >= self.end_below:
            return ""
        return f"nothing is likely to beat the best: chance {100 * chance:.2g} %"

    def _chance_of_new(self, expected: _Expected, best: TrialRecord) -> float:
        """Return the probability that one more trial ends below the best one's loss.

        It ends as one of those before it does or would. Of *n* that are alike, the best one included, and
        whose ends are known, the next beats all in 1 of n + 1 cases (Laplace's rule of succession).
        """
        others = [t for t in expected.told if t is not best]
        going = [t for t in others if t.step < self.epochs]
        return (1.0 + float(sum(self._chances(expected, going, best)))) / (expected.count + 1)

    def _chances(
        self, expected: _Expected, trials: list[TrialRecord], best: TrialRecord
    ) -> Sequence[float]:
        """Return for each of *trials* the probability that it ends below the best one's loss."""
        if not trials:
            return []
        found = expected.at(trials, [self.epochs] * len(trials), new=False)
        return found.below(best.best_loss).tolist()

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


def _waiting(history: History) -> list[TrialRecord]:
    """Return the paused trials of which one may go on, the best one by its last report first."""
    goals = history.goals

    def place(trial: TrialRecord) -> Place | None:
        waits = trial.state is TrialState.PAUSED
        return (goals.standing(trial, -1), trial.number) if waits else None

    ordered = followed(history, "waiting", lambda: _Ordered(place)).ordered
    return [history.trials[number] for _, number in ordered[:_CONSIDERED]]


@dataclass(frozen=True)
class _Expected:
    """What the study's trials so far lead to expect of a curve."""

    curves: Curves
    places: Places
    space: Space
    belief: Belief
    told: list[TrialRecord]  # the newest ones and the longest ones
    count: int  # of all that have reported; of *told* where there are constraints
    usual: float  # where a new trial is expected to end
    known: Array  # (n, d) places
    ends: Array  # (n,) where curves end there

    @classmethod
    def of(cls, curves: Curves, places: Places, history: History) -> _Expected:
        import numpy as np

        space = history.space

        lengths = followed(history, "lengths", lambda: _Ordered(_by_length))

        def tells(trial: TrialRecord) -> bool:
            # Where some keep the constraints, what breaks them says nothing of what is looked for.
            return trial.number in lengths.of and not _breaks_what_the_best_kept(history, trial)

        # A curve's fall is read off the trials that were trained longest: most have begun only, and with
        # many workers, or after many trials, none of the newest has come far.
        by_length = (history.trials[number] for _, number in lengths.ordered)
        longest = list(islice(filter(tells, by_length), _LONGEST))
        told = list(dict.fromkeys([*longest, *filter(tells, history.trials[-_NEWEST:])]))
        if not told:
            nothing = Belief(0.0, 1.0, 0.0, 1.0)
            return cls(curves, places, space, nothing, told, 0, 0.0, np.zeros((0, 1)), np.zeros(0))
        lows = [np.minimum.accumulate(t.losses) for t in longest]
        falls = np.array([low[0] - low[-1] for low in lows])
        fall = float(np.median(falls[np.isfinite(falls)])) if np.isfinite(falls).any() else 0.0
        known = list(dict.fromkeys([*told, *filter(tells, _waiting(history))]))
        still = {reports: _still(lows, reports) for reports in {len(t.steps) for t in known}}
        ends = np.array([t.best_loss - still[len(t.steps)] for t in known])
        low, usual, middle, high = np.quantile(ends[: len(told)], [0.1, _NEW, 0.5, 0.9])
        # Where all end at the same, above what rounding leaves; a small part of a loss, not of its offset.
        least = 1e-9 + max(1e-6 * min(1.0, abs(float(middle))), 1e-12 * abs(float(middle)))
        spread = max(float(high - low) / 2.0, least)
        belief = Belief(float(middle), spread, fall, max(spread, fall))
        at = places.at(known, space)
        count = len(told) if history.goals.constraints else len(lengths.of)
        return cls(curves, places, space, belief, told, count, float(usual), at, ends)

    def at(self, trials: list[TrialRecord], steps: list[int], *, new: bool) -> Prediction:
        """Return the distribution of the losses of *trials*, and of a new one last, at *steps*."""
        import numpy as np

        sums = [self.curves.sums[t.number] for t in trials]
        levels = self._levels(trials)
        if new:
            zero = np.zeros_like(sums[0].shape) if sums else np.zeros(11)
            sums = [*sums, Sums(0.0, 0.0, 0.0, zero, zero, zero)]
            levels = np.append(levels, self.usual)
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
class _Ordered:
    """The trials that *place* gives a place, in the order of these."""

    place: Callable[[TrialRecord], Place | None]
    ordered: list[Place] = field(default_factory=list[Place])
    of: dict[int, Place] = field(default_factory=dict[int, Place])

    def take(self, trial: TrialRecord) -> None:
        """Replace what is known of *trial*."""
        if (old := self.of.pop(trial.number, None)) is not None:
            del self.ordered[bisect_left(self.ordered, old)]
        if (new := self.place(trial)) is not None:
            self.of[trial.number] = new
            insort(self.ordered, new)


def _by_length(trial: TrialRecord) -> Place | None:
    """Return the place of a trial among those whose curves say something, the longest one first."""
    spoilt = trial.state is TrialState.DIVERGED or not math.isfinite(trial.best_loss)
    return None if spoilt or not trial.reported else (-len(trial.steps), trial.number)


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
