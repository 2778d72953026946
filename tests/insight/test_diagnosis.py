"""The rules of curve diagnosis on hand-made curves, and on studies with what is missing in them."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import luthier as lt
from luthier.errors import StudyError
from luthier.insight import diagnose
from luthier.insight.diagnosis import Kind, curves, curves_of, findings
from luthier.insight.diagnosis.names import split
from luthier.insight.diagnosis.noisy_validation import examples
from luthier.study.objective import Objective


def kinds(**given):
    return [found.kind for found in findings(curves(**given))]


def falling(to, epochs=30, start=2.3, speed=0.3):
    return to + (start - to) * np.exp(-speed * np.arange(epochs))


def study_of(*runs, name="s", **goal):
    """Return a study in memory with one trial a run: a list of reports."""
    study = lt.open(name, lt.Space(a=lt.Float(0, 1)), storage="memory", **goal)
    for run in runs:
        trial = study.ask()
        for report in run:
            if not trial.should_stop:
                trial.report(report)
        if not trial.should_stop:
            study.tell(trial)
    return study


def rows(**columns):
    return [
        dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)
    ]


# -- each rule, on the curve that its definition describes ---------------------------------------


def test_a_sound_run_has_no_findings():
    loss = falling(0.3, epochs=25, speed=0.35)
    assert kinds(train_loss=loss, validation_loss=loss * 1.15, classes=10) == []


def test_the_epoch_from_which_it_overfits():
    down, up = np.linspace(1.0, 0.5, 12), np.linspace(0.52, 0.9, 12)
    found = findings(curves(train_loss=falling(0.01, 24), validation_loss=[*down, *up], classes=10))
    (overfits,) = [f for f in found if f.kind is Kind.OVERFITTING]
    assert overfits.epoch == 12
    assert overfits.numbers["rise"] == pytest.approx(0.73, abs=0.05)  # 0.87 over 0.5
    assert "epoch 12" in overfits.evidence
    assert "keep the weights of epoch 12" in overfits.action


def test_a_loss_that_is_not_finite_names_its_epoch():
    (found,) = findings(curves(train_loss=[2.3, 2.1, math.inf], validation_loss=[2.3, 2.2, 2.2]))
    assert (found.kind, found.epoch) == (Kind.DIVERGING, 3)


def test_a_loss_above_guessing_diverges_though_finite():
    assert kinds(train_loss=[2.3, 5.0, 20.0, 90.0], classes=10) == [Kind.DIVERGING]


def test_a_flat_loss_at_guessing_is_not_learning_however_much_is_known():
    loss, accuracy = np.full(10, math.log(10)) + 0.003, np.full(10, 0.1)
    assert kinds(train_loss=loss, classes=10) == [Kind.NOT_LEARNING]
    assert kinds(train_loss=loss, train_metric=accuracy) == [Kind.NOT_LEARNING]
    assert kinds(train_loss=loss) == [Kind.NOT_LEARNING]
    assert kinds(validation_loss=loss, classes=10) == [Kind.NOT_LEARNING]


def test_a_flat_low_loss_is_not_called_not_learning():
    loss = np.full(20, 0.05)
    found = kinds(train_loss=loss, train_metric=np.full(20, 0.99), validation_loss=loss)
    assert Kind.NOT_LEARNING not in found
    assert Kind.SATURATED in found


def test_a_training_loss_that_turns_for_good():
    loss = [*falling(0.4, 15), *np.linspace(0.45, 1.4, 10)]
    (found,) = findings(curves(train_loss=loss, classes=10))
    assert found.kind is Kind.TRAIN_LOSS_RISING
    assert found.epoch in (14, 15)
    assert "bug" in found.action


def test_a_loss_that_turns_for_good_and_jumps_has_steps_that_are_too_large_as_well():
    jumps = np.tile([0.15, -0.15], 10)
    down, up = falling(0.5, 15), np.linspace(0.5, 1.4, 20) + jumps
    found = kinds(train_loss=[*down, *up], validation_loss=[*down, *(up * 1.1)], classes=10)
    assert found == [Kind.TRAIN_LOSS_RISING, Kind.STEP_TOO_LARGE]


def test_a_run_that_diverges_after_it_had_learned_has_a_rising_loss():
    up = np.linspace(0.5, 9.0, 20)
    assert kinds(train_loss=[*falling(0.5, 15), *up], classes=10) == [
        Kind.DIVERGING,
        Kind.TRAIN_LOSS_RISING,
    ]
    # Nothing was learned, or the end is not finite: there is one thing to say.
    assert kinds(train_loss=np.linspace(2.3, 9.0, 20), classes=10) == [Kind.DIVERGING]
    assert kinds(train_loss=[*falling(0.5, 15), *up, math.inf], classes=10) == [Kind.DIVERGING]


def test_noisy_labels_that_are_learned_by_heart_are_no_underfitting():
    train = falling(0.7, 40, start=1.8, speed=0.2)
    too_small = train * 1.1
    assert Kind.UNDERFITTING in kinds(train_loss=train, validation_loss=too_small, classes=10)
    # Validation examples with sound labels are the easier ones, until the others are known by heart.
    easier = np.linspace(0.7, 1.1, 40) * train
    assert Kind.UNDERFITTING not in kinds(train_loss=train, validation_loss=easier, classes=10)


def test_where_validation_is_no_worse_a_lower_training_loss_underfits():
    train = falling(0.35, 30)
    assert Kind.UNDERFITTING in kinds(train_loss=train, validation_loss=train * 0.9, classes=10)
    assert Kind.UNDERFITTING not in kinds(train_loss=train, validation_loss=train * 1.3, classes=10)


def test_a_small_validation_set_is_told_by_the_steps_of_its_accuracy():
    right = [10, 14, 16, 15, 17, 15, 18, 16, 17, 15, 18, 16]
    found = findings(
        curves(train_loss=falling(0.3, 12), validation_metric=[n / 20 for n in right], classes=10)
    )
    (noisy,) = [f for f in found if f.kind is Kind.NOISY_VALIDATION]
    assert noisy.numbers["examples"] == 20
    assert noisy.numbers["error"] == pytest.approx(math.sqrt(0.8 * 0.2 / 20), rel=0.1)


@settings(max_examples=40, deadline=None)
@given(n=st.integers(7, 900), seed=st.integers(0, 99))
def test_the_size_of_a_validation_set_is_a_divisor_of_what_it_was(n, seed):
    right = np.random.default_rng(seed).integers(0, n + 1, 12)
    found = examples(np.array([float(f"{k / n:.5g}") for k in right]))
    assert found is not None
    assert found <= n


def test_better_is_higher_or_lower_as_the_objective_says():
    worse = [*np.linspace(0.5, 0.9, 12), *np.linspace(0.88, 0.6, 12)]
    assert kinds(validation_metric=worse, rises=True) == [Kind.OVERFITTING]
    assert kinds(validation_metric=[1 - w for w in worse], rises=False) == [Kind.OVERFITTING]
    assert Kind.OVERFITTING not in kinds(validation_metric=[1 - w for w in worse], rises=True)


# -- what is missing -----------------------------------------------------------------------------


def test_without_reports_or_with_one_there_is_nothing_to_say():
    assert kinds() == []
    assert kinds(train_loss=[2.3], validation_loss=[2.3], train_metric=[0.1]) == []


@pytest.mark.filterwarnings("error")
def test_a_loss_that_no_training_comes_back_from_is_as_good_as_infinite():
    for values in (np.full(20, 1e300), np.linspace(-1e200, -1e308, 20)):
        assert kinds(train_loss=values, validation_loss=values) == [Kind.DIVERGING]


def test_one_epoch_that_is_not_finite_diverges():
    assert kinds(train_loss=[math.nan]) == [Kind.DIVERGING]


def test_curves_that_do_not_fit_together_are_refused():
    with pytest.raises(StudyError, match="one value for each of its 3 epochs"):
        curves(train_loss=[1, 2, 3], validation_loss=[1, 2])
    with pytest.raises(StudyError, match="must rise"):
        curves(train_loss=[1, 2], epochs=[2, 1])
    with pytest.raises(StudyError, match="classes=1"):
        curves(train_loss=[1, 2], classes=1)
    with pytest.raises(StudyError, match="got 'study'"):
        diagnose("study")


_NUMBERS = st.floats(-1e9, 1e9) | st.sampled_from([math.nan, math.inf, 0.0])


@settings(max_examples=150, deadline=None)
@given(data=st.data(), count=st.integers(0, 14), rises=st.booleans())
def test_any_curves_at_all_are_diagnosed(data, count, rises):
    names = ("train_loss", "validation_loss", "train_metric", "validation_metric")
    shown = data.draw(st.sets(st.sampled_from(names)))
    made = {n: data.draw(st.lists(_NUMBERS, min_size=count, max_size=count)) for n in sorted(shown)}
    classes = data.draw(st.sampled_from([None, 2, 10]))
    for found in findings(curves(**made, rises=rises, classes=classes)):
        assert 0 <= found.confidence <= 1
        assert found.evidence
        assert found.action
        assert found.epoch is None or 1 <= found.epoch <= count


def test_a_loss_that_begins_at_zero_has_no_level_to_be_compared_with():
    [found] = findings(curves(train_loss=[0.0, -1.0, -1.0, 0.0, 0.0]))
    assert found.kind is Kind.TRAIN_LOSS_RISING
    assert found.numbers["rise"] == pytest.approx(1.0, abs=0.5)
    shown = {found.kind for found in findings(curves(train_loss=[0.0, *[1.0] * 9]))}
    assert Kind.UNDERFITTING not in shown


# -- names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("loss", ("", "loss")),
        ("val_loss", ("validation", "loss")),
        ("train/loss", ("train", "loss")),
        ("eval/accuracy", ("validation", "accuracy")),
        ("valid_top1", ("validation", "top1")),
        ("trainLoss", ("train", "loss")),
        ("accuracy_val", ("validation", "accuracy")),
        ("value", ("", "value")),
    ],
)
def test_the_part_of_the_data_is_read_off_a_metrics_name(name, parts):
    assert split(name) == parts


def test_keras_names():
    run = rows(loss=[2.0, 1.0], accuracy=[0.3, 0.6], val_loss=[2.1, 1.2], val_accuracy=[0.2, 0.5])
    found = curves_of(
        study_of(run, maximize="val_accuracy").trials[0], Objective("val_accuracy", "maximize")
    )
    assert found.train_loss.tolist() == [2.0, 1.0]
    assert found.validation_loss.tolist() == [2.1, 1.2]
    assert found.train_metric.tolist() == [0.3, 0.6]
    assert found.validation_metric.tolist() == [0.2, 0.5]


def test_a_bare_objective_is_of_the_validation_set_and_a_bare_loss_beside_it_of_the_training_set():
    study = study_of(rows(loss=[2.0, 1.0], accuracy=[0.3, 0.6]), maximize="accuracy")
    found = curves_of(study.trials[0], study.objective)
    assert found.train_loss.tolist() == [2.0, 1.0]
    assert found.validation_metric.tolist() == [0.3, 0.6]
    study = study_of(rows(loss=[2.0, 1.0]), name="t", minimize="loss")
    found = curves_of(study.trials[0], study.objective)
    assert found.train_loss is None
    assert found.validation_loss.tolist() == [2.0, 1.0]


def test_an_accuracy_in_per_cent_is_read_as_a_share():
    study = study_of(rows(val_acc=[80.0, 82.5]), maximize="val_acc")
    assert curves_of(study.trials[0], study.objective).validation_metric.tolist() == [0.8, 0.825]


def test_the_objectives_direction_beats_what_its_name_suggests():
    study = study_of(rows(val_score=[0.1, 0.2]), minimize="val_score")
    assert not curves_of(study.trials[0], study.objective).rises


def test_a_loss_that_was_reported_as_nan_counts_and_a_metric_that_was_not_measured_does_not():
    run = [{"val_accuracy": 0.1, "loss": 2.0}, {"val_accuracy": 0.2, "auc": math.nan}]
    study = study_of(run, maximize="val_accuracy")
    assert diagnose(study.trials[0]) == ()
    run = [{"val_accuracy": 0.1, "loss": 2.0}, {"val_accuracy": 0.1, "loss": math.nan}]
    study = study_of(run, name="t", maximize="val_accuracy")
    (found,) = diagnose(study.trials[0])
    assert (found.kind, found.epoch) == (Kind.DIVERGING, 2)


# -- studies -------------------------------------------------------------------------------------


def _run(best_at, epochs=20, level=0.5):
    at = np.arange(1, epochs + 1)
    value = level + 0.02 * np.abs(at - best_at)
    return rows(loss=falling(0.2, epochs).tolist(), val_loss=value.tolist())


def test_training_length():
    late = diagnose(
        study_of(*[_run(19, level=0.5 + k / 10) for k in range(5)], minimize="val_loss")
    )
    assert (late.length.change, late.length.epochs) == ("lengthen", 30)
    early = study_of(
        *[_run(2, level=0.5 + k / 10) for k in range(5)], name="t", minimize="val_loss"
    )
    length = diagnose(early).length
    assert (length.change, length.epochs) == ("shorten", 8)
    middle = study_of(
        *[_run(10, level=0.5 + k / 10) for k in range(5)], name="u", minimize="val_loss"
    )
    assert diagnose(middle).length.change == "keep"


def test_a_study_without_reports_is_diagnosed_too():
    found = diagnose(lt.open("empty", lt.Space(a=lt.Float(0, 1)), maximize="x", storage="memory"))
    assert found.findings == ()
    assert found.by_trial == {}
    assert found.length.change == "keep"


def test_a_study_says_how_many_of_the_best_trials_show_it():
    overfit = [_run(4, level=0.5 + k / 10) for k in range(3)]
    dead = [rows(loss=[math.log(10)] * 20, val_loss=[math.log(10)] * 20)] * 7
    found = diagnose(study_of(*overfit, *dead, minimize="val_loss"), classes=10)
    by_kind = {f.kind: f for f in found.findings}
    assert (by_kind[Kind.OVERFITTING].top, by_kind[Kind.OVERFITTING].of_top) == (3, 3)
    assert by_kind[Kind.NOT_LEARNING].trials == (3, 4, 5, 6, 7, 8, 9)
    assert by_kind[Kind.NOT_LEARNING].top == 0
    assert found.findings[0].top == 3
    assert found.top == (0, 1, 2)


def test_a_trial_underfits_where_the_best_one_fits_better_and_validates_better():
    good = rows(
        loss=falling(0.2, 20, speed=0.5).tolist(),
        val_loss=(falling(0.2, 20, speed=0.5) * 1.2).tolist(),
    )
    poor = rows(
        loss=falling(0.42, 20, speed=0.5).tolist(),
        val_loss=(falling(0.42, 20, speed=0.5) * 1.1).tolist(),
    )
    study = study_of(good, poor, minimize="val_loss")
    assert Kind.UNDERFITTING not in {f.kind for f in diagnose(study.trials[1], classes=10)}
    (found,) = [f for f in diagnose(study, classes=10).by_trial[1] if f.kind is Kind.UNDERFITTING]
    assert "another trial reached 0.2" in found.evidence


def test_a_trial_that_blew_up_after_its_best_epoch_is_a_measure_at_that_epoch():
    good = falling(0.2, 20, speed=0.5).tolist()
    poor = falling(0.4, 20, speed=0.5).tolist()
    study = study_of(
        rows(loss=[*good, 9.0, 11.0], val_loss=[*good, 8.0, 12.0]),
        rows(loss=poor, val_loss=poor),
        minimize="val_loss",
    )
    (found,) = [f for f in diagnose(study, classes=10).by_trial[1] if f.kind is Kind.UNDERFITTING]
    assert found.numbers["attainable"] == pytest.approx(0.2, rel=0.01)


def test_a_tiny_validation_set_does_not_tell_which_trial_validates_better():
    curve = falling(0.35, 20, speed=0.5)
    accuracy = [0.8, 0.9] * 10  # of 10 examples
    shown = curves(
        train_loss=curve,
        validation_loss=curve,
        validation_metric=accuracy,
        classes=10,
        attainable=0.1,
    )
    assert Kind.UNDERFITTING not in {f.kind for f in findings(shown)}
    sure = dataclasses.replace(shown, validation_metric=None)
    assert Kind.UNDERFITTING in {f.kind for f in findings(sure)}


def test_a_loss_that_jumps_on_its_way_down_has_steps_that_are_not_too_large():
    jumps = 1 + 0.1 * np.resize([1, -1], 40)
    late = 0.6 * jumps
    early = np.geomspace(2.3, 0.01, 40) * jumps
    assert Kind.STEP_TOO_LARGE in kinds(train_loss=late, validation_loss=late, classes=10)
    assert Kind.STEP_TOO_LARGE not in kinds(train_loss=early, validation_loss=late, classes=10)


def test_noise_excuses_better_values_only_where_the_mean_does_not_fall():
    noise = np.random.default_rng(0).normal(size=60)
    flat = np.r_[2.0, 1.0 + 0.06 * noise]
    sinks = flat * np.geomspace(1.15, 0.9, 61)
    assert Kind.SATURATED in kinds(validation_loss=flat)
    assert Kind.SATURATED not in kinds(validation_loss=sinks)


def diverging(**given):
    return Kind.DIVERGING in kinds(**given)


def test_a_share_of_right_answers_is_told_by_its_name():
    """R², an AUC and a Dice lie in [0, 1] too, and say nothing of the level of a squared error."""
    error, share = falling(480.0, start=900.0), 0.9 - falling(0.2, start=0.6)
    for metric in ("r2", "auc", "dice"):
        known = {"validation_metric": share, "metric": metric, "loss": "mse"}
        assert not diverging(train_loss=error, **known)
    study = study_of(
        rows(loss=error.tolist(), val_loss=error.tolist(), val_r2=share.tolist()),
        maximize="val_r2", name="r2",
    )  # fmt: skip
    assert Kind.DIVERGING not in {f.kind for f in diagnose(study).by_trial[0]}
    assert curves_of(study.trials[0], study.objective).is_accuracy is False


def test_an_error_beside_an_accuracy_is_no_cross_entropy():
    """A classifier may be trained by the squared error; 0.05 is far below ln 2 for 4 wrong answers of 10."""
    accuracy = 0.9 - falling(0.2, start=0.8)
    named = curves(train_loss=falling(40.0, start=90.0), validation_metric=accuracy, loss="mse")
    assert not named.is_cross_entropy
    small = curves(train_loss=falling(0.04, start=0.09), train_metric=falling(0.6, start=0.5))
    assert not small.is_cross_entropy
    true = curves(train_loss=falling(0.9), train_metric=falling(0.6, start=0.5))
    assert true.is_cross_entropy
    assert not diverging(
        train_loss=falling(40.0, start=90.0), validation_metric=accuracy, loss="mse"
    )


@pytest.mark.parametrize(
    ("losses", "blown_up"),
    [
        (falling(-5.0, start=-1.0), False),  # a negative log-likelihood, as it should be
        (
            -falling(1.0, start=5.0),
            False,
        ),  # rises from -5 to -1, which is not above its start by much
        ([-1.0, -3.0, -4.0, -5.0, -5.0, -4.9, -4.9], False),
        ([-1.0, -3.0, -4.0, 0.0, 9.0, 30.0, 90.0], True),
        ([0.0, -0.5, -0.8, -0.9, -0.9, -0.9, -0.9], False),
        ([2.0, 1.0, 1.0, 3.0, 9.0, 30.0, 90.0], True),
    ],
)
def test_a_loss_below_zero_diverges_where_it_rises_beyond_its_own_range(losses, blown_up):
    assert diverging(train_loss=list(losses)) is blown_up


def test_one_or_two_trials_do_not_tell_how_long_to_train():
    one = study_of(_run(19), name="one", minimize="val_loss")
    assert diagnose(one).length.change == "keep"
    assert (
        diagnose(one).length.action == "Too few trials to tell: 1 trial was trained for 20 epochs."
    )
    two = study_of(_run(2), _run(2, level=0.6), name="two", minimize="val_loss")
    assert diagnose(two).length.change == "keep"


def test_a_study_under_way_does_not_tell_how_long_to_train():
    def told(ended: bool):
        study = lt.open(
            f"way {ended}", lt.Space(a=lt.Float(0, 1)), minimize="val_loss", scheduler=None,
            epochs=40, max_trials=5, storage="memory", searcher="random",
        )  # fmt: skip
        for number in range(5):
            trial = study.ask()
            for report in _run(
                39 if ended else 19, epochs=40 if ended else 20, level=0.5 + number / 10
            ):
                trial.report(report)
        return diagnose(study).length

    assert told(ended=False).change == "keep"
    assert (told(ended=True).change, told(ended=True).epochs) == ("lengthen", 60)


def test_trials_that_were_all_stopped_before_the_end_do_not_tell_either():
    """Patience stops a trial that stands still: its best step is late by design."""
    study = lt.simulate(
        lambda c, step: abs(step - 9) + c["a"], lt.Space(a=lt.Float(0, 1)), minimize="loss",
        searcher="random", scheduler=lt.schedule.Patience(40, patience=2), max_trials=8,
    ).study  # fmt: skip
    assert {t.step for t in study.trials} == {11}
    length = diagnose(study).length
    assert length.change == "keep"
    assert "None of the best trials was trained for all 40 epochs" in length.action
