"""A trial over two processes that train by PyTorch's DDP (gloo, on the CPU)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import luthier

HERE = Path(__file__).parent
pytestmark = [pytest.mark.frameworks, pytest.mark.processes]


def ran(*command):
    done = subprocess.run(
        [sys.executable, *map(str, command)], capture_output=True, text=True, timeout=300
    )
    return done.returncode, done.stderr


def notes(folder, rank):
    lines = (folder / f"rank-{rank}.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "pid"} for line in lines]


def test_torchrun_pauses_and_goes_on_as_if_it_had_not_and_fails_with_any_rank(tmp_path):
    torchrun = ["-m", "torch.distributed.run", "--nproc-per-node", "2"]
    code, told = ran(*torchrun, HERE / "torch_ranks.py", tmp_path)
    assert code == 1
    found = json.loads((tmp_path / "rank-0.json").read_text())
    assert found == json.loads((tmp_path / "rank-1.json").read_text())
    few, whole = found["few"], found["whole"]
    assert sorted(map(len, few)) == [1, 1, 1, 4]
    assert few == [b[: len(a)] for a, b in zip(few, whole, strict=True)]  # bit for bit
    assert len({loss for losses in whole for loss in losses}) == 16
    [failed] = luthier.open("raises", storage=tmp_path / "studies.db").trials
    assert failed.kind == "error"
    assert "ValueError: rank 1 cannot go on" in failed.why
    assert "ValueError: rank 1 cannot go on" in told


@pytest.mark.parametrize("strategy", ["ddp", "ddp_spawn"])
def test_lightning_trains_one_configuration_in_both(strategy, tmp_path):
    code, told = ran(HERE / "lightning_ranks.py", tmp_path, strategy)
    assert code == 0, told
    steps = [1, 2] if strategy == "ddp" else [2]  # each job of ddp_spawn imports all in both anew
    seen, other = notes(tmp_path, 0), notes(tmp_path, 1)
    assert seen.pop() == {"best": len(steps) - 1, "steps": steps}
    assert len(other) == len(seen) + (strategy == "ddp")  # that rank's script goes on, too
    assert seen == other[: len(seen)]  # weights, too
    study = luthier.open("ranks", storage=tmp_path / "studies.db")
    assert [t.step for t in study.trials] == steps
    for note in seen:
        assert note["rate"] == study.trials[note["trial"]].configuration["learning_rate"]
    # One configuration trained in two processes is one trial, reported once an epoch.
    assert sum(len(t.losses) for t in study.trials) == sum(steps)
