"""Which epoch a script's step is: the number of epochs that the trial was trained for.

Many scripts count from 0, ``for epoch in range(n)``: one that begins with step 0 does so to its end, and the
trial's log remembers it for the runs that go on from a checkpoint, wherever they are.
"""

from __future__ import annotations

from dataclasses import replace

from luthier.errors import StudyError
from luthier.study.trial import Trial
from luthier.train.script.sources import Reading

FROM_ZERO = "steps from 0"
"""The attribute of a trial whose script counts so."""


class Steps:
    """Counts one run's steps from 1, and says so where they cannot be epochs."""

    def __init__(self, trial: Trial) -> None:
        self._trial = trial
        self._first = True
        history = trial.history
        family = (trial.number, history.trials[trial.number].parent)
        self._from_zero = any(
            history.attributes.get(number, {}).get(FROM_ZERO) for number in family if number >= 0
        )

    def counted(self, reading: Reading) -> Reading:
        """Return *reading* with its step counted from 1."""
        if reading.step is None:
            return reading
        if self._first and reading.step == 0 and not self._from_zero:
            self._from_zero = True
            self._trial.set_attribute(FROM_ZERO, True)
        self._first = False
        return replace(reading, step=reading.step + 1) if self._from_zero else reading

    def check(self, step: int | None) -> None:
        """Warn of a step beyond the job's end.

        Raises:
            StudyError: the trial's first one lies beyond the most that any trial trains.
        """
        trial = self._trial
        if step is None or trial.to_step is None or step <= trial.to_step:
            return
        words = (
            f"The script of trial {trial.number} reported step {step} after step {trial.step}, and was to "
            f"train up to {trial.to_step} epochs. A step is the number of epochs trained so far, not of "
            'batches: print the epoch, {"step": 3, ...}, or "epoch" beside the step, or neither where each '
            "epoch is reported."
        )
        if trial.step == 0 and step > (trial.horizon or trial.to_step):
            raise StudyError(words)
        trial.warn_once("steps beyond the end", words)
