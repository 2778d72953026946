"""MLflow, by its REST interface (https://mlflow.org/docs/latest/rest-api.html), which is stable and small.

A run below the study's is found again by its tags, so a process that is started again, or a second one that
replays the log, adds what is missing and writes nothing twice.
"""

from __future__ import annotations

import base64
import json
import math
import os
import re
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from luthier.errors import StorageError, StudyError
from luthier.study.history import History
from luthier.study.records import TrialRecord, TrialState
from luthier.track.following import times

_SECONDS = 10.0  # that an answer may take
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
    state: str = ""
    params: bool = False


@dataclass(eq=False)
class MLflow:
    """Writes a study to an MLflow server."""

    uri: str
    experiment: str
    _experiment_id: str = ""
    _study: str = ""  # the study's run
    _runs: dict[int, _Run] = field(default_factory=dict[int, _Run])
    _best: int = -1

    def __post_init__(self) -> None:
        """Check the address."""
        parts = urlsplit(self.uri)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise StudyError(
                f"MLflow's address is {self.uri!r}: expected that of a server, such as "
                "'http://127.0.0.1:5000'. For runs in a file start one: "
                "mlflow server --backend-store-uri sqlite:///mlflow.db"
            )
        port = f":{parts.port}" if parts.port else ""
        self._place = f"{parts.scheme}://{parts.hostname}{port}{parts.path.rstrip('/')}"
        self._who = _credentials(parts.username, parts.password)

    @property
    def name(self) -> str:
        """Return the server's address without passwords."""
        return f"mlflow:{self._place}"

    def write(self, history: History, trials: Sequence[TrialRecord]) -> None:
        """Write what is new of *trials*.

        Raises:
            StorageError: the server is away, or refuses.
        """
        if not self._study:
            self._find(history)
        for trial in trials:
            self._write_trial(history, trial)
        best = history.best
        if best is not None:
            values = {f"best_{history.objective.metric}": history.value(best.best_loss)}
            metrics = [
                _metric(k, v, history.last_time, len(history.trials)) for k, v in values.items()
            ]
            tags = [_tag("luthier.best_trial", best.number)]
            self._call("runs/log-batch", run_id=self._study, metrics=metrics, tags=tags)
        over = bool(history.trials) and all(t.state.ended for t in history.trials)
        self._update(
            self._study, "FINISHED" if over else "RUNNING", history.last_time if over else None
        )

    # -- runs ------------------------------------------------------------------------------------

    def _find(self, history: History) -> None:
        """Find the study's runs on the server, or make the study's."""
        header = history.header
        found = self._call(
            "experiments/get-by-name", get=True, missing={}, experiment_name=self.experiment
        )
        self._experiment_id = (
            found["experiment"]["experiment_id"]
            if found
            else self._call("experiments/create", name=self.experiment)["experiment_id"]
        )
        self._runs.clear()
        study = ""
        for run in self._searched(_identity(history)):
            tags = {tag["key"]: tag["value"] for tag in run["data"].get("tags", [])}
            if "luthier.trial" in tags:
                self._runs[int(tags["luthier.trial"])] = _Run(
                    run["info"]["run_id"],
                    int(tags.get("luthier.step", 0)),
                    tags.get("luthier.state", ""),
                    bool(run["data"].get("params")),
                )
            else:
                study = run["info"]["run_id"]
        if not study:
            study = self._created(
                header.name, header.time, [_tag("luthier.study", _identity(history))]
            )
            kind = {"objective": str(history.goals), "seed": header.seed}
            kind |= {"searcher": header.searcher["name"], "scheduler": header.scheduler["name"]}
            self._call(
                "runs/log-batch", run_id=study, params=[_param(*each) for each in kind.items()]
            )
        self._study = study

    def _searched(self, identity: str) -> Iterator[dict[str, Any]]:
        token = ""
        while True:
            page = self._call(
                "runs/search",
                experiment_ids=[self._experiment_id],
                filter=f"tags.`luthier.study` = '{identity}'",
                max_results=1000,
                page_token=token,
            )
            yield from page.get("runs", [])
            token = page.get("next_page_token", "")
            if not token:
                return

    def _write_trial(self, history: History, trial: TrialRecord) -> None:
        run = self._runs.get(trial.number)
        if run is None:
            tags = [
                _tag("luthier.study", _identity(history)),
                _tag("luthier.trial", trial.number),
                _tag("mlflow.parentRunId", self._study),
            ]
            name = f"{history.header.name} {trial.number}"
            run = self._runs[trial.number] = _Run(self._created(name, trial.proposed_at, tags))
        if not run.params and (trial.steps or trial.state.ended):  # what was asked for is settled
            params = [_param(*each) for each in trial.configuration.items()]
            for begin in range(0, len(params), _PARAMS):
                part = params[begin : begin + _PARAMS]
                self._call("runs/log-batch", run_id=run.id, params=part)
            run.params = True
        for step, metrics in _new(trial, run.step):
            tags = [_tag("luthier.step", step)]
            self._call("runs/log-batch", run_id=run.id, metrics=metrics, tags=tags)
            run.step = step
        if run.state != trial.state:
            tags = [_tag("luthier.state", trial.state), _tag("luthier.why", trial.why)]
            self._call("runs/log-batch", run_id=run.id, tags=tags)
            self._update(
                run.id, _STATUS[trial.state], trial.ended_at if trial.state.ended else None
            )
            run.state = trial.state

    def _created(self, name: str, time: float, tags: list[dict[str, str]]) -> str:
        run = self._call(
            "runs/create",
            experiment_id=self._experiment_id,
            run_name=name,
            start_time=_milliseconds(time),
            tags=tags,
        )
        return run["run"]["info"]["run_id"]

    def _update(self, run: str, status: str, end: float | None) -> None:
        ended = None if end is None else _milliseconds(end)
        self._call("runs/update", run_id=run, status=status, end_time=ended)

    # -- the wire --------------------------------------------------------------------------------

    def _call(self, path: str, *, get: bool = False, missing: Any = None, **body: Any) -> Any:
        """Call the server; *missing* is returned when it says that there is no such thing."""
        url = f"{self._place}/api/2.0/mlflow/{path}"
        given = {key: value for key, value in body.items() if value not in (None, "")}
        data = None if get else json.dumps(given).encode()
        if get:
            url += "?" + "&".join(f"{key}={quote(str(value))}" for key, value in body.items())
        headers = {"Content-Type": "application/json", **self._who}
        request = urllib.request.Request(url, data, headers)
        try:
            with urllib.request.urlopen(request, timeout=_SECONDS) as answer:
                return json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            text = error.read().decode("utf-8", "replace")[:500]
            if error.code == 404 and missing is not None and "RESOURCE_DOES_NOT_EXIST" in text:
                return missing
            self._study = ""  # look again what is there, the next time
            raise StorageError(f"MLflow refuses {path} ({error.code}): {text}") from error
        except (OSError, ValueError) as error:
            raise StorageError(f"no MLflow at {self._place}: {error}") from error


def _identity(history: History) -> str:
    """Return what tells this study from every other: its name and when it was made."""
    return f"{quote(history.header.name)} {history.header.time!r}"


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
    key = _NOT_ALLOWED.sub("_", name)[:250]
    return {"key": key, "value": number, "timestamp": _milliseconds(time), "step": step}


def _words(value: float) -> str:
    """Return NaN and the infinities as protobuf's JSON spells them."""
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _param(name: str, value: Any) -> dict[str, str]:
    return {"key": _NOT_ALLOWED.sub("_", name)[:250], "value": str(value)[:_LONGEST]}


def _tag(name: str, value: Any) -> dict[str, str]:
    return {"key": name, "value": str(value)[:_LONGEST]}


def _milliseconds(time: float) -> int:
    return int(time * 1000)


def _credentials(user: str | None, password: str | None) -> dict[str, str]:
    if token := os.environ.get("MLFLOW_TRACKING_TOKEN"):
        return {"Authorization": f"Bearer {token}"}
    user = unquote(user or "") or os.environ.get("MLFLOW_TRACKING_USERNAME", "")
    password = unquote(password or "") or os.environ.get("MLFLOW_TRACKING_PASSWORD", "")
    if not user:
        return {}
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


__all__ = ["MLflow"]
