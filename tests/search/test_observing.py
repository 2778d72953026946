"""What searchers learn from: which trials count, and with what."""

from __future__ import annotations

import math

import numpy as np
import pytest
from told import best_after, proposal, told

import luthier as lt
from luthier.run.simulation import simulate
from luthier.search.auto import Auto
from luthier.search.columns import columns_of
from luthier.search.crowding import crowded
from luthier.search.gaussian_process import GaussianProcess
from luthier.search.models import Models
from luthier.search.observations import _Curve, _progress, observe
from luthier.search.recommend import recommended
from luthier.search.surrogate.skew import evened
from luthier.search.transfer import Source, sources_of
from luthier.space import Choice, Constant, Float, Int, Space
from luthier.study.records import TrialState
from luthier.study.searched import searched

UNIT = Space(x=Float(0.0, 1.0), y=Float(0.0, 1.0))


def opened(name, space=UNIT, **options):
    return lt.open(name, space, **{"minimize": "loss", "storage": "memory", **options})


def trained(study, losses, ends=True):
    """Ask for a trial and report *losses*; tell its end where *ends*."""
    trial = study.ask()
    for loss in losses:
        trial.report(loss=loss)
    if ends:
        study.tell(trial)
    return trial


def test_after_a_race_every_trial_of_the_search_is_seen(tmp_path):
    def quiet(trial):
        trial.report(loss=abs(trial["x"] - 0.3) + abs(trial["y"] - 0.3))

    def go(trials):
        return lt.tune(
            quiet, UNIT, minimize="loss", searcher="auto", max_trials=trials, finalists=2,
            repetitions=3, name="raced", storage=tmp_path / "s.db", progress=False,
        )  # fmt: skip

    go(5)
    result = go(40)
    mine = [t.number for t in result.trials if t.repeats < 0]
    assert mine != list(range(40))
    history = searched(result.study.history)
    assert observe(history, UNIT).numbers.tolist() == mine
    places = [(t.configuration["x"], t.configuration["y"]) for t in result.trials if t.repeats < 0]
    assert len({(round(x, 6), round(y, 6)) for x, y in places}) == 40


def test_a_training_that_ended_by_itself_is_carried_nowhere():
    study = opened("early stopping", epochs=50, scheduler=None)
    for n in range(12):  # half of them stop at epoch 3 and would never get further
        short = n % 2 == 0
        trained(study, [2.0 - 0.01 * n, 1.6, 1.5] + ([] if short else [1.0, 0.6, 0.3]))
    seen = observe(study.history, UNIT)
    assert not seen.carried
    assert seen.losses.tolist() == [1.5, 0.3] * 6
    assert "random" not in Auto().explain(study.history, UNIT)
    assert recommended(study.history).best_loss == 0.3


def test_what_completed_early_is_not_carried_beside_what_a_scheduler_ended():
    def curve(c, step):
        return 1.0 + c["x"] - 0.1 * step

    study = simulate(
        curve, UNIT, minimize="loss", searcher="sobol", scheduler="asha", epochs=9, max_trials=30,
        workers=1,
    ).study  # fmt: skip
    seen = observe(study.history, UNIT)
    assert seen.carried
    for row, number in enumerate(seen.numbers):
        trial = study.history.trials[int(number)]
        assert math.isclose(
            seen.outcomes[row, 0],
            trial.best_loss - 0.1 * (9 - trial.step),
        )
    study.history.trials[0].state = TrialState.COMPLETED  # it had been as short by itself
    study.history.touched.append(0)
    study.history.cursor += 1
    again = observe(study.history, UNIT)
    assert again.outcomes[0, 0] == study.history.trials[0].best_loss


def test_trials_under_way_count_with_what_they_reported():
    def curve(c, step):
        return (c["x"] - 0.3) ** 2 + (c["y"] - 0.6) ** 2 + 1 / step

    study = simulate(
        curve, UNIT, minimize="loss", searcher="sobol", scheduler="asha", epochs=27, max_epochs=150,
        workers=8,
    ).study  # fmt: skip
    record = min(study.history.paused.values(), key=lambda trial: trial.best_loss)
    before = observe(study.history, UNIT)
    record.state = TrialState.RUNNING  # promoted
    study.history.touched.append(record.number)
    study.history.cursor += 1
    seen = observe(study.history, UNIT)
    assert seen.numbers.tolist() == before.numbers.tolist()
    assert seen.losses.tolist() == before.losses.tolist()
    assert len(seen.pending) == 0


def test_without_early_ends_trials_under_way_are_pending():
    study = opened("whole")
    for n in range(4):
        trained(study, [1.0, 0.5 + n / 10])
    trained(study, [0.1], ends=False)
    seen = observe(study.history, UNIT)
    assert seen.numbers.tolist() == [0, 1, 2, 3]
    assert len(seen.pending) == 1


def test_what_ends_without_a_value_teaches_where_not_to_go():
    study = opened("two", minimize=["loss", "size"])
    for n in range(8):
        trial = study.ask()
        trial.report(loss=1.0 + n / 10, size=math.nan if n % 2 else 3.0)
        study.tell(trial)
    seen = observe(study.history, UNIT)
    assert seen.numbers.tolist() == [0, 2, 4, 6]
    assert seen.infeasible_numbers.tolist() == [1, 3, 5, 7]


def test_where_a_bound_was_never_measured_nothing_is_looked_for():
    space = Space(x=Float(0.0, 1.0))
    study = lt.open(
        "bound",
        space,
        minimize="loss",
        subject_to="size <= 1",
        storage="memory",
        searcher="gaussian_process",
    )
    for _ in range(16):
        trial = study.ask()
        x = trial["x"]
        trial.report(loss=x, size=math.nan if x < 0.5 else 0.5)
        study.tell(trial)
    late = [t.configuration["x"] for t in study.trials[8:]]
    assert np.mean([x < 0.4 for x in late]) <= 0.5


def test_while_nobody_keeps_the_bound_it_is_looked_for_near_the_least_violation():
    space = Space(x=Float(0.0, 1.0), y=Float(0.0, 1.0), z=Float(0.0, 1.0))
    study = lt.open(
        "size",
        space,
        minimize="loss",
        subject_to="size <= 0.01",
        storage="memory",
        searcher="gaussian_process",
    )
    for n in range(12):  # the best losses are the farthest from the bound
        trial = study.ask()
        x = trial["x"]
        trial.report(loss=1.0 - x + n / 1000, size=0.2 + x)
        study.tell(trial)
    number = 13  # one of those that lie near the best
    x = proposal(study, GaussianProcess(), number)["x"]
    least = min(t.configuration["x"] for t in study.trials)
    assert abs(x - least) <= 0.21


def test_parallel_proposals_keep_apart_while_little_is_known():
    def bowl(c):
        return (c["x"] - 0.37) ** 2 + 2 * (c["y"] - 0.37) ** 2

    medians: list[float] = []
    for seed in range(5):
        study = told(UNIT, bowl, 8, searcher="gaussian_process", seed=seed)
        asked = [study.ask().configuration for _ in range(8)]
        places = np.array([[c["x"], c["y"]] for c in asked])
        apart = np.abs(places[:, None] - places[None, :]).max(axis=2)
        medians.append(float(np.median(apart[np.triu_indices(8, 1)])))
    assert np.median(medians) > 3e-3  # 3e-4 where the incumbent leaves out what is under way


def test_defaults_that_diverge_are_not_stepped_from():
    space = Space(
        rate=Float(1e-4, 1e4, scale="log"),  # 1 in the middle, where nothing trains
        **{f"h{n}": Float(0.0, 1.0) for n in range(7)},
    )
    study = told(
        space, lambda c: math.nan if c["rate"] > 0.1 else c["h0"], 9, searcher="gaussian_process"
    )
    assert sum(t.state is TrialState.DIVERGED for t in study.trials) < 8


@pytest.mark.parametrize("kind", ["lost", "hung"])
def test_what_takes_its_worker_with_it_each_time_is_avoided(kind):
    study = told(UNIT, lambda c: c["x"] + c["y"], 10, searcher="gaussian_process")
    record = study.history.trials[3]
    record.state, record.kind = TrialState.FAILED, kind
    study.history.touched.append(3)
    study.history.cursor += 1
    seen = observe(study.history, UNIT)
    assert seen.infeasible_numbers.tolist() == [3]
    record.kind = "error"  # of the code, which may be mended: but it was tried
    study.history.touched.append(3)
    study.history.cursor += 1
    seen = observe(study.history, UNIT)
    assert len(seen.infeasible) == 0
    assert len(seen.failed) == 1


def test_good_trials_are_told_apart_where_most_are_huge():
    losses = np.array([0.1, 0.2, 0.4, 0.7, 1, 1e8, 1.5e8, 2e8, 1e9, 3e8, 4e8, 5e8, 2e9])
    found = evened(losses)
    assert np.all(np.diff(found[np.argsort(losses, kind="stable")]) >= 0)
    assert np.diff(found[:5]).min() > 0.02


def test_the_edge_of_a_constraint_is_found():
    space = Space(
        x=Float(0.0, 1.0), y=Float(0.0, 1.0), z=Float(0.0, 1.0), constraints=["x + y + z <= 0.3"]
    )

    def objective(c):
        return 3 * c["x"] ** 2 - c["x"] - 2 * c["y"] - 3 * c["z"]

    found = [best_after(space, objective, 15, "gaussian_process", seed) for seed in range(6)]
    assert np.median(found) + 0.9 < 2e-4  # 5e-4 where climbs end outside


def test_a_climb_that_turns_something_on_begins_it_in_the_middle():
    space = Space(
        layers=Int(1, 48),
        rate=Float(0.0, 1.0),
        skip=Float(0.0, 1.0).when(layers=list(range(25, 49))),
    )

    def objective(c):
        return (c["layers"] - 40) ** 2 / 100 + (c["rate"] - 0.5) ** 2 + c.get("skip", 1.0)

    study = told(space, objective, 40, searcher="gaussian_process")
    assert study.best_value < 0.5


def test_what_has_two_values_steps_to_the_other_one():
    space = Space(layers=Int(1, 2), x=Float(0.0, 1.0), y=Float(0.0, 1.0))
    study = told(space, lambda c: c["x"] + c["layers"], 4, searcher="gaussian_process")
    values = [t.configuration for t in study.trials]
    changed = [sum(a[k] != b[k] for k in a) for b in values[:1] for a in values[1:]]
    assert len({c["layers"] for c in values}) == 2
    assert max(changed) <= 2  # the best so far, with one changed


def test_a_default_near_an_edge_is_no_crowded_edge():
    space = Space(**{f"h{n}": Float(0.0, 1.0, default=0.02) for n in range(9)})
    study = told(space, lambda c: sum(c.values()), 10, searcher="gaussian_process")
    assert crowded(study.history) == ()


def test_an_earlier_study_is_heard_under_early_ends_too():
    def curve(c, step):
        return (c["x"] - 0.8) ** 2 + (c["y"] - 0.2) ** 2 + 1 / step

    study = simulate(
        curve, UNIT, minimize="loss", searcher="sobol", scheduler="asha", epochs=9, max_trials=12,
        workers=1,
    ).study  # fmt: skip
    seen, columns = observe(study.history, UNIT), columns_of(UNIT)
    assert len(seen.levels) > 1
    points = np.random.default_rng(0).random((40, 2))
    losses = (points[:, 0] - 0.8) ** 2 + (points[:, 1] - 0.2) ** 2
    order = np.argsort(losses)
    earlier = Source("earlier", points[order], losses[order])
    features = np.random.default_rng(1).random((50, 2))
    alone, both = (
        Models(seen, columns, sources)._objective(0, np.arange(len(seen.losses))).predict(features)
        for sources in ((), (earlier,))
    )
    assert not np.allclose(alone[0], both[0])


def test_a_choice_may_come_back_from_every_place():
    space = Space(kind=Choice("a", "b", "c"), x=Float(0.0, 1.0), constraints=["x <= 0.5"])
    study = told(space, lambda c: c["x"] + "abc".index(c["kind"]), 20, searcher="gaussian_process")
    assert study.best_value < 0.05


def test_trials_between_rungs_make_no_rung_of_their_own():
    def curve(c, step):
        return (c["x"] - 0.3) ** 2 + (c["y"] - 0.6) ** 2 + 1 / step

    study = simulate(
        curve, UNIT, minimize="loss", searcher="sobol", scheduler="asha", epochs=27, max_trials=60,
        workers=1,
    ).study  # fmt: skip
    before = observe(study.history, UNIT)
    assert [level.step for level in before.levels] == [1, 3, 9]
    going = [t for t in study.history.trials if t.step == 9][:4]
    for trial, step in zip(going, (10, 11, 12, 13), strict=True):  # promoted, and on their way
        trial.add(step, 0.01, {"loss": 0.01}, 1.0)
        trial.state = TrialState.RUNNING
        study.history.touched.append(trial.number)
    study.history.cursor += 1
    levels = observe(study.history, UNIT).levels
    assert [level.step for level in levels] == [1, 3, 9]
    assert [len(level.numbers) for level in levels] == [
        len(level.numbers) for level in before.levels
    ]


def test_a_promoted_trial_takes_no_longer_than_any_other():
    def seconds(trial, step):
        return 62.0 if step == 1 else 2.0  # a minute before the first epoch

    study = simulate(
        lambda c, step: c["x"] + 1 / step, UNIT, minimize="loss", searcher="sobol", scheduler="asha",
        epochs=9, max_trials=30, workers=1,
    ).study  # fmt: skip
    for trial in study.history.trials:
        for at, step in enumerate(trial.steps):
            trial.seconds[at] = seconds(trial, step)
        study.history.touched.append(trial.number)
    study.history.cursor += 1
    found = observe(study.history, UNIT).seconds
    assert found == pytest.approx(np.full(30, 60.0 + 9 * 2.0))


def test_what_trains_longer_by_itself_takes_longer():
    study = opened("own ends", scheduler=None)
    for n in range(6):
        trained(study, [1.0] * (2 + n))
    for trial in study.history.trials:
        for at in range(len(trial.seconds)):
            trial.seconds[at] = 2.0
        study.history.touched.append(trial.number)
    study.history.cursor += 1
    assert observe(study.history, UNIT).seconds.tolist() == [4.0, 6.0, 8.0, 10.0, 12.0, 14.0]


def test_an_edge_that_is_the_default_is_found_when_trials_are_led_there():
    space = Space(a=Int(32, 512, default=512), b=Float(0.0, 1.0), c=Float(0.0, 1.0))

    def objective(c):
        return -c["a"] / 512 + (c["b"] - 0.5) ** 2 + (c["c"] - 0.5) ** 2

    study = told(space, objective, 40, searcher="gaussian_process")
    assert any((one.name, one.side) == ("a", "high") for one in crowded(study.history))


def test_few_values_on_a_log_scale_step_to_the_next():
    space = Space(layers=Int(1, 3, scale="log", default=2), x=Float(0.0, 1.0), y=Float(0.0, 1.0))
    seen = set()
    for seed in range(8):
        study = told(space, lambda c: c["x"], 4, searcher="gaussian_process", seed=seed)
        seen |= {t.configuration["layers"] for t in study.trials[:4]}
    assert seen == {1, 2, 3}


def test_what_was_fixed_since_keeps_only_the_trials_that_have_it():
    space = Space(
        lr=Float(1e-4, 1e-1, scale="log"), a=Float(0.0, 1.0), b=Float(0.0, 1.0), c=Float(0.0, 1.0)
    )
    study = told(space, lambda c: 0.1 - c["lr"], 3, searcher="sobol")
    last = study.history.ranking()[-1]
    fixed = last.configuration["lr"]
    study.steer.space({**space.domains, "lr": Constant(fixed)})
    assert observe(study.history, study.space).numbers.tolist() == [last.number]
    for number in range(1, 6):
        assert proposal(study, GaussianProcess(), number)["lr"] == fixed
    study.steer.space({**space.domains, "lr": Constant(0.05)})
    assert len(observe(study.history, study.space).numbers) == 0
    assert proposal(study, GaussianProcess(), 2)["lr"] == 0.05


def test_an_earlier_study_may_hold_something_else_constant():
    shapes = [Space(x=Float(0.0, 1.0), data=Constant(data)) for data in ("digits", "letters")]
    first = told(shapes[0], lambda c: (c["x"] - 0.3) ** 2, 8)
    second = opened("letters", shapes[1], learn_from=first)
    [source] = sources_of(second.history, second.space)
    assert len(source.losses) == 8


def test_from_trials_whose_other_objectives_are_not_measured_yet_others_keep_away():

    def outcomes(c, step):
        size = c["x"] + c["y"] if step == 9 else math.nan
        return {"loss": (c["x"] - 0.3) ** 2 + (c["y"] - 0.6) ** 2 + 1 / step, "size": size}

    study = simulate(
        outcomes, UNIT, minimize=["loss", "size"], searcher="gaussian_process", scheduler="asha",
        epochs=9, max_trials=40, workers=1,
    ).study  # fmt: skip
    seen = observe(study.history, UNIT)
    assert len(seen.partial) >= 20
    assert len(seen.numbers) + len(seen.partial) == 40
    places = np.array([list(t.configuration.values()) for t in study.trials])
    away = np.abs(places[:, None] - places).max(axis=2) + np.eye(40)
    assert away.min() > 1e-3


def test_what_is_measured_all_along_is_learned_from_trials_that_never_came_to_the_end():
    def outcomes(c, step):
        size = 1 - c["x"] if step == 27 else math.nan
        return {"loss": (c["x"] - 0.3) ** 2 + (c["y"] - 0.6) ** 2 + 1 / step, "size": size}

    study = simulate(
        outcomes, UNIT, minimize=["loss", "size"], searcher="sobol", scheduler="asha", epochs=27,
        max_trials=60, workers=1,
    ).study  # fmt: skip
    seen, columns = observe(study.history, UNIT), columns_of(UNIT)
    assert len(seen.numbers) < 8
    assert len(seen.levels[0].numbers) == 60
    model = Models(seen, columns)._objective(0, np.arange(len(seen.numbers)))
    places = np.random.default_rng(0).random((500, 2))
    best = places[model.predict(columns.features(places))[0].argmin()]
    assert np.abs(best - [0.3, 0.6]).max() < 0.1


def test_one_trial_pruned_by_hand_changes_nothing_of_how_the_search_goes_on():
    study = opened("pruned", epochs=5, scheduler=None)
    pruned = trained(study, [3.0], ends=False)
    study.steer.prune(pruned.number)
    for n in range(12):
        trained(study, [2.0, 1.5, 1.2, 1.1, 1.0 + n / 10])
    trained(study, [1.4, 1.3], ends=False)
    seen = observe(study.history, UNIT)
    assert seen.carried
    assert not seen.cut_short
    assert seen.outcomes[0, 0] < 3.0  # as the others went on
    assert len(seen.pending) == 1
    assert seen.levels == () or len(seen.levels) == 1
    said = {Auto()._chosen(study.history, UNIT, number)[1][:16] for number in range(14, 18)}
    assert said == {"Gaussian process"}


def test_progress_is_the_median_of_those_that_went_on(monkeypatch):
    """Trials that were stopped at very different epochs, some of them before any donor reported."""
    looked_up, look_up = [], _Curve.by
    monkeypatch.setattr(_Curve, "by", lambda c, at: (looked_up.append(c), look_up(c, at))[1])
    rng = np.random.default_rng(0)
    curves = {}
    for number in range(30):
        steps = np.sort(rng.choice(np.arange(2, 200), 40, replace=False))
        steps = np.append(steps[: rng.integers(2, 40)], [200] * (number % 3 == 0))
        curves[number] = _Curve(steps, np.minimum.accumulate(rng.random(len(steps))))
    reached = np.array([curve.steps[-1] for curve in curves.values()])
    whole = np.zeros(30, dtype=bool)
    whole[5] = True
    found = _progress(np.arange(30), curves.__getitem__, reached, whole)
    donors = [curves[n] for n in range(30) if reached[n] == 200]
    assert len(looked_up) == len(donors)  # and not once for every epoch

    def by(curve, step):
        return min(curve.best[curve.steps <= step], default=math.inf)

    for number, step in enumerate(reached):
        gains = [by(d, 200) - by(d, step) for d in donors if by(d, step) < math.inf]
        short = step < 200 and number != 5
        assert found[number] == (np.median(gains) if short and gains else 0.0)
