"""A test set is read once; whoever reads it again is told, and so is everybody else."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

import luthier as lt
from luthier.app.command import commands
from luthier.errors import LuthierWarning, StudyError
from luthier.study.history import History
from luthier.study.snapshot import decode, encode

SPACE = lt.Space(learning_rate=lt.Float(1e-4, 1e-1, scale="log"))


def train(trial):
    for _ in trial.epochs():
        trial.report(loss=trial["learning_rate"])


@pytest.fixture
def result(tmp_path):
    return lt.tune(
        train, SPACE, minimize="loss", name="s", epochs=1, max_trials=3, storage=tmp_path / "l.db",
        progress=False,
    )  # fmt: skip


def test_the_first_read_is_in_the_log_and_the_second_warns(result, tmp_path):
    chosen = []
    assert result.test(lambda trial: chosen.append(trial.number) or 0.25) == {"loss": 0.25}
    assert chosen == [result.best.number]
    with pytest.warns(LuthierWarning, match=r"is spent: it was read 1 time, last on .* for trial"):
        assert result.test(lambda trial: {"accuracy": 1}) == {"accuracy": 1.0}
    again = lt.open("s", storage=tmp_path / "l.db").history
    assert [read.values for read in again.test_reads] == [{"loss": 0.25}, {"accuracy": 1.0}]
    assert again.test_reads[0].who.count("@") == 1
    kept: History = decode(encode(again))
    assert kept.test_reads == again.test_reads
    shown = CliRunner().invoke(commands, ["show", "s", "--storage", str(tmp_path / "l.db")])
    assert "test set read on" in shown.output
    assert "loss 0.25" in shown.output


def test_what_is_no_number_is_refused_and_not_logged(result):
    with pytest.raises(StudyError, match="expected a number"):
        result.test(lambda trial: "good")
    assert result.study.refresh().test_reads == []


def test_a_study_that_still_trains_is_told_so(result, tmp_path):
    study = lt.open("s", SPACE, minimize="loss", epochs=1, max_trials=9, storage=tmp_path / "l.db")
    study.ask()
    with pytest.warns(LuthierWarning, match="still trains 1 trial:"):
        result.test(lambda trial: 0.5)


def lucky(tmp_path, load=None):
    """Return a result whose best trial is a lucky one: another is recommended."""
    space = lt.Space(x=lt.Float(0.0, 1.0))

    def noisy(trial):
        trial.report(loss=(trial["x"] - 0.5) ** 2 + (-0.2 if trial.number == 3 else 0.0))

    result = lt.tune(
        noisy, space, minimize="loss", name="lucky", searcher="random", epochs=1, max_trials=40,
        storage=tmp_path / "n.db", progress=False, scheduler=None,
    )  # fmt: skip
    return lt.app.result.Result(result.study, result.reason, load)


def test_the_recommended_trial_is_tested_and_named(tmp_path, capsys):
    result = lucky(tmp_path)
    best, answer = result.best.number, result.recommended.number
    assert best == 3 != answer
    chosen = []
    result.test(lambda trial: chosen.append(trial.number) or 0.25)
    assert chosen == [answer] == [read.trial for read in result.study.refresh().test_reads]
    said = capsys.readouterr().err
    assert f"trial {answer} is recommended" in said
    assert f"not for trial {best}" in said


def test_where_the_recommended_model_is_gone_the_best_is_tested_and_it_says_so(tmp_path, capsys):
    result = lucky(tmp_path, load=lambda trial, folder, study: trial.number)
    answer = result.recommended.number
    gone = result.study.checkpoints

    class Kept:
        def path(self, number, step):
            return tmp_path if number == 3 else gone.path(number, step)

    object.__setattr__(result.study, "checkpoints", Kept())
    assert result.test(lambda model: float(model)) == {"loss": 3.0}
    said = capsys.readouterr().err
    assert f"trial {answer} is recommended (result.recommended), but its model was not kept" in said
    assert "read for trial 3, the best" in said
