"""One trial over two real processes, without a framework: in step, and what happens when one fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import luthier
from luthier.study.records import TrialState

SCRIPT = Path(__file__).with_name("ranks_script.py")
pytestmark = pytest.mark.processes


def ran(folder, way, **more):
    """Run the script in two ranks, and return their exit codes and errors, rank 0's first."""
    known = {**os.environ, "WORLD_SIZE": "2", "MASTER_PORT": folder.name, **more}
    processes, other = [], ""
    for rank in (1, 0):  # the one that waits for the other comes first
        process = subprocess.Popen(
            [sys.executable, str(SCRIPT), str(folder), way],
            env={**known, "RANK": str(rank), "LOCAL_RANK": str(rank), "OTHER": other},
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.insert(0, process)
        other = str(process.pid)
    told = [process.communicate(timeout=120)[1] for process in processes]
    return [process.returncode for process in processes], told


def notes(folder, rank):
    return list(map(json.loads, (folder / f"rank-{rank}.jsonl").read_text().splitlines()))


def trials(folder):
    return luthier.open("ranks", storage=folder / "studies.db").trials


@pytest.mark.parametrize("way", ["usual", "guarded", "alone", "leaves"])
def test_all_ranks_train_the_same_and_end_at_the_same_epoch(way, tmp_path):
    codes, told = ran(tmp_path, way)
    assert codes == [0, 0], told
    seen, other = notes(tmp_path, 0), notes(tmp_path, 1)
    if way == "leaves":  # the loop: then rank 1 hears the verdict when its training code returns
        for note in (*seen[:-1], *other[:-1]):
            del note["fate"]
            note["step"] = len(note["epochs"])
    assert seen == other
    assert seen[-1]["trials"] == 4
    assert {len(note["configuration"]) for note in seen[:-1]} == {2}
    known = trials(tmp_path)
    for note in seen[:-1]:
        assert known[note["trial"]].configuration == note["configuration"]
    if way == "alone":
        assert [t.step for t in known] == [3] * 4
        return
    assert sorted(t.step for t in known) == [1, 1, 2, 4]
    longest = [note for note in seen[:-1] if note["step"] == 4]
    assert longest[0]["epochs"] == [0, 1, 2, 3]  # both ranks restored their own part
    assert all(t.losses.tolist()[0] < 3 for t in known)  # those of rank 0, not the 99 of rank 1


@pytest.mark.parametrize(
    ("way", "kind", "why"),
    [
        ("raises", "error", "ValueError: rank 1 cannot go on"),
        ("ended", "error", "ValueError: rank 1 cannot go on"),
        ("both raise", "error", "ValueError: rank 1 cannot go on"),
        ("dies", "error", "rank 1 ended without a word"),
        ("memory", "out of memory", "MemoryError: too little"),
    ],
)
def test_a_failure_of_any_rank_fails_the_trial(way, kind, why, tmp_path):
    codes, told = ran(tmp_path, way)
    assert codes[0] == 1
    assert codes[1] != 0
    assert why in told[0]
    known = trials(tmp_path)
    assert [t.state for t in known] == [TrialState.PAUSED, TrialState.FAILED]
    assert known[1].kind == kind
    assert why in known[1].why


def test_preempted_ranks_give_the_trial_back_and_go_on_later(tmp_path):
    codes, told = ran(tmp_path, "terminated")
    assert codes == [143, 143], told
    given_back = [t for t in trials(tmp_path) if t.state is TrialState.QUEUED]
    assert [(t.number, t.step) for t in given_back] == [(1, 3)]
    assert ran(tmp_path, "usual")[0] == [0, 0]
    assert sorted(t.step for t in trials(tmp_path)) == [1, 1, 2, 4]


def test_what_cannot_be_is_refused(tmp_path):
    codes, told = ran(tmp_path, "usual", LOCAL_WORLD_SIZE="1")
    assert codes == [1, 1]
    assert all("several machines" in text for text in told)
