"""The trials as a pandas data frame, with the columns that Optuna gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from luthier.errors import StudyError

if TYPE_CHECKING:
    from luthier.compat.optuna.study import Study

_ATTRIBUTES = (
    *("number", "value", "datetime_start", "datetime_complete", "duration"),
    *("params", "user_attrs", "state"),
)


def dataframe(study: Study, attributes: Sequence[str] = ()) -> Any:
    """Return a row for each trial: ``params_x`` for parameter x, ``values_0`` for several objectives.

    Raises:
        StudyError: pandas is not installed.
    """
    try:
        import pandas
    except ImportError:
        raise StudyError(
            "trials_dataframe() needs pandas (pip install pandas); without it: luthier export STUDY "
            "--to trials.csv."
        ) from None
    return pandas.DataFrame(rows(study, attributes or _ATTRIBUTES))


def rows(study: Study, attributes: Sequence[str] = _ATTRIBUTES) -> list[dict[str, Any]]:
    """Return what the data frame holds."""
    several = len(study.directions) > 1
    found: list[dict[str, Any]] = []
    for trial in study.trials:
        row: dict[str, Any] = {}
        for name in attributes:
            if name in ("value", "values") and several:
                row |= {f"values_{i}": value for i, value in enumerate(trial.values or [])}
            elif name in ("params", "user_attrs", "system_attrs"):
                row |= {f"{name}_{key}": value for key, value in getattr(trial, name).items()}
            elif name == "state":
                row[name] = trial.state.name
            else:
                row[name] = getattr(trial, name)
        found.append(row)
    return found
