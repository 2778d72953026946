"""Hugging Face ``Trainer`` with Luthier: a callback that reports, checkpoints and stops; and ``fit``.

::

    def train(trial):
        arguments = TrainingArguments("out", learning_rate=trial["learning_rate"], eval_strategy="epoch")
        luthier.transformers.fit(trial, Trainer(model(), arguments, train_dataset=..., eval_dataset=...))

    luthier.tune(train, space, minimize="eval_loss", epochs=3, scheduler="asha")
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

try:
    from transformers import TrainerCallback
except ModuleNotFoundError as error:
    if error.name != "transformers":
        raise
    raise ModuleNotFoundError(
        "luthier.transformers needs Transformers: pip install 'luthier[transformers]'",
        name="transformers",
    ) from error

from luthier.errors import StudyError
from luthier.study.trial import Trial
from luthier.train.callbacks import Epochs, length

_FOLDER = "trainer"


class _Report(TrainerCallback):
    """Has the trainer evaluate and save at the end of each epoch, reports that, and stops when told."""

    def __init__(self, trial: Trial) -> None:
        self.path: str | None = None
        self.stopped = False
        self._metrics: dict[str, float] = {}
        self._saved = Path()
        self.epochs = Epochs(trial, self._save, self._restore)

    def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
        control.should_evaluate = control.should_save = True
        return control

    def on_evaluate(
        self, args: Any, state: Any, control: Any, metrics: Any = None, **_: Any
    ) -> None:
        self._metrics = {k: v for k, v in (metrics or {}).items() if isinstance(v, int | float)}

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
        self._saved = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        if not self.epochs.over and self.epochs.report(self._metrics):
            control.should_training_stop = True
        shutil.rmtree(self._saved, ignore_errors=True)
        return control

    def _save(self, folder: Path) -> None:
        # Each rank has an output_dir of its own, with its random state; rank 0's has all the rest.
        shutil.copytree(self._saved, folder / _FOLDER, dirs_exist_ok=True)

    def _restore(self, folder: Path) -> None:
        self.path = str(folder / _FOLDER)


def fit(trial: Trial, trainer: Any, *, epochs: int | None = None) -> Any:
    """Train with a ``Trainer`` for one trial, and return it.

    After each epoch it evaluates; every number of ``metrics`` is reported under its own name, such as
    ``eval_loss``. The trainer's own checkpoint (weights, optimizer, schedule, random state) is the trial's,
    so a paused trial goes on exactly. Its length is the study's; the learning-rate schedule is as long as
    ``num_train_epochs`` of its arguments says, so give them the study's ``epochs``. In a script that
    ``torchrun`` or ``accelerate launch`` has started, all ranks train the same trial.

    Args:
        trial: the trial.
        trainer: built from the trial's hyperparameters, with a set to evaluate on.
        epochs: the most epochs, where the study does not say.

    Raises:
        StudyError: no number of epochs, or nothing to evaluate on.
        CheckpointError: the checkpoint to go on from is missing or damaged.
    """
    if trainer.eval_dataset is None:
        raise StudyError("The trainer has no eval_dataset: expected one, to compare trials by.")
    length(trial, epochs, "epochs=")
    report = _Report(trial)
    trainer.add_callback(report)
    with tempfile.TemporaryDirectory(prefix="luthier-") as folder:
        trainer.args.output_dir = folder
        try:
            trainer.train(resume_from_checkpoint=report.path)
        finally:
            report.epochs.close()
    return trainer


__all__ = ["fit"]
