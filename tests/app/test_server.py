"""The server of the HTTP store, asked without a network: its door, its events, its limits, its checkpoints."""

from __future__ import annotations

import asyncio
import base64
import sys
from urllib.parse import quote

import msgspec
import pytest
from asking_server import AUTHORIZED, EVENT, Asked, appended
from serving_store import TOKEN

from luthier.app.server import application, serve
from luthier.errors import LuthierError, StorageError
from luthier.storage import MemoryStore


@pytest.fixture
def store(tmp_path):
    return MemoryStore()


@pytest.fixture
def ask(store, tmp_path):
    limits = {"max_body": 1000, "max_checkpoint": 1000}
    return Asked(application(store, TOKEN, tmp_path / "checkpoints", **limits))


# -- the door --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": TOKEN},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": "Bearer"},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": f"Bearer {TOKEN[:-1]}"},
        {"Authorization": "Bearer ü"},
    ],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/studies"),
        ("POST", "/v1/studies/s/events"),
        ("PUT", "/v1/studies/s/checkpoints/0/1"),
        ("GET", "/nowhere"),
        ("GET", "/v1/health/../studies"),
        ("GET", "/v1/health/"),
    ],
)
def test_nothing_without_the_token(ask, headers, method, path):
    answer = ask(method, path, appended(EVENT), headers)
    assert answer.status == 401
    assert "token" in answer.json["error"]
    assert answer.headers["www-authenticate"] == "Bearer"


def test_health_and_description_are_open(ask):
    assert ask("GET", "/v1/health", headers={}).json.keys() == {"luthier"}
    assert ask("GET", "/v1/openapi.json", headers={}).json["openapi"].startswith("3.1")


@pytest.mark.parametrize("token", ["", "with space", "ü", "a\nb"])
def test_a_server_without_a_sound_token_is_refused(tmp_path, token):
    with pytest.raises(LuthierError, match="token"):
        application(MemoryStore(), token, tmp_path)


def test_a_missing_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "luthier.app.server.service", None)
    with pytest.raises(LuthierError, match=r"pip install 'luthier\[serve\]'"):
        application(MemoryStore(), "t", tmp_path)


def test_a_port_that_is_taken_is_told(tmp_path):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(LuthierError, match=f"Cannot listen on 127.0.0.1:{port}"):
            serve(MemoryStore(), "127.0.0.1", port, "t", tmp_path)


# -- events ----------------------------------------------------------------------------------------

NAMES = [
    "a/b", "/", "//", "../x", "..", ".", "ü", "日本", "a%2Fb", "%2F", "events", "checkpoints", "a?b=c",
    "a#b", "a b", "+", "a\\b", "\n", "x" * 500, "🎻" * 500,
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_any_name_comes_through(ask, store, name):
    path = f"/v1/studies/{quote(name, safe='')}"
    assert ask("POST", f"{path}/events", appended(EVENT)).json == {"last": 1}
    assert store.names() == [name]
    assert ask("GET", "/v1/studies").json == {"names": [name]}
    encoded = base64.b64encode(EVENT).decode()
    assert ask("GET", f"{path}/events").json == {"events": [[1, encoded]], "more": False}
    assert ask("PUT", f"{path}/checkpoints/0/1", b"tar").status == 204
    assert ask("GET", f"{path}/checkpoints").json == {"trials": [{"trial": 0, "steps": [1]}]}


@pytest.mark.parametrize("path", ["%ff", "%ed%a0%80", "x" * 501])
def test_other_names_are_refused(ask, path):
    assert ask("GET", f"/v1/studies/{path}/events").status == 422


@pytest.mark.parametrize("path", ["//events", "/../events", "/a/b/events", "/a/events/", "/a"])
def test_names_do_not_change_the_path(ask, path):
    answer = ask("GET", f"/v1/studies{path}")
    assert answer.status == (200 if path == "/../events" else 404)  # ".." is a name like any other


def test_a_server_that_gives_no_raw_path_does_for_plain_names(ask):
    answer = ask("POST", "/v1/studies/a%20%C3%BC/events", appended(EVENT), raw_path=False)
    assert answer.status == 200
    assert ask("GET", "/v1/studies").json == {"names": ["a ü"]}


def test_a_conflict_appends_nothing(ask, store):
    assert ask("POST", "/v1/studies/s/events", appended(EVENT, expect=1)).status == 409
    assert ask("POST", "/v1/studies/s/events", appended(EVENT, expect=0)).json == {"last": 1}
    assert len(store.read("s")) == 1


def test_an_append_that_is_sent_again_happens_once(ask, store):
    async def twice_at_once():
        headers = AUTHORIZED | {"Idempotency-Key": "one"}
        post = ("POST", "/v1/studies/s/events", appended(EVENT), headers)
        first = await asyncio.gather(ask.ask(*post), ask.ask(*post))
        return [answer.json for answer in [*first, await ask.ask(*post)]]

    assert asyncio.run(twice_at_once()) == [{"last": 1}] * 3
    assert len(store.read("s")) == 1


def test_a_key_that_comes_with_another_body_is_refused(ask, store):
    headers = AUTHORIZED | {"Idempotency-Key": "one"}
    assert ask("POST", "/v1/studies/s/events", appended(EVENT), headers).json == {"last": 1}
    again = ask("POST", "/v1/studies/s/events", b"\x00", headers)
    assert (again.status, "another body" in again.json["error"]) == (422, True)
    assert len(store.read("s")) == 1


def test_a_failed_append_that_is_sent_again_is_tried_again(ask, store, monkeypatch):
    headers = AUTHORIZED | {"Idempotency-Key": "one"}
    post = ("POST", "/v1/studies/s/events", appended(EVENT), headers)

    def full(*_):
        raise StorageError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(store, "append", full)
        failed = ask(*post)
        assert (failed.status, "disk is full" in failed.json["error"]) == (500, True)
    assert ask(*post).json == {"last": 1}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no json",
        b"[]",
        b"{}",
        b'{"bodies": "QUFB"}',
        b'{"bodies": ["no base64"]}',
        b'{"bodies": ["QUFB"]}',  # base64, but of no event
        b'{"bodies": [""]}',
        b'{"bodies": [], "expect": -1}',
        b'{"bodies": [], "expect": 99999999999999999999}',
        b'{"bodies": [], "expect": true}',
        b'{"bodies": [], "other": 1}',
        b"[" * 900,
        appended(b"\x91" * 500),
        appended(EVENT, b"\x81\xa5event\xa3new"),
    ],
)
def test_what_is_no_event_is_refused(ask, store, body):
    answer = ask("POST", "/v1/studies/s/events", body)
    assert answer.status == 422
    assert answer.json["error"]
    assert store.read("s") == []


def test_events_of_a_newer_luthier_are_told_apart(ask):
    newer = msgspec.msgpack.encode({"event": "trial cloned", "time": 1.0})
    error = ask("POST", "/v1/studies/s/events", appended(newer)).json["error"]
    assert "upgrade the server" in error


@pytest.mark.parametrize(
    "query",
    ["since=-1", "since=x", "since=1.5", "since=", "since=9007199254740992", "wait=31", "wait=nan",
     "wait=-1", "wait=1_0", "limit=0", "limit=50001", "since=1&since=2", "sinze=1"],
)  # fmt: skip
def test_odd_questions_are_refused(ask, query):
    assert ask("GET", f"/v1/studies/s/events?{query}").status == 422


def test_a_long_log_comes_in_pages(store, tmp_path, monkeypatch):
    from luthier.app.server import pages

    ask = Asked(application(store, TOKEN, tmp_path, check=bytes))
    store.append("s", [b"%d" % i for i in range(120_000)])
    since, sizes, bodies = 0, [], []
    more = True
    while more:
        page = ask("GET", f"/v1/studies/s/events?since={since}").json
        if since == 50_000:
            store.append("s", [b"late"])
        since, more = page["events"][-1][0], page["more"]
        sizes.append(len(page["events"]))
        bodies += [base64.b64decode(body) for _, body in page["events"]]
    assert sizes == [50_000, 50_000, 20_001]
    assert bodies == [body for _, body in store.read("s", limit=200_000)]

    monkeypatch.setattr(pages, "PAGE_BYTES", 100)
    store.append("big", [b"x" * 60, b"x" * 60, b"x" * 500, b"x"])
    page = ask("GET", "/v1/studies/big/events?since=0").json
    assert (len(page["events"]), page["more"]) == (1, True)
    page = ask("GET", "/v1/studies/big/events?since=2").json
    assert (len(page["events"]), page["more"]) == (1, True), "one that is too large comes alone"


# -- limits ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/studies/s/events"),
        ("PUT", "/v1/studies/s/snapshot"),
        ("PUT", "/v1/studies/s/checkpoints/0/1"),
    ],
)
def test_a_long_body_is_refused_before_it_is_read(ask, store, tmp_path, method, path):
    headers = AUTHORIZED | {"Luthier-Number": "1"}
    pieces = [b"x" * 300] * 1000
    answer = ask(method, path, pieces, headers | {"Content-Length": "300000"})
    assert (answer.status, ask.taken) == (413, 0)
    assert "at most 1000 bytes" in answer.json["error"]
    answer = ask(method, path, pieces, headers)  # in chunks, of a length that nobody told
    assert (answer.status, ask.taken) == (413, 4)
    assert store.names() == []
    assert [p for p in (tmp_path / "checkpoints").rglob("*") if p.is_file()] == []


def test_snapshots(ask):
    path = "/v1/studies/s/snapshot"
    assert ask("GET", path).status == 404
    assert ask("PUT", path, b"old", AUTHORIZED | {"Luthier-Number": "7"}).status == 204
    assert ask("PUT", path, b"\0new", AUTHORIZED | {"Luthier-Number": "8"}).status == 204
    answer = ask("GET", path)
    assert (answer.body, answer.headers["luthier-number"]) == (b"\0new", "8")
    for number in ({}, {"Luthier-Number": "-1"}, {"Luthier-Number": "x"}):
        assert ask("PUT", path, b"x", AUTHORIZED | number).status == 422


# -- checkpoints -----------------------------------------------------------------------------------


def test_checkpoints_are_files_under_the_folder_and_nowhere_else(ask, tmp_path):
    for study in ("../../x", "/etc", "a"):
        path = f"/v1/studies/{quote(study, safe='')}/checkpoints"
        assert ask("PUT", f"{path}/7/12", [b"t", b"ar"]).status == 204
        assert ask("PUT", f"{path}/7/3", b"earlier").status == 204
        assert ask("GET", f"{path}/7").json == {"steps": [3, 12]}
        assert ask("GET", f"{path}/8").json == {"steps": []}
        got = ask("GET", f"{path}/7/12")
        assert (got.body, got.headers["content-length"]) == (b"tar", "3")
    files = [p for p in tmp_path.rglob("*") if p.is_file()]
    assert sorted(p.name for p in files) == ["7-12.tar"] * 3 + ["7-3.tar"] * 3
    assert {p.parent.parent for p in files} == {tmp_path / "checkpoints"}
    assert ask("DELETE", f"{path}/7/12").status == 204
    assert ask("DELETE", f"{path}/7/12").status == 204
    assert ask("GET", f"{path}/7/12").status == 404
    assert ask("GET", f"{path}/7").json == {"steps": [3]}


@pytest.mark.parametrize(
    "number", ["-1", "1000000000", "x", "1.5", "..", "%2e%2e", "1%2F2", "²", "٣"]
)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_odd_steps_and_trials_are_refused(ask, tmp_path, method, number):
    number = quote(number, safe="%")
    for path in (f"{number}/1", f"1/{number}"):
        assert ask(method, f"/v1/studies/s/checkpoints/{path}", b"x").status == 422
    assert not (tmp_path / "checkpoints").exists()


def test_an_upload_that_breaks_leaves_the_one_before(ask, tmp_path):
    path = "/v1/studies/s/checkpoints/0/1"
    ask("PUT", path, b"before")

    ask("PUT", path, b"half", breaks=True)
    assert ask("GET", path).body == b"before"
    assert len([p for p in tmp_path.rglob("*") if p.is_file()]) == 1


def test_a_full_disk_is_told(ask, monkeypatch):
    from luthier.app.server.checkpoint_files import Upload

    def full(self, chunk):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Upload, "write", full)
    answer = ask("PUT", "/v1/studies/s/checkpoints/0/1", b"x")
    assert (answer.status, "No space left" in answer.json["error"]) == (507, True)
