"""PyTorch Lightning with Luthier: a callback that reports, checkpoints and stops; and ``fit``.

::

    def train(trial):
        luthier.lightning.fit(trial, Net(trial["learning_rate"]), datamodule=data)

    luthier.tune(train, space, minimize="val_loss", epochs=10, scheduler="hyperband")
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator
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

from lightning.pytorch.strategies.launchers import (
    _MultiProcessingLauncher,  # pyright: ignore[reportPrivateUsage]
    _SubprocessScriptLauncher,  # pyright: ignore[reportPrivateUsage]
)

from luthier.errors import StudyError
from luthier.run.ranks import Group, Leader, leader_here
from luthier.run.ranks.elsewhere import Elsewhere, Ranks
from luthier.run.ranks.meeting import ADDRESS, new_address
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
        self.epochs: Epochs | Ranks = Epochs(trial, self.save, self._restore)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Report what was logged, at the end of an epoch, when it is whole."""
        self._trainer = trainer
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        if self.epochs.report(metrics):
            trainer.should_stop = True

    def save(self, folder: Path) -> None:
        """Write Lightning's checkpoint into *folder*; every process has to call it."""
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

    With ``devices=2, strategy="ddp"`` the trial trains in two processes of this machine. Lightning starts
    the script again for each further one, or ``torchrun`` has started them all; there ``luthier.tune``
    trains what rank 0 was given, and returns what it found. With ``"ddp_spawn"`` only the training is in
    other processes. What rank 0 logs counts: log with ``sync_dist=True``.

    Args:
        trial: the trial.
        module: built from the trial's hyperparameters.
        *args: the data loaders, for training and for validation; or
        datamodule: what has them.
        epochs: the most epochs, where the study does not say.
        **options: of ``lightning.Trainer``; quiet, and without a logger and checkpoints of its own, unless
            they say otherwise.

    Raises:
        StudyError: no number of epochs; a trainer over several machines.
        CheckpointError: the checkpoint to go on from is missing or damaged.
        TrialError: another process of the trial failed.
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
    trainer: Any = pl.Trainer(max_epochs=end, callbacks=callbacks, **{**quiet, **options})
    if trainer.num_nodes > 1:
        raise StudyError(
            f"The trainer has {trainer.num_nodes} nodes: a trial of luthier.lightning trains on one machine. "
            "Use num_nodes=1, and run the script on each machine, on one study in a store that they share."
        )
    pl.seed_everything(trial.seed_of(trial.from_step), verbose=False)
    try:
        with _ranks(trial, trainer, report):
            trainer.fit(module, *args, datamodule=datamodule, ckpt_path=report.path)
    finally:
        report.epochs.close()
    return trainer


@contextlib.contextmanager
def _ranks(trial: Trial, trainer: Any, report: Report) -> Generator[None]:
    """Lead the processes that *trainer* is about to start, if it is."""
    launcher, strategy = trainer.strategy.launcher, trainer.strategy
    if isinstance(launcher, _MultiProcessingLauncher):
        with Elsewhere(trial, strategy.num_processes, report.epochs.report) as ranks:
            own, report.epochs = report.epochs, ranks.handed(report.save)
            try:
                yield
            finally:
                report.epochs = own
    elif isinstance(launcher, _SubprocessScriptLauncher) and leader_here() is None:
        if strategy.cluster_environment.creates_processes_externally:
            yield
            return
        leader = Leader(Group(0, strategy.num_processes, new_address())).lead()
        os.environ[ADDRESS] = leader.group.address
        trial.lead(leader)
        with leader.blamed(trial):
            yield
    else:
        yield


__all__ = ["Report", "fit"]
