"""How numbers are written for people."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luthier.app import words


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0.0, "0"), (-0.0, "0"), (0.12345678, "0.1235"), (0.5, "0.5"), (1e-3, "0.001"),
        (1.23456e-4, "1.235e-04"), (1.2449e-4, "1.245e-04"), (3.162e-4, "3.162e-04"),
        (1e-5, "1e-05"), (-1.5e-7, "-1.5e-07"), (1234.56, "1235"), (12345.6, "12350"),
        (99999.6, "100000"), (64.0, "64"), (65536.0, "65536"), (1_049_999.0, "1049999"),
        (1_049_999.5, "1.05e+06"), (1e7, "1e+07"), (2.5e9, "2.5e+09"), (12, "12"),
        (math.inf, "inf"), (-math.inf, "-inf"), (math.nan, "nan"),
    ],
)  # fmt: skip
def test_four_digits_and_counts_whole(value, said):
    assert words.number(value) == said


@given(st.floats(-1e300, 1e300))
def test_what_is_written_is_the_number_to_four_digits(value):
    assert float(words.number(value)) == pytest.approx(value, rel=5.001e-4)


def test_a_rate_keeps_its_digits():
    assert words.configuration({"rate": 3.162e-4, "units": 64}) == "rate=3.162e-04, units=64"
