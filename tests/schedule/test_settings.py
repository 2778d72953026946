"""Settings of schedulers: whole numbers stay whole, as what is leased goes into the log."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from driving import run, study_of

from luthier.errors import StudyError
from luthier.schedule import ASHA, PASHA, SCHEDULERS, FreezeThaw, Hyperband
from luthier.study.events import JobLeased
from luthier.study.log import read_log

WHOLE = {
    *("epochs", "factor", "minimum", "iterations", "trials", "unit", "population", "interval"),
    *("grace", "patience"),
}
CASES = [
    (name, setting.name)
    for name, rule in SCHEDULERS.items()
    if name != "replay"
    for setting in dataclasses.fields(rule)
    if setting.name in WHOLE and not (setting.name == "factor" and issubclass(rule, ASHA))
]


def test_every_scheduler_is_looked_at():
    assert {name for name, _ in CASES} == SCHEDULERS.keys() - {"replay"}
    assert {setting for _, setting in CASES} == WHOLE


@pytest.mark.parametrize("value", [4.5, 27.0, True, "9", float("nan"), 0])
@pytest.mark.parametrize(("name", "setting"), CASES)
def test_what_must_be_whole_is_refused_when_it_is_not(name, setting, value):
    if setting == "grace" and value == 0:
        return  # nobody need be spared
    with pytest.raises(StudyError, match=rf"{setting} must be a whole number of at least \d"):
        SCHEDULERS[name](**{"epochs": 27, setting: value})


@pytest.mark.parametrize(("name", "setting"), CASES)
def test_the_numbers_of_numpy_become_python_s(name, setting):
    made = SCHEDULERS[name](**{"epochs": np.int64(27), setting: np.int32(5)})
    assert type(made.epochs) is int
    assert type(getattr(made, setting)) is int


@pytest.mark.parametrize("rule", [Hyperband, FreezeThaw])
def test_none_is_for_what_is_none_by_default(rule):
    with pytest.raises(StudyError, match="epochs must be a whole number of at least 1, got None"):
        rule(None)


@pytest.mark.parametrize("value", [1.9, True, "3", float("nan"), float("inf")])
@pytest.mark.parametrize("rule", [ASHA, PASHA])
def test_a_factor_that_is_no_number_from_2_on(rule, value):
    with pytest.raises(StudyError, match="factor must be a number of at least 2, got"):
        rule(27, factor=value)


REAL = [
    ("significance", "level", 0.25),
    ("freeze thaw", "chance", 0.25),
    ("freeze thaw", "end_below", 0.25),
    ("dehb", "mutation", 0.75),
    ("dehb", "crossover", 0.25),
    ("population", "truncation", 0.25),
    ("population", "anew", 0.5),
    ("median", "percentile", 25.0),
    ("patience", "better", 0.5),
]


def test_every_number_that_need_not_be_whole_is_looked_at():
    kept = {
        (name, setting.name)
        for name, rule in SCHEDULERS.items()
        for setting in dataclasses.fields(rule)
        if isinstance(setting.default, float)
    }
    assert kept <= {(name, setting) for name, setting, _ in REAL}


@pytest.mark.parametrize("kind", [np.float64, np.float32])
@pytest.mark.parametrize(("name", "setting", "value"), REAL)
def test_a_study_is_opened_with_numpy_s_numbers(tmp_path, name, setting, value, kind):
    rule = SCHEDULERS[name](**{"epochs": 9, setting: kind(value)})
    assert type(getattr(rule, setting)) is float
    study = study_of(rule, tmp_path, max_trials=9, searcher=None)
    assert study.history.header.scheduler[setting] == value


@pytest.mark.parametrize("value", ["0.05", True, None, float("nan"), float("inf")])
@pytest.mark.parametrize(("name", "setting", "_"), REAL)
def test_what_is_no_number_is_refused(name, setting, _, value):
    with pytest.raises(StudyError, match=f"{setting} must be a number"):
        SCHEDULERS[name](**{"epochs": 9, setting: value})


@pytest.mark.parametrize(
    "rule", [ASHA(20, 2.5), PASHA(20, np.float32(2.5), 2), ASHA(20, 2.5, stops=True)]
)
def test_a_factor_between_two_whole_ones(tmp_path, rule):
    study = study_of(rule, tmp_path, max_trials=40)
    run(study, lambda c, step: c["x"] + 1 / step)
    leased = [e.to_step for _, e in read_log(study.store, study.name) if isinstance(e, JobLeased)]
    assert {type(step) for step in leased} == {int}
    assert rule.steps == ((1, 3, 8, 20) if rule.minimum == 1 else (3, 8, 20))
    first, second = (sum(t.step >= step for t in study.trials) for step in rule.steps[:2])
    assert first == 40
    assert 40 / 2.5 <= second < 30  # and some that were promoted before there were worse ones
