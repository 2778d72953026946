"""Ranges that grow with what the code asks for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import luthier as lt
from luthier.space import Choice, Float, HyperParameters, Int, Space
from luthier.space.hull import hull

SCALES = st.sampled_from(["linear", "log"])
ENDS = st.tuples(st.floats(1e-6, 1e3), st.floats(1e-6, 1e3)).filter(lambda ends: ends[0] < ends[1])


@given(ENDS, ENDS, SCALES)
def test_the_hull_of_two_ranges_holds_both_and_no_more(one, other, scale):
    a, b = Float(*one, scale=scale), Float(*other, scale=scale)
    both = hull(a, b)
    assert (both.low, both.high, both.scale) == (
        min(a.low, b.low),
        max(a.high, b.high),
        scale,
    )
    assert all(both.contains(end) for end in (*one, *other))
    assert hull(both, a) is both
    assert hull(b, a).low == both.low


def test_what_is_asked_for_last_says_where_to_begin():
    both = hull(Float(0, 1), Float(0, 10, default=7.0, prior=3.0, confidence="high"))
    assert (both.default, both.prior, both.confidence) == (7.0, 3.0, "high")
    assert hull(Float(0, 1), Float(0, 10)).default == 5.0  # nobody said


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Float(0, 1), Int(0, 1)),
        (Float(1, 2), Float(1, 2, scale="log")),
        (Int(0, 8, step=2), Int(0, 9)),
        (Int(0, 8, step=2), Int(1, 9, step=2)),
        (Choice("a", "b"), Choice("a", "c")),
    ],
)
def test_ranges_of_different_kinds_have_no_hull(one, other):
    assert hull(one, other) is None


def test_steps_from_one_place_have_a_hull():
    assert hull(Int(0, 8, step=2), Int(4, 20, step=2)) == Int(0, 20, step=2)
    assert hull(Float(0, 1, step=0.1), Float(0.3, 2, step=0.1)) == Float(0, 2, step=0.1)


def study_of(tmp_path, **settings):
    settings = {"minimize": "loss", "searcher": "random", **settings}
    return lt.open("s", {}, storage=tmp_path / "s.db", define_by_run=True, **settings)


def trained(study, *asked):
    """Train a trial whose code asks for these ranges of x, y, ..."""
    trial = study.ask()
    for name, domain in zip("xyz", asked, strict=False):
        trial.hp.float(name, *domain)
    study.tell(trial, loss=sum(trial.configuration.values()))
    return trial.configuration


def test_code_that_asks_for_more_widens_and_its_own_trials_stay_within(tmp_path):
    study = study_of(tmp_path)
    trained(study, (0, 1))
    for _ in range(8):
        assert 0 <= trained(study, (0, 10))["x"] <= 10
    assert study.space == Space(x=Float(0, 10))
    assert len({name for trial in study.trials for name in trial.configuration}) == 1
    values = [trained(study, (0, high))["x"] <= high for high in (3, 10, 2, 5, 1, 10, 7)]
    assert all(values)
    assert study.space == Space(x=Float(0, 10))  # another range each time: it hangs on something


def test_code_that_asks_for_less_from_now_on_narrows(tmp_path):
    study = study_of(tmp_path)
    trained(study, (0, 10), (0, 1))
    for seen in range(5):
        assert study.space["x"] == Float(0, 10), seen
        assert trained(study, (0, 1), (0, 1))["x"] <= 1
    assert study.space == Space(x=Float(0, 1), y=Float(0, 1))
    trained(study, (0, 4), (0, 1))
    assert study.space["x"] == Float(0, 4)


def test_a_range_narrowed_or_widened_by_hand_stays_so(tmp_path):
    study = study_of(tmp_path)
    trained(study, (0, 10))
    study.steer.space({"x": Float(0, 2)})
    assert all(trained(study, (0, 10))["x"] <= 2 for _ in range(7))
    assert study.space == Space(x=Float(0, 2))
    study.steer.space({"x": Float(0, 90)})
    assert max(trained(study, (0, 10))["x"] for _ in range(9)) > 10
    assert study.space == Space(x=Float(0, 90))


def test_what_is_asked_for_by_hand_may_lie_beyond_what_was_seen(tmp_path):
    study = study_of(tmp_path)
    study.enqueue({"x": 4, "y": 0.5})  # nothing is known yet
    assert trained(study, (0, 5), (0, 1)) == {"x": 4.0, "y": 0.5}
    study.enqueue({"x": 7.5})
    configuration = trained(study, (0, 10), (0, 1))
    assert configuration["x"] == 7.5
    study.enqueue({"x": 75, "y": 0.25})
    with pytest.warns(lt.errors.LuthierWarning, match=r"x=75.0, but the code asks for Float\(0.0"):
        assert trained(study, (0, 10), (0, 1))["x"] <= 10
    with pytest.raises(lt.errors.SpaceError, match="no hyperparameter 'q'"):
        study.enqueue({"q": 1})
    with pytest.raises(lt.errors.SpaceError, match="x='a': expected a number"):
        study.enqueue({"x": "a"})


def test_whole_numbers_by_hand_are_whole(tmp_path):
    study = study_of(tmp_path)
    trial = study.ask()
    trial.hp.int("n", 1, 5)
    study.tell(trial, loss=1.0)
    for value in (2.5, 10**30):
        with pytest.raises(lt.errors.SpaceError, match="n must"):
            study.enqueue({"n": value})


def test_a_longer_name_is_another_hyperparameter(tmp_path):
    """head.dropout is no branch of dropout, whatever their ranges."""
    study = study_of(tmp_path)
    for number in range(4):
        trial = study.ask()
        own = trial.hp.float("dropout", 0, 0.5) if number else None
        head = trial.hp.float("head.dropout", 0, 0.9)
        study.tell(trial, loss=1.0)
        assert trial.configuration.get("dropout") == own
        assert trial.configuration["head.dropout"] == head
    assert study.space == Space(**{"head.dropout": Float(0, 0.9), "dropout": Float(0, 0.5)})


def test_what_a_trial_asked_for_counts_once(tmp_path):
    """A long trial that asked for more must not undo, at each report, what was narrowed since."""
    study = study_of(tmp_path, epochs=9, scheduler=None)
    long = study.ask()
    long.hp.float("x", 0, 10)
    long.report(loss=1.0)
    for _ in range(5):
        trial = study.ask()
        trial.hp.float("x", 0, 1)
        trial.report(loss=1.0)
    assert study.space["x"] == Float(0, 1)
    long.report(loss=0.9)
    assert study.space["x"] == Float(0, 1)


def test_a_kind_that_was_seen_before_is_taken_again():
    hp = HyperParameters(Space(x=Choice("a", "b")), {}, lambda key, domain: domain.quantile(0.5))
    hp.choice("x", ["a", "c"])
    assert list(hp.space) == ["x", "x#2"]
    again = HyperParameters(hp.space, {"x#2": "c"}, None)
    assert again.choice("x", ["a", "c"]) == "c"
    assert not again.grown
