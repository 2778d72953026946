"""The studies of a store, each folded once and kept up to date for all pages that look at it."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec

from luthier.app.dashboard.chronicle import chronicle_page
from luthier.app.dashboard.columns import trial_columns
from luthier.app.dashboard.lessons import lesson
from luthier.app.dashboard.summary import summary
from luthier.errors import LuthierError, StudyError, nearest
from luthier.insight.chronicle import Chronicle
from luthier.insight.happening import of_trial
from luthier.study.history import History
from luthier.study.log import decoded
from luthier.study.protocols import Store
from luthier.study.snapshot import follow

Answer = TypeVar("Answer")

_PATIENCE = 5.0  # seconds for which a lesson stands though there is more to learn from
_SHARE = 20  # a lesson may take one part in so many of a processor
_WARMED = 8  # studies that are read before anybody asks
_MOST_TOLD = 60  # events of a trial
_PAUSE = 0.2  # seconds between two looks at the log


@dataclass
class _Told:
    """A lesson as it was told last."""

    at: int
    time: float
    cost: float
    answer: dict[str, Any]


class Watched:
    """One study. Every method may be called from any thread.

    Pages refer to what they have seen by a revision: "KEY-NUMBER", the number counting changes of trials
    since this object was made. Lessons read a history of their own, so that a long computation holds no
    page up.
    """

    def __init__(self, store: Store, name: str) -> None:
        self.name = name
        self._store = store
        self._key = secrets.token_hex(4)
        self._history = History()
        self._chronicle = Chronicle()
        self._lesson_history = History()
        self._lock = threading.Lock()
        self._chronicle_lock = threading.Lock()
        self._lesson_lock = threading.Lock()
        self._looked = 0.0
        self._lessons: dict[tuple[str, str], _Told] = {}
        self._whole: tuple[int, msgspec.Raw] | None = None  # all columns, and of which log's end

    def refresh(self) -> int:
        """Fold in what is new, and return the number of the log's last event."""
        with self._lock:
            return self._refreshed().cursor

    def read(self, question: Callable[[History], Answer]) -> Answer:
        """Return what *question* answers of the history as it stands."""
        with self._lock:
            return question(self._refreshed())

    def columns(self, since: str = "") -> dict[str, Any]:
        """Return the summary, and all trials or those that changed after revision *since*."""
        with self._lock:
            history = self._refreshed()
            revision = len(history.touched)
            key, _, seen = since.partition("-")
            known = int(seen) if key == self._key and seen.isdigit() else None
            numbers = None
            if known is not None and known <= revision:
                numbers = sorted(set(history.touched[known:]))
            return {
                "revision": f"{self._key}-{revision}",
                "cursor": history.cursor,
                "summary": summary(history),
                "whole": numbers is None,
                "columns": self._written(history)
                if numbers is None
                else trial_columns(history, numbers),
            }

    def _written(self, history: History) -> msgspec.Raw:
        """Return the columns of all trials as JSON, which a study at rest needs but once."""
        if self._whole is None or self._whole[0] != history.cursor:
            self._whole = history.cursor, msgspec.Raw(as_json(trial_columns(history)))
        return self._whole[1]

    def chronicle(self) -> dict[str, Any]:
        """Return the timeline and the feed; the first time the whole log is read for it."""
        with self._chronicle_lock:
            up_to = self.refresh()
            self._chronicle.follow(self._store, self.name, up_to)
            return self.read(lambda history: chronicle_page(self._chronicle, history))

    def trial_log(self, trial: int) -> dict[str, Any]:
        """Return what the log says of *trial*, the newest first; its reports are its curves."""
        with self._chronicle_lock:
            self._chronicle.follow(self._store, self.name, self.refresh())
            created = self._chronicle.created
            numbers = self._chronicle.numbers_about(trial)
        rows: list[dict[str, Any]] = []
        for number in reversed(numbers[-_MOST_TOLD:]):
            for at, body in self._store.read(self.name, number - 1, 1):
                event = decoded(self.name, at, body)
                if said := of_trial(event):
                    rows.append({"number": at, "time": event.time - created, **said})
        return {"rows": rows, "hidden": max(0, len(numbers) - _MOST_TOLD)}

    def lesson(self, what: str, name: str = "") -> dict[str, Any]:
        """Return what the study taught, as fresh as it can be without taking the processor from training."""
        with self._lesson_lock:
            told = self._lessons.get((what, name))
            if told is not None:
                age = time.monotonic() - told.time
                if age < max(_PATIENCE, _SHARE * told.cost):
                    return told.answer
            self._lesson_history = follow(self._store, self.name, self._lesson_history)
            history = self._lesson_history
            if told is not None and told.at == history.cursor:
                return told.answer
            began = time.monotonic()
            answer = {**lesson(history, what, name), "trials": len(history.trials)}
            now = time.monotonic()
            self._lessons[what, name] = _Told(history.cursor, now, now - began, answer)
            return answer

    def _refreshed(self) -> History:
        now = time.monotonic()
        if now - self._looked > _PAUSE:
            self._history = follow(self._store, self.name, self._history)
            self._looked = time.monotonic()
        return self._history


@dataclass
class Watch:
    """All studies of a store; those that somebody looked at are kept folded."""

    store: Store
    studies: dict[str, Watched] = field(default_factory=dict[str, Watched])
    lock: threading.Lock = field(default_factory=threading.Lock)

    def warm(self, enough: threading.Event) -> None:
        """Fold the newest studies in while nobody has asked for anything yet, until *enough* is set.

        Whoever opens the page a moment after the server has started then finds them read. What goes
        wrong here goes wrong again, and is told, when somebody asks.
        """
        with suppress(LuthierError):
            for name in self.store.names()[: -_WARMED - 1 : -1]:
                if enough.is_set():
                    return
                with suppress(LuthierError):
                    self.study(name).columns()

    def study(self, name: str) -> Watched:
        """Return the study of that name.

        Raises:
            StudyError: there is none.
        """
        with self.lock:
            known = self.studies.get(name)
        if known is None:
            names = self.store.names()
            if name not in names:
                raise StudyError(f"There is no study {name!r}.{nearest(name, names)}")
            with self.lock:
                known = self.studies.setdefault(name, Watched(self.store, name))
        return known


_encoder = msgspec.json.Encoder(order=None)


def as_json(answer: Any) -> bytes:
    """Return the answer as JSON; what is no finite number becomes null."""
    return _encoder.encode(answer)
