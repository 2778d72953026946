"""Training length: whether trials should train longer or shorter, by where their best steps lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from luthier.study.records import TrialRecord

Change = Literal["lengthen", "shorten", "keep"]
LAST_QUARTER, FIRST_TENTH = 0.75, 0.1
FEWEST = 5  # epochs: in fewer, quarters and tenths mean nothing
FEWEST_TRIALS = 3  # of them: of one or two, a best step in the last quarter is luck


@dataclass(frozen=True)
class TrainingLength:
    """What the best steps of the best trials say about the number of epochs.

    Attributes:
        change: ``"lengthen"``, ``"shorten"`` or ``"keep"``.
        epochs: how many epochs to train next; None where nothing is known.
        trials: how many trials were looked at.
        best_at: the median of best step / last step, 0 to 1.
        action: what to do, in words.
    """

    change: Change
    epochs: int | None
    trials: int
    best_at: float
    action: str


def training_length(trials: Sequence[TrialRecord], epochs: int | None = None) -> TrainingLength:
    """Return whether to train longer, from the trials that matter: the best ones, best first.

    When more than half of them have their best step in the last quarter of training, lengthen (by
    half); when more than half have it in the first tenth, shorten (to four times the latest of
    these). Google's Deep Learning Tuning Playbook, "Deciding how long to train". Only those count
    that trained to the most epochs of any: of a trial cut short, or still under way, the end says nothing.

    Args:
        trials: the best ones.
        epochs: how long the scheduler trains a trial that it does not stop; None when nobody said.
    """
    ended = [trial for trial in trials if trial.state.ended]
    longest = max((trial.step for trial in ended), default=0)
    full = [trial for trial in ended if trial.step == longest and trial.best_step]
    if longest < FEWEST or not full:
        return TrainingLength("keep", None, len(full), 0.0, "Too few epochs to tell.")
    if epochs is not None and longest < epochs:
        under_way = any(not trial.state.ended for trial in trials)
        why = (
            "too early to tell."
            if under_way
            else "they ended before, so this is not what limits them."
        )
        said = f"None of the best trials was trained for all {epochs} epochs: {why}"
        return TrainingLength("keep", None, len(full), 0.0, said)
    if len(full) < FEWEST_TRIALS:
        some = "1 trial was" if len(full) == 1 else f"{len(full)} trials were"
        said = f"Too few trials to tell: {some} trained for {longest} epochs."
        return TrainingLength("keep", None, len(full), 0.0, said)
    shares = [trial.best_step / longest for trial in full]
    middle = median(shares)
    last = sum(share > LAST_QUARTER for share in shares)
    first = sum(share <= FIRST_TENTH for share in shares)
    if 2 * last > len(full):
        wanted = round(1.5 * longest)
        said = f"{last} of the {len(full)} best trials are best in the last quarter of {longest} epochs"
        return TrainingLength(
            "lengthen", wanted, len(full), middle, f"{said}: train longer, about {wanted} epochs."
        )
    if 2 * first > len(full):
        latest = max(trial.best_step for trial in full if trial.best_step <= FIRST_TENTH * longest)
        wanted = max(FEWEST, 4 * latest)
        said = f"{first} of the {len(full)} best trials are best in the first tenth of {longest} epochs"
        return TrainingLength(
            "shorten", wanted, len(full), middle,
            f"{said}: train shorter, about {wanted} epochs, and try more configurations.",
        )  # fmt: skip
    said = f"The best trials are best at {100 * middle:.0f} % of {longest} epochs: keep the length."
    return TrainingLength("keep", longest, len(full), middle, said)
