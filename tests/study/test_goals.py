"""Several objectives and bounds on outcomes: what is best, and what is told of it."""

from __future__ import annotations

import json
import math

import pytest
from click.testing import CliRunner

import luthier as lt
from luthier.app.command import commands
from luthier.study import snapshot
from luthier.study.goals import constraint_from
from luthier.study.objective import Objective, doubt

SPACE = {"x": lt.Float(0, 1)}


def opened(**options):
    options = {"storage": "memory", "searcher": "random", **options}
    return lt.open("goals", SPACE, **options)


def tell_all(study, outcomes):
    for metrics in outcomes:
        study.tell(study.ask(), metrics)
    return study


OUTCOMES = [
    {"accuracy": 0.9, "latency": 30.0},
    {"accuracy": 0.8, "latency": 10.0},
    {"accuracy": 0.7, "latency": 20.0},  # worse than the one before in both
    {"accuracy": 0.95, "latency": 50.0},
    {"accuracy": 0.8, "latency": 10.0},  # the same again
    {"accuracy": math.nan, "latency": 1.0},
]


def test_the_front_holds_what_nothing_beats():
    study = tell_all(opened(maximize="accuracy", minimize="latency"), OUTCOMES)
    assert [t.number for t in study.front] == [3, 0, 1]
    assert study.best.number == 3  # by the first objective
    assert study.best_value == 0.95


def test_constraints_come_before_the_objective():
    study = tell_all(opened(maximize="accuracy", subject_to="latency <= 25"), OUTCOMES[:4])
    assert study.best.number == 1
    assert [t.number for t in study.history.ranking()] == [1, 2, 0, 3]
    assert [t.number for t in study.front] == [1]
    none = tell_all(opened(maximize="accuracy", subject_to=["latency < 5"]), OUTCOMES[:4])
    assert none.best.number == 1  # it comes closest
    assert none.front == []


def test_a_bound_that_breaks_later_gives_the_place_to_another():
    study = opened(maximize="accuracy", subject_to="size >= 2")
    first, second = study.ask(2)
    first.report(accuracy=0.9, size=math.nan)  # not measured yet
    second.report(accuracy=0.5, size=2)
    assert study.best.number == 1
    first.report(accuracy=0.8, size=3)  # the only one known; the best epoch stays the first
    assert study.best.number == 0
    assert (study.best.best_step, study.best.violation) == (1, 0.0)


def test_a_study_is_the_same_after_a_snapshot():
    study = tell_all(opened(maximize="accuracy", subject_to="latency <= 25"), OUTCOMES[:4])
    again = snapshot.decode(snapshot.encode(study.history))
    assert again.best.number == 1
    assert [t.number for t in again.ranking()] == [1, 2, 0, 3]


def test_every_report_has_every_metric():
    study = opened(maximize="accuracy", minimize="latency", subject_to="size <= 3")
    with pytest.raises(lt.StudyError, match=r"no metric 'latency'.*Did you mean 'latencies'"):
        study.ask().report(accuracy=0.5, size=1, latencies=2)
    with pytest.raises(lt.StudyError, match="no metric 'size'"):
        study.tell(study.ask(), accuracy=0.5, latency=1)


@pytest.mark.parametrize("text", ["val_loss <= 0.3", "val_loss<0.3", "val_loss ≤ 3e-1"])
def test_constraints_are_read(text):
    rule = constraint_from(text)
    assert str(rule) == "val_loss <= 0.3"
    assert rule.excess(0.5) == pytest.approx(0.2)
    assert rule.excess(math.nan) == math.inf
    assert constraint_from("f1 >= 0.8").excess(0.9) == pytest.approx(-0.1)


def test_other_goals_are_another_study(tmp_path):
    study = opened(minimize=["a", "b"], subject_to="c <= 1", storage=tmp_path / "a.db")
    study.tell(study.ask(), a=1.0, b=1.0, c=1.0)
    with pytest.raises(lt.StudyError, match=r"other objectives was.*subject_to was.*noisy was"):
        opened(minimize="a", noisy=True, storage=tmp_path / "a.db")


def test_show_and_export_tell_all_of_it(tmp_path):
    storage = tmp_path / "a.db"
    tell_all(opened(maximize="accuracy", minimize="latency", storage=storage), OUTCOMES[:4])
    run = CliRunner().invoke
    shown = run(commands, ["show", "goals", "--storage", str(storage)]).output
    lines = [line.split() for line in shown.splitlines()]
    assert ["1*", "3", "completed", "1", "0.95", "50"] in [words[:6] for words in lines]
    assert "4" in [words[0] for words in lines if words[1:2] == ["2"]]  # not on the front
    assert "* on the front" in shown
    to = tmp_path / "trials.csv"
    assert (
        run(commands, ["export", "goals", "--to", str(to), "--storage", str(storage)]).exit_code
        == 0
    )
    heads, first = to.read_text().splitlines()[:2]
    assert dict(zip(heads.split(","), first.split(","), strict=True))["latency"] == "30.0"
    listed = run(commands, ["list", "--json", "--storage", str(storage)]).output
    assert json.loads(listed)[0]["objective"] == "maximize accuracy, minimize latency"


def test_tune_tells_the_front(capsys):
    def train(trial):
        x = trial["x"]
        trial.report(loss=x, size=1 - x, heat=x)

    result = lt.tune(
        train, SPACE, minimize=["loss", "size"], subject_to="heat <= 0.5", max_trials=8,
        searcher="sobol", storage="memory", name="front",
    )  # fmt: skip
    said = capsys.readouterr().err
    assert f"{len(result.front)} trials that no other one beats in all of loss, size" in said
    assert all(trial.configuration["x"] <= 0.5 for trial in result.front)


def test_many_proposals_at_once():
    study = opened(minimize="loss", searcher="auto", max_trials=40)
    tell_all(study, [{"loss": abs(t / 10 - 0.4)} for t in range(8)])
    trials = study.ask(64)
    assert len(trials) == 32  # the study ends there
    assert len({trial["x"] for trial in trials}) == 32
    with pytest.raises(lt.StudyError, match="count must be a whole number above 0, got 0"):
        study.ask(0)


@pytest.mark.parametrize(
    ("direction", "metric", "doubted"),
    [
        ("minimize", "val_accuracy", True),
        ("maximize", "val_loss", True),
        ("maximize", "val_accuracy", False),
        ("minimize", "rmse", False),
        ("maximize", "neg_log_loss", False),
        ("maximize", "mean_test_neg_mean_squared_error", False),
        ("minimize", "recall_gap", False),
        ("minimize", "score", False),
    ],
)
def test_a_direction_that_the_name_speaks_against_is_doubted(direction, metric, doubted):
    assert bool(doubt(Objective(metric, direction))) == doubted


def test_what_was_not_measured_is_no_divergence_whatever_its_name():
    study = opened(maximize="accuracy", minimize="test_loss", subject_to="calibration_loss <= 2")
    trial = study.ask()
    trial.report(accuracy=0.5, test_loss=math.nan, calibration_loss=math.nan)
    assert not trial.should_stop
    trial.report(accuracy=0.6, test_loss=0.3, calibration_loss=1.0)
    study.tell(trial)
    assert [list(t.steps) for t in study.front] == [[1, 2]]
    for diverged in ({"test_loss": math.inf}, {"train_loss": math.nan}, {"accuracy": math.nan}):
        trial = study.ask()
        trial.report({"accuracy": 0.5, "test_loss": 0.3, "calibration_loss": 1.0, **diverged})
        assert trial.should_stop
        assert study.trials[-1].why == f"{next(iter(diverged))} was not finite at step 1"
