"""Whole studies side by side: how each came to its best, what it is, how it was searched."""

from __future__ import annotations

import dataclasses
from typing import Any

from luthier.app.dashboard.columns import label, rounded
from luthier.app.dashboard.summary import listed, settings
from luthier.app.reading import finite_best
from luthier.insight.progressing import improvements
from luthier.study.history import History


def against(name: str, history: History) -> dict[str, Any]:
    """Return a study as the page compares it with others."""
    header, best = history.header, finite_best(history)
    progress = {key: list(row) for key, row in dataclasses.asdict(improvements(history)).items()}
    return {
        **listed(name, history),
        "metric": history.objective.metric,
        "direction": history.objective.direction,
        "progress": progress | {key: rounded(progress[key]) for key in ("seconds", "values")},
        "settings": {
            "searcher": settings(header.searcher),
            "scheduler": settings(header.scheduler),
            "seed": str(header.seed),
            "luthier": header.luthier,
            "seconds trained": f"{sum(sum(t.seconds) for t in history.trials):.4g}",
        },
        "configuration": {}
        if best is None
        else {key: label(value) for key, value in best.configuration.items()},
        "space": {key: repr(domain) for key, domain in history.space.domains.items()},
    }
