"""One training step of a given batch size, in Keras, PyTorch and JAX, for measuring its speed.

Each function returns ``steps(batch_size)`` for ``luthier.craft.batch_size.find``, which builds a new
model, makes a batch from the examples (over and over, where there are fewer), and returns a function
that takes a step and waits until it is done. Nothing of the user's is trained or changed.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import numpy as np

from luthier.train.data import check_lengths

Steps = Callable[[int], Callable[[], object]]


def keras_steps(build: Callable[[], Any], data: Any) -> Steps:
    """Return the steps of a compiled Keras model, on any backend.

    Args:
        build: returns the compiled model, a new one each time.
        data: (x, y) arrays, examples along the first axis.
    """
    x, y = _checked(data)

    def steps(size: int) -> Callable[[], object]:
        from luthier.train.memory import give_back

        give_back()
        model = build()
        batch = _rows(x, size), _rows(y, size)
        # What it returns are numbers on the host, so the step is done.
        return lambda: model.train_on_batch(*batch)

    return steps


def torch_steps(
    build: Callable[[], Any],
    data: Any,
    loss: Callable[..., Any] | None = None,
    device: str | None = None,
) -> Steps:
    """Return the steps of a PyTorch model.

    Args:
        build: returns (model, optimizer), or a third part that is not used; new ones each time.
        data: (x, y) arrays or tensors, examples along the first axis.
        loss: ``loss(outputs, targets)``; by default the cross-entropy for whole-number targets, else
            the mean squared error.
        device: where to train; by default the GPU if there is one.
    """
    import torch

    x, y = (torch.as_tensor(part) for part in _checked(data))
    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    on_gpu = place.type == "cuda"
    x = x.to(torch.get_default_dtype()) if x.is_floating_point() else x
    y = y.to(torch.get_default_dtype()) if y.is_floating_point() else y.long()
    functions = torch.nn.functional
    measure = loss or (functions.mse_loss if y.is_floating_point() else functions.cross_entropy)

    def steps(size: int) -> Callable[[], object]:
        gc.collect()
        if on_gpu:
            torch.cuda.empty_cache()  # what a smaller batch left in pieces
        model, optimizer, *_ = build()
        model.to(place).train()
        rows = torch.arange(size) % len(x)
        inputs, targets = x[rows].to(place), y[rows].to(place)

        def step() -> None:
            optimizer.zero_grad(set_to_none=True)
            measure(model(inputs), targets).backward()
            optimizer.step()
            if on_gpu:
                torch.cuda.synchronize(place)

        return step

    return steps


def jax_steps(build: Callable[[], Any], data: Any) -> Steps:
    """Return the steps of a JAX model.

    Args:
        build: returns (state, step), or a third part that is not used, where ``step(state, batch)``
            returns (state, metrics) as for ``luthier.jax.tune``; it is compiled here.
        data: (x, y) arrays, examples along the first axis.
    """
    import jax

    x, y = _checked(data)

    def steps(size: int) -> Callable[[], object]:
        gc.collect()
        state, step, *_ = build()
        compiled = jax.jit(step)
        batch = jax.device_put((_rows(x, size), _rows(y, size)))

        def take() -> None:
            nonlocal state
            state, _ = jax.block_until_ready(compiled(state, batch))

        return take

    return steps


def _checked(data: Any) -> tuple[Any, Any]:
    x, y = data
    x = x if hasattr(x, "ndim") else np.asarray(x)
    y = y if hasattr(y, "ndim") else np.asarray(y)
    check_lengths("batch size's", x, y)
    return x, y


def _rows(values: Any, size: int) -> Any:
    array = np.asarray(values)
    return array[np.arange(size) % len(array)]
