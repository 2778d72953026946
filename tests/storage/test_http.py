"""What is special to stores behind a server; what every store does is tested in one suite for all."""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from luthier.errors import StorageError
from luthier.storage import SQLiteStore
from luthier.storage.http import HTTPStore
from luthier.storage.http_connection import Away, Refused
from luthier.study.log import read_bodies
from luthier.study.protocols import Conflict

sys.path.insert(0, str(Path(__file__).parents[1] / "app"))
from serving_store import TOKEN, Served, free_port, served, serving

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("served"), any_bytes=True) as server:
        yield server


_numbers = itertools.count()


@pytest.fixture
def name():
    return f"study {next(_numbers)}"


@pytest.fixture
def store(server):
    store = HTTPStore(server.url, patience=10)
    yield store
    store.close()


# -- the server's life -----------------------------------------------------------------------------


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_server_that_dies_and_comes_back_loses_and_doubles_nothing(tmp_path, how):
    server = Served(tmp_path, any_bytes=True)
    server.start()
    told: dict[bytes, int] = {}
    stop = threading.Event()

    def write(writer: int) -> None:
        store = HTTPStore(server.url, patience=30)
        for i in itertools.count():
            if stop.is_set():
                break
            body = f"{writer}:{i}".encode()
            told[body] = store.append("s", [body + b" first", body]) if i % 2 else careful(body)

    def careful(body: bytes) -> int:
        store = HTTPStore(server.url, patience=30)
        while True:
            last = (store.read("s") or [(0, b"")])[-1][0]
            with contextlib.suppress(Conflict):
                return store.append("s", [body + b" first", body], expect=last)

    writers = [threading.Thread(target=write, args=(n,)) for n in range(3)]
    for writer in writers:
        writer.start()
    for _ in range(4):
        time.sleep(0.5)
        server.stop(how)
        server.start()
    until = time.monotonic() + 60
    while len(told) <= 20 and time.monotonic() < until:  # on a machine that is busy
        time.sleep(0.1)
    stop.set()
    for writer in writers:
        writer.join()
    server.stop(signal.SIGKILL)
    events = SQLiteStore(tmp_path / "luthier.db").read("s")
    bodies = [body for _, body in events]
    assert len(set(bodies)) == len(bodies), "doubled"
    assert len(told) > 20
    assert {number: body for body, number in told.items()} == {
        number: body for number, body in events if not body.endswith(b" first")
    }


class Cutting:
    """Forwards requests to a server, and hangs up where it is told to: ``before`` or ``after``."""

    def __init__(self, port: int) -> None:
        self.to = port
        self.cuts: list[str] = []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://{TOKEN}@127.0.0.1:{self.socket.getsockname()[1]}"
        threading.Thread(target=self.run, daemon=True).start()

    def run(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.socket.accept()
                server = socket.create_connection(("127.0.0.1", self.to))
                with client, server, contextlib.suppress(OSError):
                    self.forward(client, server)

    def forward(self, client: socket.socket, server: socket.socket) -> None:
        while request := client.recv(1 << 20):
            head, _, body = request.partition(b"\r\n\r\n")
            length = [h for h in head.lower().split(b"\r\n") if h.startswith(b"content-length:")]
            while length and len(body) < int(length[0].partition(b":")[2]):
                more = client.recv(1 << 20)
                body, request = body + more, request + more
            cut = self.cuts.pop(0) if self.cuts and request.startswith(b"POST") else ""
            if cut == "before":
                return
            server.sendall(request)
            answer = server.recv(1 << 20)
            if cut == "after":
                return
            client.sendall(answer)
            head, _, body = answer.partition(b"\r\n\r\n")
            length = [h for h in head.lower().split(b"\r\n") if h.startswith(b"content-length:")]
            left = (int(length[0].partition(b":")[2]) if length else 0) - len(body)
            while left > 0:  # the body may come after the head
                more = server.recv(1 << 20)
                client.sendall(more)
                left -= len(more)


@pytest.fixture
def cutting(server):
    proxy = Cutting(server.port)
    yield proxy
    proxy.socket.close()


@pytest.mark.parametrize("expect", [None, 3])
@pytest.mark.parametrize("forgetful", [False, True])
@pytest.mark.parametrize(
    "cuts", [["before"], ["after"], ["before", "after"], ["after", "after"], ["before"] * 3]
)
def test_an_append_cut_in_the_middle_happens_once(
    server, store, cutting, name, cuts, expect, forgetful, monkeypatch
):
    if forgetful:  # as a server that was restarted: it does not know the key any more
        import uuid

        numbers = itertools.count()
        monkeypatch.setattr(uuid, "uuid4", lambda: SimpleNamespace(hex=""))
        assert next(numbers) == 0
    store.append(name, [b"a", b"b", b"a"])
    through = HTTPStore(cutting.url, patience=10)
    through.read(name)
    cutting.cuts = list(cuts)
    assert through.append(name, [b"b", b"a"], expect) == 5
    assert [body for _, body in store.read(name)] == [b"a", b"b", b"a", b"b", b"a"]
    assert cutting.cuts in ([], cuts[1:])


def test_an_append_finds_itself_among_those_of_others(store, name, monkeypatch):
    """The answer is lost, and before it asks again others have appended before and after it."""
    ours = HTTPStore(store.address, patience=10)
    store.append(name, [b"0"])
    plain = ours._connection.request
    lost = []

    def lose_once(method, path, *arguments, **options):
        if method == "POST" and not lost:
            lost.append(path)
            store.append(name, [b"other"])
            plain(method, path, *arguments, **options)
            store.append(name, [b"other"])
            raise Away("lost", sent=True)
        return plain(method, path, *arguments, **options)

    monkeypatch.setattr(ours._connection, "request", lose_once)
    assert ours.append(name, [b"x", b"y"]) == 4
    assert [body for _, body in store.read(name)] == [b"0", b"other", b"x", b"y", b"other"]


def test_an_append_that_arrives_late_is_no_conflict(store, name, monkeypatch):
    """It was still on its way when its writer looked for it and appended it again."""
    ours = HTTPStore(store.address, patience=10)
    plain = ours._connection.request
    posts = []

    def late(method, path, body=None, headers=None, **options):
        if method != "POST":
            return plain(method, path, body, headers, **options)
        posts.append(path)
        if len(posts) == 1:
            raise Away("lost", sent=True)
        if len(posts) == 2:
            plain(method, path, body, {**headers, "Idempotency-Key": "of-the-first-attempt"})
        return plain(
            method, path, body, {**headers, "Idempotency-Key": f"server-forgot-{len(posts)}"}
        )

    monkeypatch.setattr(ours._connection, "request", late)
    assert ours.append(name, [b"x", b"y"], expect=0) == 2
    assert len(store.read(name)) == 2
    with pytest.raises(Conflict):
        ours.append(name, [b"z"], expect=0)


def test_a_server_that_stays_away_is_told_after_our_patience():
    store = HTTPStore(f"http://t@127.0.0.1:{free_port()}", patience=0.5)
    for call in (
        lambda: store.append("s", [b"x"]),
        lambda: store.read("s"),
        store.names,
        lambda: store.snapshot("s"),
    ):
        started = time.monotonic()
        with pytest.raises(StorageError, match=r"has not answered for .*refused.*run again"):
            call()
        assert 0.4 < time.monotonic() - started < 5
    started = time.monotonic()
    assert not store.wait("s", 0, 0.3)
    assert time.monotonic() - started < 3


def test_a_proxy_before_a_server_that_is_away(name):
    """502, 503 and 504 are a server that is away; any other answer is not waited for."""
    answers = [502, 503, 504, 200]
    body = b'{"names": ["s"]}'

    def run(listening: socket.socket) -> None:
        for status in answers:
            client, _ = listening.accept()
            with client:
                client.recv(1 << 16)
                text = body if status == 200 else b"<html>"
                head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(text)}\r\nConnection: close"
                client.sendall(head.encode() + b"\r\n\r\n" + text)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://t@127.0.0.1:{listening.getsockname()[1]}"
        thread = threading.Thread(target=run, args=(listening,))
        thread.start()
        assert HTTPStore(url, patience=10).names() == ["s"]
        thread.join()
        answers[:] = [404]
        thread = threading.Thread(target=run, args=(listening,))
        thread.start()
        with pytest.raises(StorageError, match="nothing that a Luthier server says"):
            HTTPStore(url, patience=10).names()
        thread.join()
        answers[:], body = [200], b"<html>hello"
        thread = threading.Thread(target=run, args=(listening,))
        thread.start()
        with pytest.raises(StorageError, match="not what a Luthier server says"):
            HTTPStore(url, patience=10).names()
        thread.join()


# -- the client ------------------------------------------------------------------------------------


def test_the_token_comes_from_the_url_or_the_environment(server, monkeypatch):
    bare = f"http://127.0.0.1:{server.port}"
    monkeypatch.delenv("LUTHIER_TOKEN", raising=False)
    with pytest.raises(StorageError, match=r"http://TOKEN@127\.0\.0\.1:\d+\) or set LUTHIER_TOKEN"):
        HTTPStore(bare)
    assert isinstance(HTTPStore(bare, TOKEN).names(), list)
    monkeypatch.setenv("LUTHIER_TOKEN", TOKEN)
    store = HTTPStore(bare + "/")
    assert isinstance(store.names(), list)
    assert store.address == server.url
    assert HTTPStore(store.address).address == store.address
    odd = HTTPStore("https://a%2Fb%40c@[::1]:80/below/")
    assert odd.server.token == "a/b@c"
    assert odd.address == "https://a%2Fb%40c@[::1]:80/below"


def test_a_wrong_token_is_told_at_once_and_never_printed(server):
    store = HTTPStore(f"http://SECRET@127.0.0.1:{server.port}")
    started = time.monotonic()
    for call in (store.names, lambda: store.wait("s", 0, 5), lambda: store.append("s", [b"x"])):
        with pytest.raises(StorageError, match="token is not the server's") as caught:
            call()
        assert "SECRET" not in str(caught.value)
    assert time.monotonic() - started < 3
    assert "SECRET" not in repr(store.server)


@pytest.mark.parametrize(
    "url",
    ["ftp://t@host", "http://", "http://t@host:port", "http://t@h?x=1", "host:80", "http://t@:1"],
)
def test_other_urls_are_refused(url):
    with pytest.raises(StorageError, match="no address of a Luthier server"):
        HTTPStore(url)


def test_what_the_server_refuses_is_told(store, name, server):
    with pytest.raises(Refused, match="at most 67108864 bytes"):
        store.append(name, [b"x" * (51 << 20)])
    store.keep_snapshot(name, 1, b"x" * (65 << 20))  # only a cache: not kept, and no error
    assert store.snapshot(name) is None
    with pytest.raises(Refused, match="at most 500"):
        store.append("x" * 501, [b""])
    with served_events(server) as strict, pytest.raises(Refused, match="upgrade the server"):
        HTTPStore(strict).append(name, [b"no event"])


@contextlib.contextmanager
def served_events(server):
    folder = server.folder / "strict"
    folder.mkdir()
    with served(folder) as url:
        yield url


def test_a_log_of_many_pages(store, name, server):
    bodies = [b"%d" % i for i in range(120_000)]
    SQLiteStore(server.folder / "luthier.db").append(name, bodies)
    assert [body for _, body in read_bodies(store, name)] == bodies
    assert store.read(name, 119_999) == [(120_000, b"119999")]


def test_a_poll_does_not_hold_up_an_append(store, name):
    poll = threading.Thread(target=store.wait, args=(name, 0, 20))
    poll.start()
    time.sleep(0.3)
    started = time.monotonic()
    store.append(name, [b"x"])
    poll.join()
    assert time.monotonic() - started < 5


def test_waiting(store, name):
    started = time.monotonic()
    assert not store.wait(name, 0, 0.3)
    assert 0.25 < time.monotonic() - started < 3
    store.append(name, [b"x", b"y"])
    assert store.wait(name, 1, 10)
    assert not store.wait(name, 2, 0)


def test_threads_share_a_store(store, name):
    threads = [
        threading.Thread(target=lambda n=n: [store.append(name, [b"%d" % n]) for _ in range(20)])
        for n in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.read(name)) == 100


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_fork_has_a_connection_of_its_own(store, name):
    store.append(name, [b"parent"])
    hold = store._connection._lock
    hold.acquire()  # as another thread of the parent may at the moment of the fork
    context = multiprocessing.get_context("fork")
    children = [
        context.Process(target=lambda n=n: [store.append(name, [b"%d" % n]) for _ in range(20)])
        for n in range(3)
    ]
    for child in children:
        child.start()
    hold.release()
    for _ in range(20):
        store.append(name, [b"parent"])
    for child in children:
        child.join(30)
        assert child.exitcode == 0
    assert len(store.read(name)) == 81
