"""A new user's first commands, taken from the README, in real processes with real Ctrl-C."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

pytestmark = pytest.mark.processes
README = (Path(__file__).parents[1] / "README.md").read_text()


def steps():
    """Return the commands of the README's path, each with whether Ctrl-C ends it."""
    section = README.split("## The first quarter of an hour")[1].split("\n## ")[0]
    lines = re.search(r"```console\n(.*?)```", section, re.S)[1].splitlines()
    script = re.search(r"```python\n(.*?)```", section, re.S)[1]
    commands = [
        (line.removeprefix("$ "), after == "^C")
        for line, after in zip(lines, [*lines[1:], ""], strict=True)
        if line.startswith("$ ")
    ]
    return script, commands


class Terminal:
    """Runs commands as a shell in one folder would, ``luthier`` and ``python`` being those under test."""

    def __init__(self, folder):
        self.folder = folder
        known = {k: v for k, v in os.environ.items() if not k.startswith("LUTHIER_")}
        self.environment = {
            **known,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "PYTHONUNBUFFERED": "1",
        }

    def start(self, command):
        words = command.split()
        python = [sys.executable]
        words = (
            python + (["-m", "luthier.app.command"] if words[0] == "luthier" else []) + words[1:]
        )
        return subprocess.Popen(
            words, cwd=self.folder, env=self.environment, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def run(self, command):
        process = self.start(command)
        said, _ = process.communicate(timeout=120)
        assert process.returncode == 0, said
        return said

    def interrupt(self, process):
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
        return process.returncode, said


def wait_for(there, process):
    until = time.monotonic() + 90
    while not there():
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < until
        time.sleep(0.05)


def test_the_path(tmp_path):
    script, commands = steps()
    epoch = "        order = "
    assert epoch in script  # whose epochs take 9 ms: all could be over before Ctrl-C comes
    slower = script.replace(epoch, f"        __import__('time').sleep(0.05)\n{epoch}")
    (tmp_path / "first.py").write_text(slower)
    assert len(commands) <= 10
    (install, _), *commands = commands
    assert install == 'pip install -e ".[dashboard,plot]"'  # tests/packaging installs it
    terminal = Terminal(tmp_path)
    said = {}
    for command, interrupted in commands:
        if not interrupted:
            said[command] = [*said.get(command, []), terminal.run(command)]
        elif command == "luthier dashboard":
            code, page = look_at_the_page(terminal, command)
            assert code in (0, 130)
            assert "<title>" in page
        else:
            process = terminal.start(command)
            wait_for(
                lambda: any(tmp_path.glob("luthier-checkpoints/*/trial-00001/step-*")), process
            )
            code, words = terminal.interrupt(process)
            assert code != 0
            assert "interrupted; everything is kept" in words
    assert "first" in said["luthier list"][0]
    assert "going on:" in said["python first.py"][0]
    assert "val_accuracy" in said["luthier show first"][0]
    assert "learning_rate:" in (tmp_path / "best.yaml").read_text()
    assert "The answer" in (tmp_path / "first.html").read_text()
    import luthier

    study = luthier.open("first", storage=tmp_path / "luthier.db")
    assert len(study.trials) == 15
    epochs = [list(t.steps) for t in study.trials]
    assert all(steps == list(range(1, len(steps) + 1)) for steps in epochs)  # none trained twice
    assert study.best_value > 0.7


def look_at_the_page(terminal, command):
    """Return how the dashboard ended, and its page; on a port that is free, for tests run side by side."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    process = terminal.start(f"{command} --port {port}")
    address = re.search(r"http://\S+", process.stdout.readline())[0]

    def answers():
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return True
        return False

    wait_for(answers, process)
    with urllib.request.urlopen(address, timeout=20) as answer:
        page = answer.read().decode()
    code, _ = terminal.interrupt(process)
    return code, page
