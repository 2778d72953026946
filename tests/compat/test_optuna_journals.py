"""Journals of Optuna's that more than one run wrote to, replayed as Optuna itself replays them."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import optuna
import pytest
from both_optunas import quiet  # noqa: F401
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from luthier.compat.optuna.importing import import_optuna
from luthier.compat.optuna.reading import read_studies
from luthier.storage import open_store


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "optuna.log")


def storage(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return JournalStorage(JournalFileBackend(path))


def run(path, name, trials, low):
    study = optuna.create_study(study_name=name, storage=storage(path), load_if_exists=True)
    study.set_user_attr("low", low)
    study.optimize(lambda t: t.suggest_float("x", low, low + 1), n_trials=trials)


def same(path):
    """Compare what is read with what Optuna reads, study by study."""
    found = {kept.name: kept for kept in read_studies(path)}
    assert list(found) == optuna.get_all_study_names(storage(path))
    for name, kept in found.items():
        known = optuna.load_study(study_name=name, storage=storage(path))
        assert kept.user_attrs == known.user_attrs
        assert len(kept.trials) == len(known.trials)
        for a, b in zip(kept.trials, known.trials, strict=True):
            assert (a.number, a.state, a.params, a.values) == (
                b.number,
                b.state,
                b.params,
                b.values,
            )
            assert a.datetime_complete == b.datetime_complete
    return found


def test_a_study_that_was_gone_on_with_is_one(path, tmp_path):
    run(path, "a", 2, 0)
    run(path, "a", 2, 0)  # which writes that it is made, once more
    run(path, "b", 2, 10)
    run(path, "a", 1, 0)
    run(path, "b", 1, 10)
    found = same(path)
    assert [len(kept.trials) for kept in found.values()] == [5, 3]
    done = import_optuna(path, open_store(tmp_path / "luthier.db"))
    assert [(i.study, i.trials) for i in done] == [("a", 5), ("b", 3)]


def test_what_was_deleted_is_gone_whatever_is_said_of_it_later(path):
    run(path, "a", 2, 0)
    run(path, "b", 2, 10)
    optuna.delete_study(study_name="a", storage=storage(path))
    last = Path(path).read_text().splitlines()[-1]
    study = json.loads(last)["study_id"]
    late = [
        {"op_code": 2, "worker_id": "late", "study_id": study, "user_attr": {"k": 1}},
        {"op_code": 4, "worker_id": "late", "study_id": study, "datetime_start": None},
        {"op_code": 1, "worker_id": "late", "study_id": study},
    ]
    with open(path, "a") as file:
        file.writelines(json.dumps(line) + "\n" for line in late)
    run(path, "a", 1, 20)
    run(path, "b", 1, 10)
    assert [len(kept.trials) for kept in same(path).values()] == [3, 1]


def test_what_optuna_passes_over_is_passed_over(path):
    run(path, "a", 2, 0)
    lines = map(json.loads, Path(path).read_text().splitlines())
    known = next(line for line in lines if line["op_code"] == 5)
    trial = optuna.load_study(study_name="a", storage=storage(path)).ask()
    other = (
        '{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 0, "high": 9}}'
    )
    late = [
        {"op_code": 7, "trial_id": 0, "step": 1, "intermediate_value": 0.5},  # it has ended
        {"op_code": 8, "trial_id": 0, "user_attr": {"k": 1}},
        {**known, "trial_id": trial._trial_id, "distribution": other},  # x is no whole number
        {"op_code": 7, "trial_id": 99, "step": 1, "intermediate_value": 0.5},
    ]
    with open(path, "a") as file:
        file.writelines(json.dumps({**line, "worker_id": "late"}) + "\n" for line in late)
    first, *_, last = same(path)["a"].trials
    assert (first.intermediate_values, first.user_attrs, last.params) == ({}, {}, {})
