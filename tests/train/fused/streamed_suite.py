"""Keras models whose data stay on the host; on the JAX backend."""

from __future__ import annotations

import numpy as np
import pytest
from keras_suite import SMALL, close, net, searched
from pausing import curves, run

import luthier
from luthier.space import discover
from luthier.train.fused import loaded, streamed
from luthier.train.keras import Training

X = np.asarray(SMALL[0][0])
ROW = X[0].nbytes + SMALL[0][1][0].nbytes


@pytest.fixture
def mapped(tmp_path):
    """Return the data read from files as they are used."""
    for part, arrays in zip(("train", "validation"), SMALL, strict=True):
        for name, array in zip("xy", arrays, strict=True):
            np.save(tmp_path / f"{part}-{name}.npy", array)
    return tuple(
        tuple(np.load(tmp_path / f"{part}-{name}.npy", mmap_mode="r") for name in "xy")
        for part in ("train", "validation")
    )


def test_chunks_change_nothing(tmp_path, mapped, monkeypatch):
    """Equal bits whether mapped or too large, and after a pause; equal but for rounding in memory."""
    monkeypatch.setattr(streamed, "CHUNK_BYTES", 3.5 * 60 * ROW)
    space, options = discover(searched), {"stops": (2,), "trials": 2}

    def trained(name, data, **others):
        training = Training(searched, data, 60, fused=True)
        found = run(training, tmp_path / name, space=space, **(options | others))
        return curves(found)

    there = trained("memory", SMALL)
    files = trained("mapped", mapped)
    close(files, there)
    assert trained("paused", mapped, stops=(1, 2)) == files
    monkeypatch.setattr(loaded, "room", lambda: X.nbytes)  # the validation needs as much again
    large = tuple((x.copy(), y.copy()) for x, y in SMALL)
    assert trained("large", large) == files
    monkeypatch.setattr(loaded, "room", lambda: 3 * X.nbytes)
    assert trained("room", large) == there


def test_trials_ask_for_side_by_side_and_train_one_by_one(tmp_path, mapped):
    def build(hp):
        return net(rate=hp.float("rate", 0.001, 0.01, scale="log"))

    several, alone = (
        luthier.keras.tune(
            build, mapped, epochs=2, max_trials=3, batch_size=100, seed=1, name="s", fused=fused,
            searcher="random", scheduler=None, storage=tmp_path / f"{fused}.db", progress=False,
        ).study
        for fused in (3, 1)
    )  # fmt: skip
    assert curves(several) == curves(alone)
