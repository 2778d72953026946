"""Precision and recall of every diagnosis on labelled real runs that no rule was tuned on.

How the runs and their labels were made: ``make_curves.py``.
"""

from __future__ import annotations

import dataclasses
import json
import lzma
import math
from functools import cache
from pathlib import Path

import pytest
from families import COPIES, POOL, VALIDATION
from make_curves import TUNING_TURNS
from training_runs import Recipe

from luthier.insight.diagnosis import Curves, Kind, curves, findings
from luthier.insight.diagnosis.comparing import Reached

FOLDER = Path(__file__).parent / "curves"
REPORTED = {
    "loss": "train_loss",
    "accuracy": "train_metric",
    "val_loss": "validation_loss",
    "val_accuracy": "validation_metric",
}
REQUIRED = 0.9


@cache
def runs() -> list[dict]:
    written = lzma.decompress((FOLDER / "held_out.jsonl.xz").read_bytes()).decode()
    return [json.loads(line) for line in written.splitlines()]


def shown(run: dict, *, classes: bool = True) -> Curves:
    reported = {
        REPORTED[name]: [math.inf if v is None else v for v in values]
        for name, values in run["curves"].items()
    }
    return curves(**reported, classes=run["classes"] if classes else None)


@cache
def found(classes: bool) -> list[set[Kind]]:
    """Return what is found in each run."""
    return [{f.kind for f in findings(shown(run, classes=classes))} for run in runs()]


def counted(kind: Kind, *, classes: bool = True) -> tuple[int, int, int, int]:
    """Return true and false positives, true and false negatives on the held-out runs."""
    counts = {(True, True): 0, (True, False): 0, (False, False): 0, (False, True): 0}
    for run, kinds in zip(runs(), found(classes), strict=True):
        if kind.value in run["labels"]:
            counts[kind in kinds, run["labels"][kind.value]] += 1
    return counts[True, True], counts[True, False], counts[False, False], counts[False, True]


@pytest.mark.parametrize("kind", list(Kind))
def test_precision_and_recall_on_runs_that_no_rule_was_tuned_on(kind):
    right, wrong, _, missed = counted(kind)
    assert right + missed >= 18
    assert right / (right + wrong) >= REQUIRED
    assert right / (right + missed) >= REQUIRED


def studies() -> dict[str, list[dict]]:
    """Return the held-out runs that trained and validated on the very same data, by its name."""
    whole: dict[str, list[dict]] = {}
    for run in runs():
        made = run["made"]
        size, validation = made["examples"], made.get("validation", Recipe.validation)
        same = (size, validation) == (POOL[made["data"]], VALIDATION[made["data"]])
        if same and not made.get("noise"):
            whole.setdefault(made["data"], []).append(run)
    return whole


def test_underfitting_within_a_study_whose_trials_ended_in_all_ways():
    """Whatever became of the best trial afterwards, it does not hide that others underfit."""
    right = missed = wrong = 0
    for members in studies().values():
        trials = [shown(run) for run in members]
        reached = Reached.by(trials)
        for run, trial in zip(members, trials, strict=True):
            underfits = run["labels"].get("underfitting")
            said = any(f.kind is Kind.UNDERFITTING for f in findings(reached.measure(trial)))
            right += said and underfits is True
            missed += not said and underfits is True
            wrong += said and underfits is False
    assert right + missed >= 18
    assert right / (right + missed) >= REQUIRED
    assert right / (right + wrong) >= REQUIRED


def test_no_run_is_one_that_a_rule_was_tuned_on():
    names = [run["name"] for run in runs()]
    assert len(set(names)) == len(names) >= 3000
    for name in names:
        family, _, index = name.rpartition(" ")
        assert int(index) >= TUNING_TURNS * COPIES.get(family, 1)


def test_a_run_without_one_of_its_curves_is_still_diagnosed():
    kept = 0
    for run in runs()[::3]:
        if run["labels"].get("diverging"):
            continue
        for left_out in ("train_loss", "train_metric"):
            left = findings(dataclasses.replace(shown(run), **{left_out: None}))
            kept += any(f.kind is Kind.STILL_IMPROVING for f in left)
    assert kept > 0
