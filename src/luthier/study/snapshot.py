"""Opens a long log from a kept fold of it, in columns.

A snapshot is a cache: it holds nothing that the log does not, one that cannot be read is passed over,
and whoever wants to be sure reads the log from its first event.
"""

from __future__ import annotations

import contextlib
from array import array
from collections.abc import Iterable
from typing import Any

import msgspec

from luthier.errors import StorageError
from luthier.space import Space
from luthier.study import events as ev
from luthier.study.history import History, thawed
from luthier.study.limits import Limits
from luthier.study.log import decoded_all
from luthier.study.protocols import PAGE, Store
from luthier.study.records import SpaceRecord, StageRecord, TrialRecord, TrialState

_LAYOUT = 15  # raised whenever what is below, or the fold, changes
_FIRST = 20_000  # events before the first snapshot, and between early ones
_LATER = 100_000  # events between snapshots of long logs
_AT_ONCE = 500  # events that are decoded together: more leave the processor's cache
_STATES = list(TrialState)
_FLOATS = ("proposed_at", "term", "best_loss", "violation", "last_sign")
_INTEGERS = ("bracket", "lease", "checkpoint", "best_checkpoint", "best_step", "stage")


class _Kept(msgspec.Struct, array_like=True):
    """The fold, as it is written."""

    layout: int
    cursor: int
    created: ev.StudyCreated
    space: dict[str, Any]
    formerly: dict[str, list[dict[str, Any]]]
    changes: list[tuple[ev.SpaceChanged, int, bool]]
    widening: bool | None
    limits: tuple[int | None, int | None]
    opened_for: tuple[int | None, int | None] | None
    race: ev.RaceSet | None
    until: float | None
    held: tuple[str, str]
    earlier: list[ev.EarlierTrials]
    queue: list[dict[str, Any]]
    infeasible: list[dict[str, Any]]
    best: int | None
    epochs: int
    repeated_epochs: int
    late_reports: int
    enqueued: int
    last_lease: int
    last_time: float
    configurations: list[dict[str, Any]]
    states: bytes
    columns: dict[str, bytes]
    rare: dict[int, dict[str, Any]]  # what few trials have, by trial
    names: list[tuple[str, ...]]
    counts: bytes  # reports of each trial
    steps: bytes
    losses: bytes
    seconds: bytes
    shapes: bytes  # of each report: which of *names* it has
    values: bytes
    stages: list[tuple[ev.StageBegun, ev.StageConcluded | None, int, int]]
    test_reads: list[ev.TestRead]
    attributes: dict[int, dict[str, Any]]
    notes: list[ev.NoteTaken]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Kept)


def follow(store: Store, name: str, history: History, up_to: int | None = None) -> History:
    """Return *history* with the events after its cursor folded in; a new one may come of an empty one.

    Args:
        store: where the log is.
        name: the study's name.
        history: a fold of the log's beginning.
        up_to: number of the last event to fold in; None for all there are.

    Raises:
        StorageError: an event that this version of Luthier cannot read.
    """
    if history.cursor == 0 and (kept := store.snapshot(name)) is not None:
        history = decode(kept[1]) or history
    while up_to is None or history.cursor < up_to:
        left = PAGE if up_to is None else min(PAGE, up_to - history.cursor)
        page = store.read(name, history.cursor, left)
        history = fold(name, history, page)
        if len(page) < PAGE:
            break
    return history


def fold(name: str, history: History, page: Iterable[tuple[int, bytes]]) -> History:
    """Return *history* with the next events folded in.

    Raises:
        StorageError: one of them cannot be read, or some are missing.
    """
    rows = list(page)
    for start in range(0, len(rows), _AT_ONCE):
        numbers, bodies = zip(*rows[start : start + _AT_ONCE], strict=True)
        history = history.after_all(numbers, decoded_all(name, numbers, bodies))
    return history


def keep_snapshot_if_due(store: Store, name: str, history: History, appended: int) -> None:
    """Keep a snapshot when the last *appended* events passed a multiple of its distance.

    Only the process whose append it was does so, and the log does not wait for it. A store that cannot
    keep it has taken the events all the same.
    """
    every = _FIRST if history.cursor < 5 * _FIRST else _LATER
    if history.cursor // every != (history.cursor - appended) // every:
        with contextlib.suppress(StorageError):
            store.keep_snapshot(name, history.cursor, encode(history))


def encode(history: History) -> bytes:
    """Return the fold as bytes."""
    import numpy as np  # heavy, and only long logs need it

    trials = history.trials
    columns = {
        key: np.array([getattr(t, key) for t in trials], "f8").tobytes() for key in _FLOATS
    } | {key: np.array([getattr(t, key) for t in trials], "i8").tobytes() for key in _INTEGERS}
    names: dict[tuple[str, ...], int] = {}
    shapes = array("i")
    for trial in trials:
        shapes.extend([names.setdefault(shape, len(names)) for shape in trial.names])
    best = history.best
    kept = _Kept(
        _LAYOUT,
        history.cursor,
        history.header,
        history.space.to_dict(),
        {key: [Space({key: d}).to_dict() for d in ds] for key, ds in history.formerly.items()},
        [(record.change, record.first, record.wider) for record in history.changes],
        history.widening,
        (history.limits.trials, history.limits.epochs),
        history.opened_for and (history.opened_for.trials, history.opened_for.epochs),
        history.race,
        history.until,
        (history.held, history.held_why),
        history.earlier,
        history.queue,
        history.infeasible,
        None if best is None else best.number,
        history.epochs,
        history.repeated_epochs,
        history.late_reports,
        history.enqueued,
        history.last_lease,
        history.last_time,
        [t.configuration for t in trials],
        bytes(_STATES.index(t.state) for t in trials),
        columns,
        {t.number: rare for t in trials if (rare := _rare(t))},
        list(names),
        array("i", [len(t.steps) for t in trials]).tobytes(),
        b"".join([t.steps.tobytes() for t in trials]),
        b"".join([t.losses.tobytes() for t in trials]),
        b"".join([t.seconds.tobytes() for t in trials]),
        shapes.tobytes(),
        b"".join([t.values.tobytes() for t in trials]),
        [(s.begun, s.concluded, s.first, s.trials) for s in history.stages],
        history.test_reads,
        history.attributes,
        list(history.notes.values()),
    )
    return _encoder.encode(kept)


def decode(body: bytes) -> History | None:
    """Return the fold that *body* holds; None when another version of Luthier wrote it."""
    try:
        kept = _decoder.decode(body)
    except msgspec.MsgspecError:
        return None
    if kept.layout != _LAYOUT:
        return None
    history = History()
    history.cursor = kept.cursor
    history.begin(kept.created)
    history.space = Space.from_dict(kept.space)
    history.formerly = {
        key: [Space.from_dict(one)[key] for one in spaces] for key, spaces in kept.formerly.items()
    }
    history.changes = [SpaceRecord(*record) for record in kept.changes]
    history.widening = kept.widening
    history.limits, history.until, history.budgeted = Limits(*kept.limits), kept.until, True
    history.opened_for = Limits(*kept.opened_for) if kept.opened_for else None
    history.held, history.held_why = kept.held
    history.earlier = [
        msgspec.structs.replace(e, configurations=[thawed(c) for c in e.configurations])
        for e in kept.earlier
    ]
    history.queue = [thawed(c) for c in kept.queue]
    history.infeasible = [thawed(c) for c in kept.infeasible]
    history.race = kept.race
    history.epochs, history.late_reports = kept.epochs, kept.late_reports
    history.repeated_epochs, history.enqueued = kept.repeated_epochs, kept.enqueued
    history.last_lease, history.last_time = kept.last_lease, kept.last_time
    history.stages = [
        StageRecord(
            msgspec.structs.replace(begun, around=thawed(begun.around)), first, trials, concluded
        )
        for begun, concluded, first, trials in kept.stages
    ]
    history.test_reads.extend(kept.test_reads)
    history.attributes = kept.attributes
    history.notes = {note.trial: note for note in kept.notes}
    _restore_trials(history, kept)
    history.best = None if kept.best is None else history.trials[kept.best]
    return history


def _restore_trials(history: History, kept: _Kept) -> None:
    import numpy as np  # heavy, and only long logs need it

    columns = {key: np.frombuffer(kept.columns[key], "f8").tolist() for key in _FLOATS}
    columns |= {key: np.frombuffer(kept.columns[key], "i8").tolist() for key in _INTEGERS}
    reports = _Reports(kept)
    new, trials, lasts = TrialRecord.__new__, history.trials, reports.lasts()
    rows = zip(kept.configurations, kept.states, *columns.values(), strict=True)
    for number, row in enumerate(rows):
        trial = new(TrialRecord)
        trial.number = number
        trial.configuration = thawed(row[0])
        trial.state = _STATES[row[1]]
        (
            trial.proposed_at,
            trial.term,
            trial.best_loss,
            trial.violation,
            trial.last_sign,
            trial.bracket,
            trial.lease,
            trial.checkpoint,
            trial.best_checkpoint,
            trial.best_step,
            trial.stage,
        ) = row[2:]
        trial.holder = trial.to_step = trial.ended_at = None
        trial.why = trial.kind = trial.traceback = ""
        trial.retries, trial.fruitless = {}, {}
        trial.parent, trial.start, trial.repeats = -1, 0, -1
        trial.step = trial.furthest = lasts[number]
        trial.rewound = 0  # no table has been made of it yet
        trial.rows, trial.names_of_rows = None, ()
        trial.packed = (reports, number)
        trials.append(trial)
    for number, rare in kept.rare.items():
        for key, value in rare.items():
            if key == "holder":
                value = msgspec.convert(value, ev.Holder)
            setattr(trials[number], key, value)
        trials[number].step = max(trials[number].step, trials[number].start)
        trials[number].furthest = max(trials[number].furthest, trials[number].step)
    for trial in trials:
        history.index(trial)


def _rare(trial: TrialRecord) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "holder": None if trial.holder is None else msgspec.to_builtins(trial.holder),
        "to_step": trial.to_step,
        "ended_at": trial.ended_at,
        "why": trial.why,
        "kind": trial.kind,
        "traceback": trial.traceback,
        "retries": trial.retries,
        "fruitless": trial.fruitless,
    }
    found = {key: value for key, value in fields.items() if value}
    if trial.furthest != trial.step:
        found["furthest"] = trial.furthest
    if trial.parent >= 0:
        found |= {"parent": trial.parent, "start": trial.start}
    if trial.repeats >= 0:
        found["repeats"] = trial.repeats
    return found


class _Reports:
    """The reports of all trials; each trial takes its own when somebody looks at them."""

    def __init__(self, kept: _Kept) -> None:
        import numpy as np  # heavy, and only long logs need it

        counts = np.frombuffer(kept.counts, "i4")
        sizes = np.array([len(names) for names in kept.names] or [0])
        shapes = np.frombuffer(kept.shapes, "i4")
        self._starts = np.concatenate([[0], np.cumsum(counts, dtype="i8")])
        per_report = np.concatenate([[0], np.cumsum(sizes[shapes], dtype="i8")])
        self._value_starts = per_report[self._starts]
        self._kept = kept
        self._shapes = shapes

    def lasts(self) -> list[int]:
        """Return the last reported step of each trial, 0 where there is none."""
        import numpy as np  # heavy, and only long logs need it

        steps = np.r_[0, np.frombuffer(self._kept.steps, "i8")]
        reported = self._starts[1:] > self._starts[:-1]
        return np.where(reported, steps[self._starts[1:]], 0).tolist()

    def unpack(self, trial: TrialRecord) -> None:
        kept = self._kept
        start, stop = (int(v) for v in self._starts[trial.number : trial.number + 2])
        low, high = (int(v) for v in self._value_starts[trial.number : trial.number + 2])
        steps, losses, seconds, values = array("q"), array("d"), array("d"), array("d")
        for column, of, a, b in (
            (steps, kept.steps, start, stop),
            (losses, kept.losses, start, stop),
            (seconds, kept.seconds, start, stop),
            (values, kept.values, low, high),
        ):
            column.frombytes(of[a * 8 : b * 8])
        names = [kept.names[shape] for shape in self._shapes[start:stop]]
        trial.fill(steps, losses, seconds, names, values)
