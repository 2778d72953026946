"""The default scheduler: decides what can be saved, and how.

ASHA (``asha.py``) where trials are long enough for rungs and many enough for ranks: it waits for nobody, and
``benchmarks/multifidelity.py`` compares it with the others. A training loop that writes checkpoints pauses
at its rungs and goes on when it is promoted; one that writes none, which shows at its first report, goes
on or is abandoned there. Everything else trains to its end.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from luthier.schedule.asha import ASHA
from luthier.schedule.full import Full
from luthier.schedule.settings import whole
from luthier.study.exhausting import configurations, left
from luthier.study.following import followed
from luthier.study.history import History
from luthier.study.limits import epochs_left
from luthier.study.protocols import GO_ON, PAUSE, Limits, Move, Plan, Resume, Start, Verdict
from luthier.study.records import TrialRecord
from luthier.study.words import counted

_LEAST_EPOCHS = 3  # a third of it is an epoch, the shortest training there is
_LEAST_TRIALS = 6  # with fewer, a rung has nothing to compare
_WHOLE = 1  # the bracket of trials that train to their end; those of rungs are in bracket 0


@dataclass(frozen=True)
class Auto:
    """Asynchronous halving where it saves something, with or without checkpoints.

    Attributes:
        epochs: R, the most epochs one trial trains, at least 1.
    """

    epochs: int

    def __post_init__(self) -> None:
        """Check the epochs.

        Raises:
            StudyError: they are no whole number of at least 1.
        """
        whole(self, epochs=1)

    @property
    def promotes(self) -> bool:
        """Return False: a training loop need not write checkpoints."""
        return False

    def plan(self, limits: Limits) -> Plan | None:
        """Return the rungs with the most trials that the limits let in; None without such a limit."""
        return (ASHA if self.saves(limits) else Full)(self.epochs).plan(limits)

    def next(self, history: History, limits: Limits) -> Move:
        """Promote, or begin a trial."""
        if self._are_few(history, limits):
            return self._next_to_its_end(history, limits)
        move = ASHA(self.epochs).next(history, limits)
        if not isinstance(move, Start) or self._writes(history):
            return move
        return self._stopping.next(history, limits)

    def _next_to_its_end(self, history: History, limits: Limits) -> Move:
        """Let go on who waits at a rung, from the time when there were to be more trials; else begin one."""
        left = epochs_left(history, limits)
        for number, trial in sorted(history.paused.items()):
            if self.epochs - trial.step <= left:
                return Resume(number, self.epochs)
        move = Full(self.epochs).next(history, limits)
        return Start(self.epochs, _WHOLE) if isinstance(move, Start) else move

    def judge(self, history: History, trial: TrialRecord) -> Verdict:
        """Pause at the end of a rung; without a checkpoint there, go on or stop."""
        rule = ASHA(self.epochs)
        if trial.bracket == _WHOLE:
            return Full(self.epochs).judge(history, trial)
        at_its_end = trial.to_step is not None and trial.step >= trial.to_step
        if at_its_end or rule.arrived_at(trial) is None:
            return rule.judge(history, trial)
        if self._are_few(history, history.limits):
            return GO_ON
        # It began before a checkpoint had been seen.
        return PAUSE if trial.checkpoint == trial.step else self._stopping.judge(history, trial)

    def holds(self, history: History, trial: TrialRecord, limits: Limits) -> bool:
        """Return whether the epochs hold the rung that *trial* would go on to without a pause."""
        return trial.bracket == _WHOLE or ASHA(self.epochs).holds(history, trial, limits)

    def dropped(self, history: History, limits: Limits) -> list[tuple[int, str]]:
        """Return the paused trials once nothing else can happen any more."""
        if self._are_few(history, limits):
            return []  # all of them go on
        return ASHA(self.epochs).dropped(history, limits)

    def saves(self, limits: Limits) -> bool:
        """Return whether trials are compared before their end, as far as the limits tell."""
        few = limits.trials is not None and limits.trials < _LEAST_TRIALS
        return not few and self.epochs >= _LEAST_EPOCHS

    def explain(self, history: History, limits: Limits) -> str:
        """Return in one line what is done, and why."""
        if self._are_few(history, limits):
            short = self.epochs < _LEAST_EPOCHS
            most = self._most(history, limits)
            few = counted(self.epochs, "epoch") if short else counted(int(most), "trial")
            return f"every trial trains to its end: {few} leave{'s' * few.startswith('1 ')} nothing to save"
        steps = " → ".join(map(str, ASHA(self.epochs).steps))
        said = f"ASHA: the top third goes on at epochs {steps}"
        if self._writes(history):
            return f"{said}, from checkpoints"
        if history.epochs:
            return f"{said}, the others are abandoned: there are no checkpoints"
        return said

    @property
    def _stopping(self) -> ASHA:
        return ASHA(self.epochs, stops=True)

    def _are_few(self, history: History, limits: Limits) -> bool:
        """Return whether there are too few epochs or trials to save any, and there have been no more."""
        return self.epochs < _LEAST_EPOCHS or self._most(history, limits) < _LEAST_TRIALS

    @staticmethod
    def _most(history: History, limits: Limits) -> float:
        """Return how many trials there will be at the most: as many as were begun, when limits were lowered."""
        begun = len(history.trials)
        if begun >= _LEAST_TRIALS:
            return math.inf
        few = configurations(history) is not None
        known = (limits.trials, begun + left(history) if few else None)
        return max(begun, min((count for count in known if count is not None), default=math.inf))

    def _writes(self, history: History) -> bool:
        """Return whether the training loop has been seen to write checkpoints."""
        return followed(history, "writes checkpoints", _Writes).seen


@dataclass(eq=False)
class _Writes:
    """Whether any trial has written a checkpoint."""

    seen: bool = False

    def take(self, trial: TrialRecord) -> None:
        self.seen = self.seen or trial.checkpoint > 0
