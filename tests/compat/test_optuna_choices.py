"""Choices that are no plain data, and names that end as Luthier's own do."""

from __future__ import annotations

import enum
import math
import pickle
import warnings

import numpy as np
import optuna as real
import pytest

import luthier as lt
import luthier.compat.optuna as door
from luthier.compat.optuna.exporting import write_optuna
from luthier.compat.optuna.labels import label_of, place_of
from luthier.errors import LuthierWarning

BOTH = pytest.mark.parametrize("optuna", [door, real], ids=["door", "optuna"])


class Shade(enum.Enum):
    DARK = "dark"
    LIGHT = "light"


class Name(enum.StrEnum):
    SGD = "sgd"
    ADAM = "adam"


class Layer:
    pass


CHOICES = {
    "tuple": [(64,), (64, 64)],
    "nested": [((1, 2), (3,)), ((4,),)],
    "list": [[1, 2], [3]],
    "numpy": [np.int64(3), np.float64(0.5)],
    "enum": [Shade.DARK, Shade.LIGHT],
    "text": [Name.SGD, Name.ADAM],
    "function": [math.sqrt, math.log, lambda x: x],
    "class": [Layer, dict],
    "infinite": [math.inf, -math.inf, 1.0],
    "large": [2**70, 1],
    "mixed": [1, True, 1.5, None],
}


@pytest.fixture(autouse=True)
def quiet():
    before = real.logging.get_verbosity(), door.logging.get_verbosity()
    real.logging.set_verbosity(real.logging.ERROR)
    door.logging.set_verbosity(door.logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Choices for a categorical")
        yield
    real.logging.set_verbosity(before[0])
    door.logging.set_verbosity(before[1])


def same(a, b):
    return type(a) is type(b) and a == b


@BOTH
def test_choices_come_back_as_they_are(optuna):
    def objective(trial):
        for name, choices in CHOICES.items():
            got = trial.suggest_categorical(name, choices)
            assert any(same(got, choice) for choice in choices), name
            assert same(trial.params[name], got)
        return float(trial.number)

    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    study.optimize(objective, n_trials=4)
    for trial in [*study.trials, study.best_trial]:
        for name, choices in CHOICES.items():
            assert any(same(trial.params[name], choice) for choice in choices), name
            assert list(trial.distributions[name].choices) == choices
    again = optuna.trial.FixedTrial(study.best_params)
    assert objective(again) == 0.0
    assert study.best_trial.suggest_categorical("tuple", CHOICES["tuple"]) in CHOICES["tuple"]


def test_another_process_has_the_objects_when_it_has_met_them(tmp_path):
    url = f"sqlite:///{tmp_path}/s.db"
    first = door.create_study(study_name="s", storage=url)
    asked = {"f": [math.sqrt, math.log], "h": [(64,), (64, 64)], "s": list(Shade)}

    def objective(trial):
        for name, choices in asked.items():
            trial.suggest_categorical(name, choices)
        return 1.0

    first.optimize(objective, n_trials=3)
    second = door.load_study(study_name="s", storage=url)  # as a process that has met nothing yet
    labels = [trial.params["f"] for trial in second.trials]
    assert set(labels) <= {"0: math.sqrt", "1: math.log"}
    assert all(trial.params["h"] in asked["h"] for trial in second.trials)
    second.optimize(objective, n_trials=1)
    assert second.trials[0].params == first.trials[0].params
    assert second.trials[0].distributions == first.trials[0].distributions
    assert all(trial.params["f"] in asked["f"] for trial in second.trials)
    assert first.trials[3].params == second.trials[3].params


@BOTH
def test_a_fixed_trial_says_what_is_no_choice(optuna):
    fixed = optuna.trial.FixedTrial({"h": (64, 64), "k": "c", "x": 5, "i": 3})
    assert fixed.suggest_categorical("h", [(64,), (64, 64)]) == (64, 64)
    with pytest.raises(ValueError, match="'a'"):
        fixed.suggest_categorical("k", ["a", "b"])
    with pytest.raises(ValueError, match="'z'"):
        fixed.suggest_float("z", 0, 1)
    with pytest.warns(UserWarning, match="x"):
        assert fixed.suggest_float("x", 0, 1) == 5
    fixed.suggest_int("i", 1, 5)
    assert fixed.params == {"h": (64, 64), "x": 5, "i": 3}
    assert fixed.distributions.keys() == fixed.params.keys()


@BOTH
def test_a_frozen_trial_answers_within_what_is_asked(optuna):
    float_ = optuna.distributions.FloatDistribution
    trial = optuna.create_trial(value=1.0, params={"x": 0.5}, distributions={"x": float_(0, 1)})
    assert trial.suggest_float("x", 0, 1) == 0.5
    with pytest.warns(UserWarning, match="x"):
        assert trial.suggest_float("x", 2, 3) == 0.5


@BOTH
@pytest.mark.parametrize("name", CHOICES)
def test_any_choice_may_be_enqueued(optuna, name):
    study = optuna.create_study()
    for choice in CHOICES[name]:
        study.enqueue_trial({name: choice})
    found = []
    study.optimize(
        lambda t: found.append(t.suggest_categorical(name, CHOICES[name])) or 1.0,
        n_trials=len(CHOICES[name]),
    )
    if name != "mixed" or optuna is door:  # to Optuna 1 is True
        assert all(map(same, found, CHOICES[name]))
    assert [trial.params[name] for trial in study.trials] == CHOICES[name]


@BOTH
def test_what_is_enqueued_may_be_in_other_words(optuna):
    study = optuna.create_study()
    study.enqueue_trial({"f": 1, "x": np.float64(0.5), "n": np.int64(3)})
    found = []

    def objective(trial):
        found.append(trial.suggest_categorical("f", [True, False]))
        found.append(trial.suggest_float("x", 0, 1))
        found.append(trial.suggest_int("n", 0, 8))
        return 1.0

    study.optimize(objective, n_trials=1)
    assert found == [True, 0.5, 3]
    assert study.trials[0].params == {"f": True, "x": 0.5, "n": 3}


def test_what_is_enqueued_waits_as_it_is_and_others_may_run_it(tmp_path):
    url = f"sqlite:///{tmp_path}/s.db"
    study = door.create_study(study_name="s", storage=url)
    study.enqueue_trial({"f": math.log, "s": Shade.LIGHT})
    assert study.trials[0].params == {"f": math.log, "s": Shade.LIGHT}
    other = door.load_study(study_name="s", storage=url)
    trial = other.ask()
    assert trial.suggest_categorical("f", [math.sqrt, math.log]) is math.log
    assert trial.suggest_categorical("s", list(Shade)) is Shade.LIGHT


def test_what_is_none_of_the_choices_is_drawn_anew_with_a_warning():
    study = door.create_study()
    study.enqueue_trial({"h": (1, 2, 3)})
    trial = study.ask()
    with pytest.warns(LuthierWarning, match=r"h=\(1, 2, 3\) was asked for"):
        assert trial.suggest_categorical("h", [(64,), (64, 64)]) in [(64,), (64, 64)]


def test_a_list_may_mean_a_tuple_and_stays_none():
    study = door.create_study()
    study.enqueue_trial({"h": [64, 64], "x": np.float64(0.5)})
    other = door.load_study(study_name=study.study_name, storage=study.own.store)
    for asked in (other, study):  # the second looks at a trial that is not its own
        trial = asked.ask()
        h = trial.suggest_categorical("h", [(64,), (64, 64)])
        x = trial.suggest_float("x", 0, 1)
        asked.tell(trial, 1.0)
        assert trial.number or (same(h, (64, 64)) and same(x, 0.5))
    assert same(study.trials[0].params["h"], (64, 64))
    assert same(study.trials[0].params["x"], 0.5)


def test_labels_are_the_same_in_every_process():
    assert label_of(0, math.sqrt) == "0: math.sqrt"
    assert label_of(1, Layer) == f"1: {__name__}.Layer"
    assert " at 0x" not in label_of(0, Layer())
    assert label_of(0, (64, "relu", None)) == (64, "relu", None)
    assert place_of(1, [True, 1]) == 1
    assert place_of(True, [1, True]) == 1
    assert place_of(math.nan, [1.0, math.nan]) == 1
    assert place_of("c", ["a", "b"]) is None


@BOTH
def test_names_that_end_in_numbers_are_names(optuna, tmp_path):
    url = f"sqlite:///{tmp_path}/s.db"
    study = optuna.create_study(study_name="s", storage=url)

    def objective(trial):
        if trial.number % 2:
            return trial.suggest_float("w#1", 0, 1)
        return sum(trial.suggest_float(name, 0, 1) for name in ("w", "w#1", "w#2"))

    study.optimize(objective, n_trials=4)
    for found in (study, optuna.load_study(study_name="s", storage=url)):
        assert [sorted(t.params) for t in found.trials] == [["w", "w#1", "w#2"], ["w#1"]] * 2
        assert len(set(found.trials[0].params.values())) == 3
    one = optuna.distributions.FloatDistribution(0, 1)
    study.add_trial(optuna.create_trial(value=1.0, params={"w#3": 0.5}, distributions={"w#3": one}))
    assert study.trials[-1].params == {"w#3": 0.5}


def test_names_of_luthiers_own_are_still_cut(tmp_path):
    url = f"sqlite:///{tmp_path}/s.db"
    for choices in (["a", "b"], ["a", "c"], [1, 2]):  # three processes, each with other choices
        if choices[1] == "b":
            study = door.create_study(study_name="s", storage=url)
        else:
            study = door.load_study(study_name="s", storage=url)
        study.optimize(
            lambda t, c=choices: float(len(str(t.suggest_categorical("k", c)))), n_trials=1
        )
    for found in (study, door.load_study(study_name="s", storage=url)):
        assert [list(trial.params) for trial in found.trials] == [["k"]] * 3
    assert lt.open("s", storage=f"{tmp_path}/s.db").space.domains.keys() >= {"k"}


def test_objects_travel_and_are_exported_by_their_names(tmp_path):
    study = door.create_study(study_name="s", sampler=door.samplers.RandomSampler(seed=2))

    def objective(trial):
        trial.suggest_categorical("f", [math.sqrt, math.log, lambda x: x])
        trial.suggest_categorical("h", [(64,), (64, 64)])
        trial.suggest_categorical("m", [1, True])
        return float(trial.number)

    study.optimize(objective, n_trials=6)
    again = pickle.loads(pickle.dumps(study))
    for ours, theirs in zip(study.trials, again.trials, strict=True):
        found = theirs.params["f"]
        assert found is ours.params["f"] or found.startswith("2: ")
        assert same(theirs.params["m"], ours.params["m"])
    write_optuna(study.own.history, tmp_path / "o.db")
    read = real.load_study(study_name="s", storage=f"sqlite:///{tmp_path}/o.db")
    for ours, theirs in zip(study.trials, read.trials, strict=True):
        assert theirs.params["f"].endswith(ours.params["f"].__qualname__)
        assert theirs.params["h"] == list(ours.params["h"])
        assert same(theirs.params["m"], ours.params["m"])


def test_choices_may_be_made_anew_for_each_trial():
    study = door.create_study()

    def objective(trial):
        choices = [Layer(), lambda x: x]
        got = trial.suggest_categorical("layer", choices)
        assert got in choices
        assert trial.suggest_categorical("layer", [Layer(), lambda x: x]) is got
        return 1.0

    study.optimize(objective, n_trials=3)
    assert list(study.own.space) == ["layer"]
