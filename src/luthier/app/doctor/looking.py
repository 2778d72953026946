"""What there is on this machine, looked up without importing any framework in this process."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from luthier.app.doctor.frameworks import Framework, look_at_frameworks, version_of
from luthier.app.stores import store_to_read
from luthier.errors import LuthierError, StoreMissingError
from luthier.run.devices import THREADS, cores, quota
from luthier.run.vital_signs import memory
from luthier.storage import DEFAULT, VARIABLE, PostgresStore
from luthier.storage.sqlite_file import checked_place, file_system
from luthier.study.protocols import Store
from luthier.train.fused.place import folder
from luthier.version import __version__

_NEEDED = ("numpy", "scipy", "msgspec", "click", "rich", "ruamel.yaml", "psutil", "cloudpickle",
           "threadpoolctl", "cmaes")  # fmt: skip


@dataclass(frozen=True)
class Storage:
    """Where the studies are.

    Attributes:
        place: as it was given, without a password.
        state: ``reachable``, ``not made yet`` or ``unreachable``.
        studies: how many there are, where it is reachable.
        error: why it is unreachable.
        system: the file system that its file is on, '' for a server.
        free: bytes free on its disk; None for a server.
    """

    place: str
    state: str
    studies: int = 0
    error: str = ""
    system: str = ""
    free: int | None = None


@dataclass(frozen=True)
class Facts:
    """What there is. Memory and disk are in bytes.

    Attributes:
        luthier, python, sqlite: versions.
        system: operating system and processor.
        packages: versions of what Luthier needs; '' for what is missing.
        extras: for each extra of the package, the packages that it lacks; none when it is whole.
        frameworks: what the deep-learning frameworks say of themselves.
        cores: this process may use.
        cores_there: this machine has.
        quota: cores that the control group allows, None for no bound.
        threads: the environment's thread counts.
        cards: the GPUs that nvidia-smi lists.
        memory, memory_free: of the machine, or what its control group allows.
        storage: where the studies are.
        temporary_free: on the disk of the temporary folder.
        programs: the folder of compiled programs; '' for none.
        programs_bytes, programs_count: what lies there.
        backend: the Keras backend that is set, '' for Keras's default.
    """

    luthier: str
    python: str
    executable: str
    sqlite: str
    system: str
    packages: dict[str, str]
    extras: dict[str, list[str]]
    frameworks: list[Framework]
    cores: int
    cores_there: int
    quota: float | None
    threads: dict[str, str]
    cards: list[str]
    memory: int
    memory_free: int
    storage: Storage
    temporary_free: int
    programs: str
    programs_bytes: int
    programs_count: int
    backend: str


def look(storage: str | None = None, *, quick: bool = False) -> Facts:
    """Return what there is; with *quick* without starting the frameworks, which takes seconds each."""
    total, free = memory()
    programs = folder()
    files: list[Path] = []
    if programs is not None:
        with contextlib.suppress(OSError):  # a folder that we may not look into
            files = list(programs.glob("*")) if programs.is_dir() else []
    return Facts(
        luthier=__version__,
        python=platform.python_version(),
        executable=sys.executable,
        sqlite=sqlite3.sqlite_version,
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        packages={name: version_of(name) for name in _NEEDED},
        extras=_extras(),
        frameworks=look_at_frameworks(quick=quick),
        cores=cores(),
        cores_there=os.cpu_count() or 1,
        quota=quota(),
        threads={name: os.environ[name] for name in THREADS if name in os.environ},
        cards=_cards(),
        memory=total,
        memory_free=free,
        storage=_storage(storage),
        temporary_free=shutil.disk_usage(tempfile.gettempdir()).free,
        programs="" if programs is None else str(programs),
        programs_bytes=sum(f.stat().st_size for f in files if f.is_file()),
        programs_count=len(files),
        backend=os.environ.get("KERAS_BACKEND", ""),
    )


def _extras() -> dict[str, list[str]]:
    """Return for each extra of the package what it lacks here."""
    lacks: dict[str, list[str]] = {}
    for line in metadata.requires("luthier") or []:
        requirement, _, marker = line.partition(";")
        extra = re.search(r"extra == ['\"]([\w-]+)['\"]", marker)
        machine = re.search(r"platform_machine ([!=]=) '(\w+)'", marker)
        if extra is None or (
            machine and (machine[2] == platform.machine()) != (machine[1] == "==")
        ):
            continue
        package = re.split(r"[\s\[<>=!~(]", requirement.strip())[0]
        names = (package, "tensorflow") if package == "tensorflow-cpu" else (package,)
        missing = lacks.setdefault(extra[1], [])
        if not any(map(version_of, names)):
            missing.append(package)
    return lacks


def _storage(given: str | None) -> Storage:
    place = given or os.environ.get(VARIABLE) or DEFAULT
    shown = _without_password(place)
    path = Path(place.removeprefix("sqlite:///").partition("?")[0]).expanduser().absolute()
    local = "://" not in place or place.startswith("sqlite:///")
    system = file_system(path) if local else ""
    free = shutil.disk_usage(path.parent).free if local and path.parent.is_dir() else None
    try:
        if local:
            checked_place(path, must_exist=False)
        if local and not path.exists():
            return Storage(shown, "not made yet", system=system, free=free)
        count = len(_opened(place).names())
    except StoreMissingError:
        return Storage(shown, "not made yet", system=system, free=free)
    except Exception as error:
        words = (
            str(error) if isinstance(error, LuthierError) else f"{type(error).__name__}: {error}"
        )
        words = words.replace(place, shown)
        return Storage(shown, "unreachable", error=words, system=system, free=free)
    return Storage(shown, "reachable", count, system=system, free=free)


def _opened(place: str) -> Store:
    """Return the store, which a database that is away refuses at once: workers wait for it for a minute."""
    if place.startswith(("postgresql://", "postgres://")):
        return PostgresStore(place, read_only=True, patience=0.0)
    return store_to_read(place)


def _without_password(place: str) -> str:
    """Return an address without user, password and settings, which may hold one, whatever is wrong with it."""
    scheme, separator, rest = place.partition("://")
    if not separator or scheme == "sqlite":
        return place
    rest = rest.partition("?")[0].rpartition("@")[2]
    return f"{scheme}://{rest}"


def _cards() -> list[str]:
    """Return a line for each GPU that nvidia-smi lists: name, driver, memory in MiB."""
    if (program := shutil.which("nvidia-smi")) is None:
        return []
    asked = "--query-gpu=name,driver_version,memory.total,memory.free"
    try:
        done = subprocess.run(
            [program, asked, "--format=csv,noheader"], capture_output=True, text=True, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [line.strip() for line in done.stdout.splitlines()] if done.returncode == 0 else []
