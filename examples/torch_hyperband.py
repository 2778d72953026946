"""Hyperband with PyTorch: many nets for Fashion-MNIST begin, the best third trains on."""

import os

import torch
from torch import nn

import luthier

SMOKE = os.environ.get("LUTHIER_SMOKE") == "1"


def build(hp):
    units = hp.int("units", 32, 512, step=32)
    model = nn.Sequential(nn.Flatten(), nn.Linear(28 * 28, units), nn.ReLU(), nn.Linear(units, 10))
    learning_rate = hp.float("learning_rate", 1e-4, 1e-1, scale="log")
    return model, torch.optim.Adam(model.parameters(), learning_rate)


if __name__ == "__main__":
    result = luthier.torch.tune(
        build,
        luthier.datasets.fashion_mnist("subset" if SMOKE else "auto"),
        maximize="val_accuracy",
        scheduler="hyperband",
        epochs=3 if SMOKE else 9,
    )
    for rank, trial in enumerate(result.ranking[:5], 1):
        accuracy = result.study.history.value(trial.best_loss)
        print(f"{rank}. trial {trial.number:2}  val_accuracy {accuracy:.4f}  {trial.configuration}")
    torch.save(result.model().state_dict(), "torch_hyperband.pt")
