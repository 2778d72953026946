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
from collections.abc import Callable, Generator
from functools import partial
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
from lightning.pytorch.utilities.exceptions import SIGTERMException

from luthier.errors import StudyError
from luthier.run.ranks import Group, Leader, leader_here
from luthier.run.ranks.elsewhere import Elsewhere, Ranks
from luthier.run.ranks.meeting import ADDRESS, new_address
from luthier.study.trial import Trial
from luthier.train.callbacks import Epochs, check_options, length, listed
from luthier.train.torch_schedules import Built

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
    """Reports every epoch, writes Lightning's own checkpoint with it, and stops when told.

    Lightning's checkpoint has the weights, the optimizers, the learning-rate schedules, the loops and the
    state of callbacks; a trial that was paused goes on from it by ``trainer.fit(..., ckpt_path=report.path)``.
    One that goes on from another trial's (population-based training) keeps its own learning rate, momentum,
    weight decay and so on.

    Attributes:
        path: the checkpoint to go on from; None for a fresh trial.
    """

    def __init__(self, trial: Trial) -> None:
        super().__init__()
        self.path: str | None = None
        self._trainer: Any = None
        self._inherits = False
        self._built: Built | None = None
        self._peaks: list[list[float]] | None = None  # of whoever wrote the checkpoint
        self.epochs: Epochs | Ranks = Epochs(trial, self.save, self._restore, self._inherit)

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Have the epochs of *trainer* end with a report."""
        # Any hook would come too early: before a plateau's step, other callbacks, or what the module logs.
        loop = trainer.fit_loop
        loop.on_advance_end = partial(self._end_epoch, trainer, type(loop).on_advance_end)

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        """Remember what the optimizers and schedules were built with: their state is read next."""
        schedules = [each.scheduler for each in trainer.lr_scheduler_configs]
        self._built = Built([*trainer.optimizers, *schedules])

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Put back what the checkpoint was not to change."""
        if self.path is not None and self._built is not None:
            self._built.tie()
            if self._inherits:
                self._built.keep_own(self._peaks)

    def state_dict(self) -> dict[str, Any]:
        """Return the learning rates from which training started, for an heir's share of them."""
        return {} if self._built is None else {"peaks": self._built.peaks}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Read them."""
        self._peaks = state_dict.get("peaks")

    def _end_epoch(self, trainer: Any, end: Callable[[Any], None]) -> None:
        """End an epoch as Lightning does, then report what was logged, when it is whole."""
        loop, told_to_go = trainer.fit_loop, None
        try:
            end(loop)
        except SIGTERMException as error:  # its last word: the epoch is over, and counts
            told_to_go = error
        self._trainer = trainer
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        if self.epochs.report(metrics):
            trainer.should_stop = True
            loop.min_epochs = loop.epoch_loop.min_steps = None  # the study's word counts
        if told_to_go is not None:
            raise told_to_go

    def save(self, folder: Path) -> None:
        """Write Lightning's checkpoint into *folder*; every process has to call it."""
        self._trainer.save_checkpoint(folder / _FILE)

    def _restore(self, folder: Path) -> None:
        self.path = str(folder / _FILE)

    def _inherit(self, folder: Path) -> None:
        self._restore(folder)
        self._inherits = True


def fit(
    trial: Trial,
    module: Any,
    *args: Any,
    epochs: int | None = None,
    datamodule: Any = None,
    **options: Any,
) -> Any:
    """Train a ``LightningModule`` for one trial, and return the trainer.

    Every metric that the module logs is reported after each epoch, under its own name. The trainer's
    ``max_epochs`` is the most epochs that a trial of the study has, so a schedule that is drawn to it, or to
    ``trainer.estimated_stepping_batches``, is the same in every rung.

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
    check_options("luthier.lightning.fit", options, _OURS)
    report = Report(trial)
    plain: dict[str, Any] = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    callbacks: Any = [*listed(options.pop("callbacks", None)), report]
    # Not the rung's end: a schedule drawn to that would begin anew in each rung, or be over.
    most = max(trial.horizon or 0, length(trial, epochs, "epochs="))
    with _quiet():
        trainer: Any = pl.Trainer(max_epochs=most, callbacks=callbacks, **{**plain, **options})
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
