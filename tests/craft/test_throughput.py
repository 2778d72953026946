"""The throughput knee and the largest batch that fits, on machines made up and real memory errors."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luthier.craft.throughput import find, survey
from luthier.errors import StudyError


def machine(memory=10**9, overhead=0.01, each=1e-4):
    """Return a measure: a step takes a fixed time and one per example, and *memory* examples fit."""
    tried = []

    def measure(size):
        tried.append(size)
        if size > memory:
            raise MemoryError
        return overhead + each * size

    return measure, tried


def test_doubles_and_takes_the_knee():
    measure, tried = machine()
    found = survey(measure, smallest=8, most=4096)
    assert tried == [8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096]
    assert found.largest == 4096
    assert found.out_of_memory is None
    # Examples a second are b / (0.01 + 1e-4 b): 9,762 at 4,096; 90 % of that is reached at 1,024.
    assert found.knee == 1024
    assert next(t.batch_size for t in found.timings if t.per_second >= 0.9 * 9761.6) == 1024


@pytest.mark.parametrize("memory", [8, 9, 100, 1000, 1500, 2047])
def test_bisects_to_the_largest_that_fits(memory):
    measure, tried = machine(memory)
    found = survey(measure, most=100_000, granularity=1)
    assert found.largest == memory
    assert found.out_of_memory == memory + 1
    assert len(tried) == len(set(tried)) < 25


@given(st.integers(1, 5000), st.integers(1, 64), st.integers(1, 5000), st.integers(1, 64))
def test_the_largest_is_known_to_the_granularity(memory, smallest, most, granularity):
    most = max(smallest, most)
    measure, tried = machine(memory)
    found = survey(measure, smallest=smallest, most=most, granularity=granularity)
    assert found.largest <= min(memory, most)
    if found.out_of_memory is None:
        assert found.largest == most
    else:
        assert memory < found.out_of_memory <= found.largest + granularity
    assert len(tried) == len(set(tried))
    assert max(tried) <= most
    best = max(t.per_second for t in found.timings)
    for timing in found.timings:
        if timing.seconds and timing.batch_size < found.knee:
            assert timing.per_second < 0.9 * best


def test_starts_smaller_where_the_first_does_not_fit():
    measure, tried = machine(memory=3)
    found = survey(measure, smallest=32, granularity=1)
    assert tried == [32, 16, 8, 4, 2, 3]
    assert found.largest == 3


def test_not_even_one():
    measure, _ = machine(memory=0)
    with pytest.raises(StudyError, match="a batch of one"):
        survey(measure)


def test_other_errors_are_the_users():
    def measure(size):
        raise ValueError("shapes")

    with pytest.raises(ValueError, match="shapes"):
        survey(measure)


@pytest.mark.parametrize(
    "wrong", [{"smallest": 0}, {"most": 4}, {"tolerance": 1}, {"granularity": 0}]
)
def test_arguments_that_cannot_be(wrong):
    with pytest.raises(StudyError, match="expected 1 <= smallest"):
        survey(lambda size: 1.0, **wrong)
    with pytest.raises(StudyError, match="repeats=0"):
        find(lambda size: lambda: None, repeats=0)


def test_the_median_of_steps_after_the_warm_up():
    now = 0.0
    durations = {8: [9, 9, 1, 1, 5, 1, 1], 16: [9, 9, 3, 1, 1, 2, 9]}  # two to warm up, then five

    def steps(size):
        left = iter(durations[size])

        def step():
            nonlocal now
            now += next(left)

        return step

    found = find(steps, smallest=8, most=16, clock=lambda: now)
    assert [t.seconds for t in found.timings] == [1, 2]
    assert found.knee == 8


def test_memory_that_runs_out_for_real():
    def steps(size):
        return lambda: bytearray(size << 50) if size > 32 else None

    found = find(steps, smallest=8, most=512)
    assert found.largest == 32
    assert found.out_of_memory == 40
    words = str(found)
    assert "40  out of memory" in words
    assert "40 runs out of memory, 32 fits." in words
    assert words.count("<- take this") == 1
