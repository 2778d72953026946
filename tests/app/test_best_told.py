"""What is said beside the best configuration: that it breaks a constraint, that a race was won by another."""

from __future__ import annotations

import json
import shlex

import pytest
from click.testing import CliRunner

import luthier as lt
from luthier.app.command import commands
from luthier.app.dashboard.summary import listed
from luthier.app.live import Progress
from luthier.app.reading import race_winner
from luthier.app.result import Result
from luthier.app.watch import picture
from luthier.storage import open_store

RULE = "latency <= 20"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def told(latencies, **options):
    """Return a study of accuracies 0.1, 0.2, ... and these latencies."""
    options = {"maximize": "acc", "subject_to": RULE} | options
    study = lt.open("s", lt.Space(x=lt.Float(0, 1)), searcher="random", **options)
    for number, latency in enumerate(latencies, 1):
        study.tell(study.ask(), acc=number / 10, latency=latency)
    return study


def run(*arguments):
    done = CliRunner().invoke(commands, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done


def test_show_says_that_no_trial_keeps_the_constraint():
    told([50.0, 60.0])
    shown = run("show", "s").stdout
    assert f"configuration of trial 0, which comes closest (no trial keeps to {RULE})" in shown
    assert f"! breaks {RULE}\n" in shown
    assert [line.split()[:2] for line in shown.splitlines() if " completed " in line] == [
        ["1!", "0"], ["2!", "1"],
    ]  # fmt: skip


def test_show_marks_those_alone_that_break_it():
    told([50.0, 10.0])
    shown = run("show", "s").stdout
    assert "configuration of trial 1, the best value; to a file: luthier export s --to" in shown
    assert "comes closest" not in shown
    assert [line.split()[:2] for line in shown.splitlines() if " completed " in line] == [
        ["1", "1"], ["2!", "0"],
    ]  # fmt: skip


def test_a_mark_for_the_front_and_one_for_what_breaks_a_constraint():
    told([50.0, 10.0, 15.0], maximize=["acc"], minimize="latency", subject_to="latency <= 12")
    shown = run("show", "s").stdout
    assert "* on the front" in shown
    assert "! breaks latency <= 12" in shown
    assert {line.split()[0] for line in shown.splitlines() if " completed " in line} == {
        "1*", "2!", "3!",
    }  # fmt: skip


def test_exports_say_so_on_standard_error(tmp_path):
    study = told([50.0, 60.0])
    for arguments in (
        ["export", "s", "--to", "best.yaml"], ["export", "s", "--as", "json"],
        ["export", "s", "--to", "best.txt", "--as", "python"], ["show", "s", "--json"],
    ):  # fmt: skip
        done = run(*arguments)
        assert f"luthier: no trial keeps to {RULE}; this is trial 0, which comes" in done.stderr
    assert json.loads(done.stdout) == study.trials[0].configuration
    for arguments in (["--to", "all.csv"], ["--trial", "1", "--as", "json"]):
        assert "comes closest" not in run("export", "s", *arguments).stderr


def test_lists_the_watch_the_live_line_and_the_result_say_so():
    study = told([50.0, 60.0])
    assert f"0.1 (breaks {RULE})" in run("list").stdout
    assert json.loads(run("list", "--json").stdout)[0]["best_breaks"] == RULE
    history = study.refresh()
    assert listed("s", history)["best_breaks"] == RULE
    lines = [line.plain for line in picture(history, 100, 40, history.last_time)]
    assert any(line.startswith(f"no trial keeps to {RULE}; closest: acc 0.1, ") for line in lines)
    progress = Progress(open_store(None), "s", None, 1, None, live=True)
    progress._refresh()
    assert progress._best().startswith(f"no trial keeps to {RULE}; closest: acc 0.1 (trial 0,")
    assert f"No trial keeps to {RULE.replace('<', '&lt;')};" in study._repr_html_()
    result = Result(study, "it ended")
    assert f"which breaks {RULE}" in repr(result)
    study.tell(study.ask(), acc=0.05, latency=1.0)
    assert "breaks" not in repr(result) + run("list").stdout + run("show", "s", "--yaml").stderr


def raced():
    """Return a study whose best value is that of trial 0, by luck: on new seeds trial 1 is better."""

    def train(trial):
        lucky = trial.number == 0
        for _ in trial.epochs():
            trial.report(loss=0.0 if lucky else abs(trial["x"] - 0.25))

    study = lt.open(
        "two words", lt.Space(x=lt.Float(0, 1)), minimize="loss", epochs=1, max_trials=2,
        searcher="random", scheduler=None,
    )  # fmt: skip
    study.enqueue({"x": 1.0})
    study.enqueue({"x": 0.5})
    study.steer.race(2, 3)
    study.close()
    result = lt.tune(
        train, lt.Space(x=lt.Float(0, 1)), minimize="loss", epochs=1, max_trials=2, finalists=2,
        repetitions=3, searcher="random", scheduler=None, name="two words", progress=False,
    )  # fmt: skip
    return result.study.refresh()


def test_show_and_export_name_the_winner_of_the_race_beside_the_best_value():
    history = raced()
    assert history.best.number == 0
    winner, wins = race_winner(history)
    assert (winner.number, wins) == (1, "wins")
    shown = run("show", "two words").stdout
    assert "configuration of trial 0, the best value; to a file: " in shown
    assert (
        "configuration of trial 1, which wins the race on new seeds; to a file: "
        "luthier export 'two words' --trial 1 --to yaml\nx: 0.5\n"
    ) in shown
    done = run("export", "two words", "--as", "json")
    assert json.loads(done.stdout) == {"x": 1.0}
    assert "this is trial 0, which has the best value; trial 1 wins the race" in done.stderr
    assert run("export", "two words", "--as", "json", "--trial", "1").stderr == ""


def test_one_trial_is_one_trial():
    told([10.0])
    done = CliRunner().invoke(commands, ["show", "s", "--trial", "7"])
    assert "has no trial 7: it has 1 trial so far" in str(done.exception)


def test_the_command_that_exports_it_finds_the_store_and_is_in_one_piece(tmp_path):
    folder = tmp_path / ("a folder with a long name " * 3 + "indeed")
    folder.mkdir()
    where = str(folder / "other.db")
    told([10.0, 20.0], storage=where)
    shown = run("show", "s", "--storage", where).stdout
    command = next(line for line in shown.splitlines() if "luthier export s" in line)
    arguments = shlex.split(command.partition("luthier export ")[2])
    assert arguments == ["s", "--storage", where, "--to", "yaml"]
    run("export", *arguments)
    assert (tmp_path / "s.yaml").exists()
