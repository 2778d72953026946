"""LuthierSearchCV does what scikit-learn's own searches do, and less work."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest
from scipy import stats
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.datasets import load_digits, load_iris
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import FitFailedWarning
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, StratifiedKFold
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.estimator_checks import parametrize_with_checks
from threadpoolctl import threadpool_limits

import luthier
from luthier.errors import SpaceError, StudyError, TrialError
from luthier.sklearn import LuthierSearchCV

X, Y = load_iris(return_X_y=True)


@pytest.fixture(autouse=True)
def _one_thread():
    with threadpool_limits(1):
        yield


@parametrize_with_checks(
    [
        LuthierSearchCV(
            GaussianNB(), {"var_smoothing": [1e-9]}, n_iter=1, cv=2, error_score="raise"
        ),
        LuthierSearchCV(
            SGDClassifier(),
            {"alpha": [1e-4]},
            n_iter=1,
            cv=2,
            epochs=5,
            random_state=0,
            error_score="raise",
        ),
    ]
)
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


def test_it_finds_what_grid_search_finds_and_has_its_columns():
    grid = {
        "kneighborsclassifier__n_neighbors": [1, 5, 15],
        "standardscaler__with_mean": [True, False],
    }
    model = make_pipeline(StandardScaler(), KNeighborsClassifier())
    theirs = GridSearchCV(model, grid, return_train_score=True).fit(X, Y)
    ours = LuthierSearchCV(
        model, grid, n_iter=6, searcher="grid", scheduler=None, return_train_score=True
    ).fit(X, Y)
    assert set(ours.cv_results_) == set(theirs.cv_results_) | {"trial", "n_folds"}
    of = {tuple(sorted(p.items())): i for i, p in enumerate(theirs.cv_results_["params"])}
    order = [of[tuple(sorted(p.items()))] for p in ours.cv_results_["params"]]
    for name, column in theirs.cv_results_.items():
        if "time" not in name and not name.startswith("param"):
            np.testing.assert_allclose(ours.cv_results_[name], column[order], err_msg=name)
    assert isinstance(ours.cv_results_["param_standardscaler__with_mean"], np.ma.MaskedArray)
    assert ours.best_score_ == theirs.best_score_
    assert ours.score(X, Y) == ours.best_estimator_.score(X, Y)
    assert (ours.classes_ == theirs.classes_).all()
    assert (ours.n_features_in_, ours.n_splits_) == (4, 5)
    np.testing.assert_array_equal(ours.predict_proba(X).argmax(1), ours.predict(X))
    assert not ours.multimetric_
    assert ours.refit_time_ > 0


def test_bad_candidates_do_not_have_all_folds_and_rank_last():
    search = LuthierSearchCV(
        DecisionTreeClassifier(random_state=0),
        {"max_depth": luthier.Int(1, 8), "min_samples_leaf": luthier.Int(1, 60)},
        n_iter=15,
        cv=StratifiedKFold(9, shuffle=True, random_state=0),
        random_state=0,
    ).fit(X, Y)
    folds = search.cv_results_["n_folds"]
    assert folds.sum() < 15 * 9 * 0.8
    assert set(folds) == {3, 9}
    whole = folds == 9
    assert np.isnan(search.cv_results_["mean_test_score"][~whole]).all()
    ranks = search.cv_results_["rank_test_score"]
    assert ranks[whole].max() < ranks[~whole].min()
    scores = np.array([search.cv_results_[f"split{k}_test_score"] for k in range(9)])
    np.testing.assert_allclose(scores.mean(0)[whole], search.cv_results_["mean_test_score"][whole])
    assert (np.isfinite(scores).sum(0) == folds).all()
    assert whole[search.best_index_]
    # The study's own value of a candidate is that of all its folds, not its luckiest prefix.
    trials = search.study_.trials
    first = next(t for t in trials if t.step == 9)
    assert len(first.steps) == 1
    assert all(
        trials[n].losses[-1] == pytest.approx(-m)
        for n, m in enumerate(search.cv_results_["mean_test_score"])
        if whole[n]
    )


@pytest.mark.parametrize(
    "refit", ["f1_macro", lambda results: int(results["rank_test_accuracy"].argmax())]
)
def test_several_scores(refit):
    search = LuthierSearchCV(
        KNeighborsClassifier(),
        {"n_neighbors": [1, 40]},
        n_iter=2,
        cv=3,
        scoring=["accuracy", "f1_macro"],
        refit=refit,
        return_train_score=True,
    ).fit(X, Y)
    assert search.multimetric_
    assert set(search.scorer_) == {"accuracy", "f1_macro"}
    assert {"mean_test_f1_macro", "split2_train_accuracy", "rank_test_accuracy"} <= set(
        search.cv_results_
    )
    if refit == "f1_macro":
        assert search.best_score_ == search.cv_results_["mean_test_f1_macro"].max()
        assert search.study_.objective.metric == "mean_test_f1_macro"
    else:
        assert search.best_index_ == search.cv_results_["rank_test_accuracy"].argmax()


def test_a_scorer_that_returns_a_dictionary_and_no_refit():
    def scores(estimator, x, y):
        return {"right": estimator.score(x, y), "wrong": 1 - estimator.score(x, y)}

    def searched(**options):
        return LuthierSearchCV(
            KNeighborsClassifier(),
            {"n_neighbors": [1, 40]},
            n_iter=2,
            cv=3,
            scoring=scores,
            **options,
        ).fit(X, Y)

    search = searched(refit="wrong")
    assert search.best_params_ == {"n_neighbors": 40}
    search = searched(refit=False)
    assert not hasattr(search, "best_estimator_")
    assert "mean_test_right" in search.cv_results_
    with pytest.raises(ValueError, match="refit must be set to a scorer key"):
        searched(refit=True)


def test_epochs_end_bad_candidates_early_and_continue_exactly():
    x, y = load_digits(return_X_y=True)
    x, y = x[:300], y[:300]

    def searched(**options):
        return LuthierSearchCV(
            make_pipeline(MinMaxScaler(), MLPClassifier((16,))),
            {"mlpclassifier__learning_rate_init": luthier.Float(1e-5, 1, scale="log")},
            n_iter=9,
            cv=3,
            epochs=9,
            random_state=0,
            **options,
        ).fit(x, y)

    halving = searched()
    whole = searched(scheduler=None)
    steps = [t.step for t in halving.study_.trials]
    assert sum(steps) < 9 * 9 * 0.7
    assert max(steps) == 9
    assert halving.best_score_ > 0.7
    # Paused and continued candidates have the curves of those that trained through.
    for few, all_of_it in zip(halving.study_.trials, whole.study_.trials, strict=True):
        if few.configuration != all_of_it.configuration:
            break  # from here on the searcher had seen other results
        assert list(few.losses) == list(all_of_it.losses[: len(few.losses)])
    assert any(len(set(t.losses)) == 9 for t in halving.study_.trials)
    best = halving.cv_results_["n_epochs"][halving.best_index_]
    learner = halving.best_estimator_[-1]
    assert learner.t_ == best * len(x)  # examples seen
    assert halving.score(x, y) > 0.8


def test_epochs_need_partial_fit():
    with pytest.raises(StudyError, match="DecisionTreeClassifier does not learn by epochs"):
        LuthierSearchCV(DecisionTreeClassifier(), {"max_depth": [1, 2]}, epochs=3).fit(X, Y)


def test_sample_weights_reach_the_epochs():
    weight = np.where(Y == 2, 0.0, 1.0)
    search = LuthierSearchCV(
        make_pipeline(StandardScaler(), SGDClassifier()),
        {"sgdclassifier__alpha": [1e-4, 1e-3]},
        n_iter=2,
        cv=2,
        epochs=3,
        random_state=0,
    ).fit(X, Y, sgdclassifier__sample_weight=weight)
    assert 2 not in search.predict(X)
    with pytest.raises(StudyError, match="for the pipeline's last step"):
        clone(search).set_params(error_score="raise").fit(
            X, Y, standardscaler__sample_weight=weight
        )


class Picky(ClassifierMixin, BaseEstimator):
    """Refuses some settings."""

    def __init__(self, level=0):
        self.level = level

    def fit(self, X, y):
        if self.level > 1:
            raise ValueError(f"level {self.level} is too high")
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return np.full(len(X), self.level)


def test_fits_that_fail():
    def search(levels, **options):
        return LuthierSearchCV(
            Picky(), {"level": levels}, n_iter=len(levels), cv=2, searcher="grid", **options
        )

    with pytest.warns(FitFailedWarning, match="1 fits failed out of a total of 5"):
        found = search([0, 1, 2]).fit(X, Y)
    at = [p["level"] for p in found.cv_results_["params"]].index(2)
    assert np.isnan(found.cv_results_["mean_test_score"][at])
    assert found.cv_results_["rank_test_score"][at] == 3
    with pytest.warns(FitFailedWarning, match="2 fits failed out of a total of 6"):
        found = search([0, 1, 2], error_score=-1.0).fit(X, Y)
    assert found.cv_results_["mean_test_score"][at] == -1.0
    with pytest.raises(ValueError, match=r"All the \d fits failed(.|\n)*level 2 is too high"):
        search([2, 3]).fit(X, Y)
    with pytest.raises(ValueError, match="level 2 is too high"):
        search([2, 3], error_score="raise").fit(X, Y)


def test_groups_and_unsupervised_scores():
    groups = np.arange(len(X)) % 5
    search = LuthierSearchCV(
        KNeighborsClassifier(), {"n_neighbors": [1, 3]}, n_iter=2, cv=GroupKFold(5)
    )
    search.fit(X, Y, groups=groups)
    with pytest.raises(ValueError, match="groups"):
        clone(search).fit(X, Y)


def test_metadata_routing():
    import sklearn

    with sklearn.config_context(enable_metadata_routing=True):
        model = (
            GaussianNB().set_fit_request(sample_weight=True).set_score_request(sample_weight=False)
        )
        search = LuthierSearchCV(model, {"var_smoothing": [1e-9, 1e-3]}, n_iter=2, cv=GroupKFold(3))
        weight = np.where(Y == 2, 0.0, 1.0)
        search.fit(X, Y, sample_weight=weight + 1e-12, groups=np.arange(len(X)) % 3)
        assert search.best_estimator_.class_prior_[2] < 1e-6


def test_it_goes_on_where_it_was_and_refuses_other_data(tmp_path):
    def search(n_iter, cv=3):
        return LuthierSearchCV(
            KNeighborsClassifier(),
            {"n_neighbors": luthier.Int(1, 40), "p": luthier.Float(1, 3)},
            n_iter=n_iter,
            cv=cv,
            study="neighbours",
            storage=tmp_path / "studies.db",
        )

    first = search(4).fit(X, Y)
    more = search(7).fit(X, Y)
    assert more.cv_results_["params"][:4] == first.cv_results_["params"]
    assert len(more.cv_results_["params"]) == 7
    before = more.study_.history.cursor
    again = search(7).fit(X, Y)  # nothing is fitted again but the best
    assert again.study_.history.cursor - before < 4
    assert [t.step for t in again.study_.trials] == [t.step for t in more.study_.trials]
    np.testing.assert_array_equal(again.predict(X), more.predict(X))
    with pytest.raises(StudyError, match="other data or other folds"):
        search(7).fit(X[::-1], Y[::-1])
    with pytest.raises(StudyError, match="other data or other folds"):
        search(7, KFold(3, shuffle=True, random_state=1)).fit(X, Y)


@pytest.mark.processes
def test_several_processes_find_the_same_as_one():
    def search(**options):
        return LuthierSearchCV(
            DecisionTreeClassifier(),
            {"max_depth": luthier.Int(1, 8)},
            n_iter=4,
            searcher="random",
            scheduler=None,
            random_state=3,
            **options,
        )

    one, two = search().fit(X, Y), search(n_jobs=2).fit(X, Y)
    assert one.cv_results_["params"] == two.cv_results_["params"]
    np.testing.assert_array_equal(
        one.cv_results_["mean_test_score"], two.cv_results_["mean_test_score"]
    )
    assert len(two.study_.trials) == 4
    with pytest.raises(TrialError, match="level 2 is too high"):
        LuthierSearchCV(Picky(), {"level": [1, 2]}, n_iter=2, n_jobs=2, error_score="raise").fit(
            X, Y
        )


def test_ranges_in_all_spellings():
    scale = [StandardScaler(), MinMaxScaler(), "passthrough"]
    pipeline = Pipeline([("scale", StandardScaler()), ("model", KNeighborsClassifier())])
    search = LuthierSearchCV(
        pipeline,
        [
            {
                "scale": scale,
                "model__n_neighbors": stats.randint(1, 20),
                "model__p": stats.uniform(1, 2),
                "model__weights": ["uniform", "distance"],
            },
            {
                "model": [DecisionTreeClassifier(), GaussianNB(priors=[0.2, 0.2, 0.6])],
                "scale": [StandardScaler()],
            },
        ],
        n_iter=12,
        searcher="random",
        cv=2,
        random_state=0,
    ).fit(X, Y)
    seen = search.cv_results_["params"]
    models = {type(p["model"]).__name__ for p in seen if "model" in p}
    assert models <= {"DecisionTreeClassifier", "GaussianNB"}
    assert models
    for p in seen:
        if "model" not in p:
            assert type(p["model__n_neighbors"]) is int
            assert 1 <= p["model__n_neighbors"] <= 19
            assert 1 <= p["model__p"] <= 3
            assert any(p["scale"] is each for each in scale)
    assert search.cv_results_["param_model__p"].mask.any()
    gamma = LuthierSearchCV(
        SGDClassifier(), {"alpha": stats.gamma(2, scale=1e-3)}, n_iter=8, searcher="random", cv=2
    )
    values = [p["alpha"] for p in gamma.fit(X, Y).cv_results_["params"]]
    assert all(0 < v < 0.02 for v in values)
    assert len(set(values)) == 8
    for wrong, match in (
        ({"alpha": "high"}, r"for one value, \['high'\]"),
        ({"alpha": []}, "at least one option"),
        ({"alpha": 3}, "expected a list of options"),
        ([], "expected a dictionary of ranges"),
    ):
        with pytest.raises(SpaceError, match=match):
            LuthierSearchCV(SGDClassifier(), wrong).fit(X, Y)


def test_conditions_of_a_luthier_space():
    space = luthier.Space(
        penalty=luthier.Choice("l2", "elasticnet"),
        l1_ratio=luthier.Float(0, 1).when(penalty="elasticnet"),
    )
    search = LuthierSearchCV(
        SGDClassifier(), space, n_iter=8, searcher="random", cv=2, random_state=1
    )
    seen = search.fit(X, Y).cv_results_["params"]
    assert {("l1_ratio" in p, p["penalty"]) for p in seen} == {(True, "elasticnet"), (False, "l2")}


def test_it_is_an_estimator_like_others():
    search = LuthierSearchCV(
        DummyClassifier(), {"strategy": ["prior", "stratified"]}, n_iter=2, random_state=0
    )
    state = np.random.get_state()[1].copy()
    search.fit(X, Y)
    assert (np.random.get_state()[1] == state).all()
    again = pickle.loads(pickle.dumps(search))
    assert again.best_params_ == search.best_params_
    assert not hasattr(again, "study_")
    assert clone(search).get_params()["n_iter"] == 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "LuthierSearchCV" in repr(search)
    assert search.__sklearn_tags__().classifier_tags.multi_class


def test_it_is_tracked(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    search = LuthierSearchCV(
        DummyClassifier(),
        {"strategy": ["prior", "uniform"]},
        n_iter=2,
        scheduler=None,
        cv=3,
        random_state=0,
        track=f"tensorboard:{tmp_path}",
    ).fit(X, Y)
    runs = sorted({path.parent for path in tmp_path.rglob("*tfevents*")})
    known = [EventAccumulator(str(run)).Reload() for run in runs]
    scored = [run.Scalars(tag)[-1].value for run in known for tag in run.Tags()["scalars"]]
    assert set(np.round(search.cv_results_["mean_test_score"], 5)) <= set(np.round(scored, 5))
    assert clone(search).track == f"tensorboard:{tmp_path}"
