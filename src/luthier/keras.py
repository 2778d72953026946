"""Keras 3 with Luthier: ``luthier.keras.tune(build, data)``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from luthier.app.tune import Result
from luthier.app.tune import tune as tune_any
from luthier.space import discover
from luthier.train.data import length, pair
from luthier.train.keras import Build, Callbacks, State, Training, fit


def tune(
    build: Build,
    data: Any,
    *,
    maximize: str | Sequence[str] | None = None,
    minimize: str | Sequence[str] | None = None,
    epochs: int | None = None,
    batch_size: int = 32,
    callbacks: Callbacks = (),
    **options: Any,
) -> Result:
    """Find good hyperparameters of a Keras model.

    Args:
        build: ``build(hp)`` returns a compiled model and asks for its hyperparameters on the way:
            ``hp.float("learning_rate", 1e-4, 1e-1, scale="log")``, ``hp.int("units", 32, 512)``.
            A hyperparameter called ``batch_size`` sets the batch size.
        data: ``((x, y), (x_validation, y_validation))``, a ``luthier.datasets.Dataset``, or a pair of
            anything that ``fit`` takes (``tf.data``, ``PyDataset``; the order of the data is theirs).
        maximize: the metric to make large; ``val_accuracy`` when neither is given.
        minimize: the metric to make small.
        epochs: the most epochs one trial trains; 10, unless the scheduler says it.
        batch_size: examples a step, when it is no hyperparameter.
        callbacks: Keras callbacks, copied for each trial; or a function that makes them. Their
            simple attributes (a patience counter, a best value) are part of the checkpoint.
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
    training = Training(build, pair(data), batch_size, callbacks)
    space = discover(training.checked_build)
    keras.backend.clear_session()
    return tune_any(
        training,
        space,
        maximize=maximize,
        minimize=minimize,
        epochs=epochs,
        load=training.load,
        data_size=length(training.data[0]),
        define_by_run=True,
        **options,
    )


__all__ = ["State", "fit", "tune"]
