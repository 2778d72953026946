"""What a search does with each configuration, whatever the way: the data, the folds, the scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from luthier.train.sklearn.spaces import Ranges

FIT_ERRORS = "fit errors"  # the attribute of a trial that has their tracebacks, by fold


@dataclass(frozen=True, eq=False)
class Task:
    """Cross-validation of one estimator, to be done for each configuration.

    Attributes:
        estimator: unfitted; cloned for each fit.
        X: examples along the first axis.
        y: targets; None where there are none.
        splits: rows to train on and rows to test on, of each fold.
        ranges: how configurations become parameters.
        scorer: ``scorer(estimator, X, y)``: a number, or numbers by name.
        judged_by: the score that counts, by its name; "score" where there is only one.
        fit_params: for ``fit``, whole.
        score_params: for the scorer, whole.
        return_train_score: whether to score the training rows, too.
        error_score: the score of a fit that failed; "raise" raises.
        verbose: as scikit-learn's.
    """

    estimator: Any
    X: Any
    y: Any
    splits: Sequence[tuple[Any, Any]]
    ranges: Ranges
    scorer: Any
    judged_by: str
    fit_params: Mapping[str, Any]
    score_params: Mapping[str, Any]
    return_train_score: bool = False
    error_score: float | str = np.nan
    verbose: int = 0

    @property
    def objective(self) -> str:
        """Return the metric that the study is judged by."""
        return f"mean_test_{self.judged_by}"

    def judged(self, scores: Any) -> float:
        """Return the score that counts, of what a scorer has returned."""
        if not isinstance(scores, Mapping):
            return float(scores)
        by_name = cast("Mapping[str, float]", scores)
        first = next(iter(by_name.values()), np.nan)
        return float(by_name.get(self.judged_by, first))


def named(scores: Any) -> dict[str, float]:
    """Return scores by name; a single one is called "score"."""
    if isinstance(scores, Mapping):
        return {name: float(value) for name, value in cast("Mapping[str, Any]", scores).items()}
    return {"score": float(scores)}


def of_fold(
    fold: int, test: Any, train: Any, fit_seconds: float, score_seconds: float
) -> dict[str, float]:
    """Return what is reported of one fold, under the names that ``cv_results_`` has; *train* may be None."""
    found = {f"split{fold}_test_{name}": value for name, value in named(test).items()}
    if train is not None:
        found |= {f"split{fold}_train_{name}": value for name, value in named(train).items()}
    return {
        **found,
        f"split{fold}_fit_time": fit_seconds,
        f"split{fold}_score_time": score_seconds,
    }
