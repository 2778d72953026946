"""What a build function returned, made ready for training."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import keras

from luthier.compat.keras_tuner.errors import FailedTrialError, FatalTypeError


def checked(model: Any, given: Mapping[str, Any], most: int | None) -> keras.Model:
    """Return *model*, compiled with the optimizer, loss and metrics *given* in place of its own.

    Args:
        model: what the build function returned.
        given: by name; None leaves the model's own.
        most: how many weights it may have; None for no limit.

    Raises:
        FatalTypeError: it is no model.
        FailedTrialError: it has more weights.
    """
    if not isinstance(model, keras.Model):
        raise FatalTypeError(
            f"build(hp) must return a compiled keras.Model, got {model!r}; for anything else "
            "override run_trial."
        )
    own = {name: value for name, value in given.items() if value is not None}
    if own:
        compiled: Any = model
        made = own.get("optimizer", compiled.optimizer)
        if isinstance(made, keras.optimizers.Optimizer):
            made = type(made).from_config(made.get_config())
        compiled.compile(
            optimizer=made,
            loss=own.get("loss", compiled.loss),
            metrics=copy.deepcopy(own["metrics"]) if "metrics" in own else None,
        )
    if most is not None and model.built:
        size = model.count_params()
        if size > most:
            raise FailedTrialError(f"Oversized model: {size} weights, and max_model_size={most}.")
    return model
