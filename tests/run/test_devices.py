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
        (0.4, ["0", "0", "1", "1"]),  # the third would be more than the first has
        (1 / 3, ["0", "0", "0", "1"]),
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
        (0.5, 5, "need 3 GPUs, with 2 trials on each, this machine has 2"),
        (0.4, 5, "need 3 GPUs, with 2 trials on each, this machine has 2"),
        (2, 2, "need 4 GPUs, this machine has 2"),
        (-1, 1, "must be 0, a fraction such as 0.5"),
        (1.5, 1, "got 1.5"),
    ):
        with pytest.raises(StudyError, match=words):
            devices.checked_share(share, workers)


def test_workers_take_turns_at_the_gpus(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,GPU-5f,7")
    shown = [devices.environment(slot, 4)["CUDA_VISIBLE_DEVICES"] for slot in range(4)]
    assert shown == ["2", "GPU-5f", "7", "2"]


def test_who_is_alone_is_left_with_all_that_it_was_given(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    assert "CUDA_VISIBLE_DEVICES" not in devices.environment(0, 1)
    assert devices.environment(0, 1, 1)["CUDA_VISIBLE_DEVICES"] == "0"


def test_loops_that_an_engine_puts_beside_each_other_take_turns(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    places = [devices.Place(loop, loops=3) for loop in range(3)]
    seen = [devices.environment(0, 1, place=place)["CUDA_VISIBLE_DEVICES"] for place in places]
    assert seen == ["0", "1", "0"]


def test_what_the_user_has_set_for_a_shared_gpu_stays(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setenv("XLA_PYTHON_CLIENT_MEM_FRACTION", "0.2")
    monkeypatch.delenv("TF_FORCE_GPU_ALLOW_GROWTH", raising=False)
    own = devices.environment(0, 2, 0.5)
    assert "XLA_PYTHON_CLIENT_MEM_FRACTION" not in own
    assert own["TF_FORCE_GPU_ALLOW_GROWTH"] == "true"


@pytest.mark.parametrize("name", devices.JAX_MEMORY)
def test_one_name_of_jaxs_memory_is_enough(monkeypatch, name):
    """JAX refuses to start where both are set."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    for other in devices.JAX_MEMORY:
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(name, "0.2")
    assert not set(devices.JAX_MEMORY) & set(devices.environment(0, 2, 0.5))


@pytest.mark.parametrize(
    ("cards", "workers", "place", "told"),
    [
        ("0", 2, devices.ALONE, "0.45"),  # luthier worker --slots 2
        ("0", 1, devices.ALONE, None),
        ("0,1", 2, devices.ALONE, None),
        ("0,1", 3, devices.ALONE, "0.45"),  # the first of them has two
        ("", 4, devices.ALONE, None),
        ("0", 1, devices.Place(share=0.5), "0.45"),  # by Ray
        ("0,1", 1, devices.Place(share=2.0), None),
        ("0,1", 1, devices.Place(1, loops=4), "0.45"),  # by Dask, in turn
        ("0", 1, devices.Place(0, loops=2, share=1.0), None),  # by Dask, each its own
    ],
)
def test_who_shares_a_gpu_takes_no_more_than_its_part(monkeypatch, cards, workers, place, told):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", cards)
    for name in (*devices.JAX_MEMORY, "TF_FORCE_GPU_ALLOW_GROWTH"):
        monkeypatch.delenv(name, raising=False)
    own = devices.environment(0, workers, place=place)
    assert own.get("XLA_PYTHON_CLIENT_MEM_FRACTION") == told
    assert own.get("TF_FORCE_GPU_ALLOW_GROWTH") == (told and "true")


def test_one_gpu_or_none_is_left_as_it_is(monkeypatch):
    for visible in ("3", "", "-1"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        assert "CUDA_VISIBLE_DEVICES" not in devices.environment(0, 2)


def test_workers_share_the_cores_unless_the_user_said_otherwise(monkeypatch):
    monkeypatch.setattr(devices, "cores", lambda: 8)
    monkeypatch.setattr(devices, "quota", lambda: None)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert devices.environment(0, 3)["OMP_NUM_THREADS"] == "2"
    assert devices.environment(0, 20)["OMP_NUM_THREADS"] == "1"
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert "OMP_NUM_THREADS" not in devices.environment(0, 3)


@pytest.mark.parametrize(("said", "share"), [("1", 1), ("999", None), ("4,2", None), ("", None)])
def test_a_process_knows_its_share_of_the_cores(monkeypatch, said, share):
    monkeypatch.setenv("OMP_NUM_THREADS", said)
    assert devices.threads() == (share or devices.usable_cores())


def test_a_container_has_no_more_cores_than_its_quota(monkeypatch, tmp_path):
    assert devices.quota(tmp_path) is None
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert devices.quota(tmp_path) is None
    (tmp_path / "cpu.max").write_text("250000 100000\n")
    assert devices.quota(tmp_path) == 2.5
    monkeypatch.setattr(devices, "cores", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    for bound, usable in ((4.0, 4), (0.5, 1), (64.0, 8), (None, 8)):
        monkeypatch.setattr(devices, "quota", lambda bound=bound: bound)
        assert devices.usable_cores() == devices.threads() == usable
        assert devices.environment(0, 2)["OMP_NUM_THREADS"] == str(max(1, usable // 2))


def test_libraries_start_as_many_threads_as_an_engine_has_reserved_cores(monkeypatch):
    monkeypatch.setattr(devices, "cores", lambda: 8)
    monkeypatch.setattr(devices, "quota", lambda: None)
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    for place, threads in (
        (devices.Place(cores=2.0), "2"),
        (devices.Place(cores=0.5), "1"),
        (devices.Place(cores=64.0), "8"),
        (devices.Place(1, 2), "4"),
    ):
        assert devices.environment(0, 1, place=place)["MKL_NUM_THREADS"] == threads
