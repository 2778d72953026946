"""Data that are read a batch at a time, from files or because they are large; on every backend."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from pausing import curves, run

from luthier.errors import StudyError
from luthier.keras import find_learning_rate, tune
from luthier.space import discover
from luthier.train import keras_data
from luthier.train.keras import Training

BACKEND = keras.backend.backend()
CHANCE = np.random.default_rng(0)
X = CHANCE.normal(size=(96, 6)).astype("float32")
Y = (X[:, 0] > 0).astype("int32")
WEIGHTS = np.linspace(0.5, 1.5, 64).astype("float32")


def net(optimizer, kind=keras.Sequential):
    model = kind([keras.Input((6,)), keras.layers.Dense(2, "softmax")])
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def build(hp):
    return net(keras.optimizers.SGD(hp.float("rate", 0.01, 0.1, scale="log")))


READ = []  # rows that were read at a time


class Counting:
    def __getitem__(self, rows):
        found = np.asarray(super().__getitem__(rows))
        READ.append(len(found) if found.ndim else 1)
        return found


class Counted(Counting, np.ndarray):
    pass


class CountedFile(Counting, np.memmap):
    pass


def in_memory(array, path):
    return array.view(Counted)


def in_a_file(array, path):
    array.tofile(path)
    return CountedFile(path, array.dtype, "r", shape=array.shape)


@pytest.mark.parametrize("there", [in_memory, in_a_file])
def test_large_data_are_read_a_batch_at_a_time(tmp_path, monkeypatch, there):
    if there is in_memory and BACKEND == "tensorflow":
        pytest.skip("its tensors are made of all that is in memory")
    space, wide = discover(build), X.astype("float64")
    plain = ((wide[:64], Y[:64], WEIGHTS), (wide[64:], Y[64:]))
    counted = [tuple(there(part, tmp_path / f"{id(part)}") for part in each) for each in plain]

    def trained(name, data):
        training = Training(build, data, 40, fused=False)
        return curves(run(training, tmp_path / name, stops=(2,), space=space))

    expected = trained("plain", plain)
    monkeypatch.setattr(keras_data, "_COPIED", 0)
    READ.clear()
    assert trained("counted", counted) == expected
    assert max(READ) == 40


def test_ones_own_fit_is_given_arrays(tmp_path):
    given = []

    class Own(keras.Sequential):
        def fit(self, x=None, y=None, **options):
            given.append((len(x), len(y)))
            return super().fit(x, y, **options)

    def own(hp):
        return net(keras.optimizers.SGD(hp.float("rate", 0.01, 0.1)), Own)

    data = ((in_a_file(X[:64], tmp_path / "x"), Y[:64]), (X[64:], Y[64:]))
    tune(own, data, epochs=1, max_trials=1, storage="memory", progress=False)
    assert given == [(64, 64)]


@pytest.mark.skipif(BACKEND != "torch", reason="it is there on its own backend")
def test_examples_one_by_one_are_no_batches():
    import torch

    examples = torch.utils.data.TensorDataset(torch.tensor(X), torch.tensor(Y))
    with pytest.raises(StudyError, match="TensorDataset, which gives one example at a time"):
        find_learning_rate(net("sgd"), examples)
