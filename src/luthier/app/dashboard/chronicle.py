"""What only the log itself tells: who trained what and when, how the best came about, who steered.

The history keeps how things stand. The timeline of workers, the best value over time and epochs, and
the feed of remarkable events are a fold of their own, which the page asks for when it shows them.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from luthier.app.dashboard.columns import rounded
from luthier.study import events as ev
from luthier.study.history import History
from luthier.study.log import decoded
from luthier.study.protocols import Store
from luthier.study.records import TrialState

_FEED = 300
_BURN = 1000  # points of the epochs spent
_SEGMENTS = 6000  # the newest ones are sent
_END_OF = {
    ev.JobReleased: "released",
    ev.WorkerLost: "lost",
    ev.TrialPaused: "paused",
    ev.TrialCompleted: "completed",
    ev.TrialStopped: "stopped",
    ev.TrialDiverged: "diverged",
    ev.TrialFailed: "failed",
}


@dataclass(eq=False)
class Chronicle:
    """The fold of a study's log into times.

    ``segments`` has for each lease: trial, lease, worker, begin, end (None while it is held), the step
    before and the last one, and how it ended. ``best`` gives for each trial when it was best, and the
    epochs that all trials had trained by then.
    """

    cursor: int = 0
    created: float = 0.0
    segments: list[list[Any]] = field(default_factory=list[list[Any]])
    best: dict[int, tuple[float, int]] = field(default_factory=dict[int, tuple[float, int]])
    burn: list[tuple[float, int]] = field(default_factory=list[tuple[float, int]])
    feed: deque[dict[str, Any]] = field(default_factory=lambda: deque[dict[str, Any]](maxlen=_FEED))
    workers: dict[str, int] = field(default_factory=dict[str, int])
    epochs: int = 0
    _sign: float = 1.0
    _metric: str = ""
    _loss: dict[int, float] = field(default_factory=dict[int, float])
    _step: dict[int, int] = field(default_factory=dict[int, int])
    _open: dict[int, list[Any]] = field(default_factory=dict[int, list[Any]])  # by trial
    _stride: int = 1
    _reports: int = 0

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
        if type(event) is ev.JobLeased:
            self._leased(event)
        elif type(event) in _END_OF:
            self._ended(event)
        elif type(event) is ev.TrialProposed:
            self._step[event.trial] = event.start
        elif type(event) is ev.StudyCreated:
            self.created, self._metric = event.time, event.metric
            self._sign = -1.0 if event.direction == "maximize" else 1.0
        if said := _said(event):
            self.feed.append({"number": number, "time": event.time - self.created, **said})

    def _leased(self, event: ev.JobLeased) -> None:
        worker = f"{event.holder.host}:{event.holder.pid}"
        if event.holder.instance > 1:
            worker += f".{event.holder.instance}"
        row = self.workers.setdefault(worker, len(self.workers))
        begin = event.time - self.created
        before = self._open.pop(event.trial, None)
        if before is not None:  # its worker vanished without a word
            before[4], before[7] = max(before[3], before[8]), "lost"
        segment = [
            event.trial,
            event.lease,
            row,
            begin,
            None,
            event.from_step,
            event.from_step,
            "",
            begin,
        ]
        self.segments.append(segment)
        self._open[event.trial] = segment
        self._step[event.trial] = event.from_step

    def _ended(self, event: Any) -> None:
        segment = self._open.get(event.trial)
        if segment is None or getattr(event, "lease", 0) not in (0, segment[1]):
            return
        del self._open[event.trial]
        segment[4] = event.time - self.created
        kind = _END_OF[type(event)]
        segment[7] = event.cause if kind == "released" else event.kind if kind == "lost" else kind

    def _reported(self, event: ev.Reported) -> None:
        segment = self._open.get(event.trial)
        if segment is None or segment[1] != event.lease or event.step <= segment[6]:
            return
        now = event.time - self.created
        self.epochs += event.step - segment[6]
        segment[6], segment[8] = event.step, now
        loss = self._sign * event.metrics.get(self._metric, math.nan)
        if loss < self._loss.get(event.trial, math.inf):
            self._loss[event.trial] = loss
            self.best[event.trial] = (now, self.epochs)
        self._reports += 1
        if self._reports % self._stride == 0:
            self.burn.append((now, self.epochs))
            if len(self.burn) > 2 * _BURN:
                self.burn = self.burn[1::2]
                self._stride *= 2


def chronicle_page(known: Chronicle, history: History) -> dict[str, Any]:
    """Return the timeline, the budget's burn, the best over time, and the feed, as the page shows them."""
    spoilt = (TrialState.DIVERGED, TrialState.FAILED)
    trials = history.trials
    best: list[tuple[float, int, int]] = []
    lowest = math.inf
    for number, (when, epochs) in sorted(known.best.items(), key=lambda item: item[1]):
        if number >= len(trials):
            continue
        trial = trials[number]
        if trial.state in spoilt or trial.repeats >= 0 or trial.violation:
            continue
        if trial.best_loss < lowest:
            lowest = trial.best_loss
            best.append((when, epochs, number))
    segments = known.segments[-_SEGMENTS:]
    burn = [*known.burn[:: max(1, len(known.burn) // _BURN)]]
    if known.burn and burn[-1] != known.burn[-1]:
        burn.append(known.burn[-1])
    return {
        "workers": list(known.workers),
        "hidden": len(known.segments) - len(segments),
        "segments": {
            "trial": [s[0] for s in segments],
            "worker": [s[2] for s in segments],
            "begin": rounded([s[3] for s in segments]),
            "end": rounded([s[4] for s in segments]),
            "from": [s[5] for s in segments],
            "to": [s[6] for s in segments],
            "how": [s[7] for s in segments],
        },
        "best": {
            "seconds": rounded([b[0] for b in best]),
            "epochs": [b[1] for b in best],
            "trial": [b[2] for b in best],
            "value": rounded([history.value(trials[b[2]].best_loss) for b in best]),
        },
        "burn": {"seconds": rounded([b[0] for b in burn]), "epochs": [b[1] for b in burn]},
        "feed": list(reversed(known.feed)),
        "cursor": known.cursor,
    }


def _said(event: ev.AnyEvent) -> dict[str, Any] | None:
    """Return what the feed says of an event; None for what happens all the time."""
    match event:
        case ev.StudyCreated():
            return {"kind": "created", "text": "the study began"}
        case ev.StudyPaused() | ev.StudyStopped() | ev.StudyContinued():
            word = {"study paused": "paused", "study stopped": "stopped"}.get(
                _tag(event), "goes on"
            )
            return _by(event, "steered", f"the study {word}", event.reason)
        case ev.BudgetSet():
            limits = f"{event.trials or 'any number of'} trials, {event.epochs or 'any number of'} epochs"
            return _by(event, "steered", f"budget: {limits}", event.reason)
        case ev.RaceSet():
            return _by(event, "steered", f"a race of {event.finalists} finalists", event.reason)
        case ev.SpaceChanged():
            if event.itself:
                text = f"the space was widened: {event.reason}"
                return {"kind": "stage", "text": text}
            return _by(event, "steered", "the space was changed", event.reason)
        case ev.WideningSet():
            may = "may widen" if event.allowed else "may not widen"
            return _by(event, "steered", f"the study {may} its space by itself", event.reason)
        case ev.Enqueued():
            return _by(event, "steered", "a configuration was enqueued", "")
        case ev.NoteTaken():
            about = "the study" if event.trial < 0 else f"trial {event.trial}"
            return {**_by(event, "note", f"note on {about}", event.text), "trial": event.trial}
        case ev.TrialStopped() if event.who:
            said = _by(event, "steered", f"trial {event.trial} was pruned", event.reason)
            return {**said, "trial": event.trial}
        case ev.TrialFailed():
            text = f"trial {event.trial} failed ({event.kind}): {event.message[:200]}"
            return {"kind": "failed", "text": text, "trial": event.trial}
        case ev.TrialDiverged():
            text = f"trial {event.trial} diverged: {event.metric} at step {event.step}"
            return {"kind": "diverged", "text": text, "trial": event.trial}
        case ev.WorkerLost():
            text = f"trial {event.trial} lost its worker: {event.cause[:200]}"
            return {"kind": "lost", "text": text, "trial": event.trial}
        case ev.TrialRequeued():
            return {
                "kind": "requeued",
                "text": f"trial {event.trial}: {event.reason[:200]}",
                "trial": event.trial,
            }
        case ev.StageBegun():
            return {"kind": "stage", "text": f"stage {event.stage + 1} began: {event.name}"}
        case ev.StageConcluded():
            text = f"stage {event.stage + 1} ended: {event.words[:300]}"
            return {"kind": "stage", "text": text}
        case ev.TestRead():
            return {
                "kind": "test",
                "text": f"trial {event.trial} was measured on the test set by {event.who}",
                "trial": event.trial,
            }
        case _:
            return None


def _tag(event: ev.AnyEvent) -> str:
    return str(event.__struct_config__.tag)


def _by(event: Any, kind: str, text: str, reason: str) -> dict[str, Any]:
    return {"kind": kind, "text": text + (f": {reason}" if reason else ""), "who": event.who}
