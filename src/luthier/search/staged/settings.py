"""How a study is divided into stages, as the files of this folder hand it to one another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from luthier.search.staged.roles import Order
from luthier.search.staged.within import Ranges
from luthier.space import Space
from luthier.study.history import History

JOINT = "all together"

Importance = Callable[[History, Space], dict[str, float]]


@dataclass(frozen=True)
class Settings:
    """How a study is divided; see ``Stages`` for each. Hyperparameters are called by their full names."""

    order: Order
    roles: Mapping[str, str]
    start: Ranges
    joint: float
    live: bool
    adapts: bool
    zoom: float
    width: float
