"""The folder in which a script keeps its checkpoint, as a state to save and to restore.

A script that prints its metrics waits for nobody. When its report is read it may have trained on, and what
it left in the folder by then belongs to a later epoch; it may be writing there at this moment. So the folder
is copied beside itself first, and the copy is a checkpoint of the report only if no other report was heard
meanwhile.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path

from luthier.run.manifests import MANIFEST

_TRIES = 5
_MOMENT = 0.02  # seconds after which what a script had printed has been heard
_Contents = list[tuple[str, int, int]]


class Folder:
    """What a script finds in ``LUTHIER_CHECKPOINT``, and leaves there.

    Attributes:
        overtaken: tells whether the script has reported more than was read, or does within so many seconds.
        late: whether that ever kept a checkpoint from being one.
        saved: whether there was a checkpoint.
        restless: files that changed each time while they were copied; what was kept of them may be torn.
        failed: why the last try to copy it failed; "" where it did not.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._copy = path.with_name(path.name + "-copied")
        self.overtaken: Callable[[float], bool] = lambda _: False
        self.late = self.saved = False
        self.restless: list[str] = []
        self.failed = ""
        self._known: _Contents = []
        self.close()
        path.mkdir(parents=True)

    def ready(self) -> bool:
        """Return whether the script has written anything new, which belongs to the report that was read."""
        found = self._contents()
        if not found or found == self._known or self._is_late(0.0):
            return False
        whole, before, changed = False, found, list[tuple[str, int, int]]()
        for _ in range(_TRIES):
            before = self._contents()
            whole = self._copied()
            changed = sorted(set(before) ^ set(self._contents()))
            if self._is_late(_MOMENT):
                return False
            if whole and not changed:
                break
        if whole and changed:
            self.restless = [str(Path(name).relative_to(self._path)) for name, _, _ in changed]
        if whole:
            self._known = before
        return whole

    def save(self, folder: Path) -> None:
        """Move the copy to *folder*."""
        for path in self._copy.iterdir():
            shutil.move(path, folder / path.name)
        self.saved = True

    def restore(self, folder: Path) -> None:
        """Put a checkpoint back."""
        shutil.copytree(
            folder, self._path, dirs_exist_ok=True, ignore=shutil.ignore_patterns(MANIFEST)
        )
        self._known = self._contents()

    def close(self) -> None:
        """Delete it: what is worth keeping has been copied."""
        for path in (self._path, self._copy):
            shutil.rmtree(path, ignore_errors=True)

    def _is_late(self, seconds: float) -> bool:
        late = self.overtaken(seconds)
        self.late = self.late or late
        return late

    def _copied(self) -> bool:
        """Return whether all of it could be copied; files may be replaced at this moment.

        A link is copied as what it leads to, and left out where that is gone: ``latest`` of a checkpoint that
        the script has deleted meanwhile.
        """
        shutil.rmtree(self._copy, ignore_errors=True)
        try:
            shutil.copytree(self._path, self._copy, ignore=_gone)
        except shutil.Error as error:
            self.failed = str(error.args[0][0][2])  # of (source, destination, why) for each file
            return False
        except FileNotFoundError as error:
            self.failed = str(error)
            return False
        self.failed = ""
        return True

    def _contents(self) -> _Contents:
        found: _Contents = []
        for path in sorted(self._path.rglob("*")):
            with contextlib.suppress(OSError):
                status = path.stat()
                if not path.is_dir():
                    found.append((str(path), status.st_size, status.st_mtime_ns))
        return found


def _gone(folder: str, names: list[str]) -> list[str]:
    """Return which of *names* are links to what is gone; shutil would look for it in the current folder."""
    return [name for name in names if not (Path(folder) / name).exists()]
