"""Best trials at an edge widen the space; those inside, or at a natural end, do not."""

from __future__ import annotations

import dataclasses
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from taught import taught

import luthier
from luthier.errors import StudyError
from luthier.insight import boundary
from luthier.space.wider import hard_limits, wider
from luthier.study import events as ev
from luthier.study.log import read_log

UNIT = luthier.Float(0.0, 1.0)
SPACE = luthier.Space(
    learning_rate=luthier.Float(1e-3, 1e-1, scale="log"),
    dropout=luthier.Float(0.0, 0.5),
    units=luthier.Int(16, 128, step=16),
)


def outside(c, _):
    """Best at a rate of 1e-4, at 200 units, and without dropout."""
    rate, units = math.log10(c["learning_rate"]) + 4, (c["units"] - 200) / 60
    return rate**2 + 3 * c["dropout"] + units**2


def test_an_optimum_outside_is_seen_and_the_space_widens_towards_it():
    study = taught(SPACE, outside, 200, seed=2)
    found = {f.name: f for f in boundary.check(study)}
    assert found["learning_rate"].side == "low"
    assert found["learning_rate"].to == pytest.approx(1e-4)
    assert found["units"].side == "high"
    assert found["units"].to == 128 + 4 * 16  # half of the range, 56, in whole steps
    wide = boundary.widened(study.space, list(found.values()))
    assert wide["learning_rate"].low == pytest.approx(1e-4)
    assert (wide["units"].low, wide["units"].high, wide["units"].step) == (16, 192, 16)
    assert wide["dropout"] == SPACE["dropout"]  # too few of the best lie at its end to say so
    assert all(wide.encode(t.configuration) is not None for t in study.trials)


def test_a_natural_end_is_seen_and_left_where_it_is():
    space = luthier.Space(dropout=luthier.Float(0.0, 0.5), x=UNIT)
    study = taught(space, lambda c, _: c["dropout"], 150)
    (found,) = boundary.check(study)
    assert (found.name, found.side, found.to) == ("dropout", "low", None)
    assert str(found).endswith("; its natural end: leave it")
    assert boundary.widened(space, [found]) == space
    assert boundary.act(study) == ()
    assert study.space == space


def test_acting_is_an_event_with_a_reason_and_keeps_the_trials():
    study = taught(SPACE, outside, 200, seed=2)
    before = [dict(t.configuration) for t in study.trials]
    moved = boundary.act(study)
    assert {f.name for f in moved} == {"learning_rate", "units"}
    assert study.space["learning_rate"].low == pytest.approx(1e-4)
    assert [t.configuration for t in study.trials] == before
    (change,) = [e for _, e in read_log(study.store, study.name) if isinstance(e, ev.SpaceChanged)]
    assert "best trials lie at the lower end of its range, 0.001" in change.reason
    proposed = [study.ask().configuration["learning_rate"] for _ in range(30)]
    assert min(proposed) < 1e-3
    assert boundary.act(study, ()) == ()


def test_an_optimum_near_an_edge_but_inside_is_left_alone():
    hits = 0
    for seed in range(20):
        study = taught({"x": UNIT, "y": UNIT}, lambda c, _: (c["x"] - 0.08) ** 2, 100, seed=seed)
        hits += any(f.name == "x" for f in boundary.check(study))
    assert hits <= 2
    last_but_one = taught(
        {"n": luthier.Int(1, 8), "y": UNIT}, lambda c, _: abs(c["n"] - 7) + 0.1 * c["y"], 100
    )
    assert boundary.check(last_but_one) == ()


def test_where_nothing_matters_it_finds_nothing_but_as_often_as_it_says():
    hits = 0
    for seed in range(60):
        space = {f"x{i}": UNIT for i in range(4)}
        losses = random.Random(seed).choices(range(1000), k=50)
        study = taught(space, lambda c, n, losses=losses: losses[n], 50, seed=seed)
        hits += bool(boundary.check(study))
    assert hits <= 8  # 5 % of 60 are 3; more than 8 would come about once in 160 times


def test_trials_that_diverged_are_not_among_the_best():
    def curve(c, _):
        return math.nan if c["rate"] > 0.1 else 1 - c["rate"]

    space = {"rate": luthier.Float(1e-4, 1.0, scale="log")}
    assert boundary.check(taught(space, curve, 80)) == ()


def test_a_conditional_hyperparameter_is_judged_by_the_trials_that_have_it():
    sgd = luthier.Space(momentum=luthier.Float(0.5, 0.9, scale="one_minus_log"))
    space = luthier.Space(optimizer=luthier.Choice({"sgd": sgd, "adam": luthier.Space()}))

    def curve(c, n):
        return 1 - c.get("optimizer.sgd.momentum", 1.0)

    study = taught(space, curve, 300)
    (found,) = boundary.check(study)
    assert (found.name, found.side) == ("optimizer.sgd.momentum", "high")
    assert found.to == pytest.approx(
        1 - 0.1 * math.sqrt(0.2), abs=1e-3
    )  # half of the log width out
    wide = boundary.widened(study.space, [found])
    assert wide["optimizer.sgd.momentum"].condition == space["optimizer.sgd.momentum"].condition


@pytest.mark.parametrize(
    ("name", "domain", "low", "high"),
    [
        ("learning_rate", luthier.Float(1e-5, 1e-1, scale="log"), 1e-6, 1.0),
        ("weight_decay", luthier.Float(1e-3, 1e-2, scale="log"), 10**-3.5, 10**-1.5),
        ("momentum", luthier.Float(0.9, 0.999, scale="one_minus_log"), 0.0, 0.9999),
        ("momentum", luthier.Float(0.5, 0.99), 0.255, 1 - 1e-6),
        ("dropout", luthier.Float(0.0, 0.5), None, 0.75),
        ("dropout", luthier.Float(0.1, 0.8), 0.0, 0.95),
        ("label_smoothing", luthier.Float(0.0, 0.2), None, 0.3),
        ("share", luthier.Float(0.2, 1.0), 0.0, None),
        ("temperature", luthier.Float(1.0, 5.0), 0.0, 7.0),
        ("bias", luthier.Float(-1.0, 1.0), -2.0, 2.0),
        ("layers", luthier.Int(1, 5), None, 7),
        ("layers", luthier.Int(0, 4), None, 6),
        ("batch_size", luthier.Int(32, 256, scale="log"), 8, 1024),
        ("batch_size", luthier.Int(1, 4, scale="log"), None, 8),
        ("units", luthier.Int(30, 90, scale="log"), 17, 156),
        ("units", luthier.Int(64, 512, step=64), None, 736),
        ("units", luthier.Int(128, 512, step=64), 64, 704),
        ("size", luthier.Float(0.25, 1.0, step=0.25), 0.0, None),
    ],
)
def test_a_range_grows_on_its_scale_and_stops_at_what_makes_sense(name, domain, low, high):
    hard = hard_limits(name, domain)
    for side, expected in (("low", low), ("high", high)):
        got = wider(domain, side, hard)
        if name == "units" and domain.step == 64:
            assert got is None or (got - domain.low) % 64 == 0
        elif expected is None:
            assert got is None
        else:
            assert got == pytest.approx(expected, rel=5e-3, abs=1e-3)


@given(st.data())
def test_a_wider_range_is_one_and_holds_the_old_one(data):
    low = data.draw(st.floats(1e-6, 0.4))
    high = data.draw(st.floats(low * 1.5, 0.98))
    scale = data.draw(st.sampled_from(["linear", "log", "one_minus_log"]))
    domain = luthier.Float(low, high, scale=scale)
    name = data.draw(st.sampled_from(["momentum", "dropout", "rate", "x", "optimizer.sgd.beta_1"]))
    for side in ("low", "high"):
        to = wider(domain, side, hard_limits(name, domain))
        if to is not None:
            wide = dataclasses.replace(domain, **{side: to})
            assert wide.low <= domain.low <= domain.high <= wide.high
            assert wide != domain


def test_limits_by_hand_and_what_they_refuse():
    study = taught(SPACE, outside, 200, seed=2)
    found = {f.name: f for f in boundary.check(study, limits={"learning_rate": (1e-3, 1.0)})}
    assert found["learning_rate"].to is None
    with pytest.raises(StudyError, match="'rate', which is not searched"):
        boundary.check(study, limits={"rate": (0, 1)})
    with pytest.raises(StudyError, match=r"top must be a share in \(0, 1\), got 20"):
        boundary.check(study, top=20)
    assert boundary.check(taught(SPACE, outside, 4)) == ()


def held_at_an_edge(trials=60, **settings):
    """Return a study in stages whose weight decay makes no difference and has its default at the end."""
    space = luthier.Space(
        learning_rate=luthier.Float(1e-5, 1.0, scale="log"),
        units=luthier.Int(8, 512, scale="log"),
        weight_decay=luthier.Float(1e-6, 1e-1, scale="log", default=1e-6),
    )

    def curve(c, _):
        return (math.log10(c["learning_rate"]) + 2.3) ** 2 + (math.log2(c["units"]) - 6) ** 2 / 9

    return taught(space, curve, trials, searcher="stages", max_trials=trials, **settings)


@pytest.mark.parametrize(("trials", "seed"), [(20, 1), (30, 0), (45, 2)])
def test_where_a_stage_held_a_hyperparameter_says_nothing_of_its_edge(trials, seed):
    assert boundary.check(held_at_an_edge(trials, seed=seed)) == ()


def test_what_makes_no_difference_has_no_crowded_edge():
    study = held_at_an_edge(60, seed=2)
    stage = next(s for s in study.history.stages if s.hyperparameters == ["weight_decay"])
    assert "weight_decay makes no difference and stays fixed" in stage.conclusion
    assert sum(t.configuration["weight_decay"] < 1.1e-6 for t in study.trials) > 50
    assert boundary.check(study) == ()


def test_a_range_that_a_stage_narrowed_is_no_wonder_but_an_optimum_outside_is_found():
    space = luthier.Space(learning_rate=luthier.Float(1e-3, 1.0, scale="log"), units=UNIT)

    def rising(c, _):
        return (math.log10(c["learning_rate"]) + 4) ** 2 + (c["units"] - 0.5) ** 2

    study = taught(space, rising, 40, searcher="stages", max_trials=40)
    study.steer.widen(False)
    found = {f.name: f for f in boundary.check(study)}
    assert "units" not in found
    assert found["learning_rate"].side == "low"
    assert " would hold " in str(found["learning_rate"])


def test_too_few_trials_are_said_to_be_too_few():
    said = "Too few trials to tell whether an edge is crowded ({} of 10)."
    study = taught({"x": UNIT}, lambda c, _: (c["x"] - 0.5) ** 2, 9)
    assert boundary.check(study) == ()
    assert boundary.too_few(study) == said.format(9)
    assert boundary.too_few(taught({"x": UNIT}, lambda c, _: (c["x"] - 0.5) ** 2, 10)) == ""
    lost = taught({"x": UNIT}, lambda c, _: c["x"] if c["x"] < 0.2 else math.nan, 12)
    finite = sum(math.isfinite(t.best_loss) for t in lost.trials)
    assert boundary.too_few(lost) == said.format(finite)
    kinds = {"kind": luthier.Choice("a", "b", "c")}  # which has no edge
    assert boundary.too_few(taught(kinds, lambda c, _: 1.0, 3)) == ""
