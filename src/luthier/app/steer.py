"""Commands that steer a study while it runs: each appends an event that its workers see."""

from __future__ import annotations

import math
import time
from typing import Any

import click

from luthier.app import options, words
from luthier.app.completing import complete_assignments, study_argument
from luthier.app.times import SECONDS_OR_NONE
from luthier.errors import StudyError

_reason = click.option("--reason", default="", help="Kept in the log.")


def _opened(study: str, storage: str | None) -> Any:
    from luthier.app.stores import store_to_steer
    from luthier.run.beginning import header_of
    from luthier.run.opening import open_study

    store = store_to_steer(storage)
    header_of(store, study)  # says which studies there are
    return open_study(study, storage=store, renews=False)


@click.command()
@study_argument()
@options.storage
@_reason
def stop(study: str, storage: str | None, reason: str) -> None:
    """Have the trials of STUDY give their jobs back at their next report, and its workers end.

    Nothing is lost: `luthier resume` or running the script again goes on; a `luthier worker` that starts
    does not.
    """
    _opened(study, storage).steer.stop(reason)
    click.echo(f"luthier: {study}: workers end after their current epoch", err=True)


@click.command()
@study_argument()
@options.storage
@_reason
def pause(study: str, storage: str | None, reason: str) -> None:
    """Have the trials of STUDY give their jobs back at their next report, and its workers wait."""
    _opened(study, storage).steer.pause(reason)
    click.echo(f"luthier: {study}: workers wait after their current epoch", err=True)


@click.command()
@study_argument()
@options.storage
@_reason
def resume(study: str, storage: str | None, reason: str) -> None:
    """End a pause or a stop of STUDY."""
    _opened(study, storage).steer.go_on(reason)
    click.echo(f"luthier: {study} goes on", err=True)


@click.command()
@study_argument()
@click.argument("trial", type=int)
@options.storage
@click.option("--reason", default="pruned by hand", show_default=True, help="Kept in the log.")
def prune(study: str, trial: int, storage: str | None, reason: str) -> None:
    """Abandon a trial of STUDY; a running one ends at its next report.

    One that failed by an error of the training code is given up: the study goes on without it.
    """
    _opened(study, storage).steer.prune(trial, reason)
    click.echo(f"luthier: {study}: trial {trial} is pruned", err=True)


@click.command()
@study_argument()
@click.argument(
    "values",
    nargs=-1,
    required=True,
    metavar="NAME=VALUE...",
    shell_complete=complete_assignments,
)
@options.storage
def enqueue(study: str, values: tuple[str, ...], storage: str | None) -> None:
    """Have a configuration tried next: luthier enqueue STUDY learning_rate=3e-4 units=128."""
    from luthier.app.told_domains import value_told

    opened = _opened(study, storage)
    configuration = {name: value_told(opened.space, name, text) for name, text in _pairs(values)}
    opened.enqueue(configuration)
    click.echo(f"luthier: {study}: {configuration} is next", err=True)


@click.command()
@study_argument()
@click.option("--trials", type=click.IntRange(1), help="Trials in all.")
@click.option("--epochs", type=click.IntRange(1), help="Epochs of all trials together.")
@click.option(
    "--time",
    "left",
    type=SECONDS_OR_NONE,
    metavar="TIME",
    help="From now on: 45m, 2h, a number of seconds, or none: no longer limited.",
)
@options.storage
@_reason
def budget(
    study: str,
    trials: int | None,
    epochs: int | None,
    left: float | None,
    storage: str | None,
    reason: str,
) -> None:
    """Limit STUDY anew, for every worker; what is not given stays as it is."""
    opened = _opened(study, storage)
    limits, until = opened.history.limits, opened.history.until
    if left is not None:
        until = None if left == math.inf else time.time() + left
    opened.steer.budget(
        trials=limits.trials if trials is None else trials,
        epochs=limits.epochs if epochs is None else epochs,
        until=until,
        reason=reason,
    )
    click.echo(f"luthier: {study}: {words.budget(opened.refresh(), time.time())}", err=True)


@click.command()
@study_argument()
@click.option("--finalists", type=int, default=5, show_default=True, help="How many trials.")
@click.option("--repetitions", type=int, default=10, show_default=True, help="New seeds each.")
@options.storage
@_reason
def race(study: str, finalists: int, repetitions: int, storage: str | None, reason: str) -> None:
    """Have the best trials of STUDY trained again on new seeds when its search is over, and compared.

    Worse ones are dropped by a test on the way. A finished study goes on with it: run it again.
    """
    from luthier.app.saying import short_race

    opened = _opened(study, storage)
    opened.steer.race(finalists, repetitions, reason=reason)
    click.echo(f"luthier: {study}: {finalists} finalists are raced", err=True)
    if doubt := short_race(opened):
        click.echo(f"luthier: {doubt}", err=True)


@click.command()
@study_argument()
@click.argument(
    "ranges",
    nargs=-1,
    required=True,
    metavar="NAME=LOW..HIGH...",
    shell_complete=complete_assignments,
)
@options.storage
@_reason
def space(study: str, ranges: tuple[str, ...], storage: str | None, reason: str) -> None:
    """Widen or narrow the space of STUDY: luthier space STUDY learning_rate=1e-5..1e-2 units=64..512.

    A hyperparameter with options takes them instead: optimizer=sgd,adam. Scales, steps and conditions stay, and
    what hangs on an option that is left out goes with it.
    """
    from luthier.app.told_domains import domain_told
    from luthier.craft.changes import differences
    from luthier.study.narrowing import with_in_place

    opened = _opened(study, storage)
    changed = opened.space
    for name, text in _pairs(ranges):
        changed = with_in_place(changed, name, domain_told(changed, name, text))
    before = opened.space
    opened.steer.space(changed, reason)
    said = ", ".join(differences(before, changed)) or "the space is as it was"
    click.echo(f"luthier: {study}: {said}", err=True)


def _pairs(values: tuple[str, ...]) -> list[tuple[str, str]]:
    for text in values:
        if "=" not in text:
            raise StudyError(f"Expected NAME=VALUE, got {text!r}.")
    return [(name, value) for name, _, value in (text.partition("=") for text in values)]


COMMANDS = (stop, pause, resume, prune, enqueue, budget, race, space)
