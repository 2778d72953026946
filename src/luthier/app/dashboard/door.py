"""What every request passes first: who may come in, and what browsers may do with the answer.

A page on any other site can send requests to a server on this machine, and with a name that resolves
to 127.0.0.1 even read the answers (DNS rebinding). So the Host header must name this server, requests
that change something must come from its own page (Origin, and a token that only that page can read),
and beyond the local machine nobody gets anything without the secret that the start-up message shows.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from luthier.errors import LuthierError

CROSS_SITE = "x-luthier-page"  # the header that a page's requests for changes carry
_API = "/api/"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}


def is_local(host: str) -> bool:
    """Return whether *host* names this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def made_token(host: str, token: str | None) -> str:
    """Return the secret that the dashboard asks for: *token*, a new one beyond this machine, or none.

    Raises:
        LuthierError: a token that cannot be part of a URL.
    """
    if token is None:
        return "" if is_local(host) else secrets.token_urlsafe(24)
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise LuthierError(
            f"The dashboard's token must be printable ASCII without spaces, got {token!r}."
        )
    return token


class Door:
    """Answers 403 to whom the page was not made for, and hands all others on.

    Args:
        app: what lies behind.
        token: the secret; "" lets everybody in who can reach the server.
        hosts: names that the Host header may have; none: any, which only a token makes safe.
        page_key: what the page's own requests for changes carry.
    """

    def __init__(self, app: ASGIApp, *, token: str, hosts: tuple[str, ...], page_key: str) -> None:
        self._app = app
        self._token = token
        self._hosts = hosts
        self._page_key = page_key
        # Browsers send a cookie to every port of a host. So each token has one of its own, that does not
        # tell the token.
        self._cookie = f"luthier-{_digest(token, b'name')[:12]}"
        self._pass = _digest(token, b"pass")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer or hand on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                headers.setdefault("cache-control", "no-store")
            await send(message)

        answer = self._refusal(scope)
        await (answer or self._app)(scope, receive, guarded)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        host = _host_of(headers.get("host", ""))
        if self._hosts and host not in self._hosts:
            return PlainTextResponse("This server does not go by that name.", 403)
        if scope["method"] not in ("GET", "HEAD"):
            origin = headers.get("origin", "")
            if origin and origin.partition("://")[2] != headers.get("host", ""):
                return PlainTextResponse(
                    "Requests for changes must come from the dashboard's page.", 403
                )
            if not _same(headers.get(CROSS_SITE, ""), self._page_key):
                return PlainTextResponse(
                    "The page's key is missing or old: load the page again.", 403
                )
        elif headers.get("sec-fetch-site") == "cross-site" and _within(scope).startswith(_API):
            return PlainTextResponse("Requests for data must come from the dashboard's page.", 403)
        return self._stranger(scope, headers) if self._token else None

    def _stranger(self, scope: Scope, headers: Headers) -> Response | None:
        """Return the refusal of whom the token does not open to; sets the cookie when it is in the URL."""
        given = dict(parse_qsl(scope["query_string"].decode("latin-1")))
        if _same(given.pop("token", ""), self._token):
            rest = f"?{urlencode(given)}" if given else ""
            answer = RedirectResponse(f"{_root(scope)}{_within(scope)}{rest}", 303)
            # Not strict: whoever follows a link from a chat or a mail would come without it. What changes
            # something, and data for other sites, is refused above whatever the cookie.
            answer.set_cookie(self._cookie, self._pass, httponly=True, samesite="lax", path="/")
            return answer
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        # Forgiving, as browsers are: other programs on this host set cookies of any form.
        known = cookie_parser(headers.get("cookie", "")).get(self._cookie, "")
        if _same(known, self._pass) or (scheme.lower() == "bearer" and _same(bearer, self._token)):
            return None
        return PlainTextResponse(
            "This dashboard asks for a token: open the address that luthier dashboard printed, which "
            "ends in ?token=...",
            401,
        )


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode(), wanted.encode())


def _digest(token: str, purpose: bytes) -> str:
    return hashlib.blake2b(token.encode(), digest_size=24, person=purpose).hexdigest()


def _root(scope: Scope) -> str:
    """Return where the dashboard is mounted, "" at the top."""
    return str(scope.get("root_path", ""))


def _within(scope: Scope) -> str:
    """Return the path below the mount. ASGI has the mount in the whole path; not all servers heed that."""
    return str(scope["path"]).removeprefix(_root(scope))


def _host_of(header: str) -> str:
    """Return the Host header's name without its port: "[::1]:8080" is ::1."""
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.partition(":")[0].lower()
