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
from luthier.train.keras_callbacks import Remembered, names_of, put_back, remembered, settings_of
from luthier.train.keras_optimizers import beside, build_optimizer, rates

_OPTIMIZERS = "optimizers.json"


class State:
    """All that a Keras model must remember between two epochs.

    Args:
        model: built and compiled.
        callbacks: whose simple attributes are remembered as well, where they change from what they are now.
    """

    def __init__(
        self, model: keras.Model, callbacks: Sequence[keras.callbacks.Callback] = ()
    ) -> None:
        self._model = model
        self._callbacks = dict(zip(names_of(callbacks), callbacks, strict=True))
        self._settings = {name: settings_of(each) for name, each in self._callbacks.items()}
        build_optimizer(model)

    def save(self, folder: Path) -> None:
        """Write every variable of model and optimizers, and the callbacks' attributes."""
        arrays: dict[str, Any] = {
            f"{i:05d}": keras.ops.convert_to_numpy(v.value) for i, v in enumerate(self._variables())
        }
        others: dict[str, list[int]] = {}
        for name, optimizer in beside(self._model).items():
            if (trained := self._trained_by(optimizer)) is not None:
                others[name] = trained
                arrays |= {
                    f"optimizer/{name}/{j:05d}": keras.ops.convert_to_numpy(v.value)
                    for j, v in enumerate(optimizer.variables)
                }
        plain: dict[str, dict[str, Any]] = {}
        for i, (name, callback) in enumerate(self._callbacks.items()):
            found = remembered(callback, self._settings[name])
            plain[name] = found.simple
            for attribute, values in found.lists.items():
                arrays |= {f"callback/{i}/{attribute}/{j:05d}": v for j, v in enumerate(values)}
        np.savez(folder / "variables.npz", **arrays)
        (folder / "callbacks.json").write_text(json.dumps(plain))
        if others:
            (folder / _OPTIMIZERS).write_text(json.dumps(others))

    def restore(self, folder: Path) -> None:
        """Read them back.

        Callbacks are known again by their class; of several of one class by their order.

        Raises:
            CheckpointError: the checkpoint is of a model with other variables.
        """
        variables = self._variables()
        with np.load(folder / "variables.npz", allow_pickle=False) as arrays:
            saved = [name for name in arrays.files if "/" not in name]
            if len(saved) != len(variables):
                raise CheckpointError(
                    f"{folder} holds {len(saved)} variables, the model has {len(variables)}: "
                    "build(hp) no longer makes the model it made when the trial began."
                )
            for name, variable in zip(sorted(saved), variables, strict=True):
                variable.assign(_like(arrays[name], variable, folder))
            self._restore_optimizers(folder, arrays)
            self._restore_callbacks(folder, arrays)

    def inherit(self, folder: Path) -> None:
        """Restore another trial's state, but for the optimizers' learning rates.

        The optimizers' other hyperparameters are no variables, and stay as they were built.

        Raises:
            CheckpointError: as for ``restore``.
        """
        built = rates(self._model)
        self.restore(folder)
        for rate, value in built:
            rate.assign(value)

    def _variables(self) -> list[Any]:
        optimizer = self._model.optimizer
        return [*self._model.variables, *(optimizer.variables if optimizer is not None else [])]

    def _trained_by(self, optimizer: Any) -> list[int] | None:
        """Return which of the model's variables *optimizer* was built for; None where that is not known."""
        numbers = {id(v): i for i, v in enumerate(self._model.variables)}
        trained = getattr(optimizer, "_trainable_variables", None)
        if not optimizer.built or trained is None or not all(id(v) in numbers for v in trained):
            return None
        return [numbers[id(v)] for v in trained]

    def _restore_optimizers(self, folder: Path, arrays: Any) -> None:
        path = folder / _OPTIMIZERS
        others: dict[str, list[int]] = json.loads(path.read_text()) if path.exists() else {}
        here = beside(self._model)
        for name, trained in others.items():
            if (optimizer := here.get(name)) is None:
                raise CheckpointError(
                    f"{folder} holds an optimizer {name!r}, which the model does not have: build(hp) no "
                    "longer makes the model it made."
                )
            if not optimizer.built:
                optimizer.build([self._model.variables[i] for i in trained])
            saved = sorted(n for n in arrays.files if n.startswith(f"optimizer/{name}/"))
            if len(saved) != len(optimizer.variables):
                raise CheckpointError(
                    f"{folder} holds {len(saved)} variables of the optimizer {name!r}, which has "
                    f"{len(optimizer.variables)}: build(hp) no longer makes the model it made."
                )
            for one, variable in zip(saved, optimizer.variables, strict=True):
                variable.assign(_like(arrays[one], variable, folder))

    def _restore_callbacks(self, folder: Path, arrays: Any) -> None:
        for i, (name, simple) in enumerate(_noted(folder).items()):
            if (callback := self._callbacks.get(name)) is None:
                continue
            found = Remembered(simple, {})
            for one in sorted(n for n in arrays.files if n.startswith(f"callback/{i}/")):
                found.lists.setdefault(one.split("/")[2], []).append(arrays[one])
            put_back(callback, found, self._settings[name])


def averaged(folder: Path) -> bool:
    """Return whether the weights of a checkpoint are moving averages already: a callback swaps them in."""
    return any(each.get("_ema_weights_in_model") for each in _noted(folder).values())


def _noted(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the callbacks' simple attributes, by the callbacks' names."""
    found: Any = json.loads((folder / "callbacks.json").read_text())
    return found if isinstance(found, dict) else {}


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
