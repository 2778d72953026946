"""Lengths of time on the command line."""

from __future__ import annotations

import re
import time

import click
import pytest
from click.testing import CliRunner

import luthier as lt
from luthier.app.command import commands
from luthier.app.saying import conclude
from luthier.app.times import HOURS, SECONDS


@pytest.mark.parametrize(
    ("text", "seconds"), [("60", 60), ("0.5", 0.5), ("1e3", 1000), ("90s", 90), ("1h30m", 5400)]
)
def test_a_plain_number_is_seconds(text, seconds):
    assert SECONDS.convert(text, None, None) == seconds


def test_hours_are_hours():
    assert HOURS.convert("8", None, None) == HOURS.convert("8h", None, None) == 8 * 3600
    assert HOURS.convert("45m", None, None) == 45 * 60


@pytest.mark.parametrize("text", ["0", "-3", "nan", "inf", "soon", "", "1.2.3h", ".h"])
def test_what_is_no_length_of_time_is_refused(text):
    with pytest.raises(click.BadParameter, match="A time must"):
        SECONDS.convert(text, None, None)


def test_every_command_takes_seconds(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = CliRunner(catch_exceptions=False)
    (tmp_path / "train.py").write_text(
        "import json, sys\nprint(json.dumps({'loss': float(sys.argv[2])}))\n"
    )
    words = ["--minimize", "loss", "--max-time", "3600", "--max-trials", "1"]
    done = run.invoke(commands, ["tune", *words, "train.py", "--x", "{float:0:1}"])
    assert done.exit_code == 0, done.output
    plan = ["plan", "--epochs", "3", "--trials", "4", "--start-time", "1", "--epoch-time", "40"]
    assert "4 trials, 12 epochs, 8 min" in run.invoke(commands, plan).output
    study = lt.open("train")
    said = run.invoke(commands, ["budget", "train", "--time", "60"]).output
    assert study.refresh().until == pytest.approx(time.time() + 60, abs=30)
    assert re.search(r"train: 1 trials in all; until \d{4}-\d\d-\d\d \d\d:\d\d, .* from now", said)


def test_a_budget_is_told_in_words(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lt.open("s", {"x": lt.Float(0, 1)}, minimize="loss")

    def told(*words):
        return CliRunner(catch_exceptions=False).invoke(commands, ["budget", "s", *words]).output

    assert told() == "luthier: s: no limit\n"
    said = told("--time", "4h", "--trials", "25")
    assert said.startswith("luthier: s: 25 trials in all; until ")
    assert said.endswith(", 4 h 00 min from now\n")
    assert "Limits" not in said
    assert "25 trials in all; 90 epochs of all trials together; until " in told("--epochs", "90")


def test_a_time_that_ran_out_says_how_it_is_taken_back(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study = lt.open("my study", {"x": lt.Float(0, 1)}, minimize="loss", max_trials=3)
    study.steer.budget(trials=3, until=time.time() - 1)
    done = study.next_job()
    assert done.reason == "the time that somebody gave the study is up"
    said = []
    conclude(study, study.store, done.reason, said.append)
    assert said[1] == "to take that back: luthier budget 'my study' --time none"
    words = ["budget", "my study", "--time", "none"]
    said = CliRunner(catch_exceptions=False).invoke(commands, words).output
    assert said == "luthier: my study: 3 trials in all\n"
    assert study.ask().number == 0
