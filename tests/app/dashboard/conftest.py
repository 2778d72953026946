"""One store, one server, one trainer and one browser for all tests of the dashboard."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from tests.app.dashboard.example_studies import make_all
from tests.app.serving_store import free_port

HERE = Path(__file__).parent


class Served:
    """A running ``luthier dashboard``."""

    def __init__(self, storage: Path, *arguments: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        program = [sys.executable, "-m", "luthier.app.command", "dashboard", str(storage)]
        at = ["--port", str(self.port)]
        self.process = subprocess.Popen([*program, *at, *arguments], stderr=subprocess.PIPE)
        assert self.process.stderr is not None
        self.said = self.process.stderr.readline().decode()
        until = time.monotonic() + 30
        while time.monotonic() < until and self.process.poll() is None:
            try:
                urllib.request.urlopen(self.url + "icon.svg", timeout=5).close()
                return
            except urllib.error.HTTPError:
                return  # it asks for its token
            except OSError:
                time.sleep(0.05)
        raise AssertionError(f"the dashboard did not start: {self.said}")

    def get(self, what: str, **query: Any) -> Any:
        with urllib.request.urlopen(f"{self.url}api/{what}?{urlencode(query, True)}") as answer:
            return json.loads(answer.read())

    def stop(self) -> float:
        """Send SIGTERM and return the seconds until it has ended."""
        began = time.monotonic()
        self.process.terminate()
        try:
            self.process.wait(20)
        finally:
            self.process.kill()
            self.process.wait()
        return time.monotonic() - began


@pytest.fixture(scope="session")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("dashboard") / "studies.db"
    make_all(path)
    return path


@pytest.fixture(scope="session")
def dashboard(storage: Path) -> Iterator[Served]:
    served = Served(storage)
    yield served
    served.stop()


@pytest.fixture(scope="session")
def trainer(storage: Path) -> Iterator[str]:
    """Yield the name of a study that a process of its own trains meanwhile."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    program = [sys.executable, str(HERE / "example_studies.py"), str(storage), "live"]
    process = subprocess.Popen(
        program, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    yield "live"
    process.kill()
    process.wait()
