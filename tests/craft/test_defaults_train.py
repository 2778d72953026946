"""The space to start from, in use: nets made of it train."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import luthier
from luthier.craft import defaults, width

pytestmark = pytest.mark.frameworks
EXAMPLES, EPOCHS = 600, 2


def built(trial):
    layers, inputs = [nn.Flatten()], 28 * 28
    for units in width.hidden(trial.configuration, outputs=10):
        layers += [nn.Linear(inputs, units), nn.ReLU(), nn.Dropout(trial["dropout"])]
        inputs = units
    net = nn.Sequential(*layers, nn.Linear(inputs, 10))
    named = {name: trial[name] for name in ("momentum", "weight_decay")}
    optimizer = torch.optim.SGD(net.parameters(), trial["learning_rate"], **named)
    gamma = trial["decay"] ** (1 / EPOCHS)
    return net, optimizer, torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma)


def test_a_study_on_it_learns(tmp_path):
    torch.set_num_threads(1)
    data = luthier.datasets.fashion_mnist("subset")
    x, y = (torch.from_numpy(part[: 2 * EXAMPLES]) for part in data.train)

    def train(trial):
        torch.manual_seed(trial.seed)
        net, optimizer, schedule = built(trial)
        loss = nn.CrossEntropyLoss(label_smoothing=trial["label_smoothing"])
        state = luthier.torch.State(net=net, optimizer=optimizer, schedule=schedule)
        for _ in trial.epochs(state):
            net.train()
            for rows in torch.randperm(EXAMPLES).split(trial["batch_size"]):
                optimizer.zero_grad()
                loss(net(x[rows]), y[rows]).backward()
                optimizer.step()
            schedule.step()
            net.eval()
            right = net(x[EXAMPLES:]).argmax(1) == y[EXAMPLES:]
            trial.report(val_accuracy=right.double().mean().item())

    space = defaults.space(784, 10, EXAMPLES, "sgd", families=("constant", "pyramid"))
    result = luthier.tune(
        train,
        space,
        maximize="val_accuracy",
        epochs=EPOCHS,
        max_trials=4,
        seed=0,
        storage=tmp_path / "a.db",
    )
    trials = result.study.history.trials
    assert dict(trials[0].configuration) == space.default()
    assert len(trials) == 4
    assert result.study.history.value(result.ranking[0].best_loss) > 0.4  # by chance: 0.1
