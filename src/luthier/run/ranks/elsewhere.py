"""Ranks that train in processes which the one with the study has started, and waits for."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from luthier.errors import TrialError
from luthier.run.ranks import messages as ms
from luthier.run.ranks.leading import Leader
from luthier.run.ranks.meeting import Group, new_address, rank_here
from luthier.study.protocols import Fate
from luthier.study.trial import Trial


class Elsewhere:
    """Leads *size* processes through one job of *trial*, whose rank 0 is among them.

    This process meanwhile waits for them in the library that started them; what rank 0 says is heard in
    a thread.

    Args:
        trial: whose job.
        size: how many processes.
        report: reports an epoch's metrics to the study; returns whether to stop.
    """

    def __init__(
        self, trial: Trial, size: int, report: Callable[[Mapping[str, Any]], object]
    ) -> None:
        self._trial = trial
        self._report = report
        self._error: BaseException | None = None
        group = Group(0, size, new_address())
        self._leader = Leader(group, others=size, on_report=self._reported)

    def handed(self, save: Callable[[Path], object]) -> Ranks:
        """Return what stands for the trial's epochs in the processes; it can be pickled.

        Args:
            save: writes the training state into a folder; called in every process.
        """
        return Ranks(self._leader.group.address, save)

    def __enter__(self) -> Elsewhere:
        self._trial.ranks = self._leader
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._trial.ranks = None
        self._leader.close()
        if self._error is not None and isinstance(error, Exception | None):
            raise self._error  # what their own failure came from

    def _reported(self, metrics: dict[str, float]) -> None:
        try:
            self._report(metrics)
        except BaseException as error:
            self._error = error
            self._leader.give_up("".join(traceback.format_exception(error)))


class Ranks:
    """A trial's epochs, in a process that only trains; see ``luthier.train.callbacks.Epochs``."""

    def __init__(self, address: str, save: Callable[[Path], object]) -> None:
        self._address = address
        self._save = save
        self._line: ms.Line | None = None

    def report(self, metrics: Mapping[str, Any]) -> bool:
        """Have rank 0's metrics of an epoch reported, write the checkpoint, and return whether to stop.

        Raises:
            TrialError: the study refused them, or its process is gone.
        """
        if self._line is None:
            self._line = ms.Line(self._address, rank_here())
        if self._line.rank == 0:
            self._line.send(ms.Reported({name: float(value) for name, value in metrics.items()}))
        while True:
            match message := self._line.next():
                case ms.Saving():
                    self._save(Path(message.folder))
                    self._line.send(ms.Answer())
                case ms.Told():
                    return Fate(message.fate) is not Fate.GO_ON
                case ms.Failed():
                    raise TrialError(message.text)
                case _:
                    pass

    def close(self) -> None:
        """Do nothing: the process with the study ends the loop."""
