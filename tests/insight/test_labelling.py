"""Labels say values apart that are apart."""

from __future__ import annotations

from luthier.insight.labelling import told_apart


def test_neighbours_are_told_apart():
    assert told_apart([0.9, 0.99, 0.999, 0.9999], 2) == ["0.9", "0.99", "0.999", "0.9999"]
    assert told_apart([1000.0, 1016.7, 1033.3, 1100.0], 2) == ["1000", "1017", "1033", "1100"]
    assert told_apart([1e-4, 1e-3, 0.1, 1.0], 2) == ["0.0001", "0.001", "0.1", "1"]


def test_what_is_nearly_one_is_not_one():
    assert told_apart([0.5, 0.99999], 3) == ["0.5", "0.99999"]
    assert told_apart([0.99999, 1.0]) == ["0.99999", "1"]


def test_what_is_no_number_is_written_as_it_is():
    assert told_apart(["adam", True, 3, 0.5]) == ["adam", "True", "3", "0.5"]
    assert told_apart([0.25, float("inf")]) == ["0.25", "inf"]
