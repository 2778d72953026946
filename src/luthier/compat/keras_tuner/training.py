"""Trains a trial's model by a call of ``fit``, whosever it is, and reports from a callback.

The callback comes last in the list: it restores model, optimizer and callbacks at the beginning, reports
and saves after each epoch, and ends training when the scheduler says so.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import keras

from luthier.compat.keras_tuner.objective import Objective
from luthier.compat.keras_tuner.trial import Trial
from luthier.run.seeding import seed_keras
from luthier.study.trial import Trial as OwnTrial
from luthier.train.keras import State

_BUILD = "build.json"


class ModelState:
    """A model, its optimizer and its callbacks, as a state to save and to restore."""

    def __init__(self) -> None:
        self.model: Any = None
        self.callbacks: Sequence[keras.callbacks.Callback] = ()

    def train(self, model: Any, callbacks: Sequence[keras.callbacks.Callback] = ()) -> None:
        """Have it be the state of *model* from now on."""
        if isinstance(model, keras.Model) and not hasattr(model, "optimizer"):
            model.optimizer = None  # never compiled: its training is its own
        self.model, self.callbacks = model, callbacks

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

    Logs without the *objectives* are no report: then what is returned in the end counts.

    Attributes:
        by_callback: whether a callback of ours reports at present.
    """

    def __init__(self, own: OwnTrial, objectives: Sequence[Objective]) -> None:
        self.own = own
        self.objectives = objectives
        self.over = self.by_callback = False
        self.state = ModelState()
        self._loop: Iterator[int] | None = None

    def begin(self, model: Any, callbacks: Sequence[keras.callbacks.Callback] = ()) -> None:
        """Restore the model, if the trial goes on, and wait for the first report."""
        if self._loop is None:
            self.state.train(model, callbacks)
            self._loop = self.own.epochs(self.state)
            self.over = next(self._loop, None) is None

    def report(
        self, logs: dict[str, Any] | None, model: Any = None, step: int | None = None
    ) -> None:
        """Report the metrics after an epoch: the next one, or *step* counted from 1."""
        self.begin(model)
        found = numbers(logs or {})
        if self.over or not all(o.name in found for o in self.objectives):
            return
        self.own.report(found, step=step)
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


class Hooks(keras.callbacks.Callback):
    """Calls a tuner's own ``on_epoch_begin`` and its kin while a model is trained by ``fit``."""

    def __init__(self, tuner: Any, trial: Trial) -> None:
        super().__init__()
        self._tuner, self._trial = tuner, trial

    def __deepcopy__(self, memo: Any) -> Hooks:
        return self

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Call the tuner's."""
        self._tuner.on_epoch_begin(self._trial, self.model, epoch, logs=logs)

    def on_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Call the tuner's."""
        self._tuner.on_batch_begin(self._trial, self.model, batch, logs)

    def on_batch_end(self, batch: int, logs: Any = None) -> None:
        """Call the tuner's."""
        self._tuner.on_batch_end(self._trial, self.model, batch, logs)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Call the tuner's."""
        self._tuner.on_epoch_end(self._trial, self.model, epoch, logs=logs)


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


def numbers(logs: dict[str, Any]) -> dict[str, float]:
    """Return those of the logs that are numbers."""
    return {name: float(value) for name, value in logs.items() if _is_number(value)}


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True
