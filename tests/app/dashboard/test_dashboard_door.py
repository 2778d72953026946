"""The door, asked without a network: cookies, tokens, mounts, and who may ask for data."""

from __future__ import annotations

import asyncio
import urllib.request
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp, Message
from tests.app.dashboard.conftest import Served

import luthier
from luthier.app.dashboard import application
from luthier.app.dashboard.routes import _shown
from luthier.space import Float, Space
from luthier.storage import MemoryStore, SQLiteStore


class Answer:
    def __init__(self, messages: list[Message]) -> None:
        self.status: int = messages[0]["status"]
        headers = messages[0]["headers"]
        self.headers = {name.decode().lower(): value.decode() for name, value in headers}
        self.text = b"".join(m.get("body", b"") for m in messages[1:]).decode()

    @property
    def cookie(self) -> str:
        return self.headers["set-cookie"].partition(";")[0]


def asked(app: ASGIApp, path: str, root: str = "", **headers: str) -> Answer:
    """Return what *app* answers to a GET of *path*, query included."""
    path, _, query = path.partition("?")
    told = {"host": "127.0.0.1"} | {k.replace("_", "-"): v for k, v in headers.items()}
    scope: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "path": path,
        "root_path": root,
        "query_string": query.encode(),
        "headers": [(k.lower().encode(), v.encode()) for k, v in told.items()],
    }
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))  # type: ignore[arg-type]
    return Answer(sent)


def test_two_dashboards_of_a_host_do_not_log_each_other_out() -> None:
    """Browsers send a host's cookies to all of its ports."""
    store = MemoryStore()
    first, second = (application(store, token=token) for token in ("secret-1", "secret-2"))
    jar = "; ".join(
        asked(app, f"/?token={token}").cookie
        for app, token in ((first, "secret-1"), (second, "secret-2"))
    )
    assert "secret" not in jar, "the token itself is no part of it"
    for app in (first, second):
        assert asked(app, "/api/studies", cookie=jar).status == 200
    assert asked(application(store, token="secret-3"), "/api/studies", cookie=jar).status == 401
    again = application(store, token="secret-1")
    assert asked(again, "/api/studies", cookie=jar).status == 200, "also when it is started again"


@pytest.mark.parametrize(
    "foreign",
    ['prefs={"theme": "dark", "n": [1, 2]}', "a@b=1", "path/to=x", "nothing", "=", "a=b=c", 'q="'],
)
def test_cookies_of_other_programs_lock_nobody_out(foreign: str) -> None:
    app = application(MemoryStore(), token="a-secret")
    mine = asked(app, "/?token=a-secret").cookie
    for cookies in (f"{foreign}; {mine}", f"{mine}; {foreign}"):
        assert asked(app, "/api/studies", cookie=cookies).status == 200
    assert asked(app, "/api/studies", cookie=foreign).status == 401


def test_a_mounted_dashboard_sends_who_has_the_token_to_itself() -> None:
    inner = application(MemoryStore(), token="a-secret")
    outer = Starlette(routes=[Mount("/tools/luthier", app=inner)])
    answer = asked(outer, "/tools/luthier/?token=a-secret&x=1")
    assert (answer.status, answer.headers["location"]) == (303, "/tools/luthier/?x=1")
    assert asked(outer, "/tools/luthier/api/studies", cookie=answer.cookie).status == 200
    behind = asked(inner, "/?token=a-secret", root="/proxied")  # a server that leaves the mount out
    assert behind.headers["location"] == "/proxied/"


def test_another_site_gets_no_data_and_may_link_to_the_page() -> None:
    inner = application(MemoryStore())
    outer = Starlette(routes=[Mount("/tools", app=inner)])
    for app, at in ((inner, ""), (outer, "/tools")):
        for path in ("/api/studies", "/api/lesson?study=s&what=importance"):
            assert asked(app, at + path, sec_fetch_site="cross-site").status == 403
        for site in ("same-origin", "none"):
            assert asked(app, f"{at}/api/studies", sec_fetch_site=site).status == 200
        assert asked(app, f"{at}/", sec_fetch_site="cross-site").status == 200


@pytest.mark.processes
def test_the_printed_address_works_whatever_the_token_is(tmp_path: Path) -> None:
    path = tmp_path / "studies.db"
    luthier.open("s", Space(x=Float(0, 1)), minimize="loss", storage=path).close()
    served = Served(path, "--token", "a+b&c#d%20e/f?g")
    try:
        address = served.said.rpartition(" at ")[2].strip()
        jar = urllib.request.HTTPCookieProcessor(CookieJar())
        with urllib.request.build_opener(jar).open(address, timeout=20) as answer:
            assert answer.status == 200
            assert answer.url == served.url, "the token is in the address no more"
    finally:
        served.stop()


class Elsewhere(MemoryStore):
    """A store with the address of another one."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self._address = address

    @property
    def address(self) -> str:
        return self._address


def test_the_footer_shows_no_password(tmp_path: Path) -> None:
    for address in (
        "postgresql://ada:secret@host:5433/db?sslmode=require",
        "postgresql://host/db?user=ada&password=secret",
        "postgresql://ada:secret@one:1,two:2/db?password=secret",
        "http://secret@host:8000",
    ):
        shown = _shown(Elsewhere(address))
        assert "secret" not in shown
        assert shown.startswith(address.partition(":")[0])
    assert _shown(Elsewhere("postgresql://a:b@host:5433/db?x=y")) == "postgresql://host:5433/db"
    assert _shown(SQLiteStore(tmp_path / "studies.db")) == str(tmp_path / "studies.db")
