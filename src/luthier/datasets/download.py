"""Downloads one file into a folder: from several mirrors, resumed, checked, put in place at once.

What has come is kept in a ``.part`` file and continued by whichever mirror, attempt or later call
comes next. Nothing gets its final name before its content was checked, so other processes see a
whole file or none; a lock makes the second of two downloading processes wait for the first.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from luthier.datasets.idx import IdxFile
from luthier.errors import DataError

TIMEOUT = 30.0  # seconds without a byte
ATTEMPTS = 5  # at one mirror, as long as each brings something
_CHUNK = 1 << 18


def fetch(file: IdxFile, folder: Path, mirrors: Sequence[str]) -> None:
    """Put *file* into *folder* as ``<name>.gz``, from the first of *mirrors* that delivers it.

    Args:
        file: what to get.
        folder: where to; made when it does not exist.
        mirrors: base URLs, tried in order.

    Raises:
        DataError: no mirror delivered it (the message lists each one's error), or the folder cannot
            be written.
    """
    target = folder / f"{file.name}.gz"
    failures: list[str] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _part(target) as part:
            if file.find(folder):  # another process was faster
                return
            for mirror in mirrors:
                url = f"{mirror.rstrip('/')}/{target.name}"
                try:
                    _obtain(url, part, file)
                except (OSError, HTTPException, ValueError) as error:
                    failures.append(f"\n  {url}: {error or type(error).__name__}")
                else:
                    os.replace(part, target)
                    return
    except OSError as error:
        raise DataError(f"Could not write {target}: {error}.") from error
    raise DataError(f"Could not download {target.name} to {folder}:{''.join(failures)}")


def _obtain(url: str, part: Path, file: IdxFile) -> None:
    """Complete *part* from *url* and check it; one that was put together wrongly is begun anew."""
    for attempt in range(1, ATTEMPTS + 1):
        before = _size(part)
        try:
            _receive(url, part, file.size)
        except (OSError, HTTPException):
            if _size(part) <= before or attempt == ATTEMPTS:
                raise
            continue
        try:
            file.read(part)
        except DataError:
            part.unlink()
            if before == 0 or attempt == ATTEMPTS:
                raise
        else:
            return


def _receive(url: str, part: Path, most: int) -> None:
    """Append to *part* what *url* holds beyond it, or write all when the server knows no ranges."""
    start = _size(part)
    request = Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    try:
        response = urlopen(request, timeout=TIMEOUT)
    except HTTPError as error:
        error.close()
        if (
            error.code == 416 and start
        ):  # nothing lies beyond: the check tells whether that is right
            return
        raise
    with response:
        resumed = response.status == 206
        if resumed and not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            raise OSError("the server sent another range than the one asked for")
        announced = response.headers.get("Content-Length")
        received = 0
        with part.open("ab" if resumed else "wb") as out:
            while chunk := response.read(_CHUNK):
                out.write(chunk)
                received += len(chunk)
                if out.tell() > most:
                    part.unlink()
                    raise OSError(f"the server sent more than the {most:,} bytes the file can have")
    if announced is not None and received < int(announced):
        raise OSError(f"the connection ended after {received:,} of {int(announced):,} bytes")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


@contextmanager
def _part(target: Path) -> Generator[Path]:
    """Give the ``.part`` file of *target* to one process at a time; the system frees a dead one's.

    Where files cannot be locked (Windows, some cluster file systems) each process gets its own,
    which does not outlive it.
    """
    with target.with_name(".lock").open("w") as lock:
        if _locked(lock.fileno()):
            yield target.with_name(f"{target.name}.part")
            return
    own = target.with_name(f"{target.name}.{os.getpid()}.part")
    try:
        yield own
    finally:
        own.unlink(missing_ok=True)


def _locked(handle: int) -> bool:
    try:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX)
    except (ImportError, OSError):
        return False
    return True
