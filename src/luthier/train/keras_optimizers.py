"""A Keras model's optimizers: those that others wrap, those beside the compiled one, and their averages."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import keras


def rated(optimizer: Any) -> list[Any]:
    """Return the optimizers that have the learning rates: what mixed precision or a ``MultiOptimizer`` wraps.

    What wraps them has a rate as well, which nothing goes by.
    """
    if optimizer is None:
        return []
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    return list(getattr(inner, "optimizers", [inner]))


def beside(model: keras.Model) -> dict[str, Any]:
    """Return, by their attributes' names, the optimizers that *model* has beside the compiled one."""
    compiled = [model.optimizer, *rated(model.optimizer)]
    return {
        name: value
        for name, value in sorted(vars(model).items())
        if isinstance(value, keras.optimizers.Optimizer)
        and not any(value is known for known in compiled)
    }


def build_optimizer(model: keras.Model) -> None:
    """Make the optimizer's slots exist: without, it would have none to restore, and start from zero."""
    if model.optimizer is not None and not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)


def rates(model: keras.Model) -> list[tuple[Any, Any]]:
    """Return every learning rate that is a variable, with the value that it has."""
    optimizers = [o for each in (model.optimizer, *beside(model).values()) for o in rated(each)]
    found = [getattr(optimizer, "_learning_rate", None) for optimizer in optimizers]
    variables = [rate for rate in found if isinstance(rate, keras.Variable)]
    return [(rate, keras.ops.convert_to_numpy(rate.value)) for rate in variables]


# -- moving averages of the weights ----------------------------------------------------------------


@contextmanager
def unfinished(optimizer: Any) -> Generator[None]:
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


def finish(model: keras.Model) -> None:
    """Replace the weights by their moving averages where there are some, as ``fit`` does at its end."""
    optimizer: Any = model.optimizer
    if optimizer is not None and optimizer.built:
        optimizer.finalize_variable_values(model.trainable_variables)
