"""How the steps of scripts are counted: from 0 or from 1, epochs and not batches."""

from __future__ import annotations

import sys
import textwrap
import warnings

import pytest

import luthier as lt
from luthier.errors import LuthierWarning, TrialError
from luthier.run.worker import work
from luthier.train.script import Script
from luthier.train.script.command import read_command
from luthier.train.script.sources import Reading, reading_of

SPACE = lt.Space(x=lt.Float(0.0, 1.0))


def searched(tmp_path, text, *, metrics=("loss",), metrics_file="", **settings):
    path = tmp_path / "script.py"
    path.write_text(textwrap.dedent(text))
    command, space = read_command([sys.executable, str(path)], SPACE)
    study = lt.open("s", space, minimize="loss", storage=tmp_path / "s.db", **settings)
    place = str(tmp_path / "place")
    work(study, Script(command, metrics, place, metrics_file=metrics_file, grace=2.0))
    return study


FROM_ZERO = """
    import json, os, pathlib, sys
    x = float(sys.argv[sys.argv.index("--x") + 1])
    kept = pathlib.Path(os.environ["LUTHIER_CHECKPOINT"]) / "epoch"
    begin = int(kept.read_text()) if kept.exists() else 0
    import luthier
    for epoch in range(begin, int(os.environ["LUTHIER_EPOCHS"])):
        kept.write_text(str(epoch + 1))
        REPORT
"""


@pytest.mark.parametrize(
    "report",
    [
        'print(json.dumps({"step": epoch, "loss": x + epoch}), flush=True)',
        "luthier.report(loss=x + epoch, step=epoch)",
        'for part in ({"acc": 1}, {"loss": x + epoch}): print(json.dumps({"step": epoch, **part}))',
    ],
)
def test_steps_from_zero_are_counted_from_one(tmp_path, report):
    study = searched(
        tmp_path, FROM_ZERO.replace("REPORT", report), epochs=3, max_trials=2, scheduler=None
    )
    for trial in study.trials:
        assert list(trial.steps) == [1, 2, 3]
        assert list(trial.losses) == pytest.approx([trial.configuration["x"] + n for n in range(3)])
        assert trial.state == "completed"
        assert ("acc" in trial.metrics[0]) == ("acc" in report)


@pytest.mark.processes
def test_a_promoted_trial_goes_on_counting_from_zero(tmp_path):
    text = FROM_ZERO.replace("REPORT", "luthier.report(loss=x + epoch, step=epoch)")
    study = searched(tmp_path, text, epochs=4, max_trials=5, scheduler="hyperband", seed=1)
    for trial in study.trials:
        assert list(trial.steps) == list(range(1, trial.step + 1))
        x = trial.configuration["x"]
        assert list(trial.losses) == pytest.approx([x + step - 1 for step in trial.steps])
    assert any(trial.step == 4 for trial in study.trials)


def test_one_epoch_that_is_called_zero(tmp_path):
    study = searched(tmp_path, 'print(\'{"step": 0, "loss": 0.5}\')', epochs=1, max_trials=1)
    assert [(list(t.steps), list(t.losses)) for t in study.trials] == [([1], [0.5])]


def test_steps_that_go_nowhere_are_named(tmp_path):
    text = """
    print('{"step": -1, "loss": 0.5}')
    """
    with pytest.raises(TrialError, match=r"gave 'loss', but with steps that do not go beyond 0"):
        searched(tmp_path, text, epochs=1, max_trials=1)


def test_an_epoch_beside_a_step_counts():
    assert reading_of({"epoch": 2, "step": 468, "loss": 0.5}) == Reading({"loss": 0.5}, 2)
    assert reading_of({"epoch": 0.5, "step": 468, "loss": 0.5}) == Reading({"loss": 0.5})
    assert reading_of({"epoch": 2, "loss": 0.5}) == Reading({"epoch": 2.0, "loss": 0.5})
    assert reading_of({"epoch": None, "step": 3, "loss": 0.5}).step == 3


def test_lightnings_file_counts_epochs(tmp_path):
    """Rows of training and of validation; it is written anew when a column comes in, and steps are batches."""
    text = """
    import os, pathlib
    where = pathlib.Path(os.environ["LUTHIER_FOLDER"]) / "metrics.csv"
    rows = []
    for epoch in range(3):
        rows.append(f"{epoch},{468 * epoch + 449},0.7,")
        rows.append(f"{epoch},{468 * epoch + 467},,{1 / (epoch + 1)}")
        where.write_text("\\n".join(["epoch,step,train_loss,loss", *rows]) + "\\n")
    """
    where = "{trial.folder}/metrics.csv"
    study = searched(tmp_path, text, metrics_file=where, epochs=3, max_trials=1, scheduler=None)
    assert list(study.trials[0].steps) == [1, 2, 3]
    assert list(study.trials[0].losses) == pytest.approx([1, 1 / 2, 1 / 3])


def test_batches_are_no_epochs(tmp_path):
    text = 'print(\'{"step": 468, "loss": 0.5}\')'
    with pytest.raises(
        lt.StudyError, match=r"step 468 after step 0.*up to 9 epochs.*not of batches"
    ):
        searched(tmp_path, text, epochs=9, max_trials=1, scheduler="median")


def test_a_step_beyond_a_rung_is_told(tmp_path):
    text = """
    import luthier
    for step in (2, 4, 6):
        luthier.report(loss=1 / step, step=step)
    """
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        searched(tmp_path, text, epochs=9, max_trials=9, scheduler="hyperband", seed=1)
    words = [str(one.message) for one in told if issubclass(one.category, LuthierWarning)]
    assert any("step 2 after step 0, and was to train up to 1 epochs" in text for text in words)
