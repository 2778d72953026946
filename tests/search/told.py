"""Studies in memory that were told what an objective gives."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Callable
from typing import Any

import luthier
from luthier.space import Bool, Choice, Constant, Float, Int, Space
from luthier.study.chance import Chance
from luthier.study.study import Study

MIXED = {
    "rate": Float(1e-4, 1e-1, scale="log"),
    "optimizer": Choice(
        {"sgd": Space(momentum=Float(0.9, 0.999, scale="one_minus_log")), "adam": Space()}
    ),
    "units": Int(8, 64, step=8),
    "width": Int(1, 900, scale="log"),
    "flag": Bool(prior=True),
    "version": Constant("a"),
}

_names = (f"study {i}" for i in itertools.count())


def told(
    space: Space,
    objective: Callable[[dict[str, Any]], float],
    trials: int,
    searcher: Any = "random",
    seed: int = 0,
) -> Study:
    """Return a study of that many trials, or of as many as its space has configurations."""
    study = luthier.open(
        next(_names), space, minimize="loss", searcher=searcher, seed=seed, storage="memory"
    )
    with contextlib.suppress(luthier.StudyFinished):
        for _ in range(trials):
            trial = study.ask()
            study.tell(trial, loss=objective(trial.configuration))
    return study


def best_after(*args: Any, **named: Any) -> float:
    """Return the best loss of such a study."""
    return told(*args, **named).best_value


def proposal(study: Study, searcher: Any, number: int | None = None, seed: int = 0) -> dict:
    """Return what *searcher* proposes after the study's trials."""
    number = len(study.trials) if number is None else number
    chance = Chance(seed, ("trial", number, "configuration"))
    return searcher.propose(study.history, study.space, number, chance)


def bowl(configuration: dict[str, Any]) -> float:
    """Return something smooth of whatever is in the configuration; NaN in a corner."""
    total = 0.0
    for name, value in sorted(configuration.items()):
        x = (
            float(value)
            if isinstance(value, int | float)
            else len(str(value)) + ord(str(value)[:1] or "a") % 7
        )
        total += (math.atan(x) - 0.3 * len(name)) ** 2
    return math.nan if math.sin(17 * total) > 0.9 else total
