"""``luthier demo``: Hyperband tunes a small net on Fashion-MNIST, in about three minutes on two cores."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from typing import Any

from luthier.datasets import fashion_mnist
from luthier.errors import StudyError

_EPOCHS_SUBSET, _EPOCHS_FULL = 27, 9


def run(workers: int = 2, storage: str | None = None, name: str = "demo") -> None:
    """Tune learning rate, units and dropout of a Keras net, and say what was found.

    Raises:
        StudyError: Keras, or every backend of it, is missing.
        KeyboardInterrupt: everything is kept; the same command goes on.
    """
    backend = _choose_backend()
    data = fashion_mnist()
    _say(f"{len(data.train[0])} training and {len(data.validation[0])} validation images")
    _say(f"from {data.source}; Keras on {backend}")
    from luthier.keras import tune

    full = len(data.train[0]) > 20_000
    result = tune(
        build,
        (_flat(data.train), _flat(data.validation)),
        name=name,
        epochs=_EPOCHS_FULL if full else _EPOCHS_SUBSET,
        scheduler="hyperband",
        batch_size=128 if full else 64,
        workers=workers,
        storage=storage,
    )
    best = result.model().evaluate(*_flat(data.test), verbose=0, return_dict=True)
    _say(f"the best model's accuracy on {len(data.test[0])} test images: {best['accuracy']:.3f}")
    where = Path("luthier-demo.keras")
    result.model().save(where)
    _say(f"saved as {where}")


def build(hp: Any) -> Any:
    """Return the demo's net: one hidden layer, and what there is to tune about it."""
    import keras

    model = keras.Sequential(
        [
            keras.Input((784,)),
            keras.layers.Dense(hp.int("units", 32, 512, step=32), activation="relu"),
            keras.layers.Dropout(hp.float("dropout", 0.0, 0.5)),
            keras.layers.Dense(10),
        ]
    )
    model.compile(
        keras.optimizers.Adam(hp.float("learning_rate", 1e-4, 1e-1, scale="log")),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


def _flat(part: tuple[Any, Any]) -> tuple[Any, Any]:
    images, labels = part
    return images.reshape(len(images), -1), labels


def _choose_backend() -> str:
    """Return the Keras backend to use: the one that is set, else the fastest that is installed."""
    found = [m for m in ("jax", "tensorflow", "torch") if importlib.util.find_spec(m)]
    if importlib.util.find_spec("keras") is None or not found:
        raise StudyError(
            "The demo trains a Keras model, and Keras or its backend is missing: "
            "pip install 'luthier[keras,jax]' (or tensorflow, or torch, in jax's place)."
        )
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if "keras" not in sys.modules:
        os.environ.setdefault("KERAS_BACKEND", found[0])
    import keras

    return keras.backend.backend()


def _say(text: str) -> None:
    print(f"luthier: {text}", file=sys.stderr)
