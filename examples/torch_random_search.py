"""Random search with PyTorch: learning rate and number of units of a net for Fashion-MNIST."""

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
        searcher="random",
        epochs=2 if SMOKE else 10,
        max_trials=4 if SMOKE else 20,
    )
    for rank, trial in enumerate(result.ranking[:5], 1):
        accuracy = result.study.history.value(trial.best_loss)
        print(f"{rank}. trial {trial.number:2}  val_accuracy {accuracy:.4f}  {trial.configuration}")
    torch.save(result.model().state_dict(), "torch_random_search.pt")
