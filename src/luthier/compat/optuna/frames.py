"""The trials as a pandas data frame, with the columns that Optuna gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from luthier.compat.optuna.frozen_trial import TrialState
from luthier.errors import StudyError, nearest

if TYPE_CHECKING:
    from luthier.compat.optuna.study import Study

Column = tuple[str, Any]  # the attribute, and the name or number within it; "" for all of it
_ATTRIBUTES = (
    *("number", "value", "datetime_start", "datetime_complete", "duration"),
    *("params", "user_attrs", "system_attrs", "state"),
)
_KNOWN = (
    *("number", "state", "values", "params", "distributions", "user_attrs", "system_attrs"),
    *("intermediate_values", "constraints", "datetime_start", "datetime_complete"),
    *("value", "duration", "last_step", "feasible"),
)


def dataframe(study: Study, attributes: Sequence[str] = (), *, multi_index: bool = False) -> Any:
    """Return a row for each trial: ``params_x`` for parameter x, ``values_0`` for several objectives.

    Args:
        study: whose trials.
        attributes: of a trial, in the order of the columns.
        multi_index: columns of two levels, ("params", "x"), in place of "params_x".

    Raises:
        StudyError: pandas is not installed; an attribute that no trial has.
    """
    try:
        import pandas
    except ImportError:
        raise StudyError(
            "trials_dataframe() needs pandas (pip install pandas); without it: luthier export STUDY "
            "--to trials.csv."
        ) from None
    columns, found = table(study, attributes or _ATTRIBUTES)
    if not found:
        return pandas.DataFrame()
    index = pandas.MultiIndex.from_tuples(columns) if multi_index else list(map(_flat, columns))
    return pandas.DataFrame([[row.get(c) for c in columns] for row in found], columns=index)


def rows(study: Study, attributes: Sequence[str] = _ATTRIBUTES) -> list[dict[str, Any]]:
    """Return what the data frame holds, a dictionary for each trial."""
    return [
        {_flat(column): value for column, value in row.items()}
        for row in table(study, attributes)[1]
    ]


def table(
    study: Study, attributes: Sequence[str] = _ATTRIBUTES
) -> tuple[list[Column], list[dict[Column, Any]]]:
    """Return the columns, attribute by attribute, and each trial's values by column.

    Raises:
        StudyError: an attribute that no trial has.
    """
    for name in attributes:
        if name not in _KNOWN:
            raise StudyError(
                f"trials_dataframe: a trial has no {name!r}: expected some of {', '.join(_KNOWN)}."
                f"{nearest(name, _KNOWN)}"
            )
    several, names = len(study.directions) > 1, study.metric_names
    wanted = [("values" if name == "value" and several else name) for name in attributes]
    found: list[dict[Column, Any]] = []
    columns: dict[str, dict[Column, None]] = {name: {} for name in wanted}
    for trial in study.get_trials(deepcopy=False):
        row: dict[Column, Any] = {}
        for name in wanted:
            of = _cells(name, getattr(trial, name), len(study.directions), names)
            columns[name] |= dict.fromkeys(of)
            row |= of
        found.append(row)
    in_order = [c for name in wanted for c in _ordered(name, list(columns[name]))]
    return in_order, found


def _cells(
    name: str, value: Any, objectives: int, metrics: Sequence[str] | None
) -> dict[Column, Any]:
    """Return the cells of one attribute of one trial."""
    if name == "values":  # a trial without any has as many empty cells
        given = value or [None] * objectives
        return {(name, key): v for key, v in zip(metrics or range(objectives), given, strict=True)}
    if name == "value":
        return {(name, metrics[0] if metrics else ""): value}
    if isinstance(value, Mapping):
        return {(name, key): v for key, v in value.items()}  # pyright: ignore[reportUnknownVariableType]
    return {(name, ""): value.name if isinstance(value, TrialState) else value}


def _ordered(name: str, columns: list[Column]) -> list[Column]:
    """Return an attribute's columns in the order of their names; objectives keep theirs."""
    return columns if name == "values" else sorted(columns, key=lambda c: (str(type(c[1])), c[1]))


def _flat(column: Column) -> str:
    name, key = column
    return name if key == "" else f"{name}_{key}"
