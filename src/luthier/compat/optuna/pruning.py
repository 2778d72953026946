"""What every pruner is, those of Optuna's names and your own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from luthier.compat.optuna.frozen_trial import FrozenTrial

if TYPE_CHECKING:
    from luthier.compat.optuna.study import Study


class BasePruner:
    """Judges a trial after its last report; your own defines ``prune(study, trial)``."""

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Return whether *trial* is to be pruned."""
        raise NotImplementedError(
            f"{type(self).__name__} has no prune(study, trial): expected it to return True or False."
        )


def sign_of(study: Study) -> float:
    """Return what makes a value of *study* something to minimise."""
    return -1.0 if study.direction.name == "MAXIMIZE" else 1.0


__all__ = ["BasePruner", "sign_of"]
