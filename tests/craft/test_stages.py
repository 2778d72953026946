"""Tuning in stages: what each varies, that it survives everything a study survives, and what it says."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.run.test_simulation import told

import luthier as lt
from luthier.craft.stages import Stages, planned, story
from luthier.errors import StudyError
from luthier.run.opening import made_parts, open_study
from luthier.run.simulation import heavy_tailed, simulate
from luthier.search.staged.within import opened
from luthier.space import Bool, Choice, Float, Int, Space
from luthier.study import events as ev
from luthier.study.history import History, fold
from luthier.study.log import read_log
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


def test_the_order_is_the_published_one_and_the_end_is_for_all_together():
    run = simulate(
        loss, NET, minimize="loss", searcher="stages", max_trials=80, epochs=1, workers=1
    )
    history = checked(run.study)
    assert [stage.name for stage in history.stages] == [
        *("learning rate", "momentum", "batch size", "units", "layers"),
        *("regularisation", "others", "all together"),
    ]
    first, *middle, last = history.stages
    assert first.hyperparameters == ["optimizer", "learning_rate"]
    assert first.begun.around == NET.default() == history.trials[0].configuration
    assert all(stage.begun.live == ["learning_rate"] for stage in middle)
    assert last.trials >= 32
    assert sum(stage.trials for stage in history.stages) == 80
    assert [p[:2] for p in planned(NET, max_trials=80)][:3] == [
        ("learning rate", ("optimizer", "learning_rate")),
        ("momentum", ("momentum",)),
        ("batch size", ("batch_size",)),
    ]


def test_few_trials_are_for_the_first_stages():
    run = simulate(
        loss, NET, minimize="loss", searcher="stages", max_trials=20, epochs=1, workers=1
    )
    stages = checked(run.study).stages
    assert [s.name for s in stages] == ["learning rate", "momentum", "all together"]
    assert "do not hold a stage for batch size" in stages[-1].begun.reason
    assert (
        "batch_size" not in stages[-1].begun.narrowed
    )  # never looked at: all of its range is open
    tiny = simulate(
        loss, NET, minimize="loss", searcher="stages", max_trials=5, epochs=1, workers=1
    )
    assert [s.name for s in checked(tiny.study).stages] == ["all together"]


def test_a_study_without_an_end_gives_each_stage_its_trials():
    run = simulate(
        loss, NET, minimize="loss", searcher="stages", epochs=1, workers=1, max_time=80.0
    )
    assert [s.begun.trials for s in checked(run.study).stages[:3]] == [12, 8, 8]


def test_conclusions_say_what_was_tried_learned_and_fixed():
    run = simulate(
        loss, NET, minimize="loss", searcher="stages", max_trials=60, epochs=1, workers=1
    )
    history = run.study.history
    first, momentum = history.stages[:2]
    assert first.concluded.effects["learning_rate"].low > 0  # it matters, beyond doubt
    share = sum(e.share for e in history.stages[-1].concluded.effects.values())
    assert 0.9 < share <= 1.001
    assert "diverged" in first.conclusion
    assert "learning_rate: worst to best" in first.conclusion
    assert "learning_rate stays live round" in first.conclusion
    assert "Fixed until the end: momentum=" in momentum.conclusion
    for effect in (e for s in history.stages for e in s.concluded.effects.values()):
        assert 0 <= effect.low <= effect.gain <= effect.high
    told_ = story(history)
    assert len(told_) == len(history.stages)
    assert told_[1].startswith("2. momentum (momentum; learning_rate live): next in order.")


def test_what_makes_no_difference_is_fixed_for_good():
    space = Space(
        learning_rate=Float(1e-4, 1.0, scale="log"), units=Int(8, 512), dropout=Float(0.0, 0.5)
    )
    run = simulate(
        lambda c, step: (math.log10(c["learning_rate"]) + 2) ** 2 + (c["dropout"] - 0.2) ** 2,
        space,
        minimize="loss",
        searcher="stages",
        max_trials=40,
        epochs=1,
        workers=1,
    )
    history = checked(run.study)
    units = next(s for s in history.stages if s.name == "units")
    assert units.concluded.dead == ["units"]
    assert "units makes no difference and stays fixed" in units.conclusion
    assert history.stages[-1].hyperparameters == ["learning_rate", "dropout"]


def test_a_study_killed_at_any_moment_goes_on_as_if_nothing_had_happened(tmp_path):
    def study(name, **more):
        return open_study(
            name, NET, minimize="loss", searcher="stages", max_trials=24, storage=tmp_path / "l.db"
        )

    def step(opened_study):
        trial = opened_study.ask()
        opened_study.tell(trial, loss=loss(trial.configuration, 1))

    whole = study("whole")
    for _ in range(24):
        step(whole)
    for _ in range(24):
        step(study("cut"))  # a new process for every trial
    whole.next_job(), study("cut").next_job()
    pairs = zip(log_of(whole)[1:], log_of(study("cut"))[1:], strict=True)
    for one, other in pairs:
        assert type(one) is type(other)
        for name in ("configuration", "words", "around", "narrowed", "stage", "effects"):
            assert getattr(one, name, None) == getattr(other, name, None)
    checked(study("cut"))


def test_two_workers_conclude_a_stage_once(tmp_path):
    studies = [
        open_study(
            "s", NET, minimize="loss", searcher="stages", max_trials=30, storage=tmp_path / "l.db"
        )
        for _ in range(2)
    ]
    for turn in range(30):
        own = studies[turn % 2]
        trial = own.ask()
        own.tell(trial, loss=loss(trial.configuration, 1))
    for own in studies:
        assert isinstance(own.next_job(), lt.study.protocols.Done if False else object)
    concluded = [e.stage for e in log_of(studies[0]) if isinstance(e, ev.StageConcluded)]
    assert concluded == sorted(set(concluded))
    checked(studies[1])


def test_more_budget_goes_on_with_more_stages(tmp_path):
    for trials in (20, 60):
        study = open_study(
            "s",
            NET,
            minimize="loss",
            searcher="stages",
            max_trials=trials,
            storage=tmp_path / "l.db",
        )
        while len(study.trials) < trials:
            trial = study.ask()
            study.tell(trial, loss=loss(trial.configuration, 1))
        study.next_job()
    names = [stage.name for stage in study.history.stages]
    assert names[:3] == ["learning rate", "momentum", "all together"]
    assert names[3:] == []


def test_a_space_that_is_changed_in_the_middle_of_a_stage_stays_searchable(tmp_path):
    study = open_study(
        "s", NET, minimize="loss", searcher="stages", max_trials=40, storage=tmp_path / "l.db"
    )
    for number in range(40):
        if number == 9:
            narrower = {**NET.domains, "learning_rate": Float(1e-4, 1e-3, scale="log")}
            del narrower["shuffle"]
            study.steer.space(Space(narrower))
        trial = study.ask()
        if number >= 9:
            study.space.check(trial.configuration)
        study.tell(trial, loss=loss(trial.configuration, 1))
    assert study.history.stages[-1].name == "all together"


def test_it_finds_better_configurations_than_random_search_does():
    def found(searcher, seed):
        run = simulate(
            loss, NET, minimize="loss", searcher=searcher, max_trials=30, epochs=1, workers=1,
            seed=seed,
        )  # fmt: skip
        return run.study.best.best_loss

    pairs = [(found("stages", seed), found("random", seed)) for seed in range(5)]
    assert sum(staged < random for staged, random in pairs) >= 4


def test_a_range_finder_tells_the_first_stage_where_to_look():
    stages = Stages(start={"learning_rate": (1e-4, 1e-3)})
    run = simulate(loss, NET, minimize="loss", searcher=stages, max_trials=30, epochs=1, workers=1)
    history = checked(run.study)
    first = history.stages[0]
    assert first.begun.narrowed == {"learning_rate": (1e-4, 1e-3)}
    assert history.trials[0].configuration["learning_rate"] == pytest.approx(10**-3.5)


@pytest.mark.parametrize(
    ("stages", "words"),
    [
        (lambda: Stages(order="nq"), "one of 'one by one', 'ng'"),
        (lambda: Stages(order=["units", "units"]), "once"),
        (lambda: Stages(joint=2), "joint must lie between 0 and 1"),
        (lambda: Stages(start={"learning_rate": (1.0, 0.1)}), r"\(low, high\)"),
        (lambda: planned(NET, Stages(order=["unitz"])), "Did you mean 'units'"),
        (lambda: planned(NET, Stages(roles={"units": "layer"})), "Did you mean 'layers'"),
    ],
)
def test_settings_that_cannot_be_are_refused(stages, words):
    with pytest.raises(StudyError, match=words):
        stages()


def test_an_empty_history_has_no_story():
    assert story(History()) == []
