"""Keras 3 with Luthier: ``luthier.keras.tune(build, data)``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from luthier.app.result import Result
from luthier.app.tune import tune as tune_any
from luthier.craft.range_finder import RangeTest, read, sweep_rates
from luthier.space import Space
from luthier.train.data import length
from luthier.train.fused.choice import Fused
from luthier.train.horizons import most_epochs
from luthier.train.keras import Build, Callbacks, State, Training, fit
from luthier.train.keras_discovery import discovered
from luthier.train.keras_range import sweeps as keras_sweeps
from luthier.train.memory import cleared_session, tuning


def tune(
    build: Build,
    data: Any,
    *,
    maximize: str | Sequence[str] | None = None,
    minimize: str | Sequence[str] | None = None,
    epochs: int | None = None,
    batch_size: int = 32,
    callbacks: Callbacks = (),
    fused: Fused = "auto",
    class_weight: Mapping[int, float] | None = None,
    space: Space | Mapping[str, Any] | None = None,
    **options: Any,
) -> Result:
    """Find good hyperparameters of a Keras model.

    Args:
        build: ``build(hp)`` returns a compiled model and asks for its hyperparameters on the way:
            ``hp.float("learning_rate", 1e-4, 1e-1, scale="log")``, ``hp.int("units", 32, 512)``.
            A hyperparameter called ``batch_size`` sets the batch size.
        data: ``((x, y), (x_validation, y_validation))``, each with the examples' weights as a third
            array if you like; a ``luthier.datasets.Dataset``; or a pair of anything that ``fit`` takes
            (``tf.data``, ``PyDataset``; the order of the data is theirs).
        maximize: the metric to make large; ``val_accuracy`` when neither is given.
        minimize: the metric to make small.
        epochs: the most epochs one trial trains; 10, unless the scheduler says it.
        batch_size: examples a step, when it is no hyperparameter.
        callbacks: Keras callbacks, copied for each trial; or a function that makes them. Their
            simple attributes that change (a patience counter, a best value) are part of the checkpoint.
        fused: on the JAX backend, train whole epochs in compiled programs that trials of the same
            shapes share; see ``docs/fused.md``. "auto" does so where it can and says once where it
            cannot; True raises instead; False trains by ``fit``. "auto" also trains several at a time
            where that is faster and no proposal is the worse for it; a number says how many.
        class_weight: how much an example of each class counts in training, ``{0: 1.0, 1: 5.0}``.
        space: what is searched; by default what *build* asks ``hp`` for, for which it is run up to 64 times
            before the first trial.
        **options: as for ``luthier.tune``: searcher, scheduler, workers, max_trials, seed, …

    Returns:
        The result; ``result.model()`` is the best trial's trained model.

    Raises:
        StudyError: the data or an option cannot be; *build* returns no compiled model.
        Exception: whatever *build* or the training raises, at the first trial.
    """
    if maximize is None and minimize is None:
        maximize = "val_accuracy"
    if epochs is None and not hasattr(options.get("scheduler"), "epochs"):
        epochs = 10
    training = Training(build, data, batch_size, callbacks, fused, class_weight)
    with tuning():
        cleared_session()  # names begin anew, whatever models there are already
        if found := space is None:
            space = discovered(training.ask, most_epochs(epochs, options.get("scheduler")))
        return tune_any(
            training,
            space,
            maximize=maximize,
            minimize=minimize,
            epochs=epochs,
            load=training.load,
            data_size=length(training.data[0]),
            define_by_run=found,
            **options,
        )


def find_learning_rate(
    model: keras.Model,
    data: Any,
    *,
    batch_size: int = 32,
    low: float = 1e-6,
    high: float = 100.0,
    steps: int = 160,
    sweeps: int = 3,
    seed: int = 0,
) -> RangeTest:
    """Find a learning rate, and the range to search, by a range test on a compiled model.

    ::

        found = luthier.keras.find_learning_rate(model, (x, y))
        print(found.explain())
        space = luthier.Space(learning_rate=found.domain())

    It trains with the model's own optimizer and loss. Afterwards weights, seeds, metrics, the optimizer
    and the random generators are as before, bit for bit; so is a learning-rate schedule, which the test
    replaces while it lasts.

    Args:
        model: compiled.
        data: ``(x, y)``, what ``tune`` takes, or anything that gives batches and can be iterated over
            again (``tf.data``, ``PyDataset``; the order is theirs then).
        batch_size: examples a step: the one you will train with, since the rate depends on it.
        low: the first rate.
        high: the last one, unless the sweep stops at divergence before it.
        steps: rates a sweep tries, a batch each; 20 a decade are good.
        sweeps: how many are averaged, each over other batches.
        seed: of the order of the batches.

    Returns:
        The ``RangeTest``: ``.suggestion``, ``.domain()``, ``.explain()``, ``.picture()``.

    Raises:
        StudyError: the model is not compiled; rates or sizes that cannot be.
    """
    rates = sweep_rates(low, high, steps, sweeps)
    losses = keras_sweeps(model, data, rates, batch_size=batch_size, count=sweeps, seed=seed)
    return read(rates, losses)


__all__ = ["State", "find_learning_rate", "fit", "tune"]
