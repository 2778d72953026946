"""Do the best trials crowd an edge of the space? Then the optimum may lie outside, and it widens.

The test is ``search/crowding.py``, the same by which a study widens by itself (``tune(widen=True)``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from luthier.insight.trials import Source, history_of
from luthier.search.crowding import FEWEST, LEVEL, TOP, Crowded, crowded, judged_by, widened
from luthier.study.study import Study


def check(
    source: Source,
    *,
    level: float = LEVEL,
    top: float = TOP,
    limits: Mapping[str, tuple[float, float]] | None = None,
) -> tuple[Crowded, ...]:
    """Return the edges that the best trials of a study or a history crowd, the surest first.

    For the test, the other arguments and what is raised see ``search.crowding.crowded``.
    """
    return crowded(history_of(source), level=level, top=top, limits=limits)


def too_few(source: Source) -> str:
    """Return in a sentence that there are too few trials to judge an edge by, '' where there are enough."""
    count = judged_by(history_of(source))
    if count is None or count >= FEWEST:
        return ""
    return f"Too few trials to tell whether an edge is crowded ({count} of {FEWEST})."


def act(study: Study, findings: Sequence[Crowded] | None = None) -> tuple[Crowded, ...]:
    """Widen the space of *study* where it is crowded, and return what it was widened for.

    The change is an event with the reason in words; what was tried stays in the history, and every
    process that works on the study goes on in the wider space.

    Args:
        study: to be widened.
        findings: by default what ``check`` finds now.
    """
    findings = check(study) if findings is None else findings
    moved = tuple(f for f in findings if f.to is not None)
    if moved:
        study.steer.space(widened(study.space, moved), "; ".join(f.words for f in moved))
    return moved


__all__ = ["Crowded", "act", "check", "too_few", "widened"]
