"""What a search asks of its study: the same scores when it goes on, no candidate twice, numbers that can be."""

from __future__ import annotations

import functools
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_iris
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import BaggingClassifier
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.metrics import fbeta_score, make_scorer
from sklearn.model_selection import GridSearchCV, KFold, LeaveOneOut, ParameterGrid
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, StandardScaler
from sklearn.svm import SVC
from threadpoolctl import threadpool_limits

import luthier
from luthier.errors import LuthierWarning, StudyError
from luthier.schedule.asha import ASHA
from luthier.schedule.population import PopulationBasedTraining
from luthier.sklearn import LuthierSearchCV
from luthier.train.sklearn import studies
from luthier.train.sklearn.fingerprint import fingerprint
from luthier.train.sklearn.spaces import ranges_from
from luthier.train.sklearn.task import Task

X, Y = load_iris(return_X_y=True)
C = {"C": stats.loguniform(0.01, 100)}


@pytest.fixture(autouse=True)
def _one_thread():
    with threadpool_limits(1):
        yield


# -- the same scores ---------------------------------------------------------------------------


def test_other_estimators_and_scorings_are_refused(tmp_path):
    def search(estimator, scoring="accuracy", ranges=C, n_iter=2, **more):
        return LuthierSearchCV(
            estimator, ranges, n_iter=n_iter, scoring=scoring, random_state=0, cv=3,
            study="s", storage=tmp_path / "m.db", **more,
        )  # fmt: skip

    before = search(SVC()).fit(X, Y)
    for other, words in (
        (search(LogisticRegression(), "neg_log_loss"), "estimator was SVC, is now LogisticRegress"),
        (search(SVC(), "f1_macro"), "scoring was 'accuracy', is now 'f1_macro'"),
        (search(SVC(), lambda e, x, y: e.score(x, y)), "scoring was 'accuracy', is now .*lambda"),
        (search(SVC(gamma=100.0)), "gamma was its default, is now 100.0"),
    ):
        with pytest.raises(StudyError, match=words):
            other.set_params(n_iter=9).fit(X, Y)
    with pytest.raises(StudyError, match="sample_weight for fit was its default"):
        search(SVC()).fit(X, Y, sample_weight=np.ones(len(X)))
    written = luthier.open("s", storage=tmp_path / "m.db").history
    assert written.limits.trials == 2
    # What is searched does not count, nor how the fits are done.
    more = search(SVC(C=7.0, cache_size=50, verbose=0), n_iter=3).fit(X, Y)
    assert more.cv_results_["params"][:2] == before.cv_results_["params"]
    assert len(more.cv_results_["params"]) == 3


def test_a_study_of_the_version_before_goes_on(tmp_path, monkeypatch):
    def search(n_iter, **settings):
        return LuthierSearchCV(
            KNeighborsClassifier(**settings), {"n_neighbors": stats.randint(1, 18)}, n_iter=n_iter,
            random_state=0, cv=LeaveOneOut(), study="s", storage=tmp_path / "m.db",
        ).fit(X[::8], Y[::8])  # fmt: skip

    with monkeypatch.context() as before:  # it wrote no settings, and compared candidates earlier
        before.setattr(studies, "_SETTINGS", "nothing that is read")
        before.setattr(
            "luthier.sklearn.scheduler_for_folds",
            lambda count, begun=None: ASHA(epochs=count, minimum=2, stops=True),
        )
        search(2)
    assert len(search(4).cv_results_["params"]) == 4
    with pytest.raises(StudyError, match="weights was its default, is now 'distance'"):
        search(5, weights="distance")


def words_of(estimator, scoring=None, ranges=C, **options):
    task = Task(estimator, X, Y, [], ranges_from(ranges), None, "score", {}, {})
    found = fingerprint(task, scoring, by_epochs=False, **options)
    return found.words, found.code


class Odd(ClassifierMixin, BaseEstimator):
    """Takes anything."""

    def __init__(self, part=None, other=1):
        self.part = part
        self.other = other


class Plain:
    pass


def loss(power):
    return lambda estimator, x, y: estimator.score(x, y) ** power


def parts():
    """Return parts that no two runs have in common but in what they mean."""
    return [
        Plain(),
        threading.Lock(),
        np.random.default_rng(),
        np.random.RandomState(None),
        {"b": Plain(), "a": {3, 1, 2}},
        [object(), functools.partial(loss, power=2)],
        FunctionTransformer(np.log1p, kw_args={"where": True}),
        GridSearchCV(SVC(), {"C": [1, 2]}, scoring=make_scorer(fbeta_score, beta=2)),
        loss(2),
        lambda estimator, x, y: estimator in {"a", "b", "c"},  # in another order in each process
        open,
        float("nan"),
        np.arange(3.0),
        KFold(3),
    ]


def test_the_same_again_is_no_difference():
    for one, two in zip(parts(), parts(), strict=True):
        assert words_of(Odd(one)) == words_of(Odd(two))
        assert "part" in words_of(Odd(one))[0]
        assert " at 0x" not in str(words_of(Odd(one)))
    # A new scikit-learn may do it in other words.
    words, code = words_of(FunctionTransformer(np.log1p), make_scorer(fbeta_score, beta=2))
    assert words["the scoring"].startswith("make_scorer(fbeta_score, 1")
    assert not code
    itself = {}
    itself["me"] = itself
    assert words_of(Odd(itself)) == words_of(Odd(itself))
    assert words_of(SVC(C=1, cache_size=9)) == words_of(SVC(gamma="scale", C=2))
    assert words_of(SVC(), ["f1", "accuracy"]) == words_of(SVC(), ("accuracy", "f1"))


def test_it_is_the_same_in_another_process():
    program = (
        "from test_studies import Odd, parts, words_of\n"
        "print([words_of(Odd(part)) for part in parts()])"
    )
    there = subprocess.run(
        [sys.executable, "-c", program], cwd=Path(__file__).parent, capture_output=True,
        text=True, check=True, timeout=300,
    )  # fmt: skip
    here = [words_of(Odd(part)) for part in parts()]
    assert there.stdout.strip().splitlines()[-1] == str(here)


def test_what_changes_scores_is_a_difference():
    def pipeline(scale=None, name="svc", **settings):
        return Pipeline([("scale", scale or StandardScaler()), (name, SVC(**settings))])

    def long_name(**settings):
        return LogisticRegression(intercept_scaling=3.0, class_weight="balanced", **settings)

    alike = [
        words_of(pipeline(), ranges={"svc__C": [1, 2]}),
        words_of(pipeline(C=3), ranges={"svc__C": [1, 2]}),
    ]
    assert alike[0] == alike[1]
    different = [
        words_of(pipeline(scale=MinMaxScaler())),
        words_of(pipeline()),
        words_of(pipeline(StandardScaler(with_mean=False))),
        words_of(pipeline(kernel="poly")),
        words_of(pipeline(name="model")),
        words_of(SVC()),
        words_of(BaggingClassifier(SVC())),
        words_of(BaggingClassifier(SVC(gamma=2.0))),
        words_of(Odd(loss(2))),
        words_of(Odd(loss(3))),
        words_of(Odd(np.arange(3))),
        words_of(Odd(np.arange(4))),
        words_of(SVC(), make_scorer(fbeta_score, beta=1)),
        words_of(SVC(), make_scorer(fbeta_score, beta=2)),
        words_of(SVC(), lambda e, x, y: e.score(x, y)),
        words_of(SVC(), lambda e, x, y: -e.score(x, y)),
        words_of(SVC(), {"f": "f1", "g": "accuracy"}),
        words_of(SVC(), {"f": "f1", "g": "recall"}),
        # Set in some configurations only, it counts in the others.
        words_of(SVC(degree=2), ranges=[{"degree": [3], "C": [1]}, {"C": [1]}]),
        words_of(SVC(degree=4), ranges=[{"degree": [3], "C": [1]}, {"C": [1]}]),
        # The log has the beginning of such an option's name.
        words_of(pipeline(), ranges={"svc": [long_name(max_iter=8)]}),
        words_of(pipeline(), ranges={"svc": [long_name(max_iter=9)]}),
    ]  # fmt: skip
    for i, one in enumerate(different):
        assert one not in different[:i], i
    both = [{"degree": [3], "C": [1]}, {"degree": [4]}]
    assert words_of(SVC(degree=2), ranges=both) == words_of(SVC(degree=4), ranges=both)


def test_another_python_compiles_other_code(tmp_path, monkeypatch):
    def search(scoring, python):
        monkeypatch.setattr(studies, "PYTHON", python)
        return LuthierSearchCV(
            GaussianNB(), {"var_smoothing": [1e-9, 1e-3]}, scoring=scoring, cv=2,
            random_state=0, study="s", storage=tmp_path / "m.db",
        ).fit(X, Y)  # fmt: skip

    search(lambda e, x, y: e.score(x, y), "3.11")
    search(lambda e, x, y: e.score(x, y), "3.11")
    with pytest.raises(StudyError, match=r"the code of the scoring \(.*<lambda>\) changed"):
        search(lambda e, x, y: -e.score(x, y), "3.11")
    search(lambda e, x, y: e.score(x, y) - 0, "3.12")


# -- no candidate twice ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "ranges",
    [
        {"n_neighbors": [1, 5, 9]},
        {"n_neighbors": [1, 5, 9], "weights": ["uniform", "distance"], "p": [1, 2]},
        [{"n_neighbors": [1, 5]}, {"weights": ["distance"], "p": [1, 2]}],
        {},
    ],
)
def test_each_combination_is_tried_once(ranges):
    there = list(ParameterGrid(ranges))
    search = LuthierSearchCV(KNeighborsClassifier(), ranges, n_iter=40, random_state=0, cv=2)
    with pytest.warns(
        LuthierWarning, match=f"n_iter=40, but there (is|are) only {len(there)} "
    ) as w:
        tried = search.fit(X, Y).cv_results_["params"]
    assert [warning.filename for warning in w] == [__file__]
    assert sorted(map(str, map(sorted, map(dict.items, tried)))) == sorted(
        map(str, map(sorted, map(dict.items, there)))
    )
    search.set_params(n_iter=None).fit(X, Y)  # nobody asked for more: no warning


def test_a_grid_is_tried_whole():
    def search(n_iter=None, searcher="grid"):
        found = LuthierSearchCV(
            DummyClassifier(),
            {"strategy": ["prior", "uniform", "stratified", "most_frequent"], "random_state": [0, 1, 2]},
            n_iter=n_iter, searcher=searcher, cv=2, random_state=0,
        ).fit(X, Y)  # fmt: skip
        return len(set(map(str, found.cv_results_["params"])))

    assert search() == 12
    assert search(searcher=luthier.search.Grid()) == 12
    assert search(searcher=None) == 10
    assert search(np.int64(40)) == 12
    with pytest.warns(LuthierWarning, match="n_iter=5: 5 of the grid's 12 combinations are tried"):
        assert search(5) == 5


# -- numbers that can be -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong", [{"epochs": 0}, {"epochs": -1}, {"epochs": 2.5}, {"n_iter": 0}, {"n_iter": "9"}]
)
def test_the_users_own_argument_is_named(wrong):
    [(name, value)] = wrong.items()
    search = LuthierSearchCV(SGDClassifier(), {"alpha": [1e-4]}, **wrong)
    with pytest.raises(
        ValueError, match=f"'{name}' parameter of LuthierSearchCV must be .* Got {value!r}"
    ):
        search.fit(X, Y)


@pytest.mark.parametrize(
    ("distribution", "expected"),
    [
        (stats.poisson(3), luthier.Int(0, 10)),
        (stats.binom(4, 0.5), luthier.Int(0, 4)),
        (stats.binom(100, 0.5, loc=1), luthier.Int(36, 66)),
        (stats.rv_discrete(values=([1, 2, 3], [1e-4, 0.5, 0.4999])), luthier.Int(1, 3)),
        (stats.rv_discrete(values=([8, 16, 64], [0.2, 0.3, 0.5])), luthier.Choice(8, 16, 64)),
        (stats.rv_discrete(values=([8, 16], [0.5, 0.5]))(loc=1), luthier.Choice(9, 17)),
        (stats.rv_discrete(values=([0.5, 1.0], [0.5, 0.5])), luthier.Choice(0.5, 1)),
        (
            stats.rv_discrete(values=([0.25, 0.5, 1.5], [0.2, 0.3, 0.5]))(loc=0.25),
            luthier.Choice(0.5, 0.75, 1.75),
        ),
        (stats.rv_discrete(values=([5], [1.0])), luthier.Constant(5)),
    ],
)
def test_discrete_distributions_are_searched_by_their_values(distribution, expected):
    found = ranges_from({"k": distribution})
    assert found.space["k"] == expected
    configuration = found.space.default()
    assert found.parameters(configuration) == configuration


def test_a_discrete_distribution_of_very_many_values_is_searched_by_its_quantile():
    found = ranges_from({"k": stats.poisson(1e6)})
    [(name, value)] = found.parameters(found.space.default()).items()
    assert (name, value) == ("k", 1_000_000)
    assert type(value) is int


@pytest.mark.parametrize(
    "distribution",
    [
        stats.zipf(1.2),  # of which a far quantile is beyond counting
        stats.geom(0.01),
        stats.rv_discrete(
            values=(range(16, 513, 16), [1 / 32] * 32)
        ),  # options would have no order
    ],
)
def test_one_with_a_long_tail_or_many_steps_is_searched_by_its_quantile(distribution):
    found = ranges_from({"k": distribution})
    assert list(found.space.domains) == ["quantile of k"]
    [value] = found.parameters(found.space.default()).values()
    assert type(value) is int
    assert distribution.pmf(value) > 0


def test_no_value_of_a_discrete_distribution_is_tried_twice():
    search = LuthierSearchCV(
        KNeighborsClassifier(), {"n_neighbors": stats.binom(3, 0.5, loc=1)}, n_iter=9, cv=2
    )
    with pytest.warns(LuthierWarning, match="only 4 combinations"):
        search.fit(X, Y)
    assert sorted(p["n_neighbors"] for p in search.cv_results_["params"]) == [1, 2, 3, 4]


@pytest.mark.parametrize("epochs", [None, 4])
@pytest.mark.parametrize(
    "scheduler", ["population", PopulationBasedTraining(epochs=4)], ids=["name", "object"]
)
def test_candidates_that_go_on_from_one_another_are_refused(scheduler, epochs, tmp_path):
    search = LuthierSearchCV(
        SGDClassifier(), {"alpha": stats.loguniform(1e-5, 1e-1)}, scheduler=scheduler,
        epochs=epochs, cv=4, study="s", storage=tmp_path / "s.db",
    )  # fmt: skip
    with pytest.raises(StudyError, match=r"other parameters.*such as 'asha' or 'hyperband'"):
        search.fit(X, Y)
    assert not (tmp_path / "s.db").exists()


# -- chance ------------------------------------------------------------------------------------


def test_without_a_random_state_every_fit_is_another_search(tmp_path):
    def tried(**more):
        search = LuthierSearchCV(GaussianNB(), ranges, n_iter=3, cv=2, **more)
        return search.fit(X, Y).cv_results_["params"]

    ranges = {"var_smoothing": luthier.Float(1e-9, 1e-1, scale="log")}
    np.random.seed(3)
    first, second = tried(), tried()
    assert first != second
    np.random.seed(3)
    assert [tried(), tried()] == [first, second]
    named = {"study": "s", "storage": tmp_path / "s.db"}
    assert tried(**named) == tried(**named)  # goes on with the seed that it was begun with


@pytest.mark.parametrize("count", [5, 6, 8, 9, 10, 17, 18, 30, 150])
def test_candidates_are_compared_once_after_a_third_of_the_folds(count):
    first, last = studies.scheduler_for_folds(count).steps
    assert abs(first - count / 3) < 1
    assert last == count
    assert studies.scheduler_for_folds(4) is None


def test_leave_one_out_ends_candidates_after_a_third():
    search = LuthierSearchCV(
        make_pipeline(StandardScaler(), SVC()), {"svc__C": stats.loguniform(1e-3, 1e2)}, n_iter=5,
        cv=LeaveOneOut(), random_state=0,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        folds = search.fit(X[::5], Y[::5]).cv_results_["n_folds"]
    assert set(folds) == {10, 30}
