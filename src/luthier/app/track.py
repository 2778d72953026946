"""``luthier track``: writes a study, finished or not, to a tracker."""

from __future__ import annotations

import click

from luthier.app import options
from luthier.app.completing import study_argument
from luthier.errors import StudyError


@click.command()
@study_argument()
@click.option(
    "--to",
    "places",
    required=True,
    multiple=True,
    metavar="KIND:PLACE",
    help="mlflow:http://host:5000, tensorboard:FOLDER or wandb:PROJECT; may be given several times.",
)
@options.storage
def track(study: str, places: tuple[str, ...], storage: str | None) -> None:
    """Write all of STUDY to a tracker; what that has already is not written again."""
    from luthier.app.stores import store_to_read
    from luthier.run.beginning import header_of
    from luthier.track import catch_up, trackers_from

    store = store_to_read(storage)
    header_of(store, study)
    for tracker in trackers_from(places):
        try:
            count = catch_up(store, study, tracker)
        except OSError as error:
            raise StudyError(f"{tracker.name} could not be written: {error}") from error
        click.echo(f"luthier: {count} trials of {study} are in {tracker.name}", err=True)


__all__ = ["track"]
