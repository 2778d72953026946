"""Real projects of KerasTuner 1.4.8 (Keras 3.15 on PyTorch) taken over."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import luthier as lt
from luthier.compat.keras_tuner.importing import import_keras_tuner
from luthier.errors import StorageError, StudyError
from luthier.storage import open_store
from luthier.study.log import read_log
from luthier.study.replay import replay

PROJECTS = Path(__file__).with_name("keras_tuner_projects")


@pytest.mark.parametrize(("name", "trials"), [("random", 4), ("hyperband", 6)])
def test_a_project_is_taken_over(name, trials):
    store = open_store("memory")
    done = import_keras_tuner(PROJECTS / name, store)
    assert (done.study, done.objective, done.trials) == (name, "minimize val_loss", trials)
    study = lt.open(name, storage=store)
    assert study.space == lt.Space(
        kind=lt.Choice("wide", "deep"),
        units=lt.Int(8, 32, step=8, default=8).when(kind="wide"),
        dropout=lt.Bool(),
        lr=lt.Float(1e-4, 1e-1, scale="log", default=1e-4),
        momentum=lt.Constant(0.9),
        rate=lt.Float(0.1, 0.5, step=0.1, default=0.1),
    )
    if name == "random":  # KerasTuner's best_step is 1 in each: the second epoch
        assert [trial.step for trial in study.trials] == [2] * 4
    for trial in study.trials:
        assert ("units" in trial.configuration) == (trial.configuration["kind"] == "wide")
        assert trial.state == "completed"
        assert trial.curve("loss")[0] > 0
    assert replay(read_log(store, name), study.searcher, study.scheduler).difference == ""


def test_hyperbands_hidden_values_are_notes():
    store = open_store("memory")
    import_keras_tuner(PROJECTS / "hyperband", store, "mine")
    study = lt.open("mine", storage=store)
    assert [trial.step for trial in study.trials] == [1, 1, 1, 3, 3, 3]
    assert study.history.attributes[3]["tuner/trial_id"] == "0001"
    assert study.best.number == 4
    assert study.best_value == pytest.approx(0.29465416)


def test_what_is_no_project_says_so(tmp_path):
    store = open_store("memory")
    with pytest.raises(StorageError, match="There are projects in it: hyperband, random"):
        import_keras_tuner(PROJECTS, store)
    with pytest.raises(StorageError, match=r"Did you mean .*random"):
        import_keras_tuner(PROJECTS / "randon", store)
    import_keras_tuner(PROJECTS / "random", store)
    with pytest.raises(StudyError, match="There is a study 'random' here already"):
        import_keras_tuner(PROJECTS / "random", store)


def test_the_command_needs_no_keras(tmp_path):
    code = (
        "import sys\nfrom luthier.app.command import commands\n"
        f"commands(['import', 'keras-tuner', {str(PROJECTS / 'random')!r}], standalone_mode=False)\n"
        "assert 'keras' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "random: 4 trials taken over, minimize val_loss" in done.stdout
