"""Replays a journal of Optuna's: a file of JSON lines, each an operation by its number.

Many processes write to one journal, and each writes before it knows whether what it asks for can be: Optuna
passes over what cannot, such as a study that is made twice, as every ``load_if_exists=True`` writes it, and so
does this. What is passed over gets no number.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from typing import Any

from luthier.compat.optuna.distributions import (
    BaseDistribution,
    check_distribution_compatibility,
    json_to_distribution,
)
from luthier.compat.optuna.kept import Kept, set_param, time_of
from luthier.compat.optuna.trial import FrozenTrial, TrialState
from luthier.errors import SpaceError


def replayed(lines: Sequence[str]) -> list[Kept]:
    """Return the studies that a journal tells of, without those that were deleted.

    Raises:
        ValueError: a line that is no JSON.
        KeyError: one that lacks what its operation needs.
        TypeError: one that is no operation.
    """
    journal = _Journal()
    for line in filter(str.strip, lines):
        journal.apply(json.loads(line))
    return list(journal.studies.values())


def names_in(lines: Sequence[str]) -> list[str]:
    """Return the names of the studies that a journal tells of; raises what ``replayed`` does."""
    journal = _Journal()
    for line in filter(str.strip, lines):
        entry = json.loads(line)
        if entry["op_code"] in (0, 1):
            journal.apply(entry)
    return [kept.name for kept in journal.studies.values()]


class _Journal:
    """What came of the operations so far; studies and trials are numbered as they are made."""

    def __init__(self) -> None:
        self.studies: dict[int, Kept] = {}
        self.trials: list[tuple[FrozenTrial, int]] = []  # and the study that each is of
        self._made = 0
        self._first: dict[tuple[int, str], BaseDistribution] = {}  # by study and parameter

    def apply(self, entry: dict[str, Any]) -> None:
        """Carry one operation out, or pass over it."""
        match entry["op_code"]:
            case 0:
                if entry["study_name"] not in {kept.name for kept in self.studies.values()}:
                    directions = [("", "minimize", "maximize")[d] for d in entry["directions"]]
                    self.studies[self._made] = Kept(entry["study_name"], directions)
                    self._made += 1
            case 1:
                self.studies.pop(entry["study_id"], None)
            case 2 | 3 | 4 as code:
                kept = self.studies.get(entry["study_id"])
                if kept is None:
                    return  # it was deleted meanwhile
                if code == 4:
                    kept.trials.append(_begun(entry, len(kept.trials)))
                    self.trials.append((kept.trials[-1], entry["study_id"]))
                    for name, distribution in kept.trials[-1].distributions.items():
                        self._fits(entry["study_id"], name, distribution)
                else:
                    attributes = (kept.user_attrs, kept.system_attrs)[code - 2]
                    attributes.update(entry["user_attr" if code == 2 else "system_attr"])
            case 5 | 6 | 7 | 8 | 9:
                if entry["trial_id"] < len(self.trials):
                    trial, study = self.trials[entry["trial_id"]]
                    if not trial.state.is_finished():
                        self._happened(trial, study, entry)
            case _:
                pass  # of a newer version, and nothing that we know

    def _happened(self, trial: FrozenTrial, study: int, entry: dict[str, Any]) -> None:
        match entry["op_code"]:
            case 5:
                name, distribution = (
                    entry["param_name"],
                    json_to_distribution(entry["distribution"]),
                )
                if self._fits(study, name, distribution):
                    set_param(trial, name, entry["param_value_internal"], distribution)
            case 6:
                state = TrialState(entry["state"])
                if (state, trial.state) == (TrialState.RUNNING,) * 2:
                    return  # two processes had the same thought
                trial.state = state
                trial.values = entry.get("values") or trial.values
                trial.datetime_start = time_of(entry.get("datetime_start")) or trial.datetime_start
                trial.datetime_complete = time_of(entry.get("datetime_complete"))
            case 7:
                trial.intermediate_values[entry["step"]] = entry["intermediate_value"]
            case 8:
                trial.user_attrs.update(entry["user_attr"])
            case _:
                trial.system_attrs.update(entry["system_attr"])

    def _fits(self, study: int, name: str, distribution: BaseDistribution) -> bool:
        """Return whether a parameter may be of *distribution*, after what it was first in its study."""
        first = self._first.setdefault((study, name), distribution)
        with contextlib.suppress(SpaceError):
            check_distribution_compatibility(first, distribution)
            return True
        return False


def _begun(entry: dict[str, Any], number: int) -> FrozenTrial:
    trial = FrozenTrial(
        number,
        TrialState(entry.get("state", 0)),
        datetime_start=time_of(entry.get("datetime_start")),
        datetime_complete=time_of(entry.get("datetime_complete")),
        user_attrs=entry.get("user_attrs", {}),
        system_attrs=entry.get("system_attrs", {}),
        intermediate_values={int(s): v for s, v in entry.get("intermediate_values", {}).items()},
    )
    if entry.get("value") is not None:
        trial.values = [entry["value"]]
    elif entry.get("values"):
        trial.values = list(entry["values"])
    for name, text in entry.get("distributions", {}).items():
        set_param(trial, name, entry["params"][name], json_to_distribution(text))
    return trial


__all__ = ["names_in", "replayed"]
