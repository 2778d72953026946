"""All that a Keras model must remember between two epochs, on any backend, and the files it is kept in."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import keras
import numpy as np

from luthier.errors import CheckpointError
from luthier.train.data import mapped


class State:
    """All that a Keras model must remember between two epochs.

    Args:
        model: built and compiled.
        callbacks: whose simple attributes are remembered as well.
    """

    def __init__(
        self, model: keras.Model, callbacks: Sequence[keras.callbacks.Callback] = ()
    ) -> None:
        self._model = model
        self._callbacks = callbacks
        build_optimizer(model)

    def save(self, folder: Path) -> None:
        """Write every variable of model and optimizer, and the callbacks' attributes."""
        arrays: dict[str, Any] = {
            f"{i:05d}": keras.ops.convert_to_numpy(v.value) for i, v in enumerate(self._variables())
        }
        plain: list[dict[str, Any]] = []
        for i, callback in enumerate(self._callbacks):
            simple, lists = _attributes(callback)
            plain.append(simple)
            for name, values in lists.items():
                arrays |= {f"callback/{i}/{name}/{j:05d}": v for j, v in enumerate(values)}
        np.savez(folder / "variables.npz", **arrays)
        (folder / "callbacks.json").write_text(json.dumps(plain))

    def restore(self, folder: Path) -> None:
        """Read them back.

        Raises:
            CheckpointError: the checkpoint is of a model with other variables.
        """
        variables = self._variables()
        with np.load(folder / "variables.npz", allow_pickle=False) as arrays:
            saved = [name for name in arrays.files if not name.startswith("callback/")]
            if len(saved) != len(variables):
                raise CheckpointError(
                    f"{folder} holds {len(saved)} variables, the model has {len(variables)}: "
                    "build(hp) no longer makes the model it made when the trial began."
                )
            for name, variable in zip(sorted(saved), variables, strict=True):
                variable.assign(_like(arrays[name], variable, folder))
            attributes: list[dict[str, Any]] = json.loads((folder / "callbacks.json").read_text())
            for i, (callback, values) in enumerate(zip(self._callbacks, attributes, strict=False)):
                lists = sorted(n for n in arrays.files if n.startswith(f"callback/{i}/"))
                for name in {n.split("/")[2] for n in lists}:
                    values[name] = [arrays[n] for n in lists if n.split("/")[2] == name]
                if (comparison := values.pop("monitor_op", None)) is not None:
                    values["monitor_op"] = getattr(keras.ops, comparison)
                vars(callback).update(values)

    def inherit(self, folder: Path) -> None:
        """Restore another trial's state, but for the optimizer's learning rate.

        The optimizer's other hyperparameters are no variables, and stay as they were built.

        Raises:
            CheckpointError: as for ``restore``.
        """
        rate = getattr(self._model.optimizer, "_learning_rate", None)
        built = float(rate.numpy()) if isinstance(rate, keras.Variable) else None
        self.restore(folder)
        if built is not None:
            cast(Any, rate).assign(built)

    def _variables(self) -> list[Any]:
        optimizer = self._model.optimizer
        return [*self._model.variables, *(optimizer.variables if optimizer is not None else [])]


def make_variables(model: keras.Model, train: Any) -> None:
    """Make the model's variables exist, so that a checkpoint has something to be restored into."""
    if isinstance(train, tuple | list):
        if not model.built and isinstance(model, keras.Sequential):
            model.build((None, *np.shape(train[0])[1:]))
        elif not model.built:
            # A class of the user's, which may make its variables when it is called.
            model(mapped(lambda array: array[:1], train[0]))
        if keras.backend.backend() == "torch":
            # Its first step draws random numbers to learn the metrics' shapes: draw them here.
            one = [mapped(lambda array: array[:1], part) for part in train[:2]]
            model.evaluate(*one, verbose=cast(Any, 0))
    elif not model.built:
        batch = next(iter(train))
        model(batch[0] if isinstance(batch, tuple | list) else batch)
    if keras.backend.backend() == "tensorflow":
        # What a graph makes variables in is traced a second time: half of the time a trial begins with.
        with suppress(Exception):  # what is wrong with the model ``fit`` says better
            make_meters(model, train)


def make_meters(model: Any, train: Any) -> None:
    """Have Keras make the variables of loss and metrics, as it does on JAX when ``fit`` begins."""
    if isinstance(train, tuple | list):
        few: Any = tuple(mapped(lambda array: np.asarray(array[:2]), part) for part in train)
    else:
        few = train.element_spec
    model._symbolic_build(data_batch=few)


def build_optimizer(model: keras.Model) -> None:
    """Make the optimizer's slots exist: without, it would have none to restore, and start from zero."""
    if model.optimizer is not None and not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)


def _like(array: Any, variable: Any, folder: Path) -> Any:
    if tuple(array.shape) != tuple(variable.shape):
        raise CheckpointError(
            f"{folder} holds shape {tuple(array.shape)} for {variable.path}, which has "
            f"{tuple(variable.shape)}: build(hp) no longer makes the model it made."
        )
    if array.dtype.kind == "V":  # bfloat16: numpy keeps its bytes but not its name
        import ml_dtypes

        array = array.view(getattr(ml_dtypes, variable.dtype))
    return array


def _attributes(
    callback: keras.callbacks.Callback,
) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    """Return a callback's simple attributes, and those that are lists of arrays."""
    simple: dict[str, Any] = {}
    lists: dict[str, list[Any]] = {}
    for name, value in vars(callback).items():
        if name in ("params", "_model", "model"):
            continue
        if isinstance(value, np.generic):
            value = value.item()
        if value is None or isinstance(value, bool | int | float | str):
            simple[name] = value
        elif name == "monitor_op" and hasattr(keras.ops, getattr(value, "__name__", "")):
            simple[name] = value.__name__  # setting it anew would flip min_delta's sign again
        elif isinstance(value, list) and value and all(isinstance(v, np.ndarray) for v in value):
            lists[name] = value
    return simple, lists
