"""Runs of peers that come with the repository, so that a comparison need not run them all again.

A run is a function of tuner, version, task and seed, so it may come from an earlier day. One file a tuner:
gzipped JSON lines of file name and record. Luthier's own runs are left out: its code changes.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

from peers import OWN

KEPT = Path(__file__).parents[1] / "kept"
_DIGITS = 7


def unpack(kind: str, cache: Path) -> None:
    """Put what is kept of one benchmark into its *cache*, where it has not got it yet."""
    cache.mkdir(parents=True, exist_ok=True)
    for packed in sorted((KEPT / kind).glob("*.jsonl.gz")):
        with gzip.open(packed, "rt", encoding="utf-8") as lines:
            for line in lines:
                name, record = json.loads(line)
                if not (cache / name).exists():
                    (cache / name).write_text(json.dumps(record))


def without_runs(missing: dict[str, str], cache: Path) -> dict[str, str]:
    """Return those of the *missing* tuners, with the reasons, of which no earlier run is there either."""
    return {name: why for name, why in missing.items() if not any(cache.glob(f"*__{name}__*.json"))}


def pack(kind: str, cache: Path) -> None:
    """Keep the peers' runs that *cache* holds and that no error ended."""
    found: dict[str, list[tuple[str, Any]]] = {}
    for path in sorted(cache.glob("*__*.json")):
        task, _, rest = path.name.partition("__")
        tuner = rest.partition("__")[0]
        record = json.loads(path.read_text())
        if task != "reference" and not tuner.startswith(OWN) and "error" not in record:
            found.setdefault(tuner, []).append((path.name, _shorter(record)))
    (KEPT / kind).mkdir(parents=True, exist_ok=True)
    for tuner, runs in found.items():
        text = "".join(json.dumps(run, separators=(",", ":")) + "\n" for run in runs)
        packed = gzip.compress(text.encode(), mtime=0)  # the same runs make the same file
        (KEPT / kind / f"{tuner}.jsonl.gz").write_bytes(packed)


def _shorter(value: Any) -> Any:
    """Return *value* with its numbers to seven digits."""
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}")
    if isinstance(value, list):
        return [_shorter(part) for part in value]
    if isinstance(value, dict):
        return {key: _shorter(part) for key, part in value.items()}
    return value
