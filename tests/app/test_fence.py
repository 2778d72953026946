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
    with pytest.warns(LuthierWarning, match="still trains 1 trials"):
        result.test(lambda trial: 0.5)
