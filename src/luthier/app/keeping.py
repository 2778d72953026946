"""Commands for stores: serve, check, compact, copy; and replay, which checks a log."""

from __future__ import annotations

import secrets
import sys
from typing import Any

import click

from luthier.app import options
from luthier.app.completing import study_argument
from luthier.errors import StorageError, nearest


@click.group()
def storage() -> None:
    """Check, compact or copy a store."""


@storage.command()
@options.storage
def check(storage: str | None) -> None:
    """Read every event of every study, and say what is wrong."""
    from luthier.app.stores import store_to_read
    from luthier.study.history import fold
    from luthier.study.log import read_log

    store: Any = store_to_read(storage)
    wrong: list[str] = store.check() if hasattr(store, "check") else []
    for name in store.names():
        try:
            history = fold(read_log(store, name))
        except StorageError as error:
            wrong.append(f"study {name!r}: {error}")
            continue
        click.echo(
            f"{name}: {history.cursor} events, {len(history.trials)} trials, "
            f"{history.late_reports} late reports"
        )
    if wrong:
        raise StorageError("; ".join(wrong))
    click.echo("sound")


@storage.command()
@options.storage
def compact(storage: str | None) -> None:
    """Keep a snapshot of every study, so that it opens at once, and give free space back."""
    from luthier.app.stores import store_to_steer
    from luthier.storage import SQLiteStore
    from luthier.study.history import fold
    from luthier.study.log import read_log
    from luthier.study.snapshot import encode

    store: Any = store_to_steer(storage)
    before = store.path.stat().st_size if isinstance(store, SQLiteStore) else 0
    for name in store.names():
        history = fold(read_log(store, name))
        store.keep_snapshot(name, history.cursor, encode(history))
    if hasattr(store, "compact"):
        store.compact()
    after = store.path.stat().st_size if isinstance(store, SQLiteStore) else 0
    click.echo(f"compacted: {before:,} -> {after:,} bytes" if before else "compacted")


@storage.command()
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@click.option("--study", "only", help="Copy this study alone.")
def copy(source: str, target: str, only: str | None) -> None:
    """Copy studies from one store to another, of any kinds; a copy that was begun is gone on with."""
    from luthier.app.stores import store_to_make, store_to_read
    from luthier.study.log import copy_log

    reader = store_to_read(source)
    if only is not None and only not in (known := reader.names()):
        raise StorageError(f"There is no study {only!r} in {source}.{nearest(only, known)}")
    writer = store_to_make(target)
    names = [only] if only is not None else reader.names()
    for name in names:
        click.echo(f"{name}: {copy_log(reader, writer, name)} events copied")
    click.echo("Checkpoints stay where they are: copy their folder too.", err=True)


@click.command()
@options.host
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=8765,
    show_default=True,
    help="Port to listen on.",
)
@click.option("--token", envvar="LUTHIER_TOKEN", show_envvar=True, help="By default a random one.")
@click.option(
    "--max-checkpoint",
    metavar="SIZE",
    default="16GB",
    show_default=True,
    help="The largest checkpoint that is taken from workers.",
)
@options.storage
def serve(
    host: str, port: int, token: str | None, max_checkpoint: str, storage: str | None
) -> None:
    """Put a store on the network, for workers that share no disk and no database with this machine."""
    from luthier.app.server import serve as run
    from luthier.app.sizes import bytes_of
    from luthier.app.stores import store_to_make
    from luthier.run.places import working_folder
    from luthier.storage.http_connection import Server

    largest = bytes_of(max_checkpoint)
    store = store_to_make(storage)
    token = token or secrets.token_urlsafe(24)
    address = Server("http", options.name_of(host), port, "", token).address
    run(
        store,
        host,
        port,
        token,
        working_folder(store) / "served",
        ready=lambda: click.echo(f"luthier: workers connect with {address}", err=True),
        max_checkpoint=largest,
    )


@click.command()
@study_argument()
@options.storage
def replay(study: str, storage: str | None) -> None:
    """Derive every proposal and verdict of STUDY again from its log, and report the first that differs."""
    from luthier.app.stores import store_to_read
    from luthier.run.beginning import header_of
    from luthier.run.opening import made_parts
    from luthier.search.widening import due
    from luthier.study.log import read_log
    from luthier.study.replay import replay as run

    store = store_to_read(storage)
    report = run(read_log(store, study), *made_parts(header_of(store, study)), due)
    click.echo(
        f"{report.events} events: {report.proposals} proposals, {report.moves} moves and "
        f"{report.verdicts} verdicts derived again"
    )
    if report.difference:
        click.echo(f"luthier: differs: {report.difference}", err=True)
        sys.exit(1)


COMMANDS = (storage, serve, replay)
