"""Compiles a program for the processor with its loops as they are, not unrolled.

That takes half the processor time, and what comes out is as fast: an epoch's time is in the products of
matrices, which XLA does not compile, and in loops over arrays that are limited by memory. Measured with
JAX 0.10 (docs/fused.md). XLA takes the setting from the environment when it starts, for all of a process,
or in a compilation's options, where JAX has no word for it: it is added to their serialized form.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Generator
from contextlib import contextmanager
from functools import cache
from typing import Any

import jax

_SETTING = b"xla_cpu_disable_loop_unrolling"
_lock = threading.Lock()
_asking = threading.local()  # .now: whether this thread compiles a program of ours


def compiled(lowered: Any) -> Any:
    """Return a lowered program compiled."""
    if jax.default_backend() != "cpu":
        return lowered.compile()
    with _loops_as_they_are():
        return lowered.compile()


@contextmanager
def _loops_as_they_are() -> Generator[None]:
    """Have JAX ask XLA for loops that are not unrolled as long as this lasts, in this thread alone."""
    with _lock:
        _prepare()
    _asking.now = True
    try:
        yield
    finally:
        _asking.now = False


@cache
def _prepare() -> None:
    """Put a function in place of JAX's own that does the same, and more where a thread asks for it."""
    try:
        from jax._src import compiler
    except ImportError:
        return
    module: Any = compiler
    ordinary = getattr(module, "get_compile_options", None)
    if ordinary is None:  # a JAX that is made otherwise: only time is lost
        return

    def asked(*arguments: Any, **named: Any) -> Any:
        options = ordinary(*arguments, **named)
        if getattr(_asking, "now", False):
            with contextlib.suppress(Exception):
                return type(options).ParseFromString(options.SerializeAsString() + _ADDED)
        return options

    module.get_compile_options = asked


def _field(number: int, content: bytes) -> bytes:
    """Return a field of a protocol buffer: its tag (type 2: bytes of a length), length and content."""
    return _whole_number(number << 3 | 2) + _whole_number(len(content)) + content


def _whole_number(value: int) -> bytes:
    more, low = divmod(value, 128)
    return bytes([low | 128]) + _whole_number(more) if more else bytes([low])


# CompileOptionsProto.executable_build_options.debug_options.xla_backend_extra_options[_SETTING] = "";
# a message that is there twice is merged, and so is a map.
_ADDED = _field(3, _field(3, _field(500, _field(1, _SETTING) + _field(2, b""))))
