"""``luthier space`` and ``luthier enqueue``: what their words mean is told by the space."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

import luthier as lt
from luthier.app.command import commands

SPACE = lt.Space(
    optimizer=lt.Choice(
        {"sgd": lt.Space(momentum=lt.Float(0.5, 0.9)), "adam": lt.Space(beta_1=lt.Float(0.8, 0.99))}
    ),
    act=lt.Choice("relu", "gelu", "tanh", prior="gelu", default="tanh").when(optimizer="sgd"),
    size=lt.Choice("16", "32", "none"),
    layers=lt.Int(1, 3, default=2, prior=3),
    third=lt.Float(0.0, 1.0).when(layers=[2, 3]),
    constraints=["optimizer.adam.beta_1 + third <= 1.5"],
)


@pytest.fixture
def study(tmp_path):
    path = tmp_path / "s.db"
    study = lt.open("n", SPACE, minimize="loss", max_trials=9, searcher="random", storage=path)

    def steer(*words):
        done = CliRunner(catch_exceptions=False).invoke(commands, [*words, "--storage", str(path)])
        assert done.exit_code == 0, done.output
        study.refresh()

    study.told = steer
    return study


def test_fewer_options_keep_the_condition_and_what_is_believed(study):
    study.told("space", "n", "act=relu,gelu")
    act = study.space["act"]
    assert act == lt.Choice("relu", "gelu", prior="gelu").when(optimizer="sgd")
    assert not act.default_given
    study.told("space", "n", "layers=1..2")
    assert study.space["layers"] == lt.Int(1, 2, default=2)


def test_what_hangs_on_an_option_that_is_left_out_goes_with_it(study):
    study.told("space", "n", "optimizer=sgd", "layers=1..2")
    assert list(study.space) == [
        "optimizer",
        "optimizer.sgd.momentum",
        "act",
        "size",
        "layers",
        "third",
    ]
    assert study.space["third"].condition == (("layers", (2,)),)
    assert not study.space.constraints
    for _ in range(4):
        trial = study.ask()
        assert trial["optimizer"] == "sgd"
        study.tell(trial, loss=1.0)


def test_an_options_own_words_come_first(study):
    study.told("space", "n", "size=16,none,64")
    assert study.space["size"].options == ("16", "none", "64")
    study.told("enqueue", "n", "optimizer=adam", "beta_1=0.9", "size=16", "layers=1")
    study.told("enqueue", "n", "optimizer=adam", "beta_1=0.9", "size=none", "layers=1")
    assert [study.ask()["size"] for _ in range(2)] == ["16", "none"]
