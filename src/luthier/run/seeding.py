"""Seeds every random generator that is loaded, so that a trial's training depends on its seed only."""

from __future__ import annotations

import random
import sys


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
        keras.utils.set_random_seed(seed)
    elif (tensorflow := sys.modules.get("tensorflow")) is not None:
        tensorflow.random.set_seed(seed)
