"""What decides the next configuration: KerasTuner's oracles, which stand for Luthier's searchers."""

from __future__ import annotations

from typing import Any

from luthier.compat.keras_tuner.hyperparameters import HyperParameters, Policy
from luthier.compat.keras_tuner.objective import MultiObjective, objectives
from luthier.errors import StudyError
from luthier.schedule import Hyperband as OwnHyperband
from luthier.search import GaussianProcess, Grid
from luthier.search import RandomSearch as OwnRandomSearch
from luthier.space import Float, Space
from luthier.study.protocols import Scheduler, Searcher

_DECIDE = ("populate_space", "score_trial", "create_trial", "end_trial")
_GRID_POINTS = 10  # of a float without a step, as in KerasTuner


class Oracle:
    """Settings of a search; the tuner gives it a study.

    Raises:
        StudyError: a subclass decides by itself, as KerasTuner's oracles may.

    Attributes:
        objective: what it is after; of several, all of them under one name.
        objectives: what it is after, one by one.
        max_trials: how many trials; None for no limit.
        tuner: whose it is, once it is somebody's.
    """

    def __init__(
        self,
        objective: Any = None,
        max_trials: int | None = 10,
        hyperparameters: HyperParameters | None = None,
        allow_new_entries: bool = True,
        tune_new_entries: bool = True,
        seed: int | None = None,
        max_retries_per_trial: int = 0,
        max_consecutive_failed_trials: int = 3,
    ) -> None:
        if own := [name for name in _DECIDE if hasattr(self, name)]:
            raise StudyError(
                f"{type(self).__name__} decides by its own {own[0]}(), which is not asked here: Luthier's "
                "searchers propose. Take one of luthier.compat.keras_tuner.oracles, or write a searcher "
                "(luthier.study.protocols.Searcher) and give it to luthier.tune."
            )
        self.objectives = objectives(objective)
        several = isinstance(objective, list | tuple)
        self.objective = MultiObjective(tuple(self.objectives)) if several else self.objectives[0]
        self._given = hyperparameters
        self.max_trials = max_trials
        self.seed = seed
        self.max_retries_per_trial = max_retries_per_trial
        self.max_consecutive_failed_trials = max_consecutive_failed_trials
        listed = dict(hyperparameters.space) if hyperparameters is not None else {}
        if hyperparameters is None and not (tune_new_entries and allow_new_entries):
            raise StudyError(
                "tune_new_entries=False and allow_new_entries=False go with hyperparameters=: give them."
            )
        self.policy = Policy(listed, tune_new_entries, allow_new_entries)
        self.tuner: Any = None

    def searcher(self, space: Space) -> Searcher:
        """Return the searcher that it stands for."""
        return OwnRandomSearch()

    def scheduler(self) -> Scheduler | None:
        """Return the scheduler that it stands for; None trains every trial to its end."""
        return None

    @property
    def hyperparameters(self) -> HyperParameters:
        """Return what is searched: what was given, and what the hypermodel has asked for."""
        fixed = self._given is not None and not self.policy.allow_new
        if self._given is not None and (fixed or self.tuner is None):
            return self._given
        return HyperParameters() if self.tuner is None else self.get_space()

    def get_space(self) -> HyperParameters:
        """Return what is searched."""
        return self.tuner.get_hyperparameters()

    @property
    def trials(self) -> dict[str, Any]:
        """Return the trials by their ids."""
        return {trial.trial_id: trial for trial in self.tuner.all_trials()}

    def get_trial(self, trial_id: str) -> Any:
        """Return a trial."""
        return self.trials[trial_id]

    def get_best_trials(self, num_trials: int = 1) -> list[Any]:
        """Return the best trials with a finite score, the best first."""
        return self.tuner.best_trials(num_trials)

    def update_trial(self, trial_id: str, metrics: dict[str, Any], step: int = 0) -> None:
        """Report metrics of a running trial."""
        self.tuner.report(metrics)

    def remaining_trials(self) -> int | None:
        """Return how many trials are left; None for no limit."""
        return self.tuner.remaining_trials


class RandomSearchOracle(Oracle):
    """Every hyperparameter at random."""

    def __init__(
        self,
        objective: Any = None,
        max_trials: int | None = 10,
        seed: int | None = None,
        hyperparameters: HyperParameters | None = None,
        allow_new_entries: bool = True,
        tune_new_entries: bool = True,
        max_retries_per_trial: int = 0,
        max_consecutive_failed_trials: int = 3,
    ) -> None:
        super().__init__(
            objective,
            max_trials,
            hyperparameters,
            allow_new_entries,
            tune_new_entries,
            seed,
            max_retries_per_trial,
            max_consecutive_failed_trials,
        )


class GridSearchOracle(Oracle):
    """Every combination; floats without a step take 10 values."""

    def __init__(
        self,
        objective: Any = None,
        max_trials: int | None = None,
        seed: int | None = None,
        hyperparameters: HyperParameters | None = None,
        allow_new_entries: bool = True,
        tune_new_entries: bool = True,
        max_retries_per_trial: int = 0,
        max_consecutive_failed_trials: int = 3,
    ) -> None:
        super().__init__(
            objective,
            max_trials,
            hyperparameters,
            allow_new_entries,
            tune_new_entries,
            seed,
            max_retries_per_trial,
            max_consecutive_failed_trials,
        )

    def searcher(self, space: Space) -> Searcher:
        """Return grid search."""
        count = {
            name: _GRID_POINTS
            for name, domain in space.domains.items()
            if isinstance(domain, Float) and domain.step is None
        }
        return Grid(count or None)


class BayesianOptimizationOracle(Oracle):
    """A Gaussian process; ``alpha``, ``beta`` and ``num_initial_points`` are Luthier's own affair."""

    def __init__(
        self,
        objective: Any = None,
        max_trials: int | None = 10,
        num_initial_points: int | None = None,
        alpha: float = 1e-4,
        beta: float = 2.6,
        seed: int | None = None,
        hyperparameters: HyperParameters | None = None,
        allow_new_entries: bool = True,
        tune_new_entries: bool = True,
        max_retries_per_trial: int = 0,
        max_consecutive_failed_trials: int = 3,
    ) -> None:
        super().__init__(
            objective,
            max_trials,
            hyperparameters,
            allow_new_entries,
            tune_new_entries,
            seed,
            max_retries_per_trial,
            max_consecutive_failed_trials,
        )

    def searcher(self, space: Space) -> Searcher:
        """Return Luthier's Gaussian process."""
        return GaussianProcess()


class HyperbandOracle(Oracle):
    """Hyperband over epochs; those that go on do so with their optimizer's state."""

    def __init__(
        self,
        objective: Any = None,
        max_epochs: int = 100,
        factor: int = 3,
        hyperband_iterations: int = 1,
        seed: int | None = None,
        hyperparameters: HyperParameters | None = None,
        allow_new_entries: bool = True,
        tune_new_entries: bool = True,
        max_retries_per_trial: int = 0,
        max_consecutive_failed_trials: int = 3,
    ) -> None:
        super().__init__(
            objective,
            None,
            hyperparameters,
            allow_new_entries,
            tune_new_entries,
            seed,
            max_retries_per_trial,
            max_consecutive_failed_trials,
        )
        if factor < 2:
            raise StudyError(f"factor={factor!r}: the factor needs to be a whole number from 2 on.")
        self.max_epochs, self.factor = max_epochs, factor
        self.hyperband_iterations = hyperband_iterations

    def scheduler(self) -> Scheduler | None:
        """Return Luthier's Hyperband."""
        return OwnHyperband(self.max_epochs, self.factor, max(1, int(self.hyperband_iterations)))


RandomSearch = RandomSearchOracle
GridSearch = GridSearchOracle
BayesianOptimization = BayesianOptimizationOracle
Hyperband = HyperbandOracle
