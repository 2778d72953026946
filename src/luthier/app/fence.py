"""The fence round a test set: it is read once, after the choice, and every read is in the log.

A test set that is looked at again and again becomes a second validation set, and what it says of the
model chosen by it is too good (Deep Learning Tuning Playbook; Dwork et al. 2015, "The reusable holdout").
"""

from __future__ import annotations

import getpass
import socket
import time
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from luthier.errors import LuthierWarning, StudyError
from luthier.study.events import TestRead
from luthier.study.history import History
from luthier.study.records import TrialRecord
from luthier.study.study import Study
from luthier.study.words import counted


def read_test(
    study: Study,
    trial: TrialRecord,
    evaluate: Callable[[Any], float | Mapping[str, float]],
    of: Any,
) -> dict[str, float]:
    """Return what *evaluate* measures of a trial on the test set, and write into the log that it did.

    Warns when the test set was read before, or when trials are still running.

    Args:
        study: whose log it is.
        trial: the one that was chosen.
        evaluate: returns a number, or metrics by name.
        of: what it is called with.

    Raises:
        StudyError: *evaluate* returned neither.
    """
    for sentence in objections(study.refresh()):
        warnings.warn(sentence, LuthierWarning, stacklevel=3)
    found: Any = evaluate(of)
    values = dict(found) if isinstance(found, Mapping) else {study.objective.metric: found}
    try:
        numbers = {str(name): float(value) for name, value in values.items()}
    except (TypeError, ValueError):
        raise StudyError(
            f"The test returned {found!r}: expected a number, or numbers by name."
        ) from None
    study.append(
        [TestRead(time=study.clock.time(), trial=trial.number, values=numbers, who=_who())]
    )
    return numbers


def objections(history: History) -> list[str]:
    """Return what is to be said against reading the test set now."""
    found: list[str] = []
    name = history.header.name
    if history.test_reads:
        last = history.test_reads[-1]
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(last.time))
        times = len(history.test_reads)
        found.append(
            f"The test set of study {name!r} is spent: it was read {times} time{'s' * (times > 1)}, "
            f"last on {when} by {last.who}, for trial {last.trial}. What it says is an honest estimate "
            "only once; take data that no choice has seen."
        )
    if history.active:
        found.append(
            f"Study {name!r} still trains {counted(len(history.active), 'trial')}: a test set is for after the "
            "choice."
        )
    return found


def _who() -> str:
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # no such user in this container
        user = "somebody"
    return f"{user}@{socket.gethostname()}"
