"""What every request passes first: the token, and the path as it was sent."""

from __future__ import annotations

import hmac
from urllib.parse import quote

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from luthier.errors import LuthierError

OPEN = ("/v1/health", "/v1/openapi.json")


class Door:
    """Lets requests with the token in, and anybody to the pages in ``OPEN``.

    Servers decode the path before they hand it on, so that the study "a/b" would look like two parts
    of it. Inside, ``scope["path"]`` is still percent-encoded: routes match that, and ``study_name``
    decodes its part of it.

    Raises:
        LuthierError: the token is empty or no plain ASCII.
    """

    def __init__(self, app: ASGIApp, token: str) -> None:
        if not token or not token.isascii() or not token.isprintable() or " " in token:
            raise LuthierError(
                "The server needs a token of printable ASCII characters without spaces, such as "
                "secrets.token_urlsafe() makes."
            )
        self._app = app
        self._token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 401 or hand the request on."""
        if scope["type"] == "http":
            raw = scope.get("raw_path") or quote(scope["path"]).encode()
            path = raw.partition(b"?")[0].decode("latin-1")
            inside = path.removeprefix(scope.get("root_path", ""))
            if inside not in OPEN and not self._knows(Headers(scope=scope)):
                refusal = JSONResponse(
                    {"error": "The token is missing or wrong: send Authorization: Bearer TOKEN."},
                    401,
                    {"WWW-Authenticate": "Bearer"},
                )
                await refusal(scope, receive, send)
                return
            scope = {**scope, "path": path}
        await self._app(scope, receive, send)

    def _knows(self, headers: Headers) -> bool:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        given = token.strip().encode("latin-1")  # Starlette reads headers as Latin-1
        return scheme.lower() == "bearer" and hmac.compare_digest(given, self._token)
