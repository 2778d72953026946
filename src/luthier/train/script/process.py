"""A script's process: started in a group of its own, listened to, and ended with a grace period."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from luthier.errors import StudyError, nearest
from luthier.run.forkserver import die_with_parent

_TAIL = 25  # lines of each stream that an error shows


class Process:
    """A running script.

    Args:
        arguments: the program first.
        environment: what its environment has besides ours.
        log: what it prints is appended there.
        heard: called with each line that it prints, from a thread.

    Raises:
        StudyError: there is no such program.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
        heard: Callable[[str], None],
    ) -> None:
        self.told_to_end = False
        self._tails: dict[str, deque[str]] = {
            name: deque(maxlen=_TAIL) for name in ("stdout", "stderr")
        }
        self._heard = heard
        self._log = log.open("a", encoding="utf-8", errors="replace")
        self._writing = threading.Lock()
        try:
            self._process = subprocess.Popen(
                arguments,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                errors="replace",
                process_group=0,
                preexec_fn=die_with_parent,
            )
        except OSError as error:
            self._log.close()
            raise StudyError(
                f"Cannot run {arguments[0]!r}: {error.strerror}.{_nearby(arguments[0])}"
            ) from None
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._readers = [
            threading.Thread(target=self._read, args=(pipe, tail))
            for pipe, tail in zip(
                (self._process.stdout, self._process.stderr), self._tails.values(), strict=True
            )
        ]
        for reader in self._readers:
            reader.daemon = True
            reader.start()

    @property
    def code(self) -> int | None:
        """Return the exit code, below 0 for a signal; None while it runs."""
        return self._process.poll()

    @property
    def tail(self) -> str:
        """Return the last lines that it printed: of stdout, and then of stderr, where most errors are."""
        texts = {name: "\n".join(lines) for name, lines in self._tails.items() if lines}
        if len(texts) < 2:
            return "".join(texts.values())
        return "\n\n".join(f"On {name}:\n{text}" for name, text in texts.items())

    def wait(self, seconds: float) -> bool:
        """Wait for its end, and return whether it has come."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def drain(self) -> None:
        """Read what it had printed before its end."""
        for reader in self._readers:
            reader.join(1.0)  # a process that it left behind may hold the pipe

    def end(self, grace: float) -> None:
        """Ask its whole group to end, and kill what is left of it after *grace* seconds."""
        if self.code is None:
            self.told_to_end = True
            self._signal(signal.SIGTERM)
            self.wait(grace)
        until = time.monotonic() + min(grace, 1.0)
        while self._signal(0) and self.code is not None and time.monotonic() < until:
            time.sleep(0.01)  # those it had started
        self._signal(signal.SIGKILL)
        self._process.wait()
        self.drain()
        with self._writing, contextlib.suppress(OSError):  # a full disk
            self._log.close()

    def _signal(self, what: int) -> bool:
        try:
            os.killpg(self._process.pid, what)
        except (ProcessLookupError, PermissionError):
            return False
        return True

    def _read(self, pipe: IO[str], tail: deque[str]) -> None:
        for line in pipe:
            # The pipe is emptied whatever becomes of the log: a full one would hold the script up. The log is
            # closed (ValueError) when the script was killed; the disk may be full (OSError).
            with contextlib.suppress(ValueError, OSError), self._writing:
                self._log.write(line)
                self._log.flush()
            tail.append(line.rstrip("\n"))
            self._heard(line)


def _nearby(program: str) -> str:
    folder = Path(program).parent
    try:
        names: list[Any] = [str(folder / p.name) for p in folder.iterdir() if p.is_file()]
    except OSError:
        return ""
    return nearest(program, names)
