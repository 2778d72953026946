"""``luthier diagnose``: what the learning curves of a study say, in words."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import click

from luthier.app import options
from luthier.app.completing import study_argument
from luthier.app.strict_json import strict_json
from luthier.errors import StudyError
from luthier.study.words import counted

if TYPE_CHECKING:
    from luthier.insight.diagnosis import Finding, StudyDiagnosis
    from luthier.study.history import History


@click.command()
@study_argument()
@options.storage
@click.option("--trial", "number", type=int, help="Diagnose this trial alone.")
@click.option(
    "--top",
    type=click.IntRange(0),
    default=5,
    show_default=True,
    help="How many of the best trials to diagnose one by one.",
)
@click.option(
    "--classes",
    type=click.IntRange(2),
    help="How many classes the net tells apart: makes the level of guessing exact.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def diagnose(
    study: str,
    storage: str | None,
    number: int | None,
    top: int,
    classes: int | None,
    as_json: bool,
) -> None:
    """Say what the learning curves of STUDY show, and what to do next."""
    from luthier.app.command import history_for
    from luthier.insight.diagnosis import diagnose as diagnosed

    history = history_for(study, storage)
    found = diagnosed(history, classes=classes)
    if number is not None and number not in found.by_trial:
        known = ", ".join(map(str, list(found.by_trial)[:20])) or "none"
        raise StudyError(
            f"Study {study!r} has no reports of a trial {number}; trials with reports: {known}."
        )
    if as_json:
        click.echo(strict_json(_plain(found, number)))
    elif number is not None:
        _print_trial(history, number, found.by_trial[number])
    else:
        _print_study(history, found, top)


def _print_study(history: History, found: StudyDiagnosis, top: int) -> None:
    from luthier.app.show import clean

    click.echo(clean(f"{history.header.name}: {history.goals}"))
    if not found.by_trial:
        click.echo("No trial has reported anything yet.")
        return
    healthy = sum(not several for several in found.by_trial.values())
    click.echo(f"{len(found.by_trial)} trials diagnosed, {healthy} look healthy")
    click.echo()
    click.echo(f"training length: {found.length.action}")
    for finding in found.findings:
        click.echo(str(finding))
    for number in found.top[:top]:
        click.echo()
        _print_trial(history, number, found.by_trial[number])


def _print_trial(history: History, number: int, several: tuple[Finding, ...]) -> None:
    from luthier.app import words
    from luthier.app.show import clean

    trial = history.trials[number]
    metric = history.objective.metric
    reached = f"no finite {metric} in {counted(trial.step, 'epoch')}"
    if math.isfinite(trial.best_loss):
        value = words.number(history.value(trial.best_loss))
        reached = f"{metric} {value} at epoch {trial.best_step} of {trial.step}"
    click.echo(clean(f"trial {number}, {trial.state}: {reached}"))
    for finding in several:
        click.echo(clean(f"  {finding.kind} (confidence {finding.confidence:.2f})"))
        click.echo(clean(f"    seen: {finding.evidence}"))
        click.echo(clean(f"    do:   {finding.action}"))
    if not several:
        click.echo("  looks healthy")


def _plain(found: StudyDiagnosis, number: int | None) -> dict[str, Any]:
    trials = found.by_trial if number is None else {number: found.by_trial[number]}
    own = {str(n): [_finding(finding) for finding in several] for n, several in trials.items()}
    if number is not None:
        return {"trials": own}
    length = found.length
    return {
        "length": {"change": length.change, "epochs": length.epochs, "action": length.action},
        "findings": [
            {"kind": str(f.kind), "trials": f.trials, "top": f.top, "action": f.action}
            for f in found.findings
        ],
        "top": found.top,
        "trials": own,
    }


def _finding(found: Finding) -> dict[str, Any]:
    return {
        "kind": str(found.kind),
        "epoch": found.epoch,
        "evidence": found.evidence,
        "action": found.action,
        "confidence": round(found.confidence, 3),
        "numbers": dict(found.numbers),
    }
