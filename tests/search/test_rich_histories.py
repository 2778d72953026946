"""Proposals from histories with everything in them: rungs, noise, bounds, several objectives, other studies."""

from __future__ import annotations

import functools
import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
from told import MIXED, proposal, told

from luthier.run.earlier import earlier_trials
from luthier.run.simulation import simulate
from luthier.search import SEARCHERS
from luthier.space import Float, Int, Space
from luthier.study.records import TrialState

SPACE = Space(
    MIXED,
    constraints=["units * width <= 20000", "rate < 0.05 or units > 16"],
)
TRIALS, PENDING = 40, 3
NAMES = [name for name in SEARCHERS if name != "grid"]


def curve(c, step):
    """Return a loss whose size is measured at the end alone; NaN in a corner."""
    if c["rate"] > 0.06:
        return {"loss": math.nan, "size": math.nan, "seconds": 1.0}
    away = (math.log10(c["rate"]) + 2.5) ** 2 + (c["optimizer"] == "adam") * 0.3
    size = c["units"] * c["width"] / 1e4 if step == 9 else math.nan
    return {
        "loss": away + 1 / step + 0.01 * c["units"] % 0.05,
        "size": size,
        "seconds": 5 * c["rate"],
    }


def earlier():
    def loss(c):
        return (math.log10(c["rate"]) + 2) ** 2

    return told(Space(rate=Float(1e-4, 1e-1, scale="log"), units=Int(8, 64, step=8)), loss, 8)


@functools.cache
def rich(searcher):
    """Return such a study, with trials that have just begun."""
    study = simulate(
        curve, SPACE, minimize=["loss", "size"], subject_to="seconds <= 0.2", noisy=True,
        searcher=searcher, scheduler="asha", epochs=9, max_trials=TRIALS, workers=3, seed=4,
    ).study  # fmt: skip
    study.steer.learn_from(earlier_trials(study.store, earlier(), study))
    study.steer.budget(trials=100)
    for _ in range(PENDING):
        study.ask()
    return study


def proposals(name):
    study = rich(name if name == "stages" else "random")  # stages are begun by their own searcher
    numbers = range(len(study.trials), len(study.trials) + 4)  # the turns of the default
    return [proposal(study, SEARCHERS[name](), number) for number in numbers]


FRESH = """
import json, sys
sys.path.insert(0, {here!r})
from test_rich_histories import *
print(json.dumps({{name: proposals(name) for name in reversed(NAMES)}}))
"""


@pytest.fixture(scope="module")
def in_a_fresh_process():
    code = FRESH.format(here=str(Path(__file__).parent))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_the_history_has_everything_in_it():
    history = rich("random").history
    states = history.counts()
    assert states.get(TrialState.PAUSED, 0) + states.get(TrialState.STOPPED, 0) > 10
    assert states[TrialState.DIVERGED] >= 2
    assert states[TrialState.RUNNING] == PENDING
    assert any(trial.violation for trial in history.trials)
    assert len(history.earlier[0].losses) == 8
    assert rich("stages").history.stages


@pytest.mark.parametrize("name", NAMES)
def test_proposals_lie_in_the_space_and_are_the_same_in_a_fresh_process(name, in_a_fresh_process):
    here = proposals(name)
    assert all(SPACE.check(found) == found for found in here)
    assert in_a_fresh_process[name] == here
