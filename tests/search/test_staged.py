"""Stages where something is out of the ordinary: all diverges, names are short, a stage has two values."""

from __future__ import annotations

import math

import numpy as np
import pytest

from luthier.errors import StudyFinished
from luthier.run.opening import open_study
from luthier.run.simulation import simulate
from luthier.search.columns import columns_of
from luthier.search.staged import Stages
from luthier.search.staged.concluding import conclusion
from luthier.search.staged.effects import best_along, evidence, importance
from luthier.search.staged.starting import clipped
from luthier.space import Bool, Choice, Constant, Float, Int, Space
from luthier.study import events as ev
from luthier.study.protocols import Done

RATE = Float(1e-5, 1.0, scale="log")


def run(space, objective, trials=24, *, searcher=None, **options):
    options = {"epochs": 1, "workers": 1, "minimize": "loss", "max_trials": trials, **options}
    return simulate(objective, space, searcher=searcher or "stages", **options).study.history


def opened_study(space, trials=30, **options):
    options = {"minimize": "loss", "searcher": "stages", "storage": "memory", **options}
    return open_study("s", space, max_trials=trials, **options)


def trained(study, objective, count):
    for _ in range(count):
        trial = study.ask()
        study.tell(trial, loss=objective(trial.configuration))
    return study.history


# -- all diverges ----------------------------------------------------------------------------------


def picky(c, step):
    """Only the lowest rates do not diverge."""
    rate = math.log10(c["learning_rate"])
    return 1 + (rate + 5) ** 2 + abs(c["units"] - 40) / 40 if rate < -4.85 else math.nan


@pytest.mark.parametrize(
    ("order", "times"), [("one by one", 2), (["units", "learning rate"], 1)], ids=["rate", "units"]
)
def test_while_all_diverges_the_learning_rate_is_looked_for_in_all_of_its_range(order, times):
    space = Space(learning_rate=RATE, units=Int(16, 64))
    history = run(space, picky, 60, searcher=Stages(order=order, adapts=False))
    found = next(t.number for t in history.trials if math.isfinite(t.best_loss))
    early = [stage for stage in history.stages if stage.first <= found]
    later = [stage.name for stage in history.stages if stage.first > found]
    assert sum(stage.name == "learning rate" for stage in early) == times
    assert later[:1] == ["units"]
    assert all(stage.begun.narrowed == {} for stage in early)
    again = [stage for stage in early if stage.begun.reason.startswith("again, since no trial")]
    assert len(again) == times - 1
    without = [s.conclusion for s in early if s.concluded.best < 0]
    assert all("none has a finite loss. Nothing is fixed yet." in words for words in without)


def test_where_nothing_is_ever_found_the_end_looks_everywhere():
    space = Space(learning_rate=RATE, units=Int(16, 64))
    history = run(space, lambda c, step: math.nan, 20)
    assert {stage.name for stage in history.stages[:-1]} == {"learning rate"}
    assert history.stages[-1].begun.narrowed == {}


# -- start and roles -------------------------------------------------------------------------------


BRANCHES = Space(
    optimizer=Choice({"sgd": Space(lr=RATE), "adam": Space(lr=RATE)}), units=Int(16, 64)
)


def fine(c, step):
    rate = next(value for name, value in c.items() if name.endswith("lr"))
    return (math.log10(rate) + 3.5) ** 2 + c["units"] / 100


@pytest.mark.parametrize("trials", [5, 20])
def test_a_range_to_begin_in_is_found_by_its_short_name_and_cut_to_the_space(trials):
    history = run(BRANCHES, fine, trials, searcher=Stages(start={"lr": (1e-7, 1e-3)}))
    first = history.stages[0]
    ends = (1e-5, 1e-3)
    assert first.begun.narrowed == {"optimizer.sgd.lr": ends, "optimizer.adam.lr": ends}
    assert first.name == ("all together" if trials == 5 else "learning rate")
    rates = [
        v for t in history.trials[: first.trials] for n, v in t.configuration.items() if "lr" in n
    ]
    assert max(rates) <= 1e-3 * (1 + 1e-9)
    assert rates[0] == pytest.approx(1e-4)


def test_code_may_ask_later_for_what_the_start_names():
    searcher = Stages(start={"lr": (1e-4, 1e-3)}, roles={"width": "units"})
    for trials in (3, 12):
        study = opened_study(Space(), trials, searcher=searcher, define_by_run=True)
        for _ in range(trials):
            trial = study.ask()
            rate = trial.hp.float("lr", 1e-5, 1.0, scale="log")
            trial.hp.int("width", 16, 64)
            study.tell(trial, loss=abs(math.log10(rate) + 3.5))
        assert isinstance(study.next_job(), Done)


def test_a_domain_that_shrinks_in_the_middle_of_a_stage_cuts_the_stages_range():
    study = opened_study(
        Space(lr=RATE, units=Int(16, 64)), searcher=Stages(start={"lr": (1e-4, 1e-2)})
    )
    trained(study, lambda c: fine(c, 1), 2)
    study.steer.space(Space(lr=Float(1e-3, 1.0, scale="log"), units=Int(16, 64)))
    later = trained(study, lambda c: fine(c, 1), 2).trials[2:]
    assert all(1e-3 <= trial.configuration["lr"] <= 1e-2 for trial in later)


@pytest.mark.parametrize(
    ("domain", "given", "expected"),
    [
        (RATE, (1e-9, 0.1), (1e-5, 0.1)),
        (Int(1, 9), (2.5, 6.5), (3, 6)),
        (Int(8, 64, step=8), (0, 30), (8, 24)),
        (Int(1, 1024, scale="log"), (3, 1e9), (3, 1024)),
        (Float(0.0, 1.0, step=0.1), (0.25, 0.7), (0.3, 0.7)),
        (Float(0.0, 1.0, step=0.5), (0.1, 0.4), None),
        (RATE, (2.0, 3.0), None),
        (Bool(), (0, 1), None),
    ],
)
def test_ranges_are_cut_to_what_a_domain_holds(domain, given, expected):
    assert clipped(domain, *given) == expected


def test_a_rate_by_another_name_is_live_and_widens_as_one():
    space = Space(c_17=Float(1e-5, 1e-2, scale="log"), units=Int(16, 64), lr=Float(0.0, 1.0))
    history = run(
        space,
        lambda c, step: 0.1 * (math.log10(c["c_17"]) + 1) ** 2 + 0.1 * c["units"] / 64,
        30,
        searcher=Stages(roles={"c_17": "learning rate", "lr": "others"}),
    )
    assert history.stages[0].hyperparameters == ["c_17"]
    assert all(stage.begun.live == ["c_17"] for stage in history.stages[1:-1])
    assert "c_17 stays live round" in history.stages[0].conclusion
    assert len(history.stages) > 2
    (change,) = history.changes
    assert "c_17" in change.change.reason
    assert history.space["c_17"].high > 1e-2


# -- trials that a stage does not count ------------------------------------------------------------


def test_the_defaults_are_trained_though_another_trial_was_asked_for_first():
    space = Space(learning_rate=RATE, units=Int(16, 64))
    study = opened_study(space)
    study.enqueue({"learning_rate": 0.5, "units": 20})
    history = trained(study, lambda c: c["learning_rate"], 3)
    assert [t.configuration == space.default() for t in history.trials] == [False, True, False]
    again = opened_study(space)
    again.enqueue(space.default())
    history = trained(again, lambda c: c["learning_rate"], 3)
    assert [t.configuration == space.default() for t in history.trials] == [True, False, False]


def test_a_stage_ends_with_its_last_configuration():
    space = Space(units=Int(16, 64), layers=Int(1, 2), shuffle=Bool())
    order = [["units"], ["shuffle"], ["layers"]]
    history = run(
        space,
        lambda c, step: abs(c["units"] - 40) - c["shuffle"] - c["layers"],
        40,
        searcher=Stages(order=order, adapts=False),
    )
    _, shuffle, layers, last = history.stages
    assert (shuffle.trials, layers.trials) == (
        1,
        1,
    )  # the other value of each is in the best so far
    for stage, name in ((shuffle, "shuffle"), (layers, "layers")):
        own = [t for t in history.trials if t.stage == stage.begun.stage]
        for trial in own:
            rest = {k: v for k, v in trial.configuration.items() if k != name}
            assert rest == {k: v for k, v in stage.begun.around.items() if k != name}
    assert last.begun.reason == "every stage is done: what was set one by one is looked at again"


def test_a_stage_whose_configurations_somebody_else_tries_is_over():
    space = Space(units=Int(16, 64), kind=Choice("a", "b", "c", "d", "e"))
    study = opened_study(space, 60, searcher=Stages(order=["kind", "units"]))
    for kind in "bcd":
        study.enqueue({"kind": kind, "units": space.default()["units"]})
    history = trained(study, lambda c: abs(c["units"] - 40) + ord(c["kind"]), 6)
    assert [stage.name for stage in history.stages] == ["kind", "units"]
    assert history.stages[0].trials == 2


def test_a_stage_with_nothing_new_is_skipped():
    space = Space(units=Int(16, 64), shuffle=Bool())
    study = opened_study(space, searcher=Stages(order=["units", "shuffle"], adapts=False))
    study.enqueue({"units": 40, "shuffle": False})
    study.enqueue({"units": 40, "shuffle": True})
    history = trained(study, lambda c: abs(c["units"] - 40), 14)
    assert [stage.name for stage in history.stages] == ["units", "all together"]
    assert "shuffle skipped: nothing new is left to try" in history.stages[-1].begun.reason


def test_stages_after_a_race_are_concluded_from_their_own_trials(tmp_path):
    space = Space(learning_rate=RATE, units=Int(16, 64), layers=Int(1, 4))

    def objective(c):
        return (math.log10(c["learning_rate"]) + 2) ** 2 + abs(c["units"] - 40) / 20

    for trials in (14, 44):
        study = opened_study(
            space,
            trials,
            storage=tmp_path / "s.db",
            epochs=1,
            scheduler=None,
            searcher=Stages(joint=0.3),
        )
        if trials == 14:
            study.steer.race(2, 5)
        with pytest.raises(StudyFinished):
            trained(study, objective, 99)
    history = study.history
    assert history.repetitions
    later = [stage for stage in history.stages if stage.first > min(history.repetitions)]
    assert len(later) > 1
    for stage in history.stages:
        assert stage.conclusion.startswith(f"{stage.trials} trial")
    for stage in later:  # what was best before it is the best of all trials before it
        own = [t.best_loss for t in history.trials if t.stage == stage.begun.stage]
        before = min(t.best_loss for t in history.trials[: stage.first])
        if min(own) >= before:
            assert f"none is better than loss {before:.4g}" in stage.conclusion
        else:
            assert f"loss {before:.4g} -> {min(own):.4g}" in stage.conclusion


# -- a space that changes in the middle of a stage --------------------------------------------------


def in_the_middle(before, after, count=12, **options):
    """Return a study in a stage, its space changed, and the words that would end it."""
    study = opened_study(before, 60, searcher=Stages(adapts=False, **options))
    trained(study, lambda c: fine(c, 1), count)
    study.steer.space(after)
    history, searcher = study.history, study.searcher
    settings = searcher._settings(history.space)
    stage = history.stages[-1]
    return study, stage, conclusion(history, history.space, stage, settings, importance)


def test_a_hyperparameter_that_was_added_has_its_default_in_older_trials():
    before = Space(lr=RATE, units=Int(16, 64))
    study = opened_study(before, 60, searcher=Stages(adapts=False))
    trained(study, lambda c: fine(c, 1), 10)
    study.steer.space(Space(**before.domains, momentum=Float(0.0, 0.99)))
    history = trained(study, lambda c: fine(c, 1) + 100 * ("momentum" in c), 20)  # the best is old
    stage = next(stage for stage in history.stages if stage.name == "momentum")
    assert "momentum" not in history.best.configuration
    assert "momentum: worst to best" in stage.conclusion


def test_a_live_rate_that_became_a_constant_ends_no_stage_in_an_error():
    before = Space(lr=RATE, units=Int(16, 64), layers=Int(1, 4))
    study, stage, end = in_the_middle(before, Space(**{**before.domains, "lr": Constant(1e-3)}))
    assert stage.begun.live == ["lr"]
    assert isinstance(end, ev.StageConcluded)
    history = trained(study, lambda c: fine(c, 1), 20)
    assert len(history.stages) > 2


# -- what was learned ------------------------------------------------------------------------------


def test_whole_numbers_on_a_log_scale_are_looked_at_where_they_lie():
    space = Space(units=Int(1, 12, scale="log"), lr=Float(0.0, 1.0))
    study = opened_study(space, 40, searcher="random")
    history = trained(study, lambda c: (c["units"] - 3) ** 2 + c["lr"], 30)
    known = evidence(history, space)
    base = np.array([0.5, 0.5])
    places = known.along(0, base)[:, 0]
    assert [space["units"].decode(p) for p in places] == list(range(1, 13))
    assert np.allclose([space["units"].encode(u) for u in range(1, 13)], places)
    assert space["units"].decode(best_along(known, 0, base, 0.0, 1.0)) == 3
    between = space["units"].encode(2) + 0.02
    assert best_along(known, 0, base, between, between + 0.01) in (between, between + 0.01)


def dear(c, step):
    cost = 50_000 + 8_000 * (math.log10(c["learning_rate"]) + 1.5) ** 2
    return {"cost": cost, "size": float(c["units"]), "latency": 30 + cost / 1e5}


@pytest.mark.parametrize(
    "goals",
    [{"minimize": ["cost", "size"]}, {"minimize": "cost", "subject_to": "latency <= 10"}],
    ids=["objectives", "constraint"],
)
def test_large_numbers_of_the_first_objective_make_nothing_dead(goals):
    space = Space(learning_rate=RATE, units=Int(16, 256, scale="log"))
    history = run(space, dear, 24, **goals)
    first, last = history.stages[0], history.stages[-1]
    assert first.name == "learning rate"
    assert "learning_rate: 100% of what matters, best at" in first.conclusion
    assert "worst to best" not in first.conclusion  # which would be no number of the objective
    assert first.concluded.dead == []
    assert "learning_rate" in last.hyperparameters


def test_a_rate_that_makes_no_difference_is_not_live_in_later_stages():
    space = Space(learning_rate=RATE, units=Int(16, 64), layers=Int(1, 9), dropout=Float(0.0, 0.5))
    searcher = Stages([["units", "layers"], "learning rate", "regularisation"], adapts=False)
    history = run(
        space, lambda c, step: c["units"] + c["layers"] + c["dropout"], 60, searcher=searcher
    )
    rate, later = history.stages[1:3]
    assert (rate.name, later.name) == ("learning rate", "regularisation")
    assert rate.concluded.dead == ["learning_rate"]
    assert "learning_rate makes no difference and stays fixed" in rate.conclusion
    assert "stays live" not in rate.conclusion + later.conclusion
    assert later.begun.live == []


def test_a_range_with_three_values_has_an_effect():
    space = Space(lr=RATE, layers=Int(1, 3), deep=Int(0, 1))
    study = opened_study(space, 40, searcher="random")
    history = trained(study, lambda c: c["layers"] + 0.1 * c["deep"] + c["lr"], 20)
    shares = importance(history, space)
    assert shares.keys() == {"lr", "layers", "deep"}
    assert shares["layers"] > 0.5
    assert evidence(history, space).varied() == [0, 1, 2]
    assert columns_of(space).names == ["lr", "layers", "deep"]
