"""The ``luthier`` command."""

from __future__ import annotations

import shlex
import sys
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from luthier.app import insights, keeping, options, steer
from luthier.app.cluster import cluster
from luthier.app.completing import completion, study_argument
from luthier.app.dashboard_command import dashboard
from luthier.app.diagnose import diagnose
from luthier.app.doctor.command import doctor
from luthier.app.importing import import_
from luthier.app.planning import plan
from luthier.app.raised import Raised
from luthier.app.strict_json import strict_json
from luthier.app.track import track
from luthier.app.tuning import schema, tune
from luthier.app.warned import show_plainly
from luthier.app.watch import watch
from luthier.app.working import worker
from luthier.errors import LuthierError, StudyError, TrialError, nearest
from luthier.version import __version__

if TYPE_CHECKING:
    from luthier.study.history import History

FAILED, WRONG, INTERRUPTED = 1, 2, 130  # no trial with a finite value: export.NothingFinite, 4


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="luthier %(version)s")
def commands() -> None:
    """Tune the hyperparameters of deep nets."""


@commands.command("list")
@options.storage
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_studies(storage: str | None, as_json: bool) -> None:
    """Print a line for each study."""
    from luthier.app import reading, show
    from luthier.app.stores import store_to_read

    store = store_to_read(storage)
    histories: dict[str, History] = {}
    for name in (names := store.names()):
        try:
            histories[name] = reading.read(store, name)
        except LuthierError as error:  # one study of a newer luthier must not hide the others
            click.echo(f"luthier: {error}", err=True)
    if as_json:
        click.echo(strict_json([_summary(name, history) for name, history in histories.items()]))
    elif histories:
        show.print_list(histories)
    elif not names:
        click.echo("no studies yet")


@commands.command("show")
@study_argument()
@options.storage
@click.option(
    "--top", type=click.IntRange(1), default=10, show_default=True, help="How many trials to list."
)
@click.option("--trial", "number", type=int, help="Show this trial in full.")
@click.option("--yaml", "form", flag_value="yaml", help="Print the best configuration only.")
@click.option("--json", "form", flag_value="json", help="The same as JSON.")
def show_study(
    study: str, storage: str | None, top: int, number: int | None, form: str | None
) -> None:
    """Print the ranking, the curves and the best configuration of STUDY.

    With --trial, --yaml and --json print that trial's configuration in place of the best one.
    """
    from luthier.app import export, reading, show

    history = history_for(study, storage)
    trial = reading.finite_best(history) if number is None else reading.trial_of(history, number)
    if form is not None:
        text = export.best_as(form, history, trial)
        click.echo(text.encode(), nl=False)  # UTF-8 whatever the locale
        _tell_of_the_best(history, number)
    elif number is None or trial is None:
        where = "" if storage is None else f" --storage {shlex.quote(storage)}"
        show.print_study(history, top, where)
    else:
        show.print_trial(history, trial)


@commands.command("export")
@study_argument()
@click.option("--to", type=click.Path(path_type=Path), metavar="FILE")
@click.option(
    "--as",
    "form",
    type=click.Choice(
        ["yaml", "json", "toml", "python", "arguments", "hydra", "overrides"]  # forms.FORMS
    ),
    help="How to write the best configuration; without --to it is printed.",
)
@options.storage
@click.option("--trial", "number", type=int, help="This trial's configuration, not the best one.")
@click.option("--curves", is_flag=True, help="A row for each report (.csv, .parquet).")
def export_study(
    study: str,
    to: Path | None,
    form: str | None,
    storage: str | None,
    number: int | None,
    curves: bool,
) -> None:
    """Write STUDY to FILE: .yaml, .json, .toml or .py the best configuration, .csv or .parquet the trials.

    A .db is a database of Optuna's, beside the studies that it has already. With FILE just yaml, json,
    toml, csv or parquet the file is called after the study.

    \b
    --as arguments  options for a command line: luthier export STUDY --as arguments | xargs python train.py
    --as python     a module with the configuration, and set_defaults(parser) for argparse
    --as hydra      a file for a Hydra config group:  python train.py +best=STUDY
    --as overrides  the same on Hydra's command line, by xargs as well
    """
    from luthier.app.export import best_as, checked_call, export
    from luthier.app.forms import SUFFIXES
    from luthier.app.reading import finite_best, trial_of

    if to is None and form is None:
        raise click.UsageError("Say where to (--to FILE) or how (--as arguments, ...).")
    if str(to) in ("yaml", "json", "toml", "csv", "parquet"):
        to = Path(f"{study.replace('/', '_')}.{to}")
    checked_call(to, form or "", curves=curves, trial=number is not None)
    history = history_for(study, storage)
    trial = finite_best(history) if number is None else trial_of(history, number)
    if to is None:
        click.echo(best_as(form or "", history, trial).encode(), nl=False)
    else:
        export(history, trial, to, curves=curves, form=form or "")
        click.echo(f"wrote {to}", err=True)
    if to is None or form or to.suffix.lower() in SUFFIXES:
        _tell_of_the_best(history, number)


def _tell_of_the_best(history: History, asked: int | None) -> None:
    """Tell what the best configuration does not say of itself, unless one trial's was asked for."""
    from luthier.app.reading import beside_the_best

    for line in beside_the_best(history) if asked is None else ():
        click.echo(f"luthier: {line}", err=True)


@commands.command("demo")
@click.option(
    "--workers",
    type=click.IntRange(1),
    default=2,
    show_default=True,
    help="Trials at the same time.",
)
@click.option("--name", default="demo", show_default=True, help="The study's name.")
@options.storage
def demo(workers: int, name: str, storage: str | None) -> None:
    """Tune a small net on Fashion-MNIST, in about three minutes on two cores."""
    from luthier.app.demo import run

    run(workers=workers, storage=storage, name=name)


for _command in (
    tune,
    schema,
    import_,
    worker,
    cluster,
    dashboard,
    watch,
    track,
    plan,
    diagnose,
    doctor,
    completion,
    *insights.COMMANDS,
    *steer.COMMANDS,
    *keeping.COMMANDS,
):
    commands.add_command(_command)


def main() -> None:
    """Run the command; a wrong call ends in one line and exit code 2, not in a traceback.

    Raises:
        Exception: what the user's own program has raised.
    """
    show_plainly()
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # curves on a terminal that has no bars
    try:
        sys.exit(commands.main(prog_name="luthier", standalone_mode=False) or 0)
    except Raised as raised:
        theirs = raised.error
    except (click.exceptions.Abort, KeyboardInterrupt):
        sys.exit(INTERRUPTED)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(error.exit_code)
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else "luthier"
        _end(f"{error.format_message()} (See {path} --help.)", error.exit_code)
    except click.ClickException as error:
        _end(error.format_message(), error.exit_code)
    except LuthierError as error:
        if error.in_training or isinstance(error, TrialError):  # of a program in another process
            _end("\n".join([str(error), *getattr(error, "__notes__", [])]), FAILED)
        _end(str(error), getattr(error, "exit_code", WRONG))
    raise theirs  # as where Python itself runs the program: its traceback, and exit code 1


def _end(message: str, code: int) -> NoReturn:
    click.echo(f"luthier: {message}", err=True)
    sys.exit(code)


def history_for(study: str, storage: str | None) -> History:
    """Return the history of a study; raises StudyError when there is none of that name."""
    from luthier.app.reading import read
    from luthier.app.stores import store_to_read

    store = store_to_read(storage)
    names = store.names()
    if study not in names:
        raise StudyError(
            f"There is no study {study!r}.{nearest(study, names)} "
            f"There are: {', '.join(map(repr, names)) or 'none'}."
        )
    return read(store, study)


def _summary(name: str, history: History) -> dict[str, Any]:
    from luthier.app import reading
    from luthier.study.words import rules_broken

    best = reading.finite_best(history)
    return {
        "study": name,
        "objective": str(history.goals),
        "trials": {str(state): count for state, count in history.counts().items()},
        "epochs": history.epochs,
        "best": None if best is None else history.value(best.best_loss),
        "best_trial": None if best is None else best.number,
        "best_breaks": rules_broken(history),
        "state": reading.activity(history),
        "last_sign": history.last_time,
    }


if __name__ == "__main__":
    main()
