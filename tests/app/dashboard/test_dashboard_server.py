"""The dashboard's server: who may come in, what it tells, what it writes, and how it ends."""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from tests.app.dashboard.conftest import Served

import luthier
from luthier.app.dashboard.door import is_local, made_token
from luthier.app.dashboard.steering import Helm, Wish
from luthier.app.dashboard.watched import Watch, Watched, as_json
from luthier.errors import LuthierError, SpaceError, StudyError
from luthier.space import Choice, Float, Int, Space
from luthier.storage import MemoryStore, SQLiteStore
from luthier.study import events as ev
from luthier.study.log import read_log

SPACE = Space(rate=Float(1e-4, 1, scale="log"), units=Int(1, 9), kind=Choice("a", 2, None))


def asked(served: Served, method: str, path: str, body: Any = None, **headers: str) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)
    sent = json.dumps(body) if body is not None else None
    try:
        connection.request(method, path, sent, {k.replace("_", "-"): v for k, v in headers.items()})
        answer = connection.getresponse()
        answer.text = answer.read().decode()
        return answer
    finally:
        connection.close()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("served") / "studies.db"
    study = luthier.open("s", SPACE, minimize="loss", storage=path, scheduler=None)
    for loss in (3.0, 1.0, 2.0):
        study.tell(study.ask(), loss=loss)
    study.ask()
    return path


@pytest.fixture(scope="module")
def open_door(store: Path) -> Iterator[Served]:
    served = Served(store)
    yield served
    served.stop()


def key(served: Served) -> str:
    return json.loads(asked(served, "GET", "/api/session").text)["key"]


def test_a_site_that_resolves_to_us_is_refused(open_door: Served) -> None:
    for host in ("evil.example", f"evil.example:{open_door.port}", "127.0.0.1.evil.example", ""):
        assert asked(open_door, "GET", "/api/studies", Host=host).status == 403, host
    for host in ("localhost", f"127.0.0.1:{open_door.port}", f"[::1]:{open_door.port}"):
        assert asked(open_door, "GET", "/api/studies", Host=host).status == 200, host


def test_only_our_own_page_may_ask_for_changes(open_door: Served, store: Path) -> None:
    wish = {"study": "s", "action": "note", "text": "hello"}
    post = "POST", "/api/steer", wish
    own = f"http://127.0.0.1:{open_door.port}"
    secret = key(open_door)
    assert asked(open_door, *post).status == 403
    assert asked(open_door, *post, X_Luthier_Page="guess").status == 403
    assert (
        asked(open_door, *post, X_Luthier_Page=secret, Origin="http://evil.example").status == 403
    )
    assert asked(open_door, *post, X_Luthier_Page=secret, Origin="null").status == 403
    assert luthier.open("s", storage=store).history.notes == {}
    answer = asked(open_door, *post, X_Luthier_Page=secret, Origin=own)
    assert answer.status == 200, answer.text
    note = luthier.open("s", storage=store).history.notes[-1]
    assert note.text == "hello"
    assert "dashboard" in note.who


def test_the_page_may_run_nothing_but_its_own_script(open_door: Served) -> None:
    for path in ("/", "/page.js", "/api/studies", "/nothing"):
        policy = asked(open_door, "GET", path).getheader("content-security-policy")
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
        assert "unsafe" not in policy
        assert "require-trusted-types-for 'script'" in policy
        assert "frame-ancestors 'none'" in policy
    html = asked(open_door, "GET", "/").text
    assert not re.search(r"<script(?![^>]*src=)|<style|style=|\son\w+=", html)


def test_a_token_opens_the_door_once_and_for_all(store: Path) -> None:
    served = Served(store, "--token", "a-secret")
    try:
        assert asked(served, "GET", "/api/studies").status == 401
        assert asked(served, "GET", "/?token=wrong").status == 401
        assert asked(served, "GET", "/page.js").status == 401
        answer = asked(served, "GET", "/?token=a-secret")
        assert answer.status == 303
        assert answer.getheader("location") == "/"
        cookie = answer.getheader("set-cookie")
        assert "HttpOnly" in cookie
        assert "samesite=lax" in cookie.lower()
        mine = cookie.partition(";")[0]
        assert asked(served, "GET", "/api/studies", Cookie=mine).status == 200
        bearer = "Bearer a-secret"
        assert asked(served, "GET", "/api/studies", Authorization=bearer).status == 200
    finally:
        served.stop()


def test_beyond_this_machine_there_is_always_a_token() -> None:
    assert made_token("127.0.0.1", None) == ""
    assert made_token("localhost", None) == ""
    assert made_token("::1", None) == ""
    assert len(made_token("0.0.0.0", None)) >= 24
    assert made_token("0.0.0.0", None) != made_token("0.0.0.0", None)
    assert made_token("10.0.0.1", "mine") == "mine"
    assert not is_local("example.org")
    for token in ("", "two words", "ümlaut", "a\nb"):
        with pytest.raises(LuthierError, match="printable ASCII"):
            made_token("127.0.0.1", token)


def test_read_only_writes_nothing(store: Path) -> None:
    before = len(list(read_log(SQLiteStore(store, read_only=True), "s")))
    served = Served(store, "--read-only")
    try:
        assert "looking on" in served.said
        session = json.loads(asked(served, "GET", "/api/session").text)
        assert (session["steers"], session["key"]) == (False, "")
        for page_key in ("", "x"):
            wish = {"study": "s", "action": "stop"}
            assert asked(served, "POST", "/api/steer", wish, X_Luthier_Page=page_key).status == 403
    finally:
        served.stop()
    assert len(list(read_log(SQLiteStore(store, read_only=True), "s"))) == before


def test_what_is_wrong_is_said(open_door: Served) -> None:
    answer = asked(open_door, "GET", "/api/study?study=t")
    assert (answer.status, json.loads(answer.text)["error"]) == (422, "There is no study 't'.")
    assert asked(open_door, "GET", "/api/lesson?study=s&what=nothing").status == 422
    assert asked(open_door, "GET", "/api/trial?study=s&trials=one").status == 422
    assert json.loads(asked(open_door, "GET", "/api/trial?study=s&trials=99").text)["missing"] == [
        99
    ]
    secret = key(open_door)
    stop = {"study": "s", "action": "stop"}
    for body in ({**stop, "action": "explode"}, {"action": "stop"}, [], {**stop, "x": 1}):
        assert asked(open_door, "POST", "/api/steer", body, X_Luthier_Page=secret).status == 422
    few = json.loads(asked(open_door, "GET", "/api/lesson?study=s&what=importance").text)
    assert "at least 10 trials" in few["why_not"]


def test_of_very_many_trials_those_that_are_not_shown_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "studies.db"
    study = luthier.open("s", SPACE, minimize="loss", storage=path, scheduler=None)
    for loss in range(53):
        study.tell(study.ask(), loss=float(loss))
    served = Served(path)
    try:
        asked_for = ",".join(str(n) for n in (*range(53), 99))
        told = served.get("trial", study="s", trials=asked_for)
        assert (len(told["trials"]), told["missing"], told["hidden"]) == (50, [99], 3)
    finally:
        served.stop()


def test_the_end_does_not_wait_for_open_streams(store: Path) -> None:
    served = Served(store)
    connections = []
    for path in ("/api/live?study=s", "/api/live"):
        connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)
        connection.request("GET", path)
        assert b"data: {" in connection.getresponse().readline()
        connections.append(connection)
    assert served.stop() < 5  # uvicorn by itself waits for ever; 15 s between two quiet lines
    for connection in connections:
        connection.close()


def test_the_stream_says_when_something_is_new(open_door: Served, store: Path) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", open_door.port, timeout=20)
    connection.request("GET", f"/api/live?study={quote('s')}")
    stream = connection.getresponse()
    assert stream.getheader("content-type").startswith("text/event-stream")
    first = json.loads(line(stream))["cursor"]
    luthier.open("s", storage=store).steer.note("something new")
    assert json.loads(line(stream))["cursor"] > first
    connection.close()


def line(stream: Any) -> str:
    while not (text := stream.readline().decode()).startswith("data: "):
        pass
    return text.removeprefix("data: ")


# -- what is watched ------------------------------------------------------------------------------


def test_changes_since_a_revision_are_the_rows_that_changed() -> None:
    store = MemoryStore()
    study = luthier.open("s", SPACE, minimize="loss", storage=store, scheduler=None)
    study.tell(study.ask(), loss=1.0)
    watched = Watched(store, "s")
    first = json.loads(as_json(watched.columns()))
    assert first["whole"]
    assert first["columns"]["value"] == [1.0]
    time.sleep(0.25)  # looks at the log are that far apart
    nothing = watched.columns(first["revision"])
    assert not nothing["whole"]
    assert nothing["columns"]["number"] == []
    study.tell(study.ask(), loss=float("nan"))
    running = study.ask()
    time.sleep(0.25)
    news = watched.columns(first["revision"])
    assert news["columns"]["number"] == [1, running.number]
    assert news["columns"]["value"] == [None, None]
    for other in ("", "0-0", "nonsense", f"{first['revision']}0"):
        assert watched.columns(other)["whole"], "a revision of another server, or none"


def test_lessons_do_not_hold_up_the_pages() -> None:
    """While one thread computes, others get their answers."""
    store = MemoryStore()
    study = luthier.open("s", SPACE, minimize="loss", storage=store, scheduler=None)
    for i in range(30):
        study.tell(study.ask(), loss=float(i % 7))
    watched = Watched(store, "s")
    watched._lesson_lock.acquire()  # as a long computation would
    waits = threading.Thread(target=watched.lesson, args=("importance",))
    waits.start()
    assert len(json.loads(as_json(watched.columns()))["columns"]["value"]) == 30
    watched._lesson_lock.release()
    waits.join(60)
    assert not waits.is_alive()


def test_the_newest_studies_are_read_before_anybody_asks_until_somebody_does() -> None:
    store = MemoryStore()
    for i in range(10):
        luthier.open(f"s{i}", SPACE, minimize="loss", storage=store, scheduler=None)
    asked, watch = threading.Event(), Watch(store)
    watch.warm(asked)
    assert list(watch.studies) == [f"s{i}" for i in range(9, 1, -1)]
    asked.set()
    late = Watch(store)
    late.warm(asked)
    assert late.studies == {}


# -- wishes ---------------------------------------------------------------------------------------


@pytest.fixture
def helm() -> Helm:
    store = MemoryStore()
    study = luthier.open("s", SPACE, minimize="loss", storage=store, scheduler=None)
    study.tell(study.ask(), loss=1.0)
    study.ask()
    return Helm(lambda: store)


def granted(helm: Helm, **wish: Any) -> Any:
    helm.grant(Wish(study="s", **wish), "Ada")
    return helm._studies["s"].refresh()


def test_every_wish_is_an_event_with_who_and_when(helm: Helm) -> None:
    began = time.time()
    assert granted(helm, action="pause", reason="lunch").held == "paused"
    assert granted(helm, action="resume").held == ""
    assert granted(helm, action="budget", trials=7, epochs=70).limits.trials == 7
    assert granted(helm, action="prune", trial=1).trials[1].why == "pruned by hand"
    history = granted(
        helm, action="enqueue", configuration={"rate": "1e-2", "units": "3", "kind": "None"}
    )
    assert history.queue == [{"rate": 0.01, "units": 3, "kind": None}]
    assert granted(helm, action="space", name="units", low="1", high="99").space["units"].high == 99
    kinds = granted(helm, action="space", name="kind", options=["a", "2", "new"]).space["kind"]
    assert kinds.options == ("a", 2, "new")
    assert granted(helm, action="note", text="mine", trial=0).notes[0].text == "mine"
    assert 0 not in granted(helm, action="note", text="", trial=0).notes
    assert granted(helm, action="race", finalists=2, repetitions=3).race is not None
    assert granted(helm, action="stop").held == "stopped"
    log = [event for _, event in read_log(helm._studies["s"].store, "s")]
    wishes = [event for event in log if getattr(event, "who", "")]
    assert len(wishes) == 11
    assert all(event.who == "Ada" and event.time >= began for event in wishes)


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"action": "prune", "trial": 99}, "There is no trial 99"),
        ({"action": "prune"}, "needs the number"),
        ({"action": "prune", "trial": 0}, "has ended already"),
        ({"action": "enqueue", "configuration": {"rates": "1"}}, "no 'rates'. Did you mean 'rate'"),
        ({"action": "enqueue", "configuration": {"rate": "fast"}}, "expected a number, got 'fast'"),
        ({"action": "enqueue", "configuration": {"rate": "7", "units": "3", "kind": "a"}}, "rate"),
        ({"action": "enqueue", "configuration": {"kind": "b"}}, "expected one of a, 2, None"),
        ({"action": "space", "name": "units", "low": "x", "high": "9"}, "expected a number"),
        ({"action": "space", "name": "units", "low": "9", "high": "1"}, "9"),
        ({"action": "space", "name": "unit", "low": "1", "high": "9"}, "no 'unit'"),
        ({"action": "note", "text": "x", "trial": 99}, "There is no trial 99"),
        ({"action": "note", "text": "x" * 10_001}, "10000 characters"),
        ({"action": "budget", "trials": -1}, "above 0"),
    ],
)
def test_a_wish_that_cannot_be_granted_says_why(helm: Helm, wish: Any, words: str) -> None:
    with pytest.raises((StudyError, SpaceError), match=re.escape(words)):
        helm.grant(Wish(study="s", **wish), "Ada")


def test_answers_are_json_whatever_was_reported() -> None:
    odd = {"a": float("nan"), "b": [float("inf"), -float("inf"), 1e308], "c": "\u202e</script>"}
    assert json.loads(as_json(odd)) == {"a": None, "b": [None, None, 1e308], "c": odd["c"]}


def test_a_note_survives_a_snapshot() -> None:
    from luthier.study.snapshot import decode, encode

    store = MemoryStore()
    study = luthier.open("s", SPACE, minimize="loss", storage=store, scheduler=None)
    study.tell(study.ask(), loss=1.0)
    study.steer.by("Ada").note("a good one", 0)
    again = decode(encode(study.refresh()))
    assert again is not None
    assert again.notes[0] == ev.NoteTaken(
        time=again.notes[0].time, text="a good one", trial=0, who="Ada"
    )


def test_a_long_computation_does_not_keep_the_server_from_ending() -> None:
    program = (
        "import asyncio, time\n"
        "from luthier.app.dashboard.answering import beside\n"
        "async def main():\n"
        "    assert await beside(lambda: 7) == 7\n"
        "    try:\n"
        "        await beside(lambda: 1 / 0)\n"
        "    except ZeroDivisionError:\n"
        "        print('raised')\n"
        "    asyncio.create_task(beside(lambda: time.sleep(300)))\n"
        "    await asyncio.sleep(0.1)\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert (done.stdout, done.stderr) == ("raised\n", "")
