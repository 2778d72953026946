"""One device each, and a fair share of the cores."""

from __future__ import annotations

import pytest

from luthier.errors import StudyError
from luthier.run import devices


@pytest.mark.parametrize(
    ("each", "shown"),
    [
        (0.5, ["0", "0", "1", "1"]),
        (0.25, ["0", "0", "0", "0"]),
        (1, ["0", "1", "0", "1"]),
        (2, ["0,1"] * 4),
        (0, [""] * 4),
    ],
)
def test_a_share_of_a_gpu(monkeypatch, each, shown):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    seen = [devices.environment(slot, 4, each)["CUDA_VISIBLE_DEVICES"] for slot in range(4)]
    assert seen == shown


def test_shares_that_cannot_be(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    devices.checked_share(0.5, 4)
    for share, workers, words in (
        (0.5, 5, "need 2.5 GPUs, this machine has 2"),
        (-1, 1, "must be 0, a fraction such as 0.5"),
        (1.5, 1, "got 1.5"),
    ):
        with pytest.raises(StudyError, match=words):
            devices.checked_share(share, workers)


def test_workers_take_turns_at_the_gpus(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,GPU-5f,7")
    shown = [devices.environment(slot, 4)["CUDA_VISIBLE_DEVICES"] for slot in range(4)]
    assert shown == ["2", "GPU-5f", "7", "2"]


def test_one_gpu_or_none_is_left_as_it_is(monkeypatch):
    for visible in ("3", "", "-1"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        assert "CUDA_VISIBLE_DEVICES" not in devices.environment(0, 2)


def test_workers_share_the_cores_unless_the_user_said_otherwise(monkeypatch):
    monkeypatch.setattr(devices, "cores", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert devices.environment(0, 3)["OMP_NUM_THREADS"] == "2"
    assert devices.environment(0, 20)["OMP_NUM_THREADS"] == "1"
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert "OMP_NUM_THREADS" not in devices.environment(0, 3)


@pytest.mark.parametrize(("said", "share"), [("1", 1), ("999", None), ("4,2", None), ("", None)])
def test_a_process_knows_its_share_of_the_cores(monkeypatch, said, share):
    monkeypatch.setenv("OMP_NUM_THREADS", said)
    assert devices.threads() == (share or devices.cores())
