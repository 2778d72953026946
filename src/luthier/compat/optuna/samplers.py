"""Optuna's samplers by name, each of which stands for one of Luthier's searchers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from luthier.compat.optuna import checking
from luthier.compat.optuna.labels import label_of
from luthier.compat.optuna.missing import absent
from luthier.errors import StudyError, nearest
from luthier.search import (
    CMAES,
    SEARCHERS,
    TPE,
    Auto,
    GaussianProcess,
    Grid,
    Halton,
    RandomSearch,
    Sobol,
)
from luthier.space import Choice, Space
from luthier.study import events as ev
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
    """Every parameter at random.

    Raises:
        TypeError: a seed that is no whole number.
    """

    seed: int | None = None

    def __post_init__(self) -> None:
        """Check the seed."""
        _check_seed(self)

    def searcher(self) -> Searcher:
        """Return random search."""
        return RandomSearch()


class _Guided(BaseSampler):
    """One with settings of Optuna's own, which say nothing to Luthier's searcher.

    Raises:
        TypeError: a setting that Optuna does not know, or a seed that is no whole number.
        StudyError: one that this door cannot do without, or a number out of its range.
    """

    _settings: tuple[str, ...] = ()
    _unsupported: tuple[str, ...] = ("constraints_func",)

    def __init__(self, *, seed: int | None = None, **settings: Any) -> None:
        name = type(self).__name__
        checking.known(name, settings, ("seed", *self._settings, *self._unsupported))
        for unsupported in self._unsupported:
            if settings.get(unsupported) is not None:
                raise StudyError(
                    f"{name}({unsupported}=...) is not supported by this door: state bounds on "
                    "metrics with luthier.open(..., subject_to='latency <= 20')."
                )
        self.seed = checking.seed(name, seed)
        self.settings = settings
        self._check(settings)

    def __repr__(self) -> str:
        """Return the call that made it, without what has no effect."""
        return f"{type(self).__name__}(seed={self.seed!r})"

    def _check(self, settings: Mapping[str, Any]) -> None:
        """Refuse settings that Optuna refuses, too."""


class TPESampler(_Guided):
    """Tree-structured Parzen estimator; Optuna's own settings are accepted and not used."""

    _settings = (
        *("n_startup_trials", "n_ei_candidates", "gamma", "weights", "multivariate", "group"),
        *("consider_prior", "prior_weight", "consider_magic_clip", "consider_endpoints"),
        *("warn_independent_sampling", "constant_liar"),
    )

    def _check(self, settings: Mapping[str, Any]) -> None:
        if settings.get("group") and settings.get("multivariate") is False:
            raise StudyError("TPESampler: group=True needs multivariate=True.")

    def searcher(self) -> Searcher:
        """Return Luthier's TPE."""
        return TPE()

    @staticmethod
    def hyperopt_parameters() -> dict[str, Any]:
        """Return the settings of hyperopt 0.1.2, of which none is used here."""
        return {
            "consider_prior": True,
            "prior_weight": 1.0,
            "consider_magic_clip": True,
            "consider_endpoints": False,
            "n_startup_trials": 20,
            "n_ei_candidates": 24,
            "gamma": lambda trials: min(math.ceil(0.25 * math.sqrt(trials)), 25),
            "weights": _weights,
        }


def _weights(trials: int) -> Any:
    """Return hyperopt's weights of so many trials, the oldest first: the latest 25 count in full."""
    import numpy

    rising = numpy.linspace(1.0 / max(1, trials), 1.0, max(0, trials - 25))
    return numpy.concatenate([rising, numpy.ones(min(trials, 25))])


class GPSampler(_Guided):
    """A Gaussian process."""

    _settings = (
        *("independent_sampler", "n_startup_trials", "deterministic_objective"),
        "warn_independent_sampling",
    )

    def searcher(self) -> Searcher:
        """Return Luthier's Gaussian process."""
        return GaussianProcess()


class CmaEsSampler(_Guided):
    """CMA-ES, with margin for whole numbers."""

    _settings = (
        *("x0", "sigma0", "n_startup_trials", "warn_independent_sampling"),
        *("consider_pruned_trials", "restart_strategy", "popsize", "inc_popsize"),
        *("use_separable_cma", "with_margin", "lr_adapt"),
    )
    _unsupported = ("source_trials", "independent_sampler")

    def __init__(self, x0: Any = None, sigma0: Any = None, **settings: Any) -> None:
        super().__init__(x0=x0, sigma0=sigma0, **settings)

    def searcher(self) -> Searcher:
        """Return Luthier's CMA-ES."""
        return CMAES()


class NSGAIISampler(_Guided):
    """For several objectives: Luthier's own default, which models them."""

    _settings = (
        *("population_size", "mutation", "mutation_prob", "crossover", "crossover_prob"),
        *("swapping_prob", "after_trial_strategy"),
    )
    _unsupported = (
        "constraints_func",
        "elite_population_selection_strategy",
        "child_generation_strategy",
    )

    def _check(self, settings: Mapping[str, Any]) -> None:
        name, size = type(self).__name__, settings.get("population_size", 50)
        if not hasattr(size, "__index__") or size < 2:
            raise StudyError(
                f"{name}: population_size must be a whole number of at least 2, got {size!r}."
            )
        for setting in ("mutation_prob", "crossover_prob", "swapping_prob"):
            if settings.get(setting) is not None:
                checking.fraction(name, setting, settings[setting])

    def searcher(self) -> Searcher:
        """Return the default searcher."""
        return Auto()


class NSGAIIISampler(NSGAIISampler):
    """The same."""

    _settings = (*NSGAIISampler._settings, "reference_points", "dividing_parameter")


@dataclass(frozen=True)
class QMCSampler(BaseSampler):
    """Quasi-random points.

    Raises:
        StudyError: a *qmc_type* that is neither "sobol" nor "halton".
        TypeError: a seed that is no whole number.
    """

    qmc_type: str = "sobol"
    scramble: bool = False
    seed: int | None = None
    independent_sampler: Any = None
    warn_asynchronous_seeding: bool = True
    warn_independent_sampling: bool = True

    def __post_init__(self) -> None:
        """Check the settings."""
        _check_seed(self)
        if self.qmc_type not in ("sobol", "halton"):
            raise StudyError(
                f"QMCSampler: qmc_type must be 'sobol' or 'halton', got {self.qmc_type!r}."
                f"{nearest(str(self.qmc_type), ('sobol', 'halton'))}"
            )

    def searcher(self) -> Searcher:
        """Return Sobol's or Halton's points."""
        return Halton() if self.qmc_type == "halton" else Sobol()


@dataclass(frozen=True)
class GridSampler(BaseSampler):
    """Every combination of the values in *search_space*.

    Raises:
        StudyError: no dictionary of lists of values.
        TypeError: a seed that is no whole number.
    """

    search_space: Mapping[str, Sequence[Any]]
    seed: int | None = None

    def __post_init__(self) -> None:
        """Check the settings."""
        _check_seed(self)
        given: Any = self.search_space
        if not isinstance(given, Mapping):
            raise StudyError(
                f"GridSampler({given!r}): expected a dictionary such as {{'x': [1, 2]}}."
            )
        for name, values in cast("Mapping[str, Any]", given).items():
            if isinstance(values, str | bytes) or not hasattr(values, "__iter__"):
                raise StudyError(f"GridSampler: {name}={values!r}: expected a list of values.")
            if not len(list(values)):
                raise StudyError(f"GridSampler: {name} has no values; give at least one.")

    def searcher(self) -> Searcher:
        """Return grid search."""
        return Grid()

    def space(self) -> Space:
        """Return the values as choices."""
        return Space(
            {
                name: Choice(*(label_of(place, value) for place, value in enumerate(values)))
                for name, values in self.search_space.items()
            }
        )


@dataclass(frozen=True)
class BruteForceSampler(BaseSampler):
    """Every combination there is; every float needs a step.

    Raises:
        TypeError: a seed that is no whole number.
    """

    seed: int | None = None
    avoid_premature_stop: bool = False

    def __post_init__(self) -> None:
        """Check the seed."""
        _check_seed(self)

    def searcher(self) -> Searcher:
        """Return grid search."""
        return Grid()


@dataclass(frozen=True)
class PartialFixedSampler(BaseSampler):
    """Some parameters at fixed values, the others by another sampler.

    Raises:
        TypeError: no sampler.
    """

    fixed_params: dict[str, Any]
    base_sampler: BaseSampler
    fixed: Mapping[str, Any] = field(init=False, default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        """Take over what the other one says."""
        checking.one_of_kind(
            "PartialFixedSampler: base_sampler", self.base_sampler, BaseSampler, "TPESampler()"
        )
        object.__setattr__(self, "fixed", dict(self.fixed_params))
        object.__setattr__(self, "seed", self.base_sampler.seed)

    def searcher(self) -> Searcher:
        """Return the other sampler's searcher."""
        return self.base_sampler.searcher()

    def space(self) -> Space:
        """Return the other sampler's space."""
        return self.base_sampler.space()


def _check_seed(sampler: BaseSampler) -> None:
    name = type(sampler).__name__
    object.__setattr__(sampler, "seed", checking.seed(name, sampler.seed))


def sampler_of(header: ev.StudyCreated) -> BaseSampler:
    """Return the sampler whose searcher a study's first event has, or one that names that searcher."""
    searcher, seed = header.searcher["name"], header.seed
    if searcher == "grid":
        domains = Space.from_dict(header.space).domains
        if not domains:
            return BruteForceSampler(seed)
        values = {name: getattr(domain, "options", ()) for name, domain in domains.items()}
        return GridSampler({name: list(of) for name, of in values.items() if of}, seed)
    for kind in (RandomSampler, TPESampler, GPSampler, CmaEsSampler, QMCSampler):
        if SEARCHERS.get(searcher) is type(kind(seed=seed).searcher()):
            return kind(seed=seed)
    if searcher == "halton":
        return QMCSampler("halton", seed=seed)
    return OwnSampler(searcher, seed)


@dataclass(frozen=True)
class OwnSampler(BaseSampler):
    """A searcher of Luthier's, by the name in ``luthier.search.SEARCHERS``; "auto" is the default."""

    name: str = "auto"
    seed: int | None = None

    def searcher(self) -> Searcher:
        """Return it."""
        return SEARCHERS[self.name]()


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
__getattr__ = absent("samplers", lambda: __all__)
