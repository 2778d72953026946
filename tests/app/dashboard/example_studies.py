"""The studies that the dashboard's tests look at: ordinary ones, odd ones, hostile ones, one that trains.

Run as a program it trains: ``python example_studies.py STORAGE NAME``.
"""

from __future__ import annotations

import math
import random
import sys
import time
from pathlib import Path
from typing import Any

import luthier
from luthier.craft.range_finder import read, sweep_rates
from luthier.space import Bool, Choice, Float, Int, Space
from luthier.storage import SQLiteStore
from luthier.study import events as ev

HOSTILE = "<img src=x onerror=\"document.title='broken'\"><script>alert(1)</script> ../../etc/passwd \u202e"
LONG = "a very long name " + "of_a_study_that_somebody_generated_" * 6
SPACE = Space(
    learning_rate=Float(1e-5, 1, scale="log"),
    units=Int(16, 512, scale="log"),
    dropout=Float(0, 0.6),
    optimizer=Choice(
        {"sgd": Space(momentum=Float(0.8, 0.999, scale="one_minus_log")), "adam": Space()}
    ),
    batch_norm=Bool(),
)


class Nothing:
    """A state with nothing in it: the curves below need no memory."""

    def save(self, folder: Path) -> None:
        (folder / "state").write_text("")

    def restore(self, folder: Path) -> None:
        pass


def train(trial: Any) -> None:
    noise = random.Random(trial.number)
    rate = trial["learning_rate"]
    floor = 0.2 + 0.15 * abs(math.log10(rate) + 2.5) + 0.1 * trial["dropout"]
    for epoch in trial.epochs(Nothing()):
        if rate > 0.3:
            trial.report(val_loss=math.nan, loss=1.0)
            continue
        loss = floor + math.exp(-epoch / 6) * (1 + floor) + noise.gauss(0, 0.01)
        trial.report(val_loss=loss, loss=0.9 * loss, val_accuracy=1 - loss / 3)


def slowly(trial: Any) -> None:
    """Train for long, so that one can look on and prune."""
    for epoch in trial.epochs(Nothing()):
        time.sleep(0.12)
        trial.report(val_loss=1 / (epoch + 1) + trial["dropout"] + trial.number / 1000)


def told(name: str, storage: Path, space: Space, values: list[Any], **settings: Any) -> None:
    """Make a study whose trials report *values*: numbers, or dictionaries of them."""
    settings = {"minimize": "loss", "scheduler": None, "searcher": "random"} | settings
    study = luthier.open(name, space, storage=storage, **settings)
    for value in values:
        trial = study.ask()
        metrics = value if isinstance(value, dict) else {"loss": value}
        study.tell(trial, metrics)


def range_test(study: luthier.Study) -> None:
    """Keep a range test: the loss falls from 1e-4 on, and explodes near 1."""
    rates = sweep_rates(1e-6, 10.0, 120)
    noise = random.Random(0)
    sweeps = [
        [
            2.3 - 1.6 / (1 + math.exp(-3 * (math.log10(rate) + 3))) + noise.gauss(0, 0.05)
            if rate < 1
            else math.nan
            for rate in rates
        ]
        for _ in range(3)
    ]
    read(rates, sweeps).keep(study)


def troubled(name: str, storage: Path) -> None:
    """Write the log of three workers of which two are lost, and of trials that were tried again."""
    now = time.time() - 4000.0
    space = Space(x=Float(0, 1))
    log: list[ev.AnyEvent] = [
        ev.StudyCreated(
            time=now, format=1, name=name, metric="loss", direction="minimize", space=space.to_dict(),
            seed=0, searcher={"name": "random"}, scheduler={"name": "none"}, luthier="0",
        ),
        ev.BudgetSet(time=now, trials=20),
    ]  # fmt: skip
    workers = [ev.Holder("host", "boot", "ns", 100 + k, "0", 1) for k in range(3)]
    leases = 0

    def job(trial: int, worker: int, at: float, steps: range) -> dict[str, int]:
        """Lease the job *at* these seconds, and report a step every 100 seconds."""
        nonlocal leases
        leases += 1
        lease = {"trial": trial, "lease": leases}
        begin, holder = now + at, workers[worker]
        log.append(
            ev.JobLeased(time=begin, holder=holder, from_step=steps.start - 1, to_step=4, **lease)
        )
        for i, step in enumerate(steps, 1):
            metrics = {"loss": 1 / step + trial / 50}
            log.append(ev.Reported(time=begin + 100 * i, step=step, metrics=metrics, **lease))
        return lease

    for trial in range(9):
        configuration = {"x": 0.1 * trial}
        log.append(ev.TrialProposed(time=now, trial=trial, configuration=configuration, seen=2))
    for trial, (worker, at) in enumerate([(0, 0), (1, 30), (2, 60), (0, 520), (2, 700)]):
        lease = job(trial, worker, at, range(1, 5))
        log.append(ev.TrialCompleted(time=now + at + 410, step=4, **lease))
    lease = job(5, 1, 600, range(1, 3))
    log.append(ev.WorkerLost(time=now + 850, cause="signal 9", kind="out of memory", **lease))
    lease = job(6, 0, 950, range(1, 2))
    log.append(ev.JobReleased(time=now + 1060, reason="SIGTERM", cause="preempted", **lease))
    lease = job(5, 0, 1300, range(3, 5))
    log.append(ev.TrialCompleted(time=now + 1510, step=4, **lease))
    lease = job(6, 2, 1150, range(2, 5))
    log.append(ev.TrialCompleted(time=now + 1460, step=4, **lease))
    lease = job(7, 2, 1500, range(1, 2))
    log.append(ev.TrialFailed(time=now + 1620, step=1, kind="error", message="a bug", **lease))
    log.append(ev.TrialRequeued(time=now + 1700, trial=7, reason="the code was mended"))
    lease = job(7, 0, 1750, range(1, 5))
    log.append(ev.TrialCompleted(time=now + 2160, step=4, **lease))
    lease = job(8, 2, 1800, range(1, 3))
    log.append(
        ev.WorkerLost(time=now + 2400, cause="no sign of life for 400 s", kind="hung", **lease)
    )
    store = SQLiteStore(storage)
    store.append(name, [ev.encode(event) for event in sorted(log, key=lambda event: event.time)])
    store.close()


def make_all(storage: Path) -> None:
    """Write every study but the live one."""
    quiet: dict[str, Any] = {"storage": storage, "minimize": "val_loss"}
    ladder: dict[str, Any] = {"scheduler": "hyperband", "searcher": "random", "epochs": 9}
    luthier.tune(train, SPACE, name="hyperband", max_epochs=170, **ladder, **quiet)
    raced: dict[str, Any] = {"finalists": 2, "repetitions": 3}
    luthier.tune(
        train, SPACE, name="stages", staged=True, epochs=2, max_trials=22, **raced, **quiet
    )
    range_test(luthier.open("hyperband", storage=storage))
    one = Space(x=Float(0, 1))
    luthier.open("empty", one, minimize="loss", storage=storage)
    told("one trial", storage, one, [0.5])
    told("all diverged", storage, one, [math.nan] * 8)
    kinds = Space(kind=Choice("a", "b", "c"), flag=Bool())
    told("categorical only", storage, kinds, [0.1 * (i % 7) for i in range(15)], noisy=True)
    many = Space({f"hyperparameter_number_{i:02d}": Float(0, 1) for i in range(60)})
    told("sixty", storage, many, [abs(math.sin(i)) for i in range(40)])
    pairs = [{"loss": 1 / (i + 1), "latency": float(i % 11), "size": 100.0 - i} for i in range(30)]
    several: dict[str, Any] = {"minimize": ["loss", "latency"], "subject_to": "size <= 95"}
    told("several objectives", storage, one, pairs, **several)
    odd = [{"loss": 1 / (i + 1), "latency": math.nan if i % 2 else 10.0} for i in range(10)]
    told("bounded", storage, Space(x=Float(-9, -1)), odd, subject_to="latency <= 20")
    troubled("troubled workers", storage)
    names = {f"{LONG}{i}": Float(1e-300, 1e300, scale="log") for i in range(3)}
    long_options = Choice(*(f"{LONG}{i}" for i in range(4)))
    told(LONG, storage, Space({**names, "long": long_options}), [1e-300, 1e300, 5.0])
    nasty = Space({HOSTILE: Float(0, 1), "kind": Choice(HOSTILE, "</textarea><b>bold")})
    metric = "<b>loss</b>"
    values = [{metric: v} for v in (0.3, math.nan, math.inf, -math.inf, 0.1)]
    told(HOSTILE, storage, nasty, values, minimize=metric)
    study = luthier.open(HOSTILE, storage=storage)
    study.steer.by(HOSTILE).note(HOSTILE)
    study.steer.by(HOSTILE).note(HOSTILE, 0)
    trial = study.ask()
    study.fail(trial, "error", HOSTILE, f"Traceback: {HOSTILE}")


if __name__ == "__main__":
    luthier.tune(
        slowly,
        SPACE,
        name=sys.argv[2],
        storage=sys.argv[1],
        minimize="val_loss",
        searcher="random",
        scheduler=None,
        epochs=4000,
        max_trials=40,
    )
