"""Learning-rate schedules with one meaning in Keras, PyTorch and JAX.

::

    schedule = Cosine(peak=0.1, steps=1_000, warm_up=50)
    schedule(0), schedule(np.arange(1_000))     # plain numbers
    keras.optimizers.SGD(as_keras(schedule))    # a keras LearningRateSchedule
    as_torch(schedule, optimizer).step()        # after every optimizer step
    optax.sgd(as_optax(schedule))

A schedule is a frozen value and a pure function of the number of optimizer steps already taken. The
formula is written once, over an array namespace, and each framework runs that formula. ``Plateau``
follows a metric instead of the step: it is a small state machine that all three share.
"""

from __future__ import annotations

from typing import Any

from luthier.craft.schedules.decays import (
    Constant,
    Cosine,
    CosineRestarts,
    Exponential,
    InverseSquareRoot,
    OneCycle,
    Polynomial,
    Step,
    WarmUpStableDecay,
)
from luthier.craft.schedules.plateau import Plateau, PlateauState
from luthier.craft.schedules.schedule import Schedule
from luthier.craft.schedules.searching import FAMILIES, ask, from_configuration, space

__all__ = [
    "FAMILIES",
    "Constant",
    "Cosine",
    "CosineRestarts",
    "Exponential",
    "InverseSquareRoot",
    "OneCycle",
    "Plateau",
    "PlateauState",
    "Polynomial",
    "Schedule",
    "Step",
    "WarmUpStableDecay",
    "as_keras",
    "as_optax",
    "as_torch",
    "ask",
    "from_configuration",
    "space",
]


def as_keras(schedule: Schedule | Plateau, **options: Any) -> Any:
    """Return a ``keras.optimizers.schedules.LearningRateSchedule`` that can be saved and loaded.

    A ``Plateau`` becomes a callback; *options* are its ``monitor`` (by default ``"val_loss"``). Compile
    the model with ``schedule.peak`` as its learning rate then.
    """
    from luthier.craft.schedules import in_keras

    return in_keras.adapt(schedule, **options)


def as_torch(schedule: Schedule | Plateau, optimizer: Any) -> Any:
    """Return a scheduler of *optimizer*, with ``state_dict`` and ``load_state_dict``.

    Call ``step()`` after every step of the optimizer; for a ``Plateau``, ``step(metric)`` after every
    evaluation. ``luthier.torch.tune`` does both. Parameter groups of other rates keep their ratio to the
    first group's.
    """
    from luthier.craft.schedules import in_torch

    return in_torch.adapt(schedule, optimizer)


def as_optax(schedule: Schedule) -> Any:
    """Return the function of the step count that optax takes as a learning rate."""
    import jax.numpy as jnp

    def rate(count: Any) -> Any:
        return schedule.at(jnp.asarray(count, jnp.float32), jnp)

    return rate
