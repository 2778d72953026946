"""MLflow's REST interface (https://mlflow.org/docs/latest/rest-api.html), which is stable and small."""

from __future__ import annotations

import base64
import json
import os
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from luthier.errors import StorageError, StudyError

_SECONDS = 10.0  # that an answer may take


class Server:
    """A server, and who we are there.

    Args:
        uri: its address, with user and password if it wants them.

    Raises:
        StudyError: *uri* is no such address.
    """

    def __init__(self, uri: str) -> None:
        parts = urlsplit(uri)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise StudyError(
                f"MLflow's address is {uri!r}: expected that of a server, such as "
                "'http://127.0.0.1:5000'. For runs in a file start one: "
                "mlflow server --backend-store-uri sqlite:///mlflow.db"
            )
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        port = f":{parts.port}" if parts.port else ""
        self.place = f"{parts.scheme}://{host}{port}{parts.path.rstrip('/')}"
        self._who = _credentials(parts.username, parts.password)

    def call(self, path: str, *, get: bool = False, missing: Any = None, **body: Any) -> Any:
        """Return the answer to one call; *missing* when the server says that there is no such thing.

        Raises:
            StorageError: the server is away, or refuses. Away, it may have done all the same what it was
                asked to, and only the answer was lost.
        """
        url = f"{self.place}/api/2.0/mlflow/{path}"
        given = {key: value for key, value in body.items() if value not in (None, "")}
        data = None if get else json.dumps(given).encode()
        if get:
            url += "?" + "&".join(f"{key}={quote(str(value))}" for key, value in body.items())
        headers = {"Content-Type": "application/json", **self._who}
        request = urllib.request.Request(url, data, headers)
        try:
            with urllib.request.urlopen(request, timeout=_SECONDS) as answer:
                return json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            text = error.read().decode("utf-8", "replace")[:500]
            if error.code == 404 and missing is not None and "RESOURCE_DOES_NOT_EXIST" in text:
                return missing
            raise StorageError(f"MLflow refuses {path} ({error.code}): {text}") from error
        except (OSError, HTTPException, ValueError) as error:
            raise StorageError(f"no MLflow at {self.place}: {error}") from error


def _credentials(user: str | None, password: str | None) -> dict[str, str]:
    """Return who we are: what the address says, else the environment; its token last, as MLflow has it."""
    user = unquote(user or "") or os.environ.get("MLFLOW_TRACKING_USERNAME", "")
    password = unquote(password or "") or os.environ.get("MLFLOW_TRACKING_PASSWORD", "")
    if user:
        both = base64.b64encode(f"{user}:{password}".encode()).decode()
        return {"Authorization": f"Basic {both}"}
    token = os.environ.get("MLFLOW_TRACKING_TOKEN")
    return {"Authorization": f"Bearer {token}"} if token else {}


__all__ = ["Server"]
