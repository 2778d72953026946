"""What one process has acknowledged and not yet numbered is never lost, and never there twice."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time

import pytest

import luthier
from luthier.storage import MemoryStore, SQLiteStore, outbox
from luthier.study import events as luthier_events
from luthier.study.log import read_log

WORKER = """
import sys
import luthier
study = luthier.open("s", storage=sys.argv[1])

while True:
    trial = study.ask()
    for epoch in range(3):
        trial.report(loss=float(epoch))
        print(trial.number, trial.lease, trial.step, flush=True)
    study.tell(trial)
    print(trial.number, trial.lease, "end", flush=True)
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "luthier.db"


def run(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, text=True, capture_output=True, timeout=60)


def files(path) -> list[str]:
    return os.listdir(outbox.folder_of(path))


def test_the_process_itself_reads_what_it_deferred_and_others_a_moment_later(path):
    store, other = SQLiteStore(path), SQLiteStore(path)
    store.append("s", [b"1"])
    assert store.defer("s", [b"2", b"3"], 1)
    assert outbox.outbox_of(path).holds
    assert other.read("s") == [(1, b"1"), (2, b"2"), (3, b"3")]
    assert not outbox.outbox_of(path).holds
    assert store.defer("s", [b"4"], 3)
    reading = "import sys, luthier.storage as s; print(len(s.open_store(sys.argv[1]).read('s')))"
    until = time.monotonic() + 30
    while run(reading, path).stdout != "4\n":
        assert time.monotonic() < until
    store.close()
    assert files(path) == []


def test_what_was_deferred_comes_before_what_is_appended_next(path):
    store = SQLiteStore(path)
    assert store.defer("s", [b"1"], 0)
    assert store.defer("t", [b"x"], 0)
    assert store.append_and_read("s", [b"2"], 0) == (2, [(1, b"1")])
    assert store.defer("s", [b"3"], 2)
    with store.deciding("s", briefly=True):
        assert store.read("s", 2) == [(3, b"3")]
        assert store.append("s", [b"4"], expect=3) == 4
    assert store.defer("s", [b"5"], 4)
    with store.deciding("s", briefly=True):
        pass
    assert [body for _, body in SQLiteStore(path, read_only=True).read("s")] == [
        b"1", b"2", b"3", b"4", b"5",
    ]  # fmt: skip
    assert store.read("t") == [(1, b"x")]


def test_what_a_store_deferred_that_is_gone_is_read(path):
    store = SQLiteStore(path)
    store.append("s", [b"1"])
    assert store.defer("s", [b"2"], 1)
    del store
    assert SQLiteStore(path, read_only=True).read("s") == [(1, b"1"), (2, b"2")]
    assert SQLiteStore(path).defer("s", [b"3"], 2)
    assert SQLiteStore(path).read("s", 2) == [(3, b"3")]


def test_stores_without_a_place_for_it_refuse(path):
    assert not MemoryStore().defer("s", [b"1"], 0)
    assert not SQLiteStore(path, durability="power").defer("s", [b"1"], 0)
    store = SQLiteStore(path)
    assert not store.defer("s", [b"x" * 100_000], 0)
    assert store.defer("s", [b"x" * 1000], 0)
    assert [len(body) for _, body in store.read("s")] == [1000]


DIES = """
import os, sys
from luthier.storage import SQLiteStore, outbox
store = SQLiteStore(sys.argv[1])
store.append("s", [b"0"])
store.defer("s", [b"1", b"2"], 1)
if sys.argv[2] == "before the commit":
    os.kill(os.getpid(), 9)
outbox.Outbox.drop = lambda self, end: os.kill(os.getpid(), 9)
store.flush()
"""


@pytest.mark.parametrize("moment", ["before the commit", "after the commit"])
def test_what_a_killed_process_deferred_is_there_once(path, moment):
    died = run(DIES, path, moment)
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert len(files(path)) == 1
    assert SQLiteStore(path, read_only=True).read("s") == [(1, b"0"), (2, b"1"), (3, b"2")]
    assert files(path) == []


def test_ctrl_c_while_waiting_to_decide_leaves_the_store_usable(path):
    store, other = SQLiteStore(path), SQLiteStore(path)
    store.append("s", [b"1"])

    def interrupted():
        raise KeyboardInterrupt

    with (
        other.deciding("s", briefly=True),
        pytest.raises(KeyboardInterrupt),
        store.deciding("s", briefly=True, meanwhile=interrupted),
    ):
        raise AssertionError("it has the lock that another one holds")
    assert store.defer("s", [b"2"], 1)
    assert store.read("s") == [(1, b"1"), (2, b"2")]
    with other.deciding("s", briefly=True):
        assert other.append("s", [b"3"]) == 3


def test_a_child_leaves_its_parents_outbox_alone(path):
    store = SQLiteStore(path)
    store.defer("s", [b"parent"], 0)
    child = os.fork()
    if not child:
        store.defer("s", [b"child"], 0)
        store.flush()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert sorted(body for _, body in store.read("s")) == [b"child", b"parent"]


@pytest.mark.processes
def test_no_acknowledged_report_is_lost_by_sigkill(path):
    study = luthier.open(
        "s", {"x": luthier.Float(0, 1)}, minimize="loss", searcher="random", storage=path
    )
    study.close()
    acknowledged: list[tuple[str, ...]] = []
    for _ in range(4):
        crew = [
            subprocess.Popen(
                [sys.executable, "-c", WORKER, path], stdout=subprocess.PIPE, text=True
            )
            for _ in range(2)
        ]
        lines = [process.stdout.readline() for process in crew]
        time.sleep(random.uniform(0.05, 0.5))
        for process in crew:
            process.kill()
        lines += [line for process in crew for line in process.communicate()[0].splitlines(True)]
        acknowledged += [tuple(line.split()) for line in lines if line.endswith("\n")]
    in_log: set[tuple[str, ...]] = set()
    events = 0
    for _, event in read_log(SQLiteStore(path), "s"):
        if isinstance(event, luthier_events.Reported):
            in_log.add((str(event.trial), str(event.lease), str(event.step)))
            events += 1
        elif isinstance(event, luthier_events.TrialCompleted):
            in_log.add((str(event.trial), str(event.lease), "end"))
            events += 1
    assert len(acknowledged) > 200
    assert set(acknowledged) <= in_log
    assert events == len(in_log)  # none twice


def remove(path, *but):
    for name in os.listdir(path.parent):
        if name.startswith(path.name) and not name.endswith(but):
            (path.parent / name).unlink()


def test_what_a_process_left_for_a_file_that_was_deleted_is_not_the_next_files(path):
    """``rm luthier.db*`` leaves the folder."""
    assert run(DIES, path, "before the commit").returncode == -signal.SIGKILL
    remove(path, "-outbox")
    store = SQLiteStore(path)
    assert store.names() == []
    assert files(path) == []
    study = luthier.open("s", {"x": luthier.Float(0, 1)}, minimize="loss", storage=path)
    assert study.ask().number == 0


def left(path, *records):
    """Leave *records* as a process would that is gone."""
    body = b"".join(map(outbox._record, records))
    outbox.folder_of(path).mkdir()
    marks = outbox._RANGE.pack((8 + len(body)) << 32 | 8)
    (outbox.folder_of(path) / "999999-0123abcd").write_bytes((marks + body).ljust(1 << 16, b"\0"))


def test_a_log_that_a_power_cut_made_shorter_takes_what_it_can_know(path):
    store = SQLiteStore(path)
    store.append("s", [b"1", b"2", b"3"])
    left(path, outbox.Waiting("s", 100, b"later"), outbox.Waiting("s", 2, b"4"))
    assert SQLiteStore(path).read("s") == [(1, b"1"), (2, b"2"), (3, b"3"), (4, b"4")]
    assert files(path) == []


def test_an_outbox_of_which_a_power_cut_kept_the_marks_alone_is_read_as_far_as_it_goes(path):
    store = SQLiteStore(path)
    store.append("s", [b"1"])
    left(path, *(outbox.Waiting("s", 1, b"%d" % i * 100) for i in range(100)))
    (file,) = outbox.folder_of(path).iterdir()
    with file.open("r+b") as content:
        content.seek(4096)
        content.write(bytes(8192))
    (outbox.folder_of(path) / "notes.txt").write_text("not ours")
    found = [body for _, body in SQLiteStore(path).read("s")]
    assert found[1:] == [b"%d" % i * 100 for i in range(len(found) - 1)]
    assert 20 < len(found) < 40
    assert files(path) == ["notes.txt"]


def test_a_report_of_a_trial_whose_proposal_is_gone_is_late(path):
    luthier.open("s", {"x": luthier.Float(0, 1)}, minimize="loss", storage=path).close()
    body = luthier_events.encode(
        luthier_events.Reported(time=1.0, trial=7, lease=3, step=1, metrics={"loss": 1.0})
    )
    SQLiteStore(path).append("s", [body])
    study = luthier.open("s", storage=path)
    assert (study.history.late_reports, len(study.trials)) == (1, 0)
    assert study.ask().number == 0
