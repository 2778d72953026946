"""What an epoch and a start took, by a trial's reports, which may come each some epochs."""

from __future__ import annotations

from luthier.study.records import TrialRecord


def epoch_seconds(trial: TrialRecord) -> list[float]:
    """Return what an epoch took by each of a trial's reports after the first; those without seconds left out.

    A report has the seconds since the one before, which may be several epochs ago.
    """
    steps = list(trial.steps)
    told = zip(trial.seconds[1:], steps[1:], steps, strict=False)
    return [seconds / (step - before) for seconds, step, before in told if seconds > 0]


def start_seconds(trial: TrialRecord, epoch: float) -> float:
    """Return what a trial with reports took before its first epoch, where one takes *epoch* seconds."""
    return max(0.0, trial.seconds[0] - epoch * (trial.steps[0] - trial.start))


def first_epoch(trial: TrialRecord) -> float:
    """Return what an epoch took up to a trial's first report, its share of the start in it."""
    return trial.seconds[0] / max(1, trial.steps[0] - trial.start)
