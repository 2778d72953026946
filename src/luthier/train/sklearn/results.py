"""What scikit-learn's ``cv_results_`` is made of, read from a study's log."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from luthier.study.history import History
from luthier.study.records import TrialRecord, TrialState
from luthier.train.sklearn.task import FIT_ERRORS, Task

_BEGUN = {TrialState.QUEUED, TrialState.RUNNING, TrialState.PAUSED}


@dataclass(frozen=True)
class Outcomes:
    """All candidates that were tried.

    Attributes:
        parameters: of each candidate.
        fits: of each candidate and fold, in this order, what ``_format_results`` takes; NaN where a fold
            was not run.
        more: further columns, a value for each candidate.
        multimetric: whether scores have names.
        stopped: whether the scheduler kept any fold from being run.
    """

    parameters: list[dict[str, Any]]
    fits: list[dict[str, Any]]
    more: dict[str, list[Any]]
    multimetric: bool
    stopped: bool

    @property
    def folds_run(self) -> list[dict[str, Any]]:
        """Return the fits that were made."""
        return [fit for fit in self.fits if fit["run"]]


def outcomes(history: History, task: Task, *, by_epochs: bool) -> Outcomes:
    """Return what became of every trial that has reported something or failed.

    Args:
        history: the study.
        task: what was done for each trial.
        by_epochs: a trial counts by its best epoch; otherwise its steps are folds.
    """
    trials = [t for t in history.trials if t.steps or t.state not in _BEGUN]
    known = [_known(t, by_epochs=by_epochs) for t in trials]
    names = _names(known)
    multimetric = names != ["score"]
    fits: list[dict[str, Any]] = []
    folds_of: list[int] = []
    for trial, metrics in zip(trials, known, strict=True):
        errors = history.attributes.get(trial.number, {}).get(FIT_ERRORS, {})
        own = [
            _fit(metrics, fold, names, task, multimetric=multimetric, error=errors.get(str(fold)))
            for fold in range(len(task.splits))
        ]
        fits += own
        folds_of.append(sum(fit["run"] for fit in own))
    whole = len(task.splits)
    column = (
        {"n_epochs": [t.best_step for t in trials]} if by_epochs else {"n_folds": list(folds_of)}
    )
    return Outcomes(
        [task.ranges.parameters(t.configuration) for t in trials],
        fits,
        {"trial": [t.number for t in trials], **column},
        multimetric,
        any(
            n < whole and t.state is TrialState.STOPPED
            for n, t in zip(folds_of, trials, strict=True)
        ),
    )


def _known(trial: TrialRecord, *, by_epochs: bool) -> dict[str, float]:
    """Return the metrics of all folds: at the best epoch, or of all reports together."""
    reports = trial.metrics
    if by_epochs and trial.best_step:
        return reports[trial.steps.index(trial.best_step)]
    found: dict[str, float] = {}
    for metrics in reports:
        found |= metrics
    return found


def _names(known: Sequence[dict[str, float]]) -> list[str]:
    """Return the scores' names, in the order in which they were reported; a single one is "score"."""
    prefix = "split0_test_"
    found = {
        name.removeprefix(prefix): None
        for metrics in known
        for name in metrics
        if name.startswith(prefix)
    }
    others = [name for name in found if name != "score"]
    # A fit that failed has no names for its scores.
    return others or ["score"]


def _fit(
    metrics: dict[str, float],
    fold: int,
    names: list[str],
    task: Task,
    *,
    multimetric: bool,
    error: str | None,
) -> dict[str, Any]:
    def scores(kind: str) -> Any:
        failed = metrics.get(f"split{fold}_{kind}_score", np.nan)
        by_name = {name: metrics.get(f"split{fold}_{kind}_{name}", failed) for name in names}
        return by_name if multimetric else by_name["score"]

    found = {
        "run": error is not None or f"split{fold}_fit_time" in metrics,
        "fit_error": error,
        "fit_time": metrics.get(f"split{fold}_fit_time", np.nan),
        "score_time": metrics.get(f"split{fold}_score_time", np.nan),
        "test_scores": scores("test"),
    }
    return {**found, "train_scores": scores("train")} if task.return_train_score else found


def over_known(times: Any) -> tuple[Any, Any]:
    """Return mean and deviation of each row over the numbers that are there."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a row of NaN
        return np.nanmean(times, axis=1), np.nanstd(times, axis=1)


__all__ = ["Outcomes", "outcomes", "over_known"]
