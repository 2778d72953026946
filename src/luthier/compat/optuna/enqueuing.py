"""What was enqueued: configurations in the log's queue, each with a note of what goes with it.

A queue of Luthier's holds configurations alone. What else Optuna keeps with one, its user attributes and
that it was asked for, stands in an attribute of the study until the trial begins, whichever process runs it:
it is found by its configuration, the oldest first.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from luthier.compat.optuna.attributes import storable
from luthier.compat.optuna.frozen_trial import FrozenTrial, TrialState
from luthier.compat.optuna.labels import Objects, written
from luthier.space.plain import plain
from luthier.study import events as ev
from luthier.study.history import History
from luthier.study.protocols import Conflict

if TYPE_CHECKING:
    from luthier.compat.optuna.study import Study

_NOTE = "enqueued "


def enqueue(study: Study, params: Mapping[str, Any], user_attrs: Mapping[str, Any]) -> None:
    """Have *params* tried next, as a trial with *user_attrs*.

    Raises:
        StudyError: an attribute that the study's store cannot hold.
    """
    configuration = {name: written(value) for name, value in params.items()}
    for name, value in params.items():
        if isinstance(configuration[name], str) and not isinstance(value, str):
            study.objects.keep(name, configuration[name], value)  # its text stands for it
    note = _new_note()
    user: dict[str, Any] = {}
    for key, value in user_attrs.items():
        kept = storable(study.own, f"user:{key}", value)
        if kept is None and value is not None:
            study.apart.setdefault(note, {})[key] = value
        else:
            user[key] = kept
    study.own.append(enqueued(study.own.clock.time(), configuration, user, note))


def enqueued(
    now: float, configuration: dict[str, Any], user: Mapping[str, Any], note: str = ""
) -> list[ev.AnyEvent]:
    """Return the events by which *configuration* is tried next, as a trial with the attributes *user*.

    Args:
        now: seconds since 1970.
        configuration: plain data by name.
        user: plain data, likewise.
        note: under which the attributes stand until the trial begins; "" for a new one.
    """
    value = {"configuration": configuration, "user": dict(user)}
    return [
        ev.Enqueued(time=now, configuration=configuration),
        ev.AttributeSet(time=now, trial=-1, name=note or _new_note(), value=value),
    ]


def _new_note() -> str:
    return f"{_NOTE}{uuid.uuid4().hex}"


def begun(study: Study, number: int, configuration: Mapping[str, Any]) -> None:
    """Give trial *number* what was enqueued with its configuration, if anything was."""
    while True:
        history = study.own.refresh()
        found = [n for n, v in _notes(history).items() if _same(v["configuration"], configuration)]
        if not found:
            return
        note, now = history.attributes[-1][found[0]], study.own.clock.time()
        given = {"system:fixed_params": note["configuration"]}
        given |= {f"user:{key}": value for key, value in note["user"].items()}
        events: list[ev.AnyEvent] = [ev.AttributeSet(time=now, trial=-1, name=found[0])]
        events += [
            ev.AttributeSet(time=now, trial=number, name=name, value=value)
            for name, value in given.items()
        ]
        try:
            study.own.append(events, expect=history.cursor)
        except Conflict:  # another process may have taken this very note
            continue
        for key, value in study.apart.pop(found[0], {}).items():
            study.note(f"user:{key}", value, number)
        return


def waiting(
    history: History, objects: Objects, apart: Mapping[str, Mapping[str, Any]]
) -> list[FrozenTrial]:
    """Return the trials that are enqueued and have not begun.

    Args:
        history: of the study.
        objects: what values are called in the log that are no plain data.
        apart: attributes that are none either, by note.
    """
    notes, found = _notes(history), list[FrozenTrial]()
    for at, configuration in enumerate(history.queue):
        params = {name: objects.of(name, value) for name, value in configuration.items()}
        trial = FrozenTrial(len(history.trials) + at, TrialState.WAITING, params=params)
        name = next((n for n, v in notes.items() if _same(v["configuration"], configuration)), None)
        if name is not None:
            trial.user_attrs = {**notes.pop(name)["user"], **apart.get(name, {})}
        trial.system_attrs = {"fixed_params": dict(params)}
        found.append(trial)
    return found


def exists(study: Study, params: Mapping[str, Any]) -> bool:
    """Return whether a trial was asked for, or has run, with these parameters and no others."""
    wanted = {name: written(value) for name, value in params.items()}
    for trial in study.get_trials(deepcopy=False):
        known = trial.system_attrs.get("fixed_params", trial.params)
        if known.keys() == wanted.keys() and all(
            _close(value, written(known[name])) for name, value in wanted.items()
        ):
            return True
    return False


def _notes(history: History) -> dict[str, dict[str, Any]]:
    """Return the notes whose trials have not begun, the oldest first."""
    of_study = history.attributes.get(-1, {})
    return {n: v for n, v in of_study.items() if n.startswith(_NOTE) and v is not None}


def _same(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    # As they are written: the log gives a choice its tuple back, and a note has a list.
    encode = msgspec.msgpack.encode
    return a.keys() == b.keys() and all(encode(a[name]) == encode(b[name]) for name in a)


def _close(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return math.isclose(a, b, rel_tol=1e-5)
    return type(a) is type(b) and plain(a) == plain(b)


__all__ = ["begun", "enqueue", "enqueued", "exists", "waiting"]
