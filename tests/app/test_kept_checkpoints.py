"""The models that a study leaves behind: of which trials, of which epochs, and where they cannot be had."""

from __future__ import annotations

import errno
import os
import warnings

import pytest

import luthier as lt
from luthier.errors import CheckpointError, LuthierWarning
from luthier.run import manifests
from luthier.schedule import SuccessiveHalving

SPACE = {"rate": lt.Float(0.01, 1.0)}


class Epochs:
    """A state that is the number of epochs trained."""

    def __init__(self):
        self.done = 0

    def save(self, folder):
        (folder / "done").write_text(str(self.done))

    def restore(self, folder):
        self.done = int((folder / "done").read_text())


def training(metrics, every=1):
    """Return training code that reports ``metrics(trial, epochs done)`` after each epoch."""

    def train(trial):
        state = Epochs()
        for epoch in trial.epochs(state, every=every):
            state.done = epoch + 1
            trial.report(metrics(trial.number, state.done))

    return train


def tuned(tmp_path, train, **options):
    options = {"minimize": "loss", "epochs": 2, "scheduler": None, **options}
    return lt.tune(train, SPACE, storage=tmp_path / "s.db", name="s", progress=False, **options)


def load(trial, folder, study):
    return int((folder / "done").read_text())


def test_the_best_within_the_bounds_keeps_its_model_before_all_that_break_them(tmp_path):
    losses, latencies = [0.9, 0.1, 0.2, 0.3, 0.4], [5, 99, 98, 97, 96]
    result = tuned(
        tmp_path,
        training(lambda number, _: {"loss": losses[number], "latency": latencies[number]}),
        subject_to="latency <= 10",
        max_trials=5,
        load=load,
    )
    assert result.best.number == 0
    assert result.model() == 1


def test_all_on_the_front_keep_their_models(tmp_path):
    result = tuned(
        tmp_path,
        training(lambda number, _: {"loss": number, "latency": 10 - number}),
        minimize=["loss", "latency"],
        max_trials=8,
        load=load,
    )
    assert len(result.front) == 8
    assert [result.model(trial) for trial in result.front] == [1] * 8


def test_where_not_every_epoch_has_a_checkpoint_the_best_of_those_that_have_one_is_kept(
    tmp_path, capsys
):
    train = training(lambda _, epoch: {"loss": abs(epoch - 13.2)}, every=5)
    result = tuned(tmp_path, train, epochs=20, max_trials=2, load=load)
    assert (result.best.best_step, result.best.best_checkpoint) == (13, 15)
    capsys.readouterr()
    assert [result.model(), result.model()] == [15, 15]
    said = "luthier: the checkpoint of trial 0 is of epoch 15: its best epoch, 13, has none\n"
    assert capsys.readouterr().err == said


def test_a_disk_that_deletes_nothing_is_warned_of_and_the_study_goes_on(tmp_path, monkeypatch):
    replace = os.replace

    def refused(source, target):
        if str(target).endswith(".old"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        replace(source, target)

    monkeypatch.setattr(os, "replace", refused)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        result = tuned(
            tmp_path, training(lambda *_: {"loss": 1.0}), epochs=4, max_trials=3, load=load
        )
    told = [str(one.message) for one in warned if "nobody needs" in str(one.message)]
    assert len(told) == 1
    assert "Input/output error" in told[0]
    assert [trial.step for trial in result.trials] == [4, 4, 4]
    assert result.model() == 1


@pytest.mark.parametrize("place", ["damaged", "_numbered"])
def test_a_disk_that_cannot_be_read_is_no_error_of_the_training_code(tmp_path, monkeypatch, place):
    """The trial that goes on is lost with its worker, and the next run goes on with it."""
    from luthier.run import checkpoints

    def stale(*_):
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    options = {"epochs": 4, "max_trials": 4, "scheduler": SuccessiveHalving(4, factor=2)}
    train = training(lambda number, epoch: {"loss": number - epoch})
    with monkeypatch.context() as patch:
        if place == "damaged":
            patch.setattr(manifests, "damaged", stale)
        else:
            patch.setattr(checkpoints, "_numbered", stale)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", LuthierWarning)
            with pytest.raises(CheckpointError, match="Could not read the checkpoints of trial"):
                tuned(tmp_path, train, **options)
    study = lt.open("s", storage=tmp_path / "s.db")
    assert not study.history.errors
    assert any("lost" in trial.retries for trial in study.trials) == (place == "damaged")
    assert max(trial.step for trial in tuned(tmp_path, train, **options).trials) == 4
