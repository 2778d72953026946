"""The compiled programs of this process, and on disk those of earlier ones.

A program holds nothing of the trial that it was compiled for, so all of a study's trials with the same
shapes use one, and a worker that starts anew reads it from the disk instead of compiling it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pickle
import platform
import re
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax

from luthier.train.fused.compiling import compiled
from luthier.train.fused.experience import experience
from luthier.train.fused.place import folder

_KEPT = 32  # programs in memory, 1 to 5 MB each for small nets
_KEPT_ON_DISK = 500
_OURS = re.compile(r"[0-9a-f]{64}")  # as programs' files are called
_MADE = "3"  # raised when programs are compiled in another way


class Program:
    """A compiled program, or one that is compiled when it is first wanted.

    Args:
        key: names it.
        made: compiled.
        lowered: in place of that, to be compiled.
        tracing: seconds that it took to get there.
    """

    def __init__(self, key: str, made: Any, lowered: Any = None, tracing: float = 0.0) -> None:
        self._key, self._made, self._lowered, self._tracing = key, made, lowered, tracing
        self._lock = threading.Lock()

    def __call__(self, *arguments: Any) -> Any:
        """Run it."""
        return self.compiled()(*arguments)

    def compiled(self) -> Callable[..., Any]:
        """Return it compiled: by one thread, while others that want it wait."""
        with self._lock:
            if self._made is None:
                begin = time.perf_counter()
                self._made = compiled(self._lowered)
                self._lowered = None
                compiled_seconds.append(self._tracing + time.perf_counter() - begin)
                experience.compiling = compiled_seconds[-1]
                _write(self._key, self._made)
            return self._made


_known: OrderedDict[str, Program] = OrderedDict()
compiled_seconds: list[float] = []  # what each compilation of this process took


def program(key: str, function: Callable[..., Any], arguments: Sequence[Any]) -> Program:
    """Return *function* compiled for *arguments*, from memory or from the disk; else it will be.

    What is nowhere is traced now, and compiled where it is called: in the caller's thread, beside what
    other threads run.

    Args:
        key: names function and shapes.
        function: to be compiled when nothing is found under *key*.
        arguments: trees of arrays, or of their shapes.
    """
    if key in _known:
        _known.move_to_end(key)
        return _known[key]
    if (made := _read(key)) is not None:
        found = Program(key, made)
    else:
        begin = time.perf_counter()
        # No memory is given away: a user's state may hold one array twice.
        lowered = jax.jit(function).lower(*arguments)
        found = Program(key, None, lowered, time.perf_counter() - begin)
    _known[key] = found
    while len(_known) > _KEPT:
        _known.popitem(last=False)
    return found


def forget() -> None:
    """Let go of all programs in memory."""
    _known.clear()


# -- on the disk -----------------------------------------------------------------------------------


def _path(key: str) -> Path | None:
    """Return the file of a program: one that was compiled for this machine by this compiler."""
    place = folder()
    if place is None:
        return None
    device = jax.devices()[0]
    parts = [
        _MADE,
        key,
        jax.__version__,
        device.platform,
        device.device_kind,
        str(len(jax.devices())),
    ]
    parts += [device.client.platform_version, os.environ.get("XLA_FLAGS", ""), _processor()]
    return place / hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _processor() -> str:
    """Return what the processor can do: a program for another one may crash on it."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith(("flags", "Features")):
                return line
    return platform.processor() + platform.machine()


def _read(key: str) -> Any:
    from jax.experimental import serialize_executable

    path = _path(key)
    if path is None:
        return None
    try:
        if not path.exists() or path.stat().st_uid != os.getuid():
            return None  # it is unpickled: nobody else's
        found = serialize_executable.deserialize_and_load(*pickle.loads(path.read_bytes()))
        os.utime(path)
    except Exception:  # of another version, damaged, or not for us to see: it is compiled anew
        return None
    return found


def _write(key: str, made: Any) -> None:
    from jax.experimental import serialize_executable

    path = _path(key)
    if path is None:
        return
    with contextlib.suppress(Exception):  # a full disk, a backend that cannot: only time is lost
        content = pickle.dumps(serialize_executable.serialize(made))
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _put(path, content)
        # The folder may hold what is not ours.
        programs = [p for p in path.parent.iterdir() if _OURS.fullmatch(p.name)]
        newest_last = sorted(programs, key=lambda p: p.stat().st_mtime)
        for old in newest_last[:-_KEPT_ON_DISK]:
            old.unlink()


def _put(path: Path, content: bytes) -> None:
    """Write a file whole, or leave nothing."""
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        written = Path(file.name)
        try:
            file.write(content)
        except BaseException:
            written.unlink()
            raise
    os.replace(written, path)
