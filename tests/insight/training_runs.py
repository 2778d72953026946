"""Small real nets that train, in numpy, and can be made to misbehave: what ``make_curves.py`` runs."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

Part = tuple[np.ndarray, np.ndarray]
Found = tuple[float, float]


@dataclass(frozen=True)
class Recipe:
    """How one run is made. Rates are those of the first epoch; *schedule* says how they go on."""

    data: str  # fashion, digits, cancer
    examples: int
    validation: int = 400
    widths: tuple[int, ...] = (64,)  # of the hidden layers
    optimizer: str = "adam"  # adam, or sgd with momentum 0.9
    rate: float = 1e-3
    schedule: str = "constant"  # constant, cosine, early (decays after a seventh), growing
    growth: float = 1.0  # the last rate over the first
    batch: int = 32
    epochs: int = 30
    dropout: float = 0.0
    decay: float = 0.0  # L2, coupled
    noise: float = 0.0  # share of the training labels drawn anew
    frozen: bool = False  # all but the last layer
    scale: float = 1.0  # of the initial weights
    ascent: float = 2.0  # share of the epochs after which the gradient's sign is wrong; > 1: never
    ascent_factor: float = 1.0
    running: bool = True  # training metrics averaged while the epoch ran, as Keras does
    seed: int = 0

    def rate_at(self, epoch: int) -> float:
        """Return the learning rate of an epoch counted from 0; past the end that of the last one."""
        share = min(epoch, self.epochs - 1) / max(self.epochs - 1, 1)
        factor = {
            "constant": 1.0,
            "cosine": 0.5 * (1 + np.cos(np.pi * share)),
            "early": 1.0 if share < 1 / 7 else 0.03,
            "growing": self.growth**share,
        }[self.schedule]
        turned = epoch >= self.ascent * self.epochs
        return float(self.rate * factor * (-self.ascent_factor if turned else 1.0))


@dataclass
class State:
    """Weights and the optimizer's averages, between two epochs."""

    layers: list[np.ndarray]
    first: list[np.ndarray]
    second: list[np.ndarray]
    count: int


@dataclass
class Run:
    """What was measured at the end of each epoch."""

    reported: dict[str, list[float]]  # what a trial would report
    clean_train: list[float]  # loss on the training set, nothing dropped, weights as they stood
    held_out: list[float]  # loss on a large set that nobody reports
    held_out_accuracy: list[float]
    states: dict[int, State]


# -- data ---------------------------------------------------------------------------------------


@cache
def pools(name: str) -> tuple[Part, Part, Part]:
    """Return what may be trained on, validated on, and the large held-out set."""
    if name == "fashion":
        from luthier.datasets import fashion_mnist

        parts = fashion_mnist("subset", download=False)
        images = np.concatenate([p[0] for p in (parts.train, parts.validation, parts.test)])
        y = np.concatenate([p[1] for p in (parts.train, parts.validation, parts.test)])
        x = images.reshape(-1, 7, 4, 7, 4).mean((2, 4)).reshape(len(y), -1)
        sizes = (600, 400)
    else:
        from sklearn import datasets

        load = {"digits": datasets.load_digits, "cancer": datasets.load_breast_cancer}[name]
        x, y = load(return_X_y=True)
        sizes = {"digits": (600, 300), "cancer": (260, 100)}[name]
    order = np.random.default_rng(0).permutation(len(y))
    spread = x.std() if name != "cancer" else x.std(0)
    x = ((x - x.mean(0)) / spread)[order].astype(np.float32)
    y = y[order].astype(np.int32)
    a, b = sizes[0], sum(sizes)
    return (x[:a], y[:a]), (x[a:b], y[a:b]), (x[b : b + 1200], y[b : b + 1200])


def parts_of(recipe: Recipe) -> tuple[Part, Part, Part]:
    """Return training, validation and held-out data, labels spoilt as the recipe says."""
    (x, y), (vx, vy), held = pools(recipe.data)
    chance = np.random.default_rng(recipe.seed)
    chosen = chance.permutation(len(y))[: recipe.examples]
    x, y = x[chosen], y[chosen].copy()
    spoilt = chance.random(len(y)) < recipe.noise
    y[spoilt] = chance.integers(0, int(held[1].max()) + 1, spoilt.sum())
    some = chance.permutation(len(vy))[: recipe.validation]
    return (x, y), (vx[some], vy[some]), held


# -- the net ------------------------------------------------------------------------------------


def initial(recipe: Recipe, inputs: int, classes: int) -> list[np.ndarray]:
    """Return weights and biases in turn, He-scaled."""
    chance = np.random.default_rng(recipe.seed + 1)
    layers, before = [], inputs
    for width in (*recipe.widths, classes):
        spread = recipe.scale * np.sqrt(2 / before)
        layers += [spread * chance.standard_normal((before, width)), np.zeros(width)]
        before = width
    return [a.astype(np.float32) for a in layers]


def forward(layers: list[np.ndarray], x: np.ndarray, dropped: np.ndarray | None) -> list:
    """Return the input and each layer's output; *dropped* scales the last hidden layer."""
    outputs = [x]
    for at in range(0, len(layers), 2):
        x = x @ layers[at] + layers[at + 1]
        if at < len(layers) - 2:
            x = np.maximum(x, 0)
            if dropped is not None and at == len(layers) - 4:
                x = x * dropped
        outputs.append(x)
    return outputs


def scored(answers: np.ndarray, y: np.ndarray) -> tuple[float, float, np.ndarray]:
    """Return mean cross-entropy (nats), accuracy, and the slope of the former by the answers."""
    shifted = answers - answers.max(1, keepdims=True)
    weights = np.exp(shifted)
    sums = weights.sum(1)
    rows = np.arange(len(y))
    loss = float((np.log(sums) - shifted[rows, y]).mean())
    slope = weights / sums[:, None]
    slope[rows, y] -= 1
    return loss, float((answers.argmax(1) == y).mean()), slope / np.float32(len(y))


def measure(layers: list[np.ndarray], part: Part) -> tuple[float, float]:
    """Return loss and accuracy, nothing dropped."""
    return scored(forward(layers, part[0], None)[-1], part[1])[:2]


def slopes_of(layers, outputs, slope, dropped, decay) -> list[np.ndarray]:
    """Return the gradient, in the order of the layers' arrays (backpropagation)."""
    found: list[np.ndarray] = []
    for at in range(len(layers) - 2, -1, -2):
        before = outputs[at // 2]
        found[:0] = [before.T @ slope + np.float32(decay) * layers[at], slope.sum(0)]
        if at:
            slope = (slope @ layers[at].T) * (before > 0)
            if dropped is not None and at == len(layers) - 2:
                slope = slope * dropped
    return found


def train_epoch(state: State, part: Part, recipe: Recipe, rate: float, seed: int) -> Found:
    """Train one epoch in random order, in place; return the running loss and accuracy."""
    x, y = part
    chance = np.random.default_rng(seed)
    batch = min(recipe.batch, len(y))
    order = chance.permutation(len(y))
    totals, steps = np.zeros(2), len(y) // batch
    for step in range(steps):
        rows = order[step * batch : (step + 1) * batch]
        dropped = None
        if recipe.dropout:
            kept = chance.random((batch, recipe.widths[-1])) >= recipe.dropout
            dropped = (kept / (1 - recipe.dropout)).astype(np.float32)
        outputs = forward(state.layers, x[rows], dropped)
        loss, accuracy, slope = scored(outputs[-1], y[rows])
        totals += (loss, accuracy)
        slopes = slopes_of(state.layers, outputs, slope, dropped, recipe.decay)
        _update(state, slopes, recipe, rate)
    return tuple(totals / steps)


def _update(state: State, slopes: list[np.ndarray], recipe: Recipe, rate: float) -> None:
    state.count += 1
    first_free = len(slopes) - 2 if recipe.frozen else 0
    for at in range(first_free, len(slopes)):
        m, v, g = state.first[at], state.second[at], slopes[at]
        if recipe.optimizer == "adam":
            m *= np.float32(0.9)
            m += np.float32(0.1) * g
            v *= np.float32(0.999)
            v += np.float32(0.001) * g * g
            up, down = 1 - 0.9**state.count, 1 - 0.999**state.count
            state.layers[at] -= np.float32(rate / up) * m / (np.sqrt(v / np.float32(down)) + 1e-8)
        else:
            m *= np.float32(0.9)
            m += g
            state.layers[at] -= np.float32(rate) * m


# -- a run --------------------------------------------------------------------------------------


def train(recipe: Recipe, *, start=None, begin=0, end=None, rates=None, keep=()) -> Run:
    """Train epochs *begin* to *end*, from a state where one is given, until a loss is not finite.

    Args:
        rates: the learning rate by epoch, in place of the recipe's own.
        keep: after how many epochs to keep the state.
    """
    part, validation, held_out = parts_of(recipe)
    if start is None:
        layers = initial(recipe, part[0].shape[1], int(held_out[1].max()) + 1)
        zeros = [np.zeros_like(a) for a in layers]
        start = State(layers, zeros, copy.deepcopy(zeros), 0)
    state = copy.deepcopy(start)
    names = ("loss", "accuracy", "val_loss", "val_accuracy")
    run = Run({n: [] for n in names}, [], [], [], {})
    with np.errstate(all="ignore"):
        for number in range(begin, recipe.epochs if end is None else end):
            rate = recipe.rate_at(number) if rates is None else rates(number)
            running = train_epoch(state, part, recipe, rate, recipe.seed * 1000 + number)
            clean, held = measure(state.layers, part), measure(state.layers, held_out)
            shown = (
                *(running if recipe.running else clean),
                *measure(state.layers, validation),
            )
            for name, value in zip(names, shown, strict=True):
                run.reported[name].append(float(value))
            run.clean_train.append(clean[0])
            run.held_out.append(held[0])
            run.held_out_accuracy.append(held[1])
            if number + 1 in keep:
                run.states[number + 1] = copy.deepcopy(state)
            if not np.isfinite([shown[0], shown[2]]).all():
                break
    return run


def reference(recipe: Recipe) -> Recipe:
    """Return the same data and length with a net and settings that nothing holds back."""
    widths = tuple(max(96, 2 * w) for w in recipe.widths)
    return replace(
        recipe, widths=widths, optimizer="adam", rate=2e-3, schedule="cosine", batch=32,
        epochs=max(30, recipe.epochs), dropout=0.0, decay=0.0, frozen=False, scale=1.0,
        ascent=2.0,
    )  # fmt: skip
