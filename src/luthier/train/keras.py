"""Keras 3 on any backend: the training loop, and a state that resumes bit for bit.

Each epoch is a ``fit`` of one epoch whose random generators are seeded for that epoch. So the order
of the data depends on the trial's seed and the epoch only, and a run that was paused goes on exactly
as if it had not been: weights, batch statistics, dropout's seeds, the optimizer's slots and step
count (and with it every learning-rate schedule) come from the checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, cast

import keras

from luthier.errors import StudyError
from luthier.run.seeding import seed_keras
from luthier.space import HyperParameters
from luthier.study.protocols import Fate
from luthier.study.records import TrialRecord
from luthier.study.study import Study
from luthier.study.trial import Trial
from luthier.train.data import checked_size, joined, length, weighted
from luthier.train.fused.choice import Fused, checked_fused, tell
from luthier.train.fused.experience import runs_apart, wanted_width
from luthier.train.fused.reasons import (
    TOLD_OF_DATA,
    own_methods,
    reason_against,
    run_code_of_the_user,
    wanted,
)
from luthier.train.fused.starting import drawn_by_numpy
from luthier.train.fused.turns import OneEpoch, Turn
from luthier.train.horizons import asked_again, warn_if_half_finished
from luthier.train.keras_callbacks import Callbacks, OneTraining, made
from luthier.train.keras_data import Given, checked, steps_of, validated_at_once
from luthier.train.keras_optimizers import build_optimizer, finish, rated, unfinished
from luthier.train.keras_state import State, averaged
from luthier.train.keras_state import make_variables as make_variables
from luthier.train.memory import cleared_session, freeze_once, give_back, in_a_worker
from luthier.train.tensorflow_epochs import Pipeline, pipelined, several_at_once

Build = Callable[[HyperParameters], keras.Model]


class Training:
    """The training function that ``tune`` makes of a build function and data.

    Raises:
        StudyError: data that cannot be.
    """

    def __init__(
        self,
        build: Build,
        data: Any,
        batch_size: int,
        callbacks: Callbacks = (),
        fused: Fused = "auto",
        class_weight: Mapping[int, float] | None = None,
    ) -> None:
        self.build = build
        self.data = checked(data)
        self.class_weight = class_weight
        self._train = weighted(self.data[0], class_weight)
        self.batch_size = batch_size
        self.callbacks = callbacks
        self.fused: Fused = checked_fused(fused)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Be unpacked in a worker's process."""
        vars(self).update(state)
        in_a_worker()

    def __call__(self, trial: Trial) -> None:
        """Build the model that the trial describes, and train it."""
        for turn in self.begin(trial):
            turn.run()

    def begin(self, trial: Trial) -> Generator[Turn]:
        """Train *trial*, but for its epochs: each is yielded for the caller to have it run."""
        fused = wanted(self.fused)
        if fused:
            # Layers' and metrics' names begin anew, also where another trial's model has them.
            cleared_session()
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
            (whole, validation),
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
        """Return the trained model that a checkpoint holds, its weights averaged where they are to be."""
        with drawn_by_numpy() if wanted(self.fused) else nullcontext():
            model = self.checked_build(asked_again(study, trial))
            make_variables(model, self.data[0])
            state = State(model)
        state.restore(folder)
        if not averaged(folder):
            finish(model)
        return model


def _that_do_not_stop(callbacks: Callbacks) -> list[keras.callbacks.Callback]:
    return [c for c in made(callbacks) if not isinstance(c, keras.callbacks.EarlyStopping)]


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
    Afterwards Keras's automatic names begin anew (``dense``, ``auc``), as the next trial needs them.

    Raises:
        CheckpointError: the checkpoint does not fit the model.
        StudyError: *fused* is True, and it cannot be; data, or callbacks, that cannot be.
    """
    train, validation = checked(data)
    try:
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
    finally:
        give_back(collects=False)  # the model is still the caller's
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
    steps = steps_of(train, batch_size)
    own = made(callbacks)
    state = State(model, own)  # what they are made with are settings
    if steps is not None:
        for optimizer in rated(model.optimizer):
            schedule: Any = getattr(optimizer, "_learning_rate", None)
            warn_if_half_finished(trial, schedule, per_epoch=steps)
    epochs = trial.horizon or trial.to_step
    listeners = OneTraining(own, model, verbose=0, epochs=epochs, steps=steps)
    listeners.begin()
    train_epoch = _epochs(trial, model, train, validation, batch_size, own, fused, class_weight)
    quick = several_at_once(model, own) if isinstance(train_epoch, Pipeline) else nullcontext()
    with unfinished(model.optimizer), quick:
        loop: Any = trial.epochs(state)
        for epoch in loop:
            listeners.forget()
            yield Turn(train_epoch, epoch, trial.seed_of(epoch), listeners)
            trial.report(listeners.logs(trial.study.goals.metrics))
            if model.stop_training:
                loop.close()  # writes the epoch's checkpoint; an error as it does so is the trial's
                break
    if trial.verdict.fate in _OVER and not _swapped(own):
        finish(model)
    listeners.end()


# A trial that is paused or given back goes on with the weights as they are; GO_ON: a callback has ended it.
_OVER = (Fate.GO_ON, Fate.COMPLETE, Fate.STOP)


def _swapped(callbacks: Sequence[keras.callbacks.Callback]) -> bool:
    return any(getattr(callback, "_ema_weights_in_model", False) for callback in callbacks)


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

            looks = run_code_of_the_user(callbacks)
            found = compiled_epochs(model, train, validation, batch_size, looks_again=looks)
        if not isinstance(found, str):
            return found
        tell(trial, found, fused)
    if pipelined(model, train, validation):
        size = validated_at_once(batch_size, validation)
        return Pipeline(model, train, validation, batch_size, size, callbacks)
    own_loop = any(own_methods(model, TOLD_OF_DATA))
    given = Given(train, validation, batch_size, as_arrays=own_loop)
    weights: dict[str, Any] = {}
    if class_weight is not None and not isinstance(train, tuple | list):
        weights["class_weight"] = dict(class_weight)

    def train_epoch(epoch: int, seed: int, listeners: keras.callbacks.CallbackList) -> None:
        seed_keras(keras, seed)
        model.fit(
            **given(seed),
            **weights,
            initial_epoch=epoch,
            epochs=epoch + 1,
            callbacks=listeners,
            verbose=cast(Any, 0),
        )

    return train_epoch
