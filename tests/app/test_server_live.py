"""The server of the HTTP store as a real process: its polls and its end; and its own description of itself."""

from __future__ import annotations

import http.client
import re
import signal
import tempfile
import threading
import time
import uuid
from pathlib import Path
from urllib.parse import quote

import pytest
import schemathesis
from asking_server import AUTHORIZED, EVENT, Answer, appended
from hypothesis import HealthCheck, settings
from serving_store import TOKEN, Served

from luthier.app.server import application
from luthier.app.server.incoming import KEY_PATTERN
from luthier.storage import SQLiteStore

# -- a real server ---------------------------------------------------------------------------------


@pytest.fixture
def server(tmp_path):
    server = Served(tmp_path)
    server.start()
    yield server
    if server.process.poll() is None:
        server.stop(signal.SIGKILL)


def real(server: Served, method: str, path: str, body: bytes | None = None) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request(method, path, body, AUTHORIZED)
    answer = connection.getresponse()
    read = Answer(answer.status, dict(answer.headers), answer.read())
    connection.close()
    return read


@pytest.mark.processes
@pytest.mark.parametrize("name", ["a/b", "../x", "ü", "a%2Fb", "events", "..", "a?b#c"])
def test_names_survive_a_real_server(server, name):
    path = f"/v1/studies/{quote(name, safe='')}/events"
    assert real(server, "POST", path, appended(EVENT)).json == {"last": 1}
    assert SQLiteStore(server.folder / "luthier.db").names() == [name]


@pytest.mark.processes
@pytest.mark.parametrize("beside", [False, True])
def test_a_long_poll_wakes(server, beside):
    """By an append over HTTP, and by one of a process beside the server."""
    poll = {}

    def wait():
        started = time.monotonic()
        poll["answer"] = real(server, "GET", "/v1/studies/s/events?wait=20").json["events"]
        poll["seconds"] = time.monotonic() - started

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.5)
    if beside:
        SQLiteStore(server.folder / "luthier.db").append("s", [EVENT])
    else:
        real(server, "POST", "/v1/studies/s/events", appended(EVENT))
    thread.join()
    assert [number for number, _ in poll["answer"]] == [1]
    assert poll["seconds"] < 5


@pytest.mark.processes
def test_a_long_poll_ends_when_nothing_comes(server):
    started = time.monotonic()
    assert real(server, "GET", "/v1/studies/s/events?wait=0.4").json["events"] == []
    assert 0.35 < time.monotonic() - started < 5


@pytest.mark.processes
def test_many_long_polls_leave_room_for_appends(server):
    polls = [
        threading.Thread(target=real, args=(server, "GET", f"/v1/studies/s{i % 90}/events?wait=3"))
        for i in range(120)
    ]
    for poll in polls:
        poll.start()
    time.sleep(0.5)
    started = time.monotonic()
    real(server, "POST", "/v1/studies/other/events", appended(EVENT))
    assert time.monotonic() - started < 2
    for poll in polls:
        poll.join()


@pytest.mark.processes
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_at_once_during_a_long_poll(server, how):
    answers = []
    polls = [
        threading.Thread(
            target=lambda: answers.append(real(server, "GET", "/v1/studies/s/events?wait=30"))
        )
        for _ in range(3)
    ]
    for poll in polls:
        poll.start()
    time.sleep(0.5)
    started = time.monotonic()
    assert server.stop(how) == 0
    assert time.monotonic() - started < 3
    for poll in polls:
        poll.join()
    assert [answer.json for answer in answers] == [{"events": [], "more": False}] * 3
    assert (server.folder / "server.log").read_text() == "stopped in good order\n"


# -- its own description ---------------------------------------------------------------------------


_folder = tempfile.TemporaryDirectory()  # Schemathesis wants the description at import
_app = application(
    SQLiteStore(Path(_folder.name, "luthier.db")),
    TOKEN,
    Path(_folder.name, "checkpoints"),
    max_body=100_000,
    max_checkpoint=100_000,
    check=bytes,  # what is an event, no OpenAPI schema can say
)
_app.state.service.end()  # no long poll waits
schema = schemathesis.openapi.from_asgi("/v1/openapi.json", _app)
# Every call below brings the token; a made-up one would only be written over, and count as accepted.
schema.config.generation.with_security_parameters = False


@schema.hook
def map_body(context, body):
    """To JSON Schema 30.0 is an integer; no client of ours writes one so."""
    if isinstance(body, dict) and isinstance(expect := body.get("expect"), float):
        body["expect"] = int(expect) if expect.is_integer() else expect
    return body


@schema.parametrize()
@settings(
    max_examples=60,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
def test_it_does_what_its_description_says(case):
    """Schemathesis sends what is allowed and what is not, and checks every answer."""
    if re.fullmatch(KEY_PATTERN, (case.headers or {}).get("Idempotency-Key", "")):
        case.headers["Idempotency-Key"] = uuid.uuid4().hex  # one of an earlier case is refused
    case.validate_response(case.call(headers=AUTHORIZED))
