"""``luthier plan``: what a study will take, before it begins."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from luthier.app import options, words
from luthier.app.completing import study_argument
from luthier.app.sizes import bytes_of, size
from luthier.app.strict_json import strict_json
from luthier.app.times import HOURS, SECONDS
from luthier.errors import StudyError

if TYPE_CHECKING:
    from luthier.insight.planner import Costs, Estimate

_SHOWN = 3  # other plans that fit as well


@click.command("plan")
@study_argument(required=False)
@click.option(
    "--hours", "length", type=HOURS, metavar="TIME", help="Find the best plan for so long: 8h, 45m."
)
@click.option("--scheduler", help="Plan for this scheduler: hyperband, asha, ...")
@click.option("--epochs", type=click.IntRange(1), help="The most epochs one trial trains.")
@click.option("--trials", type=click.IntRange(1), help="Trials in all.")
@click.option("--max-epochs", type=click.IntRange(1), help="Epochs of all trials together.")
@click.option(
    "--epoch-time", type=SECONDS, metavar="TIME", help="What an epoch takes, such as 40s."
)
@click.option(
    "--start-time", type=SECONDS, metavar="TIME", help="What a trial takes before its first epoch."
)
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True)
@click.option("--checkpoint", metavar="SIZE", help="What a checkpoint takes, such as 30MB.")
@options.storage
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def plan(
    study: str | None,
    length: float | None,
    scheduler: str | None,
    epochs: int | None,
    trials: int | None,
    max_epochs: int | None,
    epoch_time: float | None,
    start_time: float | None,
    workers: int,
    checkpoint: str | None,
    storage: str | None,
    as_json: bool,
) -> None:
    """Print trials, epochs, hours and disk of a study before it begins.

    With --hours it finds the plan that makes the most of them. What an epoch takes is measured in
    STUDY, or given by --epoch-time. Of a STUDY without limits given here: what it comes to as it is.
    """
    from luthier.insight import planner

    as_it_is = length is None and study and not (scheduler or epochs or trials or max_epochs)
    costs = _costs(study, storage, epoch_time, start_time, workers, checkpoint, must=not as_it_is)
    if as_it_is:
        found = (_as_it_is(study or "", storage, costs),)
    elif length is None:
        asked = planner.plan(
            scheduler, epochs=epochs, max_trials=trials, max_epochs=max_epochs, costs=costs
        )
        if study and asked.plan.to_end:
            asked = _as_long_as(study, storage, asked, costs)
        found = (asked,)
    else:
        if costs is None or epochs is None:
            raise StudyError(
                "--hours needs --epochs, and --epoch-time or a study to measure it in."
            )
        if scheduler or trials or max_epochs:
            raise StudyError("--hours finds scheduler, trials and epochs itself: leave them out.")
        found = planner.plans(length / 3600, epochs, costs)
    if as_json:
        click.echo(strict_json([_plain(e) for e in found]))
        return
    _tell(found[0], needs="--epochs and --trials" if as_it_is else "--epochs")
    if others := found[1 : 1 + _SHOWN]:
        click.echo("other plans that fit:")
        for other in others:
            click.echo(f"  {other.scheduler}: {_took(other)}")


def _as_long_as(study: str, storage: str | None, asked: Estimate, costs: Costs | None) -> Estimate:
    """Return what was *asked* for with trainings as long as those of the study, where nobody said how long."""
    from luthier.app.command import history_for
    from luthier.insight import planner

    made = planner.as_long_as(asked.plan, history_for(study, storage))
    return planner.estimate(asked.scheduler, asked.limits, made, costs)


def _as_it_is(study: str, storage: str | None, costs: Costs | None) -> Estimate:
    """Return what the study comes to with its own scheduler and limits."""
    from luthier.app.command import history_for
    from luthier.insight import planner
    from luthier.run.opening import made_parts
    from luthier.study.deciding import within_space

    history = history_for(study, storage)
    searcher, scheduler = made_parts(history.header)
    limits = within_space(history.limits, searcher, scheduler, history)
    made = scheduler.planned(history, limits)
    made = made and planner.as_long_as(made, history)
    finalists = history.race.finalists if history.race else 0
    return planner.estimate(scheduler.inner, limits, made, costs, finalists)


def _costs(
    study: str | None,
    storage: str | None,
    epoch: float | None,
    start: float | None,
    workers: int,
    checkpoint: str | None,
    *,
    must: bool,
) -> Costs | None:
    from luthier.insight.planner import Costs, measured

    each = None if checkpoint is None else bytes_of(checkpoint)
    if epoch is not None:
        return Costs(epoch, start or 0.0, each, workers)
    if study is None:
        _needs_epoch_time(start)
        return None
    from luthier.app.command import history_for

    history = history_for(study, storage)
    if not must and not any(second > 0 for trial in history.trials for second in trial.seconds):
        _needs_epoch_time(start)
        return None
    costs = measured(history, workers, each)
    if start is not None:
        costs = replace(costs, start=start)
    click.echo(f"measured: {costs.epoch:.3g} s an epoch, {costs.start:.3g} s to start", err=True)
    return costs


def _needs_epoch_time(start: float | None) -> None:
    if start is not None:
        raise StudyError(
            "--start-time alone tells no hours: give --epoch-time, or a study to measure it in."
        )


def _tell(found: Estimate, *, needs: str) -> None:
    click.echo(f"{found.scheduler}: {_took(found)}")
    if found.why:
        click.echo(f"  why: {found.why}")
    first, *others = words.plan_lines(found.plan)
    click.echo(f"  {first}")
    for line in others:
        click.echo(f"  {line}")
    if found.epochs is None:
        click.echo(f"  no hours: how many epochs a trial trains is not known; say it with {needs}")


def _took(found: Estimate) -> str:
    parts = [f"{found.trials} trials"]
    if found.epochs is not None:
        parts.append(f"{found.plan.word}{found.epochs} epochs")
    if found.hours is not None and found.idle is not None:
        parts.append(f"{found.plan.word}{words.duration(3600 * found.hours)}")
        if found.idle >= 0.01:
            parts.append(f"workers idle {100 * found.idle:.0f} % of it")
    if found.disk is not None:
        parts.append(f"at most {size(found.disk)} of checkpoints")
    return ", ".join(parts)


def _plain(found: Estimate) -> dict[str, Any]:
    return {
        "scheduler": repr(found.scheduler),
        "max_trials": found.limits.trials,
        "trials": found.trials,
        "epochs": found.epochs,
        "hours": found.hours,
        "idle": found.idle,
        "disk": found.disk,
        "why": found.why,
    }
