"""Real training: scikit-learn's MLPClassifier on the data sets that come with it, under a second each.

The loss is the mean cross-entropy on a third that is held out, NaN when training diverged. What a net
starts from depends on the seed of the run alone, so an evaluation repeats exactly. A tenth of the
classes are drawn at random: else wine is learnt without fault, and its loss is what overconfidence makes
it.
"""

from __future__ import annotations

import importlib.util
import math
import warnings
from functools import cache, partial
from typing import Any

import numpy as np

from tasks import Configuration, Problem, Task, choice, number, whole

SETS = {"digits": 6, "breast_cancer": 12, "wine": 25}  # and their epochs
RANDOM_CLASSES = 0.1
SPACE = [
    choice("solver", ["sgd", "adam"]),
    number("learning_rate", 1e-5, 10.0, log=True),
    number("momentum", 0.0, 0.99, when={"solver": "sgd"}),
    number("one_minus_beta_2", 1e-4, 0.2, log=True, when={"solver": "adam"}),
    choice("activation", ["relu", "tanh", "logistic"]),
    whole("layers", 1, 3),
    whole("units", 8, 256, log=True),
    whole("batch_size", 8, 128, log=True),
    number("alpha", 1e-6, 1.0, log=True),
]


def tasks() -> list[Task]:
    """Return one for each data set.

    Raises:
        ImportError: scikit-learn is not installed.
    """
    if importlib.util.find_spec("sklearn") is None:
        raise ImportError("pip install scikit-learn")
    return [Task(f"mlp-{name}", "training", SPACE, partial(problem, name)) for name in SETS]


@cache
def data(name: str) -> list[np.ndarray]:
    """Return train and held-out inputs (standardised), then their classes."""
    from sklearn import datasets
    from sklearn.model_selection import train_test_split

    inputs, classes = getattr(datasets, f"load_{name}")(return_X_y=True)
    draws = np.random.default_rng(0)
    anew = draws.integers(classes.max() + 1, size=len(classes))
    classes = np.where(draws.random(len(classes)) < RANDOM_CLASSES, anew, classes)
    inputs = (inputs - inputs.mean(axis=0)) / (inputs.std(axis=0) + 1e-9)
    return train_test_split(inputs, classes, test_size=1 / 3, random_state=0, stratify=classes)


def problem(name: str, seed: int) -> Problem:
    return Problem(partial(train, name, seed))


def train(name: str, seed: int, configuration: Configuration) -> float:
    from sklearn.metrics import log_loss

    inputs, held_out, classes, held_classes = data(name)
    net = classifier(configuration, SETS[name], seed)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            net.fit(inputs, classes)
            loss = float(log_loss(held_classes, net.predict_proba(held_out)))
        except (ValueError, FloatingPointError):  # weights or outputs that are no numbers
            return math.nan
    return loss if math.isfinite(loss) else math.nan


def classifier(c: Configuration, epochs: int, seed: int) -> Any:
    from sklearn.neural_network import MLPClassifier

    own = (
        {"momentum": c["momentum"]}
        if c["solver"] == "sgd"
        else {"beta_2": 1.0 - c["one_minus_beta_2"]}
    )
    return MLPClassifier(
        hidden_layer_sizes=(c["units"],) * c["layers"],
        activation=c["activation"],
        solver=c["solver"],
        learning_rate_init=c["learning_rate"],
        batch_size=c["batch_size"],
        alpha=c["alpha"],
        max_iter=epochs,
        random_state=seed,
        **own,
    )
