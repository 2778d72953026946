"""PyTorch Lightning with Luthier: a callback that reports, checkpoints and stops; and ``fit``.

::

    def train(trial):
        luthier.lightning.fit(trial, Net(trial["learning_rate"]), datamodule=data)

    luthier.tune(train, space, minimize="val_loss", epochs=10, scheduler="hyperband")
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Generator, Mapping
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
_LOADERS = (
    "give the data loaders after the module: luthier.lightning.fit(trial, module, train, val)."
)
_OURS = {
    "max_epochs": "how long a trial trains is epochs= of luthier.tune, or where that has none, of fit.",
    "ckpt_path": "a trial that goes on does so from its own checkpoint. Leave it out.",
    "train_dataloaders": _LOADERS,
    "val_dataloaders": _LOADERS,
}
"""Arguments that somebody used to Lightning gives, and what to do here."""


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
        **options: of ``lightning.Trainer``; without a progress bar, a summary, a logger and checkpoints of
            its own, unless they say otherwise. What Lightning says at level INFO (which devices there are,
            what it restored) is not printed; at ``DEBUG`` its loggers are left alone.

    Raises:
        StudyError: no number of epochs; a trainer over several machines; an option that is the study's
            affair, such as ``max_epochs``.
        CheckpointError: the checkpoint to go on from is missing or damaged.
        TrialError: another process of the trial failed.
    """
    _check(options)
    report = Report(trial)
    plain: dict[str, Any] = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    callbacks: Any = [*options.pop("callbacks", ()), report]
    end = length(trial, epochs, "epochs=")
    with _quiet():
        trainer: Any = pl.Trainer(max_epochs=end, callbacks=callbacks, **{**plain, **options})
        if trainer.num_nodes > 1:
            raise StudyError(
                f"The trainer has {trainer.num_nodes} nodes: a trial of luthier.lightning trains on one "
                "machine. Use num_nodes=1, and run the script on each machine, on one study in a store that "
                "they share."
            )
        pl.seed_everything(trial.seed_of(trial.from_step), verbose=False)
        try:
            with _ranks(trial, trainer, report):
                trainer.fit(module, *args, datamodule=datamodule, ckpt_path=report.path)
        finally:
            report.epochs.close()
    return trainer


def _check(options: Mapping[str, Any]) -> None:
    """Refuse what is not the caller's to say."""
    for name, instead in _OURS.items():
        if name in options:
            value = options[name]
            shown = f"={value!r}" if isinstance(value, int | str) else "="
            raise StudyError(f"luthier.lightning.fit got {name}{shown}: {instead}")


@contextlib.contextmanager
def _quiet() -> Generator[None]:
    """Keep from the terminal what Lightning says to each trainer anew; warnings stay."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    raised = [logger for logger in loggers if logger.level == logging.INFO]  # as Lightning sets it
    for logger in raised:
        logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        for logger in raised:
            logger.setLevel(logging.INFO)


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
