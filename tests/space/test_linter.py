"""The linter: it speaks up for each mistake, and keeps quiet about sane spaces."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import spaces

from luthier.space import Bool, Choice, Constant, Float, Int, Space, lint


@pytest.mark.parametrize(
    ("name", "domain", "words"),
    [
        ("learning_rate", Float(1e-4, 1e-1), "learning rate belongs on a log scale: on a linear"),
        ("lr", Float(0, 0.1), "cannot reach 0: start at 1e-05 and use scale='log'"),
        ("adam_lr", Float(0.001, 0.01), "use scale='log'"),
        ("weight_decay", Float(0, 0.01), "such a small quantity belongs on a log scale"),
        ("l2", Float(1e-6, 1e-2), "use scale='log'"),
        ("width", Float(0.001, 10), "a linear range over 4 decades"),
        ("learning_rate", Float(1e-3, 5e-3, scale="log"), "5.0 to 1 is less than a decade"),
        ("learning_rate", Float(1e-3, 100, scale="log"), "up to 100 diverge"),
        ("momentum", Float(0.5, 0.99), "1 - x, from 0.5 down to 0.01: use scale='one_minus_log'"),
        ("beta_1", Float(0.9, 0.999), "one_minus_log"),
        ("dropout", Float(0, 0.9), "dropout of 0.9 silences"),
        ("drop", Choice(0.1, 0.8), "dropout of 0.8 silences"),
        ("batch_size", Int(32, 4096), "batches of 4096 are more than the 1000.*250 or below"),
        ("batch", Choice(32, 2048), "batches of 2048"),
        ("units", Choice(8, 16, 32, 64, 128, 256), r"6 numbers as a choice.*use Int\(8, 256\)"),
        ("lr", Choice(1e-5, 1e-1), "choice, here of 1e-05 and 0.1 and nothing between"),
        ("x", Choice(1, 2, 3, 4, 5, 6.5), r"use Float\(1, 6\.5\)"),
    ],
)
def test_each_mistake_has_its_sentence(name, domain, words):
    sentences = lint(Space({name: domain}), data_size=1000)
    assert any(re.search(words, s) and s.startswith(f"{name}: ") for s in sentences), sentences


SANE = {
    "learning_rate": Float(1e-4, 1e-1, scale="log"),
    "dropout": Float(0, 0.5),
    "momentum": Float(0.9, 0.999, scale="one_minus_log"),
    "units": Int(32, 512),
    "batch_size": Choice(32, 64, 128),
    "weight_decay": Float(1e-6, 1e-2, scale="log"),
    "optimizer": Choice("sgd", "adam", "rmsprop", "adagrad", "adamw", "lion"),
    "nesterov": Bool(),
    "layers": Int(1, 4),
    "filters": Int(8, 64, scale="log"),
    "epochs": Constant(10),
    "calories": Float(0, 1),
    "deltas": Float(0, 1),
}


@pytest.mark.parametrize("name", SANE)
def test_sane_hyperparameters_pass(name):
    assert lint(Space({name: SANE[name]}), data_size=1000) == []


def test_a_sane_space_passes():
    assert lint(Space(SANE), data_size=60_000) == lint(Space(SANE)) == []


def test_names_within_branches_count():
    space = Space(optimizer=Choice({"sgd": Space(momentum=Float(0.5, 0.99))}))
    assert lint(space)[0].startswith("optimizer.sgd.momentum: ")


@given(spaces(), st.one_of(st.none(), st.integers(1, 10**6)))
def test_every_space_can_be_read(space, size):
    assert all(isinstance(s, str) for s in lint(space, data_size=size))


@pytest.mark.parametrize(
    "domain", [Float(-1, 0), Float(-2, -1), Float(5e-324, 1.7e308), Int(-5, 0), Float(0, 5e-324)]
)
@pytest.mark.parametrize("name", ["learning_rate", "weight_decay", "momentum", "x"])
def test_odd_ranges_can_be_read(name, domain):
    assert "nan" not in " ".join(lint(Space({name: domain})))


@pytest.mark.parametrize(
    ("name", "domain"),
    [
        ("lr_patience", Int(1, 20)),
        ("lr_warmup_epochs", Int(0, 20)),
        ("lr_decay", Float(0.1, 0.9)),
        ("learning_rate_decay_factor", Float(0.1, 0.5)),
        ("learning_rate_mult", Float(0.1, 10)),
        ("drop_epochs", Int(10, 30)),
        ("dropout_layers", Int(0, 4)),
        ("ema_decay", Float(0.5, 0.99)),
        ("log_lr", Float(-5, -1)),
        ("beta", Float(1, 10)),
    ],
)
def test_names_that_only_sound_like_a_rate_pass(name, domain):
    assert lint(Space({name: domain}), data_size=1000) == []


@pytest.mark.parametrize("low", [0, 0.5, 0.9])
def test_momentum_up_to_one_is_told_to_end_below(low):
    (sentence,) = lint(Space(momentum=Float(low, 1)))
    assert "end at 0.999 and use scale='one_minus_log'" in sentence
