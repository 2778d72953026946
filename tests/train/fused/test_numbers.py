"""Numbers taken out of traces: the same function again, and who may share a program."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luthier.train.fused.numbers import calls_python, fingerprint, lift

pytestmark = pytest.mark.frameworks

X = jnp.linspace(-2.0, 2.0, 7)


def step(rate, decay, keep=None):
    """Return a function with numbers at the top, within a branch, and in an array."""
    mask = None if keep is None else np.linspace(0, keep, 7, dtype="float32")

    def function(weights, count):
        def warm():
            return rate * count / 10.0

        value = jax.lax.cond(count < 3, warm, lambda: jnp.asarray(rate))
        gradient = jax.grad(lambda w: jnp.sum(jnp.tanh(w) ** 2) + decay * jnp.sum(w * w))(weights)
        weights = weights - value * gradient
        return weights if mask is None else weights * mask

    return function


rates = st.floats(1e-6, 10).filter(lambda r: r != 1)


@settings(max_examples=20, deadline=None)
@given(rates, rates, rates, rates, st.integers(0, 5))
def test_a_trace_with_anothers_numbers_is_the_others_function(r1, d1, r2, d2, count):
    one, other = (lift(step(r, d, r), X, count) for r, d in ((r1, d1), (r2, d2)))
    assert fingerprint(one) == fingerprint(other)
    np.testing.assert_allclose(
        one(other.numbers, X, count), step(r2, d2, r2)(X, jnp.asarray(count)), rtol=1e-5, atol=1e-6
    )


def test_another_structure_has_another_name():
    names = {
        fingerprint(lift(step(0.1, 0.2), X, 1)),
        fingerprint(lift(step(0.1, 0.0), X, 1)),  # 0 stays: the compiler drops what it multiplies
        fingerprint(lift(step(0.1, 0.2, 0.3), X, 1)),
        fingerprint(lift(step(0.1, 0.2), X[:5], 1)),
        fingerprint(lift(lambda w, c: step(0.1, 0.2)(w[:3], c + 1), X, 1)),
        fingerprint(lift(lambda w, c: step(0.1, 0.2)(w[:3], c + 2), X, 1)),
        fingerprint(lift(lambda w, c: (step(0.1, 0.2)(w, c),), X, 1)),
    }
    assert len(names) == 7


def test_numbers_out_of_reach_keep_programs_apart():
    """A number within a function that the user compiled stays; it must not be taken for another's."""

    def hidden(number):
        return lambda w: jax.jit(lambda v: v * number)(w)

    first, second = lift(hidden(0.1234567), X), lift(hidden(0.1234568), X)
    assert fingerprint(first) != fingerprint(second)


def test_it_works_for_many_at_once():
    lifted = [lift(step(r, 0.2), X, 1) for r in (0.1, 0.3)]
    numbers = [jnp.stack(n) for n in zip(*(x.numbers for x in lifted), strict=True)]
    both = jax.vmap(lambda n, w: lifted[0](n, w, 1))(numbers, jnp.stack([X, X]))
    for row, rate in zip(both, (0.1, 0.3), strict=True):
        np.testing.assert_allclose(row, step(rate, 0.2)(X, 1), rtol=1e-5)


def test_calls_into_python_are_seen_wherever_they_are():
    def back(w):
        return jax.pure_callback(np.sin, w, w)

    assert calls_python(lift(back, X).jaxpr)
    assert calls_python(lift(lambda w: jax.lax.cond(w[0] > 0, back, lambda v: v, w), X).jaxpr)
    assert not calls_python(lift(step(0.1, 0.2), X, 1).jaxpr)
