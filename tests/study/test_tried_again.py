"""A report that the store could not take is tried again, and counts once."""

from __future__ import annotations

import pytest

from luthier.errors import StorageError
from luthier.run.opening import open_study
from luthier.space import Float, Space
from luthier.study.records import TrialState


@pytest.fixture
def study():
    return open_study(
        "s", Space(x=Float(0.0, 1.0)), minimize="loss", scheduler=None, epochs=3, storage="memory"
    )


@pytest.fixture
def failing(study, monkeypatch):
    """Return what lets the next append fail, before it is written or after."""
    append = study.store.append_and_read

    def fail(*, written):
        def once(*call):
            monkeypatch.setattr(study.store, "append_and_read", append)
            if written:
                append(*call)
            raise StorageError("the server is away")

        monkeypatch.setattr(study.store, "append_and_read", once)

    return fail


@pytest.mark.parametrize("written", [False, True])
def test_a_report_tried_again_is_of_the_same_epoch(study, failing, written):
    trial = study.ask()
    for epoch in trial.epochs():
        if epoch == 1:
            failing(written=written)
            with pytest.raises(StorageError):
                trial.report(loss=0.5)
            assert trial.step == 1
        trial.report(loss=0.5)
    assert list(study.trials[0].steps) == [1, 2, 3]
    assert study.trials[0].state is TrialState.COMPLETED


@pytest.mark.parametrize("written", [False, True])
def test_a_trial_is_told_again(study, failing, written):
    trial = study.ask()
    failing(written=written)
    with pytest.raises(StorageError):
        study.tell(trial, loss=0.5)
    assert study.leased == {trial.lease: 0}
    study.tell(trial, loss=0.5)
    assert (list(study.trials[0].steps), study.trials[0].state) == ([1], TrialState.COMPLETED)
    assert not study.leased
