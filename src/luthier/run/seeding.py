"""Seeds every random generator that is loaded, so that a trial's training depends on its seed only."""

from __future__ import annotations

import random
import sys
from typing import Any


def seed_everything(seed: int) -> None:
    """Seed Python, numpy and each framework that has been imported; import none.

    JAX has no global generator: make its keys from ``trial.seed``.
    """
    import numpy as np

    random.seed(seed)
    np.random.seed(seed % 2**32)
    if (torch := sys.modules.get("torch")) is not None and hasattr(torch, "manual_seed"):
        torch.manual_seed(seed)
    if (keras := sys.modules.get("keras")) is not None and hasattr(keras, "utils"):
        seed_keras(keras, seed)
    elif (tensorflow := sys.modules.get("tensorflow")) is not None:
        tensorflow.random.set_seed(seed)


def seed_keras(keras: Any, seed: int, *, tensorflow: bool = True) -> None:
    """Do what ``keras.utils.set_random_seed`` does, but import nothing for it.

    Keras imports TensorFlow there wherever it is installed, whatever the backend: 3.5 s of processor
    time and 250 MB in a search on JAX.

    Args:
        keras: the module.
        seed: from 0 up to 2³² - 1.
        tensorflow: seed TensorFlow, too, where it is loaded, which empties its cache of kernels.
    """
    backend = keras.backend.backend()
    loaded = "tensorflow" in sys.modules
    spared = not tensorflow if loaded else backend in ("jax", "torch")
    if not spared or not _seed_parts(seed):
        keras.utils.set_random_seed(seed)
    elif backend == "torch":
        sys.modules["torch"].manual_seed(seed)


def _seed_parts(seed: int) -> bool:
    """Seed Keras, Python and numpy; False where this Keras is made in another way."""
    try:
        from keras.src.backend.common import global_state
        from keras.src.random.seed_generator import GLOBAL_SEED_GENERATOR
        from keras.src.utils.rng_utils import GLOBAL_RANDOM_SEED
    except ImportError:
        return False
    import numpy as np

    state: Any = global_state
    state.set_global_attribute(GLOBAL_RANDOM_SEED, seed)
    state.set_global_attribute(GLOBAL_SEED_GENERATOR, None)
    random.seed(seed)
    np.random.seed(seed)
    return True
