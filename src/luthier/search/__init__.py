"""Searchers, one file each: they propose configurations. A new one is a file and a line below."""

from __future__ import annotations

from luthier.search.auto import Auto
from luthier.search.bohb import BOHB
from luthier.search.cma_es import CMAES
from luthier.search.coarse_to_fine import CoarseToFine
from luthier.search.differential_evolution import DifferentialEvolution
from luthier.search.gaussian_process import GaussianProcess
from luthier.search.grid import Grid
from luthier.search.halton import Halton
from luthier.search.random import RandomSearch
from luthier.search.recommend import recommended
from luthier.search.sobol import Sobol
from luthier.search.staged import Stages
from luthier.search.tpe import TPE
from luthier.study.protocols import Searcher

SEARCHERS: dict[str, type[Searcher]] = {
    "auto": Auto,
    "random": RandomSearch,
    "sobol": Sobol,
    "halton": Halton,
    "grid": Grid,
    "tpe": TPE,
    "gaussian_process": GaussianProcess,
    "cma_es": CMAES,
    "differential_evolution": DifferentialEvolution,
    "coarse_to_fine": CoarseToFine,
    "bohb": BOHB,
    "stages": Stages,
}

__all__ = [
    "BOHB",
    "CMAES",
    "SEARCHERS",
    "TPE",
    "Auto",
    "CoarseToFine",
    "DifferentialEvolution",
    "GaussianProcess",
    "Grid",
    "Halton",
    "RandomSearch",
    "Sobol",
    "Stages",
    "recommended",
]
