"""Scripts in the style of KerasTuner's public guides run through the door."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[2] / "examples" / "keras_tuner").glob("*.py"))
pytestmark = pytest.mark.frameworks


def shortened(text):
    text = re.sub(r"max_epochs=\d+", "max_epochs=3", text)
    text = re.sub(r"max_trials=3\b", "max_trials=2", text)
    text = re.sub(r"max_trials=6\b", "max_trials=4", text)
    text = text.replace("max_trials=20", "max_trials=4").replace("max_trials=12", "max_trials=7")
    text = text.replace("get_best_hyperparameters(3)}) == 3", "get_best_hyperparameters(3)}) == 2")
    return re.sub(r"epochs=[23]\b", "epochs=1", text).replace("max_epochs=1", "max_epochs=3")


def test_there_are_ten():
    assert len(EXAMPLES) >= 10


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_only_the_import_line_differs(path, tmp_path, monkeypatch, capsys):
    text = path.read_text()
    assert text.count("luthier") == 1
    assert re.search(r"import luthier\.compat\.keras_tuner as (keras_tuner|kt)\n", text)
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        exec(compile(shortened(text), path.name, "exec"), {"__name__": "__main__"})
    assert capsys.readouterr().out
