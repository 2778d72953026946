"""The 20 combinations of model, optimizer, data and batch size for ``range_finder.py``, in JAX and optax.

Data: 2,000 + 1,000 images of Fashion-MNIST (those inside Luthier), and the sets that scikit-learn ships,
standardised, a third held out. Models: softmax regression, one hidden layer of 64 (ReLU, tanh, or ReLU
after layer normalisation), three of 64, and two strided convolutions.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from itertools import pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

import luthier

EPOCHS = {"fashion": 8, "digits": 12, "breast_cancer": 16, "wine": 30}
OPTIMIZERS: dict[str, Callable[[], optax.GradientTransformation]] = {
    # each makes the step for rate 1, which is scaled by the rate
    "sgd": optax.identity,
    "momentum": partial(optax.trace, 0.9),
    "nesterov": partial(optax.trace, 0.9, nesterov=True),
    "rmsprop": optax.scale_by_rms,
    "adam": optax.scale_by_adam,
    "adamw": lambda: optax.chain(optax.scale_by_adam(), optax.add_decayed_weights(1e-2)),
}


class Combination(NamedTuple):
    model: str
    optimizer: str
    data: str
    batch_size: int

    def __str__(self) -> str:
        return f"{self.model}, {self.optimizer}, {self.data}, {self.batch_size}"


TUNED = [  # the finder's first rule was chosen by these
    Combination("linear", "sgd", "digits", 32),
    Combination("mlp", "momentum", "fashion", 64),
    Combination("deep", "adam", "fashion", 64),
    Combination("tanh", "rmsprop", "digits", 32),
    Combination("mlp", "adamw", "breast_cancer", 16),
    Combination("cnn", "adam", "fashion", 32),
    Combination("mlp", "sgd", "wine", 16),
    Combination("linear", "adam", "fashion", 64),
    Combination("deep", "momentum", "digits", 64),
    Combination("normed", "rmsprop", "fashion", 64),
]
HELD_OUT = [
    Combination("linear", "momentum", "breast_cancer", 32),
    Combination("mlp", "sgd", "fashion", 32),
    Combination("mlp", "adam", "digits", 16),
    Combination("deep", "rmsprop", "breast_cancer", 32),
    Combination("tanh", "adamw", "fashion", 128),
    Combination("cnn", "sgd", "digits", 32),
    Combination("normed", "nesterov", "digits", 32),
    Combination("deep", "adam", "wine", 16),
    Combination("linear", "rmsprop", "wine", 32),
    Combination("cnn", "adamw", "digits", 64),
]


@cache
def data(name: str) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Return (x, y) to train on and (x, y) held out; images keep their two axes."""
    if name == "fashion":
        both = luthier.datasets.fashion_mnist("subset")
        cut = [(x[:n], y[:n]) for (x, y), n in ((both.train, 2_000), (both.validation, 1_000))]
        train, held_out = [(np.float32(x), np.int32(y)) for x, y in cut]
        return train, held_out
    from sklearn import datasets
    from sklearn.model_selection import train_test_split

    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    x = np.float32((x - x.mean(axis=0)) / (x.std(axis=0) + 1e-9))
    if name == "digits":
        x = x.reshape(-1, 8, 8)
    split = train_test_split(x, np.int32(y), test_size=1 / 3, random_state=0, stratify=y)
    return (split[0], split[2]), (split[1], split[3])


class Net(NamedTuple):
    """What is trained: ``step(state, (x, y), rate)``, a state of a key, and what is measured."""

    start: Callable[[jax.Array], Any]
    step: Callable[[Any, Any, Any], tuple[Any, jax.Array]]
    outputs: Callable[[Any, jax.Array], jax.Array]


def net(combination: Combination) -> Net:
    (x, y), _ = data(combination.data)
    init, forward = _model(combination.model, x.shape[1:], int(y.max()) + 1)
    optimizer = OPTIMIZERS[combination.optimizer]()

    def loss_of(params: Any, batch: Any) -> jax.Array:
        outputs = forward(params, batch[0])
        return optax.softmax_cross_entropy_with_integer_labels(outputs, batch[1]).mean()

    def step(state: Any, batch: Any, rate: Any) -> tuple[Any, jax.Array]:
        loss, gradient = jax.value_and_grad(loss_of)(state[0], batch)
        update, moments = optimizer.update(gradient, state[1], state[0])
        return (jax.tree.map(lambda p, u: p - rate * u, state[0], update), moments), loss

    def start(key: jax.Array) -> Any:
        params = init(key)
        return params, optimizer.init(params)

    return Net(start, step, lambda state, inputs: forward(state[0], inputs))


def _model(name: str, shape: tuple[int, ...], classes: int) -> tuple[Any, Any]:
    if name == "cnn":
        sides = [((shape[0] - 3) // 2 - 2) // 2 + 1]
        sizes = [(9, 8), (72, 16), (16 * sides[0] ** 2, classes)]
        return partial(_init, sizes), _convolutional
    width, inputs = 64, int(np.prod(shape))
    hidden = {"linear": 0, "deep": 3}.get(name, 1)
    widths = [inputs, *[width] * hidden, classes]
    return partial(_init, list(pairwise(widths))), partial(_dense, name)


def _init(sizes: list[tuple[int, int]], key: jax.Array) -> list[dict[str, jax.Array]]:
    """Return layers with He's initial weights."""
    keys = jax.random.split(key, len(sizes))
    return [
        {"w": jax.random.normal(k, (i, o)) * jnp.sqrt(2 / i), "b": jnp.zeros(o)}
        for k, (i, o) in zip(keys, sizes, strict=True)
    ]


def _dense(name: str, params: Any, x: jax.Array) -> jax.Array:
    x = x.reshape(len(x), -1)
    for layer in params[:-1]:
        x = x @ layer["w"] + layer["b"]
        if name == "normed":
            x = (x - x.mean(-1, keepdims=True)) * jax.lax.rsqrt(x.var(-1, keepdims=True) + 1e-5)
        x = jnp.tanh(x) if name == "tanh" else jax.nn.relu(x)
    return x @ params[-1]["w"] + params[-1]["b"]


def _convolutional(params: Any, x: jax.Array) -> jax.Array:
    x = x[..., None]
    for layer in params[:2]:
        x = jax.nn.relu(_patches(x) @ layer["w"] + layer["b"])
    return x.reshape(len(x), -1) @ params[2]["w"] + params[2]["b"]


def _patches(x: jax.Array) -> jax.Array:
    """Return the 3 × 3 patches at every second place: many small nets at once are fast as products."""
    rows, columns = ((side - 3) // 2 + 1 for side in x.shape[1:3])
    shifted = [
        x[:, i : i + 2 * rows - 1 : 2, j : j + 2 * columns - 1 : 2]
        for i in range(3)
        for j in range(3)
    ]
    return jnp.concatenate(shifted, axis=-1)
