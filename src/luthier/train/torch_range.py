"""Sweeps of a learning-rate range test in PyTorch; afterwards all is as it was, bit for bit."""

from __future__ import annotations

import copy
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
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
    generators = _generators(training_part(data))
    built = [float(group["lr"]) for group in optimizer.param_groups]
    shares = [rate / (built[0] or 1.0) for rate in built]
    found: list[np.ndarray] = []
    for index in range(count):
        with _as_it_was(model, optimizer, generators), keeping_random_state():
            drawn = derive(seed, "range", index) >> 33
            torch.manual_seed(drawn)
            for generator in generators:
                generator.manual_seed(drawn)
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


def _generators(data: Any) -> list[torch.Generator]:
    """Return the generators of its own that a loader draws its order from."""
    samplers = getattr(data, "sampler", None), getattr(data, "batch_sampler", None)
    within = (getattr(sampler, "sampler", None) for sampler in samplers)
    found = (getattr(part, "generator", None) for part in (data, *samplers, *within))
    return list(dict.fromkeys(each for each in found if isinstance(each, torch.Generator)))


def _beside(
    model: nn.Module, weights: Mapping[str, Any]
) -> list[tuple[nn.Module, str, Tensor, Tensor]]:
    """Return the buffers that a state has not (``persistent=False``): whose, which, itself and a copy."""
    return [
        (module, name, buffer, buffer.clone())
        for path, module in model.named_modules()
        for name, buffer in module.named_buffers(recurse=False)
        if (f"{path}.{name}" if path else name) not in weights
    ]


@contextmanager
def _as_it_was(
    model: nn.Module, optimizer: Optimizer, generators: Sequence[torch.Generator]
) -> Generator[None]:
    """Put weights, buffers, the optimizer's state, gradients, modes and *generators* back at the end."""
    weights = copy.deepcopy(model.state_dict())
    beside = _beside(model, weights)
    orders = [generator.get_state() for generator in generators]
    moments = copy.deepcopy(optimizer.state_dict())
    modes = [(module, module.training) for module in model.modules()]
    gradients = [(p, None if p.grad is None else p.grad.clone()) for p in model.parameters()]
    try:
        yield
    finally:
        model.load_state_dict(weights)
        for generator, order in zip(generators, orders, strict=True):
            generator.set_state(order)
        optimizer.load_state_dict(moments)
        for module, mode in modes:
            module.training = mode
        for parameter, gradient in gradients:
            parameter.grad = gradient
        for module, name, buffer, before in beside:
            # One that shows the same memory several times cannot be written to, and has not been.
            setattr(module, name, buffer if torch.equal(buffer, before) else buffer.copy_(before))
