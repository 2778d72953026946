"""A plain PyTorch script for ``torchrun --nproc-per-node 2 torch_ranks.py FOLDER``: three studies in turn."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from torch.nn.functional import mse_loss
from torch.nn.parallel import DistributedDataParallel

import luthier

FOLDER = Path(sys.argv[1])
X = torch.randn(64, 3, generator=torch.Generator().manual_seed(0))
Y = X.sum(1, keepdim=True)


def tuned(name, raises=False, **options):
    rank = dist.get_rank()

    def train(trial):
        torch.manual_seed(trial.seed)
        net = torch.nn.Sequential(torch.nn.Dropout(0.1), torch.nn.Linear(3, 1))
        model = DistributedDataParallel(net)
        optimizer = torch.optim.Adam(model.parameters(), trial["learning_rate"])
        torch.manual_seed(trial.seed + rank)  # each rank drops units of its own
        rows = slice(rank, 48, 2)
        for _ in trial.epochs(luthier.torch.State(model=model, optimizer=optimizer)):
            if raises and rank == 1:
                raise ValueError("rank 1 cannot go on")
            model.train()
            for x, y in zip(X[rows].split(8), Y[rows].split(8), strict=True):
                optimizer.zero_grad()
                mse_loss(model(x), y).backward()
                optimizer.step()
            model.eval()
            with torch.no_grad():
                trial.report(val_loss=float(mse_loss(net(X[48:]), Y[48:])))

    return luthier.tune(
        train,
        {"learning_rate": luthier.Float(1e-3, 1.0, scale="log")},
        minimize="val_loss",
        searcher="sobol",
        storage=FOLDER / "studies.db",
        name=name,
        progress=False,
        **options,
    )


if __name__ == "__main__":
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    few = tuned("few", scheduler=luthier.SuccessiveHalving(epochs=4, trials=4, factor=4))
    whole = tuned("whole", scheduler=None, epochs=4, max_trials=4)
    found = {r.study.name: [list(t.losses) for t in r.trials] for r in (few, whole)}
    (FOLDER / f"rank-{dist.get_rank()}.json").write_text(json.dumps(found))
    tuned("raises", raises=True, scheduler=None, epochs=4, max_trials=2)
