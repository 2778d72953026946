"""Workers that are told to go, that hang, that run out of memory: nothing is lost, causes are counted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from luthier.app.show import print_study
from luthier.run.opening import open_study
from luthier.run.supervisor import supervise
from luthier.run.vital_signs import Pulse, memory_kills
from luthier.space import Float, Space
from luthier.study.records import TrialState

pytestmark = pytest.mark.processes
SPACE = Space(x=Float(0.0, 1.0))
SCRIPT = """
import sys, time
from pathlib import Path
import luthier

def train(trial):
    state = {"epochs": 0}
    def save(folder): (folder / "state").write_text(str(state["epochs"]))
    def restore(folder): state["epochs"] = int((folder / "state").read_text())
    for epoch in trial.epochs(save=save, restore=restore):
        assert state["epochs"] == epoch
        time.sleep(0.1)
        state["epochs"] += 1
        with open("trained.txt", "a") as log:
            log.write(f"{trial.number} {epoch + 1}\\n")
        trial.report(loss=trial["x"])

if __name__ == "__main__":
    luthier.tune(train, {"x": luthier.Float(0, 1)}, minimize="loss", epochs=8, max_trials=4,
                 name="s", storage="s.db", workers=WORKERS, progress=False)
"""


def trained(folder: Path) -> list[str]:
    file = folder / "trained.txt"
    return file.read_text().splitlines() if file.exists() else []


@pytest.mark.parametrize("workers", [1, 2])
def test_sigterm_checkpoints_gives_the_job_back_and_trains_no_epoch_twice(tmp_path, workers):
    script = tmp_path / "train.py"
    script.write_text(SCRIPT.replace("WORKERS", str(workers)))
    command = [sys.executable, str(script)]
    for _ in range(2):
        before = len(trained(tmp_path))
        process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
        while len(trained(tmp_path)) < before + 4:
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=30)
        assert process.returncode == 143, said
    study = open_study("s", storage=tmp_path / "s.db")
    preempted = [t for t in study.trials if t.retries.get("preempted")]
    assert len(preempted) >= workers
    assert all(t.checkpoint == t.step for t in preempted if not t.state.ended)
    assert subprocess.run(command, cwd=tmp_path, stderr=subprocess.DEVNULL).returncode == 0
    lines = trained(tmp_path)
    assert sorted(lines) == sorted(
        f"{trial} {epoch}" for trial in range(4) for epoch in range(1, 9)
    )


def hangs_once(trial):
    for epoch in trial.epochs(save=lambda f: None, restore=lambda f: None):
        flag = Path(os.environ["LUTHIER_TEST_FLAG"])
        if trial.number == 1 and epoch == 1 and not flag.exists():
            flag.touch()
            time.sleep(600)
        trial.report(loss=trial["x"])


def test_a_worker_that_hangs_is_killed_and_its_trial_goes_on(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LUTHIER_TEST_FLAG", str(tmp_path / "hung"))
    study = open_study(
        "s", SPACE, minimize="loss", epochs=3, max_trials=4, storage=tmp_path / "s.db"
    )
    supervise(study, hangs_once, 2, hang_after=1.5)
    assert [t.state for t in study.trials] == [TrialState.COMPLETED] * 4
    assert [t.retries for t in study.trials] == [{}, {"hung": 1}, {}, {}]
    print_study(study.history, top=3)
    assert "put back in the queue: 1 x worker hung" in capsys.readouterr().out


def stops_itself_once(trial):
    for epoch in trial.epochs(save=lambda f: None, restore=lambda f: None):
        flag = Path(os.environ["LUTHIER_TEST_FLAG"])
        if epoch == 1 and not flag.exists():
            flag.touch()
            os.kill(os.getpid(), signal.SIGSTOP)
        trial.report(loss=trial["x"])


def test_a_stopped_process_counts_as_hung(tmp_path, monkeypatch):
    monkeypatch.setenv("LUTHIER_TEST_FLAG", str(tmp_path / "stopped"))
    study = open_study(
        "s", SPACE, minimize="loss", epochs=3, max_trials=2, storage=tmp_path / "s.db"
    )
    supervise(study, stops_itself_once, 1, hang_after=1.5)
    assert [t.state for t in study.trials] == [TrialState.COMPLETED] * 2
    assert study.trials[0].retries == {"hung": 1}


def test_a_busy_process_has_a_pulse_and_a_sleeping_one_has_not():
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"], start_new_session=True)
    still = subprocess.Popen(["sleep", "60"], start_new_session=True)
    try:
        pulses = [Pulse(busy.pid), Pulse(still.pid)]
        for _ in range(8):
            time.sleep(0.2)
            silences = [pulse.still_for() for pulse in pulses]
        assert silences[0] < 0.7 < silences[1]
    finally:
        busy.kill()
        still.kill()
        busy.wait()
        still.wait()
    assert memory_kills() >= 0
