"""``luthier import``: takes the studies of other tools over."""

from __future__ import annotations

import click

_storage = click.option(
    "--storage",
    envvar="LUTHIER_STORAGE",
    show_envvar=True,
    metavar="URL",
    help="Where to; by default luthier.db in the working directory.",
)


@click.group("import")
def import_() -> None:
    """Take over the studies of Optuna or the projects of KerasTuner."""


@import_.command()
@click.argument("url")
@click.option("--study", help="Take this one alone.")
@_storage
def optuna(url: str, study: str | None, storage: str | None) -> None:
    """Take over Optuna's studies at URL: sqlite:///FILE, a journal's file, or postgresql://...

    Optuna need not be installed. The studies can be gone on with by luthier.compat.optuna.
    """
    from luthier.app.stores import store_to_make
    from luthier.compat.optuna.importing import import_optuna

    for done in import_optuna(url, store_to_make(storage), study):
        how = "curves" if done.curves else "notes"
        click.echo(f"{done.study}: {done.trials} trials taken over, intermediate values as {how}")


@import_.command("keras-tuner")
@click.argument("folder")
@click.option("--study", help="The study's name; by default the project's.")
@_storage
def keras_tuner(folder: str, study: str | None, storage: str | None) -> None:
    """Take over the KerasTuner project in FOLDER (directory/project_name).

    KerasTuner keeps the best epoch of each trial alone, so there are no curves to take over.
    """
    from luthier.app.stores import store_to_make
    from luthier.compat.keras_tuner.importing import import_keras_tuner

    done = import_keras_tuner(folder, store_to_make(storage), study)
    click.echo(f"{done.study}: {done.trials} trials taken over, {done.objective}")
