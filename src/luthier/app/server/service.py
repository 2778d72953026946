"""The requests about studies, and the application that they make up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Annotated

import msgspec
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from luthier.app.server import incoming
from luthier.app.server.checkpoint_routes import CheckpointRoutes
from luthier.app.server.door import Door
from luthier.app.server.openapi import LONGEST_WAIT, description
from luthier.app.server.pages import Page, Pages
from luthier.app.server.polls import Polls
from luthier.errors import StorageError
from luthier.study.protocols import PAGE, Conflict, Store
from luthier.version import __version__

_REMEMBERED = 1000

Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True)
class Limits:
    """The most bytes that a request may bring."""

    body: int
    checkpoint: int


class Append(msgspec.Struct, forbid_unknown_fields=True):
    """What is posted to a log; msgspec reads the bodies from base64."""

    bodies: list[bytes]
    expect: Annotated[int, msgspec.Meta(ge=0, le=incoming.LARGEST_NUMBER)] | None = None


class Service:
    """One store, served."""

    def __init__(
        self,
        store: Store,
        token: str,
        checkpoints: Path,
        limits: Limits,
        check: Callable[[bytes], object],
    ) -> None:
        self._store = store
        self._token = token
        self._limits = limits
        self._check = check
        self._pages = Pages(store)
        self._polls = Polls(store)
        self._checkpoints = CheckpointRoutes(checkpoints, limits.checkpoint)
        self._appends: dict[tuple[str, str], tuple[bytes, asyncio.Task[int]]] = {}

    def application(self) -> Starlette:
        """Return the ASGI application; its ``state.service`` is this object."""
        kept = self._checkpoints
        study = "/v1/studies/{name}"
        made = Starlette(
            routes=[
                _route("/v1/health", GET=_health),
                _route("/v1/openapi.json", GET=_openapi),
                _route("/v1/studies", GET=self.names),
                _route(f"{study}/events", GET=self.events, POST=self.append),
                _route(f"{study}/snapshot", GET=self.snapshot, PUT=self.keep_snapshot),
                _route(f"{study}/checkpoints", GET=kept.list_trials),
                _route(f"{study}/checkpoints/{{trial}}", GET=kept.list_steps),
                _route(
                    f"{study}/checkpoints/{{trial}}/{{step}}",
                    GET=kept.get,
                    PUT=kept.put,
                    DELETE=kept.delete,
                ),
            ],
            middleware=[Middleware(Door, self._token)],
            exception_handlers={
                HTTPException: _refused,
                Conflict: _conflict,
                StorageError: _storage_error,
                ClientDisconnect: _gone,
                Exception: _internal_error,
            },
        )
        made.router.redirect_slashes = False
        made.state.service = self
        Door(made, self._token)  # Starlette makes its own at the first request: refuse now
        return made

    def end(self) -> None:
        """Answer the open long polls; from here on none waits."""
        self._polls.end()

    async def names(self, request: Request) -> Response:
        """Answer with the studies' names."""
        return JSONResponse({"names": await run_in_threadpool(self._store.names)})

    async def events(self, request: Request) -> Response:
        """Answer with a page of the log, after waiting for it when that was asked for."""
        study = incoming.study_name(request)
        asked = incoming.query(request, "since", "limit", "wait")
        since = incoming.whole(asked.get("since", "0"), "since", incoming.LARGEST_NUMBER)
        limit = incoming.whole(asked.get("limit", str(PAGE)), "limit", PAGE, 1)
        wait = incoming.seconds(asked.get("wait", "0"), "wait", LONGEST_WAIT)
        until = time.monotonic() + wait
        while True:
            page, body = await run_in_threadpool(self._page, study, since, limit)
            left = until - time.monotonic()
            if page.events or left <= 0 or self._polls.ended:
                return Response(body, media_type="application/json")
            await self._polls.wait(study, since, left)

    def _page(self, study: str, since: int, limit: int) -> tuple[Page, bytes]:
        page = self._pages.read(study, since, limit)
        return page, msgspec.json.encode(page)

    async def append(self, request: Request) -> Response:
        """Append to the log.

        A client that lost the connection cannot know whether its append happened, and asks again
        with the same ``Idempotency-Key``: it gets the answer of the first time, also while that is
        still at work. Another body with a key that was used is refused. (A server that was restarted
        remembers nothing; then the client looks for its events in the log.)
        """
        study = incoming.study_name(request)
        key = incoming.idempotency_key(request)
        body = await incoming.body(request, self._limits.body)
        digest = blake2b(body).digest()
        before = self._appends.get((study, key)) if key else None
        if before is not None and before[0] != digest:
            raise HTTPException(422, "This Idempotency-Key came with another body before.")
        if before is not None:
            appending = before[1]
        else:
            appending = asyncio.create_task(run_in_threadpool(self._append, study, body))
            if key:
                self._remember((study, key), digest, appending)
        last = await asyncio.shield(appending)
        self._polls.wake(study)
        return JSONResponse({"last": last})

    def _append(self, study: str, body: bytes) -> int:
        wanted = _decoded(body)
        for index, event in enumerate(wanted.bodies):
            try:
                self._check(event)
            except (msgspec.MsgspecError, ValueError, RecursionError) as error:
                raise HTTPException(
                    422,
                    f"Body {index} is no event that this server's luthier {__version__} knows "
                    f"({error}). The worker's luthier may be newer: upgrade the server first.",
                ) from error
        return self._store.append(study, wanted.bodies, wanted.expect)

    def _remember(self, key: tuple[str, str], digest: bytes, appending: asyncio.Task[int]) -> None:
        def forget_failure(task: asyncio.Task[int]) -> None:
            # A conflict stays one, for logs only grow; anything else may go well the next time.
            if task.cancelled() or not isinstance(task.exception(), Conflict | None):
                self._appends.pop(key, None)

        self._appends[key] = digest, appending
        appending.add_done_callback(forget_failure)
        while len(self._appends) > _REMEMBERED:
            self._appends.pop(next(iter(self._appends)))

    async def snapshot(self, request: Request) -> Response:
        """Answer with the newest snapshot."""
        study = incoming.study_name(request)
        kept = await run_in_threadpool(self._store.snapshot, study)
        if kept is None:
            raise HTTPException(404, "The study has no snapshot.")
        number, body = kept
        headers = {"Luthier-Number": str(number)}
        return Response(body, headers=headers, media_type="application/octet-stream")

    async def keep_snapshot(self, request: Request) -> Response:
        """Keep a snapshot in place of the one before."""
        study = incoming.study_name(request)
        text = request.headers.get("luthier-number", "")
        number = incoming.whole(text, "Luthier-Number", incoming.LARGEST_NUMBER)
        body = await incoming.body(request, self._limits.body)
        await run_in_threadpool(self._store.keep_snapshot, study, number, body)
        return Response(status_code=204)


def _decoded(body: bytes) -> Append:
    try:
        return msgspec.json.decode(body, type=Append)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise HTTPException(
            422, f'Expected {{"expect": number or null, "bodies": [base64, ...]}}: {error}.'
        ) from error


def _route(path: str, **methods: Endpoint) -> Route:
    """Return one route for all methods of a path, so that 405 names all that there are."""

    async def endpoint(request: Request) -> Response:
        return await methods["GET" if request.method == "HEAD" else request.method](request)

    return Route(path, endpoint, methods=list(methods))


async def _health(request: Request) -> Response:
    return JSONResponse({"luthier": __version__})


async def _openapi(request: Request) -> Response:
    return JSONResponse(description())


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    words = {404: "There is nothing here.", 405: f"This path does not know {request.method}."}
    bare = error.detail in ("Not Found", "Method Not Allowed")  # Starlette's own words
    text = words[error.status_code] if bare else error.detail
    return JSONResponse({"error": text}, error.status_code, error.headers)


def _conflict(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": "The log holds events that the writer had not seen."}, 409)


def _storage_error(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": f"The server's store: {error}"}, 500)


def _gone(request: Request, error: Exception) -> Response:
    return Response(status_code=400)  # nobody is there to read it


def _internal_error(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": "The server failed; its log says where."}, 500)
