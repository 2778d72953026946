"""Keras 3 on any backend: the training loop, and a state that resumes bit for bit.

Each epoch is a ``fit`` of one epoch whose random generators are seeded for that epoch. So the order
of the data depends on the trial's seed and the epoch only, and a run that was paused goes on exactly
as if it had not been: weights, batch statistics, dropout's seeds, the optimizer's slots and step
count (and with it every learning-rate schedule) come from the checkpoint.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, cast

import keras

from luthier.errors import StudyError
from luthier.run.seeding import seed_keras
from luthier.space import HyperParameters
from luthier.study.records import TrialRecord
from luthier.study.study import Study
from luthier.study.trial import Trial
from luthier.train.data import checked_size, joined, length, mapped, order_of, pair, weighted
from luthier.train.fused.choice import Fused, checked_fused, tell
from luthier.train.fused.experience import runs_apart, wanted_width
from luthier.train.fused.reasons import reason_against, wanted
from luthier.train.fused.starting import drawn_by_numpy
from luthier.train.fused.turns import OneEpoch, Turn
from luthier.train.horizons import warn_if_half_finished
from luthier.train.keras_state import State, build_optimizer
from luthier.train.keras_state import make_variables as make_variables
from luthier.train.memory import freeze_once, give_back
from luthier.train.tensorflow_epochs import Pipeline, pipelined, several_at_once

Build = Callable[[HyperParameters], keras.Model]
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
        class_weight: Mapping[int, float] | None = None,
    ) -> None:
        self.build = build
        self.data = data
        self.class_weight = class_weight
        self._train = weighted(data[0], class_weight)
        self.batch_size = batch_size
        self.callbacks = callbacks
        self.fused: Fused = checked_fused(fused)

    def __call__(self, trial: Trial) -> None:
        """Build the model that the trial describes, and train it."""
        for turn in self.begin(trial):
            turn.run()

    def begin(self, trial: Trial) -> Generator[Turn]:
        """Train *trial*, but for its epochs: each is yielded for the caller to have it run."""
        fused = wanted(self.fused)
        if fused:
            # Layers' and metrics' names begin anew, also where another trial's model has them.
            keras.backend.clear_session(free_memory=False)
            freeze_once()
        seed_keras(keras, trial.seed)
        try:
            with drawn_by_numpy() if fused else nullcontext():
                model = self.checked_build(trial.hp)
                make_variables(model, self.data[0])
                build_optimizer(model)
            size = checked_size(trial.get("batch_size", self.batch_size))
            yield from turns(
                trial,
                model,
                (self._train, self.data[1]),
                batch_size=size,
                callbacks=self.callbacks,
                fused=self.fused,
                class_weight=self.class_weight,
            )
            fused = fused and getattr(model, "train_function", None) is None
        finally:
            model = None
            give_back(fused=fused)

    def abreast(self, study: Study, due: Sequence[Turn]) -> int:
        """Return how many trials to train side by side in one process, as far as is known by now.

        Args:
            study: whose trials they are.
            due: epochs of those that are under way.
        """
        return wanted_width(self.fused, study, due) if wanted(self.fused) else 1

    def started(self, turn: Turn) -> Callable[[], Exception | None] | None:
        """Have an epoch run beside others, and return what waits for it; None: run all that are due."""
        from luthier.train.fused.side_by_side import started

        return started(turn) if runs_apart(self.fused) else None

    def together(self, several: Sequence[Turn]) -> list[Exception | None]:
        """Run an epoch of several trials, and return for each what went wrong with it alone."""
        from luthier.train.fused.side_by_side import run

        return run(several)

    def checked_build(self, hp: HyperParameters) -> keras.Model:
        """Return the model, or say what is wrong with it."""
        if isinstance(self.build, keras.Model):
            raise StudyError(
                "build must be a function that makes the model anew for each trial, got the model itself: "
                "write def build(hp): ... return model, and compile it there."
            )
        model: Any = self.build(hp)
        if not isinstance(model, keras.Model):
            raise StudyError(f"build(hp) must return a compiled keras.Model, got {model!r}.")
        if not model.compiled:
            raise StudyError(
                "build(hp) returned a model that is not compiled: call "
                "model.compile(optimizer, loss, metrics=['accuracy']) before you return it."
            )
        return model

    @property
    def examples(self) -> int | None:
        """Return how many training examples there are, None where only reading tells."""
        return length(self.data[0])

    def on_all(self, data: Any = None) -> Training:
        """Return this training on *data*, by default on training and validation data together.

        Callbacks that stop early are left out: how long to train is known by then, and the data that
        they watch are trained on.

        Raises:
            StudyError: the two parts cannot be joined; *data* is no (x, y) of one length.
        """
        train, validation = self.data
        whole = joined(train, validation) if data is None else data
        return Training(
            self.build,
            pair((whole, validation), weighted=True),
            self.batch_size,
            lambda: _that_do_not_stop(self.callbacks),
            self.fused,
            self.class_weight,
        )

    def ask(self, hp: HyperParameters) -> None:
        """Build once, only to hear which hyperparameters ``build`` asks for."""
        with drawn_by_numpy() if wanted(self.fused) else nullcontext():
            self.checked_build(hp)

    def load(self, trial: TrialRecord, folder: Path, study: Study) -> keras.Model:
        """Return the trained model that a checkpoint holds."""
        with drawn_by_numpy() if wanted(self.fused) else nullcontext():
            model = self.checked_build(study.hyperparameters(trial.configuration))
            make_variables(model, self.data[0])
            state = State(model)
        state.restore(folder)
        return model


def _that_do_not_stop(callbacks: Callbacks) -> list[keras.callbacks.Callback]:
    return [c for c in _listed(callbacks) if not isinstance(c, keras.callbacks.EarlyStopping)]


def fit(
    trial: Trial,
    model: keras.Model,
    data: Any,
    *,
    batch_size: int = 32,
    callbacks: Callbacks = (),
    fused: Fused = "auto",
    class_weight: Mapping[int, float] | None = None,
) -> keras.Model:
    """Train *model* for a trial: for those who write their own training function.

    Reports every metric of every epoch, writes a checkpoint after it, and ends when the scheduler
    says so, or a callback. *data*, *callbacks*, *fused* and *class_weight* are as for ``tune``.

    Raises:
        CheckpointError: the checkpoint does not fit the model.
        StudyError: *fused* is True, and it cannot be.
    """
    train, validation = pair(data, weighted=True)
    for turn in turns(
        trial,
        model,
        (weighted(train, class_weight), validation),
        batch_size=batch_size,
        callbacks=callbacks,
        fused=fused,
        class_weight=class_weight,
    ):
        turn.run()
    return model


def turns(
    trial: Trial,
    model: keras.Model,
    data: tuple[Any, Any],
    *,
    batch_size: int,
    callbacks: Callbacks,
    fused: Fused,
    class_weight: Mapping[int, float] | None,
) -> Generator[Turn]:
    """Do all that ``fit`` does but the epochs themselves: yield each for the caller to have it run.

    Arrays have the weights of their classes with them; *class_weight* is for data of other forms.
    """
    train, validation = data
    make_variables(model, train)
    schedule: Any = getattr(model.optimizer, "_learning_rate", None)
    steps = _steps(train, batch_size)
    if steps is not None:
        warn_if_half_finished(trial, schedule, per_epoch=steps)
    own = copy.deepcopy(_listed(callbacks))
    epochs = trial.horizon or trial.to_step
    listeners = _OneTraining(own, model, verbose=0, epochs=epochs, steps=steps)
    listeners.begin()
    state = State(model, own)
    train_epoch = _epochs(trial, model, train, validation, batch_size, own, fused, class_weight)
    quick = several_at_once(model, own) if isinstance(train_epoch, Pipeline) else nullcontext()
    with _unfinished(model.optimizer), quick:
        for epoch in trial.epochs(state):
            yield Turn(train_epoch, epoch, trial.seed_of(epoch), listeners)
            trial.report(listeners.logs)
            if model.stop_training:
                break
    listeners.end()


def _epochs(
    trial: Trial,
    model: keras.Model,
    train: Any,
    validation: Any,
    batch_size: int,
    callbacks: Sequence[keras.callbacks.Callback],
    fused: Fused,
    class_weight: Mapping[int, float] | None,
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
    if pipelined(model, train, validation):
        size = _validation_size(batch_size)
        return Pipeline(model, train, validation, batch_size, size, callbacks)
    arguments = _arguments(train, validation, batch_size)
    if class_weight is not None and not isinstance(train, tuple | list):
        arguments["class_weight"] = dict(class_weight)

    def train_epoch(epoch: int, seed: int, listeners: keras.callbacks.CallbackList) -> None:
        seed_keras(keras, seed)
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


class _OneTraining(keras.callbacks.CallbackList):
    """Lets callbacks see one training where ``fit`` is called once an epoch."""

    def __init__(
        self, callbacks: list[keras.callbacks.Callback], model: keras.Model, **params: Any
    ) -> None:
        self._logs = _Logs()
        super().__init__([*callbacks, self._logs], add_history=True, model=model, **params)

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


def _listed(callbacks: Any) -> list[keras.callbacks.Callback]:
    made: Any = callbacks() if callable(callbacks) else callbacks
    return [made] if isinstance(made, keras.callbacks.Callback) else list(made)


def _arguments(train: Any, validation: Any, batch_size: int) -> dict[str, Any]:
    given: dict[str, Any] = {}
    if isinstance(train, tuple | list):
        given = {"batch_size": batch_size, "shuffle": False}
    if isinstance(validation, tuple | list):
        validation = tuple(validation)
        given["validation_batch_size"] = _validation_size(batch_size)
    return {**given, "validation_data": validation}


def _validation_size(batch_size: int) -> int:
    return max(batch_size, 256)  # larger batches change nothing but the time


def _steps(train: Any, batch_size: int) -> int | None:
    """Return the batches of an epoch, None where only training tells."""
    if isinstance(train, tuple | list):
        return -(-cast(int, length(train)) // batch_size)
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
    order = order_of(cast(int, length(train)), seed)
    parts = (mapped(lambda array: array[order], part) for part in train)
    return dict(zip(("x", "y", "sample_weight"), parts, strict=False))
