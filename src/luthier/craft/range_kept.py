"""Range tests in a study: written into its log, so that page and report can show them beside the trials."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from luthier.craft.range_finder import RangeTest, read
from luthier.errors import StudyError

if TYPE_CHECKING:
    from luthier.study.history import History
    from luthier.study.study import Study

ATTRIBUTE = "range test"  # of the study; its value holds the curve, from which all else is read


def keep(test: RangeTest, study: Study) -> None:
    """Write the curve of *test* into the study's log; the newest one stands."""
    value: dict[str, Any] = {"rates": test.rates.tolist(), "losses": test.losses.tolist()}
    study.set_attribute(ATTRIBUTE, value)


def kept(history: History) -> RangeTest | None:
    """Return the range test that was kept in the study last; None without one, or one that can be read."""
    value = history.attributes.get(-1, {}).get(ATTRIBUTE)
    if not isinstance(value, dict):
        return None
    try:
        return read(value["rates"], value["losses"])  # pyright: ignore[reportUnknownArgumentType]
    except (KeyError, TypeError, ValueError, StudyError):  # another program's attribute
        return None
