"""Makes the 7,000 images that ship with Luthier: `python make_subset.py FULL_SET_FOLDER OUTPUT`."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from luthier.datasets.fashion import FILES


def rows(full: Path) -> NDArray[np.uint8]:
    """Return the subset, one row an image: its label, then its 784 pixels."""
    arrays = [file.read(file.find(full) or full / file.name) for file in FILES]
    images, labels, test_images, test_labels = arrays
    return np.concatenate(
        [
            first(550, images[:55_000], labels[:55_000]),
            first(100, images[55_000:], labels[55_000:]),
            first(50, test_images, test_labels),
        ]
    )


def first(count: int, images: NDArray[np.uint8], labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the first *count* images of each class, in the order of the file."""
    chosen = np.sort(np.concatenate([np.flatnonzero(labels == c)[:count] for c in range(10)]))
    return np.column_stack([labels[chosen], images[chosen].reshape(len(chosen), -1)])


def idx(array: NDArray[np.uint8]) -> bytes:
    """Return *array* as an IDX file: type 8 (unsigned byte), rank, dimensions, values."""
    header = bytes([0, 0, 8, array.ndim])
    return header + np.array(array.shape, ">u4").tobytes() + array.tobytes()


if __name__ == "__main__":
    full, output = map(Path, sys.argv[1:])
    output.write_bytes(gzip.compress(idx(rows(full)), 9, mtime=0))
