"""The application: the page's files, its data, its stream, and what it may ask for."""

from __future__ import annotations

import getpass
import secrets
import threading
from collections.abc import Awaitable, Callable
from functools import lru_cache
from importlib import resources
from typing import Any

import msgspec
from anyio import CapacityLimiter
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from luthier.app.dashboard import curves as curves_
from luthier.app.dashboard.against import against
from luthier.app.dashboard.answering import answered
from luthier.app.dashboard.door import Door
from luthier.app.dashboard.ladder import ladder_page
from luthier.app.dashboard.lessons import LESSONS
from luthier.app.dashboard.live import Live
from luthier.app.dashboard.steering import Helm, Wish
from luthier.app.dashboard.trial_page import trial_page
from luthier.app.dashboard.watched import Watch
from luthier.app.server import incoming
from luthier.errors import LuthierError
from luthier.run.places import place
from luthier.study.history import History
from luthier.study.protocols import Store
from luthier.version import __version__

_FILES = {
    "index.html": "text/html; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "page.css": "text/css; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
_MOST_COMPARED = 50
_MOST_STUDIES = 20
_LARGEST_WISH = 1 << 20
_SLOW = 4  # lessons and chronicles at the same time


class Dashboard:
    """One store, shown; and steered where *helm* is given."""

    def __init__(self, store: Store, helm: Helm | None) -> None:
        self._watch = Watch(store)
        self._helm = helm
        self._live: Live | None = None
        # Threads of their own: what takes long must not take those that pages are answered in.
        self._slow = CapacityLimiter(_SLOW)
        self._asked = threading.Event()
        self.page_key = secrets.token_urlsafe(24)

    def application(self, token: str, hosts: tuple[str, ...]) -> Starlette:
        """Return the ASGI application; its ``state.service`` is this object."""
        made = Starlette(
            routes=[
                Route("/", _file("index.html")),
                *(Route(f"/{name}", _file(name)) for name in _FILES if name != "index.html"),
                Route("/api/session", self.session),
                Route("/api/studies", self.studies),
                Route("/api/study", self.study),
                Route("/api/against", self.against),
                Route("/api/curves", self.curves),
                Route("/api/ladder", self.ladder),
                Route("/api/chronicle", self.chronicle),
                Route("/api/lesson", self.lesson),
                Route("/api/trial", self.trial),
                Route("/api/trial-log", self.trial_log),
                Route("/api/live", self.live),
                Route("/api/steer", self.steer, methods=["POST"]),
            ],
            middleware=[Middleware(Door, token=token, hosts=hosts, page_key=self.page_key)],
            exception_handlers={HTTPException: _refused, LuthierError: _wrong},
        )
        made.router.redirect_slashes = False
        made.state.service = self
        return made

    def warm(self) -> None:
        """Read the newest studies in a thread of its own, until the first page asks for one."""
        threading.Thread(target=self._watch.warm, args=(self._asked,), daemon=True).start()

    def end(self) -> None:
        """End the open streams; from here on none begins."""
        if self._live is not None:
            self._live.end()

    async def session(self, request: Request) -> Response:
        """Answer what this dashboard is, and the key that the page's wishes must carry."""
        return await answered(
            request,
            lambda: {
                "version": __version__,
                "storage": _shown(self._watch.store),
                "steers": self._helm is not None,
                "key": self.page_key if self._helm is not None else "",
            },
        )

    async def studies(self, request: Request) -> Response:
        """Answer with a line for each study, and with what is wrong with those that cannot be read."""

        def answer() -> dict[str, Any]:
            lines: list[dict[str, Any]] = []
            wrong: list[str] = []
            self._asked.set()
            for name in self._watch.store.names():
                try:
                    lines.append(self._watch.line(name).shown)
                except (
                    LuthierError
                ) as error:  # one study of a newer luthier must not hide the others
                    wrong.append(str(error))
            return {"studies": lines, "wrong": wrong}

        return await answered(request, answer)

    async def study(self, request: Request) -> Response:
        """Answer with a study's summary and its trials, or those that changed."""
        watched, since = self._watched(request), request.query_params.get("since", "")
        return await answered(request, lambda: watched().columns(since))

    async def against(self, request: Request) -> Response:
        """Answer with whole studies, to be seen side by side, and with what is wrong with the others."""
        names = list(dict.fromkeys(request.query_params.getlist("study")))[:_MOST_STUDIES]
        self._asked.set()

        def answer() -> dict[str, Any]:
            found: list[dict[str, Any]] = []
            wrong: list[str] = []
            for name in names:
                try:
                    study = self._watch.study(name)
                    found.append(study.read(lambda history, n=name: against(n, history)))
                except LuthierError as error:
                    wrong.append(str(error))
            return {"studies": found, "wrong": wrong}

        return await answered(request, answer)

    async def curves(self, request: Request) -> Response:
        """Answer with learning curves: those asked for, or the most telling ones."""
        watched = self._watched(request)
        metrics = request.query_params.getlist("metric")[:20]
        asked = _numbers(request, "trials")

        def answer(history: History) -> dict[str, Any]:
            names = metrics or [history.objective.metric]
            return curves_.curves(history, names, _known(history, asked))

        return await answered(request, lambda: watched().read(answer))

    async def ladder(self, request: Request) -> Response:
        """Answer with the rungs."""
        watched = self._watched(request)
        return await answered(request, lambda: watched().read(ladder_page))

    async def chronicle(self, request: Request) -> Response:
        """Answer with the timeline and the feed."""
        watched = self._watched(request)
        return await answered(request, lambda: watched().chronicle(), self._slow)

    async def lesson(self, request: Request) -> Response:
        """Answer with what the study taught of one thing."""
        watched = self._watched(request)
        what, name = request.query_params.get("what", ""), request.query_params.get("name", "")
        if what not in LESSONS:
            raise HTTPException(422, f"what must be one of {', '.join(LESSONS)}.")
        return await answered(request, lambda: watched().lesson(what, name), self._slow)

    async def trial(self, request: Request) -> Response:
        """Answer with everything about one or several trials."""
        watched, asked = self._watched(request), _numbers(request, "trials") or []

        def answer(history: History) -> dict[str, Any]:
            numbers = _known(history, asked) or []
            return {
                "trials": [trial_page(history, n) for n in numbers[:_MOST_COMPARED]],
                "missing": [n for n in asked if n not in numbers],
                "hidden": len(numbers[_MOST_COMPARED:]),
            }

        return await answered(request, lambda: watched().read(answer))

    async def trial_log(self, request: Request) -> Response:
        """Answer with what the log says of one trial."""
        watched, asked = self._watched(request), _numbers(request, "trial") or [-1]
        return await answered(request, lambda: watched().trial_log(asked[0]), self._slow)

    async def live(self, request: Request) -> Response:
        """Answer with a stream that says when there is something new."""
        if self._live is None:
            self._live = Live(self._watch)
        name = request.query_params.get("study")
        if name is not None:
            await run_in_threadpool(self._watch.study, name)
        stream = self._live.studies() if name is None else self._live.study(name)
        return StreamingResponse(stream, media_type="text/event-stream")

    async def steer(self, request: Request) -> Response:
        """Do what the page asks for; the door has checked that it is our page."""
        if self._helm is None:
            raise HTTPException(403, "This dashboard only looks on (--read-only).")
        body = b"".join([chunk async for chunk in incoming.chunks(request, _LARGEST_WISH)])
        try:
            wish = msgspec.json.decode(body, type=Wish)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise HTTPException(422, f"This is no request that a page makes: {error}") from error
        helm, who = self._helm, _who(request, wish.who)
        return await answered(request, lambda: {"done": helm.grant(wish, who)})

    def _watched(self, request: Request) -> Callable[[], Any]:
        name = request.query_params.get("study", "")
        self._asked.set()
        return lambda: self._watch.study(name)


def _who(request: Request, given: str) -> str:
    """Return who asks: the name they gave, else this machine's user or the address they come from."""
    client = request.client.host if request.client else "somewhere"
    if name := given.strip():
        return f"{name} (dashboard, {client})"
    if client in ("127.0.0.1", "::1"):
        try:
            return f"{getpass.getuser()} (dashboard)"
        except (KeyError, OSError):
            return "dashboard"
    return f"dashboard, {client}"


def _numbers(request: Request, what: str) -> list[int] | None:
    text = request.query_params.get(what)
    if not text:
        return None
    try:
        return [int(part) for part in text.split(",")][:1000]
    except ValueError:
        raise HTTPException(422, f"{what} must be whole numbers with commas between.") from None


def _known(history: History, numbers: list[int] | None) -> list[int] | None:
    if numbers is None:
        return None
    return [n for n in dict.fromkeys(numbers) if 0 <= n < len(history.trials)]


def _shown(store: Store) -> str:
    """Return where the studies are, without passwords or tokens."""
    try:
        return place(store)
    except ValueError:  # an address of several hosts
        return store.address.partition(":")[0]


def _file(name: str) -> Callable[[Request], Awaitable[Response]]:
    async def send(request: Request) -> Response:
        return Response(asset(name), media_type=_FILES[name], headers={"cache-control": "no-cache"})

    return send


@lru_cache
def asset(name: str) -> bytes:
    """Return one of the page's files."""
    return (resources.files("luthier.app.dashboard") / "assets" / name).read_bytes()


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code)


async def _wrong(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, 422)
