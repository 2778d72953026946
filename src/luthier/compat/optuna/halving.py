"""Pruning by successive halving: a trial goes on when it is among the best of those that came as far."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from luthier.compat.optuna.checking import at_least, auto_or_whole
from luthier.compat.optuna.frozen_trial import FrozenTrial, TrialState
from luthier.compat.optuna.pruning import BasePruner, sign_of
from luthier.errors import StudyError

if TYPE_CHECKING:
    from luthier.compat.optuna.study import Study


@dataclass(frozen=True)
class SuccessiveHalvingPruner(BasePruner):
    """Asynchronous successive halving without pauses (Li et al. 2020, section 3.3).

    A trial that comes to a rung writes down its value there, and goes on when it is in the top 1/η of those
    that have come so far. What was written down is the attribute ``completed_rung_0`` and so on, by which
    processes know of one another's trials.

    Attributes:
        min_resource: r, the step of the lowest rung; "auto" is a hundredth of the last step of the trial
            that completed first, and nothing is pruned before that.
        reduction_factor: η.
        min_early_stopping_rate: s: the lowest rung is at r·η^s.
        bootstrap_count: trials that must have come to a rung before anything goes on from it.

    Raises:
        StudyError: a number below what it can be; a bootstrap_count beside "auto".
    """

    min_resource: int | str = "auto"
    reduction_factor: int = 4
    min_early_stopping_rate: int = 0
    bootstrap_count: int = 0

    def __post_init__(self) -> None:
        """Check the settings."""
        auto_or_whole(self, "min_resource")
        at_least(self, reduction_factor=2, min_early_stopping_rate=0, bootstrap_count=0)
        if self.bootstrap_count and self.min_resource == "auto":
            raise StudyError(
                f"{type(self).__name__}: bootstrap_count={self.bootstrap_count} does not go with "
                "min_resource='auto': give min_resource as a number of steps."
            )

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Return whether the trial is not among the best of a rung that it has come to."""
        return self.prune_among(study, trial, lambda other: True)

    def prune_among(
        self, study: Study, trial: FrozenTrial, rivals: Callable[[FrozenTrial], bool]
    ) -> bool:
        """Return the same, where only *rivals* are compared with it."""
        step = trial.last_step
        lowest = None if step is None else self._lowest(study)
        if step is None or lowest is None:
            return False
        value, rung = trial.intermediate_values[step], 0
        while _rung(rung) in trial.system_attrs:
            rung += 1
        while step >= lowest * self.reduction_factor ** (self.min_early_stopping_rate + rung):
            if math.isnan(value) or not self._goes_on(study, trial.number, rung, value, rivals):
                return True
            rung += 1
        return False

    def _goes_on(
        self,
        study: Study,
        number: int,
        rung: int,
        value: float,
        rivals: Callable[[FrozenTrial], bool],
    ) -> bool:
        known = [
            float(other.system_attrs[_rung(rung)])
            for other in study.get_trials(deepcopy=False)
            if other.number != number and _rung(rung) in other.system_attrs and rivals(other)
        ]
        study.note(f"system:{_rung(rung)}", value, number)
        if len(known) + 1 <= self.bootstrap_count:
            return False
        sign = sign_of(study)
        losses = sorted([sign * value, *(sign * other for other in known)])
        return sign * value <= losses[max(1, len(losses) // self.reduction_factor) - 1]

    def _lowest(self, study: Study) -> int | None:
        """Return r; None while no trial has shown how long one is."""
        if isinstance(self.min_resource, int):
            return self.min_resource
        last = _first_length(study)
        return None if last is None else max(1, last // 100)


@dataclass(frozen=True)
class HyperbandPruner(BasePruner):
    """Brackets of asynchronous successive halving, each of which begins to prune later (Li et al. 2018).

    A trial's bracket follows from the study's name and the trial's number, as in Optuna; a bracket s gets
    its trials in proportion to (s_max + 1)·η^(s_max - s) / (s_max - s + 1), algorithm 1 of the paper.

    Attributes:
        min_resource: r, the step of the lowest rung of the bracket that prunes first.
        max_resource: R, the steps of a whole trial; "auto" is what the trial had that completed first, and
            nothing is pruned before that.
        reduction_factor: η.
        bootstrap_count: trials of a bracket that must have come to a rung before anything goes on from it.

    Raises:
        StudyError: a number below what it can be; a bootstrap_count beside "auto".
    """

    min_resource: int = 1
    max_resource: int | str = "auto"
    reduction_factor: int = 3
    bootstrap_count: int = 0

    def __post_init__(self) -> None:
        """Check the settings."""
        auto_or_whole(self, "max_resource")
        if not isinstance(self.min_resource, int):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise StudyError(
                f"HyperbandPruner: min_resource must be a whole number of at least 1, got "
                f"{self.min_resource!r}."
            )
        at_least(self, min_resource=1, reduction_factor=2, bootstrap_count=0)
        if self.bootstrap_count and self.max_resource == "auto":
            raise StudyError(
                f"HyperbandPruner: bootstrap_count={self.bootstrap_count} does not go with "
                "max_resource='auto': give max_resource as a number of steps."
            )

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Return whether the trial is not among the best of its bracket at a rung that it has come to."""
        shares = self._shares(study)
        if not shares:
            return False
        own = _bracket(study, trial, shares)
        halving = SuccessiveHalvingPruner(
            self.min_resource, self.reduction_factor, own, self.bootstrap_count
        )
        return halving.prune_among(
            study, trial, lambda other: _bracket(study, other, shares) == own
        )

    def _shares(self, study: Study) -> list[int]:
        """Return of how many trials in all each bracket gets how many; none while R is not known."""
        if isinstance(self.max_resource, int):
            most = self.max_resource
        elif (last := _first_length(study)) is not None:
            most = last + 1
        else:
            return []
        brackets = math.floor(math.log(most / self.min_resource, self.reduction_factor)) + 1
        return [
            math.ceil(brackets * self.reduction_factor**later / (later + 1))
            for later in reversed(range(brackets))
        ]


def _bracket(study: Study, trial: FrozenTrial, shares: list[int]) -> int:
    """Return which bracket a trial is in."""
    at = zlib.crc32(f"{study.study_name}_{trial.number}".encode()) % sum(shares)
    bracket = 0
    while at >= shares[bracket]:
        at -= shares[bracket]
        bracket += 1
    return bracket


def _first_length(study: Study) -> int | None:
    """Return the last step of the trial that completed first; None while none shows how long one is."""
    done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    ended = [(t.datetime_complete, t.number, t.last_step) for t in done if t.last_step is not None]
    return min(ended)[2] if ended else None  # type: ignore[type-var]


def _rung(rung: int) -> str:
    return f"completed_rung_{rung}"


__all__ = ["HyperbandPruner", "SuccessiveHalvingPruner"]
