"""Studies against each other: the best so far of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from luthier.errors import StudyError, nearest
from luthier.insight.drawing import axes_or_new
from luthier.insight.labelling import plain
from luthier.insight.progressing import improvements
from luthier.insight.trials import Source, history_of

_LABELS = {
    "trials": "trials that ended",
    "epochs": "epochs trained by them",
    "seconds": "seconds since the first trial began",
}


def compare(
    studies: Mapping[str, Source], by: Literal["trials", "epochs", "seconds"] = "trials"
) -> Any:
    """Return the best value so far of several studies, a line each.

    Args:
        studies: by the name that each has in the picture.
        by: ``"trials"``, ``"epochs"`` or ``"seconds"``, as ``progress``.

    Raises:
        StudyError: *by* is something else, there is no study, or they are judged by different objectives.
    """
    if by not in _LABELS:
        raise StudyError(
            f"by={by!r}: expected 'trials', 'epochs' or 'seconds'.{nearest(str(by), _LABELS)}"
        )
    histories = {name: history_of(source) for name, source in studies.items()}
    objectives = {str(history.objective) for history in histories.values()}
    if len(objectives) != 1:
        raise StudyError(
            "Studies are compared by one objective; these have "
            f"{', '.join(sorted(objectives)) or 'none: there is no study'}."
        )
    axes = axes_or_new(None)
    for name, history in histories.items():
        found = improvements(history)
        axes.step(getattr(found, by), found.values, where="post", label=plain(name))
    axes.set_xlabel(_LABELS[by])
    axes.set_ylabel(plain(next(iter(histories.values())).objective.metric))
    axes.set_title("Best so far")
    axes.legend(fontsize=8)
    return axes.figure
