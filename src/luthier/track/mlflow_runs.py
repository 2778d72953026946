"""MLflow: a study as a run, each trial as a run below it.

A run is found again by its tags, so a process that is started again, or a second one that replays the log,
adds what is missing and writes nothing twice.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from luthier.errors import StorageError
from luthier.study.history import History
from luthier.study.records import TrialRecord, TrialState
from luthier.track.following import times
from luthier.track.mlflow_server import Server
from luthier.track.turns import Turn, identity

_METRICS = 900  # a call, of the 1,000 that MLflow allows
_PARAMS = 100
_LONGEST = 5_000  # characters of a value
_STATUS = {
    TrialState.QUEUED: "SCHEDULED",
    TrialState.RUNNING: "RUNNING",
    TrialState.PAUSED: "SCHEDULED",
    TrialState.COMPLETED: "FINISHED",
    TrialState.STOPPED: "KILLED",
    TrialState.DIVERGED: "FAILED",
    TrialState.FAILED: "FAILED",
}
_NOT_ALLOWED = re.compile(r"[^\w\-. :/]")


@dataclass(eq=False)
class _Run:
    """A run on the server, and what it has."""

    id: str
    step: int = 0
    state: tuple[str, str] = ("", "")  # and why
    changed: str = ""
    params: dict[str, str] = field(default_factory=dict[str, str])


@dataclass(eq=False)
class _Known:
    """What the server has of a study, as far as this process knows."""

    experiment: str
    study: _Run = field(default_factory=lambda: _Run(""))
    best: tuple[str, Any] = ("", None)  # trial and value
    status: tuple[str, float | None] = ("", None)  # and the end
    runs: dict[int, _Run] = field(default_factory=dict[int, _Run])


class MLflow:
    """Writes a study to an MLflow server.

    Args:
        uri: the server's address.
        experiment: its name.

    Raises:
        StudyError: *uri* is no address of a server.
    """

    def __init__(self, uri: str, experiment: str) -> None:
        self._server = Server(uri)
        self._experiment = experiment
        self._turn = Turn(f"{self.name}, experiment {experiment!r}")
        self._known: _Known | None = None
        self._last: History | None = None  # that was written

    @property
    def name(self) -> str:
        """Return the server's address without passwords."""
        return f"mlflow:{self._server.place}"

    def write(self, history: History, trials: Sequence[TrialRecord]) -> None:
        """Write what is new of *trials*.

        Raises:
            StorageError: the server is away, or refuses; AnotherWrites: another process does it.
        """
        if self._turn.begin(history):
            self._known = None
        try:
            known = self._known = self._known or self._found(history)
            for trial in trials:
                self._write_trial(known, history, trial)
            self._write_study(known, history)
            self._last = history
        except StorageError:
            # Perhaps only the answer was lost: look again what is there, the next time.
            self._known = None
            raise

    def close(self) -> None:
        """End the study's run if nobody trains any of the study, and let other processes write.

        Trials that only lack epochs stay paused for ever once the budget is spent. Those that were given
        back are for the next run: when it writes, the study's run is running again.
        """
        known, last = self._known, self._last
        if known is not None and last is not None and last.trials:
            states = {trial.state for trial in last.active.values()}
            if TrialState.RUNNING not in states:
                with suppress(StorageError):  # it stays as it was
                    self._write_status(known, "KILLED" if states else "FINISHED", last.last_time)
        self._turn.end()

    # -- finding ---------------------------------------------------------------------------------

    def _found(self, history: History) -> _Known:
        """Return what the server has; the study's run is made if it has none."""
        known = _Known(self._experiment_id())
        for run in self._searched(known, history):
            tags = _pairs(run, "tags")
            if "luthier.trial" in tags:
                known.runs[int(tags["luthier.trial"])] = _run(run)
                continue
            known.study = _run(run)
            value = _pairs(run, "metrics").get(_key(f"best_{history.objective.metric}"))
            known.best = (tags.get("luthier.best_trial", ""), value)
        if not known.study.id:
            tags = [_tag("luthier.study", identity(history))]
            name, time = history.header.name, history.header.time
            known.study.id = self._created(known, name, time, tags)
        return known

    def _experiment_id(self) -> str:
        found = self._server.call(
            "experiments/get-by-name", get=True, missing={}, experiment_name=self._experiment
        )
        if found:
            return found["experiment"]["experiment_id"]
        return self._server.call("experiments/create", name=self._experiment)["experiment_id"]

    def _searched(
        self, known: _Known, history: History, trial: int | None = None
    ) -> list[dict[str, Any]]:
        """Return the study's runs, or those of one trial.

        Two machines may have made one for the same trial: the last one here is the same for both.
        """
        found, token = list[dict[str, Any]](), ""
        wanted = f"tags.`luthier.study` = '{identity(history)}'"
        if trial is not None:
            wanted += f" AND tags.`luthier.trial` = '{trial}'"
        while True:
            page = self._server.call(
                "runs/search",
                experiment_ids=[known.experiment],
                filter=wanted,
                max_results=1000,
                page_token=token,
            )
            found += page.get("runs", [])
            token = page.get("next_page_token", "")
            if not token:
                return sorted(found, key=lambda run: run["info"]["run_id"])

    def _run_of(self, known: _Known, history: History, trial: TrialRecord) -> _Run:
        """Return the trial's run: another process may have made it since, or this one, unanswered."""
        if there := self._searched(known, history, trial.number):
            return _run(there[-1])
        tags = [
            _tag("luthier.study", identity(history)),
            _tag("luthier.trial", trial.number),
            _tag("mlflow.parentRunId", known.study.id),
        ]
        name = f"{history.header.name} {trial.number}"
        return _Run(self._created(known, name, trial.proposed_at, tags))

    def _created(self, known: _Known, name: str, time: float, tags: list[dict[str, str]]) -> str:
        run = self._server.call(
            "runs/create",
            experiment_id=known.experiment,
            run_name=name,
            start_time=_milliseconds(time),
            tags=tags,
        )
        return run["run"]["info"]["run_id"]

    # -- writing ---------------------------------------------------------------------------------

    def _write_trial(self, known: _Known, history: History, trial: TrialRecord) -> None:
        run = known.runs.get(trial.number)
        if run is None:
            run = known.runs[trial.number] = self._run_of(known, history, trial)
        if trial.reported or trial.state.ended:  # what was asked for is settled
            self._write_params(run, trial.configuration)
            self._write_changed(run, trial.configuration)
        for step, metrics in _new(trial, run.step):
            self._log(run, metrics=metrics, tags=[_tag("luthier.step", step)])
            run.step = step
        state = (str(trial.state), trial.why[:_LONGEST])
        if run.state != state:
            self._log(run, tags=[_tag("luthier.state", state[0]), _tag("luthier.why", state[1])])
            self._update(run, _STATUS[trial.state], trial.ended_at if trial.state.ended else None)
            run.state = state

    def _write_study(self, known: _Known, history: History) -> None:
        header, best = history.header, history.best
        kind = {"objective": str(history.goals), "seed": header.seed}
        kind |= {"searcher": header.searcher["name"], "scheduler": header.scheduler["name"]}
        self._write_params(known.study, kind)
        if best is not None:
            found = (str(best.number), history.value(best.best_loss))
            if known.best != found:
                name, trials = f"best_{history.objective.metric}", len(history.trials)
                metric = _metric(name, found[1], history.last_time, trials)
                self._log(
                    known.study, metrics=[metric], tags=[_tag("luthier.best_trial", found[0])]
                )
                known.best = found
        over = bool(history.trials) and all(t.state.ended for t in history.trials)
        self._write_status(known, *(("FINISHED", history.last_time) if over else ("RUNNING", None)))

    def _write_status(self, known: _Known, status: str, end: float | None) -> None:
        if known.status != (status, end):
            self._update(known.study, status, end)
            known.status = (status, end)

    def _write_params(self, run: _Run, configuration: Mapping[str, Any]) -> None:
        """Write those that are not there: what MLflow has of them it never changes."""
        given = _params(configuration)
        missing = [name for name in given if name not in run.params]
        for begin in range(0, len(missing), _PARAMS):
            part = {name: given[name] for name in missing[begin : begin + _PARAMS]}
            self._log(run, params=[{"key": name, "value": text} for name, text in part.items()])
            run.params |= part

    def _write_changed(self, run: _Run, configuration: Mapping[str, Any]) -> None:
        """Say in a tag what has another value since: half the batch after a trial ran out of memory."""
        given = _params(configuration)
        changed = ", ".join(f"{k}={v}" for k, v in given.items() if run.params[k] != v)
        if run.changed != changed:
            self._log(run, tags=[_tag("luthier.changed", changed)])
            run.changed = changed

    def _log(self, run: _Run, **what: Any) -> None:
        self._server.call("runs/log-batch", run_id=run.id, **what)

    def _update(self, run: _Run, status: str, end: float | None) -> None:
        ended = None if end is None else _milliseconds(end)
        self._server.call("runs/update", run_id=run.id, status=status, end_time=ended)


def _run(found: dict[str, Any]) -> _Run:
    """Return a run as the server tells it."""
    tags = _pairs(found, "tags")
    return _Run(
        found["info"]["run_id"],
        int(tags.get("luthier.step", 0)),
        (tags.get("luthier.state", ""), tags.get("luthier.why", "")),
        tags.get("luthier.changed", ""),
        _pairs(found, "params"),
    )


def _pairs(found: dict[str, Any], kind: str) -> dict[str, Any]:
    return {each["key"]: each.get("value", "") for each in found["data"].get(kind, [])}


def _new(trial: TrialRecord, since: int) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """Iterate over what was reported after step *since*, as many reports at once as a call may hold."""
    batch: list[dict[str, Any]] = []
    last = since
    for step, metrics, at in zip(trial.steps, trial.metrics, times(trial), strict=True):
        if step <= since:
            continue
        if batch and len(batch) + len(metrics) > _METRICS:
            yield last, batch
            batch = []
        batch += [_metric(name, value, at, step) for name, value in metrics.items()]
        last = step
    if batch:
        yield last, batch


def _metric(name: str, value: float, time: float, step: int) -> dict[str, Any]:
    number = value if math.isfinite(value) else _words(value)
    return {"key": _key(name), "value": number, "timestamp": _milliseconds(time), "step": step}


def _words(value: float) -> str:
    """Return NaN and the infinities as protobuf's JSON spells them."""
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _params(configuration: Mapping[str, Any]) -> dict[str, str]:
    return {_key(name): str(value)[:_LONGEST] for name, value in configuration.items()}


def _key(name: str) -> str:
    return _NOT_ALLOWED.sub("_", name)[:250]


def _tag(name: str, value: Any) -> dict[str, str]:
    return {"key": name, "value": str(value)[:_LONGEST]}


def _milliseconds(time: float) -> int:
    return int(time * 1000)


__all__ = ["MLflow"]
