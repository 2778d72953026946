"""What a study asks of its parts: a store, a searcher, a scheduler, a place for checkpoints.

Searchers and schedulers are pure: what they answer depends on the history, on the limits and on the
randomness they are handed, and on nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Protocol, TypeGuard, runtime_checkable

from luthier.space import Space
from luthier.study import events as ev
from luthier.study.chance import Chance
from luthier.study.history import History
from luthier.study.limits import Limits as Limits
from luthier.study.records import TrialRecord

PAGE = 50_000  # events that one read returns at most


class Conflict(Exception):
    """A conditional append found events that the writer had not seen."""


class Store(Protocol):
    """Where logs are kept: numbered byte strings, one sequence a study.

    ``append`` and ``read`` are all that correctness needs. The rest saves work or time: both in one
    go, waiting without polling, deciding one at a time, and opening a long log from a snapshot of its
    fold.
    """

    @property
    def address(self) -> str:
        """Return the text by which another process opens the same store; "memory" when none can."""
        ...

    def append(self, study: str, bodies: Sequence[bytes], expect: int | None = None) -> int:
        """Append all of *bodies* or none, and return the number of the last one.

        With *expect*, append only if the log's last number is *expect*, else raise Conflict.
        """
        ...

    def read(self, study: str, since: int = 0, limit: int = PAGE) -> list[tuple[int, bytes]]:
        """Return the events numbered above *since*, in order: *limit* of them, or all there are."""
        ...

    def append_and_read(
        self, study: str, bodies: Sequence[bytes], since: int
    ) -> tuple[int, list[tuple[int, bytes]]]:
        """Append all of *bodies*, and return the last one's number and what came before them.

        That is the events numbered above *since* and below the new ones, in order: PAGE of them, or
        all there are.
        """
        ...

    def defer(self, study: str, bodies: Sequence[bytes], since: int) -> bool:
        """Take *bodies* to append them soon, or return False: then the caller has to append them.

        They are as safe as if they were appended, come before whatever this process appends later, and
        are there whenever it reads; others read them a moment later.

        Args:
            study: whose events they are.
            bodies: events on which nothing depends at once.
            since: the log's last number that the caller knows.
        """
        ...

    def recover(self, gone: Collection[int] = ()) -> None:
        """Append what processes that are gone had deferred.

        Args:
            gone: some that are known to be gone, by their process numbers.
        """
        ...

    def names(self) -> list[str]:
        """Return the names of the studies, in the order of their creation."""
        ...

    def wait(self, study: str, since: int, seconds: float) -> bool:
        """Block until the log may hold events after *since*, at most *seconds*.

        Returns True when it may, False when the time has passed.
        """
        ...

    def deciding(
        self, study: str, *, briefly: bool = False, meanwhile: Callable[[], object] | None = None
    ) -> AbstractContextManager[object]:
        """Let one process at a time decide what comes next, so that they do not all redo their work.

        A courtesy, not a lock to rely on: it may time out, and conditional appends stay what keeps the
        log right.

        Args:
            study: whose next job is decided.
            briefly: it takes no longer than a few appends do, so the store may hold off every other
                write meanwhile, and the decision meets no conflict.
            meanwhile: short work that may be done once or more often while others decide, such as
                reading what they write.
        """
        ...

    def snapshot(self, study: str) -> tuple[int, bytes] | None:
        """Return the newest kept fold of the log and the number of its last event; None without."""
        ...

    def keep_snapshot(self, study: str, number: int, body: bytes) -> None:
        """Keep the fold of the events up to *number*, in place of the one before. It is a cache."""
        ...

    def close(self) -> None:
        """Let go of files and connections; the next call opens them again."""
        ...


@dataclass(frozen=True)
class Rung:
    """*trials* trials are trained up to *step* (counted from the trial's own beginning)."""

    trials: int
    step: int


@dataclass(frozen=True)
class Bracket:
    """One run of successive halving; ``name`` is the paper's s, or a word."""

    index: int
    name: str
    rungs: tuple[Rung, ...]

    @property
    def epochs(self) -> int:
        """Return the epochs this bracket trains: a promoted trial pays only for the new ones."""
        before = (0, *(rung.step for rung in self.rungs))
        return sum(r.trials * (r.step - b) for r, b in zip(self.rungs, before, strict=False))


@dataclass(frozen=True)
class Plan:
    """What will be trained, exactly; ``at_most`` where a rule of the search may stop trials earlier.

    ``about`` where what is trained depends on the results, and may be somewhat more than this, too.
    ``to_end`` where nobody has said how long a training is: each trial counts as one epoch.
    """

    brackets: tuple[Bracket, ...]
    at_most: bool = False
    about: bool = False
    to_end: bool = False

    @property
    def word(self) -> str:
        """Return what to say before its numbers: "about ", "at most " or nothing."""
        raced = any(b.index < 0 for b in self.brackets)  # which drops finalists as it goes
        return "about " if self.about else "at most " if self.at_most or raced else ""

    @property
    def trials(self) -> int:
        """Return how many trials are begun, the repetitions of a race among them."""
        return sum(b.rungs[0].trials for b in self.brackets)

    @property
    def searched(self) -> int:
        """Return how many configurations are tried: a race, whose index is below 0, tries none."""
        return sum(b.rungs[0].trials for b in self.brackets if b.index >= 0)

    @property
    def epochs(self) -> int:
        """Return how many epochs are trained."""
        return sum(b.epochs for b in self.brackets)


@dataclass(frozen=True)
class Start:
    """Begin a new trial in *bracket* and train it up to *to_step*.

    Its configuration is what the searcher proposes, unless the scheduler chose one itself. With a
    *parent* (a trial, and a step of which it has a checkpoint) it goes on from there. With *repeats* it
    is a repetition of that trial, whose *configuration* it has.
    """

    to_step: int | None
    bracket: int = 0
    configuration: dict[str, Any] | None = None
    parent: tuple[int, int] | None = None
    repeats: int = -1


@dataclass(frozen=True)
class Resume:
    """Let a paused trial go on to *to_step*."""

    trial: int
    to_step: int


@dataclass(frozen=True)
class Wait:
    """Nothing to do until a running job reports."""


@dataclass(frozen=True)
class Done:
    """Nothing to do any more."""

    reason: str


Move = Start | Resume | Wait | Done


class Fate(Enum):
    """What becomes of a trial after a report."""

    GO_ON = "go on"
    PAUSE = "pause"
    COMPLETE = "complete"
    STOP = "stop"
    RELEASE = "release"


@dataclass(frozen=True)
class Verdict:
    """A fate, the reason in words for STOP and RELEASE, and for RELEASE its cause (``JobReleased``)."""

    fate: Fate
    reason: str = ""
    cause: str = ""


GO_ON = Verdict(Fate.GO_ON)
PAUSE = Verdict(Fate.PAUSE)
COMPLETE = Verdict(Fate.COMPLETE)


class Searcher(Protocol):
    """Proposes configurations.

    One whose proposals hang on no result says so by an attribute ``proposes_alone`` that is true: it may be
    asked before the results are known.
    """

    def propose(
        self, history: History, space: Space, number: int, chance: Chance
    ) -> dict[str, Any]:
        """Return the configuration of trial *number*; *chance* is that trial's own randomness."""
        ...

    def size(self, space: Space) -> int | None:
        """Return how many configurations there are to propose, None when there is no end."""
        ...


@runtime_checkable
class Exhausts(Searcher, Protocol):
    """A searcher with an end that can say how far it is."""

    def left(self, history: History) -> int:
        """Return how many configurations are still to be proposed."""
        ...


@runtime_checkable
class Explains(Protocol):
    """A searcher that can say what it does."""

    def explain(self, history: History, space: Space) -> str:
        """Return in one line what the next proposal comes from, and why."""
        ...


@runtime_checkable
class SchedulerExplains(Protocol):
    """A scheduler that can say what it does."""

    def explain(self, history: History, limits: Limits) -> str:
        """Return in one line what becomes of trials, and why."""
        ...


@runtime_checkable
class Fits(Protocol):
    """A scheduler to which some spaces or limits leave nothing to do."""

    def fit(self, space: Space | None, limits: Limits) -> None:
        """Refuse those.

        Args:
            space: what is searched; None where the training code says so while it runs.
            limits: how much may be tried.

        Raises:
            StudyError: the scheduler could not do there what it is for.
        """
        ...


Turn = ev.StageBegun | ev.StageConcluded | ev.SpaceChanged


class Widens(Protocol):
    """Says whether a study that may widen its space by itself does so now."""

    def __call__(self, history: History, room: int | None) -> ev.SpaceChanged | None:
        """Return the wider space, which must be in the log before the next trial; mostly None.

        A function of its arguments, of which *room* is how many more trials are expected to be begun
        (None: no end is known); its time is 0.
        """
        ...


class InStages(Protocol):
    """A searcher that divides the study into stages, which the log tells."""

    def turn(self, history: History, room: int | None) -> Turn | None:
        """Return what must be in the log before the next trial is proposed; mostly nothing.

        That is the end of a stage whose trials are known, then a wider space where they crowd an edge,
        or the beginning of the next. A function of its arguments; its time is 0.

        Args:
            history: the study, which is about to begin a trial or has come to its end.
            room: how many more trials are expected to be begun, 0 at the end; None: no end is known.
        """
        ...


def in_stages(searcher: Searcher) -> TypeGuard[InStages]:
    """Return True for a searcher that divides the study into stages.

    Asked at every decision, while all other processes wait: ``isinstance`` of a protocol takes ten times
    as long.
    """
    return hasattr(searcher, "turn")


class Scheduler(Protocol):
    """Decides who trains, for how long, and who is abandoned.

    One that decides the same in whatever order results come says so by an attribute ``in_any_order``, one
    whose plan takes as many trials as the limits hold, or trains trials on under other configurations,
    by ``ends_by_its_plan``: it goes on when every configuration of a small space was tried, one whose
    verdicts hang on the trial's own reports alone by ``hangs_on_itself``. One that stops trials on their
    way tells by ``first_look`` at which step it first may; without it that is the first.
    """

    @property
    def promotes(self) -> bool:
        """True when paused trials go on from their checkpoints."""
        ...

    def plan(self, limits: Limits) -> Plan | None:
        """Return what will be trained within *limits*, None when only time ends the study."""
        ...

    def next(self, history: History, limits: Limits) -> Move:
        """Return what a free worker should do."""
        ...

    def judge(self, history: History, trial: TrialRecord) -> Verdict:
        """Return what becomes of *trial* after its last report."""
        ...

    def dropped(self, history: History, limits: Limits) -> list[tuple[int, str]]:
        """Return the paused trials that will never go on, each with the reason in words."""
        ...


def judges_alone(scheduler: Scheduler) -> bool:
    """Return True for a scheduler that lets every trial go on to its end, whatever is reported."""
    return getattr(scheduler, "judges_alone", False)


def in_any_order(searcher: Searcher, scheduler: Scheduler, history: History) -> bool:
    """Return True where the same trials train the same epochs, in whatever order their results come."""
    alone = getattr(searcher, "proposes_alone", False) and not history.widening
    return alone and getattr(scheduler, "in_any_order", False)


def holds(scheduler: Scheduler, history: History, trial: TrialRecord, limits: Limits) -> bool:
    """Return whether *limits* hold what *trial* would train if it went on.

    They always do where a scheduler keeps epochs for all that it has begun, to the end of its job.
    """
    asked = getattr(scheduler, "holds", None)
    return asked is None or asked(history, trial, limits)


class Checkpoints(Protocol):
    """Where the state of trials is kept between epochs.

    A place that is asked over a network has an attribute ``remote`` that is true: nobody waits for it while
    he keeps others from writing.
    """

    def save(
        self,
        trial: int,
        step: int,
        write: Callable[[Path], object],
        metrics: Mapping[str, float],
        seconds: float,
    ) -> None:
        """Let *write* fill a fresh folder, then make it the trial's checkpoint, all or nothing."""
        ...

    def newest(self, trial: int, at_most: int | None = None) -> tuple[int, dict[str, float], float]:
        """Return step, metrics and seconds of the newest complete checkpoint; step 0 when none.

        Those after step *at_most* do not count: a worker that had lost its lease wrote them.
        """
        ...

    def path(self, trial: int, step: int) -> Path:
        """Return the checkpoint's folder after checking that it is whole.

        Raises:
            CheckpointError: when it is missing or damaged.
        """
        ...

    def keep(self, trial: int, steps: set[int]) -> None:
        """Delete the trial's checkpoints but those after *steps*."""
        ...

    def collect(self, history: History) -> None:
        """Delete the checkpoints that no trial can need any more."""
        ...
