"""The first event of a study: found, written, or written anew where nothing has come of it yet."""

from __future__ import annotations

import warnings

import msgspec

from luthier.errors import LuthierWarning, StudyError, nearest
from luthier.run.same_settings import check_same
from luthier.space import Space
from luthier.study import events as ev
from luthier.study.history import History
from luthier.study.log import decoded
from luthier.study.protocols import Conflict, Store
from luthier.study.snapshot import follow

_FIRST_EVENTS = 64  # of a log; with most studies the first report is among them


def header_of(store: Store, name: str) -> ev.StudyCreated:
    """Return the event with which a study began.

    Raises:
        StudyError: there is no such study.
        StorageError: an event that this version of Luthier cannot read.
    """
    header = found_header(store, name)
    if header is None:
        names = store.names()
        raise StudyError(
            f"There is no study {name!r}.{nearest(name, names)} "
            f"There are: {', '.join(map(repr, names)) or 'none'}."
        )
    return header


def found_header(store: Store, name: str) -> ev.StudyCreated | None:
    """Return the event with which a study began, None where there is no such study.

    It may have begun anew before the first report.

    Raises:
        StorageError: an event that this version of Luthier cannot read.
    """
    header, cursor = None, 0
    while page := store.read(name, cursor, limit=_FIRST_EVENTS):
        cursor = page[-1][0]
        for number, body in page:
            event = decoded(name, number, body)
            if isinstance(event, ev.StudyCreated):
                header = event
            elif isinstance(event, ev.Reported):
                return header
        if len(page) < _FIRST_EVENTS:
            break
    return header


def begun(store: Store, wanted: ev.StudyCreated, known: ev.StudyCreated | None) -> ev.StudyCreated:
    """Return the event with which the study begins that is *wanted*; *known* is what there was of it.

    Raises:
        StudyError: there is another study of that name, and something was reported or asked for in it.
    """
    while True:
        try:
            if known is None:
                store.append(wanted.name, [ev.encode(wanted)], expect=0)
                return wanted
            return _same_or_anew(store, known, wanted)
        except Conflict:  # another process was faster
            known = found_header(store, wanted.name)


def _same_or_anew(store: Store, known: ev.StudyCreated, wanted: ev.StudyCreated) -> ev.StudyCreated:
    name, histories = wanted.name, list[History]()

    def present() -> Space:
        histories.append(follow(store, name, History()))
        return histories[0].space

    try:
        check_same(known, wanted, present)
    except StudyError:
        history = histories[0] if histories else follow(store, name, History())
        if not history.barren:
            if not (known.define_by_run and wanted.define_by_run):
                raise
            # Its space follows what the code asks for, trial by trial: code that was edited goes on with it.
            check_same(known, msgspec.structs.replace(wanted, space=known.space), present)
            return known
        store.append(name, [ev.encode(wanted)], expect=history.cursor)
        warnings.warn(
            f"Study {name!r} had other settings, and nothing was reported in it: it begins anew.",
            LuthierWarning,
            stacklevel=5,
        )
        return wanted
    return known
