"""Precision and recall of every diagnosis on labelled real runs that no rule was tuned on.

How the runs and their labels were made: ``make_curves.py``.
"""

from __future__ import annotations

import gzip
import json
import math
from functools import cache
from hashlib import sha256
from pathlib import Path

import pytest

from luthier.insight.diagnosis import Curves, Kind, curves, findings

FILE = Path(__file__).parent / "curves" / "curves.jsonl.gz"
REPORTED = {
    "loss": "train_loss",
    "accuracy": "train_metric",
    "val_loss": "validation_loss",
    "val_accuracy": "validation_metric",
}
REQUIRED = 0.9


@cache
def runs() -> list[dict]:
    return [json.loads(line) for line in gzip.decompress(FILE.read_bytes()).decode().splitlines()]


def held_out(name: str) -> bool:
    return sha256(name.encode()).digest()[0] >= 128


def shown(run: dict, *, classes: bool = True) -> Curves:
    reported = {
        REPORTED[name]: [math.inf if v is None else v for v in values]
        for name, values in run["curves"].items()
    }
    return curves(**reported, classes=run["classes"] if classes else None)


@cache
def counted(kind: Kind, *, classes: bool = True) -> tuple[int, int, int, int]:
    """Return true and false positives, true and false negatives on the held-out half."""
    counts = {(True, True): 0, (True, False): 0, (False, False): 0, (False, True): 0}
    for run in runs():
        if held_out(run["name"]) and kind.value in run["labels"]:
            found = {f.kind for f in findings(shown(run, classes=classes))}
            counts[kind in found, run["labels"][kind.value]] += 1
    return counts[True, True], counts[True, False], counts[False, False], counts[False, True]


@pytest.mark.parametrize("kind", list(Kind))
def test_precision_and_recall_on_runs_that_no_rule_was_tuned_on(kind):
    right, wrong, _, missed = counted(kind)
    assert right + missed >= 8
    assert right / (right + wrong) >= REQUIRED
    assert right / (right + missed) >= REQUIRED


def test_there_are_enough_runs_of_every_sort():
    names = [run["name"] for run in runs()]
    assert len(set(names)) == len(names) >= 60
    half = sum(map(held_out, names))
    assert 0.4 < half / len(names) < 0.6
    assert sum(not any(run["labels"].values()) for run in runs()) >= 10
