"""PyTorch Lightning with Luthier: a callback that reports, checkpoints and stops; and ``fit``.

::

    def train(trial):
        luthier.lightning.fit(trial, Net(trial["learning_rate"]), datamodule=data)

    luthier.tune(train, space, minimize="val_loss", epochs=10, scheduler="hyperband")
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

try:
    import lightning.pytorch as pl
except ModuleNotFoundError as error:
    if error.name not in ("lightning", "lightning.pytorch"):
        raise
    raise ModuleNotFoundError(
        "luthier.lightning needs Lightning: pip install 'luthier[lightning]'", name="lightning"
    ) from error

from luthier.errors import StudyError
from luthier.study.trial import Trial
from luthier.train.callbacks import Epochs, length

_FILE = "lightning.ckpt"


class Report(pl.Callback):
    """Reports every validation, writes Lightning's own checkpoint with it, and stops when told.

    Lightning's checkpoint has the weights, the optimizers, the learning-rate schedules, the loops and the
    state of callbacks; a trial that was paused goes on from it by ``trainer.fit(..., ckpt_path=report.path)``.

    Attributes:
        path: the checkpoint to go on from; None for a fresh trial.
    """

    def __init__(self, trial: Trial) -> None:
        super().__init__()
        self.path: str | None = None
        self._trainer: Any = None
        self.epochs = Epochs(trial, self._save, self._restore)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Report what was logged, at the end of an epoch, when it is whole."""
        self._trainer = trainer
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        if self.epochs.report(metrics):
            trainer.should_stop = True

    def _save(self, folder: Path) -> None:
        self._trainer.save_checkpoint(folder / _FILE)

    def _restore(self, folder: Path) -> None:
        self.path = str(folder / _FILE)


def fit(
    trial: Trial,
    module: Any,
    *args: Any,
    epochs: int | None = None,
    datamodule: Any = None,
    **options: Any,
) -> Any:
    """Train a ``LightningModule`` for one trial, and return the trainer.

    Every metric that the module logs is reported after each epoch, under its own name.

    Args:
        trial: the trial.
        module: built from the trial's hyperparameters.
        *args: the data loaders, for training and for validation; or
        datamodule: what has them.
        epochs: the most epochs, where the study does not say.
        **options: of ``lightning.Trainer``; quiet, and without a logger and checkpoints of its own, unless
            they say otherwise.

    Raises:
        StudyError: no number of epochs; a trainer over several processes.
        CheckpointError: the checkpoint to go on from is missing or damaged.
    """
    report = Report(trial)
    quiet: dict[str, Any] = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    callbacks: Any = [*options.pop("callbacks", ()), report]
    end = length(trial, epochs, "epochs=")
    trainer = pl.Trainer(max_epochs=end, callbacks=callbacks, **{**quiet, **options})
    if trainer.world_size > 1:
        raise StudyError(
            f"The trainer has {trainer.world_size} processes: a trial of luthier.lightning trains in one. "
            "Use devices=1, and workers= of luthier.tune for trials at the same time."
        )
    pl.seed_everything(trial.seed_of(report.epochs.begin), verbose=False)
    try:
        trainer.fit(module, *args, datamodule=datamodule, ckpt_path=report.path)
    finally:
        report.epochs.close()
    return trainer


__all__ = ["Report", "fit"]
