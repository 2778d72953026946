"""Estimators that learn by ``partial_fit``: an epoch is one pass over the training rows of every fold.

After each epoch the folds' mean score is reported, so the scheduler pauses or abandons a configuration early,
and its score is that of its best epoch. A pipeline's transformers are fitted once for each fold and job, with
the same random numbers each time.
"""

from __future__ import annotations

import pickle
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import is_classifier
from sklearn.pipeline import Pipeline
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import unique_labels

from luthier.errors import CheckpointError, StudyError
from luthier.study.trial import Trial
from luthier.train.sklearn.private import (
    MultimetricScorer,
    ScikitLearnScorer,
    check_method_params,
    clone,
    count_rows,
    safe_split,
    score,
)
from luthier.train.sklearn.task import FIT_ERRORS, Task, of_fold

_FILE = "folds.pickle"


def learner_of(estimator: Any) -> Any:
    """Return what has ``partial_fit``: the estimator, or a pipeline's last step.

    Raises:
        StudyError: it has not.
    """
    learner = _last_step(estimator)
    if hasattr(learner, "partial_fit"):
        return learner
    if hasattr(type(learner), "partial_fit"):  # but not with these parameters
        raise StudyError(
            f"epochs= was given, but {' '.join(repr(learner).split())} does not learn by epochs: with other "
            f"parameters {type(learner).__name__} has partial_fit (MLPClassifier with solver='adam' or "
            "'sgd', for one). Search among those, or leave epochs out to have each fold fitted whole."
        )
    raise StudyError(
        f"epochs= was given, but {type(learner).__name__} does not learn by epochs: expected an "
        "estimator with partial_fit, such as MLPClassifier or SGDRegressor, or a pipeline that ends in "
        "one. Leave epochs out to have each fold fitted whole."
    )


def _last_step(estimator: Any) -> Any:
    return estimator.steps[-1][1] if isinstance(estimator, Pipeline) else estimator


@dataclass(frozen=True, eq=False)
class EpochByEpoch:
    """The training function: all folds side by side, one epoch after the other."""

    task: Task

    def __call__(self, trial: Trial) -> None:
        """Train the folds until the scheduler says so, or until one fails."""
        parameters = self.task.ranges.parameters(trial.configuration)
        folds = _Folds(self.task, parameters, trial.seed)
        for epoch in trial.epochs(folds):
            found, scores = folds.epoch(trial.seed_of(epoch))
            if folds.errors:
                trial.set_attribute(FIT_ERRORS, folds.errors)
            trial.report({self.task.objective: float(np.mean(scores)), **found})
            if folds.errors:
                break


def refitted(
    task: Task,
    parameters: dict[str, Any],
    seed: int,
    seed_of: Callable[[int], int],
    to: int,
) -> Any:
    """Return the estimator with *parameters*, trained on all rows for *to* epochs.

    Args:
        task: whose rows they are, in whatever folds they are or are not.
        parameters: what ``set_params`` takes.
        seed: of the transformers before the learner.
        seed_of: the seed of an epoch, by its number from 0.
        to: epochs.
    """
    rows = np.arange(count_rows(task.X))
    learning = _Learning(task, parameters, rows, rows[:0], seed)
    for epoch in range(to):
        learning.epoch(seed_of(epoch))
    return learning.whole


class _Folds:
    """The estimators of all folds, and what they need to go on."""

    def __init__(self, task: Task, parameters: dict[str, Any], seed: int) -> None:
        self.errors: dict[str, str] = {}  # tracebacks by fold
        self._task = task
        self._parameters = parameters
        self._seed = seed
        self._folds: list[_Learning] | None = None

    def epoch(self, seed: int) -> tuple[dict[str, float], list[float]]:
        """Train each fold for an epoch; return what is reported of the folds, and the scores that count."""
        found: dict[str, float] = {}
        scores: list[float] = []
        for k, fold in enumerate(self._started()):
            try:
                fold.epoch(seed + k)
            except Exception:
                if self._task.error_score == "raise":
                    raise
                self.errors[str(k)] = traceback.format_exc()
                scores.append(float(self._task.error_score))
                continue
            begin = time.perf_counter()
            test, train = fold.scores()
            taken = time.perf_counter() - begin
            found |= of_fold(k, test, train, fold.seconds, taken)
            scores.append(self._task.judged(test))
        return found, scores

    def _started(self) -> list[_Learning]:
        if self._folds is None:
            task, parameters = self._task, self._parameters
            self._folds = [
                _Learning(task, parameters, *rows, self._seed + k)
                for k, rows in enumerate(task.splits)
            ]
        return self._folds

    def save(self, folder: Path, /) -> None:
        kept = [(fold.learner, fold.seconds) for fold in self._started()]
        (folder / _FILE).write_bytes(pickle.dumps(kept, protocol=pickle.HIGHEST_PROTOCOL))

    def restore(self, folder: Path, /) -> None:
        try:
            # Our own file, written by a worker of this study.
            kept = pickle.loads((folder / _FILE).read_bytes())
        except (OSError, pickle.UnpicklingError, AttributeError, ImportError) as error:
            raise CheckpointError(
                f"{folder / _FILE} cannot be read: {error}. It was written by another version of "
                "scikit-learn, or is damaged; start the study anew under another name."
            ) from error
        for fold, (learner, seconds) in zip(self._started(), kept, strict=True):
            fold.go_on(learner, seconds)


class _Learning:
    """One estimator that learns by epochs on some rows, and is scored on others.

    The transformers before it are fitted in the first epoch of a job, with the random numbers of *seed*.
    """

    def __init__(
        self, task: Task, parameters: dict[str, Any], train: Any, test: Any, seed: int
    ) -> None:
        self.seconds = 0.0
        self._task = task
        self._rows = (train, test)
        self._seed = seed
        self.whole: Any = clone(task.estimator).set_params(**clone(parameters))
        self._of_steps = isinstance(self.whole, Pipeline)
        # None where there is nothing before it: an empty pipeline cannot be fitted.
        self._before = self.whole[:-1] if self._of_steps and len(self.whole.steps) > 1 else None
        self.learner: Any = _last_step(self.whole)
        self._train: tuple[Any, Any] | None = None
        self._test: tuple[Any, Any] | None = None

    def go_on(self, learner: Any, seconds: float) -> None:
        """Take the place of a fold that was trained so far."""
        for each in (learner, *_parts(learner)):
            # What draws from numpy's own generator must not go on with the pickle's copy of it.
            if getattr(each, "random_state", 0) is None and hasattr(each, "_random_state"):
                each._random_state = check_random_state(None)
        if self._of_steps:
            self.whole.steps[-1] = (self.whole.steps[-1][0], learner)
        else:
            self.whole = learner
        self.learner, self.seconds = learner, seconds

    def epoch(self, seed: int) -> None:
        """Learn from every training row once; the seed decides their order.

        Raises:
            StudyError: the estimator does not learn by epochs with these parameters.
        """
        begin = time.perf_counter()
        learner_of(self.whole)
        x, y = self._prepared()
        np.random.seed(seed % 2**32)
        first = {"classes": unique_labels(self._task.y)} if is_classifier(self.learner) else {}
        params = check_method_params(self._task.X, self._params(), indices=self._rows[0])
        self.learner.partial_fit(x, y, **first, **params)
        self.seconds += time.perf_counter() - begin

    def scores(self) -> tuple[Any, Any]:
        """Return the scores on the test rows and, where they are wanted, on the training rows."""
        task, (train, test) = self._task, self._rows
        # A function of the user's own may look at the rows, and at the steps.
        whole = self._of_steps and not _looks_at_predictions_only(task.scorer)
        if self._test is None:
            x, y = safe_split(self.whole, task.X, task.y, test, train)
            self._test = (x if self._before is None or whole else self._before.transform(x)), y
        x, y = self._test
        learner = self.whole if whole else self.learner
        found = self._scored(learner, x, y, test)
        if not task.return_train_score:
            return found, None
        x, y = safe_split(self.whole, task.X, task.y, train) if whole else self._prepared()
        return found, self._scored(learner, x, y, train)

    def _scored(self, estimator: Any, x: Any, y: Any, rows: Any) -> Any:
        task = self._task
        params = check_method_params(task.X, dict(task.score_params), indices=rows)
        return score(estimator, x, y, task.scorer, params, task.error_score)

    def _prepared(self) -> tuple[Any, Any]:
        """Return the training rows as the learner sees them."""
        if self._train is None:
            x, y = safe_split(self.whole, self._task.X, self._task.y, self._rows[0])
            if self._before is not None:
                np.random.seed(self._seed % 2**32)
                x = self._before.fit_transform(x, y)
                self.whole.steps[:-1] = self._before.steps  # with a memory=, fitted copies
            self._train = x, y
        return self._train

    def _params(self) -> dict[str, Any]:
        """Return what ``fit`` was given as what ``partial_fit`` takes.

        Raises:
            StudyError: it is for another step of a pipeline.
        """
        given = dict(self._task.fit_params)
        if not self._of_steps:
            return given
        prefix = f"{self.whole.steps[-1][0]}__"
        if others := [name for name in given if not name.startswith(prefix)]:
            raise StudyError(
                f"fit was given {others[0]!r}, which an epoch of {type(self.learner).__name__} cannot take: "
                f"expected names such as {prefix}sample_weight, for the pipeline's last step."
            )
        return {name.removeprefix(prefix): value for name, value in given.items()}


def _parts(learner: Any) -> list[Any]:
    """Return the learners that a learner is made of, such as one for each class."""
    parts = getattr(learner, "estimators_", ())
    return list(parts) if isinstance(parts, list | tuple) else []


def _looks_at_predictions_only(scorer: Any) -> bool:
    """Return whether a scorer asks for predictions, and nothing else of the estimator and the rows."""
    each = scorer._scorers.values() if isinstance(scorer, MultimetricScorer) else [scorer]
    return all(isinstance(one, ScikitLearnScorer) for one in each)


__all__ = ["EpochByEpoch", "learner_of", "refitted"]
