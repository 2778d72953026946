"""Keras 3 on any backend: the training loop, and a state that resumes bit for bit.

Each epoch is a ``fit`` of one epoch whose random generators are seeded for that epoch. So the order
of the data depends on the trial's seed and the epoch only, and a run that was paused goes on exactly
as if it had not been: weights, batch statistics, dropout's seeds, the optimizer's slots and step
count (and with it every learning-rate schedule) come from the checkpoint.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, cast

import keras
import numpy as np

from luthier.errors import CheckpointError, StudyError
from luthier.space import HyperParameters
from luthier.study.records import TrialRecord
from luthier.study.study import Study
from luthier.study.trial import Trial
from luthier.train.data import checked_size, order_of, pair
from luthier.train.fused.choice import Fused, checked_fused, tell
from luthier.train.fused.reasons import reason_against, wanted
from luthier.train.fused.starting import drawn_by_numpy
from luthier.train.horizons import warn_if_half_finished
from luthier.train.memory import give_back

Build = Callable[[HyperParameters], keras.Model]
OneEpoch = Callable[[int, int, keras.callbacks.CallbackList], None]
Callbacks = Sequence[keras.callbacks.Callback] | Callable[[], Sequence[keras.callbacks.Callback]]


class Training:
    """The training function that ``tune`` makes of a build function and data."""

    def __init__(
        self,
        build: Build,
        data: tuple[Any, Any],
        batch_size: int,
        callbacks: Callbacks = (),
        fused: Fused = "auto",
    ) -> None:
        self.build = build
        self.data = data
        self.batch_size = batch_size
        self.callbacks = callbacks
        self.fused: Fused = checked_fused(fused)

    def __call__(self, trial: Trial) -> None:
        """Build the model that the trial describes, and train it."""
        keras.utils.set_random_seed(trial.seed)
        fused = False
        try:
            with drawn_by_numpy() if wanted(self.fused) else nullcontext():
                fused = self._train(trial)
        finally:
            give_back(fused=fused)

    def _train(self, trial: Trial) -> bool:
        """Return whether the trial ran in compiled epochs."""
        model = self.checked_build(trial.hp)
        size = checked_size(trial.get("batch_size", self.batch_size))
        fit(
            trial,
            model,
            self.data,
            batch_size=size,
            callbacks=self.callbacks,
            fused=self.fused,
        )
        return getattr(model, "train_function", None) is None

    def checked_build(self, hp: HyperParameters) -> keras.Model:
        """Return the model, or say what is wrong with it."""
        model: Any = self.build(hp)
        if not isinstance(model, keras.Model):
            raise StudyError(f"build(hp) must return a compiled keras.Model, got {model!r}.")
        if not model.compiled:
            raise StudyError(
                "build(hp) returned a model that is not compiled: call "
                "model.compile(optimizer, loss, metrics=['accuracy']) before you return it."
            )
        return model

    def load(self, trial: TrialRecord, folder: Path, study: Study) -> keras.Model:
        """Return the trained model that a checkpoint holds."""
        model = self.checked_build(HyperParameters(study.space, trial.configuration, None))
        make_variables(model, self.data[0])
        State(model).restore(folder)
        return model


def fit(
    trial: Trial,
    model: keras.Model,
    data: Any,
    *,
    batch_size: int = 32,
    callbacks: Callbacks = (),
    fused: Fused = "auto",
) -> keras.Model:
    """Train *model* for a trial: for those who write their own training function.

    Reports every metric of every epoch, writes a checkpoint after it, and ends when the scheduler
    says so, or a callback. *data*, *callbacks* and *fused* are as for ``tune``.

    Raises:
        CheckpointError: the checkpoint does not fit the model.
        StudyError: *fused* is True, and it cannot be.
    """
    train, validation = pair(data)
    make_variables(model, train)
    schedule: Any = getattr(model.optimizer, "_learning_rate", None)
    if (steps := _steps(train, batch_size)) is not None:
        warn_if_half_finished(trial, schedule, per_epoch=steps)
    own = copy.deepcopy(list(callbacks() if callable(callbacks) else callbacks))
    listeners = _OneTraining(own, model)
    listeners.begin()
    state = State(model, own)
    with _unfinished(model.optimizer):
        train_epoch = _epochs(trial, model, train, validation, batch_size, own, fused)
        for epoch in trial.epochs(state):
            seed = trial.seed_of(epoch)
            keras.utils.set_random_seed(seed)
            train_epoch(epoch, seed, listeners)
            trial.report(listeners.logs)
            if model.stop_training:
                break
    listeners.end()
    return model


def _epochs(
    trial: Trial,
    model: keras.Model,
    train: Any,
    validation: Any,
    batch_size: int,
    callbacks: Sequence[keras.callbacks.Callback],
    fused: Fused,
) -> OneEpoch:
    """Return what trains one epoch: a compiled program, or ``fit`` with the reason said once."""
    if fused is not False:
        found: Any = reason_against(model, train, validation, callbacks)
        if found is None:
            from luthier.train.fused.keras_epochs import compiled_epochs

            found = compiled_epochs(model, train, validation, batch_size)
        if not isinstance(found, str):
            return found
        tell(trial, found, fused)
    arguments = _arguments(train, validation, batch_size)

    def train_epoch(epoch: int, seed: int, listeners: keras.callbacks.CallbackList) -> None:
        model.fit(
            **_in_order(train, seed),
            **arguments,
            initial_epoch=epoch,
            epochs=epoch + 1,
            callbacks=listeners,
            verbose=cast(Any, 0),
        )

    return train_epoch


@contextmanager
def _unfinished(optimizer: Any) -> Generator[None]:
    """Keep ``fit`` from replacing the weights by their moving averages after every epoch.

    It does so at the end of each call when ``use_ema=True``; here a call is not the end.
    """
    if optimizer is not None:
        optimizer.finalize_variable_values = lambda var_list: None
    try:
        yield
    finally:
        if optimizer is not None:
            del optimizer.finalize_variable_values


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
        if model.optimizer is not None and not model.optimizer.built:
            # Unbuilt, it would have no slots to restore, and start again from zero.
            model.optimizer.build(model.trainable_variables)

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


class _OneTraining(keras.callbacks.CallbackList):
    """Lets callbacks see one training where ``fit`` is called once an epoch."""

    def __init__(self, callbacks: list[keras.callbacks.Callback], model: keras.Model) -> None:
        self._logs = _Logs()
        super().__init__([*callbacks, self._logs], add_history=True, model=model)

    @property
    def logs(self) -> dict[str, float]:
        return self._logs.last

    def begin(self) -> None:
        super().on_train_begin()

    def end(self) -> None:
        super().on_train_end(self.logs)

    def on_train_begin(self, logs: Any = None) -> None:
        pass

    def on_train_end(self, logs: Any = None) -> None:
        pass


class _Logs(keras.callbacks.Callback):
    """Keeps the metrics of the last epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.last: dict[str, float] = {}

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.last = {name: float(value) for name, value in (logs or {}).items()}


def _arguments(train: Any, validation: Any, batch_size: int) -> dict[str, Any]:
    given: dict[str, Any] = {}
    if isinstance(train, tuple | list):
        given = {"batch_size": batch_size, "shuffle": False}
    if isinstance(validation, tuple | list):
        validation = tuple(validation)
        # Larger batches change nothing but the time.
        given["validation_batch_size"] = max(batch_size, 256)
    return {**given, "validation_data": validation}


def _steps(train: Any, batch_size: int) -> int | None:
    """Return the batches of an epoch, None where only training tells."""
    if isinstance(train, tuple | list):
        return -(-len(cast(Any, train[0])) // batch_size)
    try:
        return len(train) or None
    except TypeError:
        return None


def _in_order(train: Any, seed: int) -> dict[str, Any]:
    """Return the training data in the order of one epoch.

    Keras would shuffle too, but the order would depend on what was drawn before: its first ``fit``
    draws one permutation more than the others.
    """
    if not isinstance(train, tuple | list):
        return {"x": train}
    order = order_of(len(train[0]), seed)
    return {"x": train[0][order], "y": train[1][order]}


def make_variables(model: keras.Model, train: Any) -> None:
    """Make the model's variables exist, so that a checkpoint has something to be restored into."""
    if isinstance(train, tuple | list):
        if not model.built:
            model.build((None, *np.shape(train[0])[1:]))
        if keras.backend.backend() == "torch":
            # Its first step draws random numbers to learn the metrics' shapes: draw them here.
            model.evaluate(train[0][:1], train[1][:1], verbose=cast(Any, 0))
    elif not model.built:
        batch = next(iter(train))
        model(batch[0] if isinstance(batch, tuple | list) else batch)


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
