"""What scikit-learn's own searches are made of, and what it does not list as public.

All of it is in one place, so that a new scikit-learn shows here what has moved. Its tests run what these do.
"""

# pyright: reportPrivateUsage=false

from __future__ import annotations

from typing import Any

import sklearn.base as base
import sklearn.metrics._scorer as scorers
import sklearn.model_selection._validation as validation
import sklearn.utils._param_validation as parameters
import sklearn.utils.metaestimators as metaestimators
import sklearn.utils.validation as checks
from sklearn.model_selection._search import BaseSearchCV

fit_context: Any = base._fit_context
Interval: Any = parameters.Interval
MultimetricScorer: Any = scorers._MultimetricScorer
ScikitLearnScorer: Any = (scorers._BaseScorer, scorers._PassthroughScorer)
fit_and_score: Any = validation._fit_and_score
score: Any = validation._score
warn_about_failures: Any = validation._warn_or_raise_about_fit_failures
safe_split: Any = metaestimators._safe_split
check_method_params: Any = checks._check_method_params
count_rows: Any = checks._num_samples


def clone(estimator: Any) -> Any:
    """Return an unfitted copy of an estimator; of a dictionary's estimators; of anything else itself."""
    return base.clone(estimator, safe=False)


__all__ = [
    "BaseSearchCV",
    "Interval",
    "MultimetricScorer",
    "ScikitLearnScorer",
    "check_method_params",
    "clone",
    "count_rows",
    "fit_and_score",
    "fit_context",
    "safe_split",
    "score",
    "warn_about_failures",
]
