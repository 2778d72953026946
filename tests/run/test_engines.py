"""One suite for all engines: this machine's supervisor, a real Ray cluster, a real Dask cluster."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import psutil
import pytest

import luthier
from luthier.errors import LuthierWarning, StorageError, StudyError, TrialError
from luthier.run import dask_engine, placing
from luthier.run.dask_engine import DaskEngine
from luthier.run.devices import Place
from luthier.run.opening import open_study
from luthier.run.ray_engine import RayEngine

pytestmark = pytest.mark.processes
SPACE = luthier.Space(x=luthier.Float(0.0, 1.0))


@pytest.fixture(scope="module")
def ray_cluster():
    import ray

    os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
    ray.init(
        num_cpus=4, include_dashboard=False, log_to_driver=False, object_store_memory=100 << 20
    )
    yield ray
    ray.shutdown()


@pytest.fixture(scope="module")
def dask_client():
    from distributed import Client, LocalCluster

    cluster = LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, memory_limit=0
    )
    with cluster, Client(cluster) as client:
        yield client


@pytest.fixture(params=["supervisor", "ray", "dask"])
def engine(request):
    if request.param == "ray":
        request.getfixturevalue("ray_cluster")
        return RayEngine(2, cpus_per_worker=0.5)
    if request.param == "dask":
        return DaskEngine(request.getfixturevalue("dask_client"))
    return 2


def training(folder: Path, seconds: float = 0.02, breaks: int | None = None):
    """A training whose state is its checkpoint; every epoch leaves a line with its process."""
    log = str(folder / "trained.txt")

    def train(trial):
        state = {"sum": 0.0}

        def save(where):
            (where / "sum").write_text(repr(state["sum"]))

        def restore(where):
            state["sum"] = float((where / "sum").read_text())

        for epoch in trial.epochs(save=save, restore=restore):
            if trial.number == breaks:
                raise ValueError("a bug in trial 1")
            time.sleep(seconds)
            state["sum"] += trial["x"] * (epoch + 1)
            with open(log, "a") as lines:
                lines.write(f"{trial.number} {epoch + 1} {os.getpid()} {os.getppid()}\n")
            trial.report(loss=state["sum"])

    return train


def lines(folder: Path) -> list[list[str]]:
    file = folder / "trained.txt"
    return [line.split() for line in file.read_text().splitlines()] if file.exists() else []


def tune(folder: Path, engine, train, **options):
    options = {"scheduler": None, "epochs": 4, "max_trials": 6, **options}
    return luthier.tune(
        train, SPACE, minimize="loss", name="s", storage=folder / "s.db", workers=engine,
        progress=False, **options,
    )  # fmt: skip


def told(trials):
    return [(t.configuration, list(t.steps), list(t.losses), t.state) for t in trials]


def test_the_same_results_as_in_one_process(tmp_path, engine):
    (tmp_path / "one").mkdir()
    (tmp_path / "many").mkdir()
    # A guided searcher would have seen other trials with more workers.
    options = {"searcher": "random"}
    one = tune(tmp_path / "one", 1, training(tmp_path / "one", 0.0), **options)
    many = tune(tmp_path / "many", engine, training(tmp_path / "many"), **options)
    assert told(many.trials) == told(one.trials)
    assert len(lines(tmp_path / "many")) == 24


def test_promoted_trials_go_on_from_their_checkpoints(tmp_path, engine):
    result = tune(
        tmp_path, engine, training(tmp_path), scheduler="hyperband", epochs=9, max_trials=None
    )
    assert len(result.trials) == 17
    epochs = [(trial, epoch) for trial, epoch, *_ in lines(tmp_path)]
    assert len(epochs) == len(set(epochs)) == 69


def wait_for(condition):
    until = time.monotonic() + 90
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.parametrize("whose", ["trial", "worker"])
def test_a_killed_process_loses_nothing(tmp_path, engine, whose):
    """Kills the process that trains, or the engine's own worker process that supervises it."""
    if engine == 2 and whose == "worker":
        return  # that is the test's own process; tests/run/test_killed.py kills such a one

    def kill():
        wait_for(lambda: len(lines(tmp_path)) >= 4)
        _, _, pid, server = lines(tmp_path)[-1]
        victim = int(pid) if whose == "trial" else psutil.Process(int(server)).ppid()
        os.kill(victim, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    result = tune(tmp_path, engine, training(tmp_path, 0.1), epochs=6)
    killer.join()
    assert [list(t.steps) for t in result.trials] == [[1, 2, 3, 4, 5, 6]] * 6
    assert sum(t.retries.get("lost", 0) for t in result.trials) >= 1
    # At most the epoch that the killed process was in is trained again, for each job that it held.
    assert 36 <= len(lines(tmp_path)) <= 36 + 2


def test_a_bug_stops_the_study_with_its_traceback(tmp_path, engine):
    with pytest.raises(TrialError, match="a bug in trial 1") as caught:
        tune(tmp_path, engine, training(tmp_path, breaks=1))
    assert "Traceback (most recent call last)" in str(caught.value)
    again = tune(tmp_path, engine, training(tmp_path))
    assert [list(t.steps) for t in again.trials] == [[1, 2, 3, 4]] * 6


def test_a_study_stopped_from_outside_ends_its_loops(tmp_path, engine):
    def stop():
        wait_for(lambda: len(lines(tmp_path)) >= 2)
        open_study("s", storage=tmp_path / "s.db").steer.stop("enough")

    stopper = threading.Thread(target=stop)
    stopper.start()
    tune(tmp_path, engine, training(tmp_path, 0.1), max_trials=500)
    stopper.join()
    result = open_study("s", storage=tmp_path / "s.db")
    assert result.history.held == "stopped"
    assert len(result.trials) < 100
    pids = {int(pid) for _, _, pid, _ in lines(tmp_path)}
    wait_for(lambda: not any(map(psutil.pid_exists, pids)))


def test_ray_ends_where_not_all_workers_have_room_at_a_time(tmp_path, ray_cluster):
    """The last ones begin when those before them let go of their cores."""
    told = []

    def run():
        told.append(tune(tmp_path, RayEngine(6), training(tmp_path)))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(120)
    assert told, "it waits for workers that never begin"
    assert [list(t.steps) for t in told[0].trials] == [[1, 2, 3, 4]] * 6


def unpacked_once(folder: Path):
    """A training that only the first loop can unpack: the others miss a package, as it were."""
    train, mark = training(folder), str(folder / "unpacked")

    def unpacked():
        try:
            os.close(os.open(mark, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            raise ModuleNotFoundError("No module named 'missing'") from None
        return train

    class Packed:
        def __call__(self, trial):
            train(trial)

        def __reduce__(self):
            return unpacked, ()

    return Packed()


@pytest.mark.parametrize("kind", ["ray", "dask"])
def test_a_loop_that_cannot_work_ends_alone(tmp_path, kind, request):
    if kind == "ray":
        request.getfixturevalue("ray_cluster")
        engine = RayEngine(2, cpus_per_worker=0.5)
    else:
        engine = DaskEngine(request.getfixturevalue("dask_client"), 2)
    with pytest.warns(LuthierWarning, match="could not work: ModuleNotFoundError"):
        result = tune(tmp_path, engine, unpacked_once(tmp_path))
    assert [list(t.steps) for t in result.trials] == [[1, 2, 3, 4]] * 6
    assert result.reason == "6 trials were tried"


def test_a_study_without_any_loop_that_can_work_raises(tmp_path):
    study = open_study("s", SPACE, minimize="loss", max_trials=2, storage=tmp_path / "s.db")
    lost, ended = ("failed", "a worker could not work"), ("ended", "preempted (SIGTERM)")
    with pytest.raises(StudyError, match="a worker could not work"):
        placing.outcome(study, [lost, lost])
    with pytest.warns(LuthierWarning, match="a worker could not work"):
        assert placing.outcome(study, [lost, ended]) == "preempted (SIGTERM)"
    with pytest.raises(TrialError, match="a bug"):
        placing.outcome(study, [lost, ended, ("error", "a bug")])
    for _ in range(2):
        study.tell(study.ask(), loss=1.0)
    with pytest.warns(LuthierWarning, match="a worker could not work"):
        assert placing.outcome(study, [lost]) == "2 trials were tried"


def test_a_store_that_is_gone_at_the_end_hides_no_error(tmp_path, ray_cluster, monkeypatch):
    study = open_study("s", SPACE, minimize="loss", max_trials=1, storage=tmp_path / "s.db")

    def gone(*_, **__):
        raise StorageError("the store is gone")

    monkeypatch.setattr(study, "release_lapsed", gone)
    with pytest.raises(TrialError, match="a bug in trial 1"):
        RayEngine(1, cpus_per_worker=0.5).run(study, training(tmp_path, breaks=0))


def test_dask_loops_that_nobody_waits_for_end(tmp_path, dask_client, monkeypatch):
    finished = DaskEngine._finished

    def breaks(engine, tasks):
        wait_for(lambda: lines(tmp_path))
        raise OSError("the scheduler is out of reach")

    monkeypatch.setattr(DaskEngine, "_finished", breaks)
    with pytest.raises(OSError, match="out of reach"):
        tune(tmp_path, DaskEngine(dask_client), training(tmp_path, 0.1), max_trials=500)
    monkeypatch.setattr(DaskEngine, "_finished", finished)
    assert open_study("s", storage=tmp_path / "s.db").history.held == "stopped"
    pids = {int(pid) for _, _, pid, _ in lines(tmp_path)}
    wait_for(lambda: not any(map(psutil.pid_exists, pids)))


def test_each_loop_of_a_machine_has_a_slot_of_its_own(tmp_path, dask_client):
    slots = str(tmp_path / "slots.txt")

    def train(trial):
        for _ in trial.epochs():
            time.sleep(0.1)
            with open(slots, "a") as lines:
                lines.write(os.environ["LUTHIER_SLOT"] + "\n")
            trial.report(loss=trial["x"])

    tune(tmp_path, DaskEngine(dask_client), train)
    assert set(Path(slots).read_text().split()) == {"0", "1"}


def test_loops_share_the_cards_of_a_machine_unless_each_was_given_its_own():
    shared = [("a", "0,1"), ("b", "0,1"), ("a", "0,1"), ("c", "0")]
    places = [dask_engine.place_of(shared, index) for index in range(4)]
    assert places == [Place(0, 2), Place(0, 1), Place(1, 2), Place(0, 1)]
    own = [("a", "0,1"), ("a", "1,0")]  # as dask-cuda does
    assert [dask_engine.place_of(own, index) for index in range(2)] == [
        Place(0, 2, share=1.0, number=number) for number in range(2)
    ]
    two = [dask_engine.place_of(own * 2, index) for index in range(4)]  # two loops on each worker
    assert two == [Place(0, 4, share=0.5, number=number) for number in range(4)]


def test_engines_refuse_what_cannot_be(tmp_path):
    with pytest.raises(StudyError, match="num_workers must be 1 or more, got 0"):
        luthier.run.ray(num_workers=0)
    with pytest.raises(StudyError, match=r"Expected a distributed\.Client"):
        luthier.run.dask("tcp://nowhere")
    for engine in (luthier.run.ray(num_workers=1), 2):
        with pytest.raises(StudyError, match="need"):
            luthier.tune(
                training(tmp_path), SPACE, minimize="loss", max_trials=1, storage="memory",
                workers=engine, progress=False,
            )  # fmt: skip
    with pytest.raises(StudyError, match=r"or an engine such as luthier\.run\.ray"):
        luthier.tune(training(tmp_path), SPACE, minimize="loss", max_trials=1, workers="ray")
