"""Hypothesis strategies for domains and spaces."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import strategies as st

from luthier.errors import SpaceError
from luthier.space import Bool, Choice, Constant, Domain, Float, Int, Space

CONFIDENCES = st.sampled_from(["low", "medium", "high"])
UNIT = st.floats(0, 1)
NAMES = ["lr", "units", "layers", "momentum", "optimizer", "batch size", "β", "x.y"]
OPTIONS = st.one_of(
    st.text(max_size=4),
    st.integers(-(2**63) + 1, 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.none(),
    st.tuples(st.integers(-9, 9), st.text(max_size=2)),
)
ANYTHING = st.one_of(
    OPTIONS,
    st.floats(),
    st.integers(),
    st.integers(10**300, 10**400),
    st.complex_numbers(),
    st.binary(max_size=3),
    st.lists(st.one_of(st.integers(), st.floats(), st.text(max_size=3)), max_size=3),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
    st.sets(st.integers(0, 9), max_size=3),
    st.sampled_from([object(), int, len, range(3)]),
)


@st.composite
def ranges(draw, low=-1e6, high=1e6):
    a = draw(st.floats(low, high, allow_subnormal=False))
    b = draw(st.floats(low, high, allow_subnormal=False))
    a, b = min(a, b), max(a, b)
    if b - a <= 1e-6 * max(1e-3, abs(a), abs(b)):
        b = a + max(1.0, abs(a))
    return a, b


@st.composite
def continuous(draw, prior: bool = False):
    scale = draw(st.sampled_from(["linear", "log", "one_minus_log"]))
    if scale == "log":
        low, high = draw(ranges(1e-9, 1e6))
    elif scale == "one_minus_log":
        low, high = draw(ranges(-100.0, 0.5))
        high = 0.99 if high >= 1 else high
    else:
        low, high = draw(ranges())
    domain = Float(low, high, scale=scale)
    if prior:
        believed = domain.decode(draw(UNIT))
        return Float(low, high, scale=scale, prior=believed, confidence=draw(CONFIDENCES))
    return domain


@st.composite
def stepped(draw):
    digits = draw(st.integers(0, 4))
    step = draw(st.integers(1, 50)) * 10.0**-digits
    step = round(step, digits)
    low = round(draw(st.integers(-1000, 1000)) * 10.0**-digits, digits)
    high = round(low + draw(st.integers(1, 30)) * step, digits)
    return Float(low, high, step=step)


@st.composite
def whole(draw, most=200):
    low = draw(st.integers(-1000, 1000))
    kind = draw(st.sampled_from(["linear", "log", "step"]))
    size = draw(st.integers(1, most))
    if kind == "step":
        step = draw(st.integers(1, 50))
        return Int(low, low + size * step, step=step)
    if kind == "log":
        low = abs(low) + 1
        return Int(low, low + size, scale="log")
    return Int(low, low + size)


@st.composite
def choices(draw, options=OPTIONS):
    picked = draw(st.lists(options, min_size=1, max_size=5, unique_by=lambda o: (type(o), o)))
    favourite = draw(st.sampled_from([None, *picked]))
    default = draw(st.sampled_from([None, *picked]))
    return Choice(*picked, prior=favourite, default=default, confidence=draw(CONFIDENCES))


BOOLS = st.builds(
    Bool, st.booleans(), prior=st.one_of(st.none(), st.booleans()), confidence=CONFIDENCES
)
DISCRETE = st.one_of(stepped(), whole(), choices(), BOOLS)
DOMAINS = st.one_of(continuous(), continuous(prior=True), DISCRETE, st.builds(Constant, OPTIONS))


@st.composite
def spaces(draw, domains=DOMAINS, depth: int = 1) -> Space:
    """Random spaces: conditions on earlier hyperparameters, and sub-spaces under options."""
    made: dict[str, Domain] = {}
    for name in draw(st.lists(st.sampled_from(NAMES), max_size=5, unique=True)):
        if depth and draw(st.integers(0, 5)) == 0:
            options = draw(st.lists(st.sampled_from("abc"), min_size=1, unique=True))
            made[name] = Choice({o: draw(spaces(domains, depth=depth - 1)) for o in options})
            continue
        domain = draw(domains)
        parents = [k for k, d in made.items() if d.cardinality is not None]
        if parents and draw(st.booleans()):
            parent = draw(st.sampled_from(parents))
            units = draw(st.lists(UNIT, min_size=1, max_size=3))
            values = tuple(made[parent].decode(u) for u in units)
            domain = domain.under(((parent, values),))
        made[name] = domain
    return Space(made)


def refusal(make: Callable[[], object]) -> str | None:
    """Return the message of the SpaceError that *make* raises, or None; other errors come through."""
    try:
        make()
    except SpaceError as error:
        return str(error)
    return None


def even(units: int) -> list[float]:
    """Return the centres of so many equal parts of [0, 1]."""
    return [(i + 0.5) / units for i in range(units)]
