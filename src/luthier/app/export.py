"""Writes a study out: the best configuration in many forms, the trials as CSV or Parquet."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from luthier.app.forms import FORMS, SUFFIXES
from luthier.app.whole_files import replace
from luthier.errors import LuthierError, nearest
from luthier.study.goals import outcome
from luthier.study.history import History
from luthier.study.records import TrialRecord

TABLES = (".csv", ".parquet")
_LIKE = {"hydra": ("yaml",)}  # forms that are files of another one
_FORMULAS = ("=", "+", "@", "\t", "\r")  # with which a cell of a spreadsheet begins to compute


class NothingFinite(LuthierError):
    """There is no best configuration yet."""

    exit_code = 4


@dataclass(frozen=True)
class Rows:
    """A table: its columns, there even when no row is, and a value or None for each of them."""

    columns: list[str]
    rows: list[dict[str, Any]]


def export(
    history: History, best: TrialRecord | None, to: Path, *, curves: bool = False, form: str = ""
) -> None:
    """Write to *to* what its suffix says.

    ``.yaml``, ``.yml``, ``.json``, ``.toml`` and ``.py`` get the best configuration; ``.csv`` and
    ``.parquet`` a row for each trial, or with *curves* for each report. ``.db`` is a database of Optuna's.

    Args:
        history: of the study.
        best: the trial whose configuration it is.
        to: the file.
        curves: a row for each report.
        form: one of ``luthier.app.forms.FORMS`` for the best configuration, whatever the suffix.

    Raises:
        LuthierError: an unknown suffix, curves in a file that cannot hold them, no finite trial for
            the best configuration, a file that cannot be written, or Parquet without pyarrow.
    """
    suffix = to.suffix.lower()
    form = form or SUFFIXES.get(suffix, "")
    if form:
        if curves:
            raise LuthierError(
                f"{suffix} holds one configuration, not curves: write them to .csv or .parquet."
            )
        _write(to, best_as(form, history, best).encode())
    elif suffix in TABLES:
        rows = report_rows(history) if curves else trial_rows(history)
        _write(to, _csv(rows) if suffix == ".csv" else _parquet(rows))
    elif suffix == ".db":
        from luthier.compat.optuna.exporting import write_optuna

        write_optuna(history, to)
    else:
        known = [*SUFFIXES, *TABLES, ".db"]
        raise LuthierError(
            f"Cannot tell from {str(to)!r} what to write: expected a name that ends in "
            f"{', '.join(known)}.{nearest(suffix, known)}"
        )


def checked_call(to: Path | None, form: str, *, curves: bool, trial: bool) -> None:
    """Refuse what would be ignored: see the arguments of ``export``.

    Args:
        to: the file; None to print.
        form: "" for what the file's name says.
        curves: whether a row for each report was asked for.
        trial: whether one trial was asked for.

    Raises:
        LuthierError: the form is another one than the file's; a table of one trial; or one
            configuration with curves.
    """
    suffix = "" if to is None else to.suffix.lower()
    table = suffix in (*TABLES, ".db")
    if form and (table or SUFFIXES.get(suffix, form) not in (form, *_LIKE.get(form, ()))):
        fitting = next(
            (s for s, f in SUFFIXES.items() if f in (form, *_LIKE.get(form, ()))), ".txt"
        )
        assert to is not None
        raise LuthierError(
            f"--to {to} and --as {form} contradict each other: leave --as out, or name a file such as "
            f"{to.with_suffix(fitting)}."
        )
    if trial and table:
        raise LuthierError(
            f"{to} gets all trials, so --trial would be ignored: leave it out, or write one trial's "
            "configuration, to .yaml, .json, .toml or .py."
        )
    if curves and suffix not in TABLES:
        what = f"--as {form}" if form else str(to)
        raise LuthierError(
            f"{what} holds {'studies' if suffix == '.db' else 'one configuration'}, not curves: write them "
            "with --to to .csv or .parquet, without --as."
        )


def best_as(form: str, history: History, best: TrialRecord | None) -> str:
    """Return the configuration of *best* in one of ``luthier.app.forms.FORMS``.

    Raises:
        NothingFinite: there is no such trial.
        LuthierError: that form cannot hold it.
    """
    if best is None:
        raise NothingFinite(f"Study {history.header.name!r} has no trial with a finite value.")
    return FORMS[form](best.configuration)


def trial_rows(history: History) -> Rows:
    """Return a row for each trial, with its metrics at its best epoch.

    A hyperparameter called like one of our columns gets a prefix.
    """
    own = ["trial", "state", "bracket", "epochs", "best", "best_epoch", "seconds", "why"]
    if history.repetitions:
        own.append("repeats")
    inherited = any(t.parent >= 0 for t in history.trials)
    if inherited:  # its first epochs are another one's: epochs - start are its own
        own += ["parent", "start"]
    reported = {name for names in {n for t in history.trials for n in t.names} for name in names}
    first, *goals = history.goals.metrics
    others = [*goals, *sorted(reported - {first, *goals})]
    asked = (name for t in history.trials for name in t.configuration)
    columns = _beside([*own, *others], [*history.space.domains, *asked], "configuration")
    metrics = _beside(own, others, "metric")
    rows: list[dict[str, Any]] = []
    for t in history.trials:
        finite = math.isfinite(t.best_loss)
        best = (history.value(t.best_loss), t.best_step) if finite else (None, None)
        ours = (t.number, str(t.state), t.bracket, t.step, *best, sum(t.seconds), t.why or None)
        if history.repetitions:
            ours = (*ours, t.repeats if t.repeats >= 0 else None)
        if inherited:
            ours = (*ours, *((t.parent, t.start) if t.parent >= 0 else (None, 0)))
        values: dict[str, Any] = {
            column: outcome(t, name) if any(name in n for n in t.names) else None
            for name, column in metrics.items()
        }
        values |= {column: t.configuration.get(name) for name, column in columns.items()}
        rows.append({**dict(zip(own, ours, strict=True)), **values})
    return Rows([*own, *metrics.values(), *columns.values()], rows)


def report_rows(history: History) -> Rows:
    """Return a row for each report of each trial; a metric called like our columns gets a prefix."""
    own = ["trial", "epoch", "seconds"]
    metrics = sorted({m for t in history.trials for values in t.metrics for m in values})
    columns = _beside(own, [history.objective.metric, *metrics], "metric")
    rows = [
        {
            **dict(zip(own, (t.number, step, seconds), strict=True)),
            **{column: values.get(name) for name, column in columns.items()},
        }
        for t in history.trials
        for step, values, seconds in zip(t.steps, t.metrics, t.seconds, strict=True)
    ]
    return Rows([*own, *columns.values()], rows)


def _beside(own: list[str], names: Iterable[str], prefix: str) -> dict[str, str]:
    """Return a column for each name that is not one of our *own*, nor another name's."""
    names = list(dict.fromkeys(names))
    taken = {*own, *names}
    columns: dict[str, str] = {}
    for name in names:
        column = name
        while column in own or (column != name and column in taken):
            column = f"{prefix}.{column}"
        columns[name] = column
    return columns


def _csv(table: Rows) -> bytes:
    out = StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(map(_cell, table.columns))
    writer.writerows([_cell(row[name]) for name in table.columns] for row in table.rows)
    return out.getvalue().encode()


def _cell(value: Any) -> Any:
    """Return *value*; text that a spreadsheet would compute as a formula has an apostrophe before it.

    So does the page's CSV (``page/src/words.ts``).
    """
    if not isinstance(value, str):
        return value
    formula = value.startswith(_FORMULAS) or (value.startswith("-") and not _is_number(value))
    return f"'{value}" if formula else value


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _parquet(table: Rows) -> bytes:
    try:
        import pyarrow as arrow
        import pyarrow.parquet as parquet
    except ImportError:
        raise LuthierError(
            "Parquet needs pyarrow: pip install 'luthier[parquet]', or export to .csv."
        ) from None

    def column(values: list[Any]) -> Any:
        """Return a column of one type: what is mixed (a choice of 1 and 'auto') becomes text."""
        kinds = {type(v) for v in values if v is not None}
        if len(kinds) <= 1 or kinds == {int, float}:
            try:
                return arrow.array(values)
            except (arrow.ArrowException, OverflowError):
                pass  # a tuple of mixed types
        return arrow.array([None if v is None else str(v) for v in values], arrow.string())

    columns = [column([row[name] for row in table.rows]) for name in table.columns]
    sink = arrow.BufferOutputStream()
    parquet.write_table(arrow.table(columns, names=table.columns), sink)
    return sink.getvalue().to_pybytes()


def _write(to: Path, data: bytes) -> None:
    """Write all or nothing."""
    if not to.parent.is_dir():
        raise LuthierError(
            f"Cannot write {to}: there is no folder {str(to.parent)!r}. Make it first, or write elsewhere."
        )
    try:
        replace(to, data)
    except OSError as error:  # its own text would name the file by its temporary name
        raise LuthierError(f"Cannot write {to}: {error.strerror or error}.") from error
