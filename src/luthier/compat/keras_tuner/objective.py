"""What a search is after, as KerasTuner's scripts say it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from luthier.errors import StudyError, nearest

DEFAULT = "default_objective"
"""What is called so that a ``run_trial`` returns without a name; it is minimised."""

_LARGE = ("acc", "auc", "precision", "recall", "iou", "cosine", "f1", "fbeta", "r2", "positives",
          "specificity", "sensitivity")  # fmt: skip
_SMALL = ("loss", "error", "mse", "mae", "mape", "msle", "rmse", "logcosh", "log_cosh", "hinge",
          "crossentropy", "kl", "poisson", "deviance", "false_")  # fmt: skip


@dataclass(frozen=True)
class Objective:
    """A metric and which way is better, "min" or "max"."""

    name: str
    direction: str

    def __post_init__(self) -> None:
        """Check the direction.

        Raises:
            StudyError: neither min nor max.
        """
        if self.direction not in ("min", "max"):
            raise StudyError(
                f"Objective({self.name!r}, {self.direction!r}): expected 'min' or 'max'."
                f"{nearest(str(self.direction), ('min', 'max'))}"
            )

    def has_value(self, logs: Mapping[str, Any]) -> bool:
        """Return whether *logs* have the metric."""
        return self.name in logs

    def get_value(self, logs: Mapping[str, Any]) -> Any:
        """Return the metric's value in *logs*."""
        return logs[self.name]

    def better_than(self, a: float, b: float) -> bool:
        """Return whether *a* is better than *b*, and not only as good."""
        return a > b if self.direction == "max" else a < b


@dataclass(frozen=True)
class MultiObjective:
    """Several objectives, which are a front here, not a sum."""

    objectives: tuple[Objective, ...]
    name: str = "multi_objective"
    direction: str = "min"


def objectives(given: Any) -> list[Objective]:
    """Return the objectives that ``objective=`` means; the direction is told by the metric's name.

    Raises:
        StudyError: a name that does not tell it.
    """
    if given is None:
        return [Objective(DEFAULT, "min")]
    if isinstance(given, Objective):
        return [given]
    if isinstance(given, Sequence) and not isinstance(given, str):
        return [one for part in given for one in objectives(part)]
    word = str(given).lower().removeprefix("val_")
    if any(part in word for part in _SMALL):
        return [Objective(str(given), "min")]
    if any(part in word for part in _LARGE):
        return [Objective(str(given), "max")]
    raise StudyError(
        f"objective={given!r}: cannot tell from its name which way is better; expected "
        f"keras_tuner.Objective({given!r}, 'min') or 'max'."
    )


def meant(name: str, found: Collection[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the metric that *name* is short for, or else the closest."""
    longer = [metric for metric in found if metric.startswith(name)]
    return f" Did you mean {min(longer, key=len)!r}?" if longer else nearest(name, found)
