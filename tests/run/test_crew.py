"""Workers that die in every way, what they leave behind, and whose trials are put back for it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

import msgspec
import pytest

from luthier.errors import StudyError
from luthier.run import child, disk, supervisor
from luthier.run.opening import open_study
from luthier.run.places import logs_of
from luthier.run.supervisor import supervise
from luthier.space import Float, Space
from luthier.study.records import TrialState

pytestmark = pytest.mark.processes
SPACE = Space(x=Float(0.0, 1.0))


@pytest.fixture(autouse=True)
def flag(tmp_path, monkeypatch):
    """A file by which training code knows that it has done something once."""
    monkeypatch.setenv("LUTHIER_TEST_FLAG", str(tmp_path / "flag"))
    return tmp_path / "flag"


def first_time() -> bool:
    try:
        os.close(os.open(os.environ["LUTHIER_TEST_FLAG"], os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


def study_of(folder, trials, **options):
    options = {"minimize": "loss", "epochs": 4, "scheduler": None, **options}
    return open_study("s", SPACE, max_trials=trials, storage=folder / "s.db", **options)


def leaves_once(trial):
    for epoch in trial.epochs(save=lambda f: None, restore=lambda f: None):
        if epoch == 2 and first_time():
            os._exit(int(os.environ["LUTHIER_TEST_CODE"]))  # as a library does that calls exit()
        time.sleep(0.02)
        trial.report(loss=trial["x"])


@pytest.mark.parametrize("code", [0, 3])
def test_a_worker_that_exits_in_the_middle_of_a_trial_is_a_lost_one(tmp_path, monkeypatch, code):
    monkeypatch.setenv("LUTHIER_TEST_CODE", str(code))
    study = study_of(tmp_path, 4)
    supervise(study, leaves_once, 2)
    assert [t.state for t in study.trials] == [TrialState.COMPLETED] * 4
    assert sum(t.retries.get("lost", 0) for t in study.trials) == 1


class Leaves:
    """Training code that cannot even be unpacked."""

    def __reduce__(self):
        return os._exit, (3,)

    def __call__(self, trial):
        raise AssertionError("it never comes so far")


def test_workers_that_exit_before_they_train_end_the_study(tmp_path):
    with pytest.raises(StudyError, match="exited with 3 before it could train"):
        supervise(study_of(tmp_path, 4), Leaves(), 2)


@pytest.mark.parametrize(
    ("preempted", "code"), [("preempted (SIGTERM)", child.PREEMPTED), ("", child.FAILED)]
)
def test_system_exit_is_a_worker_that_was_told_twice_or_a_failure(tmp_path, preempted, code):
    study = study_of(tmp_path, 1)

    def leaves(trial):
        trial.study.preempted = preempted
        raise SystemExit(143)

    order = {"study": "s", "storage": study.store.address, "until": None, "hopeful": 0}
    assert child.run(order, supervisor._packed(leaves)) == code
    assert [t.state for t in study.refresh().trials] == [TrialState.QUEUED]


def gone_process() -> int:
    """Return the id of a process that has ended."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def killed_beside_another(trial):
    for epoch in trial.epochs(save=lambda f: None, restore=lambda f: None):
        if epoch == 1 and first_time():
            theirs = msgspec.structs.replace(trial.study.leases.holder, pid=gone_process())
            trial.study.next_job(theirs)
            os.kill(os.getpid(), signal.SIGKILL)
        trial.report(loss=trial["x"])


def test_a_killed_worker_is_no_reason_for_what_another_start_has_lost(tmp_path, monkeypatch):
    """The kernel had no memory for our worker; a trial of somebody else's was lost at that time."""
    kills = iter(range(100))
    monkeypatch.setattr(supervisor, "memory_kills", lambda: next(kills))
    study = study_of(tmp_path, 2)
    supervise(study, killed_beside_another, 1)
    assert [t.state for t in study.trials] == [TrialState.COMPLETED] * 2
    assert [t.retries for t in study.trials] == [{"out of memory": 1}, {"lost": 1}]


def adds_up(trial):
    state = {"epochs": 0}

    def save(folder):
        (folder / "epochs").write_text(str(state["epochs"]))

    def restore(folder):
        state["epochs"] = int((folder / "epochs").read_text())

    for epoch in trial.epochs(save=save, restore=restore):
        assert state["epochs"] == epoch
        state["epochs"] += 1
        trial.report(loss=trial["x"])


def test_workers_leave_no_temporary_files(tmp_path, monkeypatch):
    """Promoted trials go on from downloads, which lie there as long as a worker lives."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    study = study_of(
        tmp_path, None, epochs=9, scheduler="hyperband", checkpoints=f"file://{tmp_path}/runs"
    )
    supervise(study, adds_up, 2)
    assert len({t.step for t in study.trials}) > 1
    assert [p for p in temporary.glob("*") if f"-{os.getpid()}-" not in p.name] == []


def waits_once(trial):
    for epoch in trial.epochs(save=lambda f: None, restore=lambda f: None):
        if epoch == 2 and first_time():
            time.sleep(60)  # until it is killed
        trial.report(loss=trial["x"])


def test_a_worker_is_replaced_when_the_temporary_files_were_tidied_up(tmp_path):
    study = study_of(tmp_path, 1)
    seen = open_study("s", storage=tmp_path / "s.db", renews=False)

    def tidy_and_kill():
        while not seen.refresh().epochs:
            time.sleep(0.02)
        for folder in disk._scratch[os.getpid()][0].glob("crew-*"):
            shutil.rmtree(folder)
        os.kill(seen.trials[0].holder.pid, signal.SIGKILL)

    killer = threading.Thread(target=tidy_and_kill)
    killer.start()
    supervise(study, waits_once, 1)
    killer.join()
    assert [t.state for t in study.trials] == [TrialState.COMPLETED]
    assert study.trials[0].retries == {"lost": 1}


def test_each_start_has_logs_of_its_own_and_old_ones_go(tmp_path):
    study = study_of(tmp_path, 2)
    logs = logs_of(study.store)
    logs.mkdir(parents=True)
    for name, days in (("17-worker-0.log", 1), ("18-worker-0.log", 30)):
        (logs / name).write_text("of another start\n")
        os.utime(logs / name, (time.time() - days * 86400,) * 2)
    supervise(study, adds_up, 1)
    own = {f"{os.getpid()}-worker-0.log", f"{os.getpid()}-server.log"}
    assert {log.name for log in logs.iterdir()} == {"17-worker-0.log", *own}
    assert (logs / "17-worker-0.log").read_text() == "of another start\n"


FORKS = """
import os, sys
import luthier
from luthier.run import renewal

study = luthier.open("s", {"x": luthier.Float(0, 1)}, minimize="loss", max_trials=2, storage=sys.argv[1])
first = study.ask()
pid = os.fork()
if not pid:
    trial = study.ask()
    assert trial.number == 1
    assert list(study.leased.values()) == [1]
    assert study in renewal._running and renewal._running[study].is_alive()
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
assert study.trials[0].holder.pid == os.getpid()
again = study.next_job()
assert again.trial == 1, again
study.tell(first, loss=1.0)
"""


def test_what_a_forked_process_was_given_goes_on_when_it_is_gone(tmp_path):
    words = [sys.executable, "-c", FORKS, str(tmp_path / "s.db")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
