"""Reads Optuna's own storages, SQLite, PostgreSQL and journal files, without Optuna.

The tables are those of Optuna 3 to 5 (``version_info.schema_version`` 12): a categorical value is the
index of its choice, infinities and NaN are words beside the number, times are naive and local.
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any

from luthier.compat.optuna.distributions import json_to_distribution
from luthier.compat.optuna.journals import replayed
from luthier.compat.optuna.kept import Kept, set_param, time_of
from luthier.compat.optuna.storages import is_optunas, sqlite_path
from luthier.compat.optuna.trial import FrozenTrial, TrialState
from luthier.errors import StorageError, nearest
from luthier.storage import without_secrets

Query = Callable[[str], Sequence[tuple[Any, ...]]]
_NOT_FINITE: dict[str, Any] = {"INF_POS": math.inf, "INF_NEG": -math.inf, "NAN": math.nan}


def read_studies(url: str) -> list[Kept]:
    """Return all studies in a storage of Optuna's.

    Args:
        url: ``sqlite:///study.db``, a path to an SQLite file or a journal, or ``postgresql://...``.

    Raises:
        StorageError: there is none, or it is something else.
    """
    if url.startswith("postgresql"):
        with postgres(url) as query:
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
        return replayed(path.read_text().splitlines())
    except (ValueError, KeyError, TypeError) as error:
        raise StorageError(
            f"{path} is neither a database nor a journal of Optuna's ({type(error).__name__}: {error})."
        ) from None


@contextmanager
def postgres(url: str) -> Generator[Query]:
    """Yield what answers a query of a PostgreSQL database.

    Raises:
        StorageError: psycopg is not installed, or the server or the query fails.
    """
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
            number,
            TrialState[state],
            datetime_start=time_of(begun),
            datetime_complete=time_of(ended),
        )
        studies[study].trials.append(trials[key])
    for key, name, value, text in query(
        "SELECT trial_id, param_name, param_value, distribution_json FROM trial_params ORDER BY param_id"
    ):
        set_param(trials[key], name, value, json_to_distribution(text))
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


__all__ = ["Kept", "postgres", "read_studies"]
