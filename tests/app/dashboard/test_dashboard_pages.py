"""What the page is told, as pure functions of a history."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.app.dashboard.example_studies import SPACE, range_test, train

import luthier
from luthier.app.dashboard.against import against
from luthier.app.dashboard.chronicle import chronicle_page
from luthier.app.dashboard.columns import described, rounded, trial_columns
from luthier.app.dashboard.curves import MOST_CURVES, chosen, curves
from luthier.app.dashboard.ladder import ladder_page
from luthier.app.dashboard.lessons import lesson
from luthier.app.dashboard.summary import listed, sparks, summary
from luthier.app.dashboard.trial_page import trial_page, written
from luthier.app.dashboard.watched import as_json
from luthier.insight.chronicle import Chronicle
from luthier.insight.happening import of_trial
from luthier.insight.ladder import plan_of
from luthier.space import Bool, Choice, Constant, Float, Int, Space
from luthier.storage import MemoryStore
from luthier.study import events as ev
from luthier.study.history import History

floats = st.floats(allow_nan=True, allow_infinity=True)


@settings(deadline=None)
@given(st.lists(st.one_of(st.none(), floats)))
def test_rounding_keeps_six_digits_and_nothing_that_json_lacks(values: list[float | None]) -> None:
    found = rounded(values)
    assert len(found) == len(values)
    for before, after in zip(values, found, strict=True):
        if before is None or not math.isfinite(before):
            assert after is None
        else:
            assert after is not None
            assert after == pytest.approx(before, rel=1e-5, abs=1e-300)


def asked(space: Space, reports: list[list[float]], **more: Any) -> History:
    """Return a study whose trials report these losses, epoch by epoch."""
    store = MemoryStore()
    given_ = {"minimize": "loss", "scheduler": None, "searcher": "random"} | more
    study = luthier.open("s", space, storage=store, **given_)
    for losses in reports:
        trial = study.ask()
        for loss in losses[:-1]:
            trial.report(loss=loss)
        study.tell(trial, loss=losses[-1])
    return study.refresh()


def test_columns_have_an_entry_for_every_trial() -> None:
    space = Space(
        rate=Float(1e-4, 1, scale="log"),
        units=Int(1, 9),
        kind=Choice({"a": Space(inner=Float(0, 1)), "b": Space()}),
        flag=Bool(),
        fixed=Constant(3),
    )
    history = asked(space, [[3.0, 1.0], [2.0], [math.nan], [0.5, 0.25, 0.75]])
    found = trial_columns(history)
    assert found["value"] == [1.0, 2.0, None, 0.25]
    assert found["best_step"] == [2, 1, 0, 2]
    assert found["step"] == [2, 1, 1, 3]
    names = ["rate", "units", "kind", "kind.a.inner", "flag"]
    assert list(found["hyperparameters"]) == names
    assert [h["name"] for h in described(space)] == names
    for name, column in found["hyperparameters"].items():
        for trial, value in zip(history.trials, column, strict=True):
            given = trial.configuration.get(name)
            if name == "kind":
                assert ["a", "b"][value] == given
            elif name == "flag":
                assert [False, True][value] == given
            elif given is None:
                assert value is None
            else:
                assert value == pytest.approx(given, rel=1e-5)
    only = trial_columns(history, [3, 1])
    assert only["number"] == [3, 1]
    assert only["value"] == [0.25, 2.0]


def test_values_of_a_space_that_has_changed_since() -> None:
    store = MemoryStore()
    space = Space(kind=Choice("a", "b"), x=Float(0, 1))
    study = luthier.open("s", space, minimize="loss", storage=store, scheduler=None)
    for _ in range(6):
        study.tell(study.ask(), loss=1.0)
    tried = [t.configuration["kind"] for t in study.trials]
    study.steer.space(Space(kind=Choice("b", "c"), y=Float(0, 1)))
    found = trial_columns(study.refresh())["hyperparameters"]
    assert found["kind"] == [{"a": -1, "b": 0}[value] for value in tried]
    assert found["y"] == [None] * 6


def test_long_curves_keep_their_ends_and_their_extremes() -> None:
    losses = [math.sin(i / 7) + 2 for i in range(5000)]
    losses[2345], losses[777] = -9.0, 99.0
    history = asked(Space(x=Float(0, 1)), [losses, [1.0, 2.0]])
    found = curves(history, ["loss"])
    steps, values = found["steps"][0], found["values"]["loss"][0]
    assert len(steps) <= 402
    assert (steps[0], steps[-1]) == (1, 5000)
    assert (min(values), max(values)) == (-9.0, 99.0)
    assert found["steps"][1] == 2, "1 to 2"
    assert found["values"]["loss"][1] == [1.0, 2.0]


def test_of_very_many_trials_the_best_are_among_those_drawn() -> None:
    losses = [[float((i * 7919) % 1009)] for i in range(1000)]
    history = asked(Space(x=Float(0, 1)), losses)
    numbers = chosen(history)
    assert len(numbers) == MOST_CURVES
    assert numbers == sorted(set(numbers))
    assert {t.number for t in history.ranking()[:100]} <= set(numbers)


@pytest.fixture(scope="module")
def hyperband() -> tuple[MemoryStore, History]:
    store = MemoryStore()
    luthier.tune(
        train,
        SPACE,
        minimize="val_loss",
        name="s",
        storage=store,
        scheduler="hyperband",
        searcher="random",
        epochs=9,
        max_epochs=90,
    )
    return store, luthier.open("s", storage=store).history


def test_the_ladder_tells_what_hyperband_did(hyperband: tuple[MemoryStore, History]) -> None:
    """Nine trials to epoch 1, three to 3, one to 9, as the paper's bracket s=2 for R=9."""
    _, history = hyperband
    first = ladder_page(history)["brackets"][0]
    assert (first["spent"], first["full"]) == (9 + 3 * 2 + 6, 81)
    assert [r["step"] for r in first["rungs"]] == [1, 3, 9]
    assert [r["planned"] for r in first["rungs"]] == [9, 3, 1]
    assert [r["arrived"] for r in first["rungs"]] == [9, 3, 1]
    assert [r["promoted"] for r in first["rungs"]] == [3, 1, 0]
    lowest = first["rungs"][0]
    assert lowest["fate"][:3] == ["promoted"] * 3, "the best three go on"
    assert set(lowest["fate"][3:]) == {"stopped"}
    assert lowest["cut"] == lowest["value"][2]
    assert first["rungs"][2]["fate"] == ["ended"]


def test_the_chronicle_adds_up(hyperband: tuple[MemoryStore, History]) -> None:
    store, history = hyperband
    known = Chronicle()
    known.follow(store, "s", history.cursor)
    page = chronicle_page(known, history)
    assert known.epochs == history.epochs
    assert page["burn"]["epochs"][-1] == history.epochs
    trained = [b - a for a, b in zip(page["jobs"]["from"], page["jobs"]["to"], strict=True)]
    assert sum(trained) == history.epochs
    assert all(end is not None for end in page["jobs"]["end"])
    best = history.best
    assert best is not None
    assert page["best"]["trial"][-1] == best.number
    values = page["best"]["value"]
    assert values == sorted(values, reverse=True)
    assert page["feed"][-1]["kind"] == "created"


def test_the_chronicle_goes_on_where_it_was(hyperband: tuple[MemoryStore, History]) -> None:
    store, history = hyperband
    whole, parts = Chronicle(), Chronicle()
    whole.follow(store, "s", history.cursor)
    for stop in (1, 7, 100, history.cursor):
        parts.follow(store, "s", stop)
    assert chronicle_page(parts, history) == chronicle_page(whole, history)


def test_a_worker_that_vanished_is_told_from_one_that_gave_its_job_back() -> None:
    holder = [ev.Holder("host", "boot", "ns", pid, "0", 1) for pid in (1, 2)]
    space = Space(x=Float(0, 1))
    header = ev.StudyCreated(
        time=100.0, format=1, name="s", metric="loss", direction="minimize", space=space.to_dict(),
        seed=0, searcher={"name": "random"}, scheduler={"name": "full"}, luthier="0",
    )  # fmt: skip
    leased = {"trial": 0, "from_step": 0, "to_step": 9}
    log: list[ev.AnyEvent] = [
        header,
        ev.TrialProposed(time=100.0, trial=0, configuration={"x": 0.5}, seen=1),
        ev.JobLeased(time=101.0, lease=1, holder=holder[0], **leased),
        ev.Reported(time=102.0, trial=0, lease=1, step=1, metrics={"loss": 1.0}),
        ev.WorkerLost(time=110.0, trial=0, lease=1, cause="killed"),
        ev.JobLeased(time=111.0, lease=2, holder=holder[1], **leased),
        ev.Reported(time=112.0, trial=0, lease=1, step=2, metrics={"loss": 0.1}),  # too late
        ev.Reported(time=113.0, trial=0, lease=2, step=1, metrics={"loss": 0.9}),
        ev.JobReleased(time=114.0, trial=0, lease=2, reason="", cause="preempted"),
        ev.JobLeased(time=115.0, lease=3, holder=holder[1], **leased),
        ev.TrialFailed(
            time=116.0, trial=0, lease=3, step=1, kind="out of memory", message="too large"
        ),
        ev.TrialRequeued(time=116.5, trial=0, reason="half the batch", cause="out of memory"),
        ev.JobLeased(time=117.0, lease=4, holder=holder[0], **leased),
        ev.TrialPaused(time=118.0, trial=0, lease=4, step=1),
        ev.JobLeased(time=119.0, lease=5, holder=holder[0], **leased),
    ]
    history, known = History(), Chronicle()
    for number, event in enumerate(log, 1):
        history.apply(number, event)
        known.apply(number, event)
    page = chronicle_page(known, history)
    assert page["workers"] == ["host:1", "host:2"]
    assert page["jobs"]["how"] == ["lost", "preempted", "failed", "paused", ""]
    assert page["jobs"]["begin"] == [1.0, 11.0, 15.0, 17.0, 19.0]
    assert page["jobs"]["end"] == [10.0, 14.0, 16.0, 18.0, None]
    assert page["jobs"]["again"] == ["", "lost", "preempted", "out of memory", ""]
    assert page["burn"]["epochs"][-1] == 2, "the late report trained nothing that counts"
    assert [e["kind"] for e in page["feed"]] == ["requeued", "failed", "lost", "created"]
    about = [log[number - 1] for number in known.numbers_about(0)]
    assert about == [event for event in log[1:] if not isinstance(event, ev.Reported)]
    told = [of_trial(event) for event in about]
    assert told[0] == {"kind": "proposed", "text": "proposed"}
    assert told[1] == {"kind": "leased", "text": "given to host:1, epochs 1 to 9"}
    assert all(told), "every one of them has its words"
    assert known.numbers_about(1) == []


def test_every_page_is_json(hyperband: tuple[MemoryStore, History]) -> None:
    _, history = hyperband
    for answer in (
        summary(history),
        listed("s", history),
        trial_columns(history),
        ladder_page(history),
        curves(history, ["val_loss", "loss", "no such metric"]),
        *(trial_page(history, n) for n in range(len(history.trials))),
    ):
        assert as_json(answer).startswith(b"{")


def test_a_trial_knows_its_place_and_its_rivals(hyperband: tuple[MemoryStore, History]) -> None:
    _, history = hyperband
    best = history.ranking()[0].number
    page = trial_page(history, best)
    assert (page["rank"], page["of"]) == (1, len(history.ranking()))
    assert best not in page["rivals"]["trials"]
    assert len(page["rivals"]["trials"]) == 5
    worst = trial_page(history, history.ranking()[-1].number)
    assert {row["name"] for row in worst["configuration"]} == set(
        history.ranking()[-1].configuration
    )
    assert "learning_rate:" in page["yaml"]


def test_the_surrogate_is_told_in_values_that_the_page_can_place(
    hyperband: tuple[MemoryStore, History],
) -> None:
    _, history = hyperband
    rows = {row["name"]: row for row in lesson(history, "surrogate", "")["rows"]}
    assert list(rows) == list(history.space.searched)
    rate = rows["learning_rate"]
    assert (rate["at"][0], rate["at"][-1]) == pytest.approx((1e-5, 1.0))
    assert rows["optimizer"]["at"] == [0, 1]
    both = lesson(history, "contour", '["units", "optimizer"]')
    assert both["names"] == ("units", "optimizer")
    assert both["up"] == [0, 1]
    assert len(both["mean"]) == 2
    assert len(both["mean"][0]) == len(both["across"])
    for bad in ("", "[]", '["units", "units"]', '["units", "nothing"]', "[1, 2]"):
        assert "why_not" in lesson(history, "contour", bad)
    assert lesson(asked(Space(x=Float(0, 1)), []), "surrogate", "")["rows"] == []


def test_a_range_test_is_read_from_the_log() -> None:
    store = MemoryStore()
    study = luthier.open("s", Space(x=Float(0, 1)), minimize="loss", storage=store)
    assert "why_not" in lesson(study.refresh(), "range", "")
    range_test(study)
    found = lesson(study.refresh(), "range", "")
    assert len(found["rates"]) == len(found["smoothed"]) == len(found["sweeps"][0])
    marks = found["marks"]
    assert marks["low"] < marks["suggestion"] < marks["high"]
    assert "To search" in found["words"]
    study.set_attribute("range test", {"rates": "nonsense", "losses": 3})
    assert "why_not" in lesson(study.refresh(), "range", "")


def test_a_study_against_others(hyperband: tuple[MemoryStore, History]) -> None:
    _, history = hyperband
    found = against("s", history)
    assert history.best is not None
    assert found["progress"]["values"][-1] == pytest.approx(history.best.best_loss, rel=1e-5)
    assert found["progress"]["numbers"][-1] == history.best.number
    assert set(found["space"]) == set(history.space.domains)
    assert found["settings"]["scheduler"].startswith("hyperband")
    empty = against("e", asked(Space(x=Float(0, 1)), []))
    assert empty["progress"]["values"] == []
    assert empty["configuration"] == {}
    assert as_json([found, empty])


def bounded(values: list[tuple[float, float]]) -> History:
    """Return a study of losses and latencies, of which 20 is the most that is allowed."""
    store = MemoryStore()
    study = luthier.open(
        "s", Space(x=Float(0, 1)), minimize="loss", subject_to="latency <= 20", storage=store,
        scheduler=None, searcher="random",
    )  # fmt: skip
    for loss, latency in values:
        study.tell(study.ask(), loss=loss, latency=latency)
    return study.refresh()


def test_what_was_never_measured_breaks_its_bound_on_the_page_too() -> None:
    history = bounded([(3.0, 10.0), (1.0, math.nan), (2.0, 40.0)])
    found = trial_columns(history)["violation"]
    assert found == [0.0, pytest.approx(1e300), 1.0]
    assert trial_columns(asked(Space(x=Float(0, 1)), [[1.0]]))["violation"] == []


def test_the_best_so_far_is_none_that_breaks_a_bound() -> None:
    history = bounded([(3.0, 10.0), (1.0, 40.0), (2.0, 5.0), (0.5, math.nan)])
    assert sparks(history) == [3.0, 3.0, 2.0, 2.0]
    assert sparks(bounded([(1.0, 40.0), (2.0, 5.0)])) == [None, 2.0]


def test_whole_numbers_are_sent_whole() -> None:
    """Somebody may try them again."""
    store = MemoryStore()
    study = luthier.open("s", Space(size=Int(1, 2**44)), minimize="loss", storage=store)
    sizes = [1_048_576, 123_456_789, 2**44, 7]
    for size in sizes:
        study.enqueue({"size": size})
        study.tell(study.ask(), loss=1.0)
    assert trial_columns(study.refresh())["hyperparameters"]["size"] == sizes


@pytest.fixture(scope="module")
def raced() -> tuple[MemoryStore, History]:
    store = MemoryStore()
    luthier.tune(
        train, SPACE, minimize="val_loss", name="s", storage=store, scheduler=None,
        searcher="random", epochs=2, max_trials=6, finalists=2, repetitions=3,
    )  # fmt: skip
    return store, luthier.open("s", storage=store).history


def test_repetitions_are_no_trials_of_the_budget(raced: tuple[MemoryStore, History]) -> None:
    store, history = raced
    again = len(history.repetitions)
    assert again >= 4
    found = summary(history)
    assert (found["trials"], found["repetitions"], found["max_trials"]) == (6 + again, again, 6)
    assert found["plan"]["trials"] == 6
    assert found["plan"]["epochs"] == 6 * 2 + 2 * 3 * 2, "the race's epochs, too"
    known = Chronicle()
    known.follow(store, "s", history.cursor)
    page = chronicle_page(known, history)
    assert page["finished"]["trials"] == [1, 2, 3, 4, 5, 6]


def test_the_plan_of_trainings_of_unknown_length_has_no_epochs() -> None:
    study = luthier.open(
        "s", Space(x=Float(0, 1)), minimize="loss", storage=MemoryStore(), max_trials=50
    )
    plan = summary(study.history)["plan"]
    assert (plan["trials"], plan["epochs"], plan["lines"]) == (50, None, ["50 trials"])


def test_the_plan_leaves_epochs_for_the_race() -> None:
    """Of 60 epochs a third at most is kept for a race of 2 finalists, 10 times 2 epochs each."""
    store = MemoryStore()
    study = luthier.open(
        "s", Space(x=Float(0, 1)), minimize="loss", storage=store, scheduler=None, epochs=2,
        max_epochs=60, searcher="random",
    )  # fmt: skip
    plan = plan_of(study.refresh())
    assert plan is not None
    assert (plan.trials, plan.epochs) == (30, 60)
    study.steer.race(2, 10)
    plan = plan_of(study.refresh())
    assert plan is not None
    assert [b.epochs for b in plan.brackets] == [40, 20]
    assert summary(study.history)["plan"]["trials"] == 20


@pytest.mark.filterwarnings(
    "ignore:Trial . is paused at epoch 1, and its reports come from outside"
)
def test_the_place_of_an_arrival_is_among_all_who_arrived() -> None:
    store = MemoryStore()
    study = luthier.open(
        "s", Space(x=Float(0, 1)), minimize="loss", storage=store, searcher="random", scheduler="asha",
        epochs=9,
    )  # fmt: skip
    for i in range(400):
        trial = study.ask()
        trial.report(loss=float(i))
    bracket = ladder_page(study.refresh())["brackets"][0]
    lowest = bracket["rungs"][0]
    assert lowest["arrived"] > 200
    assert len(lowest["place"]) == len(lowest["trial"]) == 200
    ranked = sorted((t for t in study.trials if t.steps), key=lambda t: (t.losses[0], t.number))
    assert [ranked[place - 1].number for place in lowest["place"]] == lowest["trial"]
    assert lowest["place"][:100] == list(range(1, 101))
    assert lowest["place"][-1] > 200


def test_mishaps_do_not_push_out_what_people_did() -> None:
    store = MemoryStore()
    study = luthier.open("s", Space(x=Float(0, 1)), minimize="loss", storage=store, scheduler=None)
    study.steer.by("Ada").note("mind the rates")
    for _ in range(400):
        study.tell(study.ask(), loss=math.nan)
    known = Chronicle()
    known.follow(store, "s", study.refresh().cursor)
    feed = chronicle_page(known, study.history)["feed"]
    kinds = [e["kind"] for e in feed]
    assert kinds.count("diverged") == 300
    assert {"note", "created"} <= set(kinds)
    numbers = [e["number"] for e in feed]
    assert numbers == sorted(numbers, reverse=True)


def test_a_configuration_is_told_as_python_that_runs() -> None:
    values = {"rate": math.inf, "odd name": -math.inf, "shape": (3, 3), "kind": "a'b", "x": None}
    assert eval(written(values)) == values
    assert written({}) == "{}"


def test_too_few_trials_for_the_edges_are_told_as_such() -> None:
    space = Space(x=Float(0, 1))
    few = lesson(asked(space, [[float(i)] for i in range(9)]), "boundary", "")
    assert few["rows"] == []
    assert few["why_not"].startswith("Too few trials to tell whether an edge is crowded (9 of 10)")
    middle = asked(space, [[0.0]] * 12)
    assert "why_not" not in lesson(middle, "boundary", "")
