"""A real PostgreSQL server of the tests' own: its own folder, its own port, gone afterwards."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path


class PostgresServer:
    """A cluster in a temporary folder, run as user postgres when the tests run as root."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"postgresql://luthier@127.0.0.1:{self.port}/postgres"

    def make(self) -> None:
        self._run("initdb", "-D", f"{self.folder}/data", "-U", "luthier", "-A", "trust", "-N")

    def start(self) -> None:
        options = (
            f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1 -c max_connections=60"
        )
        self._run("pg_ctl", "-D", f"{self.folder}/data", "-o", options, "-w", "-l",
                  f"{self.folder}/log", "start")  # fmt: skip

    def stop(self, mode: str = "fast") -> None:
        self._run("pg_ctl", "-D", f"{self.folder}/data", "-m", mode, "-w", "stop")

    def restart(self, mode: str = "immediate") -> None:
        self.stop(mode)
        self.start()

    def _run(self, program: str, *arguments: str) -> None:
        user = "postgres" if os.getuid() == 0 else None
        done = subprocess.run(
            [str(_programs() / program), *arguments],
            user=user,
            cwd=self.folder,
            stdout=subprocess.DEVNULL if program == "pg_ctl" else subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert done.returncode == 0, f"{program} failed: {done.stdout!r}"


def _programs() -> Path:
    """Return the folder of PostgreSQL's programs; without them the tests fail, they do not skip."""
    found = shutil.which("initdb")
    places = [Path(found).parent] if found else []
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    assert places, "The tests need PostgreSQL: apt-get install postgresql (Debian), see .ci/run."
    return places[0]


@contextlib.contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    folder = Path(tempfile.mkdtemp(prefix="luthier-pg-", dir="/tmp"))
    if os.getuid() == 0:
        user = pwd.getpwnam("postgres")
        os.chown(folder, user.pw_uid, user.pw_gid)
    server = PostgresServer(folder)
    server.make()
    server.start()
    try:
        yield server
    finally:
        with contextlib.suppress(AssertionError):
            server.stop("immediate")
        shutil.rmtree(folder, ignore_errors=True)
