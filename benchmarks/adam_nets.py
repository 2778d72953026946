"""Trains six small nets with 1,000 configurations of Adam each, to develop searchers and schedulers on.

No comparison uses them: they are in place of TaskSet's tables, which searchers must not be tuned to, and in
their format, with their 8 hyperparameters and ranges (Metz et al. 2020). A few minutes on one core.

    python benchmarks/adam_nets.py                      # into ~/.cache/luthier-development/taskset
    export LUTHIER_BENCHMARK_DATA=~/.cache/luthier-development
    python benchmarks/regret.py --cache /tmp/here --tasks 'taskset-*' --tuners luthier-auto optuna-tpe
    python benchmarks/multifidelity.py --cache /tmp/there --tasks 'taskset-*' --tuners luthier-auto

``pairs.py`` compares the runs of two versions of Luthier.
"""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from tasks.taskset import LOW, WIDTH

FOLDER = Path("~/.cache/luthier-development/taskset").expanduser()
CONFIGURATIONS, AT_ONCE = 1000, 100
EPOCHS, STEPS = 50, 100  # steps an epoch
PACE = 2.0  # schedules are TaskSet's, made for 10,000 steps

Net = tuple[Callable[[Any], Any], Callable[[Any, Any], Any]]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", type=Path, default=FOLDER)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for seed, (name, (data, net, loss, batch)) in enumerate(nets().items()):
        shares = np.random.default_rng(seed).random((CONFIGURATIONS, len(LOW)))
        tried = np.exp(LOW + WIDTH * shares)
        losses = curves(tried, data, net, loss, batch)
        stored = tried.copy()
        stored[:, 1:3] = 1.0 - stored[:, 1:3]  # the table has the betas themselves
        np.savez_compressed(folder / f"imdb_{name}.npz", X=stored, valid=losses)
        print(f"{name}: {np.nanmin(losses):.3g} at best, {np.nanmedian(losses[:, -1]):.3g} usual")
    return 0


def nets() -> dict[str, tuple[Any, Net, Callable[[Any, Any], Any], int]]:
    """Return for each net data, functions, loss and batch size."""
    relu, tanh = jax.nn.relu, jnp.tanh
    digits = split("digits")
    pictures = (digits[0], digits[0], digits[2], digits[2])
    return {
        "mlp": (digits, dense([64, 16, 10], relu), cross_entropy, 32),
        "cancer": (split("breast_cancer"), dense([30, 8, 8, 2], tanh), cross_entropy, 16),
        "irnn": (digits, recurrent(8, 16, 10, relu, identity=True), cross_entropy, 32),
        "rnn": (digits, recurrent(8, 24, 10, tanh), cross_entropy, 16),
        "deep": (digits, dense([64, 16, 16, 16, 16, 10], relu), cross_entropy, 64),
        "autoencoder": (pictures, dense([64, 8, 64], tanh), squared_error, 32),
    }


def curves(
    tried: np.ndarray, data: Any, net: Net, loss: Callable[[Any, Any], Any], batch: int
) -> np.ndarray:
    """Return validation losses (n, 1 + epochs) of the configurations (n, 8), the first untrained."""
    together = jax.jit(jax.vmap(functools.partial(trained, data, net, loss, batch)))
    found = [
        np.asarray(together(jnp.asarray(tried[begin : begin + AT_ONCE], "float32")))
        for begin in range(0, len(tried), AT_ONCE)
    ]
    return np.concatenate(found)


def trained(
    data: Any, net: Net, loss: Callable[[Any, Any], Any], batch: int, configuration: Any
) -> Any:
    x, y, unseen_x, unseen_y = data
    init, apply = net
    rate, away_1, away_2, epsilon, l1, l2, linear, exponential = configuration
    beta_1, beta_2 = 1.0 - away_1, 1.0 - away_2
    each = jax.tree_util.tree_map

    def objective(weights: Any, rows: Any) -> Any:
        leaves = jax.tree_util.tree_leaves(weights)
        penalty = sum(l1 * jnp.abs(w).sum() + l2 * (w * w).sum() for w in leaves)
        return loss(apply(weights, x[rows]), y[rows]) + penalty

    def step(state: Any, key: Any) -> Any:
        weights, first, second, done = state
        slope = jax.grad(objective)(weights, jax.random.randint(key, (batch,), 0, len(x)))
        first = each(lambda m, g: beta_1 * m + away_1 * g, first, slope)
        second = each(lambda v, g: beta_2 * v + away_2 * g * g, second, slope)
        time = PACE * done
        now = rate * jnp.maximum(0.0, 1.0 - linear * time) * jnp.exp(-exponential * time)
        now *= jnp.sqrt(1.0 - beta_2 ** (done + 1)) / (1.0 - beta_1 ** (done + 1))
        move = functools.partial(each, lambda w, m, v: w - now * m / (jnp.sqrt(v) + epsilon))
        return (move(weights, first, second), first, second, done + 1), None

    def epoch(state: Any, key: Any) -> Any:
        state, _ = jax.lax.scan(step, state, jax.random.split(key, STEPS))
        return state, loss(apply(state[0], unseen_x), unseen_y)

    key = jax.random.key(1)
    weights = init(key)
    still = each(jnp.zeros_like, weights)
    begin = loss(apply(weights, unseen_x), unseen_y)
    _, after = jax.lax.scan(epoch, (weights, still, still, 0.0), jax.random.split(key, EPOCHS))
    return jnp.concatenate([begin[None], after])


def split(name: str) -> tuple[Any, Any, Any, Any]:
    """Return scikit-learn's data set *name*: inputs and targets, four fifths to train, the rest not."""
    from sklearn import datasets

    known = getattr(datasets, f"load_{name}")()
    x, y = known.data.astype("float32"), known.target
    x = x / 16 if name == "digits" else (x - x.mean(axis=0)) / x.std(axis=0)
    order = np.random.default_rng(0).permutation(len(x))
    x, y, cut = x[order], y[order], len(x) * 4 // 5
    return jnp.asarray(x[:cut]), jnp.asarray(y[:cut]), jnp.asarray(x[cut:]), jnp.asarray(y[cut:])


def dense(sizes: list[int], activation: Callable[[Any], Any]) -> Net:
    def init(key: Any) -> Any:
        keys = jax.random.split(key, len(sizes) - 1)
        return [layer(*each) for each in zip(keys, sizes, sizes[1:], strict=False)]

    def apply(weights: Any, x: Any) -> Any:
        for each in weights[:-1]:
            x = activation(x @ each["w"] + each["b"])
        return x @ weights[-1]["w"] + weights[-1]["b"]

    return init, apply


def recurrent(
    width: int,
    hidden: int,
    out: int,
    activation: Callable[[Any], Any],
    *,
    identity: bool = False,
) -> Net:
    """Return a net that reads a picture row by row."""

    def init(key: Any) -> Any:
        into, round_, out_of = jax.random.split(key, 3)
        again = layer(round_, hidden, hidden)
        if identity:
            again["w"] = jnp.eye(hidden)
        return [layer(into, width, hidden), again, layer(out_of, hidden, out)]

    def apply(weights: Any, x: Any) -> Any:
        into, again, out_of = weights
        state = jnp.zeros((len(x), hidden))
        for row in jnp.moveaxis(x.reshape(len(x), -1, width), 1, 0):
            state = activation(row @ into["w"] + into["b"] + state @ again["w"])
        return state @ out_of["w"] + out_of["b"]

    return init, apply


def layer(key: Any, into: int, out: int) -> dict[str, Any]:
    return {"w": jax.random.normal(key, (into, out)) / np.sqrt(into), "b": jnp.zeros(out)}


def cross_entropy(scores: Any, labels: Any) -> Any:
    chosen = jnp.take_along_axis(scores, labels[:, None], axis=1)[:, 0]
    return jnp.mean(jax.nn.logsumexp(scores, axis=1) - chosen)


def squared_error(found: Any, wanted: Any) -> Any:
    return jnp.mean((found - wanted) ** 2)


if __name__ == "__main__":
    sys.exit(main())
