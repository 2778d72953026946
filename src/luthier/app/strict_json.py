"""JSON that every reader takes: it has no NaN and no infinity."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, cast


def strict_json(data: Any, indent: int | None = None) -> str:
    """Return plain data as JSON; numbers that are not finite become null."""
    return json.dumps(_finite(data), indent=indent, allow_nan=False)


def _finite(data: Any) -> Any:
    if isinstance(data, float):
        return data if math.isfinite(data) else None
    if isinstance(data, Mapping):
        return {k: _finite(v) for k, v in cast(Mapping[Any, Any], data).items()}
    if isinstance(data, list | tuple):
        return [_finite(v) for v in cast(Sequence[Any], data)]
    return data
