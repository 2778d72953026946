"""A multi-layer perceptron in PyTorch whose layers, optimizer and rate are searched."""

import torch
import torch.nn as nn
import torch.optim as optim
from sklearn.datasets import load_digits

import luthier.compat.optuna as optuna
from luthier.compat.optuna.trial import TrialState

DEVICE = torch.device("cpu")
BATCHSIZE = 128
CLASSES = 10
EPOCHS = 10


def define_model(trial):
    n_layers = trial.suggest_int("n_layers", 1, 3)
    layers = []
    in_features = 64
    for i in range(n_layers):
        out_features = trial.suggest_int(f"n_units_l{i}", 4, 128)
        layers.append(nn.Linear(in_features, out_features))
        layers.append(nn.ReLU())
        p = trial.suggest_float(f"dropout_l{i}", 0.2, 0.5)
        layers.append(nn.Dropout(p))
        in_features = out_features
    layers.append(nn.Linear(in_features, CLASSES))
    layers.append(nn.LogSoftmax(dim=1))
    return nn.Sequential(*layers)


def get_digits():
    x, y = load_digits(return_X_y=True)
    x, y = torch.tensor(x / 16.0, dtype=torch.float32), torch.tensor(y)
    return (x[:1200], y[:1200]), (x[1200:], y[1200:])


def objective(trial):
    model = define_model(trial).to(DEVICE)
    optimizer_name = trial.suggest_categorical("optimizer", ["Adam", "RMSprop", "SGD"])
    lr = trial.suggest_float("lr", 1e-5, 1e-1, log=True)
    optimizer = getattr(optim, optimizer_name)(model.parameters(), lr=lr)
    (train_x, train_y), (valid_x, valid_y) = get_digits()

    accuracy = 0.0
    for epoch in range(EPOCHS):
        model.train()
        for begin in range(0, len(train_x), BATCHSIZE):
            batch = slice(begin, begin + BATCHSIZE)
            optimizer.zero_grad()
            loss = nn.functional.nll_loss(model(train_x[batch]), train_y[batch])
            loss.backward()
            optimizer.step()

        model.eval()
        with torch.no_grad():
            pred = model(valid_x).argmax(dim=1)
            accuracy = (pred == valid_y).float().mean().item()
        trial.report(accuracy, epoch)
        if trial.should_prune():
            raise optuna.exceptions.TrialPruned()
    return accuracy


if __name__ == "__main__":
    study = optuna.create_study(direction="maximize", pruner=optuna.pruners.HyperbandPruner())
    study.optimize(objective, n_trials=100, timeout=600)

    pruned_trials = study.get_trials(deepcopy=False, states=[TrialState.PRUNED])
    complete_trials = study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
    print("Study statistics: ")
    print("  Number of finished trials: ", len(study.trials))
    print("  Number of pruned trials: ", len(pruned_trials))
    print("  Number of complete trials: ", len(complete_trials))
    print("Best trial:")
    trial = study.best_trial
    print("  Value: ", trial.value)
    for key, value in trial.params.items():
        print(f"    {key}: {value}")
    assert len([k for k in trial.params if k.startswith("n_units")]) == trial.params["n_layers"]
