"""A log that was tampered with is found out, at the event."""

from __future__ import annotations

import msgspec
import pytest

from luthier.run.opening import made_parts, open_study
from luthier.run.simulation import simulate
from luthier.space import Float, Space
from luthier.study import events as ev
from luthier.study.log import read_log
from luthier.study.replay import replay
from luthier.study.study import Study


@pytest.fixture(scope="module")
def log():
    run = simulate(
        lambda c, step: c["x"] + 1 / step,
        Space(x=Float(0.0, 1.0)),
        minimize="loss",
        workers=3,
        scheduler="hyperband",
        epochs=9,
        failures=0.1,
    )
    events = list(read_log(run.study.store, run.study.name))
    return events, made_parts(run.study.history.header)


def test_an_untouched_log_replays(log):
    events, parts = log
    report = replay(events, *parts)
    assert (report.difference, report.events) == ("", len(events))
    assert report.proposals == 17
    assert report.verdicts > 60
    assert report.moves > 17


def changed(events, kind, **fields):
    """The log with the third event of a kind changed."""
    at = [i for i, (_, e) in enumerate(events) if isinstance(e, kind)][2]
    number, event = events[at]
    return number, [
        *events[:at],
        (number, msgspec.structs.replace(event, **fields)),
        *events[at + 1 :],
    ]


@pytest.mark.parametrize(
    ("kind", "fields", "words"),
    [
        (ev.TrialProposed, {"configuration": {"x": 0.123}}, "derived again it is"),
        (ev.TrialProposed, {"bracket": 2}, "was begun in bracket 2"),
        (ev.TrialProposed, {"enqueued": True}, "derived again it is {}"),
    ],
)
def test_what_was_changed_is_reported(log, kind, fields, words):
    events, parts = log
    number, tampered = changed(events, kind, **fields)
    report = replay(tampered, *parts)
    assert f"event {number}" in report.difference
    assert words in report.difference


def test_a_changed_loss_shows_in_what_was_promoted(log):
    events, parts = log
    first = next(i for i, (_, e) in enumerate(events) if isinstance(e, ev.Reported))
    number, event = events[first]
    worse = msgspec.structs.replace(event, metrics={"loss": 99.0})
    better = msgspec.structs.replace(event, metrics={"loss": -99.0})
    reports = [
        replay([*events[:first], (number, e), *events[first + 1 :]], *parts)
        for e in (worse, better)
    ]
    assert any(r.difference for r in reports)


class Ticking:
    """A clock that is never twice at the same time."""

    now = 1_000_000_000.0

    def time(self):
        self.now += 0.001
        return self.now

    monotonic = time


def test_trials_told_where_the_scheduler_would_pause_them_replay():
    opened = open_study(
        "s",
        Space(x=Float(0.0, 1.0)),
        minimize="loss",
        scheduler="hyperband",
        epochs=9,
        storage="memory",
    )
    parts = made_parts(opened.history.header)
    study = Study(opened.store, "s", *parts, opened.checkpoints, clock=Ticking())
    for _ in range(6):
        trial = study.ask()
        study.tell(trial, loss=trial["x"])
    log = list(read_log(study.store, "s"))
    report = replay(log, *parts)
    assert report.difference == ""
    assert report.verdicts >= 6

    def at_two_times(event):
        if not isinstance(event, ev.TrialCompleted):
            return event
        return msgspec.structs.replace(event, time=event.time + 1e-6)

    assert replay([(n, at_two_times(e)) for n, e in log], *parts).difference == ""
    trained = [
        (
            n,
            msgspec.structs.replace(e, seconds=1.0)
            if isinstance(e, ev.Reported)
            else at_two_times(e),
        )
        for n, e in log
    ]
    assert "derived again: pause" in replay(trained, *parts).difference
