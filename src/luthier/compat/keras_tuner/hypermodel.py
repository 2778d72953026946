"""What builds a model, and may train it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from luthier.compat.keras_tuner.hyperparameters import HyperParameters
from luthier.errors import StudyError


class HyperModel:
    """Override ``build``, and ``fit`` where training has hyperparameters of its own."""

    def __init__(self, name: str | None = None, tunable: bool = True) -> None:
        self.name = name
        self.tunable = tunable

    def build(self, hp: HyperParameters) -> Any:
        """Return a compiled model.

        Raises:
            NotImplementedError: a subclass does not say how.
        """
        raise NotImplementedError(f"{type(self).__name__} has no build(hp).")

    def fit(self, hp: HyperParameters, model: Any, *args: Any, **kwargs: Any) -> Any:
        """Train *model* with what ``search`` was given; return its history, or numbers."""
        return model.fit(*args, **kwargs)

    def declare_hyperparameters(self, hp: HyperParameters) -> None:
        """Ask for hyperparameters before ``build`` does; nothing by default."""


class _OfFunction(HyperModel):
    """One whose ``build`` is a function."""

    def __init__(self, build: Callable[[HyperParameters], Any]) -> None:
        super().__init__(name=getattr(build, "__name__", None))
        self._build = build

    def build(self, hp: HyperParameters) -> Any:
        return self._build(hp)


def hypermodel_of(given: Any) -> HyperModel | None:
    """Return a hypermodel for a function, or what it is already; None without any.

    Raises:
        StudyError: something else.
    """
    if given is None or isinstance(given, HyperModel):
        return given
    if not callable(given):
        raise StudyError(f"hypermodel={given!r}: expected a function build(hp), or a HyperModel.")
    return _OfFunction(given)
