"""``luthier worker``: runs a script, or a function, on a study in a shared store."""

from __future__ import annotations

import importlib
import os
import re
import runpy
import sys
from pathlib import Path

import click

from luthier.errors import StudyError

_FUNCTION = re.compile(r"([\w.]+):(\w+)")


@click.command(context_settings={"allow_interspersed_args": False, "ignore_unknown_options": True})
@click.option(
    "--slots",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Trials at the same time on this machine.",
)
@click.option(
    "--grace",
    type=click.FloatRange(0),
    default=60.0,
    show_default=True,
    help="Seconds that trials get after SIGTERM to come to their next checkpoint.",
)
@click.option("--study", "name", help="The study, when SCRIPT is a function.")
@click.argument("storage")
@click.argument("script")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def worker(
    slots: int,
    grace: float,
    name: str | None,
    storage: str,
    script: str,
    arguments: tuple[str, ...],
) -> None:
    """Work on a study that other machines work on too, until it has no trials left.

    STORAGE is the store's URL, or the word env for what LUTHIER_STORAGE says. SCRIPT is the script that
    calls luthier.tune; it runs unchanged, with ARGUMENTS, but its studies are in STORAGE. Or it is a
    training function, MODULE:FUNCTION, for the study that --study names.

    SIGTERM lets the running trials come to their next checkpoint, gives them back, and ends with 143.
    """
    from luthier.run.engines import GRACE, SLOTS
    from luthier.storage import VARIABLE, WORKER, open_store

    # By its whole address: the script may change the working directory.
    store = open_store(storage)
    os.environ[VARIABLE] = store.address
    store.close()
    os.environ.update({WORKER: "1", SLOTS: str(slots), GRACE: str(grace)})
    if not Path(script).is_file() and (function := _FUNCTION.fullmatch(script)):
        _run_function(function[1], function[2], name)
        return
    run_script(script, arguments, ", or MODULE:FUNCTION with --study NAME")


def run_script(script: str, arguments: tuple[str, ...], otherwise: str = "") -> None:
    """Run a Python file that calls luthier.tune in this process, with *arguments*.

    Raises:
        StudyError: there is no such file.
    """
    if not Path(script).is_file():
        raise StudyError(
            f"There is no script {script!r}: expected a file that calls luthier.tune{otherwise}."
        )
    sys.argv = [script, *arguments]
    sys.path.insert(0, str(Path(script).absolute().parent))
    runpy.run_path(script, run_name="__main__")


def _run_function(module: str, function: str, name: str | None) -> None:
    from luthier.run.engines import grace_seconds, wanted_workers
    from luthier.run.opening import open_study
    from luthier.run.supervisor import supervise
    from luthier.run.worker import PREEMPTED_CODE

    if name is None:
        raise StudyError(f"{module}:{function} is a function: say which study with --study NAME.")
    sys.path.insert(0, os.getcwd())
    train = getattr(importlib.import_module(module), function, None)
    if not callable(train):
        raise StudyError(f"Module {module!r} has no function {function!r}.")
    study = open_study(name, storage="env")
    slots = wanted_workers(None)
    assert isinstance(slots, int)
    reason = supervise(study, train, slots, grace=grace_seconds())
    click.echo(f"luthier: {reason}", err=True)
    if study.preempted:
        sys.exit(PREEMPTED_CODE)
