"""Renews the leases of a process that trains by itself, from a thread of its own.

A supervisor does this for its workers instead (a training loop can starve a thread). Here it only
matters to other processes: if the thread is starved for a whole term and another process takes the
trial over, fencing keeps the log right.
"""

from __future__ import annotations

import contextlib
import os
import threading
import weakref
from collections.abc import Iterable

from luthier.errors import LuthierError
from luthier.study import events as ev
from luthier.study.protocols import Store
from luthier.study.study import Study

_running: weakref.WeakKeyDictionary[Study, threading.Thread] = weakref.WeakKeyDictionary()


def keep_renewing(study: Study) -> None:
    """Renew what *study* holds from now on, until it is garbage; once a study."""
    if study in _running:
        return
    thread = threading.Thread(
        target=_renew, args=(weakref.ref(study), study.leases.term / 3), daemon=True
    )
    _running[study] = thread
    thread.start()


def _forget_in_fork() -> None:
    """Let a fork renew by a thread of its own, and only what it takes itself."""
    for study in list(_running):
        study.leased.clear()
    _running.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_fork)


def renew(store: Store, name: str, held: Iterable[tuple[int, int]], now: float) -> None:
    """Append a renewal for each (trial, lease)."""
    events = [ev.LeaseRenewed(time=now, trial=trial, lease=lease) for trial, lease in held]
    if events:
        store.append(name, [ev.encode(event) for event in events])


def _renew(reference: weakref.ref[Study], every: float) -> None:
    known: set[int] = set()
    pause = threading.Event()
    while True:
        pause.wait(every)
        study = reference()
        if study is None:
            return
        held = dict(study.leased)
        # A lease younger than this interval needs no renewal: short jobs leave no trace.
        old = [(trial, lease) for lease, trial in held.items() if lease in known]
        known = set(held)
        with contextlib.suppress(LuthierError):  # a store that is away for a moment
            renew(study.store, study.name, old, study.clock.time())
        del study
