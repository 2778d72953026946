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
from typing import Any

import jax

_SETTING = b"xla_cpu_disable_loop_unrolling"
_lock = threading.Lock()
_asking = threading.local()  # .now: whether this thread compiles a program of ours
_under_way = {"compilations": 0}
_ordinary: dict[str, Any] = {}


def compiled(lowered: Any) -> Any:
    """Return a lowered program compiled."""
    if jax.default_backend() != "cpu":
        return lowered.compile()
    with _loops_as_they_are():
        return lowered.compile()


@contextmanager
def _loops_as_they_are() -> Generator[None]:
    """Have JAX ask XLA for loops that are not unrolled as long as this lasts, in this thread alone."""
    try:
        from jax._src import compiler
    except ImportError:
        compiler = None
    module: Any = compiler
    name = "get_compile_options"
    if not hasattr(module, name):  # a JAX that is made otherwise: only time is lost
        yield
        return
    with _lock:
        _under_way["compilations"] += 1
        if _under_way["compilations"] == 1:
            _ordinary[name] = getattr(module, name)
            setattr(module, name, _asked)
    _asking.now = True
    try:
        yield
    finally:
        _asking.now = False
        with _lock:
            _under_way["compilations"] -= 1
            if not _under_way["compilations"]:
                setattr(module, name, _ordinary[name])


def _asked(*arguments: Any, **named: Any) -> Any:
    """Return what JAX's own function does, for our programs with the setting."""
    options = _ordinary["get_compile_options"](*arguments, **named)
    if getattr(_asking, "now", False):
        with contextlib.suppress(Exception):
            return type(options).ParseFromString(options.SerializeAsString() + _ADDED)
    return options


def _field(number: int, content: bytes) -> bytes:
    """Return a field of a protocol buffer: its tag (type 2: bytes of a length), length and content."""
    return _whole_number(number << 3 | 2) + _whole_number(len(content)) + content


def _whole_number(value: int) -> bytes:
    more, low = divmod(value, 128)
    return bytes([low | 128]) + _whole_number(more) if more else bytes([low])


# CompileOptionsProto.executable_build_options.debug_options.xla_backend_extra_options[_SETTING] = "";
# a message that is there twice is merged, and so is a map.
_ADDED = _field(3, _field(3, _field(500, _field(1, _SETTING) + _field(2, b""))))
