"""Workers that are told to go, that hang, that run out of memory: nothing is lost, causes are counted."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from luthier.app.show import print_study
from luthier.errors import CheckpointError, StudyError
from luthier.run.opening import open_study
from luthier.run.supervisor import is_quiet, supervise
from luthier.run.vital_signs import Pulse, memory_kills
from luthier.space import Float, Space
from luthier.study.holder import is_gone
from luthier.study.records import TrialState
from luthier.train.script import Script
from luthier.train.script.command import read_command

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


LOADS = """
import subprocess, sys
import luthier

def train(trial):
    loader = subprocess.Popen(["sleep", "600"])
    state = {"epochs": 0}
    def save(folder): (folder / "state").write_text(str(state["epochs"]))
    def restore(folder): state["epochs"] = int((folder / "state").read_text())
    try:
        for epoch in trial.epochs(save=save, restore=restore):
            try:
                loader.wait(0.1)
                raise RuntimeError("DataLoader worker is killed by signal: Terminated.")
            except subprocess.TimeoutExpired:
                state["epochs"] += 1
            with open("trained.txt", "a") as log:
                log.write(f"{trial.number} {epoch + 1}\\n")
            trial.report(loss=trial["x"])
    finally:
        loader.kill()
        loader.wait()

if __name__ == "__main__":
    luthier.tune(train, {"x": luthier.Float(0, 1)}, minimize="loss", epochs=8, max_trials=4,
                 name="s", storage="s.db", workers=WORKERS, progress=False)
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_sigterm_to_all_processes_of_a_job_gives_the_trials_back(tmp_path, workers):
    """As a cluster says it: to the processes that load the data, too, and to the fork server."""
    script = tmp_path / "train.py"
    script.write_text(LOADS.replace("WORKERS", str(workers)))
    command = [sys.executable, str(script)]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    while len(trained(tmp_path)) < 4:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    everyone = [process.pid]
    everyone += [child.pid for child in psutil.Process(process.pid).children(recursive=True)]
    for pid in reversed(everyone):  # those that load the data first
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 143, said
    study = open_study("s", storage=tmp_path / "s.db")
    assert not [t for t in study.trials if t.state is TrialState.FAILED]
    assert sum(t.retries.get("preempted", 0) for t in study.trials) >= 1
    assert subprocess.run(command, cwd=tmp_path, stderr=subprocess.DEVNULL).returncode == 0
    assert [t.step for t in study.trials] == [8] * 4


def trains_long(trial):
    for _ in trial.epochs(save=lambda f: None, restore=lambda f: None):
        time.sleep(0.05)
        trial.report(loss=trial["x"])


def test_workers_that_begin_when_all_have_to_go_are_told_so(tmp_path):
    study = open_study(
        "s", SPACE, minimize="loss", epochs=10_000, max_trials=4, storage=tmp_path / "s.db"
    )
    study.preempted = "preempted"  # SIGTERM came while the fork server was starting
    assert supervise(study, trains_long, 2, grace=10.0) == "preempted"
    # Nobody was killed at the end of the grace period with a trial in its hands.
    assert not [t for t in study.trials if "interrupted" in t.retries]


def test_a_fork_server_that_is_gone_when_all_have_to_go_is_no_error(tmp_path):
    """Its workers are killed with it, and their trials are given back."""
    study = open_study(
        "s", SPACE, minimize="loss", epochs=10_000, max_trials=4, storage=tmp_path / "s.db"
    )
    seen = open_study("s", storage=tmp_path / "s.db", renews=False)

    def kill():
        while not seen.refresh().epochs:
            time.sleep(0.02)
        children = psutil.Process().children()
        (server,) = [c for c in children if "luthier.run.forkserver" in c.cmdline()]
        study.preempted = "preempted"
        server.kill()

    killer = threading.Thread(target=kill)
    killer.start()
    assert supervise(study, trains_long, 1) == "preempted"
    killer.join()
    assert [t.state for t in study.refresh().trials] == [TrialState.QUEUED]


class FailsOutside:
    """Training code that raises before there is a trial."""

    def __call__(self, trial):
        raise AssertionError("several were wanted")

    def abreast(self, study, due):
        raise LookupError("raised outside of any trial")


def test_an_error_outside_of_a_trial_is_told(tmp_path):
    study = open_study("s", SPACE, minimize="loss", max_trials=2, storage=tmp_path / "s.db")
    with pytest.raises(StudyError, match="LookupError: raised outside of any trial"):
        supervise(study, FailsOutside(), 1)


def fills_the_disk(trial):
    if trial.number == 1:
        raise CheckpointError("the disk is full")
    trial.report(loss=trial["x"])


def test_an_error_of_the_machine_reaches_the_user_and_fails_no_trial(tmp_path):
    study = open_study("s", SPACE, minimize="loss", max_trials=4, storage=tmp_path / "s.db")
    with pytest.raises(StudyError, match="CheckpointError: the disk is full"):
        supervise(study, fills_the_disk, 1)
    assert [t.state for t in study.refresh().trials] == [TrialState.COMPLETED, TrialState.QUEUED]


def test_a_killed_worker_takes_with_it_what_its_script_has_started(tmp_path):
    """The script has a process group of its own, and its shell starts a process that trains."""
    child = tmp_path / "child.py"
    child.write_text(
        "import os, sys, time\nfrom pathlib import Path\n"
        "flag = Path(sys.argv[1])\n"
        "if not flag.exists():\n"
        "    flag.with_suffix('.new').write_text(str(os.getpid()))\n"
        "    flag.with_suffix('.new').rename(flag)\n"
        "    time.sleep(600)\n"
        "print('{\"loss\": 0.5}')\n"
    )
    shell = tmp_path / "run.sh"
    shell.write_text(f'{sys.executable} {child} "$2"\necho ended\n')
    flag = tmp_path / "first"
    command, space = read_command(["bash", str(shell), "{x}", str(flag)], SPACE)
    script = Script(command, ("loss",), str(tmp_path / "place"))
    study = open_study("s", space, minimize="loss", max_trials=1, storage=tmp_path / "s.db")

    def kill():
        while not flag.exists():
            time.sleep(0.02)
        trains = psutil.Process(int(flag.read_text()))
        trains.parent().parent().kill()

    killer = threading.Thread(target=kill)
    killer.start()
    supervise(study, script, 1)
    killer.join()
    assert [t.state for t in study.trials] == [TrialState.COMPLETED]
    assert study.trials[0].retries == {"lost": 1}
    assert is_gone(int(flag.read_text()))


def test_a_clock_that_was_set_back_does_not_stop_renewals(tmp_path):
    study = open_study("s", SPACE, minimize="loss", max_trials=1, storage=tmp_path / "s.db")
    study.next_job()
    trial = study.trials[0]
    assert not is_quiet(trial, study)
    for sign in (-3600.0, 3600.0):
        trial.last_sign = study.clock.time() + sign
        assert is_quiet(trial, study)


def test_a_later_start_sweeps_what_a_killed_supervisor_left(tmp_path):
    """That is the training code, pickled, and the store's address."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    script = tmp_path / "train.py"
    script.write_text(SCRIPT.replace("WORKERS", "2"))
    known = {"cwd": tmp_path, "env": {**os.environ, "TMPDIR": str(temporary)}}
    process = subprocess.Popen([sys.executable, str(script)], **known)
    while not trained(tmp_path):
        assert process.poll() is None
        time.sleep(0.01)
    assert list(temporary.glob("*/*/order.json"))
    process.kill()
    process.wait()
    subprocess.run([sys.executable, str(script)], check=True, **known)
    assert not list(temporary.iterdir())
