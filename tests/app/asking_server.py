"""Requests to the server of the HTTP store, for tests, and its application, asked without a network."""

from __future__ import annotations

import asyncio
import json
from urllib.parse import unquote

import msgspec
from serving_store import TOKEN

from luthier.study import events as ev

EVENT = ev.encode(ev.TrialStopped(time=1.0, trial=0, step=1, reason="why"))
AUTHORIZED = {"Authorization": f"Bearer {TOKEN}"}


class Answer:
    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)


class Asked:
    """An application, asked without a network; counts the pieces of body that it took."""

    def __init__(self, app) -> None:
        self.app = app
        self.taken = 0

    def __call__(self, *arguments, **options) -> Answer:
        return asyncio.run(self.ask(*arguments, **options))

    async def ask(
        self, method, path, body=b"", headers=AUTHORIZED, *, raw_path=True, breaks=False
    ) -> Answer:
        """With *breaks* the connection breaks after the body, before it was whole."""
        pieces = [body] if isinstance(body, bytes) else list(body)
        path, _, query = path.partition("?")
        scope = {
            "type": "http",
            "method": method,
            "path": unquote(path),  # as uvicorn hands it on
            "query_string": query.encode(),
            "headers": [(k.lower().encode(), v.encode("latin-1")) for k, v in headers.items()],
        }
        if raw_path:
            scope["raw_path"] = path.encode()
        sent = []
        self.taken = 0

        async def receive():
            if not pieces and breaks:
                return {"type": "http.disconnect"}
            if not pieces:
                await asyncio.Event().wait()
            self.taken += 1
            piece = pieces.pop(0)
            return {"type": "http.request", "body": piece, "more_body": breaks or bool(pieces)}

        async def send(message):
            sent.append(message)

        await self.app(scope, receive, send)
        start = sent[0]
        headers = {k.decode(): v.decode() for k, v in start["headers"]}
        return Answer(start["status"], headers, b"".join(m.get("body", b"") for m in sent[1:]))


def appended(*bodies: bytes, expect: int | None = None) -> bytes:
    return msgspec.json.encode({"expect": expect, "bodies": bodies})
