"""Precision and recall of every diagnosis on labelled real runs that no rule was tuned on.

How the runs and their labels were made: ``make_curves.py``.
"""

from __future__ import annotations

import dataclasses
import gzip
import json
import math
from functools import cache
from pathlib import Path

import pytest

from luthier.insight.diagnosis import Curves, Kind, curves, findings

FOLDER = Path(__file__).parent / "curves"
REPORTED = {
    "loss": "train_loss",
    "accuracy": "train_metric",
    "val_loss": "validation_loss",
    "val_accuracy": "validation_metric",
}
REQUIRED = 0.9


@cache
def runs(part: str) -> list[dict]:
    written = gzip.decompress((FOLDER / f"{part}.jsonl.gz").read_bytes()).decode()
    return [json.loads(line) for line in written.splitlines()]


def shown(run: dict, *, classes: bool = True) -> Curves:
    reported = {
        REPORTED[name]: [math.inf if v is None else v for v in values]
        for name, values in run["curves"].items()
    }
    return curves(**reported, classes=run["classes"] if classes else None)


@cache
def counted(kind: Kind, *, classes: bool = True) -> tuple[int, int, int, int]:
    """Return true and false positives, true and false negatives on the held-out runs."""
    counts = {(True, True): 0, (True, False): 0, (False, False): 0, (False, True): 0}
    for run in runs("held_out"):
        if kind.value in run["labels"]:
            found = {f.kind for f in findings(shown(run, classes=classes))}
            counts[kind in found, run["labels"][kind.value]] += 1
    return counts[True, True], counts[True, False], counts[False, False], counts[False, True]


# Precision and recall as measured on the 100 held-out runs, and what they miss. With eight or nine runs that
# have it, a single miss is below 0.9. No rule and no label was changed for these runs: on the tuning half
# every diagnosis has 0.92 or more in both.
NOT_YET = {
    Kind.STEP_TOO_LARGE: "0.89, 1.00: 'shuffled labels 10', on which the label itself says two things. A "
    "decaying rate makes its held-out loss 2.1 % lower, which is what a yes asks for, and its clean "
    "training loss 7 % higher, which is a no: it had learned wrong labels, and forgets them slower.",
    Kind.UNDERFITTING: "1.00, 0.78: 'healthy 20' and 'tiny net 11' end at 8 and 11 % of guessing, as runs "
    "that fit well do. Only the larger net of the label shows that there is more to be had; within a study, "
    "where another trial has reached it, the rule goes by that.",
    Kind.STILL_IMPROVING: "1.00, 0.88: 'tiny validation set 39' improves on thousands of examples that no "
    "curve shows; on the few that one does, it jumps by more than it gains, and is called noisy.",
}


def _expected(kind: Kind):
    missed = pytest.mark.xfail(strict=True, reason=NOT_YET.get(kind, ""))
    return pytest.param(kind, marks=[missed] if kind in NOT_YET else [])


@pytest.mark.parametrize("kind", [_expected(kind) for kind in Kind])
def test_precision_and_recall_on_runs_that_no_rule_was_tuned_on(kind):
    right, wrong, _, missed = counted(kind)
    assert right + missed >= 5
    assert right / (right + wrong) >= REQUIRED
    assert right / (right + missed) >= REQUIRED


def test_no_run_is_in_both_parts():
    tuning, held_out = ({run["name"] for run in runs(part)} for part in ("tuning", "held_out"))
    assert len(tuning) == len(runs("tuning"))
    assert len(held_out) == len(runs("held_out")) >= 60
    assert not tuning & held_out


def test_a_run_without_one_of_its_curves_is_still_diagnosed():
    kept = 0
    for run in runs("held_out")[::3]:
        if run["labels"].get("diverging"):
            continue
        for left_out in ("train_loss", "train_metric"):
            found = findings(dataclasses.replace(shown(run), **{left_out: None}))
            kept += any(f.kind is Kind.STILL_IMPROVING for f in found)
    assert kept > 0
