"""Searchers, one file each: they propose configurations. A new one is a file and a line below."""

from __future__ import annotations

from luthier.search.gaussian_process import GaussianProcess
from luthier.search.grid import Grid
from luthier.search.random import RandomSearch
from luthier.search.sobol import Sobol
from luthier.study.protocols import Searcher

SEARCHERS: dict[str, type[Searcher]] = {
    "random": RandomSearch,
    "sobol": Sobol,
    "grid": Grid,
    "gaussian_process": GaussianProcess,
}

__all__ = ["SEARCHERS", "GaussianProcess", "Grid", "RandomSearch", "Sobol"]
