"""One suite for every store."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luthier.errors import StorageError
from luthier.storage import MemoryStore, SQLiteStore, open_store
from luthier.study.protocols import Conflict


@pytest.fixture(params=["memory", "sqlite"])
def store(request, tmp_path):
    made = MemoryStore() if request.param == "memory" else SQLiteStore(tmp_path / "luthier.db")
    yield made
    made.close()


def test_events_come_back_numbered_from_1(store):
    assert store.append("a", [b"1", b"2"]) == 2
    assert store.append("b", [b"x"]) == 1
    assert store.append("a", [b"3"]) == 3
    assert store.read("a") == [(1, b"1"), (2, b"2"), (3, b"3")]
    assert store.read("a", 2) == [(3, b"3")]
    assert store.read("nothing") == []
    assert store.names() == ["a", "b"]


def test_conditional_append_is_all_or_nothing(store):
    store.append("a", [b"1"], expect=0)
    with pytest.raises(Conflict):
        store.append("a", [b"2", b"3"], expect=0)
    with pytest.raises(Conflict):
        store.append("new", [b"2"], expect=5)
    assert store.read("a") == [(1, b"1")]
    assert store.read("new") == []


@settings(max_examples=30, deadline=None)
@given(appends=st.lists(st.tuples(st.sampled_from("abc"), st.lists(st.binary(), min_size=1))))
def test_any_bytes_come_back(tmp_path_factory, appends):
    path = tmp_path_factory.mktemp("s") / "luthier.db"
    store, model = SQLiteStore(path), MemoryStore()
    for name, bodies in appends:
        assert store.append(name, bodies) == model.append(name, bodies)
    again = SQLiteStore(path)
    for name in "abc":
        assert again.read(name) == model.read(name)


def _append_many(path, count, barrier):
    store = SQLiteStore(path)
    barrier.wait()
    for i in range(count):
        while True:
            last = (store.read("s") or [(0, b"")])[-1][0]
            try:
                store.append("s", [f"{os.getpid()}:{i}".encode()], expect=last)
                break
            except Conflict:
                continue


@pytest.mark.processes
def test_many_processes_on_a_new_file_lose_nothing(tmp_path):
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(4)
    path = tmp_path / "luthier.db"
    workers = [context.Process(target=_append_many, args=(path, 40, barrier)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    events = SQLiteStore(path).read("s")
    assert [n for n, _ in events] == list(range(1, 161))
    assert len({body for _, body in events}) == 160


def _append_for_ever(path, pipe):
    store = SQLiteStore(path)
    for i in range(10**9):
        store.append("s", [str(i).encode()])
        pipe.send(i)


@pytest.mark.processes
@pytest.mark.parametrize("after", [0.02, 0.11, 0.3])
def test_what_was_appended_survives_sigkill(tmp_path, after):
    context = multiprocessing.get_context("spawn")
    reader, writer = context.Pipe(duplex=False)
    path = tmp_path / "luthier.db"
    process = context.Process(target=_append_for_ever, args=(path, writer))
    process.start()
    writer.close()
    acknowledged = reader.recv()
    time.sleep(after)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    while True:
        try:
            acknowledged = reader.recv()
        except EOFError:
            break
    events = SQLiteStore(path).read("s")
    assert len(events) >= acknowledged + 1
    assert [body for _, body in events] == [str(i).encode() for i in range(len(events))]


def test_the_write_ahead_log_is_moved_into_the_file(tmp_path):
    path = tmp_path / "luthier.db"
    store = SQLiteStore(path)
    for _ in range(40):
        store.append("s", [b"x" * 200_000])
    assert path.stat().st_size > 3 << 20
    assert (tmp_path / "luthier.db-wal").stat().st_size < 6 << 20


def test_read_only_writes_nothing_and_wants_a_file(tmp_path):
    with pytest.raises(StorageError, match=r"There is no .*luthier\.db"):
        SQLiteStore(tmp_path / "luthier.db", read_only=True)
    writer = SQLiteStore(tmp_path / "luthier.db")
    writer.append("s", [b"1"])
    reader = SQLiteStore(tmp_path / "luthier.db", read_only=True)
    assert reader.read("s") == [(1, b"1")]
    writer.append("s", [b"2"])
    assert reader.read("s", 1) == [(2, b"2")]
    with pytest.raises(StorageError, match="readonly"):
        reader.append("s", [b"3"])


def test_errors_say_what_to_do(tmp_path):
    with pytest.raises(StorageError, match=r"folder .* does not exist"):
        SQLiteStore(tmp_path / "no" / "luthier.db")
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE t (x)")
    with pytest.raises(StorageError, match="SQLite file of another program"):
        SQLiteStore(other)
    text = tmp_path / "text.db"
    text.write_text("not a database at all, but long enough to be read as one" * 20)
    with pytest.raises(StorageError, match=r"no SQLite file|damaged"):
        SQLiteStore(text)
    with sqlite3.connect(tmp_path / "new.db") as connection:
        connection.execute("PRAGMA user_version=99")
    with pytest.raises(StorageError, match="upgrade luthier"):
        SQLiteStore(tmp_path / "new.db")
    with pytest.raises(StorageError, match=r"Unknown storage 'mysql://x'"):
        open_store("mysql://x")


def test_network_file_systems_are_refused(tmp_path, monkeypatch):
    from luthier.storage import sqlite

    monkeypatch.setattr(sqlite, "_file_system", lambda path: "nfs4")
    with pytest.raises(StorageError, match=r"network file system \(nfs4\)"):
        SQLiteStore(tmp_path / "luthier.db")


def test_names_of_stores(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert isinstance(open_store("memory"), MemoryStore)
    assert open_store(None).path == tmp_path / "luthier.db"
    assert open_store("sqlite:///x.db").path == tmp_path / "x.db"
    assert open_store(f"sqlite:///{tmp_path}/y.db").path == tmp_path / "y.db"
