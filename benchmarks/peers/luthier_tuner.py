"""Luthier's own searchers, driven as a user drives them: a study in memory, asked and told."""

from __future__ import annotations

import hashlib
import math
import time
from functools import cache
from pathlib import Path
from typing import Any

import luthier
from luthier.study import events as ev

STUDY = "benchmark"


class LuthierTuner:
    def __init__(
        self, space: list[dict[str, Any]], searcher: str, seed: int, evaluations: int | None
    ) -> None:
        self.study = luthier.open(
            STUDY,
            {p["name"]: domain(p) for p in space},
            minimize="loss",
            searcher=searcher,
            seed=seed,
            max_trials=evaluations,
            storage="memory",
        )
        self.version = f"Luthier {luthier.__version__}"
        self.seconds = self.told = 0.0
        self.trial: luthier.Trial | None = None

    def ask(self) -> dict[str, Any]:
        begin = time.perf_counter()
        self.trial = self.study.ask()
        self.seconds = time.perf_counter() - begin
        return dict(self.trial.configuration)

    def tell(self, loss: float | None) -> None:
        assert self.trial is not None
        begin = time.perf_counter()
        self.study.tell(self.trial, loss=math.nan if loss is None else loss)
        self.told = time.perf_counter() - begin

    def fill(self, trials: list[tuple[dict[str, Any], float | None]]) -> None:
        """Append what such trials would have written, which is a lot faster than running them."""
        history, store = self.study.history, self.study.store
        first, now = len(history.trials), 1.7e9  # before what is told later
        for number, (configuration, loss) in enumerate(trials, first):
            value = math.nan if loss is None else loss
            events = finished(number, configuration, value, history.cursor, now + number)
            store.append(STUDY, [ev.encode(event) for event in events], expect=history.cursor)
            for event in events:
                history.apply(history.cursor + 1, event)

    def close(self) -> None:
        self.study.close()


def finished(
    number: int, configuration: dict[str, Any], loss: float, seen: int, now: float
) -> list[ev.AnyEvent]:
    """Return the events of one trial from its proposal to its end."""
    lease = number + 1
    about: dict[str, Any] = {"time": now, "trial": number, "lease": lease}
    holder = ev.Holder("node", "6f1c", "4026531836", 1000, "81234", 1)
    events: list[ev.AnyEvent] = [
        ev.TrialProposed(time=now, trial=number, configuration=configuration, seen=seen),
        ev.JobLeased(**about, holder=holder, from_step=0, to_step=None, term=60.0),
    ]
    if not math.isfinite(loss):
        return [*events, ev.TrialDiverged(**about, step=1, metric="loss")]
    return [
        *events,
        ev.Reported(**about, step=1, metrics={"loss": loss}),
        ev.TrialCompleted(**about, step=1),
    ]


def domain(p: dict[str, Any]) -> Any:
    scale = "log" if p.get("log") else "linear"
    if p["kind"] == "choice":
        made = luthier.Choice(p["options"])
    elif p["kind"] == "int":
        made = luthier.Int(p["low"], p["high"], scale=scale)
    else:
        made = luthier.Float(p["low"], p["high"], scale=scale)
    rule = p["condition"]
    return made.when(**{rule["name"]: rule["values"]}) if rule else made


@cache
def source_digest(*packages: str) -> str:
    """Return a short digest of the code that searches: results of other code are not reused."""
    root = Path(luthier.__file__).parent
    folders = packages or ("search", "space")
    files = sorted(path for folder in folders for path in (root / folder).rglob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:12]
