"""Tables that schedulers and searchers derive from a history, kept up to date instead of made anew.

A table is a function of the history alone: whoever opens the study in the middle and makes it from the
trials as they are finds the same. Keeping it only saves the time.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from luthier.study.records import TrialRecord

if TYPE_CHECKING:
    from luthier.study.history import History


class Table(Protocol):
    """Something that takes in trials, each as often as it changes."""

    def take(self, trial: TrialRecord) -> None:
        """Replace what is known of *trial*; where its ``rewound`` has changed, all of it.

        A trial may lose reports and have others at the same steps by the time it is taken in again.
        """
        ...


T = TypeVar("T", bound=Table)


def followed(history: History, key: Hashable, make: Callable[[], T]) -> T:
    """Return the table that *key* stands for, with all that happened taken in."""
    tables = _kept.setdefault(history, {})
    if key not in tables:
        tables[key] = [make(), 0]
    entry = tables[key]
    table, since = entry
    touched = history.touched
    if since < len(touched):
        for number in dict.fromkeys(touched[since:]):
            table.take(history.trials[number])
        entry[1] = len(touched)
    return table


_kept: weakref.WeakKeyDictionary[History, dict[Hashable, list[Any]]] = weakref.WeakKeyDictionary()
