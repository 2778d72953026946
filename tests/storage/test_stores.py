"""One suite for every store, with the real servers."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from luthier.storage import MemoryStore, open_store
from luthier.study import events as ev
from luthier.study.protocols import Conflict


def event(text: str) -> bytes:
    """An event that holds *text*: servers take nothing else."""
    return ev.encode(ev.StudyPaused(time=1.0, reason=text))


def bodies(*texts: str) -> list[bytes]:
    return [event(text) for text in texts]


def numbered(*texts: str, since: int = 0) -> list[tuple[int, bytes]]:
    return list(enumerate(bodies(*texts), since + 1))


def test_events_come_back_numbered_from_1(store):
    assert store.append("a", bodies("1", "2")) == 2
    assert store.append("b", bodies("x")) == 1
    assert store.append("a", bodies("3")) == 3
    assert store.read("a") == numbered("1", "2", "3")
    assert store.read("a", 2) == numbered("3", since=2)
    assert store.read("a", 1, limit=1) == numbered("2", since=1)
    assert store.read("nothing") == []
    assert store.names() == ["a", "b"]


def test_conditional_append_is_all_or_nothing(store):
    store.append("a", bodies("1"), expect=0)
    with pytest.raises(Conflict):
        store.append("a", bodies("2", "3"), expect=0)
    with pytest.raises(Conflict):
        store.append("new", bodies("2"), expect=5)
    assert store.read("a") == numbered("1")
    assert store.read("new") == []
    assert store.append("a", bodies("2"), expect=1) == 2


def test_a_snapshot_replaces_only_an_older_one(store):
    store.append("a", bodies("1"))
    assert store.snapshot("a") is None
    assert store.snapshot("nothing") is None
    store.keep_snapshot("a", 5, b"five")
    store.keep_snapshot("a", 3, b"three")
    number, body = store.snapshot("a")
    assert (number, bytes(body)) == (5, b"five")
    store.keep_snapshot("a", 7, b"seven" * 100_000)
    assert bytes(store.snapshot("a")[1]) == b"seven" * 100_000


def test_waiting_ends_with_an_event_or_with_the_time(address, store):
    store.append("a", bodies("1"))
    assert store.wait("a", 0, 5.0)
    assert not store.wait("a", 1, 0.05)
    writer = store if isinstance(store, MemoryStore) else open_store(address)
    threading.Timer(0.2, lambda: writer.append("a", bodies("2"))).start()
    began = time.monotonic()
    while not store.wait("a", 1, 30.0):
        pass
    assert store.read("a", 1) == numbered("2", since=1)
    assert time.monotonic() - began < 25.0


@pytest.mark.parametrize("briefly", [False, True])
def test_one_decides_at_a_time_and_nobody_waits_for_ever(store, briefly):
    for _ in range(2):
        with store.deciding("a", briefly=briefly):
            store.append("a", bodies("1"))
            store.append("a", bodies("2"))
    with store.deciding("a", briefly=briefly):
        assert len(store.read("a")) == 4
    with pytest.raises(ZeroDivisionError), store.deciding("a", briefly=briefly):
        raise ZeroDivisionError
    assert store.append("a", bodies("3")) == 5


def test_an_append_returns_what_came_before_it(address, store):
    assert store.append_and_read("a", bodies("1"), 0) == (1, [])
    others = store if isinstance(store, MemoryStore) else open_store(address)
    others.append("a", bodies("2", "3"))
    last, between = store.append_and_read("a", bodies("4", "5"), 1)
    assert (last, list(between)) == (5, numbered("2", "3", since=1))
    assert store.append_and_read("a", bodies("6"), 5) == (6, [])


def test_names_of_studies_are_any_text(store):
    names = ["a/b", "../x", "ü ö", "a%2Fb", "events", "?x=1#y", "'; DROP TABLE events; --"]
    for name in names:
        store.append(name, bodies(name))
    assert store.names() == names
    assert [store.read(name) for name in names] == [numbered(name) for name in names]


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(appends=st.lists(st.tuples(st.sampled_from("abc"), st.lists(st.text(), min_size=1))))
def test_a_store_is_a_list_that_outlives_its_object(address, store, appends):
    model = MemoryStore()
    run = f"{len(store.names())} "
    for name, texts in appends:
        written = bodies(*(t.encode("utf-8", "ignore").decode() for t in texts))
        assert store.append(run + name, written) == model.append(name, written)
    again = store if isinstance(store, MemoryStore) else open_store(address)
    for name in "abc":
        assert again.read(run + name) == model.read(name)
    again.close()


def _append_many(address, count, barrier):
    store = open_store(address)
    barrier.wait()
    for i in range(count):
        with store.deciding("s"):
            while True:
                last = (store.read("s") or [(0, b"")])[-1][0]
                try:
                    store.append("s", bodies(f"{os.getpid()}:{i}"), expect=last)
                    break
                except Conflict:
                    continue


@pytest.mark.processes
def test_many_processes_on_a_new_store_lose_nothing(address):
    if address == "memory":
        return  # other processes cannot open it, and say so elsewhere
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(4)
    workers = [context.Process(target=_append_many, args=(address, 30, barrier)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    events = open_store(address).read("s")
    assert [n for n, _ in events] == list(range(1, 121))
    assert len({body for _, body in events}) == 120


def _append_for_ever(address, pipe):
    store = open_store(address)
    for i in range(10**9):
        store.append("s", bodies(str(i)))
        pipe.send(i)


@pytest.mark.processes
@pytest.mark.parametrize("after", [0.02, 0.3])
def test_what_was_appended_survives_sigkill(address, after):
    if address == "memory":
        return
    context = multiprocessing.get_context("spawn")
    reader, writer = context.Pipe(duplex=False)
    process = context.Process(target=_append_for_ever, args=(address, writer))
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
    events = open_store(address).read("s")
    assert len(events) >= acknowledged + 1
    assert [body for _, body in events] == bodies(*(str(i) for i in range(len(events))))
