"""The address that ``luthier serve`` prints is one that workers connect with."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest
from serving_store import free_port

from luthier.storage import HTTPStore

pytestmark = pytest.mark.processes


def hosts():
    yield "127.0.0.1"
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            yield "::1"
    except OSError:  # a machine without IPv6
        return


@pytest.mark.parametrize("host", list(hosts()))
@pytest.mark.parametrize("token", ["plain", "a/b@c:d#e?%41"])
def test_it_is_the_server_whatever_the_token_and_the_host(tmp_path, host, token):
    command = [sys.executable, "-m", "luthier.app.command", "serve", "--host", host]
    command += ["--port", str(free_port()), "--token", token, "--storage", str(tmp_path / "s.db")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        try:
            line = server.stderr.readline()
            assert line.startswith("luthier: workers connect with http://"), line
            store = HTTPStore(line.split()[-1])
            assert store.server.token == token
            assert store.names() == []
            store.close()
        finally:
            server.terminate()
            server.wait(20)
