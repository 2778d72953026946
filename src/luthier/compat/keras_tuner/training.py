"""Trains a trial's model by one call of ``fit``, whosever it is, and reports from a callback.

The callback comes last in the list: it restores model, optimizer and callbacks at the beginning, reports
and saves after each epoch, and ends training when the scheduler says so.
"""

from __future__ import annotations

import copy
import json
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import keras

from luthier.run.seeding import seed_keras
from luthier.study.trial import Trial as OwnTrial
from luthier.train.keras import State

_BUILD = "build.json"

Fit = Callable[..., Any]


class ModelState:
    """A model, its optimizer and its callbacks, as a state to save and to restore."""

    def __init__(self) -> None:
        self.model: Any = None
        self.callbacks: Sequence[keras.callbacks.Callback] = ()

    def ready(self) -> bool:
        """Return whether there is a model to save."""
        return isinstance(self.model, keras.Model)

    def save(self, folder: Path) -> None:
        """Write all variables, and what it takes to build the model again."""
        State(self.model, self.callbacks).save(folder)
        (folder / _BUILD).write_text(json.dumps(_any_batch(self.model.get_build_config())))

    def restore(self, folder: Path) -> None:
        """Read them back into the model."""
        if self.ready():
            State(self.model, self.callbacks).restore(folder)


def _any_batch(config: Any) -> Any:
    """Return how to build a model again, for batches of any size."""
    shape = config.get("input_shape") if isinstance(config, dict) else None
    if isinstance(shape, list | tuple) and shape and isinstance(shape[0], int):
        return {**config, "input_shape": [None, *shape[1:]]}
    return config


def restored(model: keras.Model, folder: Path) -> keras.Model:
    """Return *model* with the weights of a checkpoint; it is built as it was when they were saved."""
    text = (folder / _BUILD).read_text() if (folder / _BUILD).exists() else "null"
    if not model.built and (config := json.loads(text)):
        model.build_from_config(config)
    State(model).restore(folder)
    return model


class Running:
    """One trial under way: reports go through it, from our callback or from somebody's own loop.

    Logs without the objectives, *wanted*, are no report: then what is returned in the end counts.
    """

    def __init__(self, own: OwnTrial, wanted: Collection[str]) -> None:
        self.own = own
        self.wanted = wanted
        self.over = False
        self.state = ModelState()
        self._loop: Iterator[int] | None = None

    def begin(self, model: Any, callbacks: Sequence[keras.callbacks.Callback] = ()) -> None:
        """Restore the model, if the trial goes on, and wait for the first report."""
        if self._loop is None:
            if isinstance(model, keras.Model) and not hasattr(model, "optimizer"):
                model.optimizer = None  # never compiled: its training is its own
            self.state.model, self.state.callbacks = model, callbacks
            self._loop = self.own.epochs(self.state)
            self.over = next(self._loop, None) is None

    def report(self, logs: dict[str, Any] | None, model: Any = None) -> None:
        """Report the metrics after an epoch."""
        self.begin(model)
        numbers = _numbers(logs or {})
        if self.over or not all(name in numbers for name in self.wanted):
            return
        self.own.report(numbers)
        assert self._loop is not None
        self.over = next(self._loop, None) is None

    def close(self) -> None:
        """Write what is left to write."""
        if self._loop is not None:
            cast(Any, self._loop).close()


class Reporter(keras.callbacks.Callback):
    """Reports each epoch of a ``fit`` to the running trial."""

    def __init__(self, running: Running, callbacks: Sequence[keras.callbacks.Callback]) -> None:
        super().__init__()
        self._running = running
        self._callbacks = callbacks

    def __deepcopy__(self, memo: Any) -> Reporter:
        return self

    def on_train_begin(self, logs: Any = None) -> None:
        """Restore."""
        self._running.begin(self.model, self._callbacks)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Have what is drawn in this epoch depend on the trial and the epoch alone."""
        seed_keras(keras, self._running.own.seed_of(epoch))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Report, and end training when it is over."""
        self._running.report(logs, getattr(self, "_model", None))
        model = getattr(self, "_model", None)
        if self._running.over and isinstance(model, keras.Model):
            model.stop_training = True


class _Recorder(keras.callbacks.Callback):
    """Remembers the epochs of one of several executions, which are reported together."""

    def __init__(self, seed: int, folder: Path, callbacks: Sequence[Any]) -> None:
        super().__init__()
        self.rows: list[dict[str, float]] = []
        self._seed = seed
        self._folder = folder
        self._state = ModelState()
        self._state.callbacks = callbacks

    def on_train_begin(self, logs: Any = None) -> None:
        """Restore."""
        self._state.model = self.model
        if self._folder.exists():
            self._state.restore(self._folder)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Seed."""
        seed_keras(keras, (self._seed + epoch) % 2**31)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Remember."""
        self.rows.append(_numbers(logs or {}))

    def on_train_end(self, logs: Any = None) -> None:
        """Save."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        self._state.save(self._folder)


class _Together:
    """The checkpoints of all executions, each in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.complete = False

    def ready(self) -> bool:
        """Return whether the last epoch is being reported: what is saved is of that one."""
        return self.complete

    def save(self, folder: Path) -> None:
        """Copy them."""
        shutil.copytree(self.folder, folder, dirs_exist_ok=True)

    def restore(self, folder: Path) -> None:
        """Copy them back."""
        shutil.copytree(folder, self.folder, dirs_exist_ok=True)


def run_executions(
    running: Running, count: int, build: Callable[[], Any], fit: Fit, arguments: dict[str, Any]
) -> list[Any]:
    """Train *count* models of one configuration, and report the mean of each metric by epoch.

    Return what *fit* returned; it counts where the epochs had no objective.
    """
    own, returned = running.own, list[Any]()
    with tempfile.TemporaryDirectory() as scratch:
        together = _Together(Path(scratch))
        loop = own.epochs(together)
        runs: list[list[dict[str, float]]] = []
        for execution in range(count):
            seed_keras(keras, (own.seed + execution) % 2**31)
            folder = Path(scratch) / f"execution-{execution}"
            given = dict(arguments)
            callbacks = copied(given.pop("callbacks", None) or [], own.number, execution)
            recorder = _Recorder((own.seed + execution) % 2**31, folder, callbacks)
            returned.append(fit(build(), callbacks=[*callbacks, recorder], **given))
            runs.append(recorder.rows)
        epochs = min(map(len, runs))
        if not all(name in row for run in runs for row in run for name in running.wanted):
            return returned
        for epoch in range(epochs):
            if next(loop, None) is None:
                return returned
            rows = [run[epoch] for run in runs]
            together.complete = epoch == epochs - 1
            own.report({name: sum(r[name] for r in rows) / count for name in rows[0]})
        next(loop, None)
    return returned


def copied(given: Sequence[Any], trial: int, execution: int) -> list[Any]:
    """Return callbacks for one training; those that log into a folder do so into one of its own."""
    own: list[Any] = []
    for callback in given:
        try:
            one = copy.deepcopy(callback)
        except Exception:  # it holds an open file, or a lock: it is shared
            one = callback
        if getattr(one, "log_dir", None):
            one.log_dir = str(Path(one.log_dir) / f"{trial:04d}" / f"execution{execution}")
        own.append(one)
    return own


def _numbers(logs: dict[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in logs.items() if _is_number(value)}


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True
