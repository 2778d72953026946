"""A long log opens from its snapshot, to the same history; the snapshot is only a cache."""

from __future__ import annotations

from tests.run.test_simulation import told

from luthier.errors import StorageError
from luthier.run.opening import open_study
from luthier.space import Choice, Float, Space
from luthier.storage import MemoryStore, open_store
from luthier.study import events as ev
from luthier.study import snapshot
from luthier.study.history import History, fold
from luthier.study.log import copy_log, read_log
from luthier.study.protocols import PAGE

SPACE = Space(x=Float(0.0, 1.0), shape=Choice((1, 2), (3, 4), "flat"))


def run_some(study, trials):
    for _ in range(trials):
        trial = study.ask()
        for step in range(1, 4):
            trial.report({"loss": trial["x"] / step, "odd" if step % 2 else "even": float(step)})
        study.tell(trial)


def test_snapshots_are_kept_on_the_way_and_opened_from(tmp_path, monkeypatch):
    monkeypatch.setattr(snapshot, "_FIRST", 100)
    path = tmp_path / "s.db"
    study = open_study("s", SPACE, minimize="loss", max_trials=200, storage=path)
    run_some(study, 40)
    kept, body = study.store.snapshot("s")
    assert 0 < study.history.cursor - kept < 100
    assert snapshot.decode(body).cursor == kept
    again = open_study("s", storage=path)
    assert told(again.history) == told(study.history) == told(fold(read_log(study.store, "s")))
    assert again.trials[3].configuration == study.trials[3].configuration
    assert again.trials[3].curve("even")[1] == 2.0
    run_some(again, 3)
    run_some(study, 3)
    assert told(again.refresh()) == told(study.refresh())


def test_a_snapshot_that_cannot_be_read_is_passed_over(tmp_path):
    study = open_study("s", SPACE, minimize="loss", max_trials=5, storage=tmp_path / "s.db")
    run_some(study, 5)
    for body in (b"", b"rubbish", snapshot.encode(study.history)[:-7]):
        store = MemoryStore()
        copy_log(study.store, store, "s")
        store.keep_snapshot("s", 3, body)
        assert told(snapshot.follow(store, "s", History())) == told(study.history)


def test_a_store_that_cannot_keep_a_snapshot_ends_no_study(monkeypatch):
    refused = []

    class Full(MemoryStore):
        def keep_snapshot(self, study, number, body):
            refused.append(number)
            raise StorageError("database or disk is full")

    monkeypatch.setattr(snapshot, "_FIRST", 5)
    study = open_study("s", SPACE, minimize="loss", max_trials=5, storage=Full())
    run_some(study, 5)
    assert refused
    assert study.history.ended == 5


def test_a_log_longer_than_a_page_is_read_whole_and_copied(tmp_path):
    source = open_store(tmp_path / "a.db")
    count = 2 * PAGE + 17
    source.append("s", [ev.encode(ev.StudyPaused(time=float(i))) for i in range(count)])
    target = MemoryStore()
    target.append("s", [body for _, body in source.read("s", limit=10)])
    assert copy_log(source, target, "s") == count - 10
    assert [e.time for _, e in read_log(target, "s")] == [float(i) for i in range(count)]
