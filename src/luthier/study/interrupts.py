"""Ctrl-C that waits while Luthier is at something that must not be left half done.

Python raises KeyboardInterrupt between any two instructions of the main thread: between the event
that leases a trial and the training it is for, or with a lock taken that nobody then lets go. So
while the worker's loop runs, Ctrl-C is only noted, but where the user's code runs or nothing happens.
The second one does not wait.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Generator
from types import FrameType


class _Here(threading.local):
    """Whether Ctrl-C waits in this thread. Only the main thread is ever interrupted."""

    def __init__(self) -> None:
        self.depth = 0
        self.pressed: Callable[[], object] | None = None  # what it would have done at once


_here = _Here()


def check() -> None:
    """Raise KeyboardInterrupt if Ctrl-C waits."""
    pressed, _here.pressed = _here.pressed, None
    if pressed is not None:
        pressed()


class held:  # noqa: N801 (a context manager, light enough for every report)
    """Let Ctrl-C wait until this block is left, or one of ``through`` is entered.

    Raises:
        KeyboardInterrupt: at the end of the outermost such block, if it was pressed inside.
    """

    # Both blocks put back the depth they found and count nothing: Ctrl-C at the end of a block of
    # ``through`` skips its __exit__, and whoever is around it must not be misled by that.

    def __enter__(self) -> None:
        self._depth = _here.depth
        _here.depth = self._depth + 1

    def __exit__(self, *_: object) -> None:
        _here.depth = self._depth
        if not self._depth:
            check()


class through:  # noqa: N801
    """Inside ``held``: let Ctrl-C be raised at once in this block.

    Raises:
        KeyboardInterrupt: when it had waited, or is pressed.
    """

    def __enter__(self) -> None:
        self._depth = _here.depth
        try:
            _here.depth = 0
            check()
        except BaseException:
            _here.depth = self._depth
            raise

    def __exit__(self, *_: object) -> None:
        _here.depth = self._depth


@contextlib.contextmanager
def heard() -> Generator[None]:
    """Have Ctrl-C wait in blocks of ``held``; for the main thread, and its usual meaning there."""
    before = signal.getsignal(signal.SIGINT)
    if not callable(before) or threading.current_thread() is not threading.main_thread():
        yield
        return

    def pressed(number: int, frame: FrameType | None) -> None:
        if _here.depth and _here.pressed is None:
            _here.pressed = lambda: before(number, None)
        else:
            before(number, frame)

    signal.signal(signal.SIGINT, pressed)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGINT) is pressed:  # and not what the training code has set
            signal.signal(signal.SIGINT, before)
