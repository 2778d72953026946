"""Options that several commands have."""

from __future__ import annotations

import click

storage = click.option(
    "--storage",
    envvar="LUTHIER_STORAGE",
    show_envvar=True,
    metavar="URL",
    help="The studies' file or URL; by default luthier.db in the working directory.",
)
