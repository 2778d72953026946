"""Who decides without waiting keeps a thousand workers busy, though they dawdle and die."""

from __future__ import annotations

import pytest
from driving import UNIT

from luthier.run.simulation import heavy_tailed, simulate
from luthier.schedule import ASHA, PASHA, Auto, FreezeThaw, MedianStopping

EPOCHS = 3_000


@pytest.mark.parametrize(
    "scheduler",
    [PASHA(9), ASHA(9, stops=True), FreezeThaw(9, unit=3), MedianStopping(9), Auto(9)],
    ids=lambda scheduler: type(scheduler).__name__,
)
def test_a_thousand_workers_are_kept_busy(scheduler):
    done = simulate(
        lambda c, step: c["x"] + 1 / step, UNIT, minimize="loss", workers=1000,
        searcher="random", scheduler=scheduler, max_epochs=EPOCHS,
        epoch_seconds=heavy_tailed(10.0), failures=0.02,
    )  # fmt: skip
    assert not done.stuck
    assert done.study.history.epochs >= 0.95 * EPOCHS
    # All but the end, when the epochs that are left are promised to others.
    assert done.idle < 0.25
