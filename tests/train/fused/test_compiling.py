"""The setting that halves the time of compiling reaches XLA, for Luthier's programs alone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax._src import compiler

from luthier.train.fused import compiling

pytestmark = pytest.mark.frameworks


def test_the_setting_is_among_the_options_while_it_lasts():
    def asked():
        return compiler.get_compile_options(1, 1).SerializeAsString()

    before = asked()
    with compiling._loops_as_they_are():
        options = asked()
    assert asked() == before
    assert compiling._SETTING in options
    assert compiling._SETTING not in before
    assert len(options) - len(before) == len(compiling._field(500, b"") + compiling._SETTING) + 4


def test_other_threads_compile_as_ever():
    def asked():
        return compiling._SETTING in compiler.get_compile_options(1, 1).SerializeAsString()

    with ThreadPoolExecutor(1) as other, compiling._loops_as_they_are():
        assert asked()
        assert not other.submit(asked).result()
    assert not asked()


def test_what_is_compiled_so_computes_the_same():
    def f(x):
        return jnp.tanh(x @ x.T).sum(0), jax.nn.softmax(x)

    x = np.random.default_rng(0).normal(size=(57, 33)).astype("float32")
    lowered = jax.jit(f).lower(x)
    for one, other in zip(compiling.compiled(lowered)(x), lowered.compile()(x), strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-5, atol=1e-5)
