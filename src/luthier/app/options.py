"""Options that several commands have, and what is said of them."""

from __future__ import annotations

import ipaddress
import socket

import click

storage = click.option(
    "--storage",
    envvar="LUTHIER_STORAGE",
    show_envvar=True,
    metavar="URL",
    help="The studies' file or URL; by default luthier.db in the working directory.",
)

host = click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")


def name_of(host: str) -> str:
    """Return what other machines call a server on *host*: this machine's name where it listens everywhere."""
    try:
        everywhere = ipaddress.ip_address(host).is_unspecified
    except ValueError:  # a name
        everywhere = False
    return socket.gethostname() if everywhere else host
