"""Fashion-MNIST: 70,000 images of clothes in ten classes (Xiao et al. 2017, arXiv:1708.07747).

The full set is used where it is found and downloaded where it is asked for; 7,000 of its images
ship with Luthier (see ``data/README.md``), so that every example runs anywhere at once.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from luthier.datasets.idx import IdxFile
from luthier.errors import DataError, nearest

CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
"""The ten classes; a label is an index into this tuple."""

MIRRORS = (
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
    "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
)
SYSTEM = Path("/usr/share/datasets/fashion-mnist")  # Debian's package dataset-fashion-mnist

TRAIN_IMAGES = IdxFile(
    "train-images-idx3-ubyte",
    (60_000, 28, 28),
    "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
)
TRAIN_LABELS = IdxFile(
    "train-labels-idx1-ubyte",
    (60_000,),
    "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
)
TEST_IMAGES = IdxFile(
    "t10k-images-idx3-ubyte",
    (10_000, 28, 28),
    "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
)
TEST_LABELS = IdxFile(
    "t10k-labels-idx1-ubyte",
    (10_000,),
    "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
)
FILES = (TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS)

SUBSET = IdxFile(
    "fashion-mnist-7000-idx2-ubyte",
    (7_000, 1 + 28 * 28),
    "d5627506bab761bf0a466c43883834b5488a9ce031c6f78a922da2697c1aa5fa",
)
SUBSET_TRAINING = 6_500  # rows of the subset that come from the training file; the rest are test
_DATA = Path(__file__).parent / "data"

Size = Literal["auto", "full", "subset"]
Part = tuple[NDArray[np.float32], NDArray[np.int64]]

_OTHERWISE = (
    "set LUTHIER_DATA to a folder that holds the four original files, "
    '`apt install dataset-fashion-mnist`, or use size="subset"'
)


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Images and labels in three parts, ready for ``model.fit(*data.train)``.

    A part is a pair: images, float32 of shape (n, 28, 28), 0.0 (background) to 1.0; and labels,
    int64 of shape (n,), each an index into ``CLASSES``. The arrays are the caller's own to change.

    Attributes:
        train: what a net learns from.
        validation: what hyperparameters are judged by. It shares no image with the others.
        test: what the final net is judged by, once.
        source: where the images were found, for humans.
    """

    train: Part
    validation: Part
    test: Part
    source: str

    def __repr__(self) -> str:
        counts = (len(labels) for _, labels in (self.train, self.validation, self.test))
        return "Dataset({:,} train, {:,} validation, {:,} test: {})".format(*counts, self.source)


def fashion_mnist(
    size: Size = "auto",
    *,
    validation: int | None = None,
    download: bool = True,
    mirrors: Sequence[str] = MIRRORS,
) -> Dataset:
    """Return Fashion-MNIST, the same images in the same order each time.

    The full set is looked for in the folder ``$LUTHIER_DATA`` or its sub-folder ``fashion-mnist``
    (when that is set, nowhere else), in ``/usr/share/datasets/fashion-mnist``, and in the cache:
    ``$LUTHIER_HOME/fashion-mnist``, by default ``~/.cache/luthier/fashion-mnist``.

    Args:
        size: ``"full"``: 60,000 images to train and validate on and 10,000 to test, downloaded
            into the cache (30 MB) when they are not found. ``"subset"``: the 6,500 and 500 images
            that ship with Luthier, equally many of each class. ``"auto"``: the full set when it is
            found, else the subset; never downloads.
        validation: how many images to hold out for validation: the last ones of the training file.
            By default 5,000 of the full set and 1,000 of the subset.
        download: False: never use the network.
        mirrors: base URLs to download the four ``.gz`` files from, tried in order.

    Raises:
        DataError: a file is damaged; ``LUTHIER_DATA`` is set to a folder without the files; the
            full set is not found and cannot be downloaded; *size* or *validation* is not one of
            the above.
    """
    if size not in get_args(Size):
        known = ", ".join(map(repr, get_args(Size)))
        raise DataError(
            f"There is no size {size!r}: expected one of {known}."
            f"{nearest(str(size), get_args(Size))}"
        )
    folder = None if size == "subset" else _found()
    whole = size == "full" or folder is not None
    held_out = _held_out(validation, whole)
    if not whole:
        return _subset(held_out)
    return _full(folder or _downloaded(_cache(), mirrors if download else ()), held_out)


def _held_out(validation: int | None, whole: bool) -> int:
    """Return the number of validation images, the default for None."""
    default, training = (5_000, 60_000) if whole else (1_000, SUBSET_TRAINING)
    if validation is None:
        return default
    if validation not in range(training):
        raise DataError(
            f"validation is {validation!r}: expected a whole number from 0 to {training - 1:,}, "
            f"how many of the {training:,} training images to hold out."
        )
    return int(validation)


def _found() -> Path | None:
    """Return the folder that holds the full set, or None."""
    named = os.environ.get("LUTHIER_DATA")
    if not named:
        return next((folder for folder in (SYSTEM, _cache()) if not _missing(folder)), None)
    folder = Path(os.path.expanduser(named))
    inner = folder / "fashion-mnist"
    if not _missing(folder):
        return folder
    if missing := _missing(inner):
        raise DataError(
            f"LUTHIER_DATA is {named!r}, but neither {folder} nor {inner} holds Fashion-MNIST: "
            f"missing {', '.join(missing if inner.is_dir() else _missing(folder))}. "
            'Put the files there, unset LUTHIER_DATA, or use size="subset".'
        )
    return inner


def _missing(folder: Path) -> list[str]:
    return [f"{file.name}.gz" for file in FILES if file.find(folder) is None]


def _cache() -> Path:
    home = os.environ.get("LUTHIER_HOME") or "~/.cache/luthier"
    return Path(os.path.expanduser(home)) / "fashion-mnist"


def _downloaded(cache: Path, mirrors: Sequence[str]) -> Path:
    """Return *cache* after completing it from *mirrors*."""
    if not mirrors:
        raise DataError(
            f"The full Fashion-MNIST is neither in {SYSTEM} nor in {cache}, and download is off: "
            f"turn it on, {_OTHERWISE}."
        )
    from luthier.datasets.download import fetch  # http and ssl: only for those who download

    for file in FILES:
        if file.find(cache) is None:
            try:
                fetch(file, cache, mirrors)
            except DataError as error:
                raise DataError(
                    f"{error}\nCall again later (what has come is kept), {_OTHERWISE}."
                ) from error
    return cache


def _full(folder: Path, held_out: int) -> Dataset:
    arrays: list[NDArray[np.uint8]] = []
    for file in FILES:
        path = file.find(folder) or folder / f"{file.name}.gz"
        try:
            arrays.append(file.read(path))
        except DataError as error:
            cached = folder == _cache()
            replace = 'Delete it and size="full" downloads it again,' if cached else "Replace it,"
            raise DataError(f"{error} {replace} {_OTHERWISE}.") from error
    images, labels, test_images, test_labels = arrays
    return _split(images, labels, held_out, (test_images, test_labels), str(folder))


def _subset(held_out: int) -> Dataset:
    try:
        rows = SUBSET.read(_DATA / f"{SUBSET.name}.gz")
    except DataError as error:
        raise DataError(f"{error} Reinstall luthier.") from error
    labels, images = rows[:, 0], rows[:, 1:].reshape(-1, 28, 28)
    test = images[SUBSET_TRAINING:], labels[SUBSET_TRAINING:]
    images, labels = images[:SUBSET_TRAINING], labels[:SUBSET_TRAINING]
    return _split(images, labels, held_out, test, "the 7,000 images shipped with luthier")


def _split(
    images: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    held_out: int,
    test: tuple[NDArray[np.uint8], NDArray[np.uint8]],
    source: str,
) -> Dataset:
    border = len(images) - held_out
    return Dataset(
        train=_part(images[:border], labels[:border]),
        validation=_part(images[border:], labels[border:]),
        test=_part(*test),
        source=source,
    )


def _part(pixels: NDArray[np.uint8], labels: NDArray[np.uint8]) -> Part:
    return np.divide(pixels, 255, dtype=np.float32), labels.astype(np.int64)
