"""Why a Keras training cannot run as whole compiled epochs: the first reason found, in a few words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np

from luthier.train.data import is_structure
from luthier.train.fused.choice import Fused

_PER_BATCH = tuple(
    f"on_{part}batch_{end}" for part in ("", "train_", "test_") for end in ("begin", "end")
)
_OWN_LOOP = ("fit", "evaluate", "make_train_function", "make_test_function")
_STEPS = ("train_step", "test_step")
_CALLING = (keras.callbacks.LambdaCallback, keras.callbacks.LearningRateScheduler)

TOLD_OF_DATA = ("fit", "evaluate")  # one's own may look for arrays


def wanted(fused: Fused) -> bool:
    """Return whether compiled epochs are to be tried at all."""
    return fused is not False and keras.backend.backend() == "jax"


def reason_against(
    model: keras.Model, train: Any, validation: Any, callbacks: Sequence[keras.callbacks.Callback]
) -> str | None:
    """Return why *model* has to be trained by ``fit``; None when whole epochs can be compiled."""
    if keras.backend.backend() != "jax":
        return (
            f"Keras runs on {keras.backend.backend()}. With KERAS_BACKEND=jax the same model trains "
            "in compiled epochs, several times faster when it is small"
        )
    return next(_reasons(model, train, validation, callbacks), None)


def _reasons(
    model: Any, train: Any, validation: Any, callbacks: Sequence[keras.callbacks.Callback]
) -> Iterator[str]:
    if model.run_eagerly or not model.jit_compile:
        yield "the model is compiled with run_eagerly=True or jit_compile=False"
    if keras.distribution.distribution() is not None:
        yield "keras.distribution spreads the model over devices"
    if not hasattr(model, "_symbolic_build"):
        yield f"Keras {keras.__version__} is not known to work"
    if getattr(keras.config, "max_steps_per_epoch", lambda: None)() is not None:
        yield "keras.config.max_steps_per_epoch() ends epochs early"
    yield from own_methods(model)
    yield from looks_at_batches(callbacks)
    for callback in callbacks:
        if _has_own(callback, "on_test_begin"):
            # Such as swapping in other weights to be measured; here training and measuring are one.
            yield f"the callback {type(callback).__name__} has on_test_begin(): it acts within an epoch"
    for name, part in (("training", train), ("validation", validation)):
        if isinstance(part, tuple | list) and any(map(is_structure, part)):
            yield f"the {name} data have several inputs or outputs"
        elif not _arrays(part):
            yield f"the {name} data are no arrays"


def own_methods(model: Any, names: Sequence[str] = (*_STEPS, *_OWN_LOOP)) -> Iterator[str]:
    """Yield which of the methods *names*, Keras's training loop, the *model* has in a form of its own."""
    for name in names:
        if getattr(type(model), name) is not getattr(keras.Model, name):
            yield f"{type(model).__name__} has its own {name}()"


def looks_at_batches(callbacks: Sequence[keras.callbacks.Callback]) -> Iterator[str]:
    """Yield which of the *callbacks* are to be told of each batch."""
    for callback in callbacks:
        if _is_for_epochs(callback):
            continue
        for name in _PER_BATCH:
            if _has_own(callback, name):
                yield f"the callback {type(callback).__name__} has {name}(): it looks at each batch"


def run_code_of_the_user(callbacks: Sequence[keras.callbacks.Callback]) -> bool:
    """Return whether any of the *callbacks* is, or calls, code of the user's."""
    return any(
        type(callback).__module__.partition(".")[0] != "keras" or isinstance(callback, _CALLING)
        for callback in callbacks
    )


def _has_own(callback: keras.callbacks.Callback, name: str) -> bool:
    own = getattr(type(callback), name) is not getattr(keras.callbacks.Callback, name)
    return own or name in vars(callback)


def _is_for_epochs(callback: keras.callbacks.Callback) -> bool:
    """Return whether one of Keras's callbacks has a method for batches that does nothing here.

    A checkpoint after so many batches is asked for by a number; a loss that is no number ends the trial
    after its epoch anyway.
    """
    if type(callback) is keras.callbacks.ModelCheckpoint:
        return callback.save_freq == "epoch"
    return type(callback) is keras.callbacks.TerminateOnNaN


def _arrays(part: Any) -> bool:
    if not isinstance(part, tuple | list) or len(part) not in (2, 3):
        return False
    return all(
        hasattr(array, "__array__") and np.asarray(array).dtype.kind in "biuf" for array in part
    )
