"""What only a server far away does: it goes away, answers get lost, lines are cut without a word."""

from __future__ import annotations

import multiprocessing
import os
import socket
import threading
import time
import warnings

import psycopg
import pytest
from tests.storage.postgres_server import running_postgres

import luthier as lt
from luthier.errors import StorageError
from luthier.storage import PostgresStore, open_store
from luthier.study import events as ev

SPACE = lt.Space(x=lt.Float(0.0, 1.0))


def event(text: str) -> bytes:
    return ev.encode(ev.StudyPaused(time=1.0, reason=text))


def in_thread(action):
    """Begin *action* in a thread; return that and the list that its result will be in."""
    results = []
    thread = threading.Thread(target=lambda: results.append(action()), daemon=True)
    thread.start()
    return thread, results


def wait_for(condition, seconds=20.0):
    until = time.monotonic() + seconds
    while not condition() and time.monotonic() < until:
        time.sleep(0.02)
    return condition()


def test_waiting_ends_with_its_time_while_the_server_is_away():
    with running_postgres() as server:
        store = open_store(server.url)
        store.append("s", [event("1")])
        thread, results = in_thread(lambda: store.wait("s", 1, 3.0))
        assert wait_for(lambda: store._listener is not None)
        time.sleep(0.2)
        server.stop("immediate")
        thread.join(20)
        assert results == [False]
        server.start()
        assert store.append("s", [event("2")]) == 2
        assert store.wait("s", 1, 3.0)
        store.close()


def waiting_for_a_lock(connection):
    query = (
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    return connection.execute(query).fetchone()[0]


@pytest.mark.parametrize("expect", [1, None])
def test_an_append_whose_answer_was_lost_happens_once(database, expect):
    store = PostgresStore(database)
    store.append("s", [event("1")])
    looking = psycopg.connect(database, autocommit=True)
    with looking, psycopg.connect(database) as holding:
        holding.execute("SELECT last FROM luthier_studies WHERE name = 's' FOR UPDATE")
        thread, results = in_thread(lambda: store.append("s", [event("2")], expect))
        assert wait_for(lambda: waiting_for_a_lock(looking) == 1)
        with socket.socket(fileno=os.dup(store._connection.pgconn.socket)) as line:
            line.shutdown(socket.SHUT_RDWR)  # which the server does not notice while it waits
        assert wait_for(lambda: waiting_for_a_lock(looking) == 2)
        holding.commit()
        thread.join(20)
    assert results == [2]
    assert store.read("s") == [(1, event("1")), (2, event("2"))]


def test_a_line_that_is_cut_is_noticed_unless_the_url_says_otherwise(database):
    own = PostgresStore(database)._connection.info.get_parameters()
    assert (own["tcp_user_timeout"], own["keepalives_idle"]) == ("30000", "10")
    url = f"{database}?tcp_user_timeout=5000&keepalives=0"
    told = PostgresStore(url)._connection.info.get_parameters()
    assert (told["tcp_user_timeout"], told["keepalives"]) == ("5000", "0")
    assert told["keepalives_idle"] == "10"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://someone:SE/CRET@127.0.0.1/db",
        "postgresql://someone:SE%CRET@127.0.0.1/db",
        "postgresql://someone:SECRET@127.0.0.1/db?nothing=1",
    ],
)
def test_a_url_that_cannot_be_read_is_refused_without_its_password(url):
    with pytest.raises(StorageError) as caught:
        PostgresStore(url, patience=0.1)
    assert "CRET" not in str(caught.value)
    assert "127.0.0.1" in str(caught.value)
    assert caught.value.__cause__ is None


def test_another_directory_goes_on_where_the_checkpoints_are(database, tmp_path, monkeypatch):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        study = lt.open("s", SPACE, minimize="loss", storage=database)
        study.tell(study.ask(), loss=1.0)
        assert study.history.header.checkpoints == str(tmp_path / "a" / "luthier-checkpoints")
    with pytest.raises(
        lt.StudyError, match=r"checkpoints was .*luthier-checkpoints.*, is now .*/c'"
    ):
        lt.open("s", SPACE, minimize="loss", storage=database, checkpoints=tmp_path / "c")


def _open(url, folder, barrier):
    os.chdir(folder)
    warnings.simplefilter("error", lt.LuthierWarning)
    store = open_store(url)
    for turn in range(10):
        barrier.wait()
        lt.open(f"s{turn}", SPACE, minimize="loss", storage=store)


@pytest.mark.processes
def test_processes_in_several_directories_begin_one_study(database, tmp_path):
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(3, timeout=60)
    workers = []
    for name in "abc":
        (tmp_path / name).mkdir()
        workers.append(
            context.Process(target=_open, args=(database, tmp_path / name, barrier), daemon=True)
        )
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    store = open_store(database)
    begun = [
        body for name in store.names() for _, body in store.read(name)
        if isinstance(ev.decode(body), ev.StudyCreated)
    ]  # fmt: skip
    assert len(begun) == 10


def test_who_only_looks_makes_no_tables(database):
    with pytest.raises(StorageError, match="there is no Luthier store in this database"):
        open_store(database, read_only=True)
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT to_regclass('luthier_schema')").fetchone() == (None,)
    open_store(database).append("s", [event("1")])
    assert open_store(database, read_only=True).names() == ["s"]


def test_a_role_that_may_make_no_tables_works_with_those_that_there_are(database):
    open_store(database).append("s", [event("1")])
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        connection.execute("DROP ROLE IF EXISTS worker")
        connection.execute("CREATE ROLE worker LOGIN")
        connection.execute("GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO worker")
    store = open_store(database.replace("luthier@", "worker@"))
    assert store.append("s", [event("2")]) == 2
    assert len(store.read("s")) == 2
