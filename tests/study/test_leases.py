"""Who holds a job: fencing, lapsing, retries by cause."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import msgspec
import pytest

from luthier.run.opening import made_parts, open_study
from luthier.run.simulation import RememberedCheckpoints, VirtualClock
from luthier.run.worker import work
from luthier.space import Choice, Float, Int, Space
from luthier.storage import open_store
from luthier.study import events as ev
from luthier.study import holder as holders
from luthier.study import snapshot
from luthier.study.deciding import Job
from luthier.study.feasibility import halved, would_run_out
from luthier.study.holder import Liveness, holder_for, liveness
from luthier.study.leases import ProcessLeases
from luthier.study.protocols import Wait
from luthier.study.records import TrialRecord, TrialState
from luthier.study.study import Study
from luthier.study.trial import Trial

SPACE = Space(x=Float(0.0, 1.0))


def holder(host: str, instance: int = 1) -> ev.Holder:
    return ev.Holder(host, f"boot of {host}", "pid:1", 4242, "17", instance)


class Owner:
    """Whoever takes leases."""


class TwoClocks(VirtualClock):
    """A clock whose calendar somebody sets: ``jump`` seconds forward."""

    jump = 0.0

    def time(self):
        return self.now + self.jump


@pytest.fixture
def cluster(tmp_path):
    """Two machines on one store: ``cluster(host)`` is a study there; ``.clock`` is everybody's."""
    path = tmp_path / "s.db"
    study = open_study("s", SPACE, minimize="loss", epochs=5, max_trials=1, storage=path)
    clock = TwoClocks()
    checkpoints = RememberedCheckpoints()

    def machine(host):
        store = open_store(path)
        leases = ProcessLeases(holder(host), clock, local=False)
        return Study(
            store, "s", *made_parts(study.history.header), checkpoints, clock=clock, leases=leases
        )

    machine.clock = clock
    return machine


def test_a_silent_worker_loses_its_job_after_its_term_and_its_report_is_kept(cluster):
    a, b = cluster("a"), cluster("b")
    trial = Trial(a, a.next_job())
    epochs = trial.epochs(save=lambda f: None, restore=lambda f: None)
    next(epochs)
    trial.report(loss=3.0)
    next(epochs)  # writes the report and a checkpoint
    assert isinstance(b.next_job(), Wait)
    cluster.clock.now += 59.0
    assert isinstance(b.next_job(), Wait)
    cluster.clock.now += 59.0
    job = b.next_job()
    assert (job.trial, job.from_step, job.lease) == (0, 1, trial.lease + 1)
    trial.report(loss=0.001)  # the first worker was only cut off
    assert next(epochs, None) is None
    assert trial.verdict.reason == "another worker has taken this trial over"
    other = Trial(b, job)
    for _ in other.epochs(save=lambda f: None, restore=lambda f: None):
        other.report(loss=2.0)
    record = b.trials[0]
    assert list(record.losses) == [3.0, 2.0, 2.0, 2.0, 2.0]
    assert b.history.late_reports == 1
    assert record.retries == {"lost": 1}


def test_renewals_and_reports_keep_a_lease(cluster):
    a, b = cluster("a"), cluster("b")
    job = a.next_job()
    for _ in range(20):
        cluster.clock.now += 40.0
        b.store.append(
            "s", [ev.encode(ev.LeaseRenewed(time=cluster.clock.now, trial=0, lease=job.lease))]
        )
        assert isinstance(b.next_job(), Wait)
    cluster.clock.now += 40.0
    assert isinstance(b.next_job(), Wait)
    cluster.clock.now += 40.0
    assert b.next_job().trial == 0


def test_clocks_that_disagree_rob_nobody(cluster, tmp_path):
    a = cluster("a")
    job = a.next_job()
    ahead = VirtualClock()
    ahead.now = cluster.clock.now + 500.0  # eight minutes ahead of machine a
    leases = ProcessLeases(holder("c"), ahead, local=False)
    c = Study(
        open_store(tmp_path / "s.db"),
        "s",
        *made_parts(a.history.header),
        RememberedCheckpoints(),
        clock=ahead,
        leases=leases,
    )
    for _ in range(5):
        assert isinstance(c.next_job(), Wait)
        ahead.now += 10.0
    assert c.history.trials[0].lease == job.lease


def open_with(tmp_path, **options):
    space = Space(batch_size=Choice(16, 32, 64, 128), units=Int(8, 512), rate=Float(0.0, 1.0))
    return open_study("m", space, minimize="loss", storage=tmp_path / "m.db", **options)


def runs_out_above(limit):
    def train(trial):
        if trial["batch_size"] * trial["units"] > limit:
            raise MemoryError("out of memory, in earnest")
        for _ in trial.epochs(save=lambda f: None, restore=lambda f: None):
            trial.report(loss=1.0)

    return train


def test_out_of_memory_is_tried_once_with_half_the_batch(tmp_path):
    study = open_with(tmp_path, halve="batch_size", epochs=1, max_trials=1)
    study.enqueue({"batch_size": 128, "units": 100, "rate": 0.5})
    work(study, runs_out_above(64 * 100))
    trial = study.trials[0]
    assert (trial.state, trial.configuration["batch_size"]) == (TrialState.COMPLETED, 64)
    assert trial.retries == {"out of memory": 1}


def test_a_second_time_it_fails_and_the_study_goes_on(tmp_path):
    study = open_with(tmp_path, halve="batch_size", epochs=1, max_trials=3)
    study.enqueue({"batch_size": 128, "units": 512, "rate": 0.5})
    work(study, runs_out_above(32 * 512 - 1))
    trial = study.trials[0]
    assert (trial.state, trial.kind) == (TrialState.FAILED, "out of memory")
    assert "MemoryError: out of memory, in earnest" in trial.why
    assert len(study.trials) == 3


def test_what_ran_out_of_memory_is_learned_from(tmp_path):
    study = open_with(tmp_path, epochs=1, max_trials=60)
    study.enqueue({"batch_size": 32, "units": 64, "rate": 0.5})
    work(study, runs_out_above(32 * 64 - 1))
    later = [t for t in study.trials[1:] if t.kind == "out of memory"]
    for early, late in ((a, b) for a in later for b in later if a.number < b.number):
        assert not would_run_out(late.configuration, [early.configuration])
    blind = open_study(
        "blind", study.space, minimize="loss", epochs=1, max_trials=60, storage="memory"
    )
    wasted = sum(
        c["batch_size"] * c["units"] >= 32 * 64
        for c in (blind.ask().configuration for _ in range(60))
    )
    assert len(later) < wasted / 2


def test_domination_looks_at_sizes_and_choices_only():
    known = {"batch_size": 64, "units": 128, "learning_rate": 0.1, "optimizer": "adam"}
    same = {**known, "learning_rate": 0.001}
    assert would_run_out(same, [known])
    assert would_run_out({**known, "units": 200}, [known])
    assert not would_run_out({**known, "units": 127}, [known])
    assert not would_run_out({**known, "optimizer": "sgd"}, [known])
    assert not would_run_out({"rate": 1.0}, [{"rate": 0.5}])


def test_half_of_a_batch_is_legal():
    space = Space(batch=Int(10, 100, step=30), other=Choice("a", "b"))
    assert halved(space, {"batch": 100, "other": "a"}, "batch") == {"batch": 40, "other": "a"}
    assert halved(space, {"batch": 10, "other": "a"}, "batch") is None
    assert halved(space, {"batch": 100, "other": "a"}, "other") is None
    assert halved(space, {"batch": 100, "other": "a"}, "size") is None


def test_a_late_verdict_gives_up_no_trial_that_failed_since(cluster):
    a, b = cluster("a"), cluster("b")
    late = Trial(a, a.next_job())
    cluster.clock.now += 120.0
    assert isinstance(b.next_job(), Wait)
    cluster.clock.now += 120.0
    trial = Trial(b, b.next_job())
    b.fail(trial, "error", "ValueError: no")
    now = cluster.clock.time()
    b.append([ev.TrialStopped(time=now, trial=0, lease=late.lease, step=1, reason="median")])
    assert b.trials[0].kind == "error"
    assert b.retry_errors() == 1


def test_a_clock_that_is_set_forward_robs_nobody(cluster):
    a, b = cluster("a"), cluster("b")
    a.next_job()
    assert isinstance(b.next_job(), Wait)
    cluster.clock.now += 30.0
    cluster.clock.jump = 4000.0  # an hour and more, by the calendar alone
    assert isinstance(b.next_job(), Wait)
    cluster.clock.now += 31.0
    assert b.next_job().trial == 0


def test_what_was_left_behind_long_ago_is_taken_at_once(cluster):
    a = cluster("a")
    a.next_job()
    cluster.clock.now += 1000.0
    assert cluster("b").next_job().trial == 0


def test_another_machines_worker_behind_a_served_file_is_not_gone():
    here = holder_for(owner := Owner())
    foreign = msgspec.structs.replace(here, host="elsewhere", boot="another boot")
    restarted = msgspec.structs.replace(here, boot="another boot")
    assert liveness(foreign, local=True) is Liveness.UNKNOWN
    assert liveness(restarted, local=True) is Liveness.GONE
    assert liveness(restarted, local=False) is Liveness.UNKNOWN
    assert owner


def test_a_process_that_the_machine_hides_is_not_gone(monkeypatch):
    """With hidepid=2, /proc does not show that there is a process of somebody else."""
    mine = holder_for(owner := Owner())
    other = msgspec.structs.replace(mine, pid=mine.pid + 1)

    def hidden(pid):
        raise FileNotFoundError

    def refused(pid, what):
        raise PermissionError

    def not_there(pid, what):
        raise ProcessLookupError

    monkeypatch.setattr(holders, "_after_name", hidden)
    monkeypatch.setattr(holders.os, "kill", refused)
    assert liveness(other) is Liveness.UNKNOWN
    assert not holders.is_gone(other.pid)
    monkeypatch.setattr(holders.os, "kill", not_there)
    assert liveness(other) is Liveness.GONE
    assert owner


@pytest.mark.parametrize(
    ("other", "same"),
    [("box:1000", True), ("box:1003", True), ("box:1009", False), ("tub:1000", False)],
)
def test_a_boot_told_by_its_time_may_differ_by_seconds(monkeypatch, other, same):
    me = holder_for(owner := Owner())
    monkeypatch.setattr(holders, "_boot", lambda: "box:1000")
    found = liveness(msgspec.structs.replace(me, boot=other), local=False)
    assert found is (Liveness.ALIVE if same else Liveness.UNKNOWN)
    assert owner


PARENT = """
import subprocess, sys
print(subprocess.Popen([sys.executable, "-c", "input()"]).pid, flush=True)
input()
"""


def test_a_silent_process_keeps_its_lease_while_who_started_it_is_stopped():
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        worker = int(parent.stdout.readline())
        mine, clock = holder_for(owner := Owner()), TwoClocks()
        other = msgspec.structs.replace(mine, pid=worker, started=holders._started(worker))
        trial = TrialRecord(0, {}, 0, TrialState.RUNNING, 0.0, lease=1, holder=other, term=60.0)
        leases = ProcessLeases(mine, clock, local=True)
        assert not leases.lapsed(trial)
        clock.jump = 5000.0  # the calendar's clock tells nothing of a process that lives
        assert not leases.lapsed(trial)
        os.kill(parent.pid, signal.SIGSTOP)
        while not holders.held_up(other):
            pass
        clock.now += 1000.0
        assert not leases.lapsed(trial)
        os.kill(parent.pid, signal.SIGCONT)
        while holders.held_up(other):
            pass
        assert leases.lapsed(trial)
        os.kill(worker, signal.SIGSTOP)
        while liveness(other) is not Liveness.STOPPED:
            pass
        assert leases.lapsed(trial)
        os.kill(worker, signal.SIGKILL)
        while liveness(other) is not Liveness.GONE:
            pass
        clock.now -= 1000.0
        assert leases.lapsed(trial)
        assert owner
    finally:
        parent.kill()
        parent.communicate()


def test_an_epoch_that_was_trained_before_is_no_progress(cluster):
    """A trial without checkpoints that loses its worker in its second epoch, each time."""
    study = cluster("a")
    seen = []
    for number in range(9):
        worker = cluster(f"machine {number}")
        job = worker.next_job()
        if not isinstance(job, Job) or job.trial != 0:
            break
        trial = Trial(worker, job)
        trial.report(loss=1.0)
        seen.append(dict(worker.trials[0].fruitless))
        cluster.clock.now += 1000.0
    assert len(seen) == 3
    assert study.trials[0].state is TrialState.FAILED
    assert "3 times in a row" in study.trials[0].why


def test_whoever_is_interrupted_writes_a_checkpoint_first(tmp_path):
    study = open_with(tmp_path, epochs=20, max_trials=1)
    saved = []
    trial = Trial(study, study.next_job())
    for epoch in trial.epochs(
        save=lambda folder: saved.append(trial.step), restore=lambda folder: None, every=5
    ):
        trial.report(loss=1.0)
        if epoch == 6:
            study.preempted = "told to end"
    assert saved == [5, 7]
    assert study.trials[0].checkpoint == 7


def test_whoever_is_paused_by_hand_writes_a_checkpoint_first(cluster):
    study, elsewhere = cluster("a"), cluster("b")
    trial = Trial(study, study.next_job())
    for epoch in trial.epochs(save=lambda folder: None, restore=lambda folder: None, every=2):
        cluster.clock.now += 1.0
        trial.report(loss=1.0)
        if epoch == 2:
            elsewhere.steer.pause()
    record = study.trials[0]
    assert (record.state, record.step, record.checkpoint) == (TrialState.QUEUED, 3, 3)


def test_a_checkpoint_that_a_mended_trial_will_go_on_from_is_kept():
    study = open_study("s", SPACE, minimize="loss", epochs=9, max_trials=3, storage="memory")
    about = {"time": 1.0, "lease": 1}
    here = holder("a")
    study.append(
        [
            ev.TrialProposed(time=1.0, trial=0, configuration={"x": 0.5}, seen=0),
            ev.JobLeased(trial=0, holder=here, from_step=0, to_step=9, **about),
            ev.Reported(trial=0, step=3, metrics={"loss": 1.0}, **about),
            ev.CheckpointWritten(trial=0, step=3, **about),
            ev.TrialProposed(
                time=1.0, trial=1, configuration={"x": 0.4}, seen=0, parent=0, start=3
            ),
            ev.JobLeased(trial=1, holder=here, from_step=3, to_step=9, **(about | {"lease": 2})),
            ev.TrialFailed(
                trial=1, step=3, kind="error", message="a bug", **(about | {"lease": 2})
            ),
        ]
    )
    assert study.history.inherited() == {0: {3}}
    again = snapshot.decode(snapshot.encode(study.history))
    assert again is not None
    assert again.inherited() == {0: {3}}
    study.steer.prune(1)
    assert study.history.inherited() == {}
