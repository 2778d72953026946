"""Addresses of stores as people may read them: without what is secret in them."""

from __future__ import annotations

import re

_SECRETS = re.compile(r"(?i)((?:password|token|secret|key)=)[^&#;\s]*")


def without_secrets(address: str) -> str:
    """Return *address* with ``***`` in place of user, password and token.

    It may be one that nobody can open, such as one whose password has a slash in it: all up to the last ``@``
    is taken for secret.
    """
    scheme, mark, rest = address.partition("://")
    if not mark:
        scheme, rest = "", address
    if "@" in rest:
        rest = "***@" + rest.rpartition("@")[2]
    return scheme + mark + _SECRETS.sub(r"\1***", rest)


__all__ = ["without_secrets"]
