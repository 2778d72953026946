"""Ranges as people write them, on a command line and in files."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luthier import Bool, Choice, Constant, Float, Int, Space, SpaceError
from luthier.space.spelling import (
    domain_from_data,
    domain_from_text,
    space_from_data,
    value_from_text,
)


@pytest.mark.parametrize(
    ("text", "data", "domain"),
    [
        ("log:1e-5:1e-1", {"log": [1e-5, 1e-1]}, Float(1e-5, 1e-1, scale="log")),
        ("float:0:0.5", {"float": [0, 0.5]}, Float(0, 0.5)),
        ("uniform:0:0.5", {"uniform": [0, 0.5]}, Float(0, 0.5)),
        ("float:0:1:0.1", {"float": [0, 1], "step": 0.1}, Float(0, 1, step=0.1)),
        (
            "one_minus_log:0.9:0.999",
            {"one_minus_log": [0.9, 0.999]},
            Float(0.9, 0.999, scale="one_minus_log"),
        ),
        ("int:32:512:32", {"int": [32, 512], "step": 32}, Int(32, 512, step=32)),
        ("intlog:16:1024", {"intlog": [16, 1024]}, Int(16, 1024, scale="log")),
        ("sgd,adam", ["sgd", "adam"], Choice("sgd", "adam")),
        ("choice:32,64,1e-3", {"choice": [32, 64, 1e-3]}, Choice(32, 64, 1e-3)),
        ("bool", "bool", Bool()),
        ("log:1e-5:1e-1", "log:1e-5:1e-1", Float(1e-5, 1e-1, scale="log")),
    ],
)
def test_text_and_data_say_the_same(text, data, domain):
    assert domain_from_text(text) == domain
    assert domain_from_data(data) == domain


def test_a_file_may_say_more():
    space = space_from_data(
        {
            "optimizer": ["sgd", "adam"],
            "momentum": {"one_minus_log": [0.5, 0.99], "when": {"optimizer": "sgd"}, "prior": 0.9},
            "layers": 3,
            "name": "resnet: a net",
        }
    )
    assert space == Space(
        optimizer=Choice("sgd", "adam"),
        momentum=Float(0.5, 0.99, scale="one_minus_log", prior=0.9).when(optimizer="sgd"),
        layers=Constant(3),
        name=Constant("resnet: a net"),
    )
    with_rule = space_from_data({"space": {"a": [1, 2], "b": [1, 2]}, "constraints": ["a <= b"]})
    assert with_rule.violated({"a": 2, "b": 1})


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"lr": {"lgo": [1, 2]}}, r"lr: 'lgo': expected one of .*Did you mean 'log'"),
        ({"lr": {"log": [1, 2], "stp": 1}}, r"'stp'.*Did you mean 'step'"),
        ({"lr": {"log": 3}}, r"lr: log: 3: expected \[low, high\]"),
        ({"lr": "log:1e-5"}, r"'log:1e-5': expected log:LOW:HIGH"),
        ({"units": {"int": [0.5, 3]}}, r"units: int: .*whole number.*For fractions use float"),
        ({"m": {"float": [0, 1], "when": "sgd"}}, r"when: 'sgd': expected parents"),
        ({"m": {"choice": [1, 2], "step": 1}}, r"a choice has none"),
        ([1, 2], r"names and ranges"),
        (
            {"a": [1, 2], "constraints": ["a <= 1"]},
            r"constraints: .*apart: \{space: \{a: \.\.\.\}, constraints: \['a <= 1'\]\}",
        ),
        ({"constraints": "a <= 1", "a": [1, 2]}, r"\{space: \{a: "),
    ],
)
def test_what_is_wrong_is_named_with_its_fix(data, words):
    with pytest.raises(SpaceError, match=words):
        space_from_data(data)


@given(st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.booleans()))
def test_values_survive_being_written(value):
    read = value_from_text(repr(value))
    assert read == value
    assert type(read) is type(value)


@given(st.text(alphabet="abc0123.-_ ", max_size=8))
def test_any_text_is_some_value(text):
    read = value_from_text(text)
    if isinstance(read, str):
        assert read == text.strip()
    else:
        assert float(text) == read


def test_leading_zeros_are_a_name():
    assert value_from_text("007") == "007"
