"""Width: Heaton's rules and where they disagree, families, exact parameter counts, budgets."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from luthier.craft import width
from luthier.errors import SpaceError
from luthier.space import Space, lint

SIZES = st.integers(1, 5000)
FAMILY = st.sampled_from(width.FAMILIES)


def test_heatons_rules_for_fashion_mnist():
    found = width.rules(784, 10)
    assert found.between == (10, 784)
    assert found.two_thirds == 533  # 522.67 + 10
    assert found.below == 1568


def test_where_the_rules_disagree_for_fashion_mnist():
    """533 keeps both other rules; what disagrees is rule 3's upper end with rule 1's."""
    words = width.disagreements(784, 10)
    assert len(words) == 1
    assert words[0].startswith("Rule 3 allows up to 1567 units, rule 1 no more than 784")
    with_data = width.disagreements(784, 10, examples=60_000)
    assert "423,745 parameters for 60,000 examples" in with_data[1]


@pytest.mark.parametrize(
    ("inputs", "outputs", "words"),
    [
        (
            90,
            60,
            ["Rule 2 (2/3 of the inputs plus the outputs: 120) contradicts rule 1", "Rule 3 all"],
        ),
        (
            10,
            100,
            ["contradicts rule 1", "(107) contradicts rule 3", "Rule 1 allows up to 100 units"],
        ),
        (13, 1, ["Rule 3 allows", "All rules stay at or below 32"]),
        (150_528, 1000, ["Rule 3 allows", "Rule 2 asks for 101,352 units"]),
    ],
)
def test_other_disagreements(inputs, outputs, words):
    found = width.disagreements(inputs, outputs)
    assert len(found) == len(words)
    for expected, sentence in zip(words, found, strict=True):
        assert expected in sentence


@given(SIZES, SIZES)
def test_the_contradictions_are_where_the_docstring_says(inputs, outputs):
    found = width.rules(inputs, outputs)
    words = " ".join(width.disagreements(inputs, outputs))
    exact = 2 * inputs / 3 + outputs
    assert abs(found.two_thirds - exact) <= 0.5 + 1e-9
    # With a margin of one unit for the rounding.
    if 2 * inputs / 3 + outputs > max(inputs, outputs) + 1:
        assert outputs > inputs / 3
        assert "contradicts rule 1" in words
    if outputs >= 4 / 3 * inputs + 1:
        assert "contradicts rule 3" in words
    if outputs < inputs / 3 - 1:
        assert "contradicts" not in words
    low, high = found.between
    assert ("allows up to" in words) == (found.below - 1 != high)
    assert low < found.below  # rules 1 and 3 always share some widths


@given(SIZES, st.integers(1, 2000))
def test_the_range_holds_rule_two_and_what_is_customary(inputs, outputs):
    found = width.suggestion(inputs, outputs)
    assert found.units.low <= 16
    assert found.units.high >= 512
    if found.rules.two_thirds <= 4096:
        assert found.units.contains(found.rules.two_thirds)
    assert found.units.contains(found.units.default)
    assert lint(Space(units=found.units)) == []


def test_the_range_for_fashion_mnist():
    units = width.suggestion(784, 10).units
    assert (units.low, units.high, units.default, units.scale) == (16, 1024, 128, "log")


def test_parameters_by_hand():
    assert width.parameters(784, (533,), 10) == 784 * 533 + 533 + 533 * 10 + 10 == 423_745
    assert width.parameters(784, (300, 100), 10) == 266_610  # LeNet-300-100
    assert width.parameters(3, (2,), 1, bias=False) == 8
    assert width.parameters(4, (), 2) == 10


@given(st.lists(st.integers(1, 40), min_size=2, max_size=6))
def test_parameters_are_those_of_the_arrays(sizes):
    arrays = [np.zeros(shape) for pair in pairwise(sizes) for shape in (pair, pair[1:])]
    assert width.parameters(sizes[0], sizes[1:-1], sizes[-1]) == sum(a.size for a in arrays)


def test_families_by_hand():
    assert width.widths("constant", 64, 3) == (64, 64, 64)
    assert width.widths("pyramid", 640, 3, outputs=10) == (640, 160, 40)  # and 10 would be next
    assert width.widths("diamond", 64, 3) == (32, 64, 32)
    assert width.widths("diamond", 64, 5) == (32, 45, 64, 45, 32)
    assert width.widths("diamond", 64, 4) == (32, 64, 64, 32)
    assert width.widths("diamond", 64, 2) == (64, 64)


@given(FAMILY, SIZES, st.integers(1, 8), st.integers(1, 100))
def test_families_keep_their_shape(family, units, layers, outputs):
    found = width.widths(family, units, layers, outputs)
    wider = width.widths(family, units + 1, layers, outputs)
    assert len(found) == layers
    assert all(a <= b for a, b in zip(found, wider, strict=True))
    if family == "pyramid":
        assert found[0] == units
        assert list(found) == sorted(found, reverse=units >= outputs)
    if family == "diamond":
        assert max(found) == units
        assert found == found[::-1]


@given(st.integers(1, 10**6), FAMILY, st.integers(1, 6), st.integers(1, 1000), st.integers(1, 100))
def test_the_budget_is_met_or_just_missed(budget, family, layers, inputs, outputs):
    def size(units):
        return width.parameters(inputs, width.widths(family, units, layers, outputs), outputs)

    if size(1) > budget:
        with pytest.raises(SpaceError, match="with a single unit"):
            width.units_for(budget, family, layers, inputs, outputs)
        return
    units = width.units_for(budget, family, layers, inputs, outputs)
    assert size(units) <= budget < size(units + 1)


def test_the_budget_of_a_known_net():
    for budget, units in ((423_745, 533), (423_744, 532), (423_745 + 794, 533), (424_540, 534)):
        assert width.units_for(budget, "constant", 1, 784, 10) == units


def test_the_shape_is_searched_where_there_is_one():
    space = Space(width.domains(784, 10, layers=(1, 3), families=("constant", "pyramid")))
    assert list(space) == ["layers", "units", "family"]
    assert space["family"].condition == (("layers", (2, 3)),)
    assert space.default() == {"layers": 2, "units": 128, "family": "constant"}
    assert width.hidden({"layers": 1, "units": 64}, 10) == (64,)
    assert width.hidden({"layers": 3, "units": 640, "family": "pyramid"}, 10) == (640, 160, 40)


def test_a_width_for_each_layer():
    space = Space(width.domains(784, 10, layers=(2, 3), each_layer=True))
    assert list(space) == ["layers", "units_1", "units_2", "units_3"]
    assert [space[name].condition for name in space] == [(), (), (), (("layers", (3,)),)]
    found = width.hidden({"layers": 2, "units_1": 64, "units_2": 32}, 10)
    assert found == (64, 32)


@given(SIZES, st.integers(1, 100), st.integers(1, 3), st.integers(0, 3), st.booleans())
def test_every_configuration_is_a_net(inputs, outputs, fewest, more, each_layer):
    space = Space(
        width.domains(
            inputs,
            outputs,
            layers=(fewest, fewest + more),
            families=width.FAMILIES,
            each_layer=each_layer,
        )
    )
    for place in (0.0, 0.3, 0.7, 0.999):
        configuration = space.check(space.sample(lambda _, place=place: place))
        assert len(width.hidden(configuration, outputs)) == configuration["layers"]


def test_what_cannot_be():
    with pytest.raises(SpaceError, match="inputs=0"):
        width.rules(0, 1)
    with pytest.raises(SpaceError, match="Did you mean 'pyramid'"):
        width.widths("pyramide", 8, 2)
    with pytest.raises(SpaceError, match="layers=0"):
        width.widths("constant", 8, 0)
    with pytest.raises(SpaceError, match=r"layers=\(3, 2\)"):
        width.domains(8, 2, layers=(3, 2))
    with pytest.raises(SpaceError, match="needs 'layers'"):
        width.hidden({"units": 8}, 2)


@pytest.mark.parametrize("layers", [(3, 3), (1, 4)])
def test_a_single_family_is_not_forgotten(layers):
    space = Space(width.domains(784, 10, families=("pyramid",), layers=layers))
    configuration = {**space.default(), "layers": 3, "units": 640}
    assert width.hidden(configuration, 10) == width.widths("pyramid", 640, 3, 10) == (640, 160, 40)
    assert "family" not in width.domains(784, 10, layers=layers)
    assert "family" not in width.domains(784, 10, layers=(1, 1), families=("pyramid",))
