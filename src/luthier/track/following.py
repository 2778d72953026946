"""Follows a study's log, and brings trackers up to date: each from a thread of its own."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Sequence
from typing import Protocol

from luthier.study.history import History
from luthier.study.protocols import Store
from luthier.study.records import TrialRecord
from luthier.study.snapshot import follow
from luthier.track.turns import AnotherWrites, identity

_LOOKS = 1.0  # seconds between two looks at the log
_LONGEST_PAUSE = 60.0  # seconds until a tracker that failed is tried again
_LAST_WAIT = 10.0  # seconds that the end of a study waits for its trackers


class Tracker(Protocol):
    """Something that keeps runs.

    One that lets a single process write at a time has a method ``close`` as well, which is called when a
    study is over: others may write from then on.
    """

    @property
    def name(self) -> str:
        """Return kind and place, without passwords, for messages."""
        ...

    def write(self, history: History, trials: Sequence[TrialRecord]) -> None:
        """Write what is new of *trials*, which have changed since the last call that did not raise.

        May be called with what is written already: by a process that was started again, or after a
        failure half way; and with another study than before, or one that began anew.

        Raises:
            AnotherWrites: another process does it; what is new will be told again.
        """
        ...


class Tracking:
    """Writes a study to trackers while it runs, for a ``with`` block.

    Args:
        store: of its own: the thread that follows must not wait for the one that trains.
        study: the study's name.
        trackers: where to write.
    """

    def __init__(self, store: Store, study: str, trackers: Sequence[Tracker]) -> None:
        self._followers = [_Follower(store, study, tracker) for tracker in trackers]

    def __enter__(self) -> Tracking:
        for follower in self._followers:
            follower.start()
        return self

    def __exit__(self, *_: object) -> None:
        for follower in self._followers:
            follower.over.set()
        end = time.monotonic() + _LAST_WAIT
        for follower in self._followers:
            follower.join(max(0.0, end - time.monotonic()))
            follower.say_what_is_missing()


class _Follower(threading.Thread):
    def __init__(self, store: Store, study: str, tracker: Tracker) -> None:
        super().__init__(name="luthier-tracker", daemon=True)
        self.over = threading.Event()
        self._store = store
        self._study = study
        self._tracker = tracker
        self._news = _News(store, study)
        self._failed = ""

    def run(self) -> None:
        pause = _LOOKS
        while not self.over.wait(pause):
            pause = _LOOKS if self._write() else min(_LONGEST_PAUSE, pause * 2)
        self._write()
        _close(self._tracker)

    def _write(self) -> bool:
        try:
            self._news.write_to(self._tracker)
        except AnotherWrites:  # it has all that we have; if it ends first, it is our turn
            return True
        except Exception as error:  # whatever a tracker raises is no concern of the study's
            if not self._failed:
                print(
                    f"luthier: cannot write to {self._tracker.name} ({_line(error)}); the study goes on, "
                    "what is missing is written as soon as it can be",
                    file=sys.stderr,
                )
            self._failed = _line(error)
            return False
        self._failed = ""
        return True

    def say_what_is_missing(self) -> None:
        if self._failed or self.is_alive():
            print(
                f"luthier: {self._tracker.name} does not have all of the study yet; "
                f"later: luthier track {self._study!r} --to ...",
                file=sys.stderr,
            )


class _News:
    """What a tracker has not been told yet."""

    def __init__(self, store: Store, study: str) -> None:
        self._store = store
        self._study = study
        self._history = History()
        self._told: dict[int, tuple[object, ...]] = {}
        self._told_of = ""

    def write_to(self, tracker: Tracker) -> None:
        self._history = history = follow(self._store, self._study, self._history)
        if self._told_of != (study := identity(history)):  # its first look, or the study began anew
            self._told = {}
        looks: dict[int, tuple[object, ...]] = {
            t.number: (t.step, t.state, t.lease, t.ended_at, t.why) for t in history.trials
        }
        changed = [t for t in history.trials if self._told.get(t.number) != looks[t.number]]
        if changed or self._told_of != study:
            tracker.write(history, changed)
        self._told, self._told_of = looks, study


def catch_up(store: Store, study: str, tracker: Tracker) -> int:
    """Write all of a study to *tracker*, and return how many trials it has.

    Raises:
        AnotherWrites: another process of this machine is writing it.
        Exception: what else the tracker raises.
    """
    history = follow(store, study, History())
    try:
        tracker.write(history, list(history.trials))
    finally:
        _close(tracker)
    return len(history.trials)


def times(trial: TrialRecord) -> list[float]:
    """Return when each report was made, in seconds since 1970, as the epochs' own seconds tell it."""
    at, found = trial.proposed_at, list[float]()
    for seconds in trial.seconds:
        at += seconds
        found.append(at)
    return found


def _close(tracker: Tracker) -> None:
    close = getattr(tracker, "close", None)
    if callable(close):
        close()


def _line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


__all__ = ["Tracker", "Tracking", "catch_up", "times"]
