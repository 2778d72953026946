"""The other ranks: train what rank 0 was given, and hear from it when to save and when to stop."""

from __future__ import annotations

import os
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from luthier.errors import StudyError, TrialEnded, TrialError
from luthier.run.beginning import header_of
from luthier.run.opening import made_parts
from luthier.run.ranks import messages as ms
from luthier.run.ranks.meeting import Group, met
from luthier.run.recording import MayBePreempted, out_of_memory, told_to_go
from luthier.run.seeding import seed_everything
from luthier.storage import open_store
from luthier.study.deciding import Job
from luthier.study.history import History
from luthier.study.protocols import Fate, Verdict
from luthier.study.study import Study
from luthier.study.trial import Trial

_GRACE_SECONDS = 30.0  # for the training code to notice that rank 0 is gone

_lines: dict[str, ms.Line] = {}  # by address: a script may tune several times


def follow(
    group: Group, name: str, train: Callable[[Trial], Any], asked: MayBePreempted
) -> tuple[Study, str, bool]:
    """Train what rank 0 trains in study *name*, until it has no more jobs; *asked* hears SIGTERM.

    Returns:
        The study as rank 0 knows it, in memory; why it ended; whether this run has to go (SIGTERM).

    Raises:
        TrialError: rank 0 failed, or is gone.
        StudyError: rank 0 is in another study.
        Exception: whatever *train* raises.
    """
    if group.address not in _lines:
        _lines[group.address] = ms.Line(group.address, group.rank)
        met(group)
    line = _lines[group.address]
    store = open_store("memory")
    while True:
        match message := line.next():
            case ms.Logged():
                _checked_name(message.study, name, group)
                store.append(name, message.bodies)
            case ms.Begun():
                study = _study(store, name, message.folder)
                _train(line, study, message, train, asked)
            case ms.Finished():
                return _study(store, name, ""), message.reason, message.preempted
            case ms.Failed():
                raise TrialError(f"Rank {group.rank} ends: {message.text}")
            case ms.Saving():  # the training code here has returned before that of rank 0
                _fail(line, "it left the training loop before rank 0 did", asked)
            case _:
                pass


def _checked_name(led: str, name: str, group: Group) -> None:
    if led != name:
        raise StudyError(
            f"Rank {group.rank} has come to study {name!r} while rank 0 is in {led!r}: the ranks of a script "
            "must call luthier.tune in the same order. Where Lightning starts them in the middle of the "
            "script's second study, start the script by torchrun, or use strategy='ddp_spawn'."
        )


def _fail(line: ms.Line, text: str, asked: MayBePreempted) -> None:
    line.send(ms.Failed(text, told_to_go=told_to_go(asked)))
    raise TrialError(f"Rank {line.rank} failed: {text}")


def _study(store: Any, name: str, folder: str) -> Study:
    searcher, scheduler = made_parts(header_of(store, name))
    return Study(store, name, searcher, scheduler, _Handed(folder))


def _train(
    line: ms.Line,
    study: Study,
    begun: ms.Begun,
    train: Callable[[Trial], Any],
    asked: MayBePreempted,
) -> None:
    job = Job(
        begun.trial, begun.lease, begun.configuration, begun.from_step, begun.to_step, begun.source
    )
    trial = Follower(study, job, line, asked)
    seed_everything(trial.seed)
    over = threading.Event()
    threading.Thread(target=_watch, args=(line, over), daemon=True).start()
    try:
        train(trial)
    except TrialEnded:
        pass
    except Exception as error:
        text = traceback.format_exc()
        line.send(ms.Failed(text, out_of_memory(error), told_to_go(asked)))
        raise
    finally:
        over.set()
        trial.closed = True
    trial.leave()


def _watch(line: ms.Line, over: threading.Event) -> None:
    """End this process when rank 0 is gone and the training code, in some library, waits for it."""
    while not line.lost.wait(1.0):
        if over.is_set():
            return
    if not over.wait(_GRACE_SECONDS):
        print(f"luthier: rank 0 is gone, and so rank {line.rank} ends", file=sys.stderr, flush=True)
        os._exit(1)


class Follower(Trial):
    """A trial that rank 0 decides on: what is reported here is not written anywhere."""

    def __init__(self, study: Study, job: Job, line: ms.Line, asked: MayBePreempted) -> None:
        super().__init__(study, job)
        self._line, self._asked = line, asked
        self._returned = False
        self._save: Callable[[Path], object] | None = None
        self._turns = (
            0  # of rank 0's loop that were heard of before this rank came to the same point
        )

    def settle(self) -> None:
        """Leave it to rank 0."""

    def set_attribute(self, name: str, value: Any) -> None:
        """Leave it to rank 0."""

    def report(
        self, metrics: Mapping[str, Any] | None = None, /, *, step: int | None = None, **named: Any
    ) -> None:
        """Wait for the verdict on what rank 0 reported; the metrics that count are its own.

        Raises:
            TrialEnded: the trial has ended already.
            TrialError: rank 0 failed.
        """
        if self.closed or self.should_stop:
            raise TrialEnded(
                f"Trial {self.number} ended at step {self.step}; leave the loop when "
                "trial.should_stop is True, or iterate over trial.epochs(), which ends by itself."
            )
        if not self._defers:
            self._hear(ms.Told, None)

    def _turn(self, save: Callable[[Path], object] | None, every: int) -> None:
        if self._turns:
            self._turns -= 1
        elif not self._returned:
            self._hear(ms.Turned, save)

    def _unreported(self) -> None:
        self.leave()  # rank 0 has not reported either, and says so

    def _left(self, save: Callable[[Path], object] | None, every: int) -> None:
        self._save = (
            save  # not yet: the training code may have raised, which rank 0 must hear at once
        )

    def leave(self) -> None:
        """Tell rank 0 that the training code has returned, when it has there too."""
        if not self._returned:
            held = self._saving[0] if self._saving else None  # something holds the loop still
            self._hear(ms.Returned, self._save or held)

    def _hear(self, until: type[ms.Down], save: Callable[[Path], object] | None) -> None:
        """Do what rank 0 says, up to a message of the kind *until*, or the end of its training code."""
        while True:
            match message := self._line.next():
                case ms.Told():
                    self.step = message.step
                    self.verdict = Verdict(Fate(message.fate), message.reason, message.cause)
                case ms.Saving():
                    if save is None:
                        _fail(
                            self._line,
                            "rank 0 writes a checkpoint, and there is nothing to save here",
                            self._asked,
                        )
                    else:
                        save(Path(message.folder))
                    self._line.send(ms.Answer())
                case ms.Returned():
                    self._returned = True
                    self._line.send(ms.Answer())
                    if not self.should_stop:
                        self.verdict = Verdict(Fate.COMPLETE, "rank 0 has ended the trial")
                    return
                case ms.Failed():
                    raise TrialError(f"Rank {self._line.rank} ends: {message.text}")
                case ms.Turned() if until is ms.Told:  # rank 0 did not report in this epoch
                    self._turns += 1
                    return
                case _:
                    pass
            if isinstance(message, until):
                return


class _Handed:
    """The one checkpoint that rank 0 has handed over; nothing is written here."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)

    def path(self, trial: int, step: int) -> Path:
        """Return the folder that rank 0 has checked."""
        return self._folder

    def save(
        self,
        trial: int,
        step: int,
        write: Callable[[Path], object],
        metrics: Mapping[str, float],
        seconds: float,
    ) -> None:
        """Do nothing."""

    def newest(self, trial: int, at_most: int | None = None) -> tuple[int, dict[str, float], float]:
        """Return that there is none."""
        return 0, {}, 0.0

    def keep(self, trial: int, steps: set[int]) -> None:
        """Do nothing."""

    def collect(self, history: History) -> None:
        """Do nothing."""
