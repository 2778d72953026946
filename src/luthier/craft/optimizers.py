"""The optimizers that the craft knows, and which of them move alike."""

from __future__ import annotations

from luthier.errors import SpaceError, nearest

SGD = ("sgd", "momentum", "nesterov")
ADAM = ("adam", "adamw", "nadam")
OPTIMIZERS = (*SGD, "rmsprop", *ADAM)


def checked_optimizer(optimizer: str) -> str:
    """Return the optimizer's name in small letters.

    Raises:
        SpaceError: none that the craft knows; the message lists those.
    """
    name = str(optimizer).lower()
    if name not in OPTIMIZERS:
        raise SpaceError(
            f"optimizer={optimizer!r} is not known here: expected one of "
            f"{', '.join(map(repr, OPTIMIZERS))}.{nearest(name, OPTIMIZERS)}"
        )
    return name


def is_adaptive(optimizer: str) -> bool:
    """Return True where each parameter's step is divided by the size of its own gradients.

    Raises:
        SpaceError: an optimizer that the craft does not know.
    """
    return checked_optimizer(optimizer) not in SGD
