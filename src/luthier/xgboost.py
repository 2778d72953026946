"""XGBoost with Luthier: a boosting round is an epoch, and a trial goes on from its trees.

::

    def train(trial):
        params = {"eta": trial["eta"], "max_depth": trial["max_depth"], "objective": "binary:logistic"}
        luthier.xgboost.train(trial, params, training, {"val": validation})

    luthier.tune(train, space, minimize="val_logloss", epochs=200, scheduler="hyperband", max_trials=50)
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

try:
    import xgboost
    from xgboost.callback import TrainingCallback
except ModuleNotFoundError as error:
    if error.name != "xgboost":
        raise
    raise ModuleNotFoundError(
        "luthier.xgboost needs XGBoost: pip install 'luthier[xgboost]'", name="xgboost"
    ) from error

from luthier.study.trial import Trial
from luthier.train.callbacks import Epochs, check_options, length, listed, seed_from

_FILE = "booster.ubj"
_OURS = {
    "num_boost_round": "how long a trial boosts is epochs= of luthier.tune, or where that has none, rounds=.",
    "xgb_model": "a trial that goes on does so from its own trees. Leave it out.",
    "dtrain": "give the training set as data, the third argument.",
}
"""Arguments that somebody used to XGBoost gives, and what to do here."""


class _Report(TrainingCallback):
    """Reports each round, and stops when the scheduler says so."""

    def __init__(self, trial: Trial) -> None:
        super().__init__()
        self.restored: Any = None
        self._model: Any = None
        self.epochs = Epochs(trial, self._save, self._restore)

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        self._model = model
        found = {
            f"{data}_{name}": values[-1][0] if isinstance(values[-1], tuple) else values[-1]
            for data, metrics in evals_log.items()
            for name, values in metrics.items()
        }
        return self.epochs.report(found)

    def _save(self, folder: Path) -> None:
        self._model.save_model(folder / _FILE)

    def _restore(self, folder: Path) -> None:
        self.restored = xgboost.Booster(model_file=folder / _FILE)


def train(
    trial: Trial,
    params: Mapping[str, Any],
    data: Any,
    evals: Mapping[str, Any],
    *,
    rounds: int | None = None,
    **options: Any,
) -> Any:
    """Boost for one trial, from where it was paused to the end of its rung, and return the booster.

    After each round every metric of every set is reported, as ``val_logloss`` for the set "val".

    Args:
        trial: the trial.
        params: as for ``xgboost.train``; ``seed`` is the trial's own where it is not among them, another one
            in each job, for a trial that goes on is not to draw the same rows and columns again.
        data: the training set, an ``xgboost.DMatrix``.
        evals: the sets to evaluate on, by name, at least one.
        rounds: the most rounds, where the study does not say (``epochs=``).
        **options: as for ``xgboost.train``: obj, custom_metric, verbose_eval (here False by default),
            callbacks, …

    Raises:
        StudyError: no number of rounds; no metric of the objective's name; an option that is the study's
            affair, such as ``num_boost_round``.
        CheckpointError: the checkpoint to go on from is missing or damaged.
    """
    check_options("luthier.xgboost.train", options, _OURS)
    report = _Report(trial)
    try:
        return xgboost.train(
            {"seed": seed_from(trial, report.epochs.begin), **params},
            data,
            num_boost_round=length(trial, rounds, "rounds=") - report.epochs.begin,
            evals=[(each, name) for name, each in evals.items()],
            xgb_model=report.restored,
            callbacks=[report, *listed(options.pop("callbacks", None))],
            **{"verbose_eval": False, **options},
        )
    finally:
        report.epochs.close()


__all__ = ["train"]
