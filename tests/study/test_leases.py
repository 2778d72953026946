"""Who holds a job: fencing, lapsing, retries by cause."""

from __future__ import annotations

import pytest

from luthier.run.opening import made_parts, open_study
from luthier.run.simulation import RememberedCheckpoints, VirtualClock
from luthier.run.worker import work
from luthier.space import Choice, Float, Int, Space
from luthier.storage import open_store
from luthier.study import events as ev
from luthier.study.feasibility import halved, would_run_out
from luthier.study.leases import ProcessLeases
from luthier.study.protocols import Wait
from luthier.study.records import TrialState
from luthier.study.study import Study
from luthier.study.trial import Trial

SPACE = Space(x=Float(0.0, 1.0))


def holder(host: str, instance: int = 1) -> ev.Holder:
    return ev.Holder(host, f"boot of {host}", "pid:1", 4242, "17", instance)


@pytest.fixture
def cluster(tmp_path):
    """Two machines on one store: ``cluster(host)`` is a study there; ``.clock`` is everybody's."""
    path = tmp_path / "s.db"
    study = open_study("s", SPACE, minimize="loss", epochs=5, max_trials=1, storage=path)
    clock = VirtualClock()
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
