"""The commands that say what a study taught, and what one will take."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

import luthier as lt
from luthier.app.command import commands
from luthier.errors import LuthierError, StudyError

SPACE = lt.Space(
    rate=lt.Float(1e-3, 1e-1, scale="log"), layers=lt.Choice(1, 2), x=lt.Float(0.0, 1.0)
)


@pytest.fixture
def storage(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study = lt.open("net", SPACE, minimize="loss", searcher="random")
    for _ in range(60):
        trial = study.ask()
        study.tell(trial, loss=100 * trial["rate"] + 0.1 * trial["layers"] + 0.01 * trial["x"])
    return tmp_path


def told(*arguments):
    result = CliRunner().invoke(commands, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_json_has_null_where_a_number_is_none(storage):
    study = lt.open("lost", SPACE, minimize="loss", searcher="random")
    for _ in range(30):
        trial = study.ask()
        trial.report(loss=float("nan") if trial["layers"] == 1 else 0.5)
        if not trial.should_stop:
            study.tell(trial)

    def refused(word):
        raise AssertionError(word)

    text = told("isolate", "lost", "layers", "--json")
    assert None in [v["median"] for v in json.loads(text, parse_constant=refused)["values"]]


def test_a_method_that_pairs_would_ignore_is_refused(storage):
    wrong = ["importance", "net", "--pairs", "--method", "ped_anova"]
    done = CliRunner().invoke(commands, wrong)
    assert done.exit_code == 2
    assert "--method ped_anova would be ignored" in done.output
    assert told("importance", "net", "--pairs", "--method", "fanova")


def test_insight_and_pictures_take_the_result_of_a_search_and_refuse_what_is_none(tmp_path):
    def train(trial):
        trial.report(loss=trial["x"] + trial["rate"])

    result = lt.tune(train, SPACE, minimize="loss", max_trials=12, storage=tmp_path / "s.db")
    assert lt.insight.importance(result) == lt.insight.importance(result.study)
    assert lt.plot.progress(result).axes
    for wrong in ("net", None, 3):
        with pytest.raises(StudyError, match="Expected a study, its history or the result"):
            lt.insight.importance(wrong)


def test_importance_in_words_in_json_and_as_a_picture(storage):
    first = told("importance", "net").splitlines()[0]
    assert first.endswith("rate")
    found = json.loads(told("importance", "net", "--method", "ped_anova", "--json"))
    assert found[0]["name"] == "rate"
    assert "rate x " in told("importance", "net", "--pairs")
    told("importance", "net", "--to", "bars.png")
    assert (storage / "bars.png").read_bytes()[:4] == b"\x89PNG"


def test_isolation_and_enough(storage):
    assert "layers=1 " in told("isolate", "net", "layers")
    assert len(json.loads(told("isolate", "net", "rate", "--bins", "4", "--json"))["values"]) == 4
    assert "after 60 trials, and 20 more" in told("enough", "net", "--more", "20")


def test_the_boundary_check_says_and_acts(storage):
    assert "rate: " in told("boundary", "net")
    assert lt.open("net").space == SPACE
    few = lt.open("few", SPACE, minimize="loss", searcher="random")
    few.tell(few.ask(), loss=1.0)
    too_few = "Too few trials to tell whether an edge is crowded (1 of 10).\n"
    assert told("boundary", "few") == too_few
    told("boundary", "net", "--act")
    assert lt.open("net").space["rate"].low == pytest.approx(1e-4)
    assert len(lt.open("net").trials) == 60


def test_plan_before_a_study():
    said = told("plan", "--scheduler", "hyperband", "--epochs", "27", "--epoch-time", "10s",
                "--checkpoint", "2MB")  # fmt: skip
    assert "49 trials, 357 epochs, 59 min, at most 120 MB of checkpoints" in said
    assert "bracket s=3: 27 trials to epoch 1, 9 to 3, 3 to 9, 1 to 27" in said
    best, *others = json.loads(
        told("plan", "--hours", "6h", "--epochs", "27", "--epoch-time", "60s", "--json")
    )
    assert best["scheduler"].startswith("Hyperband(epochs=27, factor=3")
    assert others
    assert "other plans that fit:" in told(
        "plan", "--hours", "6h", "--epochs", "27", "--epoch-time", "60s"
    )


def test_trainings_of_unknown_length_have_no_hours_but_by_the_studys_own_trials(storage):
    said = told("plan", "--trials", "50", "--epoch-time", "40s")
    assert "50 trials\n" in said
    assert "say it with --epochs" in said
    assert "epochs," not in said
    assert " min" not in said
    [found] = json.loads(told("plan", "--trials", "50", "--epoch-time", "40s", "--json"))
    assert (found["epochs"], found["hours"], found["trials"]) == (None, None, 50)
    study = lt.open("open end", SPACE, minimize="loss", searcher="random", max_trials=9)
    for epochs in (2, 4, 6):
        trial = study.ask()
        for _ in range(epochs):
            trial.report(loss=1.0)
        study.tell(trial)
    for limits in ([], ["--trials", "9"]):
        [found] = json.loads(told("plan", "open end", *limits, "--epoch-time", "1h", "--json"))
        assert (found["epochs"], found["hours"]) == (36, pytest.approx(36))
        said = told("plan", "open end", *limits, "--epoch-time", "1h")
        assert "9 trials, about 36 epochs, about 36 h 00 min" in said


def test_what_plan_refuses(storage):
    for arguments, words in (
        (["--hours", "6h", "--epochs", "27"], "--hours needs --epochs, and --epoch-time"),
        (["--epochs", "3"], "Only time would end"),
        (["net", "--trials", "3"], "No trial of this study says"),
        (["--trials", "3", "--epoch-time", "1s", "--checkpoint", "big"], "such as 30MB"),
    ):
        with pytest.raises(StudyError, match=words):
            CliRunner().invoke(commands, ["plan", *arguments], catch_exceptions=False)


def test_a_bin_with_too_few_trials_says_so_in_words_and_in_the_picture(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study = lt.open("few", {"x": lt.Float(0.0, 1.0)}, minimize="loss")
    for x in (0.05, 0.1, 0.15, 0.3, 0.35, 0.4, 0.6, 0.8, 0.9):
        study.enqueue({"x": x})
        trial = study.ask()
        study.tell(trial, loss=trial["x"])
    said = told("isolate", "few", "x", "--bins", "4")
    assert "0.5 … 0.75  too few  1 trial\n" in said
    assert "0.75 … 1  too few  2 trials\n" in said
    assert "nan" not in said
    axes = lt.insight.picture(lt.insight.isolation(study, "x", bins=4))
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert labels[2].endswith("1 trial:\ntoo few")
    assert labels[0].endswith("\n3 trials")


def test_a_small_chance_is_no_chance_of_0_in_the_picture(storage):
    study = lt.open("flat", {"x": lt.Float(0.0, 1.0)}, minimize="loss", searcher="random")
    for _ in range(20):
        study.tell(study.ask(), loss=1.0)
    found = lt.insight.enough(study)
    assert found.chance < 0.01
    assert "a chance of less than 1 %" in str(found)
    assert lt.insight.picture(found).get_title().endswith("a chance of less than 1 %")


def test_plan_names_the_options_that_it_has():
    with pytest.raises(StudyError, match="--trials or --max-epochs"):
        CliRunner(catch_exceptions=False).invoke(commands, ["plan"])


def refused(*arguments) -> str:
    """Return what a command says that ends with an error of Luthier's, not with a traceback."""
    result = CliRunner().invoke(commands, arguments)
    assert isinstance(result.exception, LuthierError), result.exception
    return str(result.exception)


def test_a_picture_that_cannot_be_written_says_so(storage):
    assert "Cannot write x.foo" in refused("importance", "net", "--to", "x.foo")
    assert "Cannot write no/x.png" in refused("importance", "net", "--to", "no/x.png")


def test_one_hyperparameter_has_no_pairs(storage):
    study = lt.open("one", {"x": lt.Float(0.0, 1.0)}, minimize="loss", searcher="random")
    for _ in range(12):
        trial = study.ask()
        study.tell(trial, loss=trial["x"])
    assert "no two hyperparameters are searched" in told("importance", "one", "--pairs")
    said = refused("importance", "one", "--pairs", "--to", "x.png")
    assert "nothing to draw: no two hyperparameters" in said


@pytest.mark.parametrize("size", ["inf", "-3MB", "nan", "1e400GB", "many"])
def test_a_checkpoint_has_a_size(storage, size):
    said = refused(
        "plan", "--trials", "3", "--epochs", "2", "--epoch-time", "1", "--checkpoint", size
    )
    assert "A size must be such as 30MB or 2GB" in said


def test_the_time_of_a_start_is_used_or_refused(storage):
    study = lt.open("timed", SPACE, minimize="loss", searcher="random", max_trials=4, epochs=2)
    for _ in range(4):
        trial = study.ask()
        for loss in (1.0, 0.5):
            trial.report(loss=loss)
        if not trial.should_stop:
            study.tell(trial)
    for trial in study.history.trials:
        assert len(trial.seconds) == 2
    plain, longer = (
        json.loads(told("plan", "timed", "--trials", "4", "--epochs", "2", *option, "--json"))[0]
        for option in ([], ["--start-time", "1h"])
    )
    assert longer["hours"] == pytest.approx(plain["hours"] + 4, rel=0.01)
    said = refused("plan", "--trials", "4", "--epochs", "2", "--start-time", "60s")
    assert "--start-time alone tells no hours: give --epoch-time" in said


def test_the_hours_of_a_study_count_the_rounds_of_its_race(storage):
    lt.tune(
        lambda trial: [trial.report(loss=trial["x"]) for _ in trial.epochs()], SPACE,
        minimize="loss", name="raced", searcher="random", scheduler=None, epochs=2, max_trials=6,
        finalists=2, repetitions=6, progress=False, storage="luthier.db",
    )  # fmt: skip
    [found] = json.loads(told("plan", "raced", "--epoch-time", "1h", "--workers", "4", "--json"))
    # The search 6 trainings of 2 h on 4 workers; then the race as many, and 3 rounds of 2.
    assert found["hours"] == pytest.approx(2 * 2 + 2 * 2 + 3 * 2)
