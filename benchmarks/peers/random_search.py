"""Uniform draws (in the logarithm where the space says so): what every tuner should beat."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


class RandomSearch:
    def __init__(self, space: list[dict[str, Any]], seed: int) -> None:
        self.space, self.draws = space, np.random.default_rng([seed, 20])
        self.version = "random search"
        self.seconds = self.told = 0.0

    def ask(self) -> dict[str, Any]:
        return {p["name"]: self.drawn(p) for p in self.space}

    def drawn(self, p: dict[str, Any]) -> Any:
        if p["kind"] == "choice":
            return p["options"][self.draws.integers(len(p["options"]))]
        low, high = p["low"], p["high"]
        if p["kind"] == "int":
            low, high = low - 0.5, high + 0.5
        if p["log"]:
            value = math.exp(self.draws.uniform(math.log(low), math.log(high)))
        else:
            value = self.draws.uniform(low, high)
        value = round(value) if p["kind"] == "int" else value
        return min(p["high"], max(p["low"], value))

    def tell(self, loss: float | None) -> None:
        pass

    def fill(self, trials: list[tuple[dict[str, Any], float | None]]) -> None:
        pass

    def close(self) -> None:
        pass
