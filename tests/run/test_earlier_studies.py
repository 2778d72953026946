"""Studies that are told from their namesakes, and logs of a newer Luthier, where a study is opened."""

from __future__ import annotations

import pytest

import luthier as lt
from luthier.errors import StorageError, StudyError
from luthier.run.beginning import found_header, header_of
from luthier.study import events as ev
from luthier.study.snapshot import decode, encode

SPACE = {"rate": lt.Float(0.1, 1.0)}


def opened(path, name="s", **options):
    return lt.open(name, SPACE, minimize="loss", max_trials=9, storage=path, **options)


def told(path, offset=0.0, **options):
    study = opened(path, **options)
    for number in range(6):
        study.tell(study.ask(), loss=offset + number)
    return study


def test_a_study_learns_from_its_namesakes_in_other_stores(tmp_path):
    one, other = told(tmp_path / "one.db"), told(tmp_path / "other.db", 10.0)
    for _ in range(2):  # started again it has learned from them already
        learner = opened(tmp_path / "here.db", learn_from=[one, other])
        assert [sum(known.losses) for known in learner.history.earlier] == [15.0, 75.0]
    assert len(decode(encode(learner.history)).earlier) == 2


def test_a_study_does_not_learn_from_itself_under_whatever_path(tmp_path):
    study = told(tmp_path / "one.db")
    again = lt.open("s", storage=tmp_path / "one.db")
    for source in ("s", study, again):
        with pytest.raises(StudyError, match="'s' cannot learn from itself"):
            opened(tmp_path / "one.db", learn_from=source)


def test_old_logs_did_not_say_which_namesake_it_was(tmp_path):
    study = told(tmp_path / "one.db")
    learner = opened(tmp_path / "here.db", "learner")
    learner.append([ev.EarlierTrials(time=0.0, study="s", configurations=[], losses=[])])
    assert len(opened(tmp_path / "here.db", "learner", learn_from=study).history.earlier) == 1


def test_an_event_of_a_newer_luthier_is_told_where_the_study_is_opened(tmp_path):
    store = opened(tmp_path / "s.db").store
    number = store.append("s", [b'{"event":"something new","time":0.0}'])
    for read in (
        lambda: found_header(store, "s"),
        lambda: header_of(store, "s"),
        lambda: opened(tmp_path / "s.db"),
    ):
        with pytest.raises(StorageError, match=f"Event {number} of study 's' .*upgrade luthier"):
            read()
