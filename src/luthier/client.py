"""``luthier.report(val_loss=0.3)`` from a script that ``luthier tune`` runs.

It also tells other programs how: connect to the Unix socket that ``LUTHIER_SOCKET`` names, write one JSON
object on a line, ``{"val_loss": 0.3, "step": 4}``, and read one back, ``{"go_on": true}``.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from typing import Any

from luthier.errors import StudyError

SOCKET = "LUTHIER_SOCKET"

_open: dict[tuple[int, str], Any] = {}  # by process: a forked child must not share its parent's


def report(
    metrics: Mapping[str, Any] | None = None, /, *, step: int | None = None, **named: Any
) -> bool:
    """Report the metrics after an epoch to the ``luthier tune`` that runs this script.

    ``if not luthier.report(val_loss=loss): break``. Write your checkpoint into the folder that
    ``LUTHIER_CHECKPOINT`` names before you report: it is kept by the time this returns. In a script that
    was started by hand it prints the metrics.

    Args:
        metrics: metrics whose names are no Python identifiers.
        step: epochs trained so far, counted from 1; by default one more than the last report.
        **named: metrics by name.

    Returns:
        Whether training is to go on. When it is not, SIGTERM follows; leaving the loop is enough.

    Raises:
        StudyError: a metric that is no number.
    """
    numbers = {name: _number(name, value) for name, value in {**(metrics or {}), **named}.items()}
    if step is not None:
        numbers["step"] = int(step)
    line = json.dumps(numbers)
    address = os.environ.get(SOCKET)
    if not address:
        print(line, flush=True)
        return True
    connection = _connection(address)
    connection.write(line + "\n")
    connection.flush()
    answer = connection.readline()
    return bool(answer) and bool(json.loads(answer).get("go_on"))


def _connection(address: str) -> Any:
    key = (os.getpid(), address)
    if key not in _open:
        _open.clear()
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.connect(address)
        _open[key] = connection.makefile("rw", encoding="utf-8")
    return _open[key]


def _number(name: str, value: Any) -> float:
    try:
        if isinstance(value, str | bytes | bool) or value is None:
            raise TypeError
        return float(value)
    except (TypeError, ValueError):
        raise StudyError(
            f"Metric {name!r} must be one number, got {value!r}. Report it as {name}=0.93."
        ) from None
