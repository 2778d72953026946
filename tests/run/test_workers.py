"""The same study with 1 and with 4 real worker processes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

import luthier as lt
from luthier.errors import StudyError

pytestmark = pytest.mark.processes

SCRIPT = """
import sys, luthier as lt
from pathlib import Path

class Memory:
    total = 0.0
    def save(self, folder): (folder / "total").write_text(repr(self.total))
    def restore(self, folder): self.total = float((folder / "total").read_text())

def train(trial):
    memory = Memory()
    for epoch in trial.epochs(memory):
        memory.total += trial["rate"] * (trial.seed_of(epoch) % 97)
        trial.report(loss=memory.total / (epoch + 1))

space = lt.Space(rate=lt.Float(1e-4, 1e-1, scale="log"), units=lt.Int(32, 512, step=32))
lt.tune(train, space, minimize="loss", name="s", storage=sys.argv[1], workers=int(sys.argv[2]),
        scheduler=sys.argv[3], epochs=9, seed=0, searcher=sys.argv[4])
"""  # no guard against being imported as __main__: none is needed


@pytest.mark.parametrize("searcher", ["random", "sobol"])
def test_same_seed_same_study(tmp_path, searcher):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    outcomes = []
    for workers in (1, 4):
        storage = tmp_path / f"{workers}.db"
        subprocess.run(
            [sys.executable, script, storage, str(workers), "hyperband", searcher],
            check=True,
            timeout=120,
            capture_output=True,
        )
        trials = lt.open("s", storage=storage).trials
        outcomes.append([(t.configuration, t.steps, t.losses, t.state) for t in trials])
    assert outcomes[0] == outcomes[1]
    assert len(outcomes[0]) == 17


def test_workers_need_a_shared_store():
    with pytest.raises(StudyError, match="need a store that processes share"):
        lt.tune(
            lambda trial: 1.0, lt.Space(x=lt.Float(0, 1)), minimize="loss", max_trials=1,
            workers=2, storage="memory", name="s", progress=False,
        )  # fmt: skip


def test_checkpoints_in_one_process_alone_are_refused(tmp_path):
    with pytest.raises(
        StudyError, match=r"not 'memory://c': leave checkpoints out, or give a path"
    ):
        lt.tune(
            lambda trial: 1.0, {"x": lt.Float(0, 1)}, minimize="loss", max_trials=2, workers=2,
            storage=tmp_path / "l.db", checkpoints="memory://c", name="s", progress=False,
        )  # fmt: skip


def test_code_that_cannot_travel_is_named(tmp_path):
    lock = threading.Lock()
    with pytest.raises(StudyError, match="cannot be sent to worker processes"):
        lt.tune(
            lambda trial: lock, lt.Space(x=lt.Float(0, 1)), minimize="loss", max_trials=1,
            workers=2, storage=tmp_path / "l.db", name="s", progress=False,
        )  # fmt: skip


def test_workers_have_the_arguments_of_the_command(tmp_path):
    (tmp_path / "options.py").write_text(
        "import argparse\nparser = argparse.ArgumentParser()\n"
        "parser.add_argument('--scale', type=float, default=1.0)\noptions = parser.parse_args()\n"
    )
    (tmp_path / "script.py").write_text(
        "import luthier, options\n"
        "def train(trial):\n    trial.report(loss=options.options.scale)\n"
        "luthier.tune(train, {'x': luthier.Float(0, 1)}, minimize='loss', max_trials=2, workers=2,\n"
        "             name='s', storage='s.db')\n"
    )
    done = subprocess.run(
        [sys.executable, "script.py", "--scale", "100"],
        cwd=tmp_path, check=False, timeout=120, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [t.best_loss for t in lt.open("s", storage=tmp_path / "s.db").trials] == [100.0, 100.0]
    assert "workers write what they print to" in done.stderr
    assert "s-checkpoints/logs" in done.stderr


def test_several_workers_tell_why_the_study_ended(tmp_path):
    call = {"minimize": "loss", "workers": 2, "storage": tmp_path / "l.db", "progress": False}

    def slowly(trial):
        import time

        for _ in trial.epochs():
            time.sleep(0.05)
            trial.report(loss=trial["x"])

    space = {"x": lt.Float(0, 1)}
    late = lt.tune(slowly, space, name="late", max_time=4.0, epochs=10**6, scheduler=None, **call)
    assert late.reason == "the time is up"
    few = lt.tune(slowly, space, name="few", max_trials=2, epochs=1, scheduler=None, **call)
    assert few.reason == "2 trials were tried"

    def stopping(trial):
        for epoch in trial.epochs():
            trial.report(loss=trial["x"])
            if epoch == 3:
                trial.study.steer.stop("enough")

    ended = lt.tune(stopping, space, name="ended", max_trials=99, epochs=9, scheduler=None, **call)
    assert ended.reason == "stopped by hand: enough"


def test_windows_is_refused_in_words(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "fork")
    with pytest.raises(StudyError, match="Worker processes need Linux or macOS"):
        lt.tune(
            lambda trial: 1.0, {"x": lt.Float(0, 1)}, minimize="loss", max_trials=2, workers=2,
            storage=tmp_path / "l.db", name="s", progress=False,
        )  # fmt: skip
    assert not (tmp_path / "l.db").exists()
