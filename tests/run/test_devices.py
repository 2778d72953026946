"""One device each, and a fair share of the cores."""

from __future__ import annotations

from luthier.run import devices


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
