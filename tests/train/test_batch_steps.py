"""Measuring batch sizes in each framework, where memory really runs out."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from luthier.craft.batch_size import find
from luthier.errors import StudyError
from luthier.run.worker import out_of_memory
from luthier.train.batch_size import jax_steps, torch_steps

pytestmark = pytest.mark.frameworks
ROOM = 32  # more examples ask for a petabyte
SIZES = [8, 16, 32, 40, 48, 64]


class Greedy(nn.Module):
    def forward(self, x):
        return x + torch.empty(2**48)[0] if len(x) > ROOM else x


@pytest.mark.parametrize("classes", [True, False])
def test_torch(classes):
    seen, nets = [], []
    x = torch.arange(20.0).reshape(10, 2)
    y = torch.arange(10) % 3 if classes else torch.ones(10, 3)

    def build():
        net = nn.Sequential(Greedy(), nn.Linear(2, 3))
        net[0].register_forward_hook(lambda module, inputs, output: seen.append(inputs[0].clone()))
        nets.append((net, [p.clone() for p in net.parameters()]))
        return net, torch.optim.SGD(net.parameters(), 1e-3)

    found = find(torch_steps(build, (x, y)), most=128, warm_up=1, repeats=3)
    assert [t.batch_size for t in found.timings] == SIZES
    assert (found.largest, found.out_of_memory) == (ROOM, 40)
    assert len(nets) == len(SIZES)
    # Each step really trained, on the examples over and over.
    assert len(seen) == 3 * 4
    assert torch.equal(seen[4], x[[*range(10), *range(6)]])
    net, before = nets[0]
    assert not torch.equal(before[0], next(net.parameters()))


def test_jax():
    import jax

    calls = []

    def step(weights, batch):
        x, y = batch
        calls.append(len(x))  # once a batch size: when it is compiled
        if len(x) > ROOM:
            wide = jax.numpy.repeat(weights, 2**22)
            weights = weights + jax.numpy.sort(jax.numpy.outer(wide, wide + 1), axis=0)[0, 0]

        def loss(w):
            return ((x @ w - y) ** 2).mean()

        return weights - 0.1 * jax.grad(loss)(weights), {}

    def build():
        return jax.numpy.zeros(2), step, None

    data = np.ones((10, 2), np.float32), np.ones(10, np.float32)
    steps = jax_steps(build, data)
    found = find(steps, most=128, warm_up=1, repeats=3)
    assert [t.batch_size for t in found.timings] == SIZES
    assert calls == [8, 16, 32, 64, 48, 40]
    assert (found.largest, found.out_of_memory) == (ROOM, 40)


def test_keras():
    script = Path(__file__).parent / "keras_batch_steps.py"
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, script], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"{SIZES} 32 40 6 True"


def test_torch_says_on_the_cpu_that_memory_ran_out():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**48)
    assert out_of_memory(caught.value)


def test_data_that_do_not_belong_together():
    with pytest.raises(StudyError, match="batch size's data"):
        torch_steps(lambda: None, (np.ones((3, 2)), np.ones(4)))
