"""The rung ladder, as the page shows it."""

from __future__ import annotations

from typing import Any

from luthier.app.dashboard.columns import rounded
from luthier.insight.ladder import Rung, ladder
from luthier.study.history import History


def ladder_page(history: History) -> dict[str, Any]:
    """Return the brackets that have begun, each with its rungs from the lowest to the highest."""
    found = ladder(history)
    return {
        "brackets": [
            {
                "bracket": b.index,
                "name": b.name,
                "trials": b.trials,
                "spent": b.spent,
                "full": b.full,
                "rungs": [_rung(rung) for rung in b.rungs],
            }
            for b in found.brackets
        ],
        "hidden": found.hidden,
        "scheduler": found.scheduler,
    }


def _rung(rung: Rung) -> dict[str, Any]:
    return {
        "step": rung.step,
        "planned": rung.planned,
        "arrived": rung.arrived,
        "promoted": rung.promoted,
        "trial": list(rung.trials),
        "place": list(rung.places),
        "value": rounded(rung.values),
        "fate": list(rung.fates),
        "cut": rounded([rung.cut])[0],
    }
