"""The real files, an empty home, and web servers to download from."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from serving import NAMES, Server

from luthier.datasets import fashion

ROOT = Path(__file__).parents[2]
PLACES = [
    ROOT.parent / "shared/data/fashion-mnist",
    Path(os.environ.get("LUTHIER_DATA") or ROOT / "nowhere"),
    Path(os.environ.get("LUTHIER_DATA") or ROOT / "nowhere") / "fashion-mnist",
    fashion.SYSTEM,
]


@pytest.fixture(scope="session")
def real() -> Path:
    """The folder of the full set."""
    for place in PLACES:
        if all((place / name).is_file() for name in NAMES):
            return place
    message = f"the full Fashion-MNIST is in none of {', '.join(map(str, PLACES))}"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, no LUTHIER_DATA, no system folder, no proxy."""
    monkeypatch.setenv("LUTHIER_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("LUTHIER_DATA", raising=False)
    monkeypatch.setattr(fashion, "SYSTEM", tmp_path / "no-system")
    monkeypatch.setenv("no_proxy", "*")
    return tmp_path / "home"


@pytest.fixture
def cache(home: Path, real: Path) -> Path:
    """The cache, holding a copy of the full set."""
    return Path(shutil.copytree(real, home / "fashion-mnist", copy_function=shutil.copyfile))


@pytest.fixture
def start() -> Iterator[Callable[[Path], Server]]:
    """Start a server for a folder; it ends with the test."""
    servers: list[Server] = []

    def serve(folder: Path) -> Server:
        server = Server(folder)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return server

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()
