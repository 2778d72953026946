"""Domains: what they hold, what they refuse, and their place in the unit range."""

from __future__ import annotations

import math
from enum import StrEnum
from statistics import median

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from strategies import (
    ANYTHING,
    CONFIDENCES,
    DISCRETE,
    DOMAINS,
    OPTIONS,
    UNIT,
    choices,
    continuous,
    even,
    refusal,
    stepped,
    whole,
)

from luthier.errors import SpaceError
from luthier.space import Bool, Choice, Constant, Float, Int
from luthier.space.scales import forward

MAYBE = st.one_of(st.none(), ANYTHING)
NUMBERS = st.one_of(st.floats(), st.integers(-100, 100), st.integers())


# -- nothing but SpaceError ------------------------------------------------------------------------


@settings(max_examples=300)
@given(
    kind=st.sampled_from([Float, Int]),
    low=st.one_of(NUMBERS, ANYTHING),
    high=st.one_of(NUMBERS, ANYTHING),
    words=st.fixed_dictionaries(
        {},
        optional={
            "scale": st.one_of(st.sampled_from(["linear", "log", "one_minus_log"]), ANYTHING),
            "step": st.one_of(NUMBERS, MAYBE),
            "default": st.one_of(NUMBERS, MAYBE),
            "prior": st.one_of(NUMBERS, MAYBE),
            "confidence": st.one_of(CONFIDENCES, ANYTHING),
        },
    ),
)
@example(kind=Float, low=0, high=1, words={"confidence": []})
@example(kind=Int, low=0, high=10**400, words={})
@example(kind=Int, low=2**53, high=2**53 + 1, words={})
def test_ranges_work_or_say_why_not(kind, low, high, words):
    message = refusal(lambda: kind(low, high, **words))
    if message is not None:
        assert message.startswith(f"{kind.__name__}({low!r}, {high!r}): ")
    else:
        domain = kind(low, high, **words)
        assert domain.low < domain.high
        assert domain.check("x", domain.default) == domain.default
        assert domain.low <= domain.decode(0.3) <= domain.high
        assert repr(domain)


@given(st.lists(ANYTHING, max_size=4), MAYBE, MAYBE, st.one_of(CONFIDENCES, ANYTHING))
def test_choices_work_or_say_why_not(options, default, prior, confidence):
    def make():
        return Choice(*options, default=default, prior=prior, confidence=confidence)

    if refusal(make) is None:
        domain = make()
        assert domain.check("x", domain.default) == domain.default


@given(ANYTHING, MAYBE, ANYTHING)
def test_bools_and_constants_work_or_say_why_not(value, prior, confidence):
    for make in (
        lambda: Bool(value),
        lambda: Bool(prior=prior),
        lambda: Bool(confidence=confidence),
        lambda: Constant(value),
    ):
        if refusal(make) is None:
            assert make().contains(make().default)


@settings(max_examples=300)
@given(DOMAINS, ANYTHING)
def test_check_returns_a_value_of_the_domain_or_names_the_value(domain, value):
    message = refusal(lambda: domain.check("rate", value))
    assert domain.contains(value) is (message is None)
    if message is not None:
        assert f"rate={value!r}" in message
    else:
        checked = domain.check("rate", value)
        assert domain.contains(checked)
        assert domain.check("rate", checked) == checked
        assert type(checked) is type(domain.check("rate", checked))


# -- the unit range --------------------------------------------------------------------------------


@settings(max_examples=200)
@given(DISCRETE)
def test_discrete_values_come_back_exactly(domain):
    values = domain.values()
    assert len(values) == domain.cardinality
    for value in values:
        back = domain.decode(domain.encode(value))
        assert back == value
        assert type(back) is type(value)
        assert domain.check("x", value) == value


@given(st.integers(1, 2**40), st.integers(1, 2**40), UNIT, st.sampled_from(["linear", "log"]))
def test_long_integer_ranges_come_back_exactly(low, size, place, scale):
    domain = Int(low, low + size, scale=scale)
    value = low + round(place * size)
    assert domain.decode(domain.encode(value)) == value


@settings(max_examples=200)
@given(continuous(), UNIT)
def test_continuous_values_come_back_to_rounding(domain, unit):
    value = domain.decode(unit)
    back = domain.decode(domain.encode(value))
    a, b = (forward(domain.scale, x) for x in (domain.low, domain.high))
    here, there = forward(domain.scale, value), forward(domain.scale, back)
    assert abs(here - there) <= 1e-12 * max(abs(a), abs(b), b - a)
    assert domain.decode(0.0) == domain.low
    assert domain.decode(1.0) == domain.high


@settings(max_examples=200)
@given(DOMAINS, UNIT, UNIT)
def test_draws_lie_in_the_domain_and_grow_with_the_quantile(domain, one, other):
    for unit in (0.0, one, other, 1.0, math.nextafter(1, 0)):
        assert domain.contains(domain.decode(unit))
        assert domain.contains(domain.quantile(unit))
    one, other = sorted((one, other))
    assert domain.encode(domain.decode(one)) <= domain.encode(domain.decode(other)) + 1e-12
    assert domain.encode(domain.quantile(one)) <= domain.encode(domain.quantile(other)) + 1e-9


@given(st.one_of(stepped(), choices(), whole(60)))
def test_each_discrete_value_has_the_same_mass(domain):
    assume(
        getattr(domain, "scale", "linear") == "linear" and getattr(domain, "prior", None) is None
    )
    places = even(domain.cardinality * 20)
    drawn = [domain.quantile(u) for u in places]
    for value in domain.values():
        assert sum(type(d) is type(value) and d == value for d in drawn) == 20


def test_small_integers_on_a_log_scale_have_their_own_share():
    domain = Int(1, 4, scale="log")
    drawn = [domain.quantile(u) for u in even(3000)]
    whole_range = math.log(4.5 / 0.5)
    for value in (1, 2, 3, 4):
        share = math.log((value + 0.5) / (value - 0.5)) / whole_range
        assert drawn.count(value) / 3000 == pytest.approx(share, abs=1e-3)


@pytest.mark.parametrize(
    ("domain", "values"),
    [
        (Float(0.1, 0.5, step=0.1), [0.1, 0.2, 0.3, 0.4, 0.5]),
        (Float(0, 0.3, step=0.05), [0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3]),
        (Float(1e-3, 5e-3, step=1e-3), [0.001, 0.002, 0.003, 0.004, 0.005]),
        (Float(-0.2, 0.1, step=0.1), [-0.2, -0.1, 0.0, 0.1]),
        (Int(32, 128, step=32), [32, 64, 96, 128]),
    ],
)
def test_steps_are_clean_decimals(domain, values):
    assert domain.values() == values
    assert [domain.check("x", v) for v in values] == values


@given(stepped())
def test_stepped_floats_are_as_short_as_low_and_step(domain):
    longest = max(len(f"{x:.6f}".rstrip("0")) for x in (domain.low, domain.step, domain.high))
    for value in domain.values():
        assert len(repr(value).lstrip("-")) <= longest + 6


def test_even_values_of_a_range():
    assert Float(0, 1).values(3) == [0.0, 0.5, 1.0]
    assert Float(1e-4, 1e-2, scale="log").values(3) == pytest.approx([1e-4, 1e-3, 1e-2])
    assert Float(0, 1).values(1) == [0.5]
    assert Int(0, 10).values(3) == [0, 5, 10]
    assert Int(1, 3).values(100) == [1, 2, 3]
    with pytest.raises(SpaceError, match="at least one"):
        Float(0, 1).values(0)


# -- priors ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("domain", "prior"),
    [
        (Float(0, 1, prior=0.5), 0.5),
        (Float(1e-4, 1e-1, scale="log", prior=3e-3), 3e-3),
        (Float(0.9, 0.999, scale="one_minus_log", prior=0.99), 0.99),
        (Int(1, 101, prior=51), 51),
    ],
)
def test_the_median_draw_lies_near_the_prior(domain, prior):
    draws = [domain.quantile(u) for u in even(501)]
    assert abs(domain.encode(median(draws)) - domain.encode(prior)) < 0.05


def test_more_confidence_draws_closer():
    def distance(confidence):
        domain = Float(0, 1, prior=0.3, confidence=confidence)
        return sum(abs(domain.quantile(u) - 0.3) for u in even(500))

    assert distance("high") < distance("medium") < distance("low")
    assert distance("low") < sum(abs(u - 0.3) for u in even(500))


@pytest.mark.parametrize(("confidence", "share"), [("low", 0.25), ("medium", 0.5), ("high", 0.75)])
def test_the_prior_option_has_its_mass_and_the_others_share_the_rest(confidence, share):
    domain = Choice("a", "b", "c", "d", prior="c", confidence=confidence)
    drawn = [domain.quantile(u) for u in even(4000)]
    mass = 0.25 + 0.75 * share
    assert drawn.count("c") / 4000 == pytest.approx(mass, abs=1e-3)
    for other in "abd":
        assert drawn.count(other) / 4000 == pytest.approx((1 - mass) / 3, abs=1e-3)
    for believed in (True, False):
        drawn = [Bool(prior=believed, confidence=confidence).quantile(u) for u in even(1000)]
        assert drawn.count(believed) / 1000 == pytest.approx(0.5 + 0.5 * share, abs=2e-3)


def test_a_prior_at_the_edge_stays_inside():
    domain = Float(0, 1, prior=0.0, confidence="high")
    assert all(0 <= domain.quantile(u) <= 1 for u in (0.0, 1e-17, 0.5, 1.0))
    assert Choice("only", prior="only").quantile(0.999) == "only"


# -- types -----------------------------------------------------------------------------------------


class Optimizer(StrEnum):
    SGD = "sgd"


def test_values_come_back_as_the_domains_own_type():
    assert type(Float(0, 1).check("x", 1)) is float
    assert type(Float(0, 1).check("x", np.float32(0.5))) is float
    assert type(Int(1, 64).check("x", 64.0)) is int
    assert type(Int(1, 64).check("x", np.int64(64))) is int
    assert type(Choice(32, 64).check("x", np.int64(64))) is int
    assert type(Choice(32, 64).check("x", 64.0)) is int
    assert Bool().check("x", np.bool_(True)) is True
    assert Bool(np.bool_(True)).default is True
    assert type(Choice(Optimizer.SGD).options[0]) is str
    assert Choice((3, 3), (5, 5)).check("x", [3, 3]) == (3, 3)
    assert Choice(np.array([1.5])[0], "a").options == (1.5, "a")


def test_true_is_not_one():
    assert not Int(0, 1).contains(True)
    assert not Choice(0, 1).contains(True)
    assert not Bool().contains(1)
    assert not Constant(1).contains(True)
    assert not Float(0, 1).contains(np.bool_(True))
    assert not Choice(0, 1).contains(np.bool_(True))
    assert Choice(1, True).values() == [1, True]
    assert type(Choice(1, True).decode(0.9)) is bool


def test_options_from_a_list_a_range_or_a_dict():
    assert Choice(["a", "b"]) == Choice("a", "b")
    assert Choice(range(3)) == Choice(0, 1, 2)
    assert Choice((1, 2)).options == ((1, 2),)


def test_options_from_a_set_have_one_order():
    assert Choice({"sgd", "adam", "rmsprop"}).options == ("adam", "rmsprop", "sgd")
    assert Choice(frozenset({10, 9, 1})).options == (1, 9, 10)


@given(st.lists(OPTIONS, min_size=1, max_size=4))
def test_repr_holds_every_option(options):
    message = refusal(lambda: Choice(*options))
    assert message is None or "twice" in message
    if message is None:
        domain = Choice(*options)
        assert all(repr(o) in repr(domain) for o in domain.options)


def test_repr_is_what_one_would_write():
    assert repr(Float(1e-4, 0.1, scale="log")) == "Float(0.0001, 0.1, scale='log')"
    assert repr(Int(1, 9, step=2).when(a="x")) == "Int(1, 9, step=2).when(a='x')"
    assert repr(Choice("a", 1).when(b=(1, 2))) == "Choice('a', 1).when(b=(1, 2))"


# -- messages --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Float(1, 1), r"low equals high; use Constant\(1\.0\)"),
        (lambda: Int(3, 3), r"low equals high; use Constant\(3\)"),
        (lambda: Float(2, 1), r"did you mean \(1\.0, 2\.0\)"),
        (lambda: Float(0, 1, scale="log"), "low above 0, got 0.0; start at .* such as 1e-04"),
        (lambda: Float(-2, -1, scale="log"), "use scale='linear'"),
        (lambda: Int(0, 8, scale="log"), "low above 0"),
        (lambda: Float(0.9, 1, scale="one_minus_log"), "high below 1, got 1.0; end at 0.999"),
        (lambda: Int(1, 2, scale="one_minus_log"), "numbers below 1; use 'log' or 'linear'"),
        (lambda: Float(0, 1, default=math.nan), "default=nan: expected a finite number"),
        (lambda: Float(0, 1, default=2), "default=2: .*the nearest is 1.0"),
        (lambda: Float(0, 1, prior=-1), "prior=-1: .*the nearest is 0.0"),
        (lambda: Int(0, 9, step=3, default=4), "default=4: .*steps of 3; the nearest is 3"),
        (lambda: Float(0, 1, step=0.3), r"do not end at 1; use high=0\.9"),
        (lambda: Int(32, 100, step=32), "do not end at 100; use high=96"),
        (lambda: Float(0, 1, step=2), "use high=2"),
        (lambda: Float(0, 1, step=0), "step must be above 0"),
        (lambda: Float(0, 1, step=-0.1), "step must be above 0"),
        (lambda: Float(1, 2, scale="log", step=0.5), "linear scale only"),
        (lambda: Int(1.5, 4), "low must be a whole number, got 1.5"),
        (lambda: Int(0, 4, step=0.4), "step must be a whole number, got 0.4; use 1"),
        (lambda: Int(0, 2**60), r"within ±2\*\*53"),
        (lambda: Int(0, 2**53 + 1), r"within ±2\*\*53"),
        (lambda: Float("0", 1), "low='0': expected a number, got str"),
        (lambda: Float(0, math.inf), "high=inf: expected a finite number"),
        (lambda: Float(0, 1, confidence="sure"), "confidence must be .* got 'sure'"),
        (lambda: Choice(), "no options"),
        (lambda: Choice([]), "no options"),
        (lambda: Choice("a", "a"), "'a' twice"),
        (lambda: Choice("a", "b", default="c"), "default='c': expected one of 'a', 'b'"),
        (lambda: Choice("sgd", "adam", prior="adamm"), "Did you mean 'adam'"),
        (lambda: Choice(object()), "cannot be an option: expected a string"),
        (lambda: Choice(np.zeros(2)), "cannot be an option"),
        (lambda: Choice(math.nan), "nan cannot be an option"),
        (lambda: Choice(2**63), "below 2"),
        (lambda: Bool("yes"), "default='yes': expected True or False"),
        (lambda: Constant(len), "cannot be an option"),
        (lambda: Int(1, 9).check("n", 4.5), "n=4.5: expected a whole number from 1 to 9"),
        (lambda: Constant(3).check("n", 4), "n=4: it is the constant 3"),
    ],
)
def test_message_says_what_and_how_to_mend_it(make, words):
    with pytest.raises(SpaceError, match=words):
        make()


def test_log_of_a_negative_range_suggests_no_negative_start():
    with pytest.raises(SpaceError) as caught:
        Float(-2, -1, scale="log")
    assert "such as -" not in str(caught.value)


# -- what numbers can tell apart -------------------------------------------------------------------


@given(st.integers(1, 2**44 - 1), st.integers(1, 2**44), st.sampled_from(["linear", "log"]), UNIT)
@example(low=2**44 - 50, size=50, scale="log", place=0.99)
@example(low=1, size=2**44 - 1, scale="log", place=1.0)
def test_the_longest_integer_ranges_come_back_exactly(low, size, scale, place):
    high = min(low + size, 2**44)
    domain = Int(low, high, scale=scale)
    value = low + round(place * (high - low))
    for near in (value, max(low, value - 1), min(high, value + 1)):
        assert domain.decode(domain.encode(near)) == near


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Int(1, 2**45, scale="log"), r"end at 2\*\*44.*Float\(1, .*scale='log'"),
        (lambda: Int(2**53 - 5, 2**53, scale="log"), r"end at 2\*\*44"),
        (lambda: Int(0, 2**53), "more values than numbers can tell apart; use Float"),
        (lambda: Float(1e15, 1e15 + 1, step=0.125), "a step larger than 0.125, or no step"),
    ],
)
def test_ranges_beyond_the_precision_of_numbers_are_refused(make, words):
    with pytest.raises(SpaceError, match=words):
        make()


def test_a_stepped_range_ends_at_a_clean_decimal():
    domain = Float(0, 0.1 * 3, step=0.1)
    assert domain.high == 0.3
    assert domain.check("x", 0.1 * 3) == domain.decode(1.0) == 0.3


@given(st.integers(-(10**6), 10**6), st.integers(0, 8), st.integers(1, 10**6), st.integers(1, 200))
def test_any_decimal_steps_come_back_exactly(low, digits, step, count):
    domain = Float(low / 10**digits, (low + step * count) / 10**digits, step=step / 10**digits)
    values = domain.values()
    assert len(set(values)) == count + 1
    assert (values[0], values[-1]) == (domain.low, domain.high)
    assert all(domain.decode(domain.encode(v)) == domain.check("x", v) == v for v in values)


def test_a_grid_takes_all_options_whatever_the_count():
    assert Choice("a", "b", "c").values(2) == ["a", "b", "c"]
    assert Choice(1, True, "a").values(2) == [1, True, "a"]
    assert Bool().values(1) == [False, True]


def test_an_option_that_is_none_has_no_place():
    with pytest.raises(SpaceError, match="expected one of 'a', 'b'"):
        Choice("a", "b").encode("c")


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (lambda: Float(1e-5, 0.1, log=True), r"Float has no log= \(got True\).*Write scale='log'"),
        (lambda: Float(0, 1, sampling="log"), r"no sampling= .*called scale="),
        (lambda: Int(min_value=1, max_value=9), r"Int has no min_value= .*called low="),
        (lambda: Int(1, 9, q=2), r"called step="),
        (lambda: Choice(values=["a", "b"]), r"Write the options one after another"),
        (lambda: Bool(defualt=True), r"Did you mean 'default'"),
        (lambda: Constant(3, step=1), r"Constant has no step="),
    ],
)
def test_another_tuners_words_are_told_ours(made, words):
    with pytest.raises(SpaceError, match=words):
        made()


def test_options_that_hold_tuples_are_encoded_as_a_log_gives_them_back():
    domain = Choice(((1, 2), (3, 4)), ((5, 6),))
    for back in (((1, 2), (3, 4)), ([1, 2], [3, 4]), [[1, 2], [3, 4]]):
        assert domain.contains(back)
        assert domain.encode(back) == 0.25


def test_domains_are_equal_where_their_values_are_of_one_type():
    assert Choice(1, 2) == Choice(1, 2)
    assert hash(Choice(1, 2)) == hash(Choice(1, 2))
    for one, other in [
        (Choice(0, 1), Choice(False, True)),
        (Choice(1, 2), Choice(1.0, 2.0)),
        (Choice((1, 2), "a"), Choice((True, 2), "a")),
        (Constant(1), Constant(True)),
        (Constant((1, (0,))), Constant((1, (False,)))),
        (Constant("a"), Choice("a")),
    ]:
        assert one != other
        assert other != one
    assert len(Choice((1, 2), (True, 2)).options) == 2


def test_where_a_log_scale_may_begin_is_a_value_of_its_kind():
    with pytest.raises(SpaceError, match=r"got 0; start at 1, or use scale='linear'"):
        Int(0, 10, scale="log")
    with pytest.raises(SpaceError, match="a small positive number such as 1e-03, or use"):
        Float(0, 10, scale="log")
    with pytest.raises(SpaceError, match=r"got 0; use scale='linear'"):
        Int(0, 1, scale="log")
