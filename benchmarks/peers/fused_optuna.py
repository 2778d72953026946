"""Optuna's end of ``fused.py``: a hand-written PyTorch loop, the data in one tensor, no DataLoader."""

import json
import sys
import time

begin = time.perf_counter()

import numpy as np  # noqa: E402
import optuna  # noqa: E402
import torch  # noqa: E402
from torch import nn  # noqa: E402

optuna.logging.set_verbosity(optuna.logging.ERROR)
data, setting = np.load(sys.argv[1]), json.loads(sys.argv[2])
torch.set_num_threads(setting["threads"])
x, y, x_val, y_val = (torch.from_numpy(data[n]) for n in ("x", "y", "x_val", "y_val"))
y, y_val = y.long(), y_val.long()
epochs = 0


def mlp(trial):
    units = trial.suggest_int("units", 32, 512, step=32)
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, units), nn.ReLU(), nn.Linear(units, 10))
    rate = trial.suggest_float("learning_rate", 1e-4, 1e-1, log=True)
    return net, torch.optim.Adam(net.parameters(), rate, eps=1e-7)


def cnn(trial):
    net = nn.Sequential(
        nn.Unflatten(1, (1, 28)),
        nn.Conv2d(1, 8, 3, stride=2),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3, stride=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(trial.suggest_float("dropout", 0.05, 0.5)),
        nn.Linear(576, 10),
    )
    # PyTorch adds decay * w to the gradient: twice as much is Keras's L2.
    decay = 2 * trial.suggest_float("decay", 1e-7, 1e-3, log=True)
    decayed = [{"params": net[i].weight, "weight_decay": decay} for i in (1, 3)]
    rest = [net[1].bias, net[3].bias, *net[7].parameters()]
    return net, adam(trial, [*decayed, {"params": rest}])


def pooled(trial):
    net = nn.Sequential(
        nn.Unflatten(1, (1, 28)),
        nn.Conv2d(1, 16, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(trial.suggest_float("dropout", 0.05, 0.5)),
        nn.Linear(800, 10),
    )
    return net, adam(trial, net.parameters())


def adam(trial, parameters):
    momentum = 1 - trial.suggest_float("one_minus_beta", 0.01, 0.5, log=True)
    rate = trial.suggest_float("learning_rate", 1e-4, 3e-2, log=True)
    return torch.optim.Adam(parameters, rate, (momentum, 0.999), eps=1e-7)


NETS = {"mlp": mlp, "cnn": cnn, "pooled": pooled}


def objective(trial):
    global epochs
    torch.manual_seed(1000 * setting["seed"] + trial.number)
    net, optimizer = NETS[setting["net"]](trial)
    best = 0.0
    for epoch in range(1, setting["epochs"] + 1):
        net.train()
        for rows in torch.randperm(len(x)).split(setting["batch_size"]):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x[rows]), y[rows]).backward()
            optimizer.step()
        net.eval()
        with torch.no_grad():
            accuracy = float((net(x_val).argmax(1) == y_val).float().mean())
        epochs += 1
        best = max(best, accuracy)
        trial.report(accuracy, epoch)
        if setting["search"] == "hyperband":
            if epochs >= setting["budget"]:
                trial.study.stop()
                return best
            if trial.should_prune():
                raise optuna.TrialPruned
    return best


hyperband = optuna.pruners.HyperbandPruner(1, setting["epochs"], 3)
study = optuna.create_study(
    direction="maximize",
    sampler=optuna.samplers.RandomSampler(seed=setting["seed"]),
    pruner=hyperband if setting["search"] == "hyperband" else optuna.pruners.NopPruner(),
)
study.optimize(objective, setting["trials"] if setting["search"] == "random" else None)
answer = {
    "seconds": time.perf_counter() - begin,
    "epochs": epochs,
    "trials": len(study.trials),
    "best": max(max(t.intermediate_values.values()) for t in study.trials),
    "versions": [f"Optuna {optuna.__version__}", f"PyTorch {torch.__version__}"],
}
print(json.dumps(answer))
