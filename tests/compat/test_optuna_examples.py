"""Scripts in the style of Optuna's public ones run through the door, and through Optuna itself."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import optuna
import pytest

EXAMPLES = sorted((Path(__file__).parents[2] / "examples" / "optuna").glob("*.py"))


def shortened(text):
    text = re.sub(r"n_trials=\d+", "n_trials=12", text)
    return re.sub(r"EPOCHS = \d+", "EPOCHS = 2", text)


def run(text, name):
    exec(compile(shortened(text), name, "exec"), {"__name__": "__main__"})


def test_there_are_ten():
    assert len(EXAMPLES) >= 10


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
@pytest.mark.parametrize("door", ["luthier", "optuna"])
def test_only_the_import_line_differs(path, door, capsys):
    text = path.read_text()
    if door == "optuna":
        text = text.replace("import luthier.compat.optuna as optuna", "import optuna")
        text = text.replace("luthier.compat.optuna", "optuna")
        assert "luthier" not in text
    level = optuna.logging.get_verbosity()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            run(text, path.name)
    finally:
        optuna.logging.set_verbosity(level)
    assert capsys.readouterr().out
