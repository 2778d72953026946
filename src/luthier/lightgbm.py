"""LightGBM with Luthier: a boosting round is an epoch, and a trial goes on from its trees.

::

    def train(trial):
        params = {"objective": "binary", "learning_rate": trial["learning_rate"]}
        luthier.lightgbm.train(trial, params, training, {"val": validation})

    luthier.tune(train, space, minimize="val_binary_logloss", epochs=200, scheduler="hyperband", max_trials=50)
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

try:
    import lightgbm
except ModuleNotFoundError as error:
    if error.name != "lightgbm":
        raise
    raise ModuleNotFoundError(
        "luthier.lightgbm needs LightGBM: pip install 'luthier[lightgbm]'", name="lightgbm"
    ) from error

from luthier.study.trial import Trial
from luthier.train.callbacks import Epochs, check_options, length, listed, seed_from

_FILE = "booster.txt"
_EVALS = "give the sets to evaluate on by name, as evals, the fourth argument."
_OURS = {
    "num_boost_round": "how long a trial boosts is epochs= of luthier.tune, or where that has none, rounds=.",
    "init_model": "a trial that goes on does so from its own trees. Leave it out.",
    "train_set": "give the training set as data, the third argument.",
    "valid_sets": _EVALS,
    "valid_names": _EVALS,
}
"""Arguments that somebody used to LightGBM gives, and what to do here."""


class _Report:
    """Reports each round, and stops when the scheduler says so."""

    order = 50  # after LightGBM's own that record and print

    def __init__(self, trial: Trial) -> None:
        self.restored: Any = None
        self._model: Any = None
        self.epochs = Epochs(trial, self._save, self._restore)

    def __call__(self, env: Any) -> None:
        self._model = env.model
        results = env.evaluation_result_list
        if self.epochs.report({f"{data}_{name}": value for data, name, value, *_ in results}):
            raise lightgbm.callback.EarlyStopException(env.iteration, results)

    def _save(self, folder: Path) -> None:
        (folder / _FILE).write_text(self._model.model_to_string(num_iteration=-1))

    def _restore(self, folder: Path) -> None:
        self.restored = lightgbm.Booster(model_str=(folder / _FILE).read_text())


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

    After each round every metric of every set is reported, as ``val_binary_logloss`` for the set "val".

    Args:
        trial: the trial.
        params: as for ``lightgbm.train``; ``seed`` is the trial's own where it is not among them, another one
            in each job, for a trial that goes on is not to draw the same rows and columns again.
        data: the training set, a ``lightgbm.Dataset`` made with ``free_raw_data=False``, since each trial
            bins it anew.
        evals: the sets to evaluate on, by name, at least one; made likewise.
        rounds: the most rounds, where the study does not say (``epochs=``).
        **options: as for ``lightgbm.train``: feval, callbacks, …

    Raises:
        StudyError: no number of rounds; no metric of the objective's name; an option that is the study's
            affair, such as ``num_boost_round``.
        CheckpointError: the checkpoint to go on from is missing or damaged.
    """
    check_options("luthier.lightgbm.train", options, _OURS)
    report = _Report(trial)
    try:
        return lightgbm.train(
            {"seed": seed_from(trial, report.epochs.begin) % 2**31, "verbosity": -1, **params},
            data,
            num_boost_round=length(trial, rounds, "rounds=") - report.epochs.begin,
            valid_sets=list(evals.values()),
            valid_names=list(evals),
            init_model=report.restored,
            callbacks=[report, *listed(options.pop("callbacks", None))],
            **options,
        )
    finally:
        report.epochs.close()


__all__ = ["train"]
