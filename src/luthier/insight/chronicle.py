"""What only the log itself tells: who trained what and when, how the best came about, what happened.

The history keeps how things stand. The timeline of workers, the best value over time and epochs, and
the feed of remarkable events are a fold of their own, for the dashboard, the terminal and pictures.
"""

from __future__ import annotations

import math
from array import array
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from luthier.insight.happening import happening, worker_of
from luthier.study import events as ev
from luthier.study.history import History
from luthier.study.log import decoded
from luthier.study.protocols import Store
from luthier.study.records import TrialState
from luthier.study.study import Study

_FEED = 300  # happenings of a kind that are kept
_MISHAPS = ("failed", "diverged", "lost", "requeued")  # which may be as many as trials
_BURN = 1000  # points of the epochs spent
_END_OF = {
    ev.JobReleased: "released",
    ev.WorkerLost: "lost",
    ev.TrialPaused: "paused",
    ev.TrialCompleted: "completed",
    ev.TrialStopped: "stopped",
    ev.TrialDiverged: "diverged",
    ev.TrialFailed: "failed",
}
LOST = ("lost", "hung", "out of memory")  # ways in which a worker is lost with its job
_UNASKED = (*LOST, "interrupted", "preempted")  # ends that call for a retry
_OFTEN = (ev.Reported, ev.CheckpointWritten, ev.LeaseRenewed)


@dataclass(slots=True, eq=False)
class Job:
    """One lease: which worker trained which trial, when, from which epoch to which, and how it ended.

    Times are seconds since the study began; ``end`` is None while the lease is held. ``how`` is "" then,
    and else 'completed', 'stopped', 'diverged', 'failed', 'paused' (at a rung's end), a cause for which a
    job is released ('interrupted', 'preempted', 'paused', 'time') or a way to lose a worker ('lost',
    'hung', 'out of memory'). ``again`` says why the trial had been put back before this job, "" where
    nothing had gone wrong.
    """

    trial: int
    lease: int
    worker: int  # its place among Chronicle.workers
    begin: float
    start: int
    step: int
    sign: float  # when it was heard of last
    end: float | None = None
    how: str = ""
    again: str = ""


_Record = tuple[
    int, float, tuple[float, int]
]  # a better loss of a trial: the step, it, when as in ``best``


def _feed() -> deque[dict[str, Any]]:
    return deque(maxlen=_FEED)


def chronicle(study: Study) -> Chronicle:
    """Return the fold of the whole log of *study* as it stands."""
    known = Chronicle()
    known.follow(study.store, study.name, study.refresh().cursor)
    return known


@dataclass(eq=False)
class Chronicle:
    """The fold of a study's log into times.

    ``jobs`` has the leases in their order. ``best`` gives for each trial when it was best, and the epochs
    that all trials had trained by then. ``burn`` has the epochs spent over time, and ``finished`` when each
    trial that has ended did so, in that order.
    """

    cursor: int = 0
    created: float = 0.0
    jobs: list[Job] = field(default_factory=list[Job])
    best: dict[int, tuple[float, int]] = field(default_factory=dict[int, tuple[float, int]])
    burn: list[tuple[float, int]] = field(default_factory=list[tuple[float, int]])
    workers: dict[str, int] = field(default_factory=dict[str, int])
    finished: dict[int, float] = field(default_factory=dict[int, float])
    epochs: int = 0
    _sign: float = 1.0
    _metric: str = ""
    _records: dict[int, list[_Record]] = field(default_factory=dict[int, list[_Record]])
    _step: dict[int, int] = field(default_factory=dict[int, int])
    _open: dict[int, Job] = field(default_factory=dict[int, Job])  # by trial
    _put_back: dict[int, str] = field(default_factory=dict[int, str])  # why, by trial
    _about: array[int] = field(
        default_factory=lambda: array("i")
    )  # trials of events, and beside them
    _numbers: array[int] = field(default_factory=lambda: array("q"))  # the events' numbers
    _stride: int = 1
    _reports: int = 0
    _mishaps: deque[dict[str, Any]] = field(default_factory=_feed)
    _deeds: deque[dict[str, Any]] = field(default_factory=_feed)

    def follow(self, store: Store, name: str, up_to: int) -> None:
        """Fold in the log's events up to number *up_to*."""
        while self.cursor < up_to:
            page = store.read(name, self.cursor, min(20_000, up_to - self.cursor))
            if not page:
                return
            for number, body in page:
                self.apply(number, decoded(name, number, body))

    def apply(self, number: int, event: ev.AnyEvent) -> None:
        """Fold the next event in."""
        self.cursor = number
        if type(event) is ev.Reported:  # nearly all events are, and the feed says nothing of them
            self._reported(event)
            return
        trial: int = getattr(event, "trial", -1)
        if trial >= 0 and type(event) not in _OFTEN:
            self._about.append(trial)
            self._numbers.append(number)
        if type(event) is ev.JobLeased:
            self._leased(event)
        elif type(event) in _END_OF:
            self._ended(event)
        elif type(event) is ev.TrialRequeued:
            self._put_back[trial] = event.cause
            self.finished.pop(trial, None)
        elif type(event) is ev.TrialProposed:
            self._step[trial] = event.start
        elif type(event) is ev.StudyCreated:
            self._forget()
            self.created, self._metric = event.time, event.metric
            self._sign = -1.0 if event.direction == "maximize" else 1.0
        if said := happening(event):
            told = self._mishaps if said["kind"] in _MISHAPS else self._deeds
            told.append({"number": number, "time": event.time - self.created, **said})

    @property
    def feed(self) -> list[dict[str, Any]]:
        """What happened, in its order: the newest mishaps of trials, and the newest of all else."""
        return sorted([*self._mishaps, *self._deeds], key=lambda told: told["number"])

    def _forget(self) -> None:
        """Begin anew, as the study does: trials are counted from 0 again."""
        for known in (
            self.jobs, self.best, self.burn, self.workers, self.finished, self._records, self._step,
            self._open, self._put_back, self._mishaps, self._deeds,
        ):  # fmt: skip
            known.clear()
        del self._about[:], self._numbers[:]
        self.epochs = self._reports = 0
        self._stride = 1

    def numbers_about(self, trial: int) -> list[int]:
        """Return the numbers of the log's events about *trial*, but for its reports and checkpoints."""
        return [self._numbers[i] for i, about in enumerate(self._about) if about == trial]

    def _leased(self, event: ev.JobLeased) -> None:
        row = self.workers.setdefault(worker_of(event.holder), len(self.workers))
        begin, trial = event.time - self.created, event.trial
        before = self._open.pop(trial, None)
        if before is not None:  # its worker vanished without a word
            before.end, before.how = max(before.begin, before.sign), "lost"
            self._put_back[trial] = "lost"
        start = event.from_step
        job = Job(trial, event.lease, row, begin, start, start, begin)
        job.again = self._put_back.pop(trial, "")
        self.jobs.append(job)
        self._open[trial] = job
        self._step[trial] = start
        self.finished.pop(trial, None)
        self._forget_after(trial, start)

    def _forget_after(self, trial: int, step: int) -> None:
        """Drop what was reported after *step*: it is trained again from the checkpoint there."""
        records = self._records.get(trial, [])
        while records and records[-1][0] > step:
            records.pop()
            self.best.pop(trial, None)
        if records:
            self.best[trial] = records[-1][2]

    def _ended(self, event: Any) -> None:
        kind, job, lease = (
            _END_OF[type(event)],
            self._open.get(event.trial),
            getattr(event, "lease", 0),
        )
        if lease and (job is None or lease != job.lease):
            return  # fenced off
        if kind in ("completed", "stopped", "diverged", "failed"):
            # Who gives a trial up that had failed ends it no second time.
            self.finished.setdefault(event.trial, event.time - self.created)
            if kind != "failed":  # it may be tried again, from a checkpoint
                del self._records.get(event.trial, [])[:-1]
        if job is None:
            return
        del self._open[event.trial]
        job.end = event.time - self.created
        job.how = event.cause if kind == "released" else event.kind if kind == "lost" else kind
        if kind in ("released", "lost") and job.how in _UNASKED:
            self._put_back[event.trial] = job.how

    def _reported(self, event: ev.Reported) -> None:
        job = self._open.get(event.trial)
        if job is None or job.lease != event.lease or event.step <= job.step:
            return
        now = event.time - self.created
        self.epochs += event.step - job.step
        job.step, job.sign = event.step, now
        loss = self._sign * event.metrics.get(self._metric, math.nan)
        records = self._records.setdefault(event.trial, [])
        if loss < (records[-1][1] if records else math.inf):
            records.append((event.step, loss, (now, self.epochs)))
            self.best[event.trial] = (now, self.epochs)
        self._reports += 1
        if self._reports % self._stride == 0:
            self.burn.append((now, self.epochs))
            if len(self.burn) > 2 * _BURN:
                self.burn = self.burn[1::2]
                self._stride *= 2

    def bests(self, history: History) -> list[tuple[float, int, int]]:
        """Return each time that the best value so far was beaten: seconds, epochs spent by then, trial."""
        spoilt = (TrialState.DIVERGED, TrialState.FAILED)
        trials = history.trials
        found: list[tuple[float, int, int]] = []
        lowest = math.inf
        for number, (when, epochs) in sorted(self.best.items(), key=lambda item: item[1]):
            if number >= len(trials):
                continue
            trial = trials[number]
            if trial.state in spoilt or trial.repeats >= 0 or trial.violation:
                continue
            if trial.best_loss < lowest:
                lowest = trial.best_loss
                found.append((when, epochs, number))
        return found
