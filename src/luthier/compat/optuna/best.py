"""The best trials of a study."""

from __future__ import annotations

from typing import TYPE_CHECKING

from luthier.compat.optuna.frozen_trial import FrozenTrial, TrialState
from luthier.errors import StudyError

if TYPE_CHECKING:
    from luthier.compat.optuna.study import Study

_COMPLETE = (TrialState.COMPLETE,)


def best_of(study: Study) -> FrozenTrial:
    """Return the completed trial with the best value, of those that keep their constraints.

    Raises:
        StudyError: none has completed, or there are several objectives.
    """
    if len(study.directions) > 1:
        raise StudyError(
            "study.best_trial is for one objective: this study has several, read study.best_trials."
        )
    sign = -1.0 if study.direction.name == "MAXIMIZE" else 1.0
    done = [t for t in study.get_trials(False, _COMPLETE) if t.values]
    kept = [t for t in done if t.feasible]
    if not kept:
        raise StudyError(
            "No trial has completed yet." if not done else "No trial keeps to the constraints."
        )
    return min(kept, key=lambda t: (sign * (t.value or 0.0), t.number)).copied()


def front_of(study: Study) -> list[FrozenTrial]:
    """Return the trials that no other one beats in every objective."""
    signs = [-1.0 if d.name == "MAXIMIZE" else 1.0 for d in study.directions]
    done = [t for t in study.get_trials(False, _COMPLETE) if t.values and t.feasible]
    losses = [[s * v for s, v in zip(signs, t.values or [], strict=True)] for t in done]
    return [
        trial.copied()
        for trial, own in zip(done, losses, strict=True)
        if not any(
            other != own and all(a <= b for a, b in zip(other, own, strict=True))
            for other in losses
        )
    ]


__all__ = ["best_of", "front_of"]
