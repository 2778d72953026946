"""``luthier dashboard``: the page of a storage's studies."""

from __future__ import annotations

import webbrowser
from urllib.parse import quote

import click

from luthier.app import options
from luthier.errors import LuthierError


@click.command()
@click.argument("url", required=False)
@options.storage
@options.host
@click.option("--port", type=click.IntRange(1, 65535), default=8080, show_default=True)
@click.option(
    "--token",
    envvar="LUTHIER_DASHBOARD_TOKEN",
    show_envvar=True,
    help="What browsers must bring; beyond this machine a random one by default.",
)
@click.option("--read-only", is_flag=True, help="Only look on: no stopping, pruning or notes.")
@click.option("--open", "opens", is_flag=True, help="Open it in the browser.")
def dashboard(
    url: str | None,
    storage: str | None,
    host: str,
    port: int,
    token: str | None,
    read_only: bool,
    opens: bool,
) -> None:
    """Show the studies of URL (a file, or what --storage takes) in the browser while they run."""
    from luthier.app.dashboard import application, serve
    from luthier.app.dashboard.door import is_local, made_token
    from luthier.app.stores import store_to_read
    from luthier.storage import open_store

    if url is not None and storage is not None and url != storage:
        raise LuthierError(f"The storage was given twice, as {url!r} and {storage!r}: give one.")
    where = url or storage
    store = store_to_read(where)
    writable = None if read_only else lambda: open_store(where)
    secret = made_token(host, token)
    local = is_local(host)
    hosts = ("127.0.0.1", "localhost", "::1", host) if local else ()
    made = application(store, writable=writable, token=secret, hosts=hosts)
    named = options.name_of(host)
    shown = f"[{named}]" if ":" in named else named
    address = f"http://{shown}:{port}/" + (f"?token={quote(secret, safe='')}" if secret else "")

    def announce() -> None:
        click.echo(f"luthier: {'looking on' if read_only else 'dashboard'} at {address}", err=True)
        if not local:
            through = f"ssh -L {port}:localhost:{port} HOST"
            click.echo(f"luthier: it is not encrypted: prefer {through}", err=True)
        if opens:
            webbrowser.open(address)

    serve(made, host, port, announce)
