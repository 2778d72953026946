"""Convolutions traced as products of matrices are the convolutions that were asked for."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from luthier.train.fused.convolutions import as_products
from luthier.train.fused.numbers import lift

pytestmark = pytest.mark.frameworks

CASES = {
    "valid": {"window_strides": (1, 1), "padding": "VALID"},
    "same, strides": {"window_strides": (2, 3), "padding": "SAME"},
    "dilation": {"window_strides": (1, 1), "padding": "SAME", "rhs_dilation": (2, 1)},
    "pads": {"window_strides": (2, 2), "padding": ((0, 2), (1, 0))},
    "each channel": {"window_strides": (1, 2), "padding": "SAME", "feature_group_count": 6},
    "transposed": {"window_strides": (1, 1), "padding": ((1, 1), (2, 0)), "lhs_dilation": (2, 3)},
    "negative pads": {"window_strides": (1, 1), "padding": ((-1, 0), (0, 0))},
    "both": {"window_strides": (2, 1), "padding": ((-1, 2), (1, -2)), "lhs_dilation": (2, 2)},
}
STAYS = {
    "groups": {"window_strides": (1, 1), "padding": "SAME", "feature_group_count": 3},
}


def gradients(inputs, kernel, options):
    def loss(inputs, kernel):
        found = jax.lax.conv_general_dilated(inputs, kernel, **options)
        return jnp.sum(jnp.sin(found)), found

    (_, found), slopes = jax.value_and_grad(loss, (0, 1), has_aux=True)(inputs, kernel)
    return found, *slopes


def operands(groups, layout):
    draws = np.random.default_rng(0)
    inputs = draws.standard_normal((4, 9, 8, 6)).astype(np.float32)
    kernel = draws.standard_normal((3, 2, 6 // groups, 12)).astype(np.float32)
    if layout == "NCHW":
        return inputs.transpose(0, 3, 1, 2), kernel.transpose(3, 2, 0, 1)
    return inputs, kernel


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
@pytest.mark.parametrize("case", [*CASES, *STAYS])
def test_it_is_the_same_convolution(case, layout):
    options = {**CASES, **STAYS}[case]
    kernel = "HWIO" if layout == "NHWC" else "OIHW"
    options = {**options, "dimension_numbers": (layout, kernel, layout)}
    given = operands(options.get("feature_group_count", 1), layout)
    expected = gradients(*given, options)
    with as_products():
        trace = str(jax.make_jaxpr(lambda *a: gradients(*a, options))(*given))
        found = gradients(*given, options)
    assert ("conv_general_dilated" in trace) == (case in STAYS)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


def test_one_and_three_dimensions():
    for rank in (1, 3):
        inputs = np.random.default_rng(1).standard_normal((2, *[6] * rank, 3)).astype(np.float32)
        kernel = np.random.default_rng(2).standard_normal((*[3] * rank, 3, 5)).astype(np.float32)
        axes = "DHW"[-rank:]
        numbers = (f"N{axes}C", f"{axes}IO", f"N{axes}C")
        options = {"window_strides": [2] * rank, "padding": "SAME", "dimension_numbers": numbers}
        expected = gradients(inputs, kernel, options)
        with as_products():
            found = gradients(inputs, kernel, options)
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("padding", ["SAME", "VALID", ((1, 2), (0, 1))])
def test_a_transposed_convolution_is_one_too(padding):
    """JAX's own function of that name calls what it is made of where it is made."""
    inputs, kernel = operands(1, "NHWC")

    def loss(inputs, kernel):
        found = jax.lax.conv_transpose(inputs, kernel, (2, 2), padding)
        return jnp.sum(jnp.sin(found)), found

    slopes = jax.value_and_grad(loss, (0, 1), has_aux=True)
    (_, expected), before = slopes(inputs, kernel)
    with as_products():
        assert "conv_general_dilated" not in str(jax.make_jaxpr(slopes)(inputs, kernel))
        (_, found), after = slopes(inputs, kernel)
    for one, other in zip((found, *after), (expected, *before), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)
    assert "conv_general_dilated" in str(jax.make_jaxpr(lambda *a: loss(*a))(inputs, kernel))


def test_a_traced_step_has_products_and_others_have_not():
    inputs, kernel = operands(1, "NHWC")

    def step(inputs, kernel):
        numbers = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_general_dilated(
            inputs, kernel, (1, 1), "SAME", dimension_numbers=numbers
        )

    assert "conv_general_dilated" in str(jax.make_jaxpr(lambda *a: step(*a))(inputs, kernel))
    lifted = lift(step, inputs, kernel)
    assert "conv_general_dilated" not in str(lifted.jaxpr)
    assert "dot_general" in str(lifted.jaxpr)
    np.testing.assert_allclose(
        lifted(lifted.numbers, inputs, kernel), step(inputs, kernel), rtol=1e-4, atol=1e-4
    )
    assert "conv_general_dilated" in str(jax.make_jaxpr(lambda *a: step(*a))(inputs, kernel))


def test_arguments_by_place_and_what_has_no_result_are_as_before():
    inputs, kernel = operands(1, "NHWC")
    numbers = ("NHWC", "HWIO", "NHWC")
    precise = ((1, 1), "VALID", (1, 1), (1, 1), numbers, 1, 1, jax.lax.Precision.HIGHEST)
    few = (inputs[:, :2, :1], kernel, (1, 1), "VALID", (1, 1), (1, 1), numbers)
    expected = [jax.lax.conv_general_dilated(*a) for a in ((inputs, kernel, *precise), few)]
    with as_products():
        found = [jax.lax.conv_general_dilated(*a) for a in ((inputs, kernel, *precise), few)]
    np.testing.assert_array_equal(found[0], expected[0])
    assert found[1].shape == expected[1].shape
    assert found[1].size == 0
