"""The median stopping rule."""

from __future__ import annotations

import pytest
from driving import run, study_of

from luthier.errors import StudyError
from luthier.run.worker import work
from luthier.schedule import MedianStopping
from luthier.study.records import TrialState

CURVES = {
    0: [0.9, 0.5, 0.4, 0.3],  # running averages: .9 .7 .6 .525
    1: [0.8, 0.6, 0.5, 0.4],  # .8 .7 .633 .575
    2: [0.7, 0.6, 0.5, 0.5],  # .7 .65 .6 .575
    3: [0.9, 0.69, 0.61, 0.2],  # best by 2 is .69 < .7; by 3 is .61 > .6: abandoned at 3
    4: [0.9, 0.8, 0.7, 0.1],  # best by 2 is .8 > .7: abandoned at 2
    5: [0.5, 0.4, 0.3, 0.2],
}


def test_golden_trace_of_the_rule(tmp_path):
    study = study_of(MedianStopping(4, grace=1, minimum=3), tmp_path, max_trials=6)

    def train(trial):
        for epoch in trial.epochs():
            trial.report(loss=CURVES[trial.number][epoch])

    work(study, train)
    assert [(t.step, t.state) for t in study.trials] == [
        (4, TrialState.COMPLETED),
        (4, TrialState.COMPLETED),
        (4, TrialState.COMPLETED),
        (3, TrialState.STOPPED),
        (2, TrialState.STOPPED),
        (4, TrialState.COMPLETED),
    ]
    assert "worse than 0.6, the median of 3 earlier runs" in study.trials[3].why


def test_nobody_is_stopped_within_the_grace_period(tmp_path):
    study = study_of(MedianStopping(4, grace=3, minimum=1), tmp_path, max_trials=8)
    run(study, lambda c, step: c["x"])
    assert all(t.step >= 4 for t in study.trials)


def test_bad_settings():
    with pytest.raises(StudyError, match="minimum must be a whole number of at least 1, got 0"):
        MedianStopping(4, minimum=0)
