"""Reports lie as they came until somebody looks at them; either way they are the same."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luthier.errors import StorageError
from luthier.space import Float, Space
from luthier.study import events as ev
from luthier.study.history import History, fold
from luthier.study.log import decoded_all
from luthier.study.records import TrialRecord, TrialState

HOLDER = ev.Holder("node", "boot", "namespace", 1, "0", 1)
CREATED = ev.StudyCreated(
    time=0.0,
    format=ev.FORMAT,
    name="s",
    metric="loss",
    direction="minimize",
    space=Space(x=Float(0.0, 1.0)).to_dict(),
    seed=1,
    searcher={"name": "random"},
    scheduler={"name": "none"},
    luthier="0",
)

reports = st.lists(
    st.tuples(
        st.integers(1, 3),
        st.floats(allow_nan=True, allow_infinity=True),
        st.sampled_from([(), ("accuracy",), ("accuracy", "odd")]),
        st.booleans(),  # whether somebody looks before the report
    ),
    max_size=12,
)


def trial_of(found, *, looks: bool) -> TrialRecord:
    trial, step = TrialRecord(0, {}, 0, TrialState.RUNNING, 0.0), 0
    for stride, value, more, looked in found:
        step += stride
        if looks and looked:
            assert len(trial.steps) == len(trial.losses)
        loss = value if math.isfinite(value) else math.inf
        trial.add(step, loss, {"loss": value, **dict.fromkeys(more, 0.5)}, 0.25)
    return trial


def all_of(trial: TrialRecord) -> str:
    metrics = [list(one.items()) for one in trial.metrics]
    columns = [list(c) for c in (trial.steps, trial.losses, trial.seconds, trial.loss_sums)]
    return repr((trial.step, trial.reported, columns, trial.names, list(trial.values), metrics))


@given(found=reports)
def test_reports_are_the_same_whenever_somebody_looks(found):
    unseen, looked_at = trial_of(found, looks=False), trial_of(found, looks=True)
    assert unseen.step == sum(one[0] for one in found)
    assert all_of(unseen) == all_of(looked_at)
    assert len(unseen.steps) == len(found)
    assert all(isinstance(step, int) for step in unseen.steps)


@given(found=reports, kept=st.integers(0, 40))
def test_what_is_trained_again_is_forgotten(found, kept):
    trial = trial_of(found, looks=False)
    before = list(trial_of(found, looks=True).steps)
    trial.forget_after(kept)
    assert list(trial.steps) == [step for step in before if step <= kept]
    assert trial.step == max([0, *trial.steps])


def test_a_step_that_no_float_holds_stays_exact():
    trial = TrialRecord(0, {}, 0, TrialState.RUNNING, 0.0)
    for step in (1, 2**53 + 1, 2**62 + 3):
        trial.add(step, 0.5, {"loss": 0.5}, 0.0)
    assert list(trial.steps) == [1, 2**53 + 1, 2**62 + 3]


def log_of(found) -> list[ev.AnyEvent]:
    events: list[ev.AnyEvent] = [CREATED]
    for number, (end, late) in enumerate(found):
        lease = number + 1
        about = {"time": float(len(events)), "trial": number, "lease": lease}
        events += [
            ev.TrialProposed(
                time=about["time"], trial=number, configuration={"x": 0.5}, seen=len(events)
            ),
            ev.JobLeased(**about, holder=HOLDER, from_step=0, to_step=None),
            ev.Reported(**about, step=1, metrics={"loss": 1.0 / lease}),
            ev.Reported(**(about | {"lease": lease - late}), step=2, metrics={"loss": math.nan}),
        ]
        ends = {
            "completed": ev.TrialCompleted(**about, step=1),
            "diverged": ev.TrialDiverged(**about, step=1, metric="loss"),
            "released": ev.JobReleased(**about, reason="", cause="preempted"),
        }
        events += [ends[end]] if end in ends else []
    return events


def summary(history: History) -> str:
    best = history.best
    own = (history.cursor, history.last_time, history.last_lease, history.epochs, history.ended)
    places = [sorted(d) for d in (history.active, history.queued, history.paused, history.errors)]
    return repr(
        (own, history.late_reports, history.touched, places, best and best.number)
    ) + "".join(
        f"{t.number}{t.state}{t.best_loss}{t.retries}{t.fruitless}{t.last_sign}{all_of(t)}"
        for t in history.trials
    )


@settings(deadline=None)
@given(
    found=st.lists(
        st.tuples(st.sampled_from(["completed", "diverged", "released", "runs"]), st.booleans()),
        max_size=6,
    ),
    anew=st.booleans(),
    cuts=st.lists(st.integers(1, 40), max_size=4),
)
def test_a_page_folded_at_once_is_what_its_events_are_one_by_one(found, anew, cuts):
    events = log_of(found) + (log_of(found) if anew else [])
    one_by_one = fold(enumerate(events, 1))
    bodies = [ev.encode(event) for event in events]
    history, at = History(), 0
    for cut in [*sorted(set(cuts)), len(events)]:
        page = bodies[at:cut]
        if page:
            numbers = range(at + 1, at + len(page) + 1)
            history = history.after_all(numbers, decoded_all("s", numbers, page))
            at += len(page)
    assert summary(history) == summary(one_by_one)


def test_a_page_with_a_gap_or_an_event_that_cannot_be_read_is_refused():
    events = log_of([("completed", False)])
    history = History().after_all([1], events[:1])
    with pytest.raises(StorageError, match="Event 2 is missing"):
        history.after_all([3], events[2:3])
    with pytest.raises(StorageError, match="Event 4 is missing"):
        history.after_all([2, 3, 5], events[1:4])
    with pytest.raises(StorageError, match="Event 8 of study 's' cannot be read"):
        decoded_all("s", [7, 8], [ev.encode(events[1]), b"rubbish"])
