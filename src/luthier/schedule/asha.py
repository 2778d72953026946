"""ASHA, asynchronous successive halving.

Li et al. 2020, "A system for massively parallel hyperparameter tuning", Algorithm 2. A rung is never
waited for. A free worker promotes the best trial that is in the top 1/η of those that have arrived at
its rung so far, from the highest rung that has one; where none has, it begins a new trial in the lowest
rung. Promoted trials go on from their checkpoints.
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from functools import lru_cache

from luthier.schedule.full import rest
from luthier.schedule.hyperband import check_ladder, deepest
from luthier.schedule.rungs import Rungs, standing_on_arrival
from luthier.schedule.settings import real
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
from luthier.study.words import were_tried


@dataclass(frozen=True)
class ASHA:
    """Asynchronous successive halving.

    Attributes:
        epochs: R, the most epochs one trial trains.
        factor: η, at least 2, which need not be whole: a trial goes on when it is in the top 1/η of its rung.
        minimum: r, the fewest epochs that the lowest rung may have, at least 1. Rungs are counted from R
            downwards, as Hyperband's are: R, R/η, R/η² … ≥ r, so each is η times the one below it. (The
            paper counts from r upwards, and its last step is shorter.)
        stops: abandon a trial that is not in the top 1/η when it arrives, and let the others go on at
            once (the variant without pauses: Li et al. 2020, section 3.3; it needs no checkpoints).
    """

    epochs: int
    factor: float = 3
    minimum: int = 1
    stops: bool = False

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            StudyError: a number below what it can be, epochs that are not whole, or a first rung above the
                last one.
        """
        real(self, factor=2)
        check_ladder(self)

    @property
    def promotes(self) -> bool:
        """Return True where trials pause."""
        return not self.stops

    @property
    def first_look(self) -> int:
        """Return the step at which a trial is first compared."""
        return self.steps[0]

    def plan(self, limits: Limits) -> Plan | None:
        """Return what the limits let in, about; None where nothing but time ends the study.

        Trials that are promoted before a whole rung has been seen are of the order of √n for the n of a
        rung (section 3.2).
        """
        if limits.trials is None and limits.epochs is None:
            return None
        most = limits.epochs // self.steps[0] if limits.epochs is not None else math.inf
        trials = int(min(most, math.inf if limits.trials is None else limits.trials))
        if limits.epochs is not None:
            fits = range(1, trials + 1)
            trials = bisect_right(fits, limits.epochs, key=lambda n: self._bracket(n).epochs)
        return Plan((self._bracket(max(1, trials)),), at_most=True, about=True)

    def _bracket(self, trials: int) -> Bracket:
        rungs, count = [Rung(trials, self.steps[0])], trials
        for step in self.steps[1:]:
            early = math.sqrt(count)
            if not self.stops:
                early = min(early, count / 4)  # of few trials fewer are promoted too early
            count = max(1, min(count, math.ceil(count / self.factor + early)))
            rungs.append(Rung(count, step))
        return Bracket(0, "asynchronous", tuple(rungs))

    def next(self, history: History, limits: Limits) -> Move:
        """Promote, from the highest rung downwards; else begin a trial."""
        steps, rungs = self.steps, self.rungs(history)
        left = epochs_left(history, limits, steps)
        due = [
            next(rungs.promotable(rung, self.factor), None)
            for rung in range(self.top(history) - 1, -1, -1)
        ]
        enough = limits.trials is not None and len(history.trials) >= limits.trials
        waiting = [n for n in [*due, self._last(history) if enough else None] if n is not None]
        for number in waiting:
            to_step = self._next_step(history.trials[number])
            if to_step - history.trials[number].step <= left:
                return self._unless_it_costs_the_end(history, Resume(number, to_step), left)
        if enough and waiting:
            return rest(history, f"{limits.epochs} epochs do not hold another rung")
        if enough:
            reason = f"{were_tried(limits.trials)}, and no other one is promoted"
            return rest(history, reason)
        if steps[0] > left:
            return rest(history, f"{limits.epochs} epochs do not hold another trial")
        if self.stops:
            return Start(steps[-1])
        return self._unless_it_costs_the_end(history, Start(steps[0]), left)

    def _unless_it_costs_the_end(self, history: History, move: Start | Resume, left: float) -> Move:
        """Return *move*, or where it would take what the first trial needs to come to the end, that one's.

        Epochs that run out are the one limit of which the paper knows nothing: they would go to newcomers, and
        the answer would be a trial that was stopped early.
        """
        end = self.steps[self.top(history)]
        if left - end >= end or self._is_answered(history):  # there is enough for it in any case
            return move
        first = self._first(history)
        if first is None or end - self._reach(first) > left:
            return move
        if isinstance(move, Resume):
            trial = history.trials[move.trial]
            cost, reach = move.to_step - trial.step, move.to_step
        else:
            cost, reach = move.to_step or 0, 0
        if left - cost >= end - max(reach, self._reach(first)):
            return move
        if first.state is TrialState.PAUSED:
            return Resume(first.number, self._next_step(first))
        return rest(history, f"the epochs that are left are for trial {first.number}")

    def _is_answered(self, history: History) -> bool:
        """Return whether somebody has come to the highest rung, with a loss."""
        arrived = self.rungs(history).arrived[self.top(history)]
        return bool(arrived) and arrived[0][0] != math.inf

    def _first(self, history: History) -> TrialRecord | None:
        """Return who is to come to the end: the best of those that have come, or are on their way, furthest."""
        rungs = self.rungs(history)
        waiting = (
            history.trials[places[0][1]]
            for places in rungs.waiting
            if places and places[0][0] < math.inf
        )
        going = (
            trial
            for trial in history.active.values()
            if not trial.reported or math.isfinite(trial.losses[-1])
        )
        return max(
            (*waiting, *going),
            key=lambda t: (self._reach(t), -t.best_loss, -t.number),
            default=None,
        )

    def _reach(self, trial: TrialRecord) -> int:
        """Return the step that the trial has come to, or that it was promised when it has a job."""
        if trial.state is TrialState.PAUSED or trial.step >= self.steps[-1]:
            return trial.step
        return max(trial.step, min(trial.to_step or 0, self._next_step(trial)))

    def _next_step(self, trial: TrialRecord) -> int:
        """Return the end of the rung above a trial that waits."""
        return self.steps[bisect_right(self.steps, trial.step)]

    def _last(self, history: History) -> int | None:
        """Return the best of too few trials, which goes to its end once nothing else is under way.

        The paper's trials never run out; here the top 1/η of two trials would be nobody, and the answer
        of a short study a trial that was stopped early.
        """
        top, rungs = self.top(history), self.rungs(history)
        if history.active or (rungs.arrived[top] and rungs.arrived[top][0][0] != math.inf):
            return None
        for waiting in rungs.waiting[:top][::-1]:
            if waiting and waiting[0][0] != math.inf:
                return waiting[0][1]
        return None

    def judge(self, history: History, trial: TrialRecord) -> Verdict:
        """Pause at the end of a rung; or go on or stop there, in the variant without pauses."""
        steps = self.steps
        if trial.step >= steps[-1]:
            return COMPLETE
        if not self.stops:
            arrived = trial.to_step is not None and trial.step >= trial.to_step
            return PAUSE if arrived else GO_ON
        rung = self.arrived_at(trial)
        if rung is None:
            return GO_ON
        among = self.rungs(history).arrived[rung]
        own = standing_on_arrival(trial, steps[rung], history.goals)
        rank = bisect_left(among, (own, trial.number))
        if rank < max(1, -(-len(among) // self.factor)) and math.isfinite(trial.losses[-1]):
            return GO_ON
        return Verdict(
            Fate.STOP,
            f"rank {rank + 1} of {len(among)} at epoch {trial.step}, the top 1/{self.factor} go on",
        )

    def holds(self, history: History, trial: TrialRecord, limits: Limits) -> bool:
        """Return whether the epochs hold the rung that *trial* would go on to without a pause."""
        return self.arrived_at(trial) is None or epochs_left(history, limits, self.steps) >= 0

    def dropped(self, history: History, limits: Limits) -> list[tuple[int, str]]:
        """Return the paused trials once nothing else can happen any more.

        Those that only lack epochs stay paused: with more of them the study goes on with these.
        """
        if history.active or not history.paused:
            return []
        if isinstance(self.next(history, limits), Start | Resume):
            return []
        lacking = self._lacking_epochs(history)
        return [
            (number, self._why_left_out(history, trial))
            for number, trial in sorted(history.paused.items())
            if number not in lacking
        ]

    def _why_left_out(self, history: History, trial: TrialRecord) -> str:
        """Return in words why a paused trial is not promoted."""
        return f"not in the top 1/{self.factor} at epoch {trial.step}"

    def _lacking_epochs(self, history: History) -> set[int]:
        """Return who would be promoted if the epochs held it: by its rank, or as the best of too few."""
        rungs, last = self.rungs(history), self._last(history)
        rising = [rungs.promotable(rung, self.factor) for rung in range(self.top(history))]
        return {*itertools.chain.from_iterable(rising), *([] if last is None else [last])}

    def arrived_at(self, trial: TrialRecord) -> int | None:
        """Return the highest rung whose end the trial's last report has come to or passed, if any."""
        rung = bisect_right(self.steps, trial.step) - 1
        before = trial.steps[-2] if len(trial.steps) > 1 else 0
        return None if rung < 0 or before >= self.steps[rung] else rung

    @property
    def steps(self) -> tuple[int, ...]:
        """Return the epochs at which the rungs end."""
        return _steps(self.epochs, self.factor, self.minimum)

    def rungs(self, history: History) -> Rungs:
        """Return who is where."""
        steps = self.steps
        return followed(history, ("rungs", steps), lambda: Rungs(0, steps, history.goals))

    def top(self, history: History) -> int:
        """Return the index of the highest rung that trials may be promoted to."""
        return len(self.steps) - 1


@lru_cache(maxsize=64)
def _steps(epochs: int, factor: float, minimum: int) -> tuple[int, ...]:
    """Return R/η^s, …, R/η, R: whole epochs, the lowest as few as *minimum* allows; see ``ASHA``."""
    s = deepest(epochs, factor, minimum)
    found = [max(minimum, round(epochs / factor ** (s - i))) for i in range(s + 1)]
    return tuple(dict.fromkeys(found))
