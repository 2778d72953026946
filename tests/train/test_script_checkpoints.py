"""Checkpoints of scripts that do not wait for us: whose they are, and whether they are whole."""

from __future__ import annotations

import json
import os
import socket
import sys
import tempfile
import textwrap
import time
import warnings
from pathlib import Path

import pytest

import luthier as lt
from luthier.errors import LuthierWarning
from luthier.run.checkpoints import LocalCheckpoints
from luthier.run.worker import work
from luthier.train.script import Script
from luthier.train.script.command import read_command
from luthier.train.script.folder import Folder
from luthier.train.script.listener import Listener

AHEAD = """
    import json, os, pathlib, sys
    x = float(sys.argv[sys.argv.index("--x") + 1])
    folder = pathlib.Path(os.environ["LUTHIER_CHECKPOINT"])
    kept = folder / "weights.json"
    begin = json.loads(kept.read_text())["epoch"] if kept.exists() else 0
    for epoch in range(begin, int(os.environ["LUTHIER_EPOCHS"])):
        new = folder / "weights.new"
        new.write_text(json.dumps({"epoch": epoch + 1}))
        new.rename(kept)
        print(json.dumps({"loss": x + 1 / (epoch + 1), **STEP}), flush=True)
"""


def searched(tmp_path, text, sources=(), **settings):
    path = tmp_path / "script.py"
    path.write_text(textwrap.dedent(text))
    command, space = read_command([sys.executable, str(path)], lt.Space(x=lt.Float(0.0, 1.0)))
    study = lt.open("s", space, minimize="loss", storage=tmp_path / "s.db", **settings)
    given = {"place": str(tmp_path / "place"), "metrics": ("loss",), "grace": 2.0, **dict(sources)}
    work(study, Script(command, **given))
    return study


@pytest.mark.processes
@pytest.mark.parametrize("seed", [1, 4])
def test_a_script_that_runs_ahead_has_the_curves_it_printed(tmp_path, seed):
    """Whose checkpoint is of a later epoch would go on with the wrong number."""
    text = AHEAD.replace("**STEP", "")
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", LuthierWarning
        )  # of checkpoints that came too late, most often
        study = searched(tmp_path, text, epochs=9, max_trials=12, seed=seed)
    for trial in study.trials:
        x = trial.configuration["x"]
        expected = [x + 1 / step for step in trial.steps]
        assert list(trial.losses) == pytest.approx(expected)
        assert list(trial.steps) == list(range(1, trial.step + 1))
    assert any(trial.step == 9 for trial in study.trials)


@pytest.mark.processes
def test_with_the_epoch_printed_a_later_checkpoint_is_gone_on_from(tmp_path):
    text = AHEAD.replace("**STEP", '"step": epoch + 1')
    study = searched(tmp_path, text, epochs=9, max_trials=12, scheduler="asha", searcher="random")
    for trial in study.trials:
        x = trial.configuration["x"]
        assert list(trial.losses) == pytest.approx([x + 1 / step for step in trial.steps])
    assert any(trial.step == 9 for trial in study.trials)


BOARD = """
    import json, os, pathlib, sys, time
    from luthier.train.event_files import event, record, simple_value
    x = float(sys.argv[sys.argv.index("--x") + 1])
    folder = pathlib.Path(os.environ["LUTHIER_CHECKPOINT"])
    kept = folder / "weights.json"
    begin = json.loads(kept.read_text())["epoch"] if kept.exists() else 0
    board = pathlib.Path(os.environ["LUTHIER_FOLDER"]) / "board"
    board.mkdir(exist_ok=True)
    with open(board / f"events.out.tfevents.{begin}", "wb") as out:
        for epoch in range(begin, int(os.environ["LUTHIER_EPOCHS"])):
            time.sleep(0.25)  # longer than it takes to look
            kept.write_text(json.dumps({"epoch": epoch + 1}))
            out.write(record(event(epoch, simple_value("loss", x + 1 / (epoch + 1)))))
            out.flush()
"""


@pytest.fixture
def kept(monkeypatch):
    """The epochs that checkpoints hold, by the step that they were kept for."""
    found = {}
    save = LocalCheckpoints.save

    def spy(self, trial, step, write, *rest, **named):
        def written(folder):
            write(folder)
            found[step] = json.loads((folder / "weights.json").read_text())["epoch"]

        return save(self, trial, step, written, *rest, **named)

    monkeypatch.setattr(LocalCheckpoints, "save", spy)
    return found


@pytest.mark.processes
def test_with_event_files_what_the_next_epoch_wrote_is_not_kept(tmp_path, kept):
    """A step is over when the next one begins: by then there is another checkpoint."""
    where = {"tensorboard": "{trial.folder}/board"}
    study = searched(tmp_path, BOARD, where, epochs=4, max_trials=1, scheduler=None)
    assert list(study.trials[0].steps) == [1, 2, 3, 4]
    assert kept == {4: 4}  # the process has ended: it is the last one's


@pytest.mark.processes
def test_with_event_files_promoted_scripts_go_on(tmp_path):
    where = {"tensorboard": "{trial.folder}/board"}
    text = BOARD.replace("time.sleep(0.25)", "time.sleep(0.02)")
    study = searched(tmp_path, text, where, epochs=4, max_trials=4, scheduler="hyperband", seed=1)
    for trial in study.trials:
        x = trial.configuration["x"]
        assert list(trial.losses) == pytest.approx([x + 1 / step for step in trial.steps])
    assert any(trial.step == 4 for trial in study.trials)


FILED = """
    import json, os, pathlib, time
    kept = pathlib.Path(os.environ["LUTHIER_CHECKPOINT"]) / "weights.json"
    with open(os.path.join(os.environ["LUTHIER_FOLDER"], "m.jsonl"), "a") as out:
        for epoch in range(20):
            time.sleep(0.06)  # shorter than until the file is looked at again
            kept.write_text(json.dumps({"epoch": epoch + 1}))
            print(json.dumps({"loss": 1 / (epoch + 1)}), file=out, flush=True)
"""


@pytest.mark.processes
def test_with_a_file_of_metrics_the_checkpoint_is_the_epochs(tmp_path, kept, monkeypatch):
    class Slow(Folder):
        def ready(self):
            time.sleep(0.08)
            return super().ready()

    monkeypatch.setattr("luthier.train.script.Folder", Slow)
    where = {"metrics_file": "{trial.folder}/m.jsonl"}
    study = searched(tmp_path, FILED, where, epochs=20, max_trials=1, scheduler=None)
    assert list(study.trials[0].steps) == list(range(1, 21))
    assert kept == {step: step for step in kept}
    assert 20 in kept


def test_a_link_whose_aim_is_gone_keeps_nothing_from_being_copied(tmp_path):
    folder = Folder(tmp_path / "checkpoint")
    (tmp_path / "checkpoint" / "weights").write_text("3")
    (tmp_path / "checkpoint" / "latest").symlink_to("weights")
    (tmp_path / "checkpoint" / "first").symlink_to("weights-1")  # which was deleted
    assert folder.ready()
    (tmp_path / "kept").mkdir()
    folder.save(tmp_path / "kept")
    assert sorted(p.name for p in (tmp_path / "kept").iterdir()) == ["latest", "weights"]


def test_what_cannot_be_copied_is_told(tmp_path):
    text = """
        import os
        os.mkfifo(os.path.join(os.environ["LUTHIER_CHECKPOINT"], "pipe"))
        import luthier
        luthier.report(loss=1.0)
    """
    with pytest.warns(LuthierWarning, match=r"could not be copied: .*pipe.* is a named pipe"):
        searched(tmp_path, text, epochs=3, max_trials=3, scheduler="hyperband", seed=1)


def test_what_is_late_is_no_checkpoint(tmp_path):
    folder = Folder(tmp_path / "checkpoint")
    (tmp_path / "checkpoint" / "weights").write_text("3")
    folder.overtaken = lambda _: True
    assert not folder.ready()
    assert folder.late
    folder.overtaken = lambda _: False
    assert folder.ready()
    (tmp_path / "kept").mkdir()
    folder.save(tmp_path / "kept")
    assert (tmp_path / "kept" / "weights").read_text() == "3"
    assert not folder.ready()  # nothing new
    calls = iter([False, True])
    (tmp_path / "checkpoint" / "weights").write_text("4 and more")
    folder.overtaken = lambda _: next(calls)  # while it was copied
    assert not folder.ready()


class Restless(Folder):
    """Somebody writes a log there, whenever it is copied."""

    def _copied(self):
        with open(self._path / "train.log", "a") as out:
            out.write("a step\n")
        try:
            return super()._copied()
        finally:
            with open(self._path / "train.log", "a") as out:
                out.write("a step\n")


def test_what_changes_all_the_time_is_kept_and_told(tmp_path, monkeypatch):
    monkeypatch.setattr("luthier.train.script.Folder", Restless)
    text = """
        import os, pathlib, luthier
        folder = pathlib.Path(os.environ["LUTHIER_CHECKPOINT"])
        for epoch in range(3):
            (folder / "weights").write_text(str(epoch + 1))
            luthier.report(loss=1 / (epoch + 1))
    """
    with pytest.warns(LuthierWarning, match=r"goes on writing train\.log.*luthier\.report"):
        study = searched(tmp_path, text, epochs=3, max_trials=1, scheduler=None)
    assert study.trials[0].checkpoint == 3
    kept = study.checkpoints.path(0, 3)
    assert (kept / "weights").read_text() == "3"
    assert "step" in (kept / "train.log").read_text()


def test_sockets_of_killed_processes_are_swept(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    alive = Listener(lambda _: None)
    for name in ("left", "new"):
        folder = tmp_path / f"luthier-script-{name}"
        folder.mkdir()
        left = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        left.bind(str(folder / "s"))
        left.close()  # as after a kill: the file stays
    for folder in (tmp_path / "luthier-script-left", Path(alive.address).parent):
        os.utime(folder, (0, 0))
    another = Listener(lambda _: None)
    assert not (tmp_path / "luthier-script-left").exists()
    assert (tmp_path / "luthier-script-new").exists()  # it may be about to listen
    assert Path(alive.address).exists()
    alive.close()
    another.close()
    assert [p.name for p in tmp_path.iterdir()] == ["luthier-script-new"]
