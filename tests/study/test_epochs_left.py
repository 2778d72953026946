"""Epochs that are promised to running trials, kept up to date."""

from __future__ import annotations

import pytest

from luthier.run.simulation import heavy_tailed, simulate
from luthier.schedule import ASHA
from luthier.space import Float, Space
from luthier.study.history import History
from luthier.study.limits import Limits, epochs_left
from luthier.study.log import read_log


@pytest.mark.parametrize("steps", [(), (1, 3, 9)])
def test_what_is_left_is_what_nobody_trained_or_is_to_train(steps):
    study = simulate(
        lambda c, step: c["x"] + 1 / step, Space(x=Float(0.0, 1.0)), minimize="loss", workers=8,
        searcher="random", scheduler=ASHA(9, stops=True), max_trials=30,
        epoch_seconds=heavy_tailed(10.0), failures=0.2, cut_off=0.1,
    ).study  # fmt: skip
    kept, seen = History(), set()
    for number, event in read_log(study.store, study.name):
        kept.apply(number, event)
        promised = 0
        for trial in kept.active.values():
            rung = [step for step in steps if step > trial.step]
            promised += min([trial.to_step or trial.step + 1, *rung]) - trial.step
        assert epochs_left(kept, Limits(epochs=400), steps) == 400 - kept.epochs - promised
        seen.add(promised)
    assert len(seen) > 8
    assert epochs_left(kept, Limits(), steps) == float("inf")
