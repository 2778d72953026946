"""What a request says: names, numbers and bodies, each checked before it is used."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from urllib.parse import unquote

from starlette.exceptions import HTTPException
from starlette.requests import Request

LARGEST_NUMBER = 2**53 - 1  # exact in every JSON reader, and in every store
LARGEST_STEP = 10**9 - 1
LONGEST_NAME = 500
KEY_PATTERN = "^[!-~]{0,100}$"

_WHOLE = re.compile(r"[0-9]{1,16}")
_DECIMAL = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,20})?([eE][-+]?[0-9]{1,3})?")


def study_name(request: Request) -> str:
    """Return the study's name; the path is still percent-encoded (see ``Door``).

    Raises:
        HTTPException: 422 for a name that is no UTF-8 or too long.
    """
    try:
        name = unquote(request.path_params["name"], errors="strict")
    except UnicodeDecodeError:
        raise HTTPException(422, "The study's name is not percent-encoded UTF-8.") from None
    if len(name) > LONGEST_NAME:
        raise HTTPException(
            422,
            f"The study's name has {len(name)} characters, expected at most {LONGEST_NAME}.",
        )
    return name


def query(request: Request, *known: str) -> dict[str, str]:
    """Return the parameters after the question mark.

    Raises:
        HTTPException: 422 for one that is not *known* or comes twice.
    """
    pairs = request.query_params.multi_items()
    given = dict(pairs)
    if len(given) != len(pairs) or not given.keys() <= set(known):
        raise HTTPException(422, f"Expected no parameters but {', '.join(known)}, each once.")
    return given


def idempotency_key(request: Request) -> str:
    """Return the key by which an append is known when it is sent again; "" without.

    Raises:
        HTTPException: 422 for a key that is too long or no plain ASCII.
    """
    key = request.headers.get("idempotency-key", "")
    if not re.fullmatch(KEY_PATTERN, key):
        raise HTTPException(422, f"Idempotency-Key must match {KEY_PATTERN}.")
    return key


def step_number(request: Request, what: str) -> int:
    """Return the path's trial or step.

    Raises:
        HTTPException: 422 for all but a whole number below 10**9.
    """
    return whole(unquote(request.path_params[what]), what, LARGEST_STEP)


def whole(text: str, what: str, largest: int, smallest: int = 0) -> int:
    """Return *text* as a number from *smallest* to *largest*.

    Raises:
        HTTPException: 422 for anything else.
    """
    if not _WHOLE.fullmatch(text) or not smallest <= int(text) <= largest:
        raise HTTPException(422, f"{what} must be a whole number from {smallest} to {largest}.")
    return int(text)


def seconds(text: str, what: str, largest: float) -> float:
    """Return *text* as a number of seconds from 0 to *largest*.

    Raises:
        HTTPException: 422 for anything else.
    """
    if not _DECIMAL.fullmatch(text) or not 0 <= float(text) <= largest:
        raise HTTPException(422, f"{what} must be a number of seconds from 0 to {largest:g}.")
    return float(text)


async def body(request: Request, limit: int) -> bytes:
    """Return the request's body, which is read no further than *limit* bytes.

    Raises:
        HTTPException: 413 for a longer one.
    """
    return b"".join([chunk async for chunk in chunks(request, limit)])


async def chunks(request: Request, limit: int, advice: str = "") -> AsyncGenerator[bytes]:
    """Yield the request's body piece by piece, up to *limit* bytes.

    Raises:
        HTTPException: 413 for a longer one, at once when the request says its length; with *advice*.
    """
    said = f"The body is too long, expected at most {limit} bytes. {advice}".rstrip()
    too_long = HTTPException(413, said)
    announced = request.headers.get("content-length", "0")
    if not announced.isdecimal() or int(announced) > limit:
        raise too_long
    received = 0
    async for chunk in request.stream():
        received += len(chunk)
        if received > limit:
            raise too_long
        yield chunk
