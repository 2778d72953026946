"""Searchers, one file each: they propose configurations. A new one is a file and a line below."""

from __future__ import annotations

from luthier.search.auto import Auto
from luthier.search.gaussian_process import GaussianProcess
from luthier.search.grid import Grid
from luthier.search.random import RandomSearch
from luthier.search.recommend import recommended
from luthier.search.sobol import Sobol
from luthier.search.tpe import TPE
from luthier.study.protocols import Searcher

SEARCHERS: dict[str, type[Searcher]] = {
    "auto": Auto,
    "random": RandomSearch,
    "sobol": Sobol,
    "grid": Grid,
    "tpe": TPE,
    "gaussian_process": GaussianProcess,
}

__all__ = [
    "SEARCHERS",
    "TPE",
    "Auto",
    "GaussianProcess",
    "Grid",
    "RandomSearch",
    "Sobol",
    "recommended",
]
