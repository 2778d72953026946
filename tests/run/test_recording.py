"""Whose fault an error is: the training code's, this machine's, a cluster's that wants its machine back."""

from __future__ import annotations

import os
import signal
import time

import pytest

import luthier as lt
from luthier.errors import CheckpointError, LuthierWarning, StorageError, StudyError, TrialError
from luthier.run.opening import open_study
from luthier.run.recording import out_of_memory
from luthier.run.worker import preemptible, work
from luthier.study.deciding import Job
from luthier.study.records import TrialState
from luthier.study.trial import Trial

SPACE = lt.Space(x=lt.Float(0.0, 1.0))


@pytest.fixture
def studies(tmp_path):
    """Two workers' views of one study of two trials, three epochs each."""
    options = {"minimize": "loss", "epochs": 3, "max_trials": 2, "scheduler": None}
    storage = tmp_path / "s.db"
    return [open_study("s", SPACE, storage=storage, renews=False, **options) for _ in range(2)]


def well(trial):
    for _ in trial.epochs(save=lambda folder: None, restore=lambda folder: None):
        trial.report(loss=float(trial.number))


@pytest.mark.parametrize("error", [CheckpointError("the disk is full"), StorageError("S3 is away")])
def test_what_one_machine_cannot_write_ends_no_other_machines_work(studies, error):
    here, elsewhere = studies

    def train(trial):
        for epoch in trial.epochs(save=lambda folder: None, restore=lambda folder: None):
            if epoch == 1:
                raise error
            trial.report(loss=trial["x"])

    with pytest.raises(type(error), match=str(error)) as caught:
        work(here, train)
    assert "Trial 0 is back in the queue" in caught.value.__notes__[0]
    assert elsewhere.refresh().trials[0].state is TrialState.QUEUED
    assert not here.leased
    work(elsewhere, well)
    assert [list(t.steps) for t in elsewhere.trials] == [[1, 2, 3]] * 2
    assert elsewhere.trials[0].retries == {"lost": 1}


def test_a_trial_that_no_machine_can_go_on_with_fails_alone(studies):
    here, _ = studies

    def train(trial):
        if trial.number == 0:
            raise CheckpointError("trial 0 has a damaged checkpoint")
        well(trial)

    for _ in range(3):
        with pytest.raises(CheckpointError, match="damaged"):
            work(here, train)
    work(here, train)
    assert [t.state for t in here.trials] == [TrialState.FAILED, TrialState.COMPLETED]
    assert here.trials[0].kind == "lost"


def test_what_a_killed_process_leads_to_is_no_error_of_a_trial_that_has_to_go(studies):
    here, elsewhere = studies

    def train(trial):
        os.kill(os.getpid(), signal.SIGTERM)
        raise RuntimeError("DataLoader worker (pid 7) is killed by signal: Terminated.")

    assert work(here, train) == "preempted (SIGTERM)"
    assert elsewhere.refresh().trials[0].state is TrialState.QUEUED
    assert elsewhere.trials[0].retries == {"preempted": 1}
    work(elsewhere, well)
    assert [list(t.steps) for t in elsewhere.trials] == [[1, 2, 3]] * 2


def taken_over(study, trial):
    """Have *study* take a trial over from whoever trains it."""
    study.release_held([study.refresh().trials[trial.number]], "it was stopped", kind="hung")
    job = study.next_job()
    assert isinstance(job, Job)
    return Trial(study, job)


def test_an_error_in_a_trial_that_another_worker_has_taken_over_ends_nothing(studies):
    here, elsewhere = studies
    theirs = []

    def train(trial):
        if trial.number == 0:
            theirs.append(taken_over(elsewhere, trial))
            raise ConnectionError("the connection has died long ago")
        well(theirs[0])
        well(trial)

    with pytest.warns(LuthierWarning, match="Trial 0 raised ConnectionError: the connection"):
        work(here, train)
    assert [t.state for t in here.trials] == [TrialState.COMPLETED] * 2


def test_an_error_after_the_rung_is_one_even_if_another_worker_has_the_trial_by_now(tmp_path):
    options = {
        "minimize": "loss",
        "scheduler": lt.Hyperband(epochs=3),
        "storage": tmp_path / "s.db",
    }
    here, elsewhere = (open_study("s", SPACE, renews=False, **options) for _ in range(2))

    def train(trial):
        well(trial)
        if here.trials[trial.number].state is TrialState.PAUSED:
            job = elsewhere.next_job()
            while isinstance(job, Job) and job.trial != trial.number:
                well(Trial(elsewhere, job))
                job = elsewhere.next_job()
            if isinstance(job, Job):
                raise ZeroDivisionError("in the summary of the training code")

    with pytest.raises(ZeroDivisionError):
        work(here, train)


def test_a_worker_says_that_the_training_code_failed_elsewhere(studies):
    here, elsewhere = studies
    job = elsewhere.next_job()
    trial = Trial(elsewhere, job)

    def train(mine):
        well(mine)
        elsewhere.fail(trial, "error", "NameError: undefined", "Traceback: line 7\nNameError")

    with pytest.raises(TrialError, match=r"failed in trial 0, with .*\n\nTraceback: line 7"):
        work(here, train)


WORDS = {
    "RuntimeError": [
        "CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "MPS backend out of memory (MPS allocated: 17.99 GB, max allowed: 18.13 GB).",
        "[enforce fail at alloc_cpu.cpp:117] . DefaultCPUAllocator: can't allocate memory: you tried",
    ],
    "AcceleratorError": ["CUDA error: out of memory"],
    "InternalError": ["CUDNN_STATUS_ALLOC_FAILED", "RESOURCE_EXHAUSTED: Out of memory"],
}


@pytest.mark.parametrize(("name", "text"), [(n, t) for n, texts in WORDS.items() for t in texts])
def test_the_ways_in_which_frameworks_say_that_memory_ran_out(name, text):
    kind = RuntimeError if name == "RuntimeError" else type(name, (RuntimeError,), {})
    assert out_of_memory(kind(text))


def test_other_errors_of_a_device_are_bugs():
    assert not out_of_memory(RuntimeError("CUDA error: device-side assert triggered"))
    assert not out_of_memory(RuntimeError("cuDNN error: CUDNN_STATUS_NOT_INITIALIZED"))
    assert not out_of_memory(ValueError("CUDA error: out of memory"))


def test_a_fork_of_the_training_code_can_be_ended(studies):
    here, _ = studies
    codes = []

    def train(trial):
        codes.append(code_of_a_terminated_fork())
        trial.report(loss=1.0)

    before = signal.signal(
        signal.SIGTERM, signal.SIG_DFL
    )  # other tests' libraries may have set theirs
    try:
        work(here, train)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert codes == [-signal.SIGTERM] * 2


def test_a_fork_ends_as_the_user_had_wanted_before(studies):
    before = signal.signal(signal.SIGTERM, lambda *_: os._exit(9))
    try:
        with preemptible(studies[0]):
            assert code_of_a_terminated_fork() == 9
    finally:
        signal.signal(signal.SIGTERM, before)


def code_of_a_terminated_fork():
    """Fork as a data loader does, end the fork as ``Process.terminate`` does, and return its exit code."""
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.write(writing, b"ready")
            time.sleep(20)
        finally:
            os._exit(0)
    os.close(writing)
    os.read(reading, 100)
    os.close(reading)
    os.kill(pid, signal.SIGTERM)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_returned_result_that_was_not_reported_is_told_of(studies):
    here, _ = studies

    def train(trial):
        well(trial)
        return 5.0

    with pytest.warns(LuthierWarning, match="returned loss=5 after it had reported loss=0") as said:
        work(here, train)
    assert len(said) == 1


@pytest.mark.parametrize("returned", [1.0, {"loss": 1}, {"score": 7}, "done", [1, 2], True, None])
def test_what_was_reported_or_is_no_result_may_be_returned(studies, returned):
    here, _ = studies

    def train(trial):
        for epoch in trial.epochs():
            trial.report(loss=float(epoch))
        return returned

    work(here, train)
    assert [t.state for t in here.trials] == [TrialState.COMPLETED] * 2


async def asynchronous(trial):
    return 1.0


def generating(trial):
    yield 1.0


@pytest.mark.parametrize(
    ("train", "words"),
    [(asynchronous, "is an async function.*asyncio.run"), (generating, "is a generator function")],
)
def test_a_function_whose_call_runs_nothing_is_named(studies, train, words):
    with pytest.raises(StudyError, match=words):
        work(studies[0], train)
