"""Enters trials that were run elsewhere in a study's log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from luthier.study import events as ev
from luthier.study.history import History
from luthier.study.protocols import Conflict
from luthier.study.records import TrialState
from luthier.study.study import Study


@dataclass(frozen=True)
class Foreign:
    """A trial as another tool knew it.

    Attributes:
        configuration: its values, by the space's full names.
        reports: (step, metrics) in the order of their steps, which count from 1.
        state: how it ended; a QUEUED one is to be run again.
        why: the reason, for those that did not complete.
        begun: seconds since 1970, and
        ended: likewise.
        notes: what else was known of it, by name.
    """

    configuration: dict[str, Any]
    reports: Sequence[tuple[int, dict[str, float]]] = ()
    state: TrialState = TrialState.COMPLETED
    why: str = ""
    begun: float = 0.0
    ended: float = 0.0
    notes: dict[str, Any] = field(default_factory=dict[str, Any])


def enter(study: Study, trials: Sequence[Foreign]) -> list[int]:
    """Append *trials* to the study's log, and return their numbers."""
    while True:
        history = study.refresh()
        first, lease = len(history.trials), history.last_lease
        events: list[ev.AnyEvent] = []
        for at, trial in enumerate(trials):
            events += _events(history, trial, first + at, lease + at + 1, len(events), study)
        try:
            study.append(events, expect=history.cursor)
        except Conflict:
            continue
        return list(range(first, first + len(trials)))


def _events(
    history: History, trial: Foreign, number: int, lease: int, before: int, study: Study
) -> list[ev.AnyEvent]:
    begun = trial.begun or study.clock.time()
    ended, last = trial.ended or begun, trial.reports[-1][0] if trial.reports else 0
    asked = not history.queue  # somebody asked for this configuration: so a replay finds it again
    events: list[ev.AnyEvent] = []
    if asked:
        events.append(ev.Enqueued(time=begun, configuration=trial.configuration))
    events.append(
        ev.TrialProposed(
            time=begun,
            trial=number,
            configuration=trial.configuration,
            seen=history.cursor + before + len(events),
            enqueued=asked,
        )
    )
    notes = [
        ev.AttributeSet(time=begun, trial=number, name=name, value=value)
        for name, value in trial.notes.items()
    ]
    if trial.state is TrialState.QUEUED:
        return [*events, *notes]
    events.append(
        ev.JobLeased(
            time=begun,
            trial=number,
            lease=lease,
            holder=study.leases.holder,
            from_step=0,
            to_step=None,
        )
    )
    seconds = max(0.0, ended - begun) / max(1, len(trial.reports))
    for at, (step, metrics) in enumerate(trial.reports):
        events.append(
            ev.Reported(
                time=begun + seconds * (at + 1),
                trial=number,
                lease=lease,
                step=step,
                metrics=metrics,
                seconds=seconds,
            )
        )
    return [*events, *notes, _end(trial, number, lease, last, ended)]


def _end(trial: Foreign, number: int, lease: int, step: int, ended: float) -> ev.AnyEvent:
    match trial.state:
        case TrialState.STOPPED:
            # Lease 0: it was no verdict of Luthier's scheduler.
            return ev.TrialStopped(
                time=ended, trial=number, lease=0, step=step, reason=trial.why or "pruned"
            )
        case TrialState.DIVERGED:
            return ev.TrialDiverged(
                time=ended, trial=number, lease=lease, step=step, metric=trial.why or "objective"
            )
        case TrialState.FAILED:
            return ev.TrialFailed(
                time=ended, trial=number, lease=lease, step=step, kind="failed", message=trial.why
            )
        case _:
            return ev.TrialCompleted(time=ended, trial=number, lease=lease, step=step)


__all__ = ["Foreign", "enter"]
