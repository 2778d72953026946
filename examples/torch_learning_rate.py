"""The learning rate first: a range test gives its range, then rate, schedule and units are tuned."""

import os

import torch
from torch import nn

import luthier
from luthier.craft import schedules

SMOKE = os.environ.get("LUTHIER_SMOKE") == "1"
EPOCHS = 2 if SMOKE else 10
BATCH_SIZE = 64


def net(units):
    return nn.Sequential(nn.Flatten(), nn.Linear(28 * 28, units), nn.ReLU(), nn.Linear(units, 10))


if __name__ == "__main__":
    data = luthier.datasets.fashion_mnist("subset" if SMOKE else "auto")
    model = net(128)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    found = luthier.torch.find_learning_rate(model, optimizer, data, batch_size=BATCH_SIZE)
    print(found.explain())

    steps = EPOCHS * (len(data.train[0]) // BATCH_SIZE)

    def build(hp):
        model = net(hp.int("units", 32, 512, step=32))
        optimizer = torch.optim.SGD(model.parameters(), lr=1.0, momentum=0.9)
        families = ["constant", "cosine", "one_cycle"]
        schedule = schedules.ask(hp, steps, families, peak=found.domain())
        return model, optimizer, schedules.as_torch(schedule, optimizer)

    result = luthier.torch.tune(
        build,
        data,
        maximize="val_accuracy",
        searcher="random",
        epochs=EPOCHS,
        batch_size=BATCH_SIZE,
        max_trials=4 if SMOKE else 20,
    )
    for rank, trial in enumerate(result.ranking[:5], 1):
        accuracy = result.study.history.value(trial.best_loss)
        print(f"{rank}. trial {trial.number:2}  val_accuracy {accuracy:.4f}  {trial.configuration}")
    torch.save(result.model().state_dict(), "torch_learning_rate.pt")
