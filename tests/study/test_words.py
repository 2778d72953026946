"""Counts in sentences."""

from __future__ import annotations

import pytest

import luthier as lt
from luthier.study.words import counted, were_tried


@pytest.mark.parametrize(
    ("count", "said"), [(0, "0 trials"), (1, "1 trial"), (2, "2 trials"), (1000, "1000 trials")]
)
def test_one_is_no_plural(count, said):
    assert counted(count, "trial") == said
    assert were_tried(count) == f"{said} {'was' if count == 1 else 'were'} tried"


def test_a_study_of_one_trial_says_so(capsys, tmp_path):
    def train(trial):
        return trial["x"]

    result = lt.tune(
        train, lt.Space(x=lt.Float(0.0, 1.0)), minimize="loss", max_trials=1, name="one", epochs=1,
        storage=tmp_path / "l.db", progress=True,
    )  # fmt: skip
    assert result.reason == "1 trial was tried"
    said = capsys.readouterr().err
    assert "plan: 1 trial x 1 epoch = 1 epoch" in said
    assert "1 trial was tried: 1 trial (1 completed), 1 epoch" in said
