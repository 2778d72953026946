"""A script that runs in several processes without any framework: ``python ranks_script.py FOLDER WAY``.

Each rank writes what it saw; *WAY* says how the training code behaves.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

import luthier

FOLDER, WAY = Path(sys.argv[1]), sys.argv[2]
RANK = int(os.environ["RANK"])


def note(**what):
    with open(FOLDER / f"rank-{RANK}.jsonl", "a") as file:
        file.write(json.dumps(what) + "\n")


def loss_of(trial, epoch):
    return trial.hp.float("x", 0, 1) + trial.hp.int("units", 1, 9) / 100 + 1 / (epoch + 1)


class Kept:
    every_rank = True

    def __init__(self):
        self.epochs = []

    def save(self, folder):
        (folder / f"part-{RANK}").write_text(json.dumps(self.epochs))

    def restore(self, folder):
        assert {f"part-{rank}" for rank in range(2)} <= {file.name for file in folder.iterdir()}
        self.epochs = json.loads((folder / f"part-{RANK}").read_text())


def train(trial):
    kept = Kept()
    for epoch in trial.epochs(kept if WAY != "alone" else None):
        kept.epochs.append(epoch)
        if RANK == 1 and WAY == "raises" and trial.number == 1:
            raise ValueError("rank 1 cannot go on")
        if WAY in ("ended", "both raise") and trial.number == 1:
            if RANK == 1:
                raise ValueError("rank 1 cannot go on")
            time.sleep(1.0)
            os.kill(os.getpid(), signal.SIGTERM)  # as torchrun does when it sees a rank's end
            if WAY == "both raise":
                raise ValueError("rank 1 cannot go on")
        if RANK == 1 and WAY == "dies" and trial.number == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        if RANK == 1 and WAY == "memory" and trial.number == 1:
            raise MemoryError("too little")
        if WAY == "terminated" and trial.number == 1 and epoch == 2 and RANK == 0:
            for pid in (int(os.environ["OTHER"]), os.getpid()):
                os.kill(pid, signal.SIGTERM)
        loss = loss_of(trial, epoch)
        if WAY != "guarded" or RANK == 0:
            trial.report(loss=loss if RANK == 0 else 99.0)
        if WAY == "leaves" and epoch == 1:
            break
    note(
        trial=trial.number,
        configuration=trial.configuration,
        seed=trial.seed,
        epochs=kept.epochs,
        fate=trial.verdict.fate.value,
        step=trial.step,
    )


SCHEDULER = luthier.SuccessiveHalving(epochs=4, trials=4, factor=2) if WAY != "alone" else None
result = luthier.tune(
    train,
    minimize="loss",
    name="ranks",
    searcher="sobol",
    scheduler=SCHEDULER,
    max_trials=4 if SCHEDULER is None else None,
    epochs=3 if SCHEDULER is None else None,
    storage=FOLDER / "studies.db" if RANK == 0 else None,
    progress=False,
)
note(
    best=result.best.number,
    value=result.best_value,
    trials=len(result.trials),
    reason=result.reason,
)
