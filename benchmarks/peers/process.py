"""The near end of a peer that runs in its own process and environment; the far end is ``worker.py``."""

from __future__ import annotations

import contextlib
import json
import select
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peers.install import python_of

if TYPE_CHECKING:
    from peers import Peer

HERE = Path(__file__).parent


class PeerError(RuntimeError):
    """A peer ended, or took too long; the message has its last words."""


class PeerProcess:
    """One peer searching one space.

    Raises:
        PeerError: from every method, see there.
    """

    def __init__(
        self,
        peer: Peer,
        space: list[dict[str, Any]],
        seed: int,
        evaluations: int,
        venvs: Path,
        patience: float,
    ) -> None:
        self.seconds = self.told = 0.0
        self.far = FarEnd(HERE / "worker.py", peer.venv, f"{peer.venv}_adapter", venvs, patience)
        opening = {"space": space, "kind": peer.kind, "seed": seed, "evaluations": evaluations}
        self.version = self.far.answer(opening)["version"]

    def ask(self) -> dict[str, Any]:
        """Return the next configuration; ``seconds`` has what proposing it took, without the pipe."""
        answer = self.far.answer({"ask": True})
        self.seconds = answer["seconds"]
        return answer["configuration"]

    def tell(self, loss: float | None) -> None:
        """End the trial last asked for; None: it diverged."""
        self.told = self.far.answer({"tell": loss})["seconds"]

    def fill(self, trials: list[tuple[dict[str, Any], float | None]]) -> None:
        """Tell of trials that were never asked for."""
        self.far.answer({"fill": trials})

    def close(self) -> None:
        """End the process."""
        self.far.close()


class FarEnd:
    """A process of the environment *venv* that answers lines of JSON with lines of JSON.

    Args:
        script: what it runs, with *adapter* for an argument.
        patience: seconds after which an answer is given up.
    """

    def __init__(self, script: Path, venv: str, adapter: str, venvs: Path, patience: float) -> None:
        self.patience, self.buffer = patience, b""
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115
        self.process = subprocess.Popen(
            [str(python_of(venvs, venv)), str(script), adapter],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            bufsize=0,
        )

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.errors):
            with contextlib.suppress(OSError):
                pipe.close()

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Send a request and return its answer.

        Raises:
            PeerError: the process ended, or takes too long.
        """
        deadline = time.monotonic() + self.patience
        try:
            self._send(json.dumps(request).encode() + b"\n")
            while b"\n" not in self.buffer:
                left = deadline - time.monotonic()
                if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                    raise PeerError(f"no answer within {self.patience:g} s")
                if not (part := self.process.stdout.read(1 << 16)):
                    raise PeerError(f"it ended: {self._last_words()}")
                self.buffer += part
        except BrokenPipeError:
            raise PeerError(f"it ended: {self._last_words()}") from None
        except PeerError:
            self.close()
            raise
        line, _, self.buffer = self.buffer.partition(b"\n")
        return json.loads(line)

    def _send(self, line: bytes) -> None:
        while line:  # a pipe may take less than all of a long line
            line = line[self.process.stdin.write(line) :]

    def _last_words(self) -> str:
        self.process.wait(10)
        self.errors.seek(0)
        lines = self.errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else f"exit status {self.process.returncode}"
