"""Measures batch sizes of a Keras model that has no room for more than 32 examples; prints what it found."""

from __future__ import annotations

import keras
import numpy as np

from luthier.craft.batch_size import find
from luthier.train.batch_size import keras_steps


class Greedy(keras.layers.Layer):
    """Asks for a petabyte where there are more than 32 examples."""

    def call(self, x):
        examples = x.shape[0] or 0  # None while the model is built
        return x + keras.ops.ones((2**24, 2**24))[0, 0] if examples > 32 else x


built = []


def build():
    built.append(keras.Sequential([keras.Input((5,)), Greedy(), keras.layers.Dense(3)]))
    built[-1].compile("sgd", keras.losses.SparseCategoricalCrossentropy(True), run_eagerly=True)
    return built[-1]


x, y = np.ones((10, 5), "float32"), np.arange(10) % 3
found = find(keras_steps(build, (x, y)), most=256, warm_up=1, repeats=3)
sizes = [t.batch_size for t in found.timings]
print(sizes, found.largest, found.out_of_memory, len(built), found.knee in sizes)
