"""What the user's program raises ends the command as it ends Python: with its traceback, and code 1."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import click
import luthier

def train(trial):
    WHAT

if __name__ == "__main__":
    luthier.tune(train, {"learning_rate": luthier.Float(0, 1)}, minimize="loss", max_trials=1,
                 progress=False)
"""
RAISED = {
    "raise EOFError('the data ended early')": "EOFError: the data ended early",
    "raise BrokenPipeError(32, 'the reader has gone')": "BrokenPipeError: [Errno 32]",
    "raise click.UsageError('of a program of its own')": "UsageError: of a program of its own",
    "trial['learning_rat']": "Did you mean 'learning_rate'?",
}


@pytest.mark.parametrize(("what", "said"), list(RAISED.items()))
@pytest.mark.parametrize("words", [["tune"], ["worker", "s.db"]])
def test_what_the_training_code_raises_is_told_with_its_traceback(tmp_path, what, said, words):
    (tmp_path / "train.py").write_text(SCRIPT.replace("WHAT", what))
    done = subprocess.run(
        [sys.executable, "-m", "luthier.app.command", *words, "train.py"],
        capture_output=True, text=True, cwd=tmp_path, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    told = done.stderr[done.stderr.index("Traceback") :]
    assert f"    {what}\n" in told
    assert said in told
    assert "Mend it and run again" in told
    assert "click/core.py" not in told


def test_a_function_of_a_study_file_is_told_with_its_traceback_and_a_program_by_its_words(tmp_path):
    (tmp_path / "train.py").write_text(SCRIPT.replace("WHAT", "raise EOFError('too early')"))
    (tmp_path / "program.py").write_text("import sys; sys.exit('no such data')")
    limits = "space: {learning_rate: {float: [0, 1]}}\nminimize: loss\nmax_trials: 1\n"
    (tmp_path / "function.yaml").write_text(f"function: train:train\n{limits}")
    program = f"run: '{sys.executable} program.py {{learning_rate}}'\n"
    (tmp_path / "program.yaml").write_text(program + limits)
    for file, kind in (("function.yaml", "EOFError: too early"), ("program.yaml", "no such data")):
        done = subprocess.run(
            [sys.executable, "-m", "luthier.app.command", "tune", file],
            capture_output=True, text=True, cwd=tmp_path, timeout=60,
        )  # fmt: skip
        assert done.returncode == 1
        assert kind in done.stderr
        assert "Mend it and run again" in done.stderr
        assert ("Traceback" in done.stderr) == (file == "function.yaml")


def test_a_wrong_call_of_tune_within_a_script_is_a_line(tmp_path):
    text = SCRIPT.replace("WHAT", "return 1.0").replace("max_trials=1", "max_trials=-1")
    (tmp_path / "train.py").write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "luthier.app.command", "tune", "train.py"],
        capture_output=True, text=True, cwd=tmp_path, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("luthier: max_trials")
    assert done.stderr.count("\n") == 1
