"""Hugging Face ``Trainer`` with Luthier: a callback that reports, checkpoints and stops; and ``fit``.

::

    def train(trial):
        arguments = TrainingArguments("out", learning_rate=trial["learning_rate"])
        luthier.transformers.fit(trial, Trainer(model(), arguments, train_dataset=..., eval_dataset=...))

    luthier.tune(train, space, minimize="eval_loss", epochs=3, scheduler="asha")
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Generator
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
_UNSET = 3.0  # num_train_epochs of TrainingArguments to which none were given


class _Report(TrainerCallback):
    """Has the trainer evaluate and save at the end of each epoch, reports that, and stops when told."""

    def __init__(self, trial: Trial) -> None:
        self.path: str | None = None
        self._metrics: dict[str, float] = {}
        self._ended = False  # an epoch, whose evaluation and checkpoint are on their way
        self._saved = Path()
        self.epochs = Epochs(trial, self._save, self._restore)

    def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
        self._metrics, self._ended = {}, True
        control.should_evaluate = control.should_save = True
        return control

    def on_evaluate(
        self, args: Any, state: Any, control: Any, metrics: Any = None, **_: Any
    ) -> None:
        # Several sets to evaluate on come one by one.
        self._metrics |= {k: v for k, v in (metrics or {}).items() if isinstance(v, int | float)}

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
        self._saved = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        # Whoever else has it save does so before this epoch is evaluated: that is no report.
        if self._ended and not self.epochs.over and self.epochs.report(self._metrics):
            control.should_training_stop = True
        self._ended = False
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
    so a paused trial goes on exactly. In a script that ``torchrun`` or ``accelerate launch`` has started,
    all ranks train the same trial.

    While it trains, three of the trainer's arguments are not what they were: ``num_train_epochs`` is the
    most epochs that a trial of the study has, to which the learning-rate schedule is drawn, too;
    ``save_strategy`` and ``save_only_model`` are such that each epoch's end is saved, whole, and nothing else.

    Args:
        trial: the trial.
        trainer: built from the trial's hyperparameters, with a set to evaluate on.
        epochs: the most epochs, where the study does not say.

    Raises:
        StudyError: no number of epochs, nothing to evaluate on, or a ``train_dataset`` without a length;
            ``max_steps`` or ``num_train_epochs`` of the trainer's arguments say another length than the study.
        CheckpointError: the checkpoint to go on from is missing or damaged.
    """
    if trainer.eval_dataset is None:
        raise StudyError("The trainer has no eval_dataset: expected one, to compare trials by.")
    # Not the rung's end: a schedule drawn to that would begin anew in each rung.
    most = max(trial.horizon or 0, length(trial, epochs, "epochs="))
    _agree(trainer, most)
    report = _Report(trial)
    trainer.add_callback(report)
    with tempfile.TemporaryDirectory(prefix="luthier-") as folder:
        own = {
            "output_dir": folder,
            "num_train_epochs": float(most),
            "save_strategy": type(trainer.args.save_strategy)("no"),
            "save_only_model": False,
        }
        with _for_now(trainer.args, own):
            try:
                trainer.train(resume_from_checkpoint=report.path)
            finally:
                report.epochs.close()
                trainer.remove_callback(report)
    return trainer


def _agree(trainer: Any, most: int) -> None:
    """Check that the trainer can train *most* epochs, and that its arguments say nothing else."""
    arguments, data = trainer.args, trainer.train_dataset
    if data is not None and not hasattr(data, "__len__"):
        raise StudyError(
            f"train_dataset={type(data).__name__} has no length: expected one with __len__, as an epoch is a "
            "pass over it, and the trainer draws the learning-rate schedule to that many steps."
        )
    if arguments.max_steps > 0:
        raise StudyError(
            f"max_steps={arguments.max_steps} in the trainer's arguments: a trial is as long as the study "
            f"says, {most} epochs. Leave max_steps out; for shorter trials give fewer epochs= to luthier.tune."
        )
    given = arguments.num_train_epochs
    if given not in (most, _UNSET):
        raise StudyError(
            f"num_train_epochs={given:g} in the trainer's arguments: a trial of this study has {most} epochs. "
            f"Leave num_train_epochs out, or give epochs={given:g} to luthier.tune."
        )


@contextlib.contextmanager
def _for_now(arguments: Any, changes: dict[str, Any]) -> Generator[None]:
    """Change *arguments*, which may be shared by trials and studies, and change them back."""
    before = {name: getattr(arguments, name) for name in changes}
    try:
        for name, value in changes.items():
            setattr(arguments, name, value)
        yield
    finally:
        for name, value in before.items():
            setattr(arguments, name, value)


__all__ = ["fit"]
