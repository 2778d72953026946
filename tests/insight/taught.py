"""Studies in memory whose every trial's outcome is known."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import luthier
from luthier.space import Space
from luthier.study.study import Study

_names = (f"taught {i}" for i in itertools.count())
Curve = Callable[[dict[str, Any], int], Iterable[float]]


def taught(space: Space | Mapping[str, Any], curve: Any, trials: int, **settings: Any) -> Study:
    """Return a study of that many trials.

    *curve* takes a configuration and the trial's number, and returns its loss or losses, one an epoch;
    NaN lets the trial diverge.
    """
    settings = {"minimize": "loss", "searcher": "random", "storage": "memory", **settings}
    study = luthier.open(next(_names), space, **settings)
    for number in range(trials):
        trial = study.ask()
        losses = curve(trial.configuration, number)
        for loss in [losses] if isinstance(losses, int | float) else losses:
            trial.report(loss=loss)
            if math.isnan(loss) or trial.should_stop:
                break
        if not trial.should_stop:
            study.tell(trial)
    return study
