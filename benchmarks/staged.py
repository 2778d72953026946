"""Stages beside random search, Hyperband and plain auto, at equal epochs, with real training.

Small nets in numpy, trained by SGD with momentum, over eight hyperparameters: α, β, batch size, units,
layers, decay, λ and dropout, on 4,000 images of Fashion-MNIST and on scikit-learn's digits and breast cancer.
All tuners search the same joint space, go by the loss on the validation part, and are judged by the error
on the test part of the configuration that they hold for the best, after so many epochs of all trials.

    python benchmarks/staged.py --seeds 5               # some 40 minutes of one core
    python benchmarks/staged.py --data digits breast_cancer --seeds 15
    python benchmarks/staged.py --data digits --seeds 2 --trainings 30
    python benchmarks/staged.py --report
"""

from __future__ import annotations

import argparse
import json
import math
import warnings
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from peers.results import conditions, verdict, write_section

import luthier
from luthier.craft.stages import Stages
from luthier.study import events as ev
from luthier.study.log import read_log

EPOCHS = 9  # of one training: R
SPACE = luthier.Space(
    learning_rate=luthier.Float(1e-4, 1.0, scale="log"),
    momentum=luthier.Float(0.5, 0.99, scale="one_minus_log"),
    batch_size=luthier.Int(8, 256, scale="log"),
    units=luthier.Int(8, 256, scale="log"),
    layers=luthier.Int(1, 3),
    decay=luthier.Float(0.5, 1.0),
    weight_decay=luthier.Float(1e-6, 1e-1, scale="log"),
    dropout=luthier.Float(0.0, 0.6),
)
TUNERS: dict[str, tuple[Any, str | None]] = {
    "random": ("random", None),
    "hyperband": ("random", "hyperband"),
    "auto": (None, "auto"),
    "stages": (Stages(), "auto"),
    "auto, full trainings": (None, None),
    "stages, full trainings": (Stages(), None),
    "stages, Ng's order": (Stages(order="ng"), "auto"),
}
RESAMPLES = 2000
TITLE = "Stages"


@cache
def data(name: str, seed: int) -> tuple[np.ndarray, ...]:
    """Return inputs and classes of the train, validation and test part.

    The small sets are divided anew for each seed: their test parts are of a few hundred examples, and all
    seeds on one of them would share its luck.
    """
    if name == "fashion":
        whole = luthier.datasets.fashion_mnist("subset")
        parts = (whole.train, whole.validation, whole.test)
        inputs = [x.reshape(len(x), -1) - 0.286 for x, _ in parts]
        return (
            inputs[0][:4000],
            parts[0][1][:4000],
            inputs[1],
            parts[1][1],
            inputs[2],
            parts[2][1],
        )
    from sklearn import datasets
    from sklearn.model_selection import train_test_split

    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    x = ((x - x.mean(axis=0)) / (x.std(axis=0) + 1e-9)).astype(np.float32)
    x, test_x, y, test_y = train_test_split(x, y, test_size=0.3, random_state=seed, stratify=y)
    x, val_x, y, val_y = train_test_split(x, y, test_size=0.3, random_state=seed, stratify=y)
    return x, y, val_x, val_y, test_x, test_y


class Net:
    """A rectified net, trained an epoch at a time."""

    def __init__(self, name: str, c: dict[str, Any], seed: int) -> None:
        self.data, self.c, self.epoch = data(name, seed), c, 0
        self.draws = np.random.default_rng(seed)
        classes = int(self.data[1].max()) + 1
        sizes = [self.data[0].shape[1], *[c["units"]] * c["layers"], classes]
        self.weights = [
            (self.draws.standard_normal((a, b)) * math.sqrt(2 / a)).astype(np.float32)
            for a, b in pairwise(sizes)
        ]
        self.weights += [np.zeros(b, np.float32) for b in sizes[1:]]
        self.velocity = [np.zeros_like(w) for w in self.weights]

    def outputs(self, x: np.ndarray, *, drop: bool) -> tuple[np.ndarray, list[np.ndarray]]:
        """Return class probabilities, and every layer's input; with *drop*, dropout."""
        depth, inputs = len(self.weights) // 2, [x]
        for layer in range(depth):
            x = inputs[-1] @ self.weights[layer] + self.weights[depth + layer]
            if layer < depth - 1:
                x = np.maximum(x, 0)
                if drop and self.c["dropout"]:
                    kept = self.draws.random(x.shape, np.float32) >= self.c["dropout"]
                    x = x * kept / np.float32(1 - self.c["dropout"])
            inputs.append(x)
        scores = np.exp(x - x.max(axis=1, keepdims=True))
        return scores / scores.sum(axis=1, keepdims=True), inputs[:-1]

    def train(self) -> None:
        x, y = self.data[:2]
        rate = self.c["learning_rate"] * self.c["decay"] ** self.epoch
        order = self.draws.permutation(len(x))
        for begin in range(0, len(x), self.c["batch_size"]):
            rows = order[begin : begin + self.c["batch_size"]]
            self.step(x[rows], y[rows], np.float32(rate))
        self.epoch += 1

    def step(self, x: np.ndarray, y: np.ndarray, rate: np.float32) -> None:
        back, inputs = self.outputs(x, drop=True)
        back[np.arange(len(y)), y] -= 1
        back, depth = back / np.float32(len(y)), len(self.weights) // 2
        slopes: list[Any] = [None] * (2 * depth)
        scale = np.float32(1 / (1 - self.c["dropout"]))
        for layer in reversed(range(depth)):
            slopes[layer] = inputs[layer].T @ back
            slopes[layer] += np.float32(self.c["weight_decay"]) * self.weights[layer]
            slopes[depth + layer] = back.sum(axis=0)
            if layer:
                back = (back @ self.weights[layer].T) * (inputs[layer] > 0) * scale
        for weight, velocity, slope in zip(self.weights, self.velocity, slopes, strict=True):
            velocity *= np.float32(self.c["momentum"])
            velocity -= rate * slope
            weight += velocity

    def metrics(self) -> dict[str, float]:
        _, _, val_x, val_y, test_x, test_y = self.data
        chances = self.outputs(val_x, drop=False)[0]
        right = self.outputs(test_x, drop=False)[0].argmax(axis=1) == test_y
        loss = -np.log(np.maximum(chances[np.arange(len(val_y)), val_y], 1e-7)).mean()
        finite = all(np.isfinite(w).all() for w in self.weights)
        return {"val_loss": float(loss) if finite else math.nan, "test_error": 1 - right.mean()}


def run(options: argparse.Namespace, name: str, tuner: str, seed: int) -> list[float]:
    """Return the test error of the choice after each full training's worth of epochs."""
    kept = options.cache / f"{name}__{tuner}__{options.trainings}__{seed}.json"
    if kept.exists():
        return json.loads(kept.read_text())
    nets: dict[str, Net] = {}

    def objective(configuration: dict[str, Any], step: int) -> dict[str, float]:
        net = nets.setdefault(repr(configuration), Net(name, configuration, seed))
        while net.epoch < step:
            net.train()
        return {key: float(value) for key, value in net.metrics().items()}

    searcher, scheduler = TUNERS[tuner]
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        study = luthier.simulate(
            objective, SPACE, minimize="val_loss", searcher=searcher, scheduler=scheduler,
            epochs=EPOCHS, max_epochs=options.trainings * EPOCHS, workers=1, seed=seed,
            widen=False,  # all search the same space
        ).study  # fmt: skip
    found = chosen_errors(study, options.trainings)
    options.cache.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps(found))
    print(f"{kept.stem}: {found[-1]:.4f}, {len(study.trials)} trials", flush=True)
    return found


def chosen_errors(study: luthier.Study, trainings: int) -> list[float]:
    best, error, epochs = math.inf, math.nan, 0
    found = [math.nan] * trainings
    for _, event in read_log(study.store, study.name):
        if isinstance(event, ev.Reported):
            epochs += 1
            if event.metrics["val_loss"] < best:
                best, error = event.metrics["val_loss"], event.metrics["test_error"]
            for index in range(max(0, -(-epochs // EPOCHS) - 1), trainings):
                found[index] = error
    return found


def curves(options: argparse.Namespace, name: str, tuner: str) -> np.ndarray:
    """Return the test error by full trainings, a row for each seed."""
    kept = sorted(options.cache.glob(f"{name}__{tuner}__{options.trainings}__*.json"))
    return np.array([json.loads(path.read_text()) for path in kept]).reshape(-1, options.trainings)


def table(options: argparse.Namespace) -> list[str]:
    lines = ["| data | trainings | " + " | ".join(options.tuners) + " |"]
    lines.append("|---|--:|" + "--:|" * len(options.tuners))
    for name in options.data:
        found = {tuner: curves(options, name, tuner) for tuner in options.tuners}
        for at in sorted(
            {max(1, options.trainings // 4), options.trainings // 2, options.trainings}
        ):
            cells = [interval(rows[:, at - 1]) if len(rows) else "-" for rows in found.values()]
            lines.append(f"| {name} | {at} | " + " | ".join(cells) + " |")
    return lines


def judged(options: argparse.Namespace) -> list[str]:
    """Return how stages stand beside the best of the others, and beside random search's final error."""
    lines: list[str] = []
    for name in options.data:
        found = {t: rows for t in options.tuners if len(rows := curves(options, name, t))}
        if not {"stages", "random"} <= set(found):
            continue
        medians = {tuner: np.nanmedian(rows, axis=0) for tuner, rows in found.items()}
        stages = medians["stages"]
        plain = [t for t in ("random", "hyperband", "auto") if t in found]
        best = min(plain, key=lambda tuner: medians[tuner][-1])
        lines.append(
            verdict(
                f"{name}: median error of stages no worse than that of the best other, {best}",
                bool(stages[-1] <= medians[best][-1]),
                f"{100 * stages[-1]:.2f} %, {100 * medians[best][-1]:.2f} %; "
                f"{different(found['stages'][:, -1], found[best][:, -1])}",
            )
        )
        reached = np.flatnonzero(stages <= medians["random"][-1])
        lines.append(
            verdict(
                f"{name}: random search's final median in fewer epochs than {options.trainings} trainings",
                bool(len(reached) and reached[0] + 1 < options.trainings),
                f"after {reached[0] + 1}" if len(reached) else "not reached",
            )
        )
    return lines


def different(own: np.ndarray, other: np.ndarray) -> str:
    """Return the difference of the medians in points of a percent, with its 90 % bootstrap interval."""
    draws = np.random.default_rng(0)
    gaps = [
        np.nanmedian(draws.choice(own, len(own))) - np.nanmedian(draws.choice(other, len(other)))
        for _ in range(RESAMPLES)
    ]
    low, high = np.quantile(gaps, [0.05, 0.95])
    return f"a difference within [{100 * low:+.2f}, {100 * high:+.2f}]"


def interval(values: np.ndarray) -> str:
    """Return the median in percent, its 90 % bootstrap interval, and the number of seeds."""
    draws = np.random.default_rng(0).choice(values, (RESAMPLES, len(values)))
    low, high = np.nanquantile(np.nanmedian(draws, axis=1), [0.05, 0.95])
    return f"{100 * np.nanmedian(values):.2f} [{100 * low:.2f}, {100 * high:.2f}] ({len(values)})"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", nargs="*", default=["digits", "breast_cancer", "fashion"])
    parser.add_argument("--tuners", nargs="*", choices=list(TUNERS), default=list(TUNERS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--trainings", type=int, default=60, help="the budget, in full trainings")
    parser.add_argument("--cache", type=Path, default=Path("~/.cache/luthier-staged").expanduser())
    parser.add_argument("--report", action="store_true", help="run nothing, use what there is")
    parser.add_argument("--write", action="store_true", help="put the section into RESULTS.md")
    options = parser.parse_args()
    if not options.report:
        for seed in range(options.seeds):
            for name in options.data:
                for tuner in options.tuners:
                    run(options, name, tuner, seed)
    text = "\n".join(
        [
            f"## {TITLE}",
            "",
            *conditions("staged.py", {f"Luthier {luthier.__version__}", f"numpy {np.__version__}"}),
            "",
            f"Test error in percent of the configuration held for the best, after so many trainings' worth of "
            f"epochs ({EPOCHS} each) in all: median over seeds [90 % bootstrap interval] (seeds).",
            "",
            *table(options),
            "",
            *judged(options),
            "",
        ]
    )
    print(text)
    if options.write:
        write_section(TITLE, text)


if __name__ == "__main__":
    main()
