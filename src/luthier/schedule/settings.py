"""What the settings of schedulers may be."""

from __future__ import annotations

import math
from numbers import Integral, Real

from luthier.errors import StudyError


def whole(scheduler: object, **least: int) -> None:
    """Make settings plain whole numbers: what is leased goes into the log, which holds no other kind.

    Args:
        scheduler: whose settings they are. One that is None by default may be None.
        least: for each setting the lowest value that it may have.

    Raises:
        StudyError: one is no whole number, or is too low. 27.0 is none; NumPy's integers are.
    """
    for name, lowest in least.items():
        value = getattr(scheduler, name)
        if value is None and getattr(type(scheduler), name, lowest) is None:
            continue
        if isinstance(value, bool) or not isinstance(value, Integral) or value < lowest:
            raise StudyError(
                f"{type(scheduler).__name__}: {name} must be a whole number of at least {lowest}, "
                f"got {value!r}."
            )
        object.__setattr__(scheduler, name, int(value))


def real(scheduler: object, *names: str, **least: float) -> None:
    """Make settings plain numbers; see ``whole``.

    Args:
        scheduler: whose settings they are.
        names: of those that may be any number, as far as this is concerned.
        least: for each other one the lowest value that it may have.

    Raises:
        StudyError: one is no finite number, or is too low.
    """
    for name, lowest in (dict.fromkeys(names, -math.inf) | least).items():
        value = getattr(scheduler, name)
        if (
            isinstance(value, bool)
            or not isinstance(value, Real)
            or not lowest <= float(value) < math.inf
        ):
            bound = "" if lowest == -math.inf else f" of at least {lowest:g}"
            raise StudyError(
                f"{type(scheduler).__name__}: {name} must be a number{bound}, got {value!r}."
            )
        object.__setattr__(
            scheduler, name, int(value) if isinstance(value, Integral) else float(value)
        )
