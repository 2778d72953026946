"""Hugging Face ``Trainer`` with Luthier: a callback that reports, checkpoints and stops; and ``fit``.

::

    def train(trial):
        arguments = TrainingArguments("out", learning_rate=trial["learning_rate"])
        luthier.transformers.fit(trial, Trainer(model(), arguments, train_dataset=..., eval_dataset=...))

    luthier.tune(train, space, minimize="eval_loss", epochs=3, scheduler="asha")
"""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

try:
    from transformers import TrainerCallback, set_seed
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
from luthier.train.torch_schedules import Built

_FOLDER = "trainer"
_STATE = "trainer_state.json"  # the trainer's own, in that folder
_PEAKS = "peaks.json"  # ours, beside it
# What TrainingArguments have where none was given.
_UNSET, _UNSEEDED = 3.0, 42


class _Report(TrainerCallback):
    """Has the trainer evaluate and save at the end of each epoch, reports that, and stops when told."""

    def __init__(self, trial: Trial, trainer: Any) -> None:
        self.path: str | None = None
        self._trainer = trainer
        self._load = trainer._load_optimizer_and_scheduler
        self._peaks: list[list[float]] | None = None  # from which the learning rates start
        self._parents: list[list[float]] | None = (
            None  # those of the trial from which this one goes on
        )
        self._inherits = False
        self._trial = trial
        self._metrics: dict[str, float] = {}
        self._ended = False  # an epoch, whose evaluation and checkpoint are on their way
        self._saved = Path()
        self.epochs = Epochs(trial, self._save, self._restore, self._inherit)

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self._peaks is None:  # nothing was loaded over what was built
            self._peaks = self._built().peaks

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
        (folder / _PEAKS).write_text(json.dumps(self._peaks))

    def _restore(self, folder: Path) -> None:
        self.path = str(folder / _FOLDER)
        self._trainer._load_optimizer_and_scheduler = self._loaded

    def _inherit(self, folder: Path) -> None:
        """Go on from another trial's checkpoint, with this one's learning rate, weight decay and so on."""
        size, saved = self._trainer._train_batch_size, _batch_size(folder / _FOLDER / _STATE)
        if size != saved and not self._trainer.args.auto_find_batch_size:
            raise StudyError(
                f"Trial {self._trial.number} has batches of {size} rows and is to go on from a trial with "
                f"{saved}: a Trainer counts its progress in batches, so population-based training cannot "
                "change their size here. Leave the batch size out of the space, or take another scheduler."
            )
        self._restore(folder)
        known = folder / _PEAKS
        self._parents = json.loads(known.read_text()) if known.is_file() else None
        self._inherits = True

    def _loaded(self, checkpoint: Any) -> None:
        """Load what the trainer loads, but for what this trial has of its own."""
        built = self._built()
        self._peaks = built.peaks
        self._load(checkpoint)
        built.tie()
        if self._inherits:
            built.keep_own(self._parents)

    def leave(self) -> None:
        """Leave the trainer as it was."""
        self._trainer.remove_callback(self)
        vars(self._trainer).pop("_load_optimizer_and_scheduler", None)

    def _built(self) -> Built:
        return Built([self._trainer.optimizer, self._trainer.lr_scheduler])


def fit(trial: Trial, trainer: Any, *, epochs: int | None = None) -> Any:
    """Train with a ``Trainer`` for one trial, and return it.

    After each epoch it evaluates; every number of ``metrics`` is reported under its own name, such as
    ``eval_loss``. The trainer's own checkpoint (weights, optimizer, schedule, random state) is the trial's,
    so a paused trial goes on exactly. In a script that ``torchrun`` or ``accelerate launch`` has started,
    all ranks train the same trial.

    While it trains, four of the trainer's arguments are not what they were: ``num_train_epochs`` is the
    most epochs that a trial of the study has, to which the learning-rate schedule is drawn, too;
    ``save_strategy`` and ``save_only_model`` are such that each epoch's end is saved, whole, and nothing else;
    and ``seed``, where it is 42 as in arguments that do not say, is the trial's, of the order of the rows
    and of dropout, so that repetitions differ.

    Args:
        trial: the trial.
        trainer: built from the trial's hyperparameters, with a set to evaluate on.
        epochs: the most epochs, where the study does not say.

    Raises:
        StudyError: no number of epochs, nothing to evaluate on, or a ``train_dataset`` without a length;
            ``max_steps`` or ``num_train_epochs`` of the trainer's arguments say another length than the study;
            population-based training that changes the batch size.
        CheckpointError: the checkpoint to go on from is missing or damaged.
    """
    if trainer.eval_dataset is None:
        raise StudyError("The trainer has no eval_dataset: expected one, to compare trials by.")
    # Not the rung's end: a schedule drawn to that would begin anew in each rung.
    most = max(trial.horizon or 0, length(trial, epochs, "epochs="))
    _agree(trainer, most)
    report = _Report(trial, trainer)
    trainer.add_callback(report)
    with tempfile.TemporaryDirectory(prefix="luthier-") as folder:
        own = {
            "output_dir": folder,
            "num_train_epochs": float(most),
            "save_strategy": type(trainer.args.save_strategy)("no"),
            "save_only_model": False,
        }
        if trainer.args.seed == _UNSEEDED:  # for all trials: repetitions would be one and the same
            own["seed"] = trial.seed
            set_seed(trial.seed)
        with _for_now(trainer.args, own):
            try:
                trainer.train(resume_from_checkpoint=report.path)
            finally:
                report.epochs.close()
                report.leave()
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


def _batch_size(state: Path) -> Any:
    return json.loads(state.read_text()).get("train_batch_size")


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
