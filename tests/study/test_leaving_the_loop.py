"""Training code that leaves its loop by itself: what it reported last is written, or the error is heard."""

from __future__ import annotations

import pytest

import luthier as lt
from luthier.errors import CheckpointError, LuthierWarning
from luthier.run.opening import open_study
from luthier.run.worker import work
from luthier.study.records import TrialState

SPACE = lt.Space(x=lt.Float(0.0, 1.0))


@pytest.fixture
def study(tmp_path):
    return open_study(
        "s", SPACE, minimize="loss", epochs=9, scheduler=None, max_trials=1, storage=tmp_path / "s.db"
    )  # fmt: skip


def nothing(folder):
    """Keep nothing."""


@pytest.mark.parametrize("error", [CheckpointError("the disk is full"), KeyboardInterrupt()])
def test_an_error_while_the_last_checkpoint_is_written_is_not_passed_over(study, error):
    def save(folder):
        if len(study.history.trials[0].steps) == 2:
            raise error

    def train(trial):
        for epoch in trial.epochs(save=save, restore=nothing):
            trial.report(loss=1 / (epoch + 1))
            if epoch == 2:
                break

    with pytest.raises(type(error)):
        work(study, train)
    (trial,) = study.trials
    assert (trial.state, list(trial.steps)) == (TrialState.QUEUED, [1, 2])


def test_an_error_while_the_last_checkpoint_is_written_reaches_who_tells(study):
    def save(folder):
        raise CheckpointError("the disk is full")

    trial = study.ask()
    for _ in trial.epochs(save=save, restore=nothing):
        trial.report(loss=0.5)
        break
    with pytest.raises(CheckpointError, match="the disk is full"):
        study.tell(trial)


def test_the_last_report_counts_where_something_holds_the_loop(study):
    held = []

    def train(trial):
        held.append(trial.epochs(save=nothing, restore=nothing))  # as a progress bar may do
        for epoch in held[0]:
            trial.report(loss=1 / (epoch + 1))
            if epoch == 2:
                break

    work(study, train)
    (trial,) = study.trials
    assert (trial.state, list(trial.steps), trial.checkpoint) == (
        TrialState.COMPLETED,
        [1, 2, 3],
        3,
    )


def test_a_loop_of_ones_own_hears_that_promoted_trials_begin_again():
    study = open_study(
        "s", SPACE, minimize="loss", epochs=9, scheduler="hyperband", max_trials=9, storage="memory"
    )  # fmt: skip
    trial = study.ask()
    with pytest.warns(LuthierWarning, match=r"Trial 0 is paused at epoch 1.*from the beginning"):
        trial.report(loss=0.5)
    study.ask().report(loss=0.4)  # said once
