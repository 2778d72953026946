"""Depth: the published ladder of residual nets, and repeating one's own blocks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luthier.craft import depth
from luthier.errors import SpaceError

BLOCKS = st.lists(st.integers(1, 40), min_size=1, max_size=5)


@pytest.mark.parametrize("name", depth.RESNETS)
def test_the_published_nets_have_the_layers_in_their_names(name):
    blocks, layers_per_block = depth.RESNETS[name]
    assert depth.layers(blocks, layers_per_block) == name


@pytest.mark.parametrize(
    ("n", "name"), [(3, 20), (5, 32), (7, 44), (9, 56), (18, 110), (200, 1202)]
)
def test_the_nets_for_cifar_have_6n_plus_2(n, name):
    assert depth.layers((n, n, n)) == 6 * n + 2 == name


def test_the_ladder_of_resnet_18():
    rungs = depth.ladder((2, 2, 2, 2), times=(1, 1.5, 2, 3))
    assert [rung.layers for rung in rungs] == [18, 26, 34, 50]
    assert rungs[2].blocks == (4, 4, 4, 4)  # as many layers as ResNet-34, in another ratio


def test_the_published_ladder_by_where_it_grows():
    resnet = {name: blocks for name, (blocks, _) in depth.RESNETS.items()}
    assert depth.deepened(resnet[18], 8, where=(1, 2, 4, 1)) == resnet[34]
    assert depth.deepened(resnet[50], 17, where=(0, 0, 1, 0)) == resnet[101]
    assert depth.deepened(resnet[101], 17, where=(0, 4, 13, 0)) == resnet[152]
    assert depth.deepened(resnet[152], 16, where=(0, 1, 0, 0)) == resnet[200]


def test_the_ratio_stays():
    assert depth.repeated((3, 4, 6, 3), 2) == (6, 8, 12, 6)
    assert depth.repeated((3, 4, 6, 3), 1.5) == (5, 6, 9, 4)  # 4.5, 6, 9, 4.5
    assert depth.repeated((1, 2), 1) == (1, 2)


@given(BLOCKS, st.floats(1, 8))
def test_as_deep_as_asked_and_each_stage_within_one_block(blocks, times):
    found = depth.repeated(blocks, times)
    assert sum(found) == round(sum(blocks) * times)
    factor = sum(found) / sum(blocks)
    for before, now in zip(blocks, found, strict=True):
        assert before <= now
        assert abs(now - before * factor) < 1 + 1e-6


@given(BLOCKS, st.integers(0, 60), st.data())
def test_all_blocks_are_added_where_they_may(blocks, more, data):
    shares = st.lists(st.integers(0, 9), min_size=len(blocks), max_size=len(blocks))
    where = data.draw(shares.filter(any))
    found = depth.deepened(blocks, more, where)
    assert sum(found) == sum(blocks) + more
    for before, now, share in zip(blocks, found, where, strict=True):
        assert now >= before
        assert now == before or share > 0


def test_blocks_are_made_anew_in_order():
    made = depth.repeat([lambda i: ["narrow", i], lambda i: ["wide", i]], depth.repeated((1, 2), 2))
    assert made == [
        ["narrow", 0],
        ["narrow", 1],
        ["wide", 0],
        ["wide", 1],
        ["wide", 2],
        ["wide", 3],
    ]
    assert len({id(block) for block in made}) == 6


def test_how_many_repeats_as_a_domain():
    assert repr(depth.domains(4)["repeats"]) == "Int(1, 4)"
    assert depth.domains()["repeats"].default == 1


def test_what_cannot_be():
    with pytest.raises(SpaceError, match="blocks="):
        depth.layers([])
    with pytest.raises(SpaceError, match=r"times=0\.5"):
        depth.repeated((2, 2), 0.5)
    with pytest.raises(SpaceError, match="share for each of the 2 stages"):
        depth.deepened((2, 2), 1, where=(1,))
    with pytest.raises(SpaceError, match="not all 0"):
        depth.deepened((2, 2), 1, where=(0, 0))
    with pytest.raises(SpaceError, match="expected one for each"):
        depth.repeat([str], (1, 2))
    with pytest.raises(SpaceError, match="most=1"):
        depth.domains(1)
