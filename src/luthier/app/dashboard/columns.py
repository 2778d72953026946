"""A study's trials as columns: what the page is sent, one list a property and not one record a trial.

Everything here is a pure function of the history. Numbers keep six significant digits, which is more
than a picture shows, but for whole ones, which somebody may try again; what is not finite is sent as null.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from luthier.insight.happening import worker_of
from luthier.space import Bool, Choice, Constant, Domain, Float, Int, Space
from luthier.study.goals import outcome
from luthier.study.history import History
from luthier.study.records import TrialRecord, TrialState

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

STATES = [str(state) for state in TrialState]
_DIGITS = 6
_LONGEST = 300  # characters of a reason; the trial's own page has all of it
_ENDLESS = 1e300  # of a bound whose metric was never measured: null would be none broken


def rounded(values: Sequence[float | None]) -> list[float | None]:
    """Return the numbers with six significant digits, None for what is not finite."""
    import numpy as np

    given: NDArray[np.float64] = np.array(
        [math.nan if value is None else value for value in values], dtype=np.float64
    )
    finite = np.isfinite(given)
    safe = np.where(finite & (given != 0), given, 1.0)
    size = np.floor(np.log10(np.abs(safe)))
    scale = 10.0 ** np.clip(_DIGITS - 1 - size, -300, 300)
    short = np.where(finite, np.where(given == 0, 0.0, np.round(safe * scale) / scale), np.nan)
    kept = np.isfinite(short).tolist()
    return [
        value if is_finite else None for value, is_finite in zip(short.tolist(), kept, strict=True)
    ]


def label(value: Any) -> str:
    """Return an option as text: as it is written in Python, without a string's quotes."""
    return value if isinstance(value, str) else repr(value)


def described(space: Space) -> list[dict[str, Any]]:
    """Return every hyperparameter that is searched: its name, kind, scale, range or options."""
    return [
        {"name": name, "short": Space.short(name), **_domain(domain)}
        for name, domain in space.domains.items()
        if not isinstance(domain, Constant)
    ]


def _domain(domain: Domain) -> dict[str, Any]:
    condition = [[parent, [label(v) for v in values]] for parent, values in domain.condition]
    if isinstance(domain, Choice):
        options = [label(option) for option in domain.options]
        return {"kind": "choice", "options": options, "condition": condition}
    if isinstance(domain, Bool):
        return {"kind": "choice", "options": ["False", "True"], "condition": condition}
    assert isinstance(domain, Float | Int)
    kind = "int" if isinstance(domain, Int) else "float"
    return {
        "kind": kind,
        "scale": domain.scale,
        "low": domain.low,
        "high": domain.high,
        "condition": condition,
    }


def trial_columns(history: History, numbers: Sequence[int] | None = None) -> dict[str, Any]:
    """Return the trials' properties, each a list; of all trials, or of *numbers*.

    Values are as they were reported. Times are seconds since the study was created. ``values`` has a
    list for each objective and each bounded metric after the first; ``hyperparameters`` one for each that
    is described: numbers, or for a choice the index into ``options``, None where it was not active.
    """
    trials = history.trials if numbers is None else [history.trials[n] for n in numbers]
    created = history.header.time
    metrics = history.goals.metrics
    columns: dict[str, Any] = {
        "state": [STATES.index(t.state) for t in trials],
        "value": rounded([history.value(t.best_loss) for t in trials]),
        "best_step": [t.best_step for t in trials],
        "step": [t.step for t in trials],
        "to_step": [t.to_step for t in trials],
        "began": rounded([t.proposed_at - created for t in trials]),
        "ended": rounded([None if t.ended_at is None else t.ended_at - created for t in trials]),
        "seconds": rounded([sum(t.seconds) for t in trials]),
        "bracket": [t.bracket for t in trials],
        "stage": [t.stage for t in trials],
        "parent": [t.parent for t in trials],
        "repeats": [t.repeats for t in trials],
        "violation": rounded([min(t.violation, _ENDLESS) for t in trials])
        if history.goals.constraints
        else [],
        "retries": [sum(t.retries.values()) for t in trials],
        "worker": [worker(t) for t in trials],
        **_texts(trials),
        "values": {
            metric: rounded([outcome(t, metric) if t.steps else None for t in trials])
            for metric in metrics[1:]
        },
        "hyperparameters": {
            name: _column(domain, name, trials)
            for name, domain in history.space.domains.items()
            if not isinstance(domain, Constant)
        },
    }
    if numbers is not None:
        columns["number"] = list(numbers)
    return columns


def worker(trial: TrialRecord) -> str | None:
    """Return which worker holds the trial, as the timeline names it."""
    return None if trial.holder is None else worker_of(trial.holder)


def _texts(trials: Sequence[TrialRecord]) -> dict[str, Any]:
    """Return the reasons by which trials ended, each text once, and which trial has which."""
    known: dict[str, int] = {"": 0}
    which = [known.setdefault(t.why[:_LONGEST], len(known)) for t in trials]
    return {"reasons": list(known), "reason": which}


def _column(domain: Domain, name: str, trials: Sequence[TrialRecord]) -> list[Any]:
    values = [t.configuration.get(name) for t in trials]
    if isinstance(domain, Float | Int):
        short = rounded([v if isinstance(v, int | float) else None for v in values])
        return [
            value if type(value) is int else told for value, told in zip(values, short, strict=True)
        ]
    options = (
        [label(o) for o in domain.options] if isinstance(domain, Choice) else ["False", "True"]
    )
    index = {option: i for i, option in enumerate(options)}
    return [
        None if name not in t.configuration else index.get(label(value), -1)
        for t, value in zip(trials, values, strict=True)
    ]
