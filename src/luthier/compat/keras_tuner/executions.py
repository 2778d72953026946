"""Several trainings of one configuration, as one trial; or one, by a ``fit`` that may return a score.

As in KerasTuner such a trial's score is the mean over its executions of each one's best epoch, and the
model that is kept is the best epoch's of all. So what is reported after an epoch is the mean over the
best that each execution had until then: the score is the last report's, and an execution that ended
early counts in all later ones by its best.

Where ``fit`` returns a number or metrics, these are the score, and the only report: what the epochs logged may
be of one fold of several.
"""

from __future__ import annotations

import json
import math
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras

from luthier.compat.keras_tuner.objective import Objective
from luthier.compat.keras_tuner.outcomes import counts, scored
from luthier.compat.keras_tuner.training import ModelState, Running, copied, numbers
from luthier.run.manifests import MANIFEST
from luthier.run.seeding import seed_keras
from luthier.study.trial import Trial as OwnTrial

BEST = "best"
"""The folder in a checkpoint that has the best epoch's model."""

_RUNS = "executions.json"

Fit = Callable[..., Any]
Row = dict[str, float]


class _Executions:
    """What all executions of a trial have logged, and their models in *folder*: the trial's state.

    Attributes:
        runs: the logs of each execution by epoch.
        trained: epochs that all were trained for, but for those that ended early.
        due: whether what is reported next gets a checkpoint.
        scored: whether what ``fit`` returned was reported in place of the epochs.
    """

    def __init__(self, folder: Path, count: int, objectives: Sequence[Objective]) -> None:
        self.folder = folder
        self.runs: list[list[Row]] = [[] for _ in range(count)]
        self.trained = 0
        self.due = self.scored = False
        self._objectives = objectives
        self._best = math.inf

    def complete(self) -> bool:
        """Return whether there are logs, and the objectives in all of them."""
        rows = [row for run in self.runs for row in run]
        return bool(rows) and all(map(self._has_objectives, rows)) and all(self.runs)

    def loss(self, row: Row) -> float:
        """Return what is to be small; several objectives are added, as in KerasTuner."""
        return sum(row[o.name] if o.direction == "min" else -row[o.name] for o in self._objectives)

    def offer(self, row: Row, state: ModelState) -> None:
        """Keep the model if no epoch of any execution was as good."""
        if self._has_objectives(row) and self.loss(row) < self._best:
            self._best = self.loss(row)
            _written(state, self.folder / BEST)

    def trains(self, execution: int, until: int | None) -> bool:
        """Return whether an execution is to be trained: up to epoch *until*, or as long as it takes."""
        if not self.trained:
            return True
        if until is None or self.trained >= until:
            return False  # all was trained, and the process ended while it reported
        return self.scored or len(self.runs[execution]) >= self.trained  # else it ended early

    def means(self) -> list[Row]:
        """Return what to report, from the first epoch on."""
        best = [_best_so_far(run, self.loss) for run in self.runs]
        found: list[Row] = []
        for epoch in range(max(map(len, best))):
            rows = [run[min(epoch, len(run) - 1)] for run in best]
            names = [name for name in rows[0] if all(name in row for row in rows)]
            found.append({name: sum(row[name] for row in rows) / len(rows) for name in names})
        return found

    def agrees(self, found: Row) -> bool:
        """Return whether *found*, which was returned, is what the epochs come to: they say more, then."""
        return math.isclose(self.loss(found), min(map(self.loss, self.means())), rel_tol=1e-6)

    def ready(self) -> bool:
        """Return whether a checkpoint is due."""
        return self.due

    def save(self, folder: Path) -> None:
        """Copy all, whichever epoch is reported: whoever goes on from it has only to report the rest."""
        shutil.copytree(self.folder, folder, dirs_exist_ok=True)
        kept = {"trained": self.trained, "runs": self.runs, "scored": self.scored}
        (folder / _RUNS).write_text(json.dumps(kept))

    def restore(self, folder: Path) -> None:
        """Copy them back; where ``fit`` returned the score, there is one model, and all begin anew."""
        if not (folder / _RUNS).exists():
            return
        ours = shutil.ignore_patterns(
            MANIFEST
        )  # that is the checkpoint's own, and to be written anew
        shutil.copytree(folder, self.folder, dirs_exist_ok=True, ignore=ours)
        kept = json.loads((folder / _RUNS).read_text())
        self.trained, self.runs = kept["trained"], kept["runs"]
        self.scored = kept.get("scored", False)
        losses = [self.loss(row) for run in self.runs for row in run if self._has_objectives(row)]
        self._best = min(filter(math.isfinite, losses), default=math.inf)

    def _has_objectives(self, row: Row) -> bool:
        return all(o.name in row for o in self._objectives)


def _best_so_far(run: list[Row], loss: Callable[[Row], float]) -> list[Row]:
    """Return for each epoch the logs of the best one until then; of one that diverged its own."""
    found: list[Row] = []
    best = math.inf
    for row in run:
        value = loss(row)
        if value < best or not math.isfinite(value):
            best = value
            found.append(row)
        else:
            found.append(found[-1])
    return found


def _written(state: ModelState, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    state.save(folder)


class _Recorder(keras.callbacks.Callback):
    """Remembers the epochs of one execution, and keeps its model at the end and at the best epoch."""

    def __init__(self, all_: _Executions, number: int, seed: int, callbacks: Sequence[Any]) -> None:
        super().__init__()
        self.state = ModelState()
        self.state.callbacks = callbacks
        self._all = all_
        self._rows = all_.runs[number]
        self._folder = all_.folder / f"execution-{number}"
        self._seed = seed
        self._goes_on = self._folder.exists()

    def __deepcopy__(self, memo: Any) -> _Recorder:
        return self

    def on_train_begin(self, logs: Any = None) -> None:
        """Restore, before the first ``fit`` of an execution that may have several."""
        self.state.model = self.model
        if self._goes_on:
            self._goes_on = False
            self.state.restore(self._folder)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Seed."""
        seed_keras(keras, (self._seed + epoch) % 2**31)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Remember."""
        row = numbers(logs or {})
        self._rows.append(row)
        self._all.offer(row, self.state)

    def on_train_end(self, logs: Any = None) -> None:
        """Save."""
        _written(self.state, self._folder)


def run_executions(
    running: Running,
    count: int,
    build: Callable[[], Any],
    fit: Fit,
    arguments: dict[str, Any],
    hooks: Sequence[Any] = (),
) -> list[Any]:
    """Train *count* models of one configuration, and report them together, or the score that *fit* returned.

    Args:
        running: the trial.
        count: how many.
        build: makes a model.
        fit: trains one, with *arguments* and callbacks.
        arguments: those of ``search``.
        hooks: callbacks that all trainings share, after those of *arguments*.

    Returns:
        What *fit* returned each time.
    """
    own, returned = running.own, list[Any]()
    with tempfile.TemporaryDirectory(prefix="luthier-") as scratch:
        all_ = _Executions(Path(scratch), count, running.objectives)
        loop = own.epochs(all_)
        begin, last = all_.trained, ModelState()
        for execution in range(count):
            if not all_.trains(execution, own.to_step):
                continue
            seed = (own.seed + execution) % 2**31
            seed_keras(keras, seed)
            given = dict(arguments)
            if own.from_step and own.to_step is not None:
                given["initial_epoch"] = begin
            callbacks = copied(given.pop("callbacks", None) or [], own.number, execution)
            recorder = _Recorder(all_, execution, seed, callbacks)
            model = build()
            recorder.state.train(model, callbacks)  # for loops that never say that training begins
            returned.append(fit(model, callbacks=[*callbacks, *hooks, recorder], **given))
            last = recorder.state
        all_.trained = max(begin, own.to_step or max(1, *map(len, all_.runs)))
        own_score = any(isinstance(one, list) or counts(one) for one in returned)
        if returned and (own_score or not all_.complete()):
            found = numbers(scored(returned, running.objectives, "HyperModel.fit()"))
            if not (all_.complete() and all_.agrees(found)):
                _report_score(own, all_, loop, found, last)
                return returned
        if not all_.scored:
            _report(running, all_, loop)
    return returned


def _report_score(
    own: OwnTrial, all_: _Executions, loop: Any, found: dict[str, float], last: ModelState
) -> None:
    """Report what was returned; the model is the best epoch's, or the last where none can be told."""
    if next(loop, None) is None:
        return
    all_.due = all_.scored = True
    best = all_.folder / BEST
    if not best.exists() and last.ready() and last.model.built:
        _written(last, best)
    own.report(found, step=own.to_step)
    next(loop, None)


def _report(running: Running, all_: _Executions, loop: Any) -> None:
    """Report the epochs of this job."""
    own, means = running.own, all_.means()
    losses = [loss if math.isfinite(loss) else math.inf for loss in map(all_.loss, means)]
    # What was to be kept is: the best epoch's, and the last one's to go on from. The first one's is for a
    # trial that somebody has stopped meanwhile: it hears of that now.
    best = losses.index(min(losses))
    for epoch in range(own.from_step, len(means)):
        if next(loop, None) is None:
            return
        all_.due = epoch in (own.from_step, best, len(means) - 1)
        own.report(means[epoch])
    next(loop, None)
