"""Importance against variance decompositions that are known in closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from taught import taught

import luthier
from luthier import insight
from luthier.errors import StudyError
from luthier.insight import bins, fanova, forest, ped_anova
from luthier.insight.trials import tried
from luthier.search.columns import columns_of
from luthier.study.chance import Chance


def ishigami(c, _):
    """Ishigami & Homma 1990 with a = 7, b = 0.1, inputs even in [-π, π]."""
    x, y, z = (2 * math.pi * c[name] - math.pi for name in "xyz")
    return math.sin(x) + 7 * math.sin(y) ** 2 + 0.1 * z**4 * math.sin(x)


UNIT = luthier.Float(0.0, 1.0)
# Sobol' indices of Ishigami's function (Homma & Saltelli 1996).
ISHIGAMI = {"x": 0.3139, "y": 0.4424, "z": 0.0}
X_WITH_Z = 0.2437


def shares(found):
    return {i.name: i.share for i in found}


@pytest.fixture(scope="module")
def wave():
    return taught(luthier.Space(x=UNIT, y=UNIT, z=UNIT), ishigami, 1000)


def test_fanova_finds_ishigamis_indices(wave):
    found = insight.importance(wave)
    assert [i.name for i in found] == ["y", "x", "z"]
    for i in found:
        assert i.share == pytest.approx(ISHIGAMI[i.name], abs=0.06)
        assert 0 <= i.low <= i.share <= i.high <= 1


def test_fanova_finds_what_acts_together_only(wave):
    first, *others = insight.interactions(wave)
    assert first.names == ("x", "z")
    assert first.share == pytest.approx(X_WITH_Z, abs=0.05)
    assert all(pair.share < 0.03 for pair in others)


def test_the_parts_of_a_forest_add_up_to_its_variance():
    study = taught(luthier.Space(x=UNIT, y=UNIT), lambda c, _: c["x"] * c["y"] + c["x"], 200)
    found = tried(study)
    parts = fanova.decompose(found, found.losses, Chance(0))
    whole = parts.single(0)[0] + parts.single(1)[0] + parts.pair(0, 1)
    assert whole == pytest.approx(parts.total, rel=0.02)  # the total is by points, the parts exact


def test_a_forests_mean_at_probes_is_that_of_the_leaves_that_hold_them():
    generator = np.random.default_rng(0)
    binned, probes = generator.integers(5, size=(80, 3)), generator.integers(5, size=(40, 3))
    flags = np.array([True, False, False])
    grown = forest.grow(binned, binned[:, 0] % 2 + 0.1 * binned[:, 1], 5, flags, generator, probes)
    inside = np.ones((len(grown.values), len(probes)), dtype=bool)
    for column in range(3):
        inside &= grown.boxes[:, column][:, probes[:, column]]
    assert (np.add.reduceat(inside, grown.starts, axis=0, dtype=int) == 1).all()  # one leaf a tree
    assert grown.values @ inside / len(grown.starts) == pytest.approx(grown.probed)


def test_an_unordered_split_puts_any_options_together():
    binned = np.tile(np.arange(6), 20)[:, None]
    losses = np.isin(binned[:, 0], [0, 2, 5]).astype(float)
    generator = np.random.default_rng(0)
    grown = forest.grow(binned, losses, 6, np.array([True]), generator, binned[:6], trees=1)
    assert len(grown.values) == 2
    assert grown.probed.tolist() == [1, 0, 1, 0, 0, 1]


CONDITIONAL = luthier.Space(
    optimizer=luthier.Choice(
        {"sgd": luthier.Space(momentum=UNIT), "adam": luthier.Space(beta=UNIT)}
    ),
    rate=luthier.Float(1e-4, 1.0, scale="log"),
    layers=luthier.Int(1, 4),
)


def branched(c, _):
    own = 2 * c["optimizer.sgd.momentum"] if c["optimizer"] == "sgd" else 1.0
    return own + (math.log10(c["rate"]) + 4) / 4 + 0.5 * c["layers"]


def test_fanova_knows_conditions_scales_and_whole_numbers():
    # Variances: momentum 4/12 in half of the trials, rate 1/12, layers 0.25 · 15/12; sgd's and adam's
    # means are equal.
    found = shares(insight.importance(taught(CONDITIONAL, branched, 600)))
    total = 1 / 6 + 1 / 12 + 0.3125
    assert found["optimizer.sgd.momentum"] == pytest.approx(1 / 6 / total, abs=0.06)
    assert found["rate"] == pytest.approx(1 / 12 / total, abs=0.04)
    assert found["layers"] == pytest.approx(0.3125 / total, abs=0.08)
    assert found["optimizer"] < 0.01
    assert found["optimizer.adam.beta"] < 0.01


def test_branches_are_the_ways_in_which_conditions_come_out():
    columns = columns_of(CONDITIONAL)
    cut = bins.bins_of(columns, np.full((1, 5), 0.5))
    branches = bins.branches_of(cut)
    assert branches.weights.tolist() == [0.5, 0.5]
    assert branches.measures.sum(axis=2) == pytest.approx(np.ones((2, 5)))
    momentum, beta = (columns.names.index(f"optimizer.{n}") for n in ("sgd.momentum", "adam.beta"))
    assert branches.measures[:, momentum, -1].tolist() == [0.0, 1.0]
    assert branches.measures[:, beta, -1].tolist() == [1.0, 0.0]
    drawn = branches.drawn(64, seed=1)
    inactive = drawn == cut.count - 1
    assert (inactive[:, momentum] != inactive[:, beta]).all()
    assert not inactive[:, [columns.names.index(n) for n in ("optimizer", "rate", "layers")]].any()


def test_the_bins_of_a_whole_number_on_a_log_scale_are_as_wide_as_its_values_are_likely():
    columns = columns_of(luthier.Space(units=luthier.Int(1, 4, scale="log")))
    cut = bins.bins_of(columns, np.array([[0.5]]))
    expected = np.diff(np.log([0.5, 1.5, 2.5, 3.5, 4.5])) / np.log(9)
    assert cut.measure(0)[:4] == pytest.approx(expected)
    assert cut.of(np.array([[columns.domains[0].encode(v)] for v in (1, 2, 3, 4)])).ravel().tolist() == [
        0, 1, 2, 3,
    ]  # fmt: skip


def test_ped_anova_of_a_step_is_its_closed_form():
    """With two options, of which only one is among the best, the integral is a sum of two terms."""
    columns = columns_of(luthier.Space(c=luthier.Choice("a", "b")))
    n, m = 4000, 400
    places = np.where(np.arange(n) % 2, 0.75, 0.25)[:, None]
    best = np.zeros((1, n))
    best[0, 0 : 2 * m : 2] = 1.0  # all of them have "a"
    ((found,),) = ped_anova.variances(columns, places, np.ones((1, n)), best)
    # p_γ = (1, 0), p_γ' = (½, ½): the divergence is 1, times (γ/γ')². The kernels blur a little.
    assert found == pytest.approx((m / n) ** 2, rel=0.02)


def test_ped_anova_gives_nothing_to_what_does_nothing():
    columns = columns_of(luthier.Space(x=UNIT, c=luthier.Choice("a", "b", "c")))
    generator = np.random.default_rng(1)
    excess = []
    for _ in range(200):
        points = generator.random((200, 2))
        points[:, 1] = (np.floor(points[:, 1] * 3) + 0.5) / 3
        best = np.zeros((1, 200))
        best[0, generator.choice(200, 20, replace=False)] = 1.0
        excess.append(ped_anova.variances(columns, points, np.ones((1, 200)), best)[0])
    # Clipped at 0 what is left is half of the noise: far below the most there can be, γ (1 − γ) = 0.09.
    assert np.mean(excess, axis=0).max() < 0.002


def test_ped_anova_ranks_a_weighted_sum_and_tells_local_from_global():
    space = luthier.Space(x=UNIT, y=UNIT, z=UNIT)

    def stepped(c, _):  # x decides whether a trial is good at all, y which of the good ones is best
        return 10.0 * (c["x"] > 0.3) + 1.0 * c["y"]

    study = taught(space, stepped, 1000)
    everywhere = insight.importance(study, "ped_anova", target=0.3)
    among_the_good = insight.importance(study, "ped_anova", good=0.25)
    assert everywhere[0].name == "x"
    assert everywhere[0].share > 0.9
    assert among_the_good[0].name == "y"
    assert among_the_good[0].share > 0.8
    assert sum(i.share for i in everywhere) == pytest.approx(1)
    assert (
        shares(insight.importance(study, good=0.25))["y"] > shares(insight.importance(study))["y"]
    )


def test_trials_that_diverged_count_as_the_worst():
    space = luthier.Space(rate=UNIT, other=UNIT)
    study = taught(space, lambda c, _: math.nan if c["rate"] > 0.5 else c["other"], 200)
    assert shares(insight.importance(study, "ped_anova", target=0.5))["rate"] > 0.5
    assert shares(insight.importance(study))["rate"] > 0.3


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(["fanova", "ped_anova"]))
def test_shares_lie_within_their_intervals_and_do_not_change(seed, method):
    study = taught(CONDITIONAL, lambda c, n: math.sin(seed + n) + c["rate"], 30, seed=seed)
    found = insight.importance(study, method)
    assert found == insight.importance(study.history, method)
    assert {i.name for i in found} == set(CONDITIONAL.searched)
    assert all(0 <= i.low <= i.share <= i.high <= 1 for i in found)


def test_a_constant_objective_has_nothing_to_share_out():
    study = taught(luthier.Space(x=UNIT, y=UNIT), lambda c, _: 1.0, 20)
    assert {i.share for i in insight.importance(study)} == {0.0}


def test_what_cannot_be_judged_says_so():
    study = taught(luthier.Space(x=UNIT), lambda c, _: c["x"], 12)
    with pytest.raises(StudyError, match="'fanova' or 'ped_anova'"):
        insight.importance(study, "guess")
    with pytest.raises(StudyError, match=r"good must be a share in \(0, 1\], got 25"):
        insight.importance(study, good=25)
    few = taught(luthier.Space(x=UNIT), lambda c, _: c["x"], 9)
    with pytest.raises(StudyError, match="at least 10 trials with a finite value, there are 9"):
        insight.importance(few)
    none = taught(luthier.Space(x=luthier.Constant(1)), lambda c, _: 1.0, 0)
    with pytest.raises(StudyError, match="the space has none"):
        insight.importance(none)


def test_the_pictures_show_the_numbers(wave):
    found = insight.importance(wave)
    axes = insight.picture(found)
    assert [bar.get_width() for bar in axes.patches] == [i.share for i in found[::-1]]
    assert [t.get_text() for t in axes.get_yticklabels()] == [i.name for i in found[::-1]]
    (lines,) = axes.collections
    assert [s[:, 0].tolist() for s in lines.get_segments()] == [
        pytest.approx([i.low, i.high]) for i in found[::-1]
    ]
    pairs = insight.interactions(wave)
    drawn = insight.picture(pairs).images[0].get_array()
    assert sorted(drawn[~np.isnan(drawn)]) == pytest.approx(sorted(p.share for p in pairs))


def rising(losses, space=None):
    """Return a study whose x rises from trial to trial, of these losses."""
    space = space or luthier.Space(x=UNIT, y=UNIT)
    study = luthier.open("rising", space, minimize="loss", searcher="random", storage="memory")
    for number, loss in enumerate(losses):
        study.enqueue({"x": number / (len(losses) - 1), "y": (0.618 * number) % 1})
        study.tell(study.ask(), loss=loss)
    return study


def test_a_metric_that_is_always_the_same_hangs_on_nothing():
    """Whoever came first would be the best, and x would be all that matters."""
    found = shares(insight.importance(rising([1.0] * 60), "ped_anova"))
    assert found == {"x": 0.0, "y": 0.0}
    assert shares(insight.importance(rising([1.0] * 60), "ped_anova", good=0.5)) == found


def test_equal_trials_count_alike_whatever_their_order():
    """A coarse metric that hangs on y alone, in trials whose x rises."""
    coarse = [float((0.618 * n) % 1 > 0.5) for n in range(80)]
    found = shares(insight.importance(rising(coarse), "ped_anova"))
    assert found["y"] > 0.9


def test_no_trial_that_diverged_is_among_the_best():
    """12 of 60 have a value, best where y is small: the other 48 would fill up the twenty best."""
    losses = [(0.618 * n) % 1 if n >= 48 else math.nan for n in range(60)]
    study = rising(losses)
    shown = shares(insight.importance(study, "ped_anova", target=1.0))
    assert shown["x"] > 0.9  # what is not spoilt lies at its upper end
