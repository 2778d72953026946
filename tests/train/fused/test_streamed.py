"""Data that stay on the host: cut into chunks, read, and trained on in plain JAX."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tests.train.pausing import curves, run

from luthier.space import discover
from luthier.train.fused import loaded, streamed
from luthier.train.jax import Training, arrays
from luthier.train.on_disk import rows_of

pytestmark = pytest.mark.frameworks

CHANCE = np.random.default_rng(0)
X = CHANCE.normal(size=(210, 5))  # float64: to float32 on the way
Y = (X[:, 0] + X[:, 1] > 0).astype("uint8")


def build(hp, key):
    rate = hp.float("rate", 1e-2, 1.0, scale="log")

    def loss_of(weights, batch):
        scores = jax.nn.log_softmax(batch[0] @ weights)
        return -jnp.mean(scores[jnp.arange(len(scores)), batch[1]])

    def step(weights, batch):
        loss, gradient = jax.value_and_grad(loss_of)(weights, batch)
        return weights - rate * gradient, {"loss": loss}

    def evaluate(weights, batch):
        return {"accuracy": jnp.mean((batch[0] @ weights).argmax(1) == batch[1])}

    return jnp.zeros((5, 2)), step, evaluate


@pytest.mark.parametrize("rows", [20, 45, 1_000])
def test_a_stream_gives_the_curves_of_memory(tmp_path, monkeypatch, rows):
    """With chunks of one batch, of a few, and of all."""
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    monkeypatch.setattr(streamed, "CHUNK_BYTES", rows * (X[0].nbytes + 1))
    found = []
    for name, x in (("memory", X), ("file", mapped)):
        training = Training(build, *arrays(((x, Y), (x[:70], Y[:70]))), batch_size=20, fused=True)
        study = run(training, tmp_path / name, stops=(1, 3), space=discover(training.ask), trials=2)
        found.append(curves(study))
    for one, other in zip(*found, strict=True):
        for (_, mine), (_, yours) in zip(one, other, strict=True):
            assert mine == pytest.approx(yours, rel=1e-5)


@pytest.mark.parametrize(
    ("examples", "size", "most", "lengths"),
    [
        (210, 20, 2, [40] * 5 + [10]),
        (210, 20, 3, [40] * 5 + [10]),  # ten batches in four parts: five equal ones
        (210, 20, 100, [200, 10]),
        (12, 20, 3, [12]),
        (140, 20, 4, [80, 60]),  # seven batches have no equal parts
    ],
)
def test_chunks_are_whole_batches_equal_where_they_can_be(examples, size, most, lengths):
    rows = CHANCE.permutation(examples)
    chunks = list(streamed._chunks(rows, size, most))
    np.testing.assert_array_equal(np.concatenate([some for _, some in chunks]), rows)
    assert [whole for whole, _ in chunks] == [len(some) % size == 0 for _, some in chunks]
    assert max(len(some) for _, some in chunks) <= most * size
    assert [len(some) for _, some in chunks] == lengths


def test_rows_are_read_as_asked_for():
    rows = CHANCE.permutation(len(X))[:50]
    np.testing.assert_array_equal(rows_of(X, rows), X[rows])


def test_where_data_are_put(tmp_path, monkeypatch):
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    for x in (mapped, mapped[5:], np.asarray(mapped)):  # a view of a mapped array is one too
        assert loaded.placed((x,), (Y,)).on_host
    assert not loaded.placed((np.array(mapped),), (Y,)).on_host
    train, validation = (X.copy(),), (Y.copy(),)
    monkeypatch.setattr(loaded, "room", lambda: X.nbytes)
    assert loaded.placed(train, validation).on_host
    shapes = loaded.placed(train, validation).shapes
    assert [(s.shape, s.dtype) for (s,) in shapes] == [((210, 5), "float32"), ((210,), "uint8")]
    monkeypatch.setattr(loaded, "room", lambda: 2 * X.nbytes)
    assert not loaded.placed(train, validation).on_host
    monkeypatch.setattr(loaded, "room", lambda: 0)  # for the next trial there is less: it is there
    assert not loaded.placed(train, validation).on_host
