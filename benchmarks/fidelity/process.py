"""The near end of a multi-fidelity peer in its own process; the far end is ``worker.py``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from peers.process import FarEnd

from fidelity import Job, Setting

WORKER = Path(__file__).with_name("worker.py")


class FidelityProcess:
    """One peer, asked for jobs; every method raises ``peers.process.PeerError`` when the peer fails."""

    def __init__(
        self, venv: str, kind: str, setting: Setting, venvs: Path, patience: float
    ) -> None:
        self.seconds = 0.0
        self.far = FarEnd(WORKER, venv, f"fidelity.{venv}_adapter", venvs, patience)
        try:
            self.version = self.far.answer({"kind": kind, "setting": setting._asdict()})["version"]
        except BaseException:
            self.far.close()
            raise

    def ask(self) -> Job | Literal["wait", "done"]:
        """Return a job, or why there is none."""
        answer = self.far.answer({"ask": True})
        self.seconds += answer["seconds"]
        return Job(*answer["job"]) if "job" in answer else answer["none"]

    def report(self, trial: int, step: int, loss: float | None) -> bool:
        """Tell the loss after an epoch, None when it diverged; return whether to go on."""
        answer = self.far.answer({"report": [trial, step, loss]})
        self.seconds += answer["seconds"]
        return answer["goes_on"]

    def close(self) -> None:
        """End the process."""
        self.far.close()
