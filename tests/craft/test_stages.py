"""Tuning in stages: what each varies, that it survives everything a study survives, and what it says."""

from __future__ import annotations

import math
import statistics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.run.test_simulation import told

from luthier.craft.stages import Stages, planned, story
from luthier.errors import StudyError
from luthier.run.opening import made_parts, open_study
from luthier.run.simulation import heavy_tailed, simulate
from luthier.search.staged.within import opened
from luthier.space import Bool, Choice, Float, Int, Space
from luthier.study import events as ev
from luthier.study.history import History, fold
from luthier.study.log import read_log
from luthier.study.protocols import Done
from luthier.study.replay import replay
from luthier.study.snapshot import decode, encode

SMALL = Space(
    optimizer=Choice("sgd", "adam"),
    learning_rate=Float(1e-5, 1.0, scale="log"),
    momentum=Float(0.0, 0.99).when(optimizer="sgd"),
    units=Int(16, 1024, scale="log"),
)
NET = Space(
    optimizer=Choice("sgd", "adam"),
    learning_rate=Float(1e-5, 1.0, scale="log"),
    momentum=Float(0.0, 0.99).when(optimizer="sgd"),
    batch_size=Int(16, 512, scale="log"),
    units=Int(16, 1024, scale="log"),
    layers=Int(1, 6),
    weight_decay=Float(1e-6, 1e-1, scale="log"),
    dropout=Float(0.0, 0.7),
    shuffle=Bool(),
)


def loss(c, step):
    """A net whose best learning rate moves with momentum and batch size; too large a one diverges."""
    rate = math.log10(c["learning_rate"])
    if c["optimizer"] == "sgd":
        rate -= math.log10(1 - c["momentum"]) - 1.0
    c = {"batch_size": 64, "layers": 3, "weight_decay": 1e-4, "dropout": 0.2, **c}
    excess = rate + 2.0 - 0.5 * math.log10(c["batch_size"] / 64)
    if excess > 1.5:
        return math.nan
    capacity = (math.log2(c["units"] / 256) + 0.5 * (c["layers"] - 3)) ** 2
    wanted = (math.log10(c["weight_decay"]) + 3.5 + 2 * c["dropout"]) ** 2
    return 0.1 * excess**2 + 0.02 * capacity + 0.01 * wanted + 0.3 / step


def log_of(study):
    return [event for _, event in read_log(study.store, study.name)]


def checked(study):
    """Check what must hold of any staged study, however it came about."""
    log = list(read_log(study.store, study.name))
    report = replay(log, *made_parts(study.history.header))
    assert report.difference == ""
    history = fold(log)
    for other in (study.history, decode(encode(history))):
        assert repr(told(other)) == repr(told(history))  # a diverged loss is NaN
        assert repr(other.stages) == repr(history.stages)
    begun = [e for _, e in log if isinstance(e, ev.StageBegun)]
    concluded = [e.stage for _, e in log if isinstance(e, ev.StageConcluded)]
    assert [e.stage for e in begun] == list(range(len(begun)))
    assert concluded == list(range(len(begun)))
    for trial in history.trials:
        stage = history.stages[trial.stage].begun
        free = opened(history.space, [*stage.hyperparameters, *stage.live], stage.around)
        for name, value in trial.configuration.items():
            if name not in free:
                domain = history.space.domains[name]
                assert value == stage.around.get(name, domain.default)
            elif name in stage.narrowed:
                low, high = stage.narrowed[name]
                assert low * (1 - 1e-9) <= value <= high * (1 + 1e-9)
    return history


@settings(max_examples=8, deadline=None)
@given(
    scheduler=st.sampled_from([None, "median", "asha", "hyperband", "freeze thaw"]),
    workers=st.sampled_from([1, 2, 7, 20]),
    failures=st.sampled_from([0.0, 0.2]),
    order=st.sampled_from(["one by one", "ng", ["units", ["learning_rate", "momentum"]]]),
    seed=st.integers(0, 100),
)
def test_whatever_happens_stages_vary_what_they_say_and_the_log_replays(
    scheduler, workers, failures, order, seed
):
    run = simulate(
        loss,
        SMALL,
        minimize="loss",
        searcher=Stages(order=order, joint=0.2),
        scheduler=scheduler,
        epochs=9,
        max_trials=20,
        max_epochs=None if scheduler == "median" else 150,
        workers=workers,
        epoch_seconds=heavy_tailed(10.0),
        failures=failures,
        cut_off=failures,
        seed=seed,
    )
    history = checked(run.study)
    assert not run.stuck
    assert history.stages[0].hyperparameters
    assert all(stage.trials for stage in history.stages)


def simulated(space=NET, searcher="stages", **options):
    options = {"epochs": 1, "workers": 1, "minimize": "loss", **options}
    return simulate(loss, space, searcher=searcher, **options).study


@pytest.fixture(scope="module")
def whole():
    """A study with trials enough for every stage."""
    return checked(simulated(max_trials=60))


def test_the_order_is_the_published_one_and_the_end_is_for_all_together(whole):
    assert [stage.name for stage in whole.stages] == [
        *("learning rate", "momentum", "batch size", "units", "layers"),
        *("regularisation", "others", "all together"),
    ]
    first, *middle, last = whole.stages
    assert first.hyperparameters == ["optimizer", "learning_rate"]
    assert first.begun.around == NET.default() == whole.trials[0].configuration
    assert all(stage.begun.live == ["learning_rate"] for stage in middle)
    assert last.trials >= 24
    assert sum(stage.trials for stage in whole.stages) == 60
    assert [p[:2] for p in planned(NET, max_trials=60)][:3] == [
        ("learning rate", ("optimizer", "learning_rate")),
        ("momentum", ("momentum",)),
        ("batch size", ("batch_size",)),
    ]


def test_few_trials_are_for_the_first_stages():
    stages = checked(simulated(max_trials=18)).stages
    assert [s.name for s in stages] == ["learning rate", "momentum", "all together"]
    assert "do not hold a stage for batch size" in stages[-1].begun.reason
    ranges = stages[-1].begun.narrowed
    rate, units = (
        math.log(ranges[name][1] / ranges[name][0]) for name in ("learning_rate", "units")
    )
    assert units / math.log(1024 / 16) > 1.4 * rate / math.log(1e5)  # nobody has looked at it yet
    tiny = checked(simulated(max_trials=5)).stages
    assert [s.name for s in tiny] == ["all together"]


def test_a_study_without_an_end_gives_each_stage_its_trials():
    stages = simulated(max_time=22.0).history.stages
    assert [s.begun.trials for s in stages] == [12, 8, 8]


def test_conclusions_say_what_was_tried_learned_and_fixed(whole):
    first, momentum = whole.stages[:2]
    assert set(first.concluded.effects) == {"optimizer", "learning_rate"}
    assert first.conclusion.startswith("6 trials, 1 of them diverged: the best loss is 0.3")
    assert "learning_rate: worst to best" in first.conclusion
    assert "learning_rate stays live round" in first.conclusion
    assert "Fixed until the end: momentum=" in momentum.conclusion
    for effect in (e for s in whole.stages for e in s.concluded.effects.values()):
        assert 0 <= effect.low <= effect.gain <= effect.high
        assert 0 <= effect.share <= 1
    told_ = story(whole)
    assert len(told_) == len(whole.stages)
    assert told_[1].startswith("2. momentum (momentum; learning_rate live): next in order.")


def test_what_makes_no_difference_is_fixed_for_good():
    space = Space(
        learning_rate=Float(1e-4, 1.0, scale="log"), units=Int(8, 512), dropout=Float(0.0, 0.5)
    )
    history = simulate(
        lambda c, step: (math.log10(c["learning_rate"]) + 2) ** 2 + (c["dropout"] - 0.2) ** 2,
        space,
        minimize="loss",
        searcher="stages",
        max_trials=30,
        epochs=1,
        workers=1,
    ).study.history
    units = next(s for s in history.stages if s.name == "units")
    assert units.concluded.dead == ["units"]
    assert "units makes no difference and stays fixed" in units.conclusion
    assert history.stages[-1].hyperparameters == ["learning_rate", "dropout"]


def opened_study(folder, name="s", space=SMALL, trials=16):
    return open_study(
        name, space, minimize="loss", searcher="stages", max_trials=trials, storage=folder / "l.db"
    )


def step(study):
    trial = study.ask()
    study.tell(trial, loss=loss(trial.configuration, 1))
    return trial


def test_a_study_killed_at_any_moment_goes_on_as_if_nothing_had_happened(tmp_path):
    whole = opened_study(tmp_path, "whole")
    for _ in range(16):
        step(whole)
        step(opened_study(tmp_path, "cut"))  # a new process for every trial
    cut = opened_study(tmp_path, "cut")
    assert isinstance(whole.next_job(), Done)
    assert isinstance(cut.next_job(), Done)
    for one, other in zip(log_of(whole)[1:], log_of(cut)[1:], strict=True):
        assert type(one) is type(other)
        for name in ("configuration", "words", "around", "narrowed", "stage", "effects"):
            assert getattr(one, name, None) == getattr(other, name, None)


def test_two_workers_conclude_a_stage_once(tmp_path):
    studies = [opened_study(tmp_path) for _ in range(2)]
    for turn in range(16):
        step(studies[turn % 2])
    assert all(isinstance(study.next_job(), Done) for study in studies)
    concluded = [e.stage for e in log_of(studies[0]) if isinstance(e, ev.StageConcluded)]
    assert concluded == list(range(len(concluded)))
    assert len(concluded) > 1
    checked(studies[1])


def test_more_budget_goes_on_with_the_stages_that_had_none(tmp_path):
    for trials in (14, 26):
        study = opened_study(tmp_path, space=NET, trials=trials)
        while len(study.trials) < trials:
            step(study)
        assert isinstance(study.next_job(), Done)
    names = [stage.name for stage in study.history.stages]
    assert names == ["learning rate", "all together", "momentum", "all together"]
    assert all(stage.concluded for stage in study.history.stages)


def test_a_short_study_that_is_given_more_trials_has_its_stages_then(tmp_path):
    for trials in (5, 8, 60):
        study = opened_study(tmp_path, space=NET, trials=trials)
        while len(study.trials) < trials:
            step(study)
        assert isinstance(study.next_job(), Done)
    few, fewer, *stages, last = study.history.stages
    assert [few.name, fewer.name, last.name] == ["all together"] * 3
    assert few.begun.narrowed == fewer.begun.narrowed == {}  # nobody has looked anywhere closely
    assert fewer.begun.reason == "3 trials are too few for stages"
    assert {stage.name for stage in stages} >= {"learning rate", "batch size", "units"}
    assert all(stage.begun.reason.startswith(("next", "before")) for stage in stages)
    assert last.begun.reason.startswith(("every stage is done", "the "))
    checked(study)


def test_a_study_without_trials_for_stages_says_whose_wish_that_is():
    stages = checked(simulated(searcher=Stages(joint=1.0), max_trials=16)).stages
    assert [stage.begun.reason for stage in stages] == ["joint=1 leaves no trials for stages"]


def test_a_space_that_is_changed_in_the_middle_of_a_stage_stays_searchable(tmp_path):
    study = opened_study(tmp_path, space=NET, trials=24)
    for number in range(24):
        if number == 9:
            narrower = {**NET.domains, "learning_rate": Float(1e-4, 1e-3, scale="log")}
            del narrower["shuffle"]
            study.steer.space(Space(narrower))
        trial = step(study)
        if number >= 9:
            study.space.check(trial.configuration)
    assert study.history.stages[-1].name == "all together"


def test_it_finds_better_configurations_than_random_search_does():
    def found(searcher, seed):
        return simulated(searcher=searcher, seed=seed, max_trials=24).best.best_loss

    pairs = [(found("stages", seed), found("random", seed)) for seed in range(5)]
    assert statistics.median(p[0] for p in pairs) < statistics.median(p[1] for p in pairs)


def test_a_range_finder_tells_the_first_stage_where_to_look():
    stages = Stages(start={"learning_rate": (1e-4, 1e-3)})
    history = checked(simulated(SMALL, searcher=stages, max_trials=12))
    assert history.stages[0].begun.narrowed == {"learning_rate": (1e-4, 1e-3)}
    assert history.trials[0].configuration["learning_rate"] == pytest.approx(10**-3.5)


def begun(max_trials=30, **settings):
    return simulated(searcher=Stages(**settings), max_trials=max_trials)


@pytest.mark.parametrize(
    ("stages", "words"),
    [
        (lambda: Stages(order="nq"), "one of 'one by one', 'ng'"),
        (lambda: Stages(order=["units", "units"]), "once"),
        (lambda: Stages(joint=2), "joint must lie between 0 and 1"),
        (lambda: Stages(start={"learning_rate": (1.0, 0.1)}), r"\(low, high\)"),
        (lambda: Stages(start={"learning_rate": 0.1}), r"'learning_rate' \(low, high\), got 0.1"),
        (lambda: Stages(start={"learning_rate": ("a", "b")}), r"\(low, high\)"),
        (
            lambda: begun(start={"learning_rat": (1e-3, 0.1)}),
            "start has 'learning_rat'.*'learning_rate'",
        ),
        (lambda: begun(start={"optimizer": (0.0, 1.0)}), "range.*has no value: it is Choice"),
        (lambda: begun(start={"learning_rate": (2.0, 9.0)}), "has no value: it is Float"),
        (lambda: begun(roles={"unitz": "layers"}), "roles has 'unitz'.*Did you mean 'units'"),
        (lambda: begun(roles={"unitz": "layers"}, max_trials=3), "roles has 'unitz'"),
        (lambda: planned(NET, Stages(order=["unitz"])), "Did you mean 'units'"),
        (lambda: planned(NET, Stages(roles={"units": "layer"})), "Did you mean 'layers'"),
        (lambda: planned(NET, Stages(roles={"unitz": "layers"})), "Did you mean 'units'"),
        (lambda: planned(NET, Stages(start={"momentun": (0.1, 0.9)})), "Did you mean 'momentum'"),
    ],
)
def test_settings_that_cannot_be_are_refused(stages, words):
    with pytest.raises(StudyError, match=words):
        stages()


def test_an_empty_history_has_no_story():
    assert story(History()) == []
