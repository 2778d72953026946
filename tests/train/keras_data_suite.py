"""Data in the forms in which people have them, for ``tune`` and the range test; on every backend."""

from __future__ import annotations

import sys

import keras
import numpy as np
import pytest
import scipy.sparse
from pausing import curves, run

from luthier.errors import StudyError
from luthier.keras import find_learning_rate, tune
from luthier.space import discover
from luthier.train.keras import Training
from luthier.train.keras_data import checked, in_order, validated_at_once

CHANCE = np.random.default_rng(0)
X = CHANCE.normal(size=(96, 6)).astype("float32")
Y = (X[:, 0] > 0).astype("int32")
DATA = ((X[:64], Y[:64]), (X[64:], Y[64:]))
WEIGHTS = np.linspace(0.5, 1.5, 64).astype("float32")
LOSS = "sparse_categorical_crossentropy"


def net(optimizer="sgd"):
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(2, "softmax")])
    model.compile(optimizer, LOSS, metrics=["accuracy"])
    return model


def build(hp):
    return net(keras.optimizers.SGD(hp.float("rate", 0.01, 0.1, scale="log")))


class Table:
    """As pandas has them: rows are found by their labels, the numbers are in ``__array__``."""

    def __init__(self, values, labels):
        self.values, self.labels = values, labels
        self.shape, self.dtype, self.ndim = values.shape, values.dtype, values.ndim

    def __len__(self):
        return len(self.values)

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype)

    def __getitem__(self, labels):
        if self.ndim == 2:
            raise KeyError(labels)  # it looks among the columns
        places = {label: place for place, label in enumerate(self.labels)}
        return Table(self.values[[places[label] for label in labels]], labels)


def tables(part, seed):
    labels = np.random.default_rng(seed).permutation(len(part[0]))
    return Table(part[0], labels), Table(part[1], labels)


WAYS = ["auto", False] if keras.backend.backend() == "jax" else [False]  # elsewhere they are one


@pytest.mark.parametrize("fused", WAYS)
def test_tables_train_as_their_numbers_do(tmp_path, fused):
    space = discover(build)
    plain, labelled = (
        run(Training(build, data, 32, (), fused), tmp_path / name, stops=(2,), space=space)
        for name, data in {
            "plain": DATA,
            "tables": (tables(DATA[0], 1), tables(DATA[1], 2)),
        }.items()
    )
    assert curves(labelled) == curves(plain)


def test_tensors_take_an_order(tmp_path):
    train, _ = checked(((keras.ops.convert_to_tensor(X[:64]), Y[:64]), DATA[1]))
    batch = in_order(train, 7)
    rows = in_order(DATA[0], 7)
    for name in ("x", "y"):
        assert np.array_equal(np.asarray(batch[name]), rows[name])


def test_sparse_matrices_have_rows():
    sparse = scipy.sparse.coo_matrix(X[:64])
    train, _ = checked(((sparse, Y[:64]), DATA[1]))
    assert np.array_equal(in_order(train, 7)["x"].toarray(), in_order(DATA[0], 7)["x"])


class Endless(keras.utils.PyDataset):
    @property
    def num_batches(self):
        return None

    def __getitem__(self, index):
        return X[:32], Y[:32]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (
            ((X[:64], Y[:64].tolist()), DATA[1]),
            "training data hold a list where an array is expected",
        ),
        ((DATA[0], (X[64:].tolist(), Y[64:])), "validation data hold a list"),
        (((X[:64], None), (X[64:], None)), "train part of data holds None where an array"),
        (((X[:64], np.float32(3)), DATA[1]), r"holds float32 of shape \(\)"),
        (((scipy.sparse.csr_matrix(X[:60]), Y[:64]), DATA[1]), r"of one length, got \[60, 64\]"),
        ((Endless(), DATA[1]), "training data never end"),
        ((DATA[0], Endless()), "validation data never end"),
        (((X[:0], Y[:0]), DATA[1]), "training data are empty: expected at least one example"),
        ((DATA[0], (X[:0], Y[:0])), "validation data are empty"),
        ((DATA[0], ({"a": X[:0]}, Y[:0])), "validation data are empty"),
    ],
)
def test_what_cannot_be_is_said(data, words):
    with pytest.raises(StudyError, match=words):
        tune(build, data, epochs=1, max_trials=1, storage="memory", progress=False)


@pytest.mark.skipif("tensorflow" not in sys.modules, reason="it is there on its own backend")
def test_a_dataset_that_repeats_for_ever_is_refused():
    tensorflow = sys.modules["tensorflow"]
    batches = tensorflow.data.Dataset.from_tensor_slices(DATA[0]).batch(32)
    for data in ((batches.repeat(), DATA[1]), (batches, batches.repeat())):
        with pytest.raises(StudyError, match="data never end"):
            checked(data)
    checked((batches.repeat(2), batches))


def test_validation_takes_no_more_at_a_time_than_there_is_room_for():
    many = np.broadcast_to(X[:1], (2**20, 6)), np.broadcast_to(Y[:1], 2**20)
    assert validated_at_once(32, many) == 256
    assert validated_at_once(512, many) == 512
    assert validated_at_once(4, many) == 64  # with gradients four are what fits
    assert validated_at_once(32, DATA[1]) == 32
    assert validated_at_once(32, (X[:1].repeat(300, 0), Y[:1].repeat(300))) == 150  # none left over
    large = (np.broadcast_to(np.float32(0), (300, 512, 512, 3)), Y[:1])
    assert validated_at_once(4, large) == 5
    assert validated_at_once(1, large) == 5
    assert validated_at_once(8, large) == 8


# -- the range test ----------------------------------------------------------------------------------


def test_the_range_test_takes_what_tune_takes():
    model = net()  # afterwards it is as before, so one does for all

    def losses(data):
        found = find_learning_rate(model, data, batch_size=32, sweeps=1, steps=20)
        return np.asarray(found.losses)

    plain = losses(DATA[0])
    assert np.array_equal(losses(DATA), plain, equal_nan=True)
    assert np.array_equal(losses((tables(DATA[0], 1), DATA[1])), plain, equal_nan=True)
    weighted = losses(((*DATA[0], WEIGHTS), DATA[1]))
    assert np.array_equal(losses((*DATA[0], WEIGHTS)), weighted, equal_nan=True)
    assert not np.array_equal(weighted, plain, equal_nan=True)
    batches = [(X[i : i + 32], Y[i : i + 32], WEIGHTS[i : i + 32]) for i in (0, 32, 0)]
    assert np.isfinite(losses(batches)).any()


def test_the_range_test_takes_several_inputs():
    inputs = {"a": keras.Input((4,), name="a"), "b": keras.Input((2,), name="b")}
    joined = keras.layers.Concatenate()(list(inputs.values()))
    parts = {"a": X[:64, :4], "b": X[:64, 4:]}
    for data in ((parts, Y[:64]), ((parts, Y[:64]), (parts, Y[:64]))):
        model = keras.Model(inputs, keras.layers.Dense(2, "softmax")(joined))
        model.compile("sgd", LOSS)
        found = find_learning_rate(model, data, batch_size=32, sweeps=1, steps=20)
        assert np.isfinite(found.losses).any()


def test_a_range_test_of_several_rates_is_refused():
    if not hasattr(keras.optimizers, "MultiOptimizer"):
        pytest.skip("this Keras has no such optimizer")
    parts = keras.optimizers.OptimizerMap(default_optimizer=keras.optimizers.Adam(1e-3))
    parts["dense.*"] = keras.optimizers.SGD(1e-2)
    model = net(keras.optimizers.MultiOptimizer(parts))
    with pytest.raises(StudyError, match="several optimizers"):
        find_learning_rate(model, DATA[0])
