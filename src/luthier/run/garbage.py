"""Collects what finished trials left in circles of references, such as a model that knows its optimizer."""

from __future__ import annotations

import gc
import sys
import time

_SHARE = 0.05  # of the time, at most, goes into collecting
_state = {"next": 0.0}


def collect_if_due() -> None:
    """Collect, unless that was done a moment ago, measured by what it takes.

    After long trials it is done each time. After short ones it is not: a full collection takes as long
    as dozens of them where large libraries are loaded, and Python collects by itself as they allocate.
    But it knows nothing of a GPU's memory: where PyTorch uses one, it is done each time.
    """
    begin = time.perf_counter()
    torch = sys.modules.get("torch")
    if begin < _state["next"] and not (torch is not None and torch.cuda.is_initialized()):
        return
    gc.collect()
    end = time.perf_counter()
    _state["next"] = end + (end - begin) / _SHARE
