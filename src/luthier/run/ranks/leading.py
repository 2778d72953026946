"""Rank 0: tells the others what to train, waits for them where it must, and hears when one fails."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Generator
from multiprocessing.connection import Connection, Listener
from pathlib import Path
from typing import Any

from luthier.errors import TrialEnded, TrialError
from luthier.run.ranks import messages as ms
from luthier.run.ranks.meeting import Group, met
from luthier.run.recording import RaisedElsewhere, out_of_memory
from luthier.study.deciding import Job
from luthier.study.log import read_bodies
from luthier.study.protocols import Verdict
from luthier.study.study import Study
from luthier.study.trial import Trial

_GRACE_SECONDS = 20.0  # to notice that a rank is gone; torchrun kills 30 s after that
_WORD_SECONDS = 1.0  # for the word of the rank whose end made our own training code fail

_leader: list[Leader] = []  # of this process; at most one


class RankLost(TrialError):
    """Another rank of the trial failed; the message holds its own traceback."""


class RankRaised(RankLost, RaisedElsewhere):
    """Another rank of the trial raised, and not because it was told to end."""


class RanOut(RankLost, MemoryError):
    """Another rank of the trial ran out of memory."""


def leader_here() -> Leader | None:
    """Return the leader that this process is, if it is one."""
    return _leader[0] if _leader else None


def led(trial: Trial, train: Callable[[Trial], Any], leader: Leader | None) -> Any:
    """Train *trial*, in step with the ranks that *leader* leads, and return what *train* does."""
    if leader is None:
        outcome = train(trial)
    else:
        trial.lead(leader)
        with leader.blamed(trial):
            outcome = train(trial)
    if trial.ranks is not None:  # a leader that the training code has brought with it, too
        trial.ranks.end()
    return outcome


class Leader:
    """Leads the other ranks through jobs; at most one in a process, and it stays for the process's life.

    What it says is kept: a rank that joins later (one that Lightning starts in the middle of a trial)
    hears it from the beginning.

    Args:
        group: this process's.
        others: how many ranks will join; by default all but this one.
        on_report: called with the metrics that rank 0 sends, where this process is no rank itself.
    """

    def __init__(
        self,
        group: Group,
        *,
        others: int | None = None,
        on_report: Callable[[dict[str, float]], object] | None = None,
    ) -> None:
        self.group = group
        self._others = group.size - 1 if others is None else others
        self._on_report = on_report
        self._reporting: threading.Thread | None = None
        self._changed = threading.Condition()
        self._said: list[bytes] = []
        self._lines: dict[int, Connection[Any, Any]] = {}
        self._open: set[Connection[Any, Any]] = (
            set()
        )  # those of ranks that have not said who they are, too
        self._answers: dict[int, int] = {}  # by rank: how often it has answered
        self._asked = 0
        self._failure, self._ran_out = "", False
        self.raised = False  # the failure is what a rank raised that was not told to end
        self._gone = (
            ""  # how a rank ended while nothing was trained, which is a failure at the next job
        )
        self._busy = self._closed = False
        self._cursors: dict[str, int] = {}  # by study: what has been said of its log
        with contextlib.suppress(FileNotFoundError):
            os.unlink(group.address)  # of a run that was killed
        self._listener = Listener(group.address, family="AF_UNIX", backlog=group.size)
        threading.Thread(target=self._accept, daemon=True).start()

    def lead(self) -> Leader:
        """Make this the process's leader, and return it."""
        _leader[:] = [self]
        met(self.group)
        return self

    def close(self) -> None:
        """Let the ranks go, when what they have reported is written."""
        self._fail("the ranks were let go")
        if self._reporting is not None:
            self._reporting.join()
        with self._changed:
            self._closed = True
        # On Linux close() alone leaves who is in accept() there, with the socket, for ever.
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as last:
            last.settimeout(_WORD_SECONDS)
            last.connect(self.group.address)
        self._listener.close()
        with self._changed:
            for line in self._open:
                _hang_up(line)  # its thread closes it

    # -- jobs ------------------------------------------------------------------------------------

    def begin(self, study: Study, job: Job, folder: Path | None) -> None:
        """Have every rank train *job*, which goes on from the checkpoint in *folder*.

        Raises:
            RankLost: one is gone already.
        """
        self._busy = True
        if self._gone:
            self._fail(self._gone)
        self.check()
        self._tell_log(study)
        self._say(
            ms.Begun(
                study.name, job.trial, job.lease, dict(job.configuration), job.from_step, job.to_step,
                job.source, "" if folder is None else str(folder),
            )
        )  # fmt: skip

    def together(self, save: Callable[[Path], object]) -> Callable[[Path], object]:
        """Return *save* done by every rank, into one folder."""

        def saved(folder: Path) -> None:
            self._ask(ms.Saving(str(folder)))
            if self._on_report is None:
                save(folder)
            self._wait()

        return saved

    def tell(self, step: int, verdict: Verdict) -> None:
        """Tell the verdict on epoch *step*."""
        self._say(ms.Told(step, verdict.fate.value, verdict.reason, verdict.cause))
        self.check()

    def turned(self) -> None:
        """Tell that the loop over the epochs has turned."""
        self._say(ms.Turned())

    def end(self) -> None:
        """Tell that the training code has returned, and wait until it has in every rank.

        Raises:
            RankLost: in one of them it raised.
        """
        self._ask(ms.Returned())
        self._wait()
        self._busy = False

    def finish(self, study: Study, reason: str) -> None:
        """Let the ranks return from their ``luthier.tune``."""
        self._busy = False
        self._tell_log(study)
        self._say(ms.Finished(study.name, reason, bool(study.preempted)))

    def give_up(self, text: str) -> None:
        """Tell every rank that the trial has failed here."""
        self._say(ms.Failed(text))

    @contextlib.contextmanager
    def blamed(self, trial: Trial) -> Generator[None]:
        """Raise what another rank failed of, where that made the training code fail here.

        A rank that is gone may leave this one waiting for it, in a library that no exception reaches. Then
        the trial's failure is written from another thread, and the process ends; if this process, too, has
        been told to end (SIGTERM), the trial is given back, unless that rank raised without being told.
        """
        over = threading.Event()
        threading.Thread(target=self._watch, args=(trial, over), daemon=True).start()
        try:
            yield
        except TrialEnded:
            self.end()
            raise
        except RankLost:
            raise
        except Exception as error:
            own = f"{type(error).__name__}: {error}"
            with self._changed:
                self._changed.wait_for(lambda: self._failure, _WORD_SECONDS)
                theirs = self._failure
            if own not in theirs:
                self._fail(f"rank 0 failed: {own}", ran_out=out_of_memory(error))
                self._say(ms.Failed(self._failure))
                if theirs:
                    raise self._lost() from error
            raise
        except BaseException as error:
            self._say(ms.Failed(f"rank 0 was interrupted: {type(error).__name__}"))
            raise
        finally:
            over.set()

    def _watch(self, trial: Trial, over: threading.Event) -> None:
        with self._changed:
            while not self._failure and not over.is_set():
                self._changed.wait(1.0)
        if over.wait(_GRACE_SECONDS):
            return
        study, theirs = trial.study, self._ran_out or self.raised
        told_to_go = trial.study.preempted and not theirs
        if told_to_go:  # as the rank was that is gone
            study.release(trial, f"{study.preempted}; then {self._failure}", "preempted")
        else:
            study.fail(trial, "out of memory" if self._ran_out else "error", self._failure)
        print(f"luthier: {self._failure}", file=sys.stderr, flush=True)
        os._exit(128 + signal.SIGTERM if told_to_go else 1)

    def _tell_log(self, study: Study) -> None:
        since = self._cursors.get(study.name, 0)
        bodies = [bytes(body) for _, body in read_bodies(study.store, study.name, since)]
        self._cursors[study.name] = since + len(bodies)
        self._say(ms.Logged(study.name, bodies))

    # -- words -----------------------------------------------------------------------------------

    def _say(self, message: ms.Down) -> None:
        body = ms.encode(message)
        with self._changed:
            self._said.append(body)
            for line in self._lines.values():
                with contextlib.suppress(OSError):  # its reading thread tells of it
                    line.send_bytes(body)

    def _ask(self, message: ms.Down) -> None:
        self._asked += 1
        self._say(message)

    def _wait(self) -> None:
        """Wait until every rank has answered all that it was asked.

        Raises:
            RankLost: one failed, or has never come.
        """
        until = time.monotonic() + ms.JOIN_SECONDS
        with self._changed:
            while not self._failure:
                if len(self._answers) < self._others and time.monotonic() > until:
                    absent = sorted(set(range(self.group.size)) - {0, *self._answers})
                    self._failure = (
                        f"rank {', '.join(map(str, absent))} has not come to luthier.tune in "
                        f"{ms.JOIN_SECONDS:g} s: expected every rank to run the same script"
                    )
                elif len(self._answers) == self._others and (
                    min(self._answers.values()) >= self._asked
                ):
                    return
                self._changed.wait(1.0)
        self.check()

    def check(self) -> None:
        """Do nothing while every rank is in step.

        Raises:
            RankLost: one has failed.
        """
        if self._failure:
            raise self._lost()

    def _lost(self) -> RankLost:
        if self._ran_out:
            return RanOut(self._failure)
        return RankRaised(self._failure) if self.raised else RankLost(self._failure)

    def _accept(self) -> None:
        while True:
            try:
                line = self._listener.accept()
            except OSError:
                return
            with self._changed:
                if self._closed:
                    line.close()
                    return
                self._open.add(line)
            threading.Thread(target=self._hear, args=(line,), daemon=True).start()

    def _hear(self, line: Connection[Any, Any]) -> None:
        rank = -1
        try:
            while True:
                message = ms.decode_up(line.recv_bytes())
                match message:
                    case ms.Joined():
                        rank = message.rank
                        self._join(rank, line)
                    case ms.Answer():
                        self._count(rank)
                    case ms.Reported():
                        assert self._on_report is not None
                        # Not here: it asks the ranks to save, and this thread hears their answers.
                        self._reporting = threading.Thread(
                            target=self._on_report, args=(message.metrics,), daemon=True
                        )
                        self._reporting.start()
                    case ms.Failed():
                        raised = not message.told_to_go
                        self._fail(f"rank {rank} failed: {message.text}", message.ran_out, raised)
        except (OSError, EOFError):
            text = f"rank {rank} ended without a word, as a killed process does"
            if rank >= 0:
                self._gone = text
            if self._busy:
                self._fail(text)
        finally:
            with self._changed:
                self._open.discard(line)
                line.close()

    def _join(self, rank: int, line: Connection[Any, Any]) -> None:
        with self._changed:
            for body in self._said:
                line.send_bytes(body)
            self._lines[rank] = line
            self._answers.setdefault(rank, 0)
            self._changed.notify_all()

    def _count(self, rank: int) -> None:
        with self._changed:
            self._answers[rank] += 1
            self._changed.notify_all()

    def _fail(self, text: str, ran_out: bool = False, raised: bool = False) -> None:
        with self._changed:
            if not self._failure:
                self._failure, self._ran_out, self.raised = text, ran_out, raised
            self._changed.notify_all()


def _hang_up(line: Connection[Any, Any]) -> None:
    """End a connection for both who read from it; close() alone leaves a thread in its recv() there."""
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(line.fileno())) as other:
        other.shutdown(socket.SHUT_RDWR)
