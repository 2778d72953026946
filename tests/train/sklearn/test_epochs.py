"""LuthierSearchCV with ``epochs=``: which rows are learnt, which scored, and what candidates cannot do so."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import FitFailedWarning
from sklearn.linear_model import Perceptron, SGDClassifier
from sklearn.model_selection import ShuffleSplit, TimeSeriesSplit
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.random_projection import GaussianRandomProjection
from sklearn.tree import DecisionTreeClassifier
from threadpoolctl import threadpool_limits

import luthier
from luthier.errors import StudyError
from luthier.sklearn import LuthierSearchCV

X, Y = load_iris(return_X_y=True)
ORDER = np.random.default_rng(0).permutation(len(X))
X, Y = X[ORDER], Y[ORDER]
RATES = [1e-5, 1e-4, 1e-3, 1e-2]
ALPHAS = {"sgdclassifier__alpha": [1e-4, 1e-2]}


@pytest.fixture(autouse=True)
def _one_thread():
    with threadpool_limits(1):
        yield


def searched(estimator, ranges, x=X, **options):
    defaults = {"n_iter": 2, "searcher": "grid", "cv": 2, "epochs": 2, "scheduler": None}
    options = defaults | {"random_state": 0, "error_score": "raise"} | options
    return LuthierSearchCV(estimator, ranges, **options).fit(x, Y)


class Masks:
    """Folds as boolean masks."""

    def split(self, X, y=None, groups=None):
        test = np.arange(len(X)) % 2 == 0
        return iter([(~test, test), (test, ~test)])

    def get_n_splits(self, X=None, y=None, groups=None):
        return 2


class Bootstrap:
    """Training rows drawn with replacement, tested on all rows."""

    def split(self, X, y=None, groups=None):
        rows = np.arange(len(X))
        return iter([(np.random.default_rng(k).choice(rows, len(X)), rows) for k in range(2)])

    def get_n_splits(self, X=None, y=None, groups=None):
        return 2


@pytest.mark.parametrize(
    "cv", [TimeSeriesSplit(3), ShuffleSplit(2, train_size=0.5, test_size=0.2), Masks(), Bootstrap()]
)
def test_the_best_is_refitted_on_all_rows(cv):
    search = searched(MLPClassifier((4,)), {"alpha": [1e-4, 1e-2]}, cv=cv)
    epochs = search.cv_results_["n_epochs"][search.best_index_]
    assert search.best_estimator_.t_ == epochs * len(X)  # examples seen


@pytest.mark.parametrize("several", [False, True])
def test_a_scoring_function_sees_the_pipeline_and_the_rows_as_they_are(several):
    seen = set()

    def score(estimator, x, y):
        seen.add((tuple(getattr(estimator, "named_steps", ())), float(x.max()) > 5))
        return estimator.score(x, y)

    model = make_pipeline(StandardScaler(), SGDClassifier())
    several = {"scoring": {"own": score, "plain": "accuracy"}, "refit": "own"} if several else {}
    options = {"scoring": score, "return_train_score": True, **several}
    search = searched(model, ALPHAS, **options)
    assert seen == {(("standardscaler", "sgdclassifier"), True)}
    if several:
        for kind in ("test", "train"):
            np.testing.assert_array_equal(
                search.cv_results_[f"mean_{kind}_own"], search.cv_results_[f"mean_{kind}_plain"]
            )
        plain = searched(model, ALPHAS)
        np.testing.assert_array_equal(
            plain.cv_results_["mean_test_score"], search.cv_results_["mean_test_own"]
        )


def halved(model, ranges, **options):
    """Search with candidates that are paused after an epoch, the best of which goes on."""
    return searched(
        model, ranges, scheduler=luthier.SuccessiveHalving(epochs=4, trials=4, factor=4), epochs=4,
        n_iter=4, **options,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("model", "ranges"),
    [
        (GaussianNB(), {"var_smoothing": RATES}),  # has no random_state
        (OneVsRestClassifier(SGDClassifier()), {"estimator__alpha": RATES}),
        (OneVsRestClassifier(MLPClassifier((4,))), {"estimator__alpha": RATES}),
        # Transformers that draw are fitted anew when a candidate goes on.
        (
            make_pipeline(GaussianRandomProjection(2), SGDClassifier()),
            {"sgdclassifier__alpha": RATES},
        ),
    ],
)
def test_what_was_paused_goes_on_whatever_the_learner(model, ranges):
    few, whole = halved(model, ranges), searched(model, ranges, epochs=4, n_iter=4)
    assert sorted(t.step for t in few.study_.trials) == [1, 1, 1, 4]
    for a, b in zip(few.study_.trials, whole.study_.trials, strict=True):
        assert a.configuration == b.configuration
        assert list(a.losses) == list(b.losses[: a.step])


def test_a_pipeline_with_a_memory(tmp_path):
    steps = StandardScaler(), MinMaxScaler(), SGDClassifier()
    plain = searched(make_pipeline(*steps), ALPHAS)
    kept = searched(make_pipeline(*steps, memory=str(tmp_path)), ALPHAS)
    assert kept.score(X, Y) == plain.score(X, Y)
    np.testing.assert_array_equal(kept.predict(X), plain.predict(X))


def test_a_pipeline_of_one_step():
    search = halved(Pipeline([("sgdclassifier", SGDClassifier())]), {"sgdclassifier__alpha": RATES})
    assert list(search.best_estimator_.named_steps) == ["sgdclassifier"]
    assert search.score(X, Y) > 0.5


def test_a_candidate_that_does_not_learn_by_epochs_fails_alone():
    model = MLPClassifier((4,), random_state=0)
    with pytest.warns(FitFailedWarning, match="2 fits failed out of a total of 4"):
        search = searched(model, {"solver": ["adam", "lbfgs"]}, error_score=np.nan)
    assert search.best_params_ == {"solver": "adam"}
    assert len(search.study_.trials) == 2
    words = (
        r"MLPClassifier\(.*solver='lbfgs'\) does not learn by epochs.*MLPClassifier has partial_fit"
    )
    with pytest.raises(StudyError, match=words):
        searched(model, {"solver": ["adam", "lbfgs"]})
    with pytest.raises(StudyError, match=words):
        searched(model.set_params(solver="lbfgs"), {"alpha": [1e-4, 1e-2]})


def test_options_that_are_equal_and_not_the_same():
    shares = [1, 1.0, np.float64(0.5), np.int64(2), True, "1"]
    search = LuthierSearchCV(
        RandomForestClassifier(2, random_state=0), {"max_features": shares}, searcher="grid", cv=2,
        error_score=-1.0, scheduler=None,
    )  # fmt: skip
    with pytest.warns(FitFailedWarning):  # True and "1" are no shares
        search.fit(X, Y)
    seen = [p["max_features"] for p in search.cv_results_["params"]]
    assert [(type(one), one) for one in seen] == [(type(one), one) for one in shares]


@pytest.mark.parametrize("epochs", [None, 3])
def test_the_refit_is_the_same_whoever_ran_the_search(epochs, tmp_path):
    """A study that is there already runs nothing, so numpy's generator is elsewhere."""

    def search(n_iter):
        model = Perceptron() if epochs else DecisionTreeClassifier(max_features=1)
        return LuthierSearchCV(
            model, {"alpha" if epochs else "ccp_alpha": [0.0, 1e-3]}, n_iter=n_iter, epochs=epochs, cv=2,
            random_state=0, study="s", storage=tmp_path / "s.db", scheduler=None, searcher="grid",
        ).fit(X, Y)  # fmt: skip

    def inside(search):
        found = search.best_estimator_
        return found.coef_ if epochs else found.tree_.threshold

    np.testing.assert_array_equal(inside(search(2)), inside(search(2)))
