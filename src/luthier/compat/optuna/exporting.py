"""Writes a study as a database of Optuna's, which it and its dashboard open; Optuna is not needed.

The tables are those that Optuna 3 to 5 make (schema 12, Alembic's head v3.2.0.a).
"""

from __future__ import annotations

import contextlib
import json
import math
import sqlite3
from pathlib import Path
from typing import Any

from luthier.compat.optuna.distributions import (
    CategoricalDistribution,
    distribution_to_json,
)
from luthier.compat.optuna.enqueuing import waiting
from luthier.compat.optuna.frozen import frozen, metrics_of, names_of
from luthier.compat.optuna.labels import Objects, place_of
from luthier.compat.optuna.storages import is_optunas
from luthier.compat.optuna.trial import FrozenTrial, TrialState
from luthier.errors import StorageError
from luthier.study.history import History

_TABLES = """
CREATE TABLE studies (
    study_id INTEGER NOT NULL PRIMARY KEY, study_name VARCHAR(512) NOT NULL);
CREATE UNIQUE INDEX ix_studies_study_name ON studies (study_name);
CREATE TABLE version_info (
    version_info_id INTEGER NOT NULL PRIMARY KEY CHECK (version_info_id = 1),
    schema_version INTEGER, library_version VARCHAR(256));
CREATE TABLE study_directions (
    study_direction_id INTEGER NOT NULL PRIMARY KEY, direction VARCHAR(8) NOT NULL,
    study_id INTEGER NOT NULL REFERENCES studies (study_id), objective INTEGER NOT NULL,
    UNIQUE (study_id, objective));
CREATE TABLE study_user_attributes (
    study_user_attribute_id INTEGER NOT NULL PRIMARY KEY,
    study_id INTEGER REFERENCES studies (study_id), "key" VARCHAR(512), value_json TEXT,
    UNIQUE (study_id, "key"));
CREATE TABLE study_system_attributes (
    study_system_attribute_id INTEGER NOT NULL PRIMARY KEY,
    study_id INTEGER REFERENCES studies (study_id), "key" VARCHAR(512), value_json TEXT,
    UNIQUE (study_id, "key"));
CREATE TABLE trials (
    trial_id INTEGER NOT NULL PRIMARY KEY, number INTEGER,
    study_id INTEGER REFERENCES studies (study_id), state VARCHAR(8) NOT NULL,
    datetime_start DATETIME, datetime_complete DATETIME);
CREATE INDEX trials_study_id_key ON trials (study_id);
CREATE TABLE trial_user_attributes (
    trial_user_attribute_id INTEGER NOT NULL PRIMARY KEY,
    trial_id INTEGER REFERENCES trials (trial_id), "key" VARCHAR(512), value_json TEXT,
    UNIQUE (trial_id, "key"));
CREATE TABLE trial_system_attributes (
    trial_system_attribute_id INTEGER NOT NULL PRIMARY KEY,
    trial_id INTEGER REFERENCES trials (trial_id), "key" VARCHAR(512), value_json TEXT,
    UNIQUE (trial_id, "key"));
CREATE TABLE trial_params (
    param_id INTEGER NOT NULL PRIMARY KEY, trial_id INTEGER REFERENCES trials (trial_id),
    param_name VARCHAR(512), param_value FLOAT, distribution_json TEXT,
    UNIQUE (trial_id, param_name));
CREATE TABLE trial_values (
    trial_value_id INTEGER NOT NULL PRIMARY KEY,
    trial_id INTEGER NOT NULL REFERENCES trials (trial_id), objective INTEGER NOT NULL,
    value FLOAT, value_type VARCHAR(7) NOT NULL, UNIQUE (trial_id, objective));
CREATE TABLE trial_intermediate_values (
    trial_intermediate_value_id INTEGER NOT NULL PRIMARY KEY,
    trial_id INTEGER NOT NULL REFERENCES trials (trial_id), step INTEGER NOT NULL,
    intermediate_value FLOAT, intermediate_value_type VARCHAR(7) NOT NULL,
    UNIQUE (trial_id, step));
CREATE TABLE trial_heartbeats (
    trial_heartbeat_id INTEGER NOT NULL PRIMARY KEY,
    trial_id INTEGER NOT NULL UNIQUE REFERENCES trials (trial_id), heartbeat DATETIME NOT NULL);
CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY);
INSERT INTO version_info VALUES (1, 12, '5.0.0');
INSERT INTO alembic_version VALUES ('v3.2.0.a');
"""


def write_optuna(history: History, to: Path) -> int:
    """Write the study into the SQLite file *to*, beside those that it has; return the trials written.

    Raises:
        StorageError: the file is something else, or has a study of that name.
    """
    if to.exists() and not is_optunas(to):
        raise StorageError(f"{to} is there already and no database of Optuna's: give another name.")
    fresh = not to.exists()
    with contextlib.closing(sqlite3.connect(to)) as connection, connection:
        if fresh:
            connection.executescript(_TABLES)
        name = history.header.name
        if connection.execute("SELECT 1 FROM studies WHERE study_name = ?", (name,)).fetchone():
            raise StorageError(f"{to} has a study {name!r} already: give another file.")
        study = connection.execute("INSERT INTO studies (study_name) VALUES (?)", (name,)).lastrowid
        assert study is not None
        return _write(connection, study, history)


def _write(connection: sqlite3.Connection, study: int, history: History) -> int:
    of, names = {g.metric: g.direction for g in history.goals.objectives}, names_of(history)
    connection.executemany(
        "INSERT INTO study_directions (direction, study_id, objective) VALUES (?, ?, ?)",
        [(of[name].upper(), study, at) for at, name in enumerate(names)],
    )
    notes = history.attributes.get(-1, {})
    attributes = [(n.removeprefix("user:"), v) for n, v in notes.items() if n.startswith("user:")]
    _insert_attributes(connection, "study_user_attributes", "study_id", study, attributes)
    called = notes.get("metric_names")
    if called is None and names != metrics_of(len(names)):
        called = names  # a study of Luthier's own
    if called is not None:
        of_names = [("study:metric_names", called)]
        _insert_attributes(connection, "study_system_attributes", "study_id", study, of_names)
    for record in history.trials:
        _write_trial(connection, study, frozen(history, record))
    for trial in waiting(history, Objects(), {}):
        _write_trial(connection, study, trial)
    return len(history.trials)


def _write_trial(connection: sqlite3.Connection, study: int, trial: FrozenTrial) -> None:
    key = connection.execute(
        "INSERT INTO trials (number, study_id, state, datetime_start, datetime_complete) "
        "VALUES (?, ?, ?, ?, ?)",
        (
            trial.number,
            study,
            trial.state.name,
            _text(trial.datetime_start),
            _text(trial.datetime_complete),
        ),
    ).lastrowid
    assert key is not None
    connection.executemany(
        "INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json) "
        "VALUES (?, ?, ?, ?)",
        [
            (key, name, _internal(trial, name), distribution_to_json(of))
            for name, of in trial.distributions.items()
        ],
    )
    if trial.state in (TrialState.COMPLETE, TrialState.PRUNED):
        connection.executemany(
            "INSERT INTO trial_values (trial_id, objective, value, value_type) VALUES (?, ?, ?, ?)",
            [(key, at, *_number(value)) for at, value in enumerate(trial.values or [])],
        )
    connection.executemany(
        "INSERT INTO trial_intermediate_values "
        "(trial_id, step, intermediate_value, intermediate_value_type) VALUES (?, ?, ?, ?)",
        [(key, step, *_number(value)) for step, value in trial.intermediate_values.items()],
    )
    for table, given in (
        ("trial_user_attributes", trial.user_attrs),
        ("trial_system_attributes", trial.system_attrs),
    ):
        _insert_attributes(connection, table, "trial_id", key, list(given.items()))


def _insert_attributes(
    connection: sqlite3.Connection, table: str, of: str, key: int, given: list[tuple[str, Any]]
) -> None:
    connection.executemany(
        f'INSERT INTO {table} ({of}, "key", value_json) VALUES (?, ?, ?)',
        [(key, name, json.dumps(value)) for name, value in given],
    )


def _internal(trial: FrozenTrial, name: str) -> float:
    of, value = trial.distributions[name], trial.params[name]
    if not isinstance(of, CategoricalDistribution):
        return float(value)
    place = place_of(value, of.choices)  # 1 and True are two choices
    assert place is not None
    return float(place)


def _number(value: float) -> tuple[float | None, str]:
    if math.isfinite(value):
        return value, "FINITE"
    return None, "NAN" if math.isnan(value) else "INF_POS" if value > 0 else "INF_NEG"


def _text(time: Any) -> str | None:
    return None if time is None else time.isoformat(sep=" ", timespec="microseconds")
