"""What every schedule is: a frozen value and a pure function of the step."""

from __future__ import annotations

import math
import numbers
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

from luthier.errors import StudyError, nearest

_FAMILIES: dict[str, type[Schedule]] = {}


@dataclass(frozen=True)
class Schedule:
    """A learning rate for every step: a linear warm-up to the peak, then the family's own shape.

    In step s of the warm-up the rate is peak·(s + 1)/(warm_up + 1): it rises evenly, no step is wasted
    at rate 0, and step ``warm_up`` is the first at the peak (Goyal et al. 2017, arXiv 1706.02677,
    section 2.2, whose warm-up starts above 0 as well).

    Attributes:
        peak: the highest rate, above 0.
        warm_up: optimizer steps before the peak; 0 for none.
        family: the name it has in a space.
        horizon_free: True when it needs no knowledge of how long training will be, so training can be
            lengthened as it goes.
        source: where it was published.
    """

    peak: float
    warm_up: int = field(default=0, kw_only=True)
    family: ClassVar[str]
    horizon_free: ClassVar[bool]
    source: ClassVar[str]

    def __init_subclass__(cls) -> None:
        _FAMILIES[cls.family] = cls

    def __post_init__(self) -> None:
        check(self, "peak", 0 < self.peak < math.inf, "a learning rate above 0")
        whole(self, "warm_up", 0, "steps")

    def __call__(self, step: Any) -> Any:
        """Return the rate of the update that comes after *step* updates.

        Args:
            step: whole numbers from 0 on, one or an array of them.

        Returns:
            A float, or float64 numbers of the same shape.

        Raises:
            StudyError: a step below 0, or NaN.
        """
        import numpy as np

        steps = np.asarray(step, np.float64)
        if not (steps >= 0).all():
            wrong = float(steps[~(steps >= 0)].flat[0])
            raise StudyError(
                f"{type(self).__name__}: step={wrong:g}: expected the number of updates so far, from 0 on; "
                "0 is the first update's."
            )
        rates = np.asarray(self.at(steps, np), np.float64)
        return float(rates) if rates.ndim == 0 else rates

    @property
    def horizon(self) -> int | None:
        """Return the steps after which it has run its course; None where a shorter look misleads nobody.

        That is without a horizon, and with a stable part, in which all trials are alike.
        """
        own = vars(self)
        if self.horizon_free or "decay" in own:
            return None
        if "at_steps" in own:
            return max(own["at_steps"], default=None)
        return own["steps"] if "steps" in own else self.warm_up + own["period"]

    def at(self, step: Any, ops: Any) -> Any:
        """Return the same by the operations of any array namespace (numpy, jax.numpy, keras.ops).

        Args:
            step: a floating-point array or scalar of that namespace; below 0 counts as 0, since a
                compiled function cannot refuse it.
            ops: has where, minimum, maximum, floor, power, cos and sqrt.
        """
        step = ops.maximum(step, 0.0)
        after = ops.maximum(step - self.warm_up, 0.0)
        rising = (step + 1.0) / (self.warm_up + 1.0)
        return self.peak * ops.where(step < self.warm_up, rising, self.shape(after, ops))

    def shape(self, step: Any, ops: Any) -> Any:
        """Return the rate's share of the peak, *step* steps after the warm-up."""
        raise TypeError(type(self))

    def to_dict(self) -> dict[str, Any]:
        """Return the schedule as plain data, which ``Schedule.from_dict`` reads."""
        return {"family": self.family, **asdict(self)}

    @staticmethod
    def from_dict(data: dict[str, Any]) -> Schedule:
        """Return the schedule that ``to_dict`` described.

        Raises:
            StudyError: no such family, or fields that it does not have.
        """
        fields: dict[str, Any] = {**data}
        family = str(fields.pop("family", None))
        if family not in _FAMILIES:
            known = ", ".join(_FAMILIES)
            raise StudyError(
                f"There is no schedule {family!r}: expected one of {known}."
                f"{nearest(family, _FAMILIES)}"
            )
        try:
            return _FAMILIES[family](**fields)
        except TypeError as error:
            raise StudyError(f"These are no fields of {family}: {fields}. {error}") from None


def check(owner: Any, name: str, holds: bool, expected: str) -> None:
    """Refuse a field's value.

    Raises:
        StudyError: *holds* is False (or NaN was compared).
    """
    if not holds:
        raise StudyError(
            f"{type(owner).__name__}({name}={getattr(owner, name)!r}): expected {expected}."
        )


def whole(owner: Any, name: str, least: int, of_what: str) -> None:
    """Make a field's value an ``int``; 1e3 and numpy's numbers are whole numbers, too.

    Raises:
        StudyError: the value is no whole number from *least* on.
    """
    value = getattr(owner, name)
    object.__setattr__(owner, name, as_whole(value, value))
    expected = f"a whole number of {of_what} from {least} on"
    if isinstance(value, float) and math.isfinite(value) and value > least and value % 1:
        expected += f", such as {math.floor(value)} or {math.ceil(value)}"
    check(owner, name, as_whole(value, least - 1) >= least, expected)


def as_whole(value: Any, otherwise: Any) -> Any:
    """Return *value* as an ``int``, and *otherwise* where it is no whole number."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return otherwise
    number = float(value)
    return int(number) if math.isfinite(number) and number % 1 == 0 else otherwise
