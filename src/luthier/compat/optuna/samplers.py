"""Optuna's samplers by name, each of which stands for one of Luthier's searchers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from luthier.errors import StudyError
from luthier.search import CMAES, TPE, Auto, GaussianProcess, Grid, Halton, RandomSearch, Sobol
from luthier.space import Choice, Space
from luthier.study.protocols import Searcher


class BaseSampler:
    """What a study may be given as ``sampler=``.

    A sampler of your own is not called here: a searcher is, see ``luthier.search``.
    """

    seed: int | None = None
    fixed: Mapping[str, Any] = {}

    def searcher(self) -> Searcher:
        """Return the searcher that it stands for.

        Raises:
            StudyError: it is a class of your own.
        """
        raise StudyError(
            f"{type(self).__name__} is a sampler of your own, which this door does not call: expected "
            "one of luthier.compat.optuna.samplers. Write a searcher: luthier.search has examples."
        )

    def space(self) -> Space:
        """Return what is known of the space before the first trial."""
        return Space()


@dataclass(frozen=True)
class RandomSampler(BaseSampler):
    """Every parameter at random."""

    seed: int | None = None

    def searcher(self) -> Searcher:
        """Return random search."""
        return RandomSearch()


class _Guided(BaseSampler):
    """One with settings of Optuna's own, which say nothing to Luthier's searcher."""

    _unsupported = ("constraints_func",)

    def __init__(self, *, seed: int | None = None, **settings: Any) -> None:
        for name in self._unsupported:
            if settings.get(name) is not None:
                raise StudyError(
                    f"{type(self).__name__}({name}=...) is not supported by this door: state bounds on "
                    "metrics with luthier.open(..., subject_to='latency <= 20')."
                )
        self.seed = seed
        self.settings = settings


class TPESampler(_Guided):
    """Tree-structured Parzen estimator; Optuna's own settings are accepted and not used."""

    def searcher(self) -> Searcher:
        """Return Luthier's TPE."""
        return TPE()


class GPSampler(_Guided):
    """A Gaussian process."""

    def searcher(self) -> Searcher:
        """Return Luthier's Gaussian process."""
        return GaussianProcess()


class CmaEsSampler(_Guided):
    """CMA-ES; needs ``pip install 'luthier[search]'``."""

    _unsupported = ("constraints_func", "source_trials", "independent_sampler")

    def __init__(self, x0: Any = None, sigma0: Any = None, **settings: Any) -> None:
        super().__init__(**settings)

    def searcher(self) -> Searcher:
        """Return Luthier's CMA-ES."""
        return CMAES()


class NSGAIISampler(_Guided):
    """For several objectives: Luthier's own default, which models them."""

    _unsupported = (
        "constraints_func",
        "elite_population_selection_strategy",
        "child_generation_strategy",
    )

    def searcher(self) -> Searcher:
        """Return the default searcher."""
        return Auto()


class NSGAIIISampler(NSGAIISampler):
    """The same."""


@dataclass(frozen=True)
class QMCSampler(BaseSampler):
    """Quasi-random points."""

    qmc_type: str = "sobol"
    scramble: bool = False
    seed: int | None = None
    independent_sampler: Any = None
    warn_asynchronous_seeding: bool = True
    warn_independent_sampling: bool = True

    def searcher(self) -> Searcher:
        """Return Sobol's or Halton's points."""
        return Halton() if self.qmc_type == "halton" else Sobol()


@dataclass(frozen=True)
class GridSampler(BaseSampler):
    """Every combination of the values in *search_space*."""

    search_space: Mapping[str, Sequence[Any]]
    seed: int | None = None

    def searcher(self) -> Searcher:
        """Return grid search."""
        return Grid()

    def space(self) -> Space:
        """Return the values as choices."""
        return Space({name: Choice(*values) for name, values in self.search_space.items()})


@dataclass(frozen=True)
class BruteForceSampler(BaseSampler):
    """Every combination there is; every float needs a step."""

    seed: int | None = None
    avoid_premature_stop: bool = False

    def searcher(self) -> Searcher:
        """Return grid search."""
        return Grid()


@dataclass(frozen=True)
class PartialFixedSampler(BaseSampler):
    """Some parameters at fixed values, the others by another sampler."""

    fixed_params: dict[str, Any]
    base_sampler: BaseSampler
    fixed: Mapping[str, Any] = field(init=False, default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        """Take over what the other one says."""
        object.__setattr__(self, "fixed", dict(self.fixed_params))
        object.__setattr__(self, "seed", self.base_sampler.seed)

    def searcher(self) -> Searcher:
        """Return the other sampler's searcher."""
        return self.base_sampler.searcher()

    def space(self) -> Space:
        """Return the other sampler's space."""
        return self.base_sampler.space()


SAMPLERS: dict[str, Callable[..., BaseSampler]] = {
    kind.__name__: kind
    for kind in (
        RandomSampler,
        TPESampler,
        GPSampler,
        CmaEsSampler,
        NSGAIISampler,
        NSGAIIISampler,
        QMCSampler,
        GridSampler,
        BruteForceSampler,
        PartialFixedSampler,
    )
}

__all__ = ["BaseSampler", *SAMPLERS]  # pyright: ignore[reportUnsupportedDunderAll]
