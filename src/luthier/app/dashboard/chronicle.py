"""The timeline of workers, the budget's burn, the best over time, and the feed, as the page shows them."""

from __future__ import annotations

from typing import Any

from luthier.app.dashboard.columns import rounded
from luthier.insight.chronicle import Chronicle
from luthier.study.history import History

_BURN = 1000  # points of the epochs spent and of the trials that ended
_JOBS = 6000  # the newest ones are sent


def chronicle_page(known: Chronicle, history: History) -> dict[str, Any]:
    """Return what the page shows of *known*, a fold of the log that *history* is one of, too."""
    best = known.bests(history)
    jobs = known.jobs[-_JOBS:]
    burn = thinned(known.burn)
    others = {*history.repetitions, *(t.number for t in history.trials if t.parent >= 0)}
    ended = [when for number, when in known.finished.items() if number not in others]
    finished = thinned([(when, i) for i, when in enumerate(ended, 1)])
    return {
        "workers": list(known.workers),
        "hidden": len(known.jobs) - len(jobs),
        "jobs": {
            "trial": [j.trial for j in jobs],
            "worker": [j.worker for j in jobs],
            "begin": rounded([j.begin for j in jobs]),
            "end": rounded([j.end for j in jobs]),
            "from": [j.start for j in jobs],
            "to": [j.step for j in jobs],
            "how": [j.how for j in jobs],
            "again": [j.again for j in jobs],
        },
        "best": {
            "seconds": rounded([b[0] for b in best]),
            "epochs": [b[1] for b in best],
            "trial": [b[2] for b in best],
            "value": rounded([history.value(history.trials[b[2]].best_loss) for b in best]),
        },
        "burn": {"seconds": rounded([b[0] for b in burn]), "epochs": [b[1] for b in burn]},
        "finished": {
            "seconds": rounded([f[0] for f in finished]),
            "trials": [f[1] for f in finished],
        },
        "feed": known.feed[::-1],
        "cursor": known.cursor,
    }


def thinned(points: list[tuple[float, int]]) -> list[tuple[float, int]]:
    """Return at most some 1000 of *points*, and always the last one."""
    found = points[:: max(1, len(points) // _BURN)]
    if points and found[-1] != points[-1]:
        found.append(points[-1])
    return found
