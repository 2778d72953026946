"""``luthier worker``: runs a script, or a function, on a study in a shared store."""

from __future__ import annotations

import os
import re
import runpy
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from luthier.app.raised import users_program
from luthier.errors import StudyError, nearest

_FUNCTION = re.compile(r"([\w.]+):(\w+)")
_USAGE = "luthier worker --study NAME STORAGE MODULE:FUNCTION"


class NothingTuned(StudyError):
    """The script ended without a study."""

    exit_code = 1


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
    from luthier.app.stores import store_to_make
    from luthier.run.engines import GRACE, SLOTS
    from luthier.storage import VARIABLE, WORKER

    function = None if Path(script).is_file() else _FUNCTION.fullmatch(script)
    if function is not None:
        _checked_call(script, name, storage, arguments)
    else:
        _checked_script(script, name)
    # By its whole address: the script may change the working directory.
    store = store_to_make(storage)
    os.environ[VARIABLE] = store.address
    store.close()
    os.environ.update({WORKER: "1", SLOTS: str(slots), GRACE: str(grace)})
    if function is not None:
        _run_function(function[1], function[2], name or "")
        return
    run_script(script, arguments)


def _checked_script(script: str, name: str | None) -> None:
    """Refuse a script that is not there, an option in its place, and a study for it."""
    if script.startswith("-") and not Path(script).is_file():
        raise StudyError(
            f"{script!r} stands behind STORAGE, where the script is expected: the options of luthier "
            f"worker go before STORAGE: {_USAGE}."
        )
    if not Path(script).is_file():
        names = [path.name for path in Path().glob("*.py")]
        raise StudyError(
            f"There is no script {script!r}: expected a file that calls luthier.tune, or MODULE:FUNCTION "
            f"with --study NAME.{nearest(script, names)}"
        )
    if name is not None:
        raise StudyError(
            f"--study {name} is for a function: {script} names its study itself, in its call of "
            "luthier.tune. Leave --study out."
        )


def _checked_call(script: str, name: str | None, storage: str, arguments: tuple[str, ...]) -> None:
    """Refuse a function without its study, with arguments, or of a store that is not there.

    Only a script can make a study: it has the space.
    """
    from luthier.app.stores import file_of

    if arguments:
        what = (
            "the options of luthier worker go before STORAGE"
            if arguments[0].startswith("-")
            else "a function takes no arguments"
        )
        raise StudyError(
            f"{' '.join(arguments)!r} stands behind {script}, where everything is the script's: {what}: "
            f"{_USAGE}."
        )
    if name is None:
        raise StudyError(f"{script} is a function: say which study with --study NAME: {_USAGE}.")
    path = file_of(storage)
    if path is not None and not path.exists():
        raise StudyError(
            f"There is no {path.absolute()}: expected the store that has the study {name!r}. A function "
            "has no space to make one; a script that calls luthier.tune does."
        )


def run_script(script: str, arguments: tuple[str, ...]) -> None:
    """Run a Python file that calls luthier.tune in this process, with *arguments*.

    Raises:
        StudyError: there is no such file, or it has ended without opening a study (NothingTuned).
        Raised: what the file itself raises.
    """
    if not Path(script).is_file():
        raise StudyError(f"There is no script {script!r}: expected a file that calls luthier.tune.")
    sys.argv = [script, *arguments]
    sys.path.insert(0, str(Path(script).absolute().parent))
    with _counted_studies() as opened:
        try:
            with users_program():
                runpy.run_path(script, run_name="__main__")
        except SystemExit as error:
            if opened or error.code not in (None, 0) or {"-h", "--help"} & set(arguments):
                raise
    if not opened:
        raise NothingTuned(
            f"{script} has ended, and no study was tuned: it never came to luthier.tune. Call it there; or "
            f"have the script tuned as it is: luthier tune {script} --space FILE --minimize METRIC."
        )


@contextmanager
def _counted_studies() -> Generator[list[str]]:
    """Yield the names of the studies that this process opens meanwhile, through whichever door."""
    from luthier.study.study import Study

    # tune, ask and tell, the front ends for other libraries: what all doors have in common is a Study.
    kind: Any = Study
    opened: list[str] = []
    make = kind.__init__

    def made(study: Any, *arguments: Any, **settings: Any) -> None:
        make(study, *arguments, **settings)
        opened.append(study.name)

    kind.__init__ = made
    try:
        yield opened
    finally:
        kind.__init__ = make


def _run_function(module: str, function: str, name: str) -> None:
    from luthier.app.functions import function_of
    from luthier.app.tune import held_by_hand
    from luthier.run.engines import grace_seconds, wanted_workers
    from luthier.run.opening import open_study
    from luthier.run.supervisor import supervise
    from luthier.run.worker import PREEMPTED_CODE

    with users_program():
        train = function_of(module, function)
    study = open_study(name, storage="env")
    slots = wanted_workers(None)
    assert isinstance(slots, int)
    study.retry_errors(lost=False)  # the function may have been mended since
    if told := held_by_hand(study):
        click.echo(f"luthier: {told}", err=True)
    reason = supervise(study, train, slots, grace=grace_seconds())
    click.echo(f"luthier: {reason}", err=True)
    if study.preempted:
        sys.exit(PREEMPTED_CODE)
