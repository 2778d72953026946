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
from luthier.app.dashboard.lessons import about, lesson
from luthier.app.dashboard.summary import listed, summary
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
_LESSONS = 100  # that are kept of a study
_WARMED = 8  # studies that are read before anybody asks
_MOST_TOLD = 60  # events of a trial
_PAUSE = 0.2  # seconds between two looks at the log
_COMPARED = 1.0  # seconds between two looks at whether it is the same log
_KEPT = 2_000_000  # events that histories are kept of: some 600 MB, and as much again for all pages
_SMALL = 1_000  # events that a study counts as at least


@dataclass
class _Told:
    """A lesson as it was told last."""

    at: int
    time: float
    cost: float
    answer: dict[str, Any]


@dataclass(frozen=True)
class Line:
    """A study's line in the list as it was at *time*, and of which log, read up to where."""

    first: bytes
    stamp: str
    cursor: int
    time: float
    shown: dict[str, Any]

    @property
    def doubtful(self) -> bool:
        """Whether it may run no more: that a worker dies is written nowhere."""
        return self.shown["state"] == "running" and time.monotonic() - self.time > _PATIENCE

    def stands(self, store: Store, name: str) -> bool:
        """Return whether nothing was written since."""
        return first_of(store, name) == self.first and not store.wait(name, self.cursor, 0.0)


def first_of(store: Store, name: str) -> bytes:
    """Return a log's first event as it is written, b"" where there is none: no two logs have the same."""
    return b"".join(bytes(body) for _, body in store.read(name, 0, 1))


class Watched:
    """One study. Every method may be called from any thread.

    Pages refer to what they have seen by a revision: "KEY-NUMBER", the number counting changes of trials
    since the history began, the key naming that history: a study that begins anew has another one. Lessons
    read a history of their own, so that a long computation holds no page up.
    """

    def __init__(self, store: Store, name: str) -> None:
        self.name = name
        self._store = store
        self._first = first_of(store, name)
        self._stands, self._compared = True, time.monotonic()
        self._key = secrets.token_hex(4)
        self._history = History()
        self._chronicle = Chronicle()
        self._lesson_history = History()
        self._lock = threading.Lock()
        self._chronicle_lock = threading.Lock()
        self._lesson_lock = threading.Lock()
        self._looked = 0.0
        self._lessons: dict[tuple[str, str, str], _Told] = {}
        self._whole: tuple[int, msgspec.Raw] | None = None  # all columns, and of which log's end

    @property
    def weight(self) -> int:
        """The events of which it keeps the fold, about."""
        return max(_SMALL, self._history.cursor)

    def stands(self) -> bool:
        """Return whether the log is the one that was read; a store may be deleted and made again."""
        now = time.monotonic()
        if self._stands and now - self._compared > _COMPARED:
            self._compared = now
            self._stands = first_of(self._store, self.name) == self._first
        return self._stands

    def refresh(self) -> int:
        """Fold in what is new, and return the number of the log's last event."""
        with self._lock:
            return self._refreshed().cursor

    @property
    def stamp(self) -> str:
        """What there is, the newest included: another text whenever the log has grown."""
        with self._lock:
            cursor = self._refreshed().cursor
            return f"{self._key}-{cursor}"

    def line(self) -> Line:
        """Return the study's line in the list."""
        with self._lock:
            return self._line(self._refreshed())

    def last_line(self) -> Line | None:
        """Return the line as it is without a look at the log; None where none was read."""
        with self._lock:
            return None if self._history.created is None else self._line(self._history)

    def _line(self, history: History) -> Line:
        shown = listed(self.name, history)
        stamp = f"{self._key}-{history.cursor}"
        return Line(self._first, stamp, history.cursor, time.monotonic(), shown)

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
        space = self.read(lambda history: history.space)
        try:
            name = about(space, what, name)
        except LuthierError as error:
            return {"why_not": str(error)}
        with self._lesson_lock:
            key = self._key, what, name
            told = self._lessons.get(key)
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
            self._lessons.pop(key, None)
            self._lessons[key] = _Told(history.cursor, now, now - began, answer)
            if len(self._lessons) > _LESSONS:
                del self._lessons[next(iter(self._lessons))]
            return answer

    def _refreshed(self) -> History:
        now = time.monotonic()
        if now - self._looked > _PAUSE:
            history = follow(self._store, self.name, self._history)
            if history is not self._history:  # the study began anew: its trials are others
                self._history, self._key = history, secrets.token_hex(4)
            self._looked = time.monotonic()
        return self._history


@dataclass
class Watch:
    """All studies of a store. Those that were looked at last are kept folded, of the others their lines."""

    store: Store
    studies: dict[str, Watched] = field(default_factory=dict[str, Watched])  # asked for last: last
    lines: dict[str, Line] = field(default_factory=dict[str, Line])
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
        found = known if known is not None and known.stands() else self._opened(name)
        with self.lock:
            now = self.studies.pop(name, None)
            if now is not None and now is not known:  # somebody else has opened it meanwhile
                found = now
            self.studies[name] = found
            left = self._left()
        for other in left:  # their lines take long, and nobody should wait for that
            if (line := other.last_line()) is not None:
                self.lines[other.name] = line
        return found

    def line(self, name: str) -> Line:
        """Return the study's line in the list; a history that is not kept is read only for news.

        Raises:
            StudyError: there is none of that name.
        """
        line = self._kept_line(name)
        return self.study(name).line() if line is None or line.doubtful else line

    def stamp(self, name: str) -> str:
        """Return another text whenever the study's log has grown.

        Raises:
            StudyError: there is none of that name.
        """
        line = self._kept_line(name)
        return self.study(name).stamp if line is None else line.stamp

    def _kept_line(self, name: str) -> Line | None:
        with self.lock:
            line = None if name in self.studies else self.lines.get(name)
        return line if line is not None and line.stands(self.store, name) else None

    def _opened(self, name: str) -> Watched:
        names = self.store.names()
        if name not in names:
            raise StudyError(f"There is no study {name!r}.{nearest(name, names)}")
        return Watched(self.store, name)

    def _left(self) -> list[Watched]:
        """Let go of the histories that were asked for the longest ago, but never of the last one."""
        left: list[Watched] = []
        weight = sum(study.weight for study in self.studies.values())
        while weight > _KEPT and len(self.studies) > 1:
            left.append(self.studies.pop(next(iter(self.studies))))
            weight -= left[-1].weight
        return left


_encoder = msgspec.json.Encoder(order=None)


def as_json(answer: Any) -> bytes:
    """Return the answer as JSON; what is no finite number becomes null."""
    return _encoder.encode(answer)
