"""The address that ``luthier serve`` prints is one that workers connect with."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
from collections.abc import Generator

import pytest
from serving_store import free_port

from luthier.app.options import name_of
from luthier.errors import CheckpointError
from luthier.run.http_checkpoints import HTTPCheckpoints
from luthier.storage import HTTPStore

pytestmark = pytest.mark.processes


def hosts():
    yield "127.0.0.1"
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            yield "::1"
    except OSError:  # a machine without IPv6
        return


@contextlib.contextmanager
def served(folder, *options) -> Generator[str]:
    """Serve a store, and yield the address that is printed."""
    command = [sys.executable, "-m", "luthier.app.command", "serve", "--port", str(free_port())]
    command += ["--storage", str(folder / "s.db"), *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        try:
            line = server.stderr.readline()
            assert line.startswith("luthier: workers connect with http://"), line
            yield line.split()[-1]
        finally:
            server.terminate()
            server.wait(20)


@pytest.mark.parametrize("host", list(hosts()))
@pytest.mark.parametrize("token", ["plain", "a/b@c:d#e?%41"])
def test_it_is_the_server_whatever_the_token_and_the_host(tmp_path, host, token):
    with served(tmp_path, "--host", host, "--token", token) as address:
        store = HTTPStore(address)
        assert store.server.token == token
        assert store.names() == []
        store.close()


def test_a_server_that_listens_everywhere_goes_by_the_name_of_its_machine(tmp_path):
    with served(tmp_path, "--host", "0.0.0.0", "--token", "t") as address:
        assert address.startswith(f"http://t@{socket.gethostname()}:")
    assert name_of("::") == socket.gethostname()
    for host in ("127.0.0.1", "::1", "10.0.0.7", "node7.example.org"):
        assert name_of(host) == host


def test_a_checkpoint_larger_than_the_server_takes_is_refused_with_what_to_do(tmp_path):
    with served(tmp_path, "--token", "t", "--max-checkpoint", "20kB") as address:
        kept = HTTPCheckpoints(HTTPStore(address), "s")
        kept.save(0, 1, lambda folder: (folder / "weights").write_bytes(b"x" * 1_000), {}, 0.0)
        with pytest.raises(CheckpointError) as error:
            kept.save(0, 2, lambda folder: (folder / "weights").write_bytes(b"x" * 30_000), {}, 0.0)
        assert kept.newest(0)[0] == 1
    for words in ("at most 20000 bytes", "larger --max-checkpoint", 'checkpoints="s3://bucket/'):
        assert words in str(error.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--port", "99999"], "99999 is not in the range"),
        (["--port", "0"], "0 is not in the range"),
        (["--max-checkpoint", "big"], "A size must be such as 30MB or 2GB, got 'big'"),
    ],
)
def test_what_cannot_be_served_is_a_line(tmp_path, options, words):
    command = [sys.executable, "-m", "luthier.app.command", "serve", *options]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=30)
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())
