"""Everything that can happen to a study. A study is the list of these, in order, and nothing else.

Events are immutable; the store numbers them from 1. They are written as MessagePack (JSON has no NaN,
and a diverged trial reports one). A field may be added with a default; none is renamed or removed
without raising ``FORMAT``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import msgspec

FORMAT = 1


class Holder(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The process that holds a lease, named so that its death can be told from any other process."""

    host: str
    boot: str  # differs after a reboot
    namespace: str  # the process-id namespace: two containers may both have a process 7
    pid: int
    started: str  # start time of the process: process ids are used again
    instance: int  # which Study object in that process


class Event(
    msgspec.Struct,
    frozen=True,
    tag=True,
    tag_field="event",
    kw_only=True,
    omit_defaults=True,
    gc=False,  # they hold no cycles, and there are millions
):
    """Something that happened at *time* (seconds since 1970, UTC)."""

    time: float


class StudyCreated(Event, frozen=True, tag="study created"):
    """The first event of every study: what is searched, for what, and how.

    *checkpoints* is the URL under which every worker keeps its checkpoints; "" for a folder beside the
    store. *halve* names the hyperparameter that is halved, once, when a trial runs out of memory. *also*
    has the objectives after the first one, metric and direction, and *subject_to* the bounds on metrics.
    *noisy*: the same configuration trained twice may come out differently.
    """

    format: int
    name: str
    metric: str
    direction: str
    space: dict[str, Any]
    seed: int
    searcher: dict[str, Any]
    scheduler: dict[str, Any]
    luthier: str
    define_by_run: bool = False
    checkpoints: str = ""
    halve: str = ""
    also: list[tuple[str, str]] = []
    subject_to: list[str] = []
    noisy: bool = False


class EarlierTrials(Event, frozen=True, tag="earlier trials"):
    """What another study found: its configurations and their losses, to be minimised.

    *began* is the time of its own first event, which tells it from its namesakes; 0.0 in old logs.
    """

    study: str
    configurations: list[dict[str, Any]]
    losses: list[float]
    began: float = 0.0

    def same_as(self, other: EarlierTrials) -> bool:
        """Return whether both are of the same study, as far as is known."""
        return self.study == other.study and (
            self.began == other.began or 0.0 in (self.began, other.began)
        )


class BudgetSet(Event, frozen=True, tag="budget set"):
    """How much the study may try from here on; None is no limit. *until* is seconds since 1970.

    *opened*: it is what a program that opened the study asked for, not somebody who steers it.
    """

    trials: int | None = None
    epochs: int | None = None
    until: float | None = None
    reason: str = ""
    who: str = ""
    opened: bool = False


class RaceSet(Event, frozen=True, tag="race set"):
    """Once the search is over, its best trials are trained again on new seeds, and raced.

    *finalists* trials at most (0: no race), each *repetitions* times at most. One that is worse than the
    leader with an error probability below *significance* is dropped.
    """

    finalists: int
    repetitions: int
    significance: float
    reason: str = ""
    who: str = ""


class SpaceChanged(Event, frozen=True, tag="space changed"):
    """The space was widened or narrowed; what was tried stays in the history.

    *itself*: the study did so, by a rule that the log tells (``WideningSet``), and nobody by hand.
    """

    space: dict[str, Any]
    reason: str = ""
    who: str = ""
    itself: bool = False


class WideningSet(Event, frozen=True, tag="widening set"):
    """Whether the study may widen its space by itself where the best trials crowd an edge.

    Without this event a study in stages does so within narrow limits, and any other does not.
    """

    allowed: bool
    reason: str = ""
    who: str = ""


class StudyPaused(Event, frozen=True, tag="study paused"):
    """Running trials give their jobs back at their next report; workers wait."""

    reason: str = ""
    who: str = ""


class StudyStopped(Event, frozen=True, tag="study stopped"):
    """Running trials give their jobs back at their next report; workers end."""

    reason: str = ""
    who: str = ""


class StudyContinued(Event, frozen=True, tag="study continued"):
    """The end of a pause or of a stop."""

    reason: str = ""
    who: str = ""


class SpaceGrown(Event, frozen=True, tag="space grown"):
    """A build function asked for a hyperparameter that no earlier run had asked for."""

    trial: int
    space: dict[str, Any]


class Enqueued(Event, frozen=True, tag="enqueued"):
    """*who* asked for this configuration to be tried next."""

    configuration: dict[str, Any]
    who: str = ""


class TrialProposed(Event, frozen=True, tag="trial proposed"):
    """A new trial. *seen* is the number of the last event that its proposal could depend on.

    With a *parent* it goes on from that trial's checkpoint after *start* steps. *repeats* is the trial
    whose configuration it trains again, from the beginning and on its own seed.
    """

    trial: int
    configuration: dict[str, Any]
    seen: int
    bracket: int = 0
    enqueued: bool = False
    parent: int = -1
    start: int = 0
    repeats: int = -1
    stage: int = -1  # the stage it was proposed in; -1 where there are none


class ConfigurationSettled(Event, frozen=True, tag="configuration settled"):
    """What a define-by-run trial really asked for: its configuration from here on."""

    trial: int
    lease: int
    configuration: dict[str, Any]


class JobLeased(Event, frozen=True, tag="job leased"):
    """A worker took the trial, to train it from *from_step* (exclusive) to *to_step* (inclusive)."""

    trial: int
    lease: int
    holder: Holder
    from_step: int
    to_step: int | None
    term: float = 0.0  # seconds of silence after which it is lost; 0: only when its process ends


class LeaseRenewed(Event, frozen=True, tag="lease renewed"):
    """The worker still trains, though it has nothing to report yet."""

    trial: int
    lease: int


class JobReleased(Event, frozen=True, tag="job released"):
    """The worker gave the job back unfinished: it goes on from its checkpoint.

    *cause* is 'interrupted', 'preempted', 'paused' (by hand) or 'time'.
    """

    trial: int
    lease: int
    reason: str
    cause: str = "interrupted"


class WorkerLost(Event, frozen=True, tag="worker lost"):
    """The worker died or hung with the job in its hands; the trial is to go on.

    *kind* is 'lost', 'hung' or 'out of memory' (the machine's, not the device's).
    """

    trial: int
    lease: int
    cause: str
    kind: str = "lost"


class Reported(Event, frozen=True, tag="reported"):
    """Metrics after *step* steps; *seconds* of training and evaluation since the report before."""

    trial: int
    lease: int
    step: int
    metrics: dict[str, float]
    seconds: float = 0.0


class CheckpointWritten(Event, frozen=True, tag="checkpoint written"):
    """The whole state after *step* is on disk, under the study's checkpoint folder."""

    trial: int
    lease: int
    step: int


class TrialPaused(Event, frozen=True, tag="trial paused"):
    """The trial reached the end of its rung and waits for the scheduler's verdict."""

    trial: int
    lease: int
    step: int


class TrialCompleted(Event, frozen=True, tag="trial completed"):
    """The trial was trained for all it could be given."""

    trial: int
    lease: int
    step: int


class TrialStopped(Event, frozen=True, tag="trial stopped"):
    """The scheduler abandoned the trial; *reason* says by which rule, in words.

    A person who did so is *who*.
    """

    trial: int
    step: int
    reason: str
    lease: int = 0
    who: str = ""


class TrialDiverged(Event, frozen=True, tag="trial diverged"):
    """A metric became NaN or infinite at *step*."""

    trial: int
    lease: int
    step: int
    metric: str


class TrialFailed(Event, frozen=True, tag="trial failed"):
    """The trial ended without a result. *kind* is 'error', 'out of memory' or 'lost'."""

    trial: int
    lease: int
    step: int
    kind: str
    message: str
    traceback: str = ""


class TrialRequeued(Event, frozen=True, tag="trial requeued"):
    """A failed trial is to be run again, with another configuration when one is given.

    *cause* is 'error' (a bug in the user's code, mended since) or 'out of memory' (half the batch).
    """

    trial: int
    reason: str
    cause: str = "error"
    configuration: dict[str, Any] | None = None


class StageBegun(Event, frozen=True, tag="stage begun"):
    """From here on proposals vary *hyperparameters*, and nothing else, until the stage is concluded.

    *live* are varied, too, in the ranges of *narrowed* (low, high), because their best values shift with
    those of the stage. What is varied by neither is at its value in *around*. *trials* is how many new
    trials the stage has, without those that somebody enqueues; None: the rest of the study.
    """

    stage: int
    name: str
    hyperparameters: list[str]
    live: list[str]
    around: dict[str, Any]
    narrowed: dict[str, tuple[float, float]]
    trials: int | None
    reason: str


class Effect(msgspec.Struct, frozen=True, array_like=True):
    """How much a hyperparameter matters with the others where they are best, by a stage's conclusion.

    *share* is its part of all that varied ones matter; *gain* the difference in the objective between its
    worst and its best value, *low* and *high* the ends of a 90 % interval of that. With several objectives,
    and while no trial keeps the constraints on outcomes, they are differences in an order of the trials.
    """

    share: float
    gain: float
    low: float
    high: float


class StageConcluded(Event, frozen=True, tag="stage concluded"):
    """The end of a stage: *best* is the trial that the next one starts from, -1 when there is none.

    *effects* is what was learned of the stage's hyperparameters, *dead* those that make no difference
    and are fixed for good, *words* all of it for people.
    """

    stage: int
    best: int
    effects: dict[str, Effect]
    dead: list[str]
    words: str


class TestRead(Event, frozen=True, tag="test read"):
    """Somebody measured a trial's model on the test set, which a choice must not depend on."""

    trial: int
    values: dict[str, float]
    who: str


class AttributeSet(Event, frozen=True, tag="attribute set"):
    """Somebody wrote something down that decides nothing, about a trial or (-1) the whole study."""

    trial: int
    name: str
    value: Any = None


class NoteTaken(Event, frozen=True, tag="note taken"):
    """Somebody wrote a remark on *trial*, or on the whole study (-1). An empty one takes it back.

    It decides nothing. The newest note on a trial is the one that stands.
    """

    text: str
    trial: int = -1
    who: str = ""


AnyEvent = (
    StudyCreated
    | EarlierTrials
    | BudgetSet
    | RaceSet
    | SpaceChanged
    | WideningSet
    | StudyPaused
    | StudyStopped
    | StudyContinued
    | SpaceGrown
    | Enqueued
    | TrialProposed
    | ConfigurationSettled
    | JobLeased
    | LeaseRenewed
    | JobReleased
    | WorkerLost
    | Reported
    | CheckpointWritten
    | TrialPaused
    | TrialCompleted
    | TrialStopped
    | TrialDiverged
    | TrialFailed
    | TrialRequeued
    | StageBegun
    | StageConcluded
    | TestRead
    | AttributeSet
    | NoteTaken
)


def _plain(value: Any) -> Any:
    """Return numpy's scalars and arrays as Python's own numbers and lists."""
    if type(value).__module__ == "numpy" and hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is no plain data")


_encoder = msgspec.msgpack.Encoder()
_plain_encoder = msgspec.msgpack.Encoder(enc_hook=_plain)
_decoder = msgspec.msgpack.Decoder(AnyEvent)
_list_decoder = msgspec.msgpack.Decoder(list[AnyEvent])

decode = _decoder.decode


def encode(event: Event) -> bytes:
    """Return what is written of *event*.

    Text that no UTF-8 can hold (the half of a surrogate pair, as file names that are no Unicode have) is
    written with its number in words, ``\\udcff``.

    Raises:
        TypeError, OverflowError: it holds an object that is no plain data, or a whole number beyond 64 bits.
    """
    try:
        return _encoder.encode(event)
    except UnicodeEncodeError:
        return _encoder.encode(_spelt(msgspec.to_builtins(event, builtin_types=(bytes,))))


def encode_plain(event: Event) -> bytes:
    """Return what is written of *event*, numpy's numbers and arrays in it as Python's own; see ``encode``."""
    try:
        return _plain_encoder.encode(event)
    except UnicodeEncodeError:
        told = msgspec.to_builtins(event, builtin_types=(bytes,), enc_hook=_plain)
        return _encoder.encode(_spelt(told))


def written(events: Sequence[AnyEvent]) -> tuple[Sequence[AnyEvent], list[bytes]]:
    """Return events as they will be read, and what is written of them; see ``encode``."""
    try:
        return events, [_encoder.encode(event) for event in events]
    except UnicodeEncodeError:
        bodies = [encode(event) for event in events]
        return decode_all(bodies), bodies


def _spelt(value: Any) -> Any:
    """Return plain data in which every text is one that UTF-8 can hold."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_spelt(key): _spelt(part) for key, part in cast("dict[Any, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [_spelt(part) for part in cast("Sequence[Any]", value)]
    return value


def decode_all(bodies: Sequence[bytes]) -> list[AnyEvent]:
    """Return the events that *bodies* hold: MessagePack's array of them is its head and they."""
    head = b"\xdd" + len(bodies).to_bytes(4, "big")
    return _list_decoder.decode(head + b"".join(bodies))
