"""scikit-learn with Luthier: ``LuthierSearchCV``, where ``RandomizedSearchCV`` or ``GridSearchCV`` was."""

from __future__ import annotations

import numbers
import random
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any, cast

import numpy as np

try:
    import joblib
    from sklearn.base import is_classifier
    from sklearn.model_selection import check_cv
    from sklearn.utils import check_random_state, indexable

    from luthier.train.random_state import same_random_state
    from luthier.train.sklearn.epochs import EpochByEpoch, learner_of, refitted
    from luthier.train.sklearn.folds import FoldByFold
    from luthier.train.sklearn.private import (
        BaseSearchCV,
        Interval,
        MultimetricScorer,
        check_method_params,
        clone,
        fit_context,
        warn_about_failures,
    )
    from luthier.train.sklearn.results import Outcomes, outcomes, over_known
    from luthier.train.sklearn.spaces import ranges_from
    from luthier.train.sklearn.studies import (
        candidates,
        check_same,
        promotes,
        refuse_copies,
        scheduler_for_folds,
        scores_of,
        write_down,
    )
    from luthier.train.sklearn.task import Task
except ModuleNotFoundError as error:
    if error.name not in ("sklearn", "joblib"):
        raise
    raise ModuleNotFoundError(
        "luthier.sklearn needs scikit-learn: pip install 'luthier[sklearn]'", name="sklearn"
    ) from error

from luthier.app.tune import tune
from luthier.errors import StudyError
from luthier.run.opening import open_study
from luthier.space import Space
from luthier.storage import open_store
from luthier.study.chance import Chance
from luthier.study.log import copy_log
from luthier.study.study import Study


class LuthierSearchCV(BaseSearchCV):
    """A search with cross-validation, called and read like ``RandomizedSearchCV``.

    ::

        search = LuthierSearchCV(
            make_pipeline(StandardScaler(), SVC()),
            {"svc__C": luthier.Float(1e-3, 1e3, scale="log"), "svc__kernel": ["rbf", "poly"]},
            n_iter=40,
            random_state=0,
        )
        search.fit(X, y)
        search.best_params_, search.best_score_, search.predict(X_test)

    Configurations come from a Luthier study, so each learns from those before it. A bad one need not have
    all folds: after a third of them (of five or more) its mean so far is compared with the others', and the
    top third goes on. ``scheduler=None`` runs them all.
    With ``epochs=``, estimators that have ``partial_fit`` train all folds epoch by epoch instead; a bad
    configuration is abandoned after few of them, and the best is refitted for as many epochs as were best.

    Args:
        estimator: what is tuned; a pipeline's steps have their parameters as ``"step__parameter"``.
        param_distributions: by parameter a domain (``luthier.Float``, ``Int``, ``Choice``, …), a frozen
            distribution of ``scipy.stats`` (searched by its quantile; a discrete one of few values evenly
            over these), or a list of options; or a list of such dictionaries; or a
            ``luthier.Space``, with its conditions and constraints.
        n_iter: candidates to try, those of an earlier call with the same *study* included; by default 10,
            or with ``searcher="grid"`` every combination. Where there are fewer combinations, they are all.
        scoring: as scikit-learn's: a name, a function, or several.
        n_jobs: candidates at the same time, each in a process of its own; -1 is one for each core.
        refit: True, the score to go by where there are several, a function that chooses, or False.
        cv: as scikit-learn's.
        verbose: above 0 shows the study's progress.
        random_state: decides every configuration, and the fits that draw from numpy's generator.
        error_score: the score of a fit that failed, or "raise". A NaN ends the candidate.
        return_train_score: whether to score the training rows, too.
        searcher: as for ``luthier.tune``; "grid" tries every combination, or the first *n_iter*.
        scheduler: as for ``luthier.tune``, with folds for epochs; None runs every candidate to its end.
            Population-based training is refused: a candidate there takes over what another has learned.
        epochs: the most epochs a candidate trains, by ``partial_fit``; None fits each fold whole.
        max_time: stop after so many seconds, or ``"45m"``.
        study: the study's name; a study that is there already goes on.
        storage: where it is kept, as for ``luthier.tune``; without it and without *study*, nowhere.
        track: where else to write what happens, as for ``luthier.tune``: ``"tensorboard:runs"``, ….

    Attributes:
        cv_results_: scikit-learn's columns, a row a candidate, and "trial", the number in the study, and
            "n_folds" or "n_epochs". Where the scheduler ended a candidate before it had all folds, the
            folds that are missing, and with them its mean, are NaN, and it ranks last.
        study_: the study. It is no part of a pickle.

    ``best_estimator_``, ``best_params_``, ``best_score_``, ``best_index_``, ``scorer_``, ``n_splits_``,
    ``refit_time_``, ``multimetric_``, ``classes_``, ``n_features_in_`` are scikit-learn's.
    """

    _parameter_constraints: dict[str, Any] = {
        **{k: v for k, v in BaseSearchCV._parameter_constraints.items() if k != "pre_dispatch"},
        "param_distributions": [dict, list, tuple, Space],
        "n_iter": [Interval(numbers.Integral, 1, None, closed="left"), None],
        "epochs": [Interval(numbers.Integral, 1, None, closed="left"), None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        estimator: Any,
        param_distributions: Any,
        *,
        n_iter: int | None = None,
        scoring: Any = None,
        n_jobs: int | None = None,
        refit: Any = True,
        cv: Any = None,
        verbose: int = 0,
        random_state: Any = None,
        error_score: Any = np.nan,
        return_train_score: bool = False,
        searcher: Any = None,
        scheduler: Any = "auto",
        epochs: int | None = None,
        max_time: float | str | None = None,
        study: str | None = None,
        storage: Any = None,
        track: Any = None,
    ) -> None:
        super().__init__(
            estimator=estimator,
            scoring=scoring,
            n_jobs=n_jobs,
            refit=refit,
            cv=cv,
            verbose=verbose,
            error_score=error_score,
            return_train_score=return_train_score,
        )
        self.param_distributions = param_distributions
        self.n_iter = n_iter
        self.random_state = random_state
        self.searcher = searcher
        self.scheduler = scheduler
        self.epochs = epochs
        self.max_time = max_time
        self.study = study
        self.storage = storage
        self.track = track

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: Any = None, **params: Any) -> LuthierSearchCV:
        """Search, and refit the best candidate on all rows.

        Args:
            X: examples along the first axis.
            y: targets.
            **params: for ``fit`` of the estimator, the scorer and the splitter (``groups``), by
                scikit-learn's metadata routing.

        Raises:
            StudyError: the study of that name was made with other data, folds, scoring or settings, or an
                estimator with other parameters that are not searched; a scheduler that has candidates go on
                from one another.
            SpaceError: ranges that cannot be.
            ValueError: every fit failed; *n_iter* or *epochs* below 1.
            TrialError: with several processes and ``error_score="raise"``, a fit failed.
        """
        if self.epochs is not None:
            learner_of(self.estimator)
        refuse_copies(self.scheduler)
        scorers: Any = self._get_scorers()
        scorer: Any = scorers[0]
        judged_by: Any = scorers[1]
        X, y = indexable(X, y)  # pyright: ignore[reportConstantRedefinition]
        params = check_method_params(X, params=params)
        routed = self._get_routed_params_for_fit(params)
        cv: Any = cast(Any, check_cv)(self.cv, y, classifier=is_classifier(self.estimator))
        splits = list(cv.split(X, y, **routed.splitter.split))
        self.n_splits_ = cv.get_n_splits(X, y, **routed.splitter.split)
        if len(splits) != self.n_splits_:
            raise ValueError(
                "cv.split and cv.get_n_splits return inconsistent results. "
                f"Expected {self.n_splits_} splits, got {len(splits)}"
            )
        if isinstance(scorer, MultimetricScorer) and not isinstance(judged_by, str):
            judged_by = next(iter(scorer._scorers))
        elif callable(self.scoring) and isinstance(cast(Any, self.refit), str):
            judged_by = self.refit
        task = Task(
            estimator=clone(self.estimator),
            X=X,
            y=y,
            splits=splits,
            ranges=ranges_from(self.param_distributions),
            scorer=scorer,
            judged_by=judged_by,
            fit_params=routed.estimator.fit,
            score_params=routed.scorer.score,
            return_train_score=self.return_train_score,
            error_score=self.error_score,
            verbose=max(0, self.verbose - 1),
        )
        # From numpy's generator, which then goes on: another search each time.
        drawn = self._drawn()
        with same_random_state():
            self.study_ = self._searched(task, drawn)
            self._keep(outcomes(self.study_.history, task, by_epochs=self.epochs is not None))
            if self.refit:
                self._refit(task)
        self.scorer_ = scorer._scorers if isinstance(scorer, MultimetricScorer) else scorer
        return self

    def __getstate__(self) -> dict[str, Any]:
        """Leave the study out, which may hold a connection."""
        state: Any = super().__getstate__()
        return {name: value for name, value in state.items() if name != "study_"}

    # -- the search ------------------------------------------------------------------------------

    def _searched(self, task: Task, drawn: int) -> Study:
        """Run the study, with *drawn* for its seed where it is new, and return it."""
        workers: Any = cast(Any, joblib).effective_n_jobs(self.n_jobs)
        with tempfile.TemporaryDirectory(prefix="luthier-") as folder:
            private = self.study is None and self.storage is None
            place = (
                (Path(folder) / "luthier.db" if workers > 1 else "memory")
                if private
                else self.storage
            )
            store = open_store(place)
            name = self.study or "scikit-learn"
            begun = open_study(name, storage=store) if name in store.names() else None
            scheduler = self.scheduler
            if isinstance(scheduler, str) and scheduler == "auto" and self.epochs is None:
                scheduler = scheduler_for_folds(len(task.splits), begun)
            train = (
                EpochByEpoch(task)
                if self.epochs is not None
                else FoldByFold(task, keeps=promotes(scheduler))
            )
            settings: dict[str, Any] = {
                "maximize": task.objective,
                "epochs": len(task.splits) if self.epochs is None else int(self.epochs),
                "searcher": self.searcher,
                "scheduler": scheduler,
                "seed": begun.seed if begun is not None and self.random_state is None else drawn,
                "max_trials": candidates(self.n_iter, self.searcher, task.ranges.space),
                "storage": store,
                "checkpoints": folder if private else None,
            }
            scores = scores_of(task, self.scoring, by_epochs=self.epochs is not None)
            if begun is not None:  # before anything is written into it
                check_same(begun, scores, task.ranges.always)
            study = open_study(name, task.ranges.space, **settings)
            write_down(study, scores)
            tune(
                train,
                task.ranges.space,
                name=name,
                workers=workers,
                max_time=self.max_time,
                progress=None if self.verbose else False,
                track=self.track,
                data_size=len(task.splits[0][0]),
                **settings,
            )
            if not private:
                study.refresh()
                return study
            kept = open_store("memory")
            copy_log(store, kept, name)
            study.close()
            return open_study(name, storage=kept)

    def _drawn(self) -> int:
        if isinstance(self.random_state, numbers.Integral):
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    # -- what comes of it ------------------------------------------------------------------------

    def _keep(self, found: Outcomes) -> None:
        """Make the results and the best candidate of what the log tells."""
        if not found.parameters:
            raise StudyError(
                f"No candidate was scored within max_time={self.max_time!r}: give more time."
            )
        warn_about_failures(found.folds_run, self.error_score)
        with warnings.catch_warnings():
            if found.stopped:  # those that are NaN were not run
                warnings.filterwarnings("ignore", "One or more of the", UserWarning)
            results = self._format_results(found.parameters, self.n_splits_, found.fits, found.more)
        for what in ("fit_time", "score_time"):
            times = np.array([fit[what] for fit in found.fits]).reshape(-1, self.n_splits_)
            results[f"mean_{what}"], results[f"std_{what}"] = over_known(times)
        self.multimetric_ = found.multimetric
        judged_by = "score"
        if self.multimetric_:
            first = found.fits[0]["test_scores"]
            if callable(self.scoring):
                self._check_refit_for_multimetric(first)
            judged_by = self.refit
        if self.refit or not self.multimetric_:
            self.best_index_ = int(self._select_best_index(self.refit, judged_by, results))
            if not callable(self.refit):
                self.best_score_ = results[f"mean_test_{judged_by}"][self.best_index_]
            self.best_params_ = results["params"][self.best_index_]
        self.cv_results_ = results

    def _refit(self, task: Task) -> None:
        begin = time.time()
        trial = int(self.cv_results_["trial"][self.best_index_])
        chance = Chance(self.study_.seed, ("trial", trial))
        seed = chance.of("training").integer()
        if self.epochs is not None:
            best = int(self.cv_results_["n_epochs"][self.best_index_])
            self.best_estimator_ = refitted(
                task,
                self.best_params_,
                seed,
                lambda epoch: chance.of("epoch", epoch).integer(),
                best,
            )
        else:
            # Not from where the search left numpy's generator, which other processes may have run.
            random.seed(seed)
            np.random.seed(seed % 2**32)
            parameters = clone(self.best_params_)
            self.best_estimator_ = clone(task.estimator).set_params(**parameters)
            arguments = (task.X,) if task.y is None else (task.X, task.y)
            self.best_estimator_.fit(*arguments, **task.fit_params)
        self.refit_time_ = time.time() - begin
        if hasattr(self.best_estimator_, "feature_names_in_"):
            self.feature_names_in_ = self.best_estimator_.feature_names_in_


__all__ = ["LuthierSearchCV"]
