"""Cross-validation as training: a fold is an epoch, and a bad configuration need not have them all.

Folds differ in difficulty, so the mean of the first k is no fair guess at the mean of all. What is reported
after k folds is what all of them are expected to come to: the mean so far, and what the other folds add in
those trials that have had them all. Until one has, nothing is reported before the last fold.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from luthier.study.history import History
from luthier.study.trial import Trial
from luthier.train.sklearn.private import clone, fit_and_score
from luthier.train.sklearn.task import FIT_ERRORS, Task, of_fold

_FILE = "folds.json"
_REFERENCES = 50  # trials with all folds that are looked at, the newest ones


@dataclass(frozen=True, eq=False)
class FoldByFold:
    """The training function: an estimator, one fold after the other.

    Attributes:
        task: what is fitted and scored.
        keeps: whether to write the folds that are done as checkpoints, for schedulers that pause.
    """

    task: Task
    keeps: bool = False

    def __call__(self, trial: Trial) -> None:
        """Fit and score fold after fold, until all are done or the scheduler has seen enough."""
        task, count = self.task, len(self.task.splits)
        parameters = task.ranges.parameters(trial.configuration)
        done = _Done()
        errors: dict[str, str] = {}
        unreported: dict[str, float] = {}
        for fold in trial.epochs(done if self.keeps else None):
            result = self._fitted(fold, parameters)
            if (error := result.get("fit_error")) is not None:
                errors[str(fold)] = error
                trial.set_attribute(FIT_ERRORS, errors)
            test, train = result["test_scores"], result.get("train_scores")
            unreported |= of_fold(fold, test, train, result["fit_time"], result["score_time"])
            done.scores.append(task.judged(test))
            mean = float(np.mean(done.scores))
            rest = 0.0 if fold + 1 == count else _rest(trial.history, task, fold + 1)
            if rest is None and np.isfinite(mean) and not self.keeps:
                continue
            trial.report({task.objective: mean + (rest or 0.0), **unreported}, step=fold + 1)
            unreported = {}

    def _fitted(self, fold: int, parameters: dict[str, Any]) -> dict[str, Any]:
        task = self.task
        train, test = task.splits[fold]
        return fit_and_score(
            clone(task.estimator),
            task.X,
            task.y,
            scorer=task.scorer,
            train=train,
            test=test,
            verbose=task.verbose,
            parameters=parameters,
            fit_params=dict(task.fit_params),
            score_params=dict(task.score_params),
            return_train_score=task.return_train_score,
            return_times=True,
            split_progress=(fold, len(task.splits)),
            error_score=task.error_score,
        )


@dataclass(eq=False)
class _Done:
    """The folds that a trial has behind it."""

    scores: list[float] = field(default_factory=list[float])

    def save(self, folder: Path, /) -> None:
        (folder / _FILE).write_text(json.dumps(self.scores))

    def restore(self, folder: Path, /) -> None:
        self.scores = json.loads((folder / _FILE).read_text())


def _rest(history: History, task: Task, folds: int) -> float | None:
    """Return by how much the mean of all folds exceeds that of the first *folds*; None if nobody knows."""
    differences: list[float] = []
    for record in reversed(history.trials):
        if record.step < len(task.splits):
            continue
        known: dict[str, float] = {}
        for metrics in record.metrics:
            known |= metrics
        scores = [
            known.get(f"split{k}_test_{task.judged_by}", np.nan) for k in range(len(task.splits))
        ]
        difference = float(np.mean(scores) - np.mean(scores[:folds]))
        if np.isfinite(difference):
            differences.append(difference)
        if len(differences) == _REFERENCES:
            break
    return float(np.mean(differences)) if differences else None
