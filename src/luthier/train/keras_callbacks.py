"""The callbacks of one trial: made, told of one training, and what of them a checkpoint remembers."""

from __future__ import annotations

import copy
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from luthier.errors import StudyError

Callbacks = Sequence[keras.callbacks.Callback] | Callable[[], Sequence[keras.callbacks.Callback]]


def made(callbacks: Any) -> list[keras.callbacks.Callback]:
    """Return the callbacks of one trial: made by the user's function, or copies of the user's.

    Raises:
        StudyError: one of them would train on from a backup of its own.
    """
    of_a_function = callable(callbacks)
    given: Any = callbacks() if of_a_function else callbacks
    listed = [given] if isinstance(given, keras.callbacks.Callback) else list(given)
    for callback in listed:
        if isinstance(callback, keras.callbacks.BackupAndRestore):
            raise StudyError(
                "BackupAndRestore cannot be among the callbacks: Luthier writes a checkpoint after each "
                "epoch, and a trial that was interrupted goes on from it. Leave it out."
            )
    return listed if of_a_function else copy.deepcopy(listed)


class OneTraining(keras.callbacks.CallbackList):
    """Lets callbacks see one training where ``fit`` is called once an epoch."""

    def __init__(
        self, callbacks: list[keras.callbacks.Callback], model: keras.Model, **params: Any
    ) -> None:
        self._logs = Logs()
        super().__init__([*callbacks, self._logs], add_history=True, model=model, **params)

    def logs(self, judged_by: Iterable[str]) -> dict[str, float]:
        """Return the numbers of the epoch that has just been trained.

        Args:
            judged_by: metrics that have to be among them.

        Raises:
            StudyError: there are none, or one of those that have to be there is no single number.
        """
        found = self._logs
        for name in judged_by:
            if name in found.others:
                raise StudyError(
                    f"The metric {name!r} is no single number: it has shape {found.others[name]}, a "
                    "value for each class perhaps, and trials are judged by one. Average it to a scalar, "
                    "such as by average='macro'."
                )
        if not found.last:
            raise StudyError(
                "An epoch ended without a metric: fit() trained on nothing, since the data were read to "
                "their end before (a generator can be read once), or it had to begin after this epoch."
            )
        return found.last

    def forget(self) -> None:
        """Forget the last epoch's numbers, before another is trained."""
        self._logs.last, self._logs.others = {}, {}

    def begin(self) -> None:
        """Tell that the training begins."""
        super().on_train_begin()

    def end(self) -> None:
        """Tell that the training is over."""
        super().on_train_end(self._logs.last)

    def on_train_begin(self, logs: Any = None) -> None:
        """Tell nobody: it is an epoch of ``fit`` that begins."""

    def on_train_end(self, logs: Any = None) -> None:
        """Tell nobody: it is an epoch of ``fit`` that is over."""


class Logs(keras.callbacks.Callback):
    """Keeps the last epoch's metrics that are numbers, and the shapes of those that are several."""

    def __init__(self) -> None:
        super().__init__()
        self.last: dict[str, float] = {}
        self.others: dict[str, tuple[int, ...]] = {}

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Keep an epoch's metrics."""
        self.last, self.others = {}, {}
        for name, value in (logs or {}).items():
            shape = tuple(getattr(value, "shape", ()))
            if math.prod(shape) != 1:
                self.others[name] = shape
            elif (number := _number(value)) is not None:
                self.last[name] = number


def _number(value: Any) -> float | None:
    """Return *value* as a number, None for what a callback of the user's may have noted in the logs."""
    if isinstance(value, str | bytes):
        return None
    try:
        if getattr(value, "shape", ()):
            several: Any = keras.ops.convert_to_numpy(value)
            value = several.reshape(-1)[0]
        return float(value)
    except (TypeError, ValueError):
        return None


# -- what a checkpoint remembers -------------------------------------------------------------------


@dataclass
class Remembered:
    """The simple attributes of one callback, and those that are lists of arrays."""

    simple: dict[str, Any]
    lists: dict[str, list[np.ndarray]]


def names_of(callbacks: Sequence[keras.callbacks.Callback]) -> list[str]:
    """Return a name for each callback, by which it is found again: its class, and which one of that."""
    counts: Counter[str] = Counter()
    found: list[str] = []
    for callback in callbacks:
        kind = type(callback).__name__
        found.append(f"{kind} {counts[kind]}")
        counts[kind] += 1
    return found


def settings_of(callback: keras.callbacks.Callback) -> dict[str, Any]:
    """Return the simple attributes that a callback was made with; none of one that is in use already.

    Those that are the same later are settings, which stand as they are written in the code.
    """
    in_use = getattr(callback, "_model", None) is not None
    return {} if in_use else remembered(callback, {}).simple


def remembered(callback: keras.callbacks.Callback, settings: Mapping[str, Any]) -> Remembered:
    """Return the attributes of a callback that are no longer as *settings* says."""
    simple: dict[str, Any] = {}
    lists: dict[str, list[np.ndarray]] = {}
    for name, value in vars(callback).items():
        if name in ("params", "_model", "model"):
            continue
        if isinstance(value, np.generic):
            value = value.item()
        if _is_simple(value):
            if name not in settings or not _same(settings[name], value):
                simple[name] = value
        elif name == "monitor_op" and hasattr(keras.ops, getattr(value, "__name__", "")):
            simple[name] = value.__name__  # setting it anew would flip min_delta's sign again
        elif isinstance(value, list) and value and all(isinstance(v, np.ndarray) for v in value):
            lists[name] = value
    return Remembered(simple, lists)


def put_back(
    callback: keras.callbacks.Callback, found: Remembered, settings: Mapping[str, Any]
) -> None:
    """Give a callback what was remembered; all else is as *settings* says, which it was made with.

    What it has opened since, where it was made with None, stays open.
    """
    now = vars(callback)
    made = {name: value for name, value in settings.items() if _is_simple(now.get(name))}
    values: dict[str, Any] = {**made, **found.simple, **found.lists}
    if (comparison := values.pop("monitor_op", None)) is not None:
        values["monitor_op"] = getattr(keras.ops, comparison)
    if "min_delta" in settings and "min_delta" in found.simple:
        # A setting whose sign Keras changes as it begins.
        values["min_delta"] = math.copysign(settings["min_delta"], found.simple["min_delta"])
    now.update(values)


def _is_simple(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float | str | np.generic)


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and (one == other or (one != one and other != other))
