"""The command ``luthier doctor``."""

from __future__ import annotations

import dataclasses
import json
import sys

import click

BROKEN = 1


@click.command()
@click.option(
    "--storage",
    envvar="LUTHIER_STORAGE",
    show_envvar=True,
    metavar="URL",
    help="The studies' file or URL; by default luthier.db in the working directory.",
)
@click.option(
    "--quick", is_flag=True, help="Do not start the frameworks, which takes seconds each."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(storage: str | None, quick: bool, as_json: bool) -> None:
    """Say what is installed, which devices there are, what is broken, and what would be faster.

    Ends with exit code 1 where something is broken.
    """
    from luthier.app.doctor import advise, look

    facts = look(storage, quick=quick)
    found = advise(facts)
    if as_json:
        content = {**dataclasses.asdict(facts), "advice": [dataclasses.asdict(a) for a in found]}
        click.echo(json.dumps(content))
    else:
        from luthier.app.doctor.telling import lines

        for line in lines(facts, found):
            click.echo(line)
    if any(a.kind == "problem" for a in found):
        sys.exit(BROKEN)
