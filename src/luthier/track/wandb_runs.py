"""Weights & Biases: a run for each trial that has ended, by the ``wandb`` package.

Which trials it has, and how they had ended, is kept beside its runs, so nothing is written twice.
"""

from __future__ import annotations

import hashlib
import importlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from luthier.errors import LuthierError
from luthier.study.history import History
from luthier.study.records import TrialRecord, TrialState
from luthier.track.turns import Turn

_There = dict[int, tuple[str, float | None]]  # by trial: its state, and when it ended


class WandB:
    """Writes a study's trials as runs of one group.

    Args:
        project: the runs' project.
        folder: where the folder ``wandb`` is, or is made.
        mode: "offline" or "online".

    Raises:
        LuthierError: wandb is not installed.
    """

    def __init__(self, project: str, folder: Path, mode: str) -> None:
        try:
            self._wandb: Any = importlib.import_module("wandb")
        except ModuleNotFoundError as error:
            raise LuthierError(
                f"Weights & Biases needs {error.name}, which is not installed: pip install 'luthier[wandb]'"
            ) from error
        self._project = project
        self._folder = folder.absolute()
        self._mode = mode
        self._turn = Turn(f"wandb:{project} in {folder.resolve()}")

    @property
    def name(self) -> str:
        """Return the project."""
        return f"wandb:{self._project}"

    def write(self, history: History, trials: Sequence[TrialRecord]) -> None:
        """Write those of *trials* that have ended and are not there yet, or ended otherwise before.

        Raises:
            AnotherWrites: another process of this machine does it.
        """
        self._turn.begin(history)
        header = history.header
        own = hashlib.blake2b(f"{header.name}\0{header.time!r}".encode(), digest_size=4).hexdigest()
        kept = self._folder / "wandb" / f"luthier-{own}-{quote(self._project, safe='')}.json"
        there = _there(kept)
        for trial in trials:
            ended = (str(trial.state), trial.ended_at)
            if trial.state.ended and there.get(trial.number) != ended:
                self._write_trial(history, trial, own)
                there[trial.number] = ended
                _keep(kept, there)

    def close(self) -> None:
        """Let other processes write."""
        self._turn.end()

    def _write_trial(self, history: History, trial: TrialRecord, own: str) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        settings = self._wandb.Settings(silent=True, console="off", x_disable_stats=True)
        run = self._wandb.init(
            project=self._project,
            dir=str(self._folder),
            mode=self._mode,
            group=history.header.name,
            job_type="trial",
            name=f"{history.header.name} {trial.number}",
            id=f"{own}-{trial.number}",
            config=dict(trial.configuration),
            tags=[str(trial.state)],
            reinit="create_new",
            settings=settings,
        )
        for step, metrics in zip(trial.steps, trial.metrics, strict=True):
            run.log(metrics, step=step)
        run.summary["state"] = str(trial.state)
        if trial.why:
            run.summary["why"] = trial.why
        if trial.best_step:
            run.summary[f"best_{history.objective.metric}"] = history.value(trial.best_loss)
            run.summary["best_epoch"] = trial.best_step
        failed = trial.state in (TrialState.FAILED, TrialState.DIVERGED)
        run.finish(exit_code=1 if failed else 0)


def _there(kept: Path) -> _There:
    """Return what was written; nothing where the file cannot be read, so that all is written again."""
    try:
        return msgspec.json.decode(kept.read_bytes(), type=_There)
    except (FileNotFoundError, msgspec.MsgspecError):
        return {}


def _keep(kept: Path, there: _There) -> None:
    """Write the file whole or not at all."""
    kept.parent.mkdir(parents=True, exist_ok=True)
    temporary = kept.with_name(f".{kept.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(msgspec.json.encode(there))
        os.replace(temporary, kept)
    finally:
        temporary.unlink(missing_ok=True)


__all__ = ["WandB"]
