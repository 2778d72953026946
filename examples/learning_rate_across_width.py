"""The best learning rate of a wide net, from a narrow one: does it stay where it was?

Trains a net of two hidden layers for Fashion-MNIST with Adam, at several widths and learning rates, in
the usual parametrisation and in the maximal update parametrisation (luthier.craft.maximal_update), and
prints the training loss at the end, averaged over the last quarter of the steps. About two minutes on
one core.
"""

import math
import os

import numpy as np
import torch
from torch import nn

import luthier
from luthier.craft.maximal_update import multipliers

SMOKE = os.environ.get("LUTHIER_SMOKE") == "1"
WIDTHS = (64, 512) if SMOKE else (64, 256, 1024)
RATES = [2.0**-k for k in range(13, 4, -2 if SMOKE else -1)]
BASE_WIDTH = 64
BATCH_SIZE = 64


def parts(width):
    """Return the layers' sizes and what each is to the parametrisation."""
    return [(28 * 28, width, "input"), (width, width, "hidden"), (width, 10, "output")]


def net(width, rate, maximal_update):
    """Return the net and the groups of its parameters with their learning rates."""
    layers, groups = [], []
    for inputs, outputs, part in parts(width):
        layer = nn.Linear(inputs, outputs)
        nn.init.normal_(layer.weight, std=math.sqrt(2 / inputs))
        nn.init.zeros_(layer.bias)
        bias = "output_bias" if part == "output" else "bias"
        for parameter, role in ((layer.weight, part), (layer.bias, bias)):
            times = multipliers(role, "adam", width if maximal_update else BASE_WIDTH, BASE_WIDTH)
            with torch.no_grad():
                parameter *= times.initial_scale
            groups.append({"params": [parameter], "lr": rate * times.learning_rate})
        layers += [layer, nn.ReLU()]
    return nn.Sequential(*layers[:-1]), groups


def final_loss(width, rate, maximal_update, x, y, steps, seed=0):
    """Return the training loss, averaged over the last quarter of the steps."""
    torch.manual_seed(seed)
    model, groups = net(width, rate, maximal_update)
    optimizer = torch.optim.Adam(groups, fused=True)
    batches = torch.randint(
        len(x), (steps, BATCH_SIZE), generator=torch.Generator().manual_seed(seed)
    )
    losses = []
    for rows in batches:
        loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return float(np.mean(losses[-steps // 4 :]))


def best_rate(rates, losses):
    """Return where a parabola through the lowest loss and its two neighbours has its minimum."""
    at = min(max(int(np.argmin(losses)), 1), len(rates) - 2)
    a, b, _ = np.polyfit(np.log2(rates[at - 1 : at + 2]), losses[at - 1 : at + 2], 2)
    if a <= 0 or np.argmin(losses) != at:
        return rates[int(np.argmin(losses))]
    return float(2.0 ** (-b / (2 * a)))


def sweep(widths, rates, steps):
    """Return {(parametrisation, width): losses at the rates}."""
    images, labels = luthier.datasets.fashion_mnist("subset").train
    x = torch.from_numpy(images).reshape(len(images), -1)
    x, y = (x - x.mean()) / x.std(), torch.from_numpy(labels)
    return {
        (name, width): [
            final_loss(width, rate, name == "maximal update", x, y, steps) for rate in rates
        ]
        for name in ("usual", "maximal update")
        for width in widths
    }


def show(found, widths, rates):
    """Print the losses, the best rates, and how far these move from the narrowest net to the widest."""
    print("training loss       " + "".join(f"{rate:9.1e}" for rate in rates) + "  best rate")
    for (name, width), losses in found.items():
        row = "".join(f"{loss:9.3f}" for loss in losses)
        print(f"{name:14} {width:5}{row}  {best_rate(rates, losses):9.1e}")
    for name in ("usual", "maximal update"):
        narrow, wide = (best_rate(rates, found[name, width]) for width in (widths[0], widths[-1]))
        print(
            f"{name}: from {widths[0]} to {widths[-1]} units the best learning rate is multiplied by "
            f"{wide / narrow:.2f}"
        )


if __name__ == "__main__":
    torch.set_num_threads(1)
    show(sweep(WIDTHS, RATES, steps=100 if SMOKE else 200), WIDTHS, RATES)
