"""Sweeps of a learning-rate range test in PyTorch; afterwards all is as it was, bit for bit."""

from __future__ import annotations

import copy
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from luthier.study.chance import derive
from luthier.train.data import checked_size
from luthier.train.range_sweep import batches, endless, is_pair, sweep, training_part
from luthier.train.torch import check_steps, loss_for, tensor_pair
from luthier.train.torch_state import keeping_random_state

Loss = Callable[[Tensor, Tensor], Tensor]


def sweeps(
    model: nn.Module,
    optimizer: Optimizer,
    data: Any,
    rates: np.ndarray,
    *,
    loss: Loss | None,
    batch_size: int,
    count: int,
    seed: int,
) -> np.ndarray:
    """Return the losses of *count* sweeps, shape (count, rates); arguments as for the door's.

    Raises:
        StudyError: data, a batch size or an optimizer that cannot be.
    """
    check_steps(optimizer)
    built = [float(group["lr"]) for group in optimizer.param_groups]
    shares = [rate / (built[0] or 1.0) for rate in built]
    found: list[np.ndarray] = []
    for index in range(count):
        with _as_it_was(model, optimizer), keeping_random_state():
            torch.manual_seed(derive(seed, "range", index) >> 33)
            model.train()
            pairs = _pairs(data, checked_size(batch_size), seed, index)

            def train(rate: float, pairs: Iterator[Any] = pairs) -> float:
                for group, share in zip(optimizer.param_groups, shares, strict=True):
                    group["lr"] = rate * share
                return _step(model, optimizer, loss, next(pairs))

            found.append(sweep(train, rates))
    return np.stack(found)


def _step(model: nn.Module, optimizer: Optimizer, loss: Loss | None, batch: Any) -> float:
    device = next(model.parameters()).device
    inputs, targets = (part.to(device) for part in batch)
    optimizer.zero_grad(set_to_none=True)
    value = (loss or loss_for(targets))(model(inputs), targets)
    value.backward()
    optimizer.step()
    return value.item()


def _pairs(data: Any, size: int, seed: int, index: int) -> Iterator[tuple[Tensor, Tensor]]:
    part = training_part(data)
    if is_pair(part):
        inputs, targets = tensor_pair(*part)
        for rows in batches(len(inputs), size, seed, index):
            chosen = torch.from_numpy(rows)
            yield inputs[chosen], targets[chosen]
    else:
        yield from endless(part)


@contextmanager
def _as_it_was(model: nn.Module, optimizer: Optimizer) -> Generator[None]:
    """Put weights, buffers, the optimizer's state, gradients and modes back at the end."""
    weights = copy.deepcopy(model.state_dict())
    moments = copy.deepcopy(optimizer.state_dict())
    modes = [(module, module.training) for module in model.modules()]
    gradients = [(p, None if p.grad is None else p.grad.clone()) for p in model.parameters()]
    try:
        yield
    finally:
        model.load_state_dict(weights)
        optimizer.load_state_dict(moments)
        for module, mode in modes:
            module.training = mode
        for parameter, gradient in gradients:
            parameter.grad = gradient
