"""Ask, tell, report; resuming; what goes wrong and how it is said."""

from __future__ import annotations

import contextlib
import math
import shutil

import numpy as np
import pytest

import luthier as lt
from luthier.errors import LuthierWarning, SpaceError, StudyError, TrialEnded
from luthier.run.worker import work
from luthier.study.records import TrialState

SPACE = lt.Space(learning_rate=lt.Float(1e-4, 1e-1, scale="log"), units=lt.Int(32, 512))


@pytest.fixture
def open_it(tmp_path):
    def opened(name="s", space=SPACE, **options):
        options = {"minimize": "loss", "max_trials": 5, **options}
        return lt.open(name, space, storage=tmp_path / "luthier.db", **options)

    return opened


def test_ask_report_tell(open_it):
    study = open_it()
    for _ in range(5):
        trial = study.ask()
        assert 1e-4 <= trial["learning_rate"] <= 1e-1
        for step in (1, 2, 5):
            trial.report(loss=trial["learning_rate"] / step, accuracy=0.5, step=step)
        study.tell(trial)
    assert [t.state for t in study.trials] == [TrialState.COMPLETED] * 5
    assert study.best_value == min(t.configuration["learning_rate"] for t in study.trials) / 5
    assert list(study.best.steps) == [1, 2, 5]
    assert study.best.curve("accuracy") == [0.5, 0.5, 0.5]
    with pytest.raises(StudyError, match="finished: 5 trials were tried"):
        study.ask()


def test_maximize(open_it):
    study = open_it(minimize=None, maximize="accuracy")
    for accuracy in (0.3, 0.9, 0.7):
        study.tell(study.ask(), accuracy=accuracy)
    assert study.best.number == 1
    assert study.best_value == 0.9


def test_resume_by_name_goes_on_with_the_same_configurations(open_it):
    whole = open_it("whole")
    for _ in range(5):
        whole.tell(whole.ask(), loss=1.0)
    for _ in range(5):
        study = open_it("pieces")
        study.tell(study.ask(), loss=1.0)
    configurations = [t.configuration for t in study.trials]
    assert configurations == [t.configuration for t in whole.trials]


def test_seeds(open_it):
    def first(seed, name):
        return open_it(name, seed=seed, searcher="random").ask().configuration

    assert first(0, "a") == first(0, "b")
    assert first(0, "c") != first(1, "d")


def test_what_an_object_that_is_gone_had_asked_for_is_given_out_again(open_it):
    study = open_it()
    trial = study.ask()
    trial.report(loss=0.5)
    wanted = trial.configuration
    other = open_it().ask()
    assert other.number == 1  # the first is alive
    del study, trial
    again = open_it().ask()
    assert (again.number, again.configuration) == (0, wanted)


def test_late_reports_are_kept_and_change_nothing(open_it):
    study = open_it()
    old = study.ask()
    old.report(loss=0.5)
    study.release(old, "test")
    new = study.ask()
    assert new.number == old.number
    old.closed = False
    old.report(loss=0.1)
    assert old.should_stop
    assert list(study.trials[0].losses) == []
    assert study.history.late_reports == 1
    new.report(loss=0.7)
    assert list(study.trials[0].losses) == [0.7]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, np.float32("nan")])
def test_diverged_is_information(open_it, value):
    study = open_it()
    trial = study.ask()
    trial.report(loss=0.1)
    trial.report(loss=value)
    assert trial.should_stop
    with pytest.raises(TrialEnded, match="Trial 0 ended at step 2"):
        trial.report(loss=0.1)
    assert study.trials[0].state is TrialState.DIVERGED
    assert study.trials[0].why == "loss was not finite at step 2"
    study.tell(study.ask(), loss=1e30)
    assert study.best.number == 1  # worse than every finite one, its own good first step included


def test_a_training_loss_that_diverges_counts_too(open_it):
    study = open_it(minimize=None, maximize="val_accuracy")
    trial = study.ask()
    trial.report(val_accuracy=0.1, loss=math.nan)
    assert study.trials[0].state is TrialState.DIVERGED


def test_other_metrics_may_be_nan(open_it):
    study = open_it()
    trial = study.ask()
    trial.report(loss=0.1, f1=math.nan)
    assert not trial.should_stop


@pytest.mark.parametrize(
    ("metrics", "words"),
    [
        ({"los": 1.0}, r"no metric 'loss': it has 'los'\. Did you mean 'los'\?"),
        ({}, "none at all"),
        ({"loss": "0.3"}, r"'loss' must be a number, got '0\.3' \(str\)"),
        ({"loss": None}, "must be a number, got None"),
        ({"loss": [1.0, 2.0]}, "must be one number"),
        ({"loss": np.zeros(3)}, "must be one number"),
        ({"loss": 1 + 2j}, "must be a number"),
        ({"loss": True}, "must be a number"),
    ],
)
def test_bad_metrics(open_it, metrics, words):
    study = open_it()
    trial = study.ask()
    with pytest.raises(StudyError, match=words):
        trial.report(metrics)
    assert not study.trials[0].steps


@pytest.mark.parametrize("good", [1, 1.5, np.float32(2), np.array(3.0), np.int64(4)])
def test_numbers_of_every_kind(open_it, good):
    study = open_it()
    study.tell(study.ask(), loss=good)
    assert study.best_value == float(good)


def test_steps_go_forward(open_it):
    trial = open_it().ask()
    trial.report(loss=1, step=3)
    for step in (3, 2, 0, -1):
        with pytest.raises(StudyError, match=f"reported step {step} after step 3.*next one is 4"):
            trial.report(loss=1, step=step)
    with pytest.raises(StudyError, match=r"whole number of epochs, got 4\.5"):
        trial.report(loss=1, step=4.5)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"space": lt.Space(units=lt.Int(32, 512))}, "learning_rate is gone"),
        (
            {"space": lt.Space(learning_rate=SPACE["learning_rate"], units=lt.Int(1, 9))},
            r"units was Int\(.*512.*is now Int\(",
        ),
        ({"minimize": "val_loss"}, "objective was 'minimize loss', is now 'minimize val_loss'"),
        ({"seed": 7}, "seed was 0, is now 7"),
        ({"searcher": "sobol"}, "searcher was"),
        ({"scheduler": "hyperband", "epochs": 9}, "scheduler was"),
    ],
)
def test_a_name_that_exists_with_other_settings(open_it, change, words):
    study = open_it()
    study.tell(study.ask(), loss=1.0)
    with pytest.raises(StudyError, match=words) as error:
        open_it(**change)
    assert "another name" in str(error.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"minimize": None}, "neither"),
        ({"maximize": "loss"}, "'loss' was named twice"),
        ({"minimize": ["loss", "size", "size"]}, "'size' was named twice"),
        ({"minimize": ["loss", ""]}, "non-empty string, got minimize=''"),
        ({"subject_to": "size"}, "'metric <= number'.*got 'size'"),
        ({"subject_to": ["size <= small"]}, "got 'size <= small'"),
        ({"learn_from": "resnt"}, "learn_from='resnt' is no study here"),
        ({"minimize": 3}, "non-empty string, got minimize=3"),
        ({"searcher": "randm"}, r"Unknown searcher 'randm'.*Did you mean 'random'"),
        ({"scheduler": "hyperbnd"}, "Did you mean 'hyperband'"),
        ({"scheduler": "hyperband"}, "give epochs="),
        ({"epochs": 0}, "epochs must be a whole number above 0.*got 0"),
        ({"max_trials": -1}, "max_trials.*got -1"),
        ({"max_time": "soon"}, "'90s', '45m', '2h', got 'soon'"),
        ({"seed": 0.5}, r"seed must be a whole number.*0\.5"),
        ({"seed": 2**64 + 7}, "seed must fit into 64 bits.*: 7 would"),
        ({"name": " "}, "non-empty text"),
        ({"scheduler": lt.Hyperband(9), "epochs": 27}, "epochs=27 .* epochs=9"),
    ],
)
def test_bad_settings(open_it, options, words):
    with pytest.raises(StudyError, match=words):
        open_it(**options)


def test_opening_what_does_not_exist(open_it):
    open_it("resnet")
    with pytest.raises(StudyError, match=r"no study 'resnt'.*Did you mean 'resnet'"):
        open_it("resnt", space=None)


def test_enqueued_configurations_come_first(open_it):
    study = open_it()
    study.enqueue({"learning_rate": 0.01, "units": 64})
    assert study.ask().configuration == {"learning_rate": 0.01, "units": 64}
    assert study.ask().configuration != {"learning_rate": 0.01, "units": 64}
    with pytest.raises(SpaceError, match="units"):
        study.enqueue({"learning_rate": 0.01, "units": 1000})


def test_max_epochs_is_never_passed(open_it):
    study = open_it(max_trials=None, max_epochs=10, epochs=3, scheduler=None)

    def train(trial):
        for _ in trial.epochs():
            trial.report(loss=1)

    assert "10 epochs do not hold another trial" in work(study, train)
    assert study.history.epochs == 9


def test_max_time_gives_the_trial_back(open_it):
    study = open_it(max_trials=None, max_time=0.2, epochs=10**6)

    def train(trial):
        for _ in trial.epochs():
            trial.report(loss=1)

    assert work(study, train) == "the time is up"
    assert study.trials[-1].state is TrialState.QUEUED


def test_a_bug_ends_the_study_at_the_first_trial(open_it):
    study = open_it()

    def train(trial):
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        work(study, train)
    (trial,) = study.trials
    assert (trial.state, trial.kind) == (TrialState.FAILED, "error")
    assert "in train\n" in trial.traceback
    assert study.retry_errors() == 1
    work(study, lambda trial: 0.5)
    assert [t.state for t in study.trials] == [TrialState.COMPLETED] * 5


def test_out_of_memory_fails_one_trial_and_keeps_its_configuration(open_it):
    study = open_it()

    def train(trial):
        if trial.number == 2:
            raise MemoryError("8 GB")
        return 1.0

    work(study, train)
    states = [t.state for t in study.trials]
    assert states.count(TrialState.COMPLETED) == 4
    failed = study.trials[2]
    assert (failed.state, failed.kind) == (TrialState.FAILED, "out of memory")
    assert failed.configuration["units"] >= 32


def test_what_cannot_be_trained_ends_one_trial(open_it):
    def train(trial):
        if trial["units"] > 272:
            raise lt.Infeasible(f"{trial['units']} units do not fit")
        trial.report(loss=trial["units"] / 512)

    study = open_it(max_trials=12, searcher="random")
    work(study, train)
    failed = [trial for trial in study.trials if trial.state is TrialState.FAILED]
    assert 0 < len(failed) < 12
    assert len(study.trials) == 12
    assert all("units do not fit" in trial.why for trial in failed)
    assert study.best.configuration["units"] <= 272
    assert study.retry_errors() == 0  # it would fail again


def test_failing_for_ever_ends_where_only_epochs_are_counted(open_it):
    def train(trial):
        raise lt.Infeasible("no GPU is large enough")

    study = open_it(max_trials=None, max_epochs=4, epochs=2, scheduler=None, searcher="random")
    with pytest.raises(
        StudyError, match=r"last 50 trials failed.*no GPU is large enough.*max_trials"
    ):
        work(study, train)
    assert len(study.trials) == 50


def test_after_failing_for_ever_what_was_mended_is_tried_again(open_it):
    call = {"max_trials": None, "max_epochs": 9, "epochs": 1, "scheduler": None}
    study = open_it(searcher="random", **call)
    for _ in range(50):
        study.fail(study.ask(), "failed", "no GPU is large enough")
    study.enqueue({"learning_rate": 1e-3, "units": 32})
    asked = study.ask()  # for this one somebody has asked by hand
    assert asked["units"] == 32
    study.fail(asked, "failed", "no GPU is large enough")
    again = open_it(searcher="random", **call)
    with pytest.raises(StudyError, match="When it is mended, start again"):
        study.ask()
    for one in (study, again):  # who has heard it, and who has started since
        one.tell(one.ask(), loss=1.0)
    assert len(study.refresh().trials) == 53


def test_training_that_returns_nothing(open_it):
    with pytest.raises(StudyError, match=r"expected trial\.report\(loss=\.\.\.\)"):
        work(open_it(), lambda trial: None)


def test_a_missing_report_is_an_error(open_it):
    def train(trial):
        for epoch in trial.epochs():
            if epoch < 2:
                trial.report(loss=1)

    with pytest.raises(StudyError, match="trained 4 epochs but its last report is for epoch 2"):
        work(open_it(epochs=4), train)


def test_two_reports_in_one_epoch_are_an_error(open_it):
    """They would count as two epochs, and end the trial at half of its training."""

    def train(trial):
        for _ in trial.epochs():
            trial.report(loss=1.0)
            trial.report(loss=0.9)

    with pytest.raises(StudyError, match="reported twice in epoch 1: report once in each turn"):
        work(open_it(epochs=4, scheduler=None), train)

    def by_steps(trial):
        for _ in range(4):
            trial.report(loss=1.0)

    study = open_it("t", epochs=4, scheduler=None)
    work(study, by_steps)
    assert {trial.step for trial in study.trials} == {4}


def test_a_checkpoint_that_is_gone_is_told(open_it, tmp_path):
    """Epochs that are trained again must not go unsaid."""
    trained = []

    def train(trial):
        for epoch in trial.epochs(save=lambda folder: None, restore=lambda folder: None):
            trained.append(epoch)
            trial.report(loss=1.0)
            if len(trained) == 3:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work(open_it(epochs=4, scheduler=None, max_trials=1), train)
    study = open_it(epochs=4, scheduler=None, max_trials=1)
    shutil.rmtree(study.checkpoints.path(0, 3).parent)
    with pytest.warns(
        lt.LuthierWarning,
        match="Trial 0 goes on from epoch 0: its checkpoint of epoch 3 is missing",
    ):
        work(study, train)
    assert trained == [0, 1, 2, 0, 1, 2, 3]


def test_promotion_needs_something_to_save(open_it):
    def train(trial):
        for _ in trial.epochs():
            trial.report(loss=1)

    with pytest.raises(StudyError, match=r"trial\.epochs\(state\)"):
        work(open_it(scheduler="hyperband", epochs=9, max_trials=None), train)


def test_unknown_hyperparameter(open_it):
    trial = open_it().ask()
    with pytest.raises(StudyError, match=r"'unit'.*Did you mean 'units'"):
        trial["unit"]


def test_define_by_run_in_the_training_code(open_it):
    def train(trial):
        rate = trial.hp.float("learning_rate", 1e-4, 1e-1, scale="log")
        if trial.hp.choice("optimizer", ["sgd", "adam"]) == "sgd":
            trial.hp.float("momentum", 0.9, 0.999, scale="one_minus_log")
        return rate

    study = open_it(space=lt.Space(), max_trials=8)
    work(study, train)
    assert set(study.space.domains) == {"learning_rate", "optimizer", "momentum"}
    for trial in study.trials:
        assert ("momentum" in trial.configuration) == (trial.configuration["optimizer"] == "sgd")
    assert study.best_value == min(t.configuration["learning_rate"] for t in study.trials)


def test_leaving_the_loop_early_completes_the_trial(open_it):
    def train(trial):
        for epoch in trial.epochs(save=lambda f: None, restore=lambda f: None):
            trial.report(loss=1 / (epoch + 1))
            if epoch == 1:
                break

    study = open_it(epochs=10)
    work(study, train)
    assert [(t.step, t.state) for t in study.trials] == [(2, TrialState.COMPLETED)] * 5


def test_a_trial_is_told_once(open_it):
    study = open_it()
    trial = study.ask()
    study.tell(trial, loss=0.5)
    with pytest.raises(TrialEnded, match="Trial 0 has ended already, at step 1"):
        study.tell(trial, loss=0.1)
    with pytest.raises(TrialEnded, match=r"it was told, or given back"):
        trial.report(loss=0.1)
    assert study.best_value == 0.5


def test_what_a_told_trial_asked_for_is_kept(open_it):
    study = open_it(space={}, define_by_run=True)
    assert "in its first trial" in study.searcher.explain(study.history, study.space)
    for _ in range(2):
        trial = study.ask()
        study.tell(trial, loss=trial.hp.int("units", 1, 5))
    assert [set(t.configuration) for t in study.trials] == [{"units"}, {"units"}]
    assert list(study.space.domains) == ["units"]


def test_a_loop_that_asks_ends_cleanly_also_when_it_is_run_again(open_it):
    for _ in range(2):
        study = open_it()
        with contextlib.suppress(lt.StudyFinished):
            while True:
                study.tell(study.ask(), loss=1.0)
        assert len(study.trials) == 5


def test_what_is_no_metric_no_trial_and_no_state_is_told(open_it):
    study = open_it()
    trial = study.ask()
    for call, words in (
        (lambda: trial.report(0.3), r"expected trial.report\(loss=...\), got 0.3"),
        (lambda: study.tell(trial, 0.5), r"expected study.tell\(trial, loss=...\), got 0.5"),
        (lambda: study.tell(0, loss=0.5), r"the trial that study.ask\(\) returned, got 0"),
        (lambda: trial.epochs(5), "got 5: how many epochs a trial trains is epochs="),
    ):
        with pytest.raises(StudyError, match=words):
            call()


def test_a_loop_without_an_end_is_warned_of(open_it):
    def endless(trial):
        for epoch in trial.epochs():
            trial.report(loss=1.0)
            if epoch == 101:
                return

    trial = open_it().ask()
    with pytest.warns(lt.LuthierWarning, match="nothing says how many there are"):
        endless(trial)


def test_a_study_is_opened_with_its_space_as_it_was_or_as_it_is(open_it):
    open_it(space={"x": lt.Float(0, 1)}).steer.space({"x": lt.Float(0, 2)})
    for high in (1, 2):
        assert open_it(space={"x": lt.Float(0, high)}).space["x"].high == 2
    with pytest.raises(
        StudyError, match=r"x was Float\(0.0, 2.0\), is now .*luthier space s NAME="
    ):
        open_it(space={"x": lt.Float(0, 3)})
    with pytest.raises(
        StudyError, match="searcher was 'auto', is now 'random'; scheduler was 'none'"
    ):
        open_it(space={"x": lt.Float(0, 2)}, searcher="random", epochs=9)


def test_a_budget_that_was_raised_since_is_not_lowered_silently(open_it):
    open_it().steer.budget(trials=9)
    assert open_it().limits.trials == 9  # a worker that comes later, with the program of before
    with pytest.warns(lt.LuthierWarning, match="max_trials=6 takes the place of the 9"):
        assert open_it(max_trials=6).limits.trials == 6
    assert open_it(max_trials=6).limits.trials == 6


def test_a_failed_trial_is_given_up(tmp_path):
    def train(trial):
        if trial.number == 1:
            raise RuntimeError("no kernel for this")
        trial.report(loss=1.0)

    options = {"minimize": "loss", "max_trials": 3, "name": "s", "storage": tmp_path / "s.db"}
    for _ in range(2):
        with pytest.raises(RuntimeError) as raised:
            lt.tune(train, SPACE, progress=False, **options)
        where = tmp_path / "s.db"
        assert f"`luthier prune s 1 --storage {where}`" in raised.value.__notes__[0]
    study = lt.open("s", storage=tmp_path / "s.db")
    study.steer.prune(1)
    with pytest.raises(StudyError, match="Trial 1 has ended already"):
        study.steer.prune(1)
    result = lt.tune(train, SPACE, progress=False, **options)
    states = [(t.state, t.kind) for t in result.trials]
    assert states == [("completed", ""), ("failed", "pruned"), ("completed", "")]


def test_a_short_name_that_several_active_ones_have_is_refused(open_it):
    space = lt.Space(
        optimizer=lt.Choice({"sgd": lt.Space(momentum=lt.Float(0.5, 0.9))}),
        norm=lt.Choice({"batch": lt.Space(momentum=lt.Float(0.01, 0.1)), "none": lt.Space()}),
    )
    study = open_it(space=space)
    study.enqueue({"optimizer": "sgd", "norm": "batch", "optimizer.sgd.momentum": 0.8,
                   "norm.batch.momentum": 0.05})  # fmt: skip
    trial = study.ask()
    for ask in (lambda: trial["momentum"], lambda: trial.get("momentum", 0.5)):
        with pytest.raises(
            StudyError, match=r"'optimizer\.sgd\.momentum', 'norm\.batch\.momentum'"
        ):
            ask()
    assert trial["optimizer.sgd.momentum"] == 0.8
    study.enqueue({"optimizer": "sgd", "norm": "none", "momentum": 0.7})
    assert study.ask()["momentum"] == 0.7


def test_a_study_that_has_just_begun_is_learned_from_when_it_has_more(open_it):
    first = open_it("first", searcher="random")
    for number in range(4):
        first.tell(first.ask(), loss=float(number))
    with pytest.warns(LuthierWarning, match="'first' has 4 trials with a result so far"):
        second = open_it("second", learn_from="first")
    assert not second.history.earlier
    first.tell(first.ask(), loss=4.0)
    (known,) = open_it("second", learn_from="first").history.earlier
    assert known.losses == [0.0, 1.0, 2.0, 3.0, 4.0]


def test_without_its_space_a_study_takes_limits_and_refuses_the_rest(open_it, tmp_path):
    open_it(max_trials=1, max_epochs=7)
    study = open_it(space=None, minimize=None, max_trials=3)
    assert (study.limits.trials, study.limits.epochs) == (3, 7)
    study.steer.budget(trials=5, epochs=7)  # by hand: the program of before leaves it at that
    assert open_it(space=None, minimize=None, max_trials=3).limits.trials == 5
    assert open_it(space=None, minimize=None, max_trials=None).limits.trials == 5
    for given in ({"minimize": "loss"}, {"searcher": "random"}, {"epochs": 3}, {"seed": 1}):
        with pytest.raises(StudyError, match=f"{next(iter(given))}=.*give the space as well"):
            open_it(space=None, **{"minimize": None, "max_trials": None, **given})
