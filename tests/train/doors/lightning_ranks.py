"""A Lightning script whose trials train in two processes: ``python lightning_ranks.py FOLDER STRATEGY``."""

from __future__ import annotations

import json
import os
import sys
import warnings
from pathlib import Path

import lightning.pytorch as pl
import torch
from torch.utils.data import DataLoader, TensorDataset

import luthier

FOLDER, STRATEGY = Path(sys.argv[1]), sys.argv[2]
warnings.filterwarnings("ignore", module="lightning|torch")
X = torch.randn(64, 3, generator=torch.Generator().manual_seed(0))
Y = X.sum(1, keepdim=True)


def note(rank, **what):
    with open(FOLDER / f"rank-{rank}.jsonl", "a") as file:
        file.write(json.dumps({"pid": os.getpid(), **what}) + "\n")


class Net(pl.LightningModule):
    def __init__(self, rate, number):
        super().__init__()
        self.rate, self.number = rate, number
        self.layer = torch.nn.Linear(3, 1)

    def training_step(self, batch, _):
        return torch.nn.functional.mse_loss(self.layer(batch[0]), batch[1])

    def validation_step(self, batch, _):
        loss = torch.nn.functional.mse_loss(self.layer(batch[0]), batch[1])
        self.log("val_loss", loss, sync_dist=True)

    def on_fit_end(self):
        weights = [round(float(w), 6) for w in self.layer.weight.detach().flatten()]
        note(
            self.global_rank, trial=self.number, rate=self.rate,
            epoch=self.trainer.current_epoch, weights=weights,
        )  # fmt: skip

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), self.rate)


def train(trial):
    torch.manual_seed(trial.seed)
    luthier.lightning.fit(
        trial,
        Net(trial["learning_rate"], trial.number),
        DataLoader(TensorDataset(X[:32], Y[:32]), 8),
        DataLoader(TensorDataset(X[32:], Y[32:]), 16),
        accelerator="cpu",
        devices=2,
        strategy=STRATEGY,
        num_sanity_val_steps=0,
    )


if __name__ == "__main__":
    torch.set_num_threads(1)
    few = luthier.SuccessiveHalving(epochs=2, trials=2, factor=2)
    plan = {"scheduler": few} if STRATEGY == "ddp" else {"epochs": 2, "max_trials": 1}
    result = luthier.tune(
        train,
        {"learning_rate": luthier.Float(1e-3, 1.0, scale="log")},
        minimize="val_loss",
        searcher="sobol",
        storage=FOLDER / "studies.db",
        name="ranks",
        progress=False,
        **plan,
    )
    rank = int(os.environ.get("LOCAL_RANK", 0))
    note(rank, best=result.best.number, steps=[t.step for t in result.trials])
