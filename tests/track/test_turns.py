"""One process of a machine writes, the others look on and take over; also when it is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile

import pytest

import luthier
from luthier.app.command import commands
from luthier.errors import StudyError
from luthier.track import catch_up, tensorboard
from luthier.track.turns import AnotherWrites

WRITES = """
import sys, time
import luthier
from luthier.track import tensorboard

study = luthier.open("shared", storage=sys.argv[1])
tensorboard(sys.argv[2]).write(study.refresh(), list(study.trials))
print("written", flush=True)
time.sleep(600)
"""
TUNES = """
import sys, time
import luthier

def train(trial):
    for epoch in trial.epochs():
        time.sleep(0.2)
        trial.report(loss=trial["x"] + 1 / (epoch + 1))

luthier.tune(train, {"x": luthier.Float(0, 1)}, minimize="loss", scheduler=None, epochs=3, max_trials=8,
             name="shared", storage=sys.argv[1], track=f"tensorboard:{sys.argv[2]}", progress=False)
"""


@pytest.fixture
def study(tmp_path):
    study = luthier.open(
        "shared", {"x": luthier.Float(0, 1)}, minimize="loss", storage=tmp_path / "s.db"
    )
    study.tell(study.ask(), loss=0.5)
    return study


def scalars(folder):
    """Return what TensorBoard reads of each trial: (step, value) of the loss, as often as it is there."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = {}
    for place in sorted(folder.glob("trial_*")):
        events = EventAccumulator(str(place))
        events.Reload()
        found[place.name] = [(p.step, p.value) for p in events.Scalars("loss")]
    return found


def test_a_second_tracker_writes_only_when_the_first_one_is_closed(study, tmp_path):
    first, second = (tensorboard(tmp_path / "runs") for _ in range(2))
    history = study.refresh()
    first.write(history, list(history.trials))
    with pytest.raises(AnotherWrites, match=r"is writing study 'shared' to tensorboard:.*runs"):
        second.write(history, list(history.trials))
    tensorboard(tmp_path / "other").write(history, list(history.trials))
    first.close()
    second.write(history, list(history.trials))
    with pytest.raises(AnotherWrites):
        catch_up(study.store, "shared", first)
    second.close()
    assert catch_up(study.store, "shared", first) == 1
    assert catch_up(study.store, "shared", second) == 1


def test_without_a_place_for_locks_it_is_written_all_the_same(study, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "no" / "such" / "folder"))
    assert catch_up(study.store, "shared", tensorboard(tmp_path / "runs")) == 1
    assert len(scalars(tmp_path / "runs" / "shared")) == 1


@pytest.mark.processes
def test_the_turn_of_a_killed_process_is_over(study, tmp_path):
    arguments = [str(tmp_path / "s.db"), str(tmp_path / "runs")]
    command = [sys.executable, "-c", WRITES, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "written\n"
        words = [
            "track",
            "shared",
            "--storage",
            arguments[0],
            "--to",
            f"tensorboard:{arguments[1]}",
        ]
        with pytest.raises(StudyError, match="Another process of this machine is writing"):
            commands.main(words, standalone_mode=False)
        os.kill(other.pid, signal.SIGKILL)
        other.wait()
    commands.main(words, standalone_mode=False)


@pytest.mark.processes
def test_processes_that_train_one_study_write_it_once(tmp_path):
    command = [sys.executable, "-c", TUNES, str(tmp_path / "s.db"), str(tmp_path / "runs")]
    both = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=120)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert not any("cannot write" in text or "does not have all" in text for text in said)
    study = luthier.open("shared", storage=tmp_path / "s.db")
    assert {t.holder or t.state.value for t in study.trials} == {"completed"}
    assert scalars(tmp_path / "runs" / "shared") == {
        f"trial_{t.number:04d}": [
            (step, pytest.approx(loss)) for step, loss in zip(t.steps, t.losses, strict=True)
        ]
        for t in study.trials
    }
