from __future__ import annotations

import gzip
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import make_subset
import numpy as np
import pytest
from serving import NAMES

from luthier.datasets import CLASSES, Dataset, fashion, fashion_mnist
from luthier.errors import DataError

SUBSET_FILE = Path(fashion.__file__).parent / "data" / f"{fashion.SUBSET.name}.gz"


def parts(data: Dataset) -> list[fashion.Part]:
    return [data.train, data.validation, data.test]


def counts(data: Dataset) -> list[int]:
    return [len(labels) for _, labels in parts(data)]


def test_subset_is_balanced_in_range_and_without_duplicates() -> None:
    data = fashion_mnist("subset")
    for (images, labels), each in zip(parts(data), (550, 100, 50), strict=True):
        assert images.dtype == np.float32
        assert labels.dtype == np.int64
        assert images.shape == (10 * each, 28, 28)
        assert np.bincount(labels).tolist() == [each] * len(CLASSES)
        assert images.min() == 0.0
        assert images.max() == 1.0
    everything = [image.tobytes() for images, _ in parts(data) for image in images]
    assert len(set(everything)) == 7_000
    assert "7,000 images shipped" in repr(data)


def test_subset_is_what_the_script_makes(real: Path) -> None:
    made = make_subset.idx(make_subset.rows(real))
    assert gzip.decompress(SUBSET_FILE.read_bytes()) == made


def test_subset_parts_come_from_their_places_in_the_full_set(cache: Path) -> None:
    whole, some = fashion_mnist("full"), fashion_mnist("subset")
    for (images, labels), (few, few_labels) in zip(parts(whole), parts(some), strict=True):
        label = {image.tobytes(): int(y) for image, y in zip(images, labels, strict=True)}
        assert [label[image.tobytes()] for image in few] == few_labels.tolist()


def test_full_set_is_split_at_the_end_of_the_training_file(cache: Path) -> None:
    data, other = fashion_mnist("full"), fashion_mnist("full", validation=12_345)
    assert counts(data) == [55_000, 5_000, 10_000]
    assert counts(other) == [47_655, 12_345, 10_000]
    for one, two in ((data, other), (data, fashion_mnist("full", validation=0))):
        for k in (0, 1):
            whole = np.concatenate([one.train[k], one.validation[k]])
            assert np.array_equal(whole, np.concatenate([two.train[k], two.validation[k]]))
    assert data.train[1][:5].tolist() == [9, 0, 0, 3, 0]  # as printed in many a tutorial
    assert data.source == str(cache)


def test_arrays_are_the_callers_own() -> None:
    data = fashion_mnist("subset")
    data.train[0][:] = 0.5
    data.train[1][:] = 3
    assert fashion_mnist("subset").train[0].max() == 1.0
    assert data.validation[0].max() == 1.0


def test_auto_takes_what_is_there_and_never_downloads(real: Path, home: Path) -> None:
    assert counts(fashion_mnist(mirrors=["http://127.0.0.1:9/"])) == [5_500, 1_000, 500]
    assert not home.exists()
    home.mkdir()
    (home / "fashion-mnist").symlink_to(real)
    assert counts(fashion_mnist()) == [55_000, 5_000, 10_000]


@pytest.mark.parametrize("inner", ["", "fashion-mnist"])
def test_luthier_data_comes_first(
    real: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inner: str
) -> None:
    folder = tmp_path / "mine" / inner
    folder.mkdir(parents=True)
    for name in NAMES:
        (folder / name).symlink_to(real / name)
    monkeypatch.setenv("LUTHIER_DATA", str(tmp_path / "mine"))
    assert fashion_mnist("full").source == str(folder)


def test_system_folder_comes_before_the_cache_and_may_be_unpacked(
    real: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = tmp_path / "system"
    system.mkdir()
    for name in NAMES:
        content = gzip.decompress((real / name).read_bytes())
        (system / name.removesuffix(".gz")).write_bytes(content)
    monkeypatch.setattr(fashion, "SYSTEM", system)
    assert fashion_mnist().source == str(system)


@pytest.mark.parametrize("size", ["auto", "full"])
def test_luthier_data_without_the_files_is_an_error(
    real: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: fashion.Size
) -> None:
    monkeypatch.setenv("LUTHIER_DATA", str(tmp_path))
    for name in NAMES[1:]:
        (tmp_path / name).symlink_to(real / name)
    with pytest.raises(DataError, match=f"missing {NAMES[0]}. Put") as caught:
        fashion_mnist(size)
    assert str(tmp_path) in str(caught.value)
    assert counts(fashion_mnist("subset")) == [5_500, 1_000, 500]


def truncated(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def repacked(content: bytes) -> bytes:
    return gzip.compress(flipped(gzip.decompress(content)), 1)


def lengthened(content: bytes) -> bytes:
    return gzip.compress(gzip.decompress(content) + b"\0", 1)


def shortened(content: bytes) -> bytes:
    return gzip.compress(truncated(gzip.decompress(content)), 1)


@pytest.mark.parametrize(
    "damage",
    [truncated, flipped, repacked, lengthened, shortened, lambda _: b"", lambda _: b"<html>"],
)
@pytest.mark.parametrize("name", NAMES[1:3])
def test_damaged_file_is_refused(cache: Path, name: str, damage: Callable[[bytes], bytes]) -> None:
    file = next(file for file in fashion.FILES if name == f"{file.name}.gz")
    (cache / name).write_bytes(damage((cache / name).read_bytes()))
    for size in ("auto", "full"):
        with pytest.raises(DataError, match=re.escape(str(cache / name))) as caught:
            fashion_mnist(size)
        message = str(caught.value)
        assert f"{file.size:,} bytes" in message
        assert file.sha256 in message
        for fix in ("Delete it", "LUTHIER_DATA", "apt install dataset-fashion-mnist", '"subset"'):
            assert fix in message


def test_missing_and_not_to_be_downloaded(home: Path) -> None:
    with pytest.raises(DataError, match="download is off") as caught:
        fashion_mnist("full", download=False)
    assert str(home) in str(caught.value)
    assert not home.exists()


def test_wrong_size_word() -> None:
    with pytest.raises(DataError, match="Did you mean 'subset'"):
        fashion_mnist("subsets")  # type: ignore[arg-type]


@pytest.mark.parametrize("validation", [-1, 6_500, 60_000, 0.2, "many"])
def test_validation_out_of_range(validation: int) -> None:
    with pytest.raises(DataError, match="from 0 to 6,499"):
        fashion_mnist("subset", validation=validation)
    if validation != 6_500:
        with pytest.raises(DataError, match="from 0 to 59,999"):
            fashion_mnist("full", validation=validation, download=False)


def test_import_brings_in_nothing_heavy() -> None:
    heavy = ["ssl", "http.client", "urllib.request", "lzma", "scipy", "keras", "torch", "jax"]
    code = f"import sys, luthier.datasets; print([m for m in {heavy} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, env=os.environ)
    assert out.stdout.decode().strip() == "[]", out.stderr.decode()
