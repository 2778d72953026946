"""The maximal update parametrisation: its table, what it is for, and the example's finding."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest

from luthier.craft.maximal_update import Multipliers, multipliers
from luthier.errors import SpaceError

EXAMPLE = Path(__file__).parents[2] / "examples" / "learning_rate_across_width.py"

# Yang et al. 2022, Table 3, for a net four times as wide.
TABLE = {
    ("input", "sgd"): Multipliers(1, 4),
    ("bias", "sgd"): Multipliers(1, 4),
    ("hidden", "sgd"): Multipliers(1, 1),
    ("output", "sgd"): Multipliers(0.5, 0.25),
    ("output_bias", "sgd"): Multipliers(1, 1),
    ("input", "adam"): Multipliers(1, 1),
    ("bias", "adam"): Multipliers(1, 1),
    ("hidden", "adam"): Multipliers(1, 0.25),
    ("output", "adam"): Multipliers(0.5, 0.25),
    ("output_bias", "adam"): Multipliers(1, 1),
}


@pytest.mark.parametrize(("part", "optimizer"), TABLE)
def test_table_3(part, optimizer):
    assert multipliers(part, optimizer, 256, 64) == TABLE[part, optimizer]
    assert multipliers(part, optimizer, 64, 64) == Multipliers(1, 1)


def test_what_cannot_be():
    with pytest.raises(SpaceError, match="Did you mean 'hidden'"):
        multipliers("hiden", "adam", 8, 8)
    with pytest.raises(SpaceError, match="width=0"):
        multipliers("hidden", "adam", 0, 8)
    with pytest.raises(SpaceError, match="optimizer='lion'"):
        multipliers("hidden", "lion", 8, 8)


def changes(width, optimizer, maximal_update, steps=4):
    """Return by how much the hidden layers' and the output's values change in a few steps.

    The coordinate check of Yang et al. 2022, section D.1: in the maximal update parametrisation it does
    not depend on the width.
    """
    import torch
    from torch import nn

    torch.manual_seed(0)
    x, y = torch.randn(64, 20), torch.randint(0, 5, (64,))
    layers, groups = [], []
    rate = 0.05 if optimizer == "sgd" else 2e-3
    for inputs, outputs, part in [
        (20, width, "input"),
        (width, width, "hidden"),
        (width, 5, "output"),
    ]:
        layer = nn.Linear(inputs, outputs)
        nn.init.normal_(layer.weight, std=math.sqrt(2 / inputs))
        nn.init.zeros_(layer.bias)
        bias = "output_bias" if part == "output" else "bias"
        for parameter, role in ((layer.weight, part), (layer.bias, bias)):
            times = multipliers(role, optimizer, width if maximal_update else 64, 64)
            with torch.no_grad():
                parameter *= times.initial_scale
            groups.append({"params": [parameter], "lr": rate * times.learning_rate})
        layers += [layer, nn.ReLU()]
    net = nn.Sequential(*layers[:-1])
    moves = (torch.optim.SGD if optimizer == "sgd" else torch.optim.Adam)(groups)

    def values():
        with torch.no_grad():
            return [net[:depth](x) for depth in (1, 3, 5)]

    before = values()
    for _ in range(steps):
        moves.zero_grad()
        nn.functional.cross_entropy(net(x), y).backward()
        moves.step()
    return np.array(
        [(a - b).pow(2).mean().sqrt().item() for a, b in zip(values(), before, strict=True)]
    )


@pytest.mark.frameworks
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_every_layer_moves_as_much_in_a_wide_net(optimizer):
    narrow, wide = (changes(width, optimizer, True) for width in (64, 1024))
    usual = changes(1024, optimizer, False)
    assert (abs(np.log2(wide / narrow)) < 1).all(), wide / narrow
    # In the usual parametrisation some layer moves many times as much, or hardly at all.
    assert abs(np.log2(usual / narrow)).max() > 2, usual / narrow


@pytest.mark.frameworks
def test_the_best_learning_rate_stays_where_it_was(capsys):
    """The example in a reduced form: over four seeds the usual one moved to 0.21 to 0.31 of it."""
    spec = importlib.util.spec_from_file_location("learning_rate_across_width", EXAMPLE)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    rates = [2.0**-k for k in range(12, 6, -1)]
    found = example.sweep((64, 512), rates, steps=100)
    moved = {
        name: example.best_rate(rates, found[name, 512]) / example.best_rate(rates, found[name, 64])
        for name in ("usual", "maximal update")
    }
    assert moved["usual"] < 0.5
    assert 0.5 < moved["maximal update"] < 2
    # Taken over from the narrow net, the rate costs the wide one much in the usual parametrisation.
    taken = int(np.argmin(found["usual", 64]))
    lost = {name: found[name, 512][taken] / min(found[name, 512]) for name in moved}
    assert lost["usual"] > 1.05 > lost["maximal update"]
    example.show(found, (64, 512), rates)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + 4 + 2
    assert lines[-2].endswith(f"multiplied by {moved['usual']:.2f}")
