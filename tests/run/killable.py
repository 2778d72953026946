"""A study of real trainings that a test kills: logistic regression by momentum, in numpy.

Usage: python killable.py STORAGE WORKERS
Writes a line to STORAGE.epochs for each finished epoch, and to STORAGE.twice for each epoch that is
begun although a checkpoint holds it.
"""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

import numpy as np

import luthier as lt

STORAGE, WORKERS = Path(sys.argv[1]), int(sys.argv[2])
SPACE = lt.Space(
    learning_rate=lt.Float(1e-3, 1.0, scale="log"),
    momentum=lt.Float(0.5, 0.99, scale="one_minus_log"),
)


class Net:
    def __init__(self):
        self.weights = np.zeros(4)
        self.velocity = np.zeros(4)

    def save(self, folder):
        np.savez(folder / "net.npz", weights=self.weights, velocity=self.velocity)

    def restore(self, folder):
        with np.load(folder / "net.npz") as saved:
            self.weights, self.velocity = saved["weights"], saved["velocity"]


def train(trial):
    rng = np.random.default_rng(7)
    x = rng.normal(size=(64, 4))
    y = x @ [1.0, -2.0, 0.5, 0.0] > 0
    net = Net()
    folder = trial._study.checkpoints.root / f"trial-{trial.number:05d}"
    for epoch in trial.epochs(net):
        if list(folder.glob(f"step-{epoch + 1:06d}/manifest.json")):
            note("twice", trial, epoch)
        order = np.random.default_rng(trial.seed_of(epoch)).permutation(64)
        for i in order:
            p = 1 / (1 + np.exp(-x[i] @ net.weights))
            net.velocity = trial["momentum"] * net.velocity - (p - y[i]) * x[i]
            net.weights = net.weights + trial["learning_rate"] * net.velocity / 64
        time.sleep(0.03)
        loss = float(np.mean((x @ net.weights - (2.0 * y - 1)) ** 2))
        note("epochs", trial, epoch)
        trial.report(loss=loss)


def note(kind, trial, epoch):
    with open(f"{STORAGE}.{kind}", "a") as file:
        file.write(f"{trial.number} {epoch + 1}\n")


if __name__ == "__main__":
    # A shell that runs the tests in the background has its children ignore Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    lt.tune(
        train,
        SPACE,
        minimize="loss",
        name="killable",
        searcher="random",  # whose proposals do not depend on which trial ends first
        scheduler=lt.Hyperband(epochs=27),
        workers=WORKERS,
        storage=STORAGE,
    )
