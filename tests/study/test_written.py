"""What is written down of events: texts and numbers of every kind, and what is no plain data."""

from __future__ import annotations

import numpy as np
import pytest

from luthier.errors import StudyError
from luthier.run.opening import open_study
from luthier.run.recording import recorded
from luthier.space import Float, Space
from luthier.study.records import TrialState


@pytest.fixture
def opened(tmp_path):
    def again():
        return open_study("s", Space(x=Float(0.0, 1.0)), minimize="loss", storage=tmp_path / "s.db")

    return again


def test_an_error_whose_words_are_no_unicode_fails_the_trial(opened):
    study = opened()
    trial = study.ask()
    with pytest.raises(ValueError, match="no such file"), recorded(study, trial):
        raise ValueError("no such file: caf\udce9.png")
    for each in (study, opened()):
        assert each.trials[0].state is TrialState.FAILED
        assert each.trials[0].why == r"ValueError: no such file: caf\udce9.png"


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.arange(3), [0, 1, 2]),
        ({"a": np.float32(0.5), "b": (1, None)}, {"a": 0.5, "b": [1, None]}),
        ("caf\udce9", r"caf\udce9"),
    ],
)
def test_attributes_of_every_kind(opened, value, read):
    study = opened()
    study.set_attribute("said", value)
    for each in (study, opened()):
        assert each.refresh().attributes[-1]["said"] == read
        assert type(each.history.attributes[-1]["said"]) is type(read)


@pytest.mark.parametrize(
    ("name", "value"),
    [("x", object()), ("x", 1j), ("x", 2**64), ("x", np.array([object()])), (3, 1)],
)
def test_what_cannot_be_written_down_is_refused_and_the_study_goes_on(opened, name, value):
    study = opened()
    with pytest.raises(StudyError, match="cannot be written down"):
        study.set_attribute(name, value)
    study.tell(study.ask(), loss=1.0)
    assert opened().history.cursor == study.history.cursor
