"""Who trained what, and when; and how the budget was spent."""

from __future__ import annotations

from typing import Any, Literal

from luthier.errors import StudyError, nearest
from luthier.insight.chronicle import LOST, chronicle
from luthier.insight.drawing import FILL, GREY, LINE, MARK, axes_or_new
from luthier.insight.labelling import plain
from luthier.insight.trials import Searched, study_of
from luthier.study.study import Study

Budget = Literal["epochs", "trials"]
_COLOURS = {"completed": FILL, "": "#6aa84f", "failed": LINE, "diverged": MARK}
_ROWS = 100  # workers, the newest


def workers(source: Study | Searched) -> Any:
    """Return the timeline of the workers: a bar is a job, a gap on its line idle time.

    A cross is a worker that was lost with its job, an arrow a job that was tried again.

    Args:
        source: a study, or what a search returned: its log is read, which a history does not have.
    """
    known = chronicle(study_of(source))
    names = list(known.workers)
    first = max(0, len(names) - _ROWS)
    jobs = [job for job in known.jobs if job.worker >= first]
    now = max((max(j.sign, j.end or 0.0) for j in jobs), default=0.0)
    axes = axes_or_new(None, height=1.4 + 0.3 * max(1, len(names) - first))
    for worker in range(first, len(names)):
        own = [job for job in jobs if job.worker == worker]
        ends = [now if job.end is None else job.end for job in own]
        axes.plot([own[0].begin, max(ends)], [worker, worker], color=GREY, lw=0.8, zorder=1)
        colours = [_COLOURS.get(j.how, "#e3a7a9" if j.how in LOST else "#9db4c8") for j in own]
        lengths = [end - job.begin for job, end in zip(own, ends, strict=True)]
        axes.barh(
            [worker] * len(own), lengths, left=[j.begin for j in own], color=colours, height=0.6
        )
    lost = [(now if j.end is None else j.end, j.worker) for j in jobs if j.how in LOST]
    again = [(j.begin, j.worker) for j in jobs if j.again]
    for points, mark, label in ((lost, "x", "worker lost"), (again, ">", "tried again")):
        if points:
            x, y = zip(*points, strict=True)
            axes.plot(x, y, mark, color=MARK if mark == "x" else LINE, ms=7, label=label)
    axes.set_yticks(range(first, len(names)), list(map(plain, names[first:])), fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("seconds since the study began")
    axes.set_title("Workers")
    if lost or again:
        axes.legend(fontsize=8)
    return axes.figure


def spent(source: Study | Searched, budget: Budget = "epochs") -> Any:
    """Return how many epochs were trained, or trials had ended, over time, and the limit.

    Args:
        source: a study, or what a search returned: its log is read, which a history does not have.
        budget: ``"epochs"`` or ``"trials"``.

    Raises:
        StudyError: *budget* is something else.
    """
    if budget not in ("epochs", "trials"):
        raise StudyError(
            f"budget={budget!r}: expected 'epochs' or 'trials'.{nearest(str(budget), ('epochs', 'trials'))}"
        )
    study = study_of(source)
    known = chronicle(study)
    # The limit is the search's: a race's repetitions are no trials of it.
    search = (when for n, when in known.finished.items() if n not in study.history.repetitions)
    ended = [(when, i) for i, when in enumerate(search, 1)]
    points = known.burn if budget == "epochs" else ended
    limits = study.history.limits
    limit = limits.epochs if budget == "epochs" else limits.trials
    axes = axes_or_new(None)
    axes.step(
        [t for t, _ in points], [n for _, n in points], where="post", color=FILL, label="spent"
    )
    if limit is not None:
        axes.axhline(limit, color=MARK, ls="--", lw=1, label=f"budget {limit}")
        axes.legend(fontsize=8)
    axes.set_xlabel("seconds since the study began")
    axes.set_ylabel(budget if budget == "epochs" else "trials that ended")
    axes.set_ylim(bottom=0)
    axes.set_title("Budget spent")
    return axes.figure
