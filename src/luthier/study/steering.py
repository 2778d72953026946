"""What people may ask of a study while it runs, checked and turned into events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from luthier.errors import StudyError
from luthier.space import Space
from luthier.study import events as ev
from luthier.study.history import History
from luthier.study.protocols import Searcher


def enqueued(history: History, configuration: Mapping[str, Any], now: float) -> ev.Enqueued:
    """Return the event that has *configuration* tried next.

    Raises:
        SpaceError: when the space does not hold it.
    """
    return ev.Enqueued(time=now, configuration=history.space.check(configuration))


def pruned(history: History, trial: int, reason: str, now: float) -> ev.TrialStopped:
    """Return the event that abandons a trial.

    Raises:
        StudyError: there is no such trial, or it has ended.
    """
    if not 0 <= trial < len(history.trials):
        known = f"0 to {len(history.trials) - 1}" if history.trials else "none yet"
        raise StudyError(f"There is no trial {trial} to prune: trials are {known}.")
    record = history.trials[trial]
    if record.state.ended:
        raise StudyError(f"Trial {trial} has ended already: it is {record.state}.")
    return ev.TrialStopped(time=now, trial=trial, step=record.step, reason=reason)


def budget(
    trials: int | None, epochs: int | None, until: float | None, reason: str, now: float
) -> ev.BudgetSet:
    """Return the event that limits the study anew.

    Raises:
        StudyError: a limit that is no whole number above 0.
    """
    for name, value in (("trials", trials), ("epochs", epochs)):
        given: Any = value
        if given is not None and (type(given) is not int or given < 1):
            raise StudyError(f"{name} must be a whole number above 0, or None, got {value!r}.")
    return ev.BudgetSet(time=now, trials=trials, epochs=epochs, until=until, reason=reason)


def changed(
    history: History,
    searcher: Searcher,
    space: Space | Mapping[str, Any],
    reason: str,
    now: float,
) -> ev.SpaceChanged:
    """Return the event that widens or narrows the space.

    Raises:
        SpaceError: no space, or one that the searcher cannot search.
    """
    wanted = space if isinstance(space, Space) else Space(space)
    searcher.size(wanted)
    return ev.SpaceChanged(time=now, space=wanted.to_dict(), reason=reason)
