"""Workers from the command line, stores, steering and replay, as a user types them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time

import pytest
from tests.storage.postgres_server import running_postgres

from luthier.run.opening import open_study
from luthier.space import Choice, Float, Int, Space
from luthier.storage import open_store
from luthier.study.records import TrialState

pytestmark = pytest.mark.processes
TRAIN = """
import time
from pathlib import Path
import luthier

def train(trial):
    for epoch in trial.epochs(save=lambda f: None, restore=lambda f: None):
        time.sleep(0.02)
        with open(Path(__file__).with_name("trained.txt"), "a") as log:
            log.write(f"{trial.number} {epoch + 1}\\n")
        trial.report(loss=trial["x"] + 1 / (epoch + 1))

if __name__ == "__main__":
    result = luthier.tune(train, {"x": luthier.Float(0, 1)}, minimize="loss", scheduler="hyperband",
                          epochs=9, name="s", workers=1, storage="elsewhere.db")
    print(len(result.trials))
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").write_text(TRAIN)
    return tmp_path


def luthier(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "luthier.app.command", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )


def start(*arguments):
    return subprocess.Popen([sys.executable, "-m", "luthier.app.command", *arguments])


def test_two_workers_run_an_unchanged_script_on_a_database(folder):
    with running_postgres() as server:
        workers = [start("worker", "--slots", "2", server.url, "train.py") for _ in range(2)]
        assert [w.wait(120) for w in workers] == [0, 0]
        study = open_study("s", storage=server.url)
        assert len(study.trials) == 17
        assert all(t.state.ended for t in study.trials)
        lines = (folder / "trained.txt").read_text().splitlines()
        assert len(lines) == len(set(lines)) == study.history.epochs == 69
        assert not (folder / "elsewhere.db").exists()
        shown = luthier("replay", "s", "--storage", "env", LUTHIER_STORAGE=server.url)
        assert shown.returncode == 0, shown.stderr
        assert "17 proposals" in shown.stdout
        assert luthier("storage", "check", "--storage", server.url).stdout.endswith("sound\n")
        assert luthier("storage", "compact", "--storage", server.url).returncode == 0
        copied = luthier("storage", "copy", server.url, "copy.db")
        assert copied.returncode == 0, copied.stderr
        study.close()
    again = open_study("s", storage="copy.db")
    assert [t.configuration for t in again.trials] == [
        t.configuration for t in study.history.trials
    ]


def test_workers_of_a_server_share_nothing_but_http(folder):
    (folder / "served").mkdir()
    port = "18765"
    server = start("serve", "--port", port, "--token", "t", "--storage", "served/s.db")
    url = f"http://t@127.0.0.1:{port}"
    try:
        wait_for(lambda: luthier("list", "--storage", url).returncode == 0)
        workers = [start("worker", url, "train.py") for _ in range(2)]
        assert [w.wait(120) for w in workers] == [0, 0]
        lines = (folder / "trained.txt").read_text().splitlines()
        assert len(lines) == len(set(lines)) == 69
        refused = luthier("list", "--storage", f"http://wrong@127.0.0.1:{port}")
        assert refused.returncode == 2
        assert "token" in refused.stderr
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(10) in (0, 143, -signal.SIGTERM)
    assert len(open_study("s", storage="served/s.db").trials) == 17


def wait_for(condition):
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_function_of_a_module_is_a_worker_too(folder):
    open_study("t", {"x": Float(0, 1)}, minimize="loss", epochs=2, max_trials=3, storage="t.db")
    done = luthier("worker", "--study", "t", "t.db", "train:train")
    assert done.returncode == 0, done.stderr
    assert len(open_study("t", storage="t.db").trials) == 3
    for words, arguments in {
        "say which study with --study": ["t.db", "train:train"],
        "has no function 'fit'": ["--study", "t", "t.db", "train:fit"],
        "There is no script 'nothing.py'": ["t.db", "nothing.py"],
        "LUTHIER_STORAGE is not set": ["env", "train.py"],
    }.items():
        wrong = luthier("worker", *arguments)
        assert wrong.returncode == 2, arguments
        assert words in wrong.stderr


def test_steering(folder):
    space = Space(x=Float(0.0, 1.0), units=Int(8, 64), kind=Choice("a", "b"))
    study = open_study("n", space, minimize="loss", max_trials=5, storage="luthier.db")
    trial = study.ask()
    for arguments in (
        ["prune", "n", "0"],
        ["enqueue", "n", "x=0.25", "units=16", "kind=b"],
        ["budget", "n", "--trials", "3", "--time", "2h"],
        ["space", "n", "x=0.5..2", "kind=a,c"],
        ["pause", "n", "--reason", "lunch"],
    ):
        done = luthier(*arguments)
        assert done.returncode == 0, done.stderr
    trial.report(loss=1.0)
    assert trial.should_stop
    history = study.refresh()
    assert history.trials[0].state is TrialState.STOPPED
    assert history.queue == [{"x": 0.25, "units": 16, "kind": "b"}]
    assert (history.limits.trials, history.limits.epochs) == (3, None)
    assert history.until == pytest.approx(time.time() + 7200, abs=60)
    assert history.space.domains["x"] == Float(0.5, 2.0)
    assert history.space.domains["kind"] == Choice("a", "c")
    assert history.held == "paused"
    assert "paused by hand" in luthier("list").stdout
    assert luthier("resume", "n").returncode == 0
    assert luthier("stop", "n").returncode == 0
    assert study.refresh().held == "stopped"
    for words, arguments in {
        "Trial 0 has ended already": ["prune", "n", "0"],
        "Expected NAME=VALUE, got 'x'": ["enqueue", "n", "x"],
        "has no 'y'": ["space", "n", "y=1..2"],
        "expected LOW..HIGH": ["space", "n", "x=1,2"],
        "There is no study 'm'": ["stop", "m"],
    }.items():
        wrong = luthier(*arguments)
        assert wrong.returncode == 2, arguments
        assert words in wrong.stderr, wrong.stderr


def test_replay_tells_where_a_log_differs(folder):
    study = open_study("r", {"x": Float(0, 1)}, minimize="loss", max_trials=3, storage="luthier.db")
    study.tell(study.ask(), loss=1.0)
    study.close()
    from luthier.study import events as ev

    store = open_store("luthier.db")
    bodies = [body for _, body in store.read("r")]
    changed = ev.decode(bodies[2])
    assert isinstance(changed, ev.TrialProposed)
    changed.configuration["x"] = 0.77
    other = open_store("other.db")
    other.append("r", [*bodies[:2], ev.encode(changed), *bodies[3:]])
    assert luthier("replay", "r").returncode == 0
    found = luthier("replay", "r", "--storage", "other.db")
    assert found.returncode == 1
    assert "event 3 (trial proposed): trial 0 has {'x': 0.77}" in found.stderr
    assert luthier("replay", "q").returncode == 2


def test_a_port_in_use_is_said_before_anything_is_announced(folder):
    open_study("t", {"x": Float(0, 1)}, minimize="loss", storage="luthier.db").close()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        for command in ("serve", "dashboard"):
            done = luthier(command, "--port", str(taken.getsockname()[1]))
            assert done.returncode == 2
            assert done.stderr.startswith("luthier: Cannot listen on 127.0.0.1:")
            assert done.stderr.count("\n") == 1
