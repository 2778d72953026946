"""A study that may widens its space where the best trials crowd an edge; one that may not does not."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.run.test_simulation import told as known

from luthier.errors import StudyError
from luthier.run.opening import made_parts, open_study
from luthier.run.simulation import simulate
from luthier.search.staged import Stages
from luthier.search.widening import due
from luthier.space import Bool, Float, Int, Space
from luthier.study import events as ev
from luthier.study.history import fold
from luthier.study.log import read_log
from luthier.study.replay import replay
from luthier.study.snapshot import decode, encode

OUTSIDE = Space(
    learning_rate=Float(1e-5, 1e-2, scale="log"),
    momentum=Float(0.5, 0.99, scale="one_minus_log"),
    units=Int(16, 128, scale="log"),
    dropout=Float(0.0, 0.5),
)


def loss(c, step):
    """A net whose best rate is 0.1, tenfold what the space has, and that wants 400 units."""
    rate, units = math.log10(c["learning_rate"]) + 1, math.log2(c["units"] / 400)
    rest = (c["dropout"] - 0.2) ** 2 + (c["momentum"] - 0.9) ** 2
    return 0.1 * rate**2 + 0.02 * units**2 + 0.1 * rest + 0.3 / step


def run(space=OUTSIDE, objective=loss, **options):
    options = {"epochs": 3, "max_trials": 30, "workers": 1, "scheduler": None, **options}
    return simulate(objective, space, minimize="loss", **options).study


def widenings(study):
    return [e for _, e in read_log(study.store, study.name) if isinstance(e, ev.SpaceChanged)]


def checked(study):
    """Check that the log replays, and that a snapshot and a fold know the same of it."""
    log = list(read_log(study.store, study.name))
    assert replay(log, *made_parts(study.history.header), due).difference == ""
    history = fold(log)
    for other in (study.history, decode(encode(history))):
        assert repr(known(other)) == repr(known(history))
    return history


def test_an_optimum_outside_is_reached_and_old_trials_are_kept():
    free, bound = run(widen=True), run()
    assert widenings(bound) == []
    assert bound.space == OUTSIDE
    changes = checked(free).changes
    assert all(record.change.itself and record.first % 10 == 0 for record in changes)
    reasons = " ".join(record.change.reason for record in changes)
    assert "learning_rate: " in reasons
    assert "units: " in reasons
    assert free.space["learning_rate"].high > 1e-2
    assert free.space["units"].high > 128
    assert free.best_value < bound.best_value - 0.05
    assert len(free.trials) == 30
    assert all(free.space.encode(trial.configuration) is not None for trial in free.trials)


def test_an_optimum_inside_leaves_the_space_as_it_is():
    def inside(c, step):
        rate = (math.log10(c["learning_rate"]) + 3.5) ** 2
        return (
            rate + (c["momentum"] - 0.9) ** 2 + math.log2(c["units"] / 48) ** 2 + c["dropout"] / 9
        )

    for searcher in ("random", Stages()):
        study = run(objective=inside, widen=True, searcher=searcher)
        assert widenings(study) == []


def test_ends_that_make_sense_are_never_passed():
    def towards_one(c, step):
        return 3 - c["momentum"] - c["dropout"] - c["warmup"]

    space = Space(
        momentum=Float(0.5, 0.9, scale="one_minus_log"),
        dropout=Float(0.0, 0.5),
        warmup=Float(0.0, 0.5),
        flag=Bool(),
    )
    study = run(space, towards_one, widen=True, max_trials=100, searcher="tpe")
    assert len(widenings(study)) >= 2
    assert study.space["momentum"].high < 1
    assert 0.5 < study.space["dropout"].high <= 0.95
    assert 0.5 < study.space["warmup"].high <= 1
    assert study.space["flag"] == Bool()
    assert all(t.configuration["momentum"] < 1 for t in study.trials)


def test_it_does_not_widen_when_nothing_is_left_to_try_it_in():
    def steep(c, step):
        return -math.log10(c["learning_rate"])

    study = run(objective=steep, searcher="random", max_trials=80)
    study.steer.widen(True)
    found = due(study.refresh(), 5)
    assert found is not None
    assert found.itself
    assert due(study.refresh(), 4) is None
    study.steer.space(Space.from_dict(found.space))
    assert due(study.refresh(), 5) is None  # nothing new has been tried since


@settings(max_examples=5, deadline=None)
@given(
    searcher=st.sampled_from(["auto", "random", "tpe", Stages(), Stages(order="ng")]),
    scheduler=st.sampled_from([None, "median", "asha", "hyperband"]),
    workers=st.sampled_from([1, 3, 20]),
    failures=st.sampled_from([0.0, 0.2]),
    seed=st.integers(0, 100),
)
def test_whatever_happens_the_log_replays(searcher, scheduler, workers, failures, seed):
    study = run(
        searcher=searcher,
        scheduler=scheduler,
        workers=workers,
        failures=failures,
        cut_off=failures,
        max_trials=24,
        widen=True,
        seed=seed,
    )
    checked(study)


def test_processes_side_by_side_widen_once_and_one_that_is_killed_goes_on(tmp_path):
    def opened():
        return open_study(
            "s", OUTSIDE, minimize="loss", searcher="tpe", max_trials=45, storage=tmp_path / "l.db"
        )

    opened().steer.widen(True)
    studies = [opened(), opened()]
    for turn in range(45):
        study = opened() if turn % 10 == 0 else studies[turn % 2]
        trial = study.ask()
        study.tell(trial, loss=-math.log10(trial["learning_rate"]))
    for study in studies:
        study.close()
    firsts = [record.first for record in checked(opened()).changes]
    assert firsts
    assert len(set(firsts)) == len(firsts)
    assert opened().space["learning_rate"].high > 1e-2


def test_stages_widen_what_is_harmless_once_a_side_and_more_when_they_may():
    by_default, forbidden = run(searcher=Stages()), run(searcher=Stages(), widen=False)
    assert widenings(forbidden) == []
    assert forbidden.space == OUTSIDE
    history = checked(by_default)
    assert history.space["learning_rate"].high == pytest.approx(0.1)
    assert history.space["units"] == OUTSIDE["units"]  # a larger net costs more than was asked for
    assert history.changes[0].first == history.stages[1].first == history.stages[0].trials
    assert "still gets better towards it; widened to 0.1" in history.changes[0].change.reason
    assert by_default.best_value < forbidden.best_value
    allowed = checked(run(searcher=Stages(order="ng"), widen=True))
    assert allowed.space["units"].high > 128


def test_a_stage_does_not_widen_where_trials_diverge():
    def cliff(c, step):
        diverges = c["learning_rate"] > 0.006
        return math.nan if diverges else loss(c, step)

    assert run(objective=cliff, searcher=Stages()).space["learning_rate"].high == 1e-2


def test_who_may_widen_is_an_event():
    study = run(max_trials=2)
    assert study.history.widening is None
    study.steer.widen(True, "try it")
    study.steer.widen(True)
    study.steer.by("Ann").widen(False)
    said = [e for _, e in read_log(study.store, study.name) if isinstance(e, ev.WideningSet)]
    assert [(e.allowed, e.reason, e.who) for e in said] == [
        (True, "try it", ""),
        (False, "", "Ann"),
    ]
    with pytest.raises(StudyError, match="widen must be True or False, got 1"):
        study.steer.widen(1)
    grid = run(Space(x=Int(1, 30)), lambda c, _: c["x"], searcher="grid", max_trials=2)
    with pytest.raises(StudyError, match="searcher 'grid', whose points would all move"):
        grid.steer.widen(True)
