"""How long the products of matrices of a search's MLPs take by themselves: no way of training takes less.

PYTHON fused_products.py data.npz '{"units": [[64, 10], ...], "batch_size": 64}'

For each net of one hidden layer (units, epochs): per batch two products forwards, and three backwards,
as XLA runs them, with no other operation between them.
"""

import json
import os
import statistics
import sys
import time

answers = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402

CLASSES = 10
TIMES = 3


def seconds_an_epoch(batches, units: int) -> float:
    """Return what the products of an epoch take, the median of three."""
    inputs = batches.shape[-1]
    first, second = jnp.full((inputs, units), 0.01), jnp.full((units, CLASSES), 0.01)

    def step(_, batch):
        hidden = batch @ first
        out = hidden @ second
        # Each result is carried, so that each is computed, whole and in every batch.
        return (batch.T @ (out @ second.T), hidden.T @ out), None

    epoch = jax.jit(lambda data: jax.lax.scan(step, (first, second), data)[0])
    jax.block_until_ready(epoch(batches))
    taken = []
    for _ in range(TIMES):
        begin = time.perf_counter()
        jax.block_until_ready(epoch(batches))
        taken.append(time.perf_counter() - begin)
    return statistics.median(taken)


data, setting = np.load(sys.argv[1]), json.loads(sys.argv[2])
images = np.asarray(data["x"], "float32").reshape(len(data["x"]), -1)
whole = len(images) // setting["batch_size"] * setting["batch_size"]
batches = jnp.asarray(images[:whole].reshape(-1, setting["batch_size"], images.shape[1]))
each = {units: seconds_an_epoch(batches, units) for units in {u for u, _ in setting["units"]}}
seconds = sum(each[units] * epochs for units, epochs in setting["units"])
floats = sum(
    epochs * whole * units * 2 * (2 * images.shape[1] + 3 * CLASSES)
    for units, epochs in setting["units"]
)
answers.write(json.dumps({"seconds": seconds, "gigaflops": floats / seconds / 1e9}) + "\n")
