"""Max pooling whose gradients are found by slices is the max pooling that was asked for."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from luthier.train.fused.numbers import lift
from luthier.train.fused.pooling import pooled_by_slices

pytestmark = pytest.mark.frameworks

CASES = {
    "side by side": ((1, 2, 2, 1), (1, 2, 2, 1), "VALID"),
    "overlapping": ((1, 3, 2, 1), (1, 2, 1, 1), "SAME"),
    "every place": ((1, 3, 3, 1), (1, 1, 1, 1), "SAME"),
    "gaps": ((1, 2, 2, 1), (1, 3, 3, 1), "VALID"),
    "pads": ((1, 3, 3, 1), (1, 2, 2, 1), ((0, 0), (1, 0), (0, 1), (0, 0))),
    "channels first": ((1, 1, 2, 3), (1, 1, 2, 3), "SAME"),
}


def pooled(x, window, strides, padding, start=-jnp.inf):
    return jax.lax.reduce_window(x, start, jax.lax.max, window, strides, padding)


def gradient(x, *case):
    def loss(x):
        found = pooled(x, *case)
        # Each place's own slope, so that a gradient at a wrong place shows.
        return jnp.sum(found * (1 + jnp.arange(found.size).reshape(found.shape))), found

    (_, found), slope = jax.value_and_grad(loss, has_aux=True)(x)
    return found, slope


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_it_is_the_same_pooling(case, dtype):
    """Ties too: a third of the inputs are zeros, as behind a ReLU, and the rest have few values."""
    draws = np.random.default_rng(0).integers(-1, 4, (3, 9, 8, 5))
    x = jnp.asarray(np.maximum(draws, 0), dtype)
    expected = gradient(x, *case)
    assert "select_and_scatter" in str(jax.make_jaxpr(lambda x: gradient(x, *case))(x))
    with pooled_by_slices():
        trace = str(jax.make_jaxpr(lambda x: gradient(x, *case))(x))
        found = gradient(x, *case)
    assert "select_and_scatter" not in trace
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(np.asarray(one, "float32"), np.asarray(other, "float32"))


def test_one_example_of_many_and_forwards_are_the_same():
    x = jnp.asarray(np.random.default_rng(1).standard_normal((4, 6, 6)), "float32")
    case = ((2, 2), (2, 2), "VALID")
    expected = jax.vmap(jax.grad(lambda x: pooled(x, *case).sum() ** 2))(x)
    with pooled_by_slices():
        found = jax.vmap(jax.grad(lambda x: pooled(x, *case).sum() ** 2))(x)
        maxima, moved = jax.jvp(lambda x: pooled(x, *case), (x[0],), (x[1],))
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    np.testing.assert_array_equal(maxima, pooled(x[0], *case))
    chosen = x[1][np.isin(x[0], maxima)]
    np.testing.assert_array_equal(np.sort(moved.ravel()), np.sort(chosen))


OTHERS = {
    "sums": lambda x: jax.lax.reduce_window(x, 0.0, jax.lax.add, (2, 2), (2, 2), "VALID"),
    "another start": lambda x: pooled(x, (2, 2), (2, 2), "VALID", start=0.5),
    "a window of one": lambda x: pooled(x, (1, 1), (2, 2), "VALID"),
    "a large window": lambda x: pooled(x, (4, 4), (1, 1), "SAME"),
    "more than there is": lambda x: pooled(x, (2, 7), (1, 1), "VALID"),
    "whole numbers": lambda x: jax.lax.reduce_window(
        x.astype(int), -5, jax.lax.max, (2, 2), (2, 2), "VALID"
    ),
    "holes": lambda x: jax.lax.reduce_window(
        x, -jnp.inf, jax.lax.max, (2, 2), (1, 1), "VALID", window_dilation=(2, 2)
    ),
}


@pytest.mark.parametrize("pool", OTHERS.values(), ids=OTHERS)
def test_others_are_left_as_they_are(pool):
    x = jnp.asarray(np.random.default_rng(2).standard_normal((6, 6)), "float32")
    before = str(jax.make_jaxpr(lambda x: pool(x))(x))
    with pooled_by_slices():
        assert str(jax.make_jaxpr(lambda x: pool(x))(x)) == before


@pytest.mark.parametrize("window", [(2, 2, 2), (0, 2), "ab"])
def test_nonsense_is_jaxs_to_refuse(window):
    x = jnp.ones((6, 6))
    with pytest.raises((TypeError, ValueError)) as before:
        pooled(x, window, (2, 2), "VALID")
    with pooled_by_slices(), pytest.raises(before.type) as found:
        pooled(x, window, (2, 2), "VALID")
    assert str(found.value) == str(before.value)


def test_a_net_that_diverges_shows_it():
    """Where a window holds no number, its gradient is no number either, as in XLA."""
    x = jnp.asarray([[1.0, jnp.nan], [2.0, 3.0]])
    with pooled_by_slices():
        slope = jax.grad(lambda x: pooled(x, (2, 2), (1, 1), "VALID").sum() ** 2)(x)
    assert bool(jnp.isnan(slope).any())


def test_a_traced_step_has_it_and_others_have_not():
    x = jnp.ones((2, 4, 4, 1))

    def step(x):
        return jax.grad(lambda x: pooled(x, (1, 2, 2, 1), (1, 2, 2, 1), "VALID").sum())(x)

    assert "select_and_scatter" in str(jax.make_jaxpr(lambda x: step(x))(x))
    lifted = lift(step, x)
    assert "select_and_scatter" not in str(lifted.jaxpr)
    np.testing.assert_array_equal(lifted(lifted.numbers, x), step(x))
    assert "select_and_scatter" in str(jax.make_jaxpr(lambda x: step(x))(x))
