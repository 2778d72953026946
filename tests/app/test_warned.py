"""Warnings on the command line are lines for people."""

from __future__ import annotations

import subprocess
import sys
import warnings

from luthier.app.warned import show_plainly
from luthier.errors import LuthierWarning


def test_each_is_shown_once_and_without_a_place(capsys):
    with warnings.catch_warnings(record=True) as usual:
        show_plainly()
        warnings.simplefilter("always")
        for _ in range(2):
            warnings.warn("a learning rate belongs on a log scale", LuthierWarning, stacklevel=1)
        warnings.warn("yours", DeprecationWarning, stacklevel=1)
    assert capsys.readouterr().err == "luthier: warning: a learning rate belongs on a log scale\n"
    assert [warning.category for warning in usual] == [DeprecationWarning]


def test_the_command_warns_without_frames(tmp_path):
    (tmp_path / "train.py").write_text(
        "import json, sys\nprint(json.dumps({'loss': float(sys.argv[2])}))\n"
    )
    words = ["--minimize", "loss", "--max-trials", "1", "train.py", "--lr", "{float:1e-5:1e-1}"]
    done = subprocess.run(
        [sys.executable, "-m", "luthier.app.command", "tune", *words],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("luthier: warning: lr: a learning rate belongs on a log scale") == 1
    assert "LuthierWarning" not in done.stderr
    assert ".py:" not in done.stderr
