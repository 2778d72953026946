"""What ``luthier diagnose`` prints."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

import luthier as lt
from luthier.app.command import commands


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def run(*arguments):
    return CliRunner().invoke(commands, ["diagnose", *arguments])


def a_study(trials=4, epochs=20):
    study = lt.open("shirts", lt.Space(units=lt.Int(1, 64)), minimize="val_loss")
    for number in range(trials):
        trial = study.ask()
        for epoch in range(epochs):
            loss = 2.0 * 0.8**epoch
            trial.report(loss=loss, val_loss=0.5 + number / 10 + 0.03 * abs(epoch - 5))
        study.tell(trial)
    return study


def test_it_prints_length_study_and_best_trials():
    a_study()
    printed = run("shirts", "--top", "1").output
    assert printed.startswith("shirts: minimize val_loss\n4 trials diagnosed, 0 look healthy\n")
    assert "training length: " in printed
    assert "overfitting: 3 of the 3 best trials, 4 of 4 in all. To do: widen the space" in printed
    assert "trial 0, " in printed
    assert "trial 1, " not in printed
    assert "    seen: the validation loss was 0.5" in printed
    assert "keep the weights of epoch 6" in printed


def test_one_trial_and_json():
    a_study()
    assert run("shirts", "--trial", "2").output.startswith("trial 2, ")
    known = json.loads(run("shirts", "--json").output)
    assert known["trials"]["3"][0]["kind"] == "overfitting"
    assert known["trials"]["3"][0]["epoch"] == 6
    assert list(json.loads(run("shirts", "--trial", "3", "--json").output)["trials"]) == ["3"]


def test_what_is_not_there_is_said():
    lt.open("empty", lt.Space(a=lt.Float(0, 1)), maximize="x")
    assert "No trial has reported anything yet." in run("empty").output
    assert "Did you mean 'empty'?" in str(run("empt").exception)
    a_study()
    assert "no reports of a trial 9; trials with reports: 0, 1, 2, 3" in str(
        run("shirts", "--trial", "9").exception
    )


def test_a_trial_without_a_value_is_said_to_have_none():
    study = lt.open("lost", lt.Space(a=lt.Float(0, 1)), maximize="val_accuracy")
    trial = study.ask()
    trial.report(val_accuracy=float("nan"), loss=1.0)
    printed = run("lost", "--trial", "0").output
    assert printed.startswith("trial 0, diverged: no finite val_accuracy in 1 epoch\n")
    assert "inf" not in printed.split("\n")[0].replace("finite", "")
