"""Eight hyperparameters in stages, the learning rate first: PyTorch, Fashion-MNIST."""

import os

import torch
from torch import nn

import luthier
from luthier.craft.stages import Stages

SMOKE = os.environ.get("LUTHIER_SMOKE") == "1"
TRIALS, EPOCHS = (
    int(os.environ.get(f"LUTHIER_{k}", n)) for k, n in (("TRIALS", 80), ("EPOCHS", 9))
)
data = luthier.datasets.fashion_mnist("subset" if SMOKE else "auto")


def build(hp):
    hp.int("batch_size", 16, 512, scale="log")  # tune reads it
    units, dropout = hp.int("units", 16, 512, scale="log"), hp.float("dropout", 0.0, 0.5)
    layers, width = [nn.Flatten()], 28 * 28
    for _ in range(hp.int("layers", 1, 3)):
        layers += [nn.Linear(width, units), nn.ReLU(), nn.Dropout(dropout)]
        width = units
    model = nn.Sequential(*layers, nn.Linear(width, 10))
    optimizer = torch.optim.SGD(
        model.parameters(),
        hp.float("learning_rate", 1e-4, 1.0, scale="log"),
        momentum=hp.float("momentum", 0.5, 0.99, scale="one_minus_log"),
        weight_decay=hp.float("weight_decay", 1e-7, 1e-2, scale="log"),
    )
    decay = torch.optim.lr_scheduler.ExponentialLR(optimizer, hp.float("decay", 0.5, 1.0))
    return model, optimizer, decay


def accuracy(model):
    images, labels = (torch.as_tensor(part) for part in data.test)
    with torch.no_grad():
        return float((model(images).argmax(1) == labels).float().mean())


if __name__ == "__main__":
    result = luthier.torch.tune(
        build,
        data,
        maximize="val_accuracy",
        staged=Stages(joint=0.25) if SMOKE else True,
        epochs=2 if SMOKE else EPOCHS,
        scheduler=None if SMOKE else "median",
        max_trials=8 if SMOKE else TRIALS,
    )
    for stage in result.stages:
        print(f"{stage.name}: {stage.conclusion}")
    for rank, trial in enumerate(result.ranking[:5], 1):
        value = result.study.history.value(trial.best_loss)
        print(f"{rank}. trial {trial.number:2}  val_accuracy {value:.4f}  {trial.configuration}")
    print("test", result.test(accuracy))
    torch.save(result.model().state_dict(), "staged_fashion_mnist_torch.pt")
