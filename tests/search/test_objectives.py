"""Several objectives, constraints on outcomes, noise, time, earlier studies: what guided searchers do."""

from __future__ import annotations

import itertools
import math
import random
import statistics

import numpy as np
import pytest
from told import proposal, told

import luthier as lt
from luthier.run.earlier import earlier_trials
from luthier.search import GaussianProcess, recommended
from luthier.search.observations import observe
from luthier.search.order import ordered
from luthier.search.surrogate.hypervolume import (
    best_of,
    boxes,
    hypervolume,
    reference_point,
    thinned,
)
from luthier.search.transfer import blended, sources_of
from luthier.study import events as ev

SQUARE = lt.Space(x=lt.Float(0, 1), y=lt.Float(0, 1))
_names = (f"study {i}" for i in itertools.count())


def study_of(space, objective, trials, **options):
    options = {"minimize": "loss", "searcher": "gaussian_process", **options}
    study = lt.open(next(_names), space, storage="memory", **options)
    for _ in range(trials):
        trial = study.ask()
        found = objective(trial.configuration)
        study.tell(trial, found if isinstance(found, dict) else {"loss": found})
    return study


# -- the hypervolume ---------------------------------------------------------------------------------


@pytest.mark.parametrize("objectives", [1, 2, 3, 4])
def test_boxes_cut_up_what_the_front_leaves(objectives):
    generator = np.random.default_rng(objectives)
    front, reference = generator.random((8, objectives)), np.full(objectives, 0.9)
    cut = boxes(front, reference)
    places = generator.uniform(-0.2, 1.0, (3000, objectives))
    dominated = (front[None] <= places[:, None]).all(axis=2).any(axis=1)
    left = ~dominated & (places < reference).all(axis=1)
    inside = (cut.lower[None] < places[:, None]) & (places[:, None] < cut.upper[None])
    np.testing.assert_array_equal(inside.all(axis=2).sum(axis=1), left.astype(int))


@pytest.mark.parametrize("objectives", [2, 3])
def test_the_expected_improvement_is_that_of_samples(objectives):
    generator = np.random.default_rng(objectives)
    front, reference = generator.random((5, objectives)), np.ones(objectives)
    mean, deviation = generator.random((1, objectives)), np.full((1, objectives), 0.2)
    samples = mean + deviation * generator.standard_normal((4000, objectives))
    before = hypervolume(front, reference)
    gains = [hypervolume(np.vstack([front, s]), reference) - before for s in samples]
    found, _, _ = boxes(front, reference).log_expected(mean, deviation**2)
    error = 4 * statistics.stdev(gains) / math.sqrt(len(gains))
    assert math.exp(found[0]) == pytest.approx(statistics.mean(gains), abs=error)


def test_the_gradient_of_the_expected_improvement():
    generator = np.random.default_rng(3)
    cut = boxes(generator.random((6, 3)), np.ones(3))
    mean, variance = generator.normal(0.8, 0.6, (7, 3)), generator.uniform(0.01, 0.5, (7, 3))
    _, by_mean, by_variance = cut.log_expected(mean, variance)
    for objective, step in itertools.product(range(3), [1e-6]):
        shift = step * np.eye(3)[objective]
        for found, at in ((by_mean, (shift, 0)), (by_variance, (0, shift))):
            up = cut.log_expected(mean + at[0], variance + at[1])[0]
            down = cut.log_expected(mean - at[0], variance - at[1])[0]
            np.testing.assert_allclose(found[:, objective], (up - down) / (2 * step), rtol=1e-4)


def test_far_from_the_front_there_is_still_a_slope():
    cut = boxes(np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([2.0, 2.0]))
    values, by_mean, _ = cut.log_expected(np.full((1, 2), 60.0), np.full((1, 2), 0.01))
    assert np.isfinite(values).all()
    assert values[0] < -1e4
    assert (by_mean < 0).all()


def test_hypervolume_and_front_of_known_points():
    points = np.array([[1.0, 3.0], [2.0, 2.0], [2.0, 2.0], [3.0, 1.0], [3.0, 3.0]])
    np.testing.assert_array_equal(best_of(points).nonzero()[0], [0, 1, 3])
    assert hypervolume(points, np.array([4.0, 4.0])) == 6.0
    np.testing.assert_allclose(reference_point(points[[0, 1, 3]], points), [3.2, 3.2])
    circle = np.linspace(0, math.pi / 2, 300)
    front = 1 - np.column_stack([np.cos(circle), np.sin(circle)])
    kept = thinned(front)
    assert len(kept) == 64
    ends = hypervolume(front, np.ones(2)), hypervolume(kept, np.ones(2))
    assert ends[1] == pytest.approx(ends[0], rel=0.02)


# -- an order for those that know no more ------------------------------------------------------------


def test_the_order_of_several_objectives():
    outcomes = np.array([[1, 3], [2, 2], [3, 1], [2.5, 2.5], [4, 4.0]])
    found = ordered(outcomes, np.empty((5, 0)))
    assert [math.floor(rank) for rank in found] == [0, 0, 0, 1, 2]
    assert found[1] == max(found[:3])  # the ends of a front are the lonely ones


def test_the_order_under_constraints():
    outcomes, excesses = np.array([[1.0], [2.0], [3.0], [0.0]]), np.array([[5.0], [-1], [0], [1]])
    order = np.argsort(ordered(outcomes, excesses))
    assert list(order) == [1, 2, 3, 0]


def test_more_trials_than_are_put_in_fronts():
    outcomes = np.random.default_rng(0).random((3000, 2))
    found = ordered(outcomes, np.empty((3000, 0)))
    assert np.isfinite(found).all()
    best = np.argsort(found)[:50]
    assert outcomes[best].sum(axis=1).mean() < 0.5 * outcomes.sum(axis=1).mean()


# -- several objectives ------------------------------------------------------------------------------


def two_bowls(c):
    """Schaffer's problem in two dimensions: the front is the line between (0.2, 0.2) and (0.8, 0.5)."""
    x, y = c["x"], c["y"]
    return {
        "loss": (x - 0.2) ** 2 + (y - 0.2) ** 2,
        "latency": 100 * ((x - 0.8) ** 2 + (y - 0.5) ** 2),
    }


def volume(study):
    outcomes = np.array([study.history.goals.losses(t) for t in study.trials])
    return hypervolume(outcomes / [1, 100], np.array([0.5, 0.5]))


@pytest.mark.parametrize("searcher", ["gaussian_process", "tpe"])
def test_the_front_grows_faster_than_by_random_search(searcher):
    def median(name):
        found = [
            volume(
                study_of(
                    SQUARE, two_bowls, 40, minimize=["loss", "latency"], searcher=name, seed=seed
                )
            )
            for seed in range(5)
        ]
        return statistics.median(found)

    guided, at_random = median(searcher), median("random")
    assert guided > at_random
    if searcher == "gaussian_process":
        assert guided > 0.98 * 0.2162  # of the whole front's, computed below


def test_the_whole_front():
    t = np.linspace(0, 1, 2000)
    line = [{"x": 0.2 + 0.6 * s, "y": 0.2 + 0.3 * s} for s in t]
    outcomes = np.array([list(two_bowls(c).values()) for c in line]) / [1, 100]
    assert hypervolume(outcomes, np.array([0.5, 0.5])) == pytest.approx(0.2162, abs=1e-4)


@pytest.mark.parametrize("name", ["auto", "gaussian_process", "tpe"])
def test_three_objectives_and_a_constraint(name):
    def objective(c):
        return {**two_bowls(c), "size": c["x"] * c["y"], "heat": c["x"] + c["y"]}

    study = study_of(
        SQUARE, objective, 25, minimize=["loss", "latency", "size"], subject_to="heat <= 1",
        searcher=name,
    )  # fmt: skip
    late = [t.configuration for t in study.trials[12:]]
    assert sum(c["x"] + c["y"] <= 1 for c in late) > 7  # by chance it is half of them
    assert all(t.configuration["x"] + t.configuration["y"] <= 1 for t in study.front)


# -- constraints on outcomes -------------------------------------------------------------------------


def test_the_best_within_a_bound_is_found():
    """The loss falls with x; the latency allows it up to 0.6 at y = 0.5 and less elsewhere."""

    def objective(c):
        return {"loss": -c["x"], "latency": 10 * c["x"] + 40 * (c["y"] - 0.5) ** 2}

    values = []
    for seed in range(3):
        study = study_of(SQUARE, objective, 30, subject_to="latency <= 6", seed=seed)
        assert study.best.violation == 0
        values.append(-study.best_value)
    assert statistics.median(values) == pytest.approx(0.6, abs=0.003)


def test_while_nothing_keeps_the_bound_it_is_looked_for():
    def objective(c):
        return {"loss": c["x"], "size": (c["x"] - 0.91) ** 2 + (c["y"] - 0.08) ** 2}

    study = study_of(SQUARE, objective, 30, subject_to="size <= 0.001")  # 0.3 % of the square
    assert study.best.violation == 0


# -- noise -------------------------------------------------------------------------------------------


def noisy_bowl(draw):
    def objective(c):
        return (c["x"] - 0.3) ** 2 + (c["y"] - 0.6) ** 2 + draw.gauss(0, 0.1)

    return objective


def true_loss(trial):
    c = trial.configuration
    return (c["x"] - 0.3) ** 2 + (c["y"] - 0.6) ** 2


def test_the_recommended_trial_is_not_the_luckiest_one():
    lucky, steady = [], []
    for seed in range(10):
        study = study_of(SQUARE, noisy_bowl(random.Random(seed)), 40, searcher="random", seed=seed)
        lucky.append(true_loss(study.best))
        steady.append(true_loss(recommended(study.history)))
    assert statistics.median(steady) < 0.5 * statistics.median(lucky)


def test_without_noise_the_recommended_trial_is_as_good_as_the_best():
    def objective(c):
        return (c["x"] - 0.3) ** 2 + (c["y"] - 0.6) ** 2

    study = study_of(SQUARE, objective, 30)
    found = recommended(study.history)
    assert found.best_loss - study.best.best_loss < 1e-4


def test_only_a_noisy_study_repeats_trials():
    space = {"x": lt.Choice(["a", "b", "c"])}
    draw = random.Random(0)

    def objective(c):
        return "abc".index(c["x"]) + draw.gauss(0, 1)

    repeated = study_of(space, objective, 30, noisy=True)
    counts = [sum(t.configuration["x"] == v for t in repeated.trials) for v in "abc"]
    assert counts[0] == max(counts)
    continuous = study_of(SQUARE, noisy_bowl(draw), 30)
    points = {tuple(t.configuration.values()) for t in continuous.trials}
    assert len(points) == 30


# -- time --------------------------------------------------------------------------------------------


def with_seconds(study, objective, seconds, until):
    """Tell of trials that took time, until so much was spent; return how good the best one is."""
    spent, number = 0.0, 0
    while spent < until:
        trial = study.ask()
        c = trial.configuration
        spent += seconds(c)
        reported = ev.Reported(
            time=spent, trial=number, lease=trial.lease, step=1,
            metrics={"loss": objective(c)}, seconds=seconds(c),
        )  # fmt: skip
        ended = ev.TrialCompleted(time=spent, trial=number, lease=trial.lease, step=1)
        study._append([reported, ended], trial)
        number += 1
    return study.best_value


def test_where_time_is_short_cheap_trials_are_preferred():
    def objective(c):
        return (c["x"] - 0.25) ** 2 + (c["y"] - 0.4) ** 2 + 0.3 * math.sin(8 * c["y"]) ** 2

    def seconds(c):
        return 10.0 ** (2 * c["x"])  # 1 to 100; the optimum is at 3

    def median(per_second):
        searcher = GaussianProcess(per_second=per_second)
        found = []
        for seed in range(3):
            study = lt.open(
                next(_names),
                SQUARE,
                minimize="loss",
                searcher=searcher,
                seed=seed,
                storage="memory",
            )
            found.append((with_seconds(study, objective, seconds, 200), len(study.trials)))
        return statistics.median(v for v, _ in found), statistics.median(n for _, n in found)

    hurried, patient = median(True), median(False)
    assert hurried[1] > patient[1]  # more trials in the same time
    assert hurried[0] <= patient[0]


# -- earlier studies ---------------------------------------------------------------------------------

FOUR = lt.Space({f"x{i}": lt.Float(0, 1) for i in range(4)})


def shifted_bowl(by):
    def objective(c):
        return sum((c[f"x{i}"] - at - by) ** 2 for i, at in enumerate((0.13, 0.32, 0.58, 0.84)))

    return objective


def best_with(earlier, seed, trials=6):
    study = study_of(FOUR, shifted_bowl(0.0), trials, seed=seed, learn_from=earlier)
    return study.best_value


def test_a_similar_study_saves_trials_and_a_misleading_one_costs_few():
    similar = study_of(FOUR, shifted_bowl(0.05), 40)
    contrary = study_of(FOUR, lambda c: -shifted_bowl(0.0)(c), 40)
    medians = {
        name: statistics.median(best_with(earlier, seed) for seed in range(5))
        for name, earlier in (("none", []), ("similar", similar), ("contrary", contrary))
    }
    assert medians["similar"] < 0.5 * medians["none"]
    similar_optimum = shifted_bowl(0.0)(similar.history.best.configuration)
    late = {
        name: statistics.median(best_with(earlier, seed, 30) for seed in range(5))
        for name, earlier in (("none", []), ("contrary", [contrary]))
    }
    assert late["contrary"] < medians["none"]
    assert late["contrary"] < 10 * late["none"] + 1e-3
    assert similar_optimum > 5e-3
    later = statistics.median(best_with([similar], seed, 45) for seed in range(5))
    assert later < 0.1 * similar_optimum  # it was no more than where to begin


def test_first_proposals_from_an_earlier_study_are_not_close_to_one_another():
    similar = study_of(FOUR, shifted_bowl(0.05), 40)
    study = study_of(FOUR, shifted_bowl(0.0), 4, learn_from=similar)
    first = [FOUR.encode(t.configuration) for t in study.trials[1:]]
    assert np.allclose(first[0], FOUR.encode(similar.history.best.configuration))
    for one, other in itertools.combinations(first, 2):
        assert abs(one - other).max() > 0.1


def test_a_misleading_study_loses_its_weight():
    contrary = study_of(FOUR, lambda c: -shifted_bowl(0.0)(c), 40, searcher="random")
    study = study_of(FOUR, shifted_bowl(0.0), 15, searcher="random")
    study.steer.learn_from(earlier_trials(study.store, contrary, study))
    seen = observe(study.history, study.space)
    from luthier.search.columns import columns_of
    from luthier.search.models import Models

    columns = columns_of(study.space)
    own = Models(seen, columns)._process(seen.points, seen.losses, np.arange(15), 150)
    sources = sources_of(study.history, study.space)
    assert len(sources) == 1
    assert blended(own, (), sources, columns, 15, lambda known: known) is own


def test_what_was_learned_from_is_kept_in_the_study(tmp_path):
    storage = tmp_path / "a.db"
    first = lt.open("first", FOUR, minimize="loss", searcher="sobol", storage=storage)
    for _ in range(10):
        trial = first.ask()
        first.tell(trial, loss=shifted_bowl(0)(trial.configuration))
    wider = {**FOUR.domains, "new": lt.Choice(["a", "b"])}
    options = {"minimize": "error", "storage": storage}
    second = lt.open("second", wider, learn_from="first", **options)
    again = lt.open("second", wider, learn_from=["first", first], **options)
    assert [e.study for e in again.history.earlier] == ["first"]
    assert len(again.history.earlier[0].losses) == 10
    trial = again.ask()
    again.tell(trial, error=1.0)
    best = first.best.configuration
    assert {k: v for k, v in second.ask().configuration.items() if k != "new"} == pytest.approx(
        best
    )
    with pytest.raises(lt.StudyError, match="cannot learn from itself"):
        lt.open("second", wider, learn_from="second", **options)


def test_a_proposal_with_all_of_it_is_the_same_again():
    earlier = told(FOUR, shifted_bowl(0.05), 20)
    options = {
        "minimize": ["loss", "other"],
        "subject_to": "third <= 1",
        "noisy": True,
        "learn_from": earlier,
    }

    def objective(c):
        loss = shifted_bowl(0)(c)
        return {"loss": loss, "other": c["x0"], "third": c["x0"] + c["x1"]}

    one, other = (study_of(FOUR, objective, 14, **options) for _ in range(2))
    assert [t.configuration for t in one.trials] == [t.configuration for t in other.trials]
    searcher = GaussianProcess()
    assert proposal(one, searcher) == proposal(other, searcher)


def test_chance_draws_nothing_twice_beside_an_earlier_study_of_the_same_seed():
    """Its random proposals are the earlier one's, some of which were tried first."""
    space = {"x": lt.Float(0, 1), "y": lt.Float(0, 1)}

    def train(trial):
        for epoch in trial.epochs():
            trial.report(loss=abs(trial["x"] - 0.37) + abs(trial["y"] - 0.61) + 1 / (epoch + 1))

    options = {"minimize": "loss", "max_trials": 8, "epochs": 4, "storage": "memory"}
    earlier = lt.tune(train, space, name="a", progress=False, **options).study
    later = lt.tune(train, space, name="b", learn_from=earlier, progress=False, **options)
    tried = [tuple(trial.configuration.values()) for trial in later.trials]
    assert len(set(tried)) == len(tried) == 8


def test_where_nobody_keeps_the_bounds_the_closest_is_recommended():
    space = lt.Space(a=lt.Float(0, 1), b=lt.Int(1, 8))
    for seed in range(4):
        study = lt.open(
            f"beyond {seed}", space, maximize="accuracy", subject_to="size <= 1", seed=seed,
            searcher="random", storage="memory",
        )  # fmt: skip
        for _ in range(12):
            trial = study.ask()
            study.tell(trial, accuracy=1 - (trial["a"] - 0.3) ** 2, size=2 * trial["b"])
        least = min(trial.violation for trial in study.trials)
        assert recommended(study.history) is study.best
        assert study.best.violation == least
        with pytest.raises(lt.StudyError, match="no trial that keeps to size <= 1 yet"):
            lt.insight.enough(study)
