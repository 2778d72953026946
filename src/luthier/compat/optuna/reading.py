"""Reads Optuna's own storages, SQLite, PostgreSQL and journal files, without Optuna.

The tables are those of Optuna 3 to 5 (``version_info.schema_version`` 12): a categorical value is the
index of its choice, infinities and NaN are words beside the number, times are naive and local. A journal is
a file of JSON lines, each an operation by its number.
"""

from __future__ import annotations

import datetime
import json
import math
import sqlite3
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from luthier.compat.optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    IntDistribution,
    json_to_distribution,
)
from luthier.compat.optuna.storages import is_optunas, sqlite_path
from luthier.compat.optuna.trial import FrozenTrial, TrialState
from luthier.errors import StorageError, nearest
from luthier.storage import without_secrets

Query = Callable[[str], Sequence[tuple[Any, ...]]]
_NOT_FINITE: dict[str, Any] = {"INF_POS": math.inf, "INF_NEG": -math.inf, "NAN": math.nan}


@dataclass
class Kept:
    """A study of Optuna's as its storage has it."""

    name: str
    directions: list[str]
    user_attrs: dict[str, Any] = field(default_factory=dict[str, Any])
    system_attrs: dict[str, Any] = field(default_factory=dict[str, Any])
    trials: list[FrozenTrial] = field(default_factory=list[FrozenTrial])

    @property
    def metric_names(self) -> list[str] | None:
        """Return what its objectives were called, if they were."""
        return self.system_attrs.get("study:metric_names")


def read_studies(url: str) -> list[Kept]:
    """Return all studies in a storage of Optuna's.

    Args:
        url: ``sqlite:///study.db``, a path to an SQLite file or a journal, or ``postgresql://...``.

    Raises:
        StorageError: there is none, or it is something else.
    """
    if url.startswith("postgresql"):
        with _postgres(url) as query:
            return _from_tables(query)
    path = sqlite_path(url)
    if path is None:
        raise StorageError(
            f"{without_secrets(url)!r}: expected sqlite:///FILE, a journal's file, or postgresql://user@host/database."
        )
    if not path.is_file():
        beside = [str(p) for p in path.parent.iterdir()] if path.parent.is_dir() else []
        raise StorageError(f"There is no file {str(path)!r}.{nearest(str(path), beside)}")
    if is_optunas(path):
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
            return _from_tables(lambda text: connection.execute(text).fetchall())
    try:
        return _from_journal(path.read_text().splitlines())
    except (ValueError, KeyError, TypeError) as error:
        raise StorageError(
            f"{path} is neither a database nor a journal of Optuna's ({type(error).__name__}: {error})."
        ) from None


@contextmanager
def _postgres(url: str) -> Generator[Query]:
    try:
        import psycopg
    except ImportError:
        raise StorageError("PostgreSQL needs psycopg: pip install 'luthier[postgres]'.") from None
    plain = "postgresql://" + url.partition("://")[2]  # without SQLAlchemy's driver
    try:
        with psycopg.connect(plain, autocommit=True) as connection:
            yield lambda text: connection.execute(text).fetchall()  # pyright: ignore
    except psycopg.Error as error:
        raise StorageError(f"Cannot read Optuna's tables there: {error}") from None


# -- tables --------------------------------------------------------------------------------------


def _from_tables(query: Query) -> list[Kept]:
    studies = {
        key: Kept(name, []) for key, name in query("SELECT study_id, study_name FROM studies")
    }
    for study, direction in query(
        "SELECT study_id, direction FROM study_directions ORDER BY study_id, objective"
    ):
        studies[study].directions.append(direction.lower())
    for kind in ("user", "system"):
        for study, key, value in query(
            f"SELECT study_id, key, value_json FROM study_{kind}_attributes ORDER BY 1, 2"
        ):
            getattr(studies[study], f"{kind}_attrs")[key] = json.loads(value)
    trials: dict[int, FrozenTrial] = {}
    for key, study, number, state, begun, ended in query(
        "SELECT trial_id, study_id, number, state, datetime_start, datetime_complete FROM trials "
        "ORDER BY study_id, number"
    ):
        trials[key] = FrozenTrial(
            number, TrialState[state], datetime_start=_time(begun), datetime_complete=_time(ended)
        )
        studies[study].trials.append(trials[key])
    for key, name, value, text in query(
        "SELECT trial_id, param_name, param_value, distribution_json FROM trial_params ORDER BY param_id"
    ):
        _set_param(trials[key], name, value, json_to_distribution(text))
    for key, value, kind in query(
        "SELECT trial_id, value, value_type FROM trial_values ORDER BY trial_id, objective"
    ):
        trials[key].values = [*(trials[key].values or []), _NOT_FINITE.get(kind, value)]
    for key, step, value, kind in query(
        "SELECT trial_id, step, intermediate_value, intermediate_value_type "
        "FROM trial_intermediate_values ORDER BY trial_id, step"
    ):
        trials[key].intermediate_values[step] = _NOT_FINITE.get(kind, value)
    for kind in ("user", "system"):
        for key, name, value in query(
            f"SELECT trial_id, key, value_json FROM trial_{kind}_attributes ORDER BY 1, 2"
        ):
            getattr(trials[key], f"{kind}_attrs")[name] = json.loads(value)
    return list(studies.values())


# -- journals ------------------------------------------------------------------------------------


def _from_journal(lines: Sequence[str]) -> list[Kept]:
    studies: dict[int, Kept] = {}
    trials: list[FrozenTrial] = []
    made = 0
    for line in filter(str.strip, lines):
        entry: dict[str, Any] = json.loads(line)
        match entry["op_code"]:
            case 0:
                directions = [("", "minimize", "maximize")[d] for d in entry["directions"]]
                studies[made] = Kept(entry["study_name"], directions)
                made += 1
            case 1:
                studies.pop(entry["study_id"], None)
            case 2 | 3 as code:
                kept, kind = studies[entry["study_id"]], "user_attr" if code == 2 else "system_attr"
                getattr(kept, f"{kind}s").update(entry[kind])
            case 4:
                trials.append(_begun(entry, studies.get(entry["study_id"])))
            case _:
                _happened(trials[entry["trial_id"]], entry)
    return list(studies.values())


def _begun(entry: dict[str, Any], kept: Kept | None) -> FrozenTrial:
    trial = FrozenTrial(
        len(kept.trials) if kept else 0,
        TrialState(entry.get("state", 0)),
        datetime_start=_time(entry.get("datetime_start")),
        datetime_complete=_time(entry.get("datetime_complete")),
        user_attrs=entry.get("user_attrs", {}),
        system_attrs=entry.get("system_attrs", {}),
        intermediate_values={int(s): v for s, v in entry.get("intermediate_values", {}).items()},
    )
    if entry.get("value") is not None:
        trial.values = [entry["value"]]
    elif entry.get("values"):
        trial.values = list(entry["values"])
    for name, text in entry.get("distributions", {}).items():
        _set_param(trial, name, entry["params"][name], json_to_distribution(text))
    if kept is not None:
        kept.trials.append(trial)
    return trial


def _happened(trial: FrozenTrial, entry: dict[str, Any]) -> None:
    match entry["op_code"]:
        case 5:
            distribution = json_to_distribution(entry["distribution"])
            _set_param(trial, entry["param_name"], entry["param_value_internal"], distribution)
        case 6:
            state = TrialState(entry["state"])
            if trial.state.is_finished() or (state, trial.state) == (TrialState.RUNNING,) * 2:
                return  # two processes had the same thought
            trial.state = state
            trial.values = entry.get("values") or trial.values
            trial.datetime_start = _time(entry.get("datetime_start")) or trial.datetime_start
            trial.datetime_complete = _time(entry.get("datetime_complete"))
        case 7:
            trial.intermediate_values[entry["step"]] = entry["intermediate_value"]
        case 8:
            trial.user_attrs.update(entry["user_attr"])
        case 9:
            trial.system_attrs.update(entry["system_attr"])
        case _:
            pass  # of a newer version, and nothing that we know


def _set_param(trial: FrozenTrial, name: str, internal: Any, of: BaseDistribution) -> None:
    if isinstance(of, CategoricalDistribution):
        value = of.choices[int(internal)]
    elif isinstance(of, IntDistribution):
        value = int(internal)
    else:
        value = float(internal)
    trial.params[name], trial.distributions[name] = value, of


def _time(given: Any) -> datetime.datetime | None:
    """Return a naive local time, as the tables have it; journals have UTC."""
    if given is None:
        return None
    time = datetime.datetime.fromisoformat(given) if isinstance(given, str) else given
    return time.astimezone().replace(tzinfo=None) if time.tzinfo else time


__all__ = ["Kept", "read_studies"]
