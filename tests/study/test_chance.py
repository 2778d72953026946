"""Draws that are functions of what they are for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from luthier.study.chance import Chance

WORDS = st.text(max_size=20)


@given(st.integers(0, 2**63), st.lists(WORDS | st.integers(), max_size=4), st.lists(WORDS))
def test_many_draws_are_what_each_would_be_by_itself(seed, purpose, names):
    chance = Chance(seed, tuple(purpose))
    uniform = chance.uniforms()
    assert [uniform(name) for name in names] == [chance.uniform(name) for name in names]


def test_the_draws_of_a_study_never_change():
    """They are in logs: another number here, and old studies would not replay."""
    chance = Chance(5, ("trial", 3, "configuration", 0))
    assert chance.uniform("learning_rate") == chance.uniforms()("learning_rate")
    assert round(chance.uniform("learning_rate"), 12) == 0.372622642557
