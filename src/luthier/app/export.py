"""Writes a study out: the best configuration as YAML or JSON, the trials as CSV or Parquet."""

from __future__ import annotations

import csv
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from io import StringIO
from pathlib import Path
from typing import Any

from luthier.errors import LuthierError, nearest
from luthier.study.history import History, TrialRecord

Rows = list[dict[str, Any]]


def export(history: History, best: TrialRecord | None, to: Path, *, curves: bool = False) -> None:
    """Write to *to* what its suffix says.

    ``.yaml``, ``.yml`` and ``.json`` get the best configuration; ``.csv`` and ``.parquet`` a row for
    each trial, or with *curves* for each report.

    Raises:
        LuthierError: an unknown suffix, no finite trial for the best configuration, or Parquet
            without pyarrow.
    """
    suffix = to.suffix.lower()
    configurations: dict[str, Callable[[Mapping[str, Any]], str]] = {
        ".yaml": as_yaml,
        ".yml": as_yaml,
        ".json": as_json,
    }
    if suffix in configurations:
        if best is None:
            raise NothingFinite(f"Study {history.header.name!r} has no trial with a finite value.")
        _write(to, configurations[suffix](best.configuration).encode())
    elif suffix in (".csv", ".parquet"):
        rows = report_rows(history) if curves else trial_rows(history)
        _write(to, _csv(rows) if suffix == ".csv" else _parquet(rows))
    else:
        known = [*configurations, ".csv", ".parquet"]
        raise LuthierError(
            f"Cannot tell from {str(to)!r} what to write: expected a name that ends in "
            f"{', '.join(known)}.{nearest(suffix, known)}"
        )


class NothingFinite(LuthierError):
    """There is no best configuration yet."""


def as_yaml(configuration: Mapping[str, Any]) -> str:
    """Return YAML whose numbers are numbers to readers of YAML 1.1 and 1.2 alike."""
    from ruamel.yaml import YAML
    from ruamel.yaml.scalarfloat import ScalarFloat

    writer = YAML()
    writer.default_flow_style = False
    writer.width = 4096

    def represent(representer: Any, value: float) -> Any:
        text = repr(value)
        if "e" in text and "." not in text:
            text = text.replace("e", ".0e")  # PyYAML reads 1e-05 as a string
        return representer.represent_scalar("tag:yaml.org,2002:float", text)

    for kind in (float, ScalarFloat):
        writer.representer.add_representer(kind, represent)
    out = StringIO()
    writer.dump({k: list(v) if isinstance(v, tuple) else v for k, v in configuration.items()}, out)
    return out.getvalue()


def as_json(configuration: Mapping[str, Any]) -> str:
    """Return the configuration as JSON."""
    return json.dumps(dict(configuration), indent=2, allow_nan=False) + "\n"


def trial_rows(history: History) -> Rows:
    """Return a row for each trial."""
    names = list(history.space.domains)
    return [
        {
            "trial": t.number,
            "state": str(t.state),
            "bracket": t.bracket,
            "epochs": t.step,
            "best": history.value(t.best_loss) if t.steps else None,
            "best_epoch": t.best_step if t.steps else None,
            "seconds": sum(t.seconds),
            "why": t.why or None,
            **{name: t.configuration.get(name) for name in names},
        }
        for t in history.trials
    ]


def report_rows(history: History) -> Rows:
    """Return a row for each report of each trial."""
    metrics = sorted({m for t in history.trials for values in t.metrics for m in values})
    return [
        {
            "trial": t.number,
            "epoch": step,
            "seconds": seconds,
            **{m: values.get(m) for m in metrics},
        }
        for t in history.trials
        for step, values, seconds in zip(t.steps, t.metrics, t.seconds, strict=True)
    ]


def _csv(rows: Rows) -> bytes:
    out = StringIO(newline="")
    writer = csv.DictWriter(out, list(rows[0]) if rows else ["trial"])
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def _parquet(rows: Rows) -> bytes:
    try:
        import pyarrow as arrow
        import pyarrow.parquet as parquet
    except ImportError:
        raise LuthierError(
            "Parquet needs pyarrow: pip install 'luthier[parquet]', or export to .csv."
        ) from None
    names = list(rows[0]) if rows else ["trial"]
    columns = {name: _column([row[name] for row in rows]) for name in names}
    sink = arrow.BufferOutputStream()
    parquet.write_table(arrow.table(columns), sink)
    return sink.getvalue().to_pybytes()


def _column(values: list[Any]) -> list[Any]:
    """Return a column of one type: what is mixed (a choice of 1 and 'auto') becomes text."""
    kinds = {type(v) for v in values if v is not None}
    if len(kinds) <= 1 or kinds == {int, float}:
        return [list(v) if isinstance(v, tuple) else v for v in values]
    return [None if v is None else str(v) for v in values]


def _write(to: Path, data: bytes) -> None:
    """Write all or nothing."""
    try:
        handle, temporary = tempfile.mkstemp(dir=to.parent, prefix=f".{to.name}.")
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(temporary, 0o644)
        os.replace(temporary, to)
    except OSError as error:
        raise LuthierError(f"Cannot write {to}: {error}.") from error
