"""IDX files, the format of MNIST and its kin, checked byte for byte before anything is believed.

A file of unsigned bytes is a header (four bytes of type and rank, four for each dimension) and the
array in C order. The SHA-256 is that of the unpacked content: packers write different gzip bytes
around the same images.
"""

from __future__ import annotations

import gzip
import hashlib
import math
import os
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from luthier.errors import DataError

_GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class IdxFile:
    """What one file must hold: *name* as unpacked, the array's *shape*, the whole's SHA-256."""

    name: str
    shape: tuple[int, ...]
    sha256: str

    @property
    def size(self) -> int:
        """Bytes of the unpacked file, header included."""
        return self._header + math.prod(self.shape)

    @property
    def _header(self) -> int:
        return 4 + 4 * len(self.shape)

    def find(self, folder: Path) -> Path | None:
        """Return its path in *folder*, packed (``.gz``) or unpacked; None when it has neither."""
        candidates = (folder / f"{self.name}.gz", folder / self.name)
        return next((path for path in candidates if os.path.isfile(path)), None)

    def read(self, path: Path) -> NDArray[np.uint8]:
        """Return the array in *path*, packed or not, read-only.

        Raises:
            DataError: the file cannot be read, or is not, bit for bit, what it must be.
        """
        try:
            content = _content(path, self.size + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise self._refused(path, f"it cannot be read ({error})") from error
        if len(content) != self.size:
            found = "more" if len(content) > self.size else f"only {len(content):,}"
            raise self._refused(path, f"it holds {found} bytes when unpacked")
        found = hashlib.sha256(content).hexdigest()
        if found != self.sha256:
            raise self._refused(path, f"its content has SHA-256 {found}")
        return np.frombuffer(content, np.uint8, offset=self._header).reshape(self.shape)

    def _refused(self, path: Path, flaw: str) -> DataError:
        return DataError(
            f"{path} is damaged or incomplete: {flaw}. "
            f"Expected {self.size:,} bytes when unpacked, with SHA-256 {self.sha256}."
        )


def _content(path: Path, most: int) -> bytes:
    """Return at most *most* bytes of the file, unpacked when it starts as gzip does."""
    with path.open("rb") as file:
        packed = file.read(len(_GZIP)) == _GZIP
        file.seek(0)
        if not packed:
            return file.read(most)
        with gzip.GzipFile(fileobj=file) as unpacked:
            return unpacked.read(most)
