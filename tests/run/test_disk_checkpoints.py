"""What checkpoints on disk have to keep besides the contract in test_checkpoints.py.

Through kill -9, on full disks, beside the files of others; and what is flushed when.
"""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import test_checkpoints
from checkpoint_places import Killed, Log, assert_whole, content, in_child, read, save
from test_checkpoints import ON_DISK

from luthier.errors import CheckpointError
from luthier.run.checkpoints import LocalCheckpoints

place = test_checkpoints.place  # the fixture
on_disk = pytest.mark.parametrize("place", ON_DISK, indirect=True)


# -- kill -9 ---------------------------------------------------------------------------------------


def train_on(place, trial, until=10**9):
    """Go on from the newest checkpoint and write one after another; 4 stands for the best."""
    checkpoints = place.open()
    step = checkpoints.newest(trial)[0]
    while step < until:
        step += 1
        save(checkpoints, trial, step)
        checkpoints.keep(trial, {step, 4})


@on_disk
def test_kill_9_at_30_random_moments(place):
    chance, reached = random.Random(5), 0
    for _ in range(30):
        pid = os.fork()
        if not pid:
            try:
                train_on(place, 0)
            finally:
                os._exit(1)
        time.sleep(chance.uniform(0.0, 0.08))
        os.kill(pid, signal.SIGKILL)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
        step = place.open().newest(0)[0]
        assert step >= reached
        if step:
            assert_whole(place.open(), 0, step)
        reached = step
    assert reached > 30
    train_on(place, 0, until=reached + 1)
    assert place.checkpoints(0) == [4, reached + 1]
    assert len(place.all_files()) == 2 + len(content(0, 4)) + len(content(0, reached + 1))


@on_disk
def test_kill_9_before_each_change_of_the_file_system(place):
    """Steps 1 to 3 are there; step 3 is written again, then 4, and 2 is deleted; 3 is never lost."""
    moment, survived = 0, False
    while not survived:
        shutil.rmtree(place.root, ignore_errors=True)
        checkpoints = place.open()
        for step in (1, 2, 3):
            save(checkpoints, 0, step)

        def work(moment=moment):
            Killed(moment)
            checkpoints = place.open()
            save(checkpoints, 0, 3)
            save(checkpoints, 0, 4)
            checkpoints.keep(0, {1, 4})

        code, answer = in_child(work)
        survived = code == 0
        assert survived or code == -signal.SIGKILL, answer
        step = place.open().newest(0)[0]
        assert step in (3, 4), f"killed before change {moment}: the newest is {step}"
        assert_whole(place.open(), 0, step)
        save(place.open(), 0, 5)
        place.open().keep(0, {1, 5})
        assert read(place.open().path(0, 1)) == content(0, 1)
        assert place.checkpoints(0) == [1, 5]
        assert len(place.all_files()) == 2 + len(content(0, 1)) + len(content(0, 5))
        moment += 1
    assert moment > 25  # so many changes there are at least


# -- a full disk -----------------------------------------------------------------------------------


def refused(checkpoints, write):
    with pytest.raises(CheckpointError) as caught:
        checkpoints.save(0, 2, write, {"loss": 0.5}, 2.0)
    return str(caught.value)


def limited(size):
    """Let no file of this process grow beyond *size* bytes: the kernel answers as a full quota does."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


WRITES = {
    "the training code's own file": lambda f: limited(4096) or (f / "w").write_bytes(bytes(5000)),
    "the manifest or the upload": lambda f: (f / "w").write_bytes(bytes(900)) and limited(100),
    "a device without space": lambda f: Path("/dev/full").write_bytes(b"x"),
}


@on_disk
@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_write_that_the_kernel_refuses_loses_nothing(place, write):
    save(place.open(), 0, 1)
    before = place.all_files()
    code, message = in_child(lambda: refused(place.open(), write))
    assert code == 0, message
    assert "the disk is full" in message.lower()
    assert "Nothing written before is lost" in message
    assert place.all_files() == before
    assert_whole(place.open(), 0, 1)
    save(place.open(), 0, 2)  # space was freed
    assert_whole(place.open(), 0, 2)


DISK = """
import sys
sys.path[:0] = [{tests!r}]
from pathlib import Path
from checkpoint_places import Place, assert_whole, save
from luthier.errors import CheckpointError
place = Place({kind!r}, {folder!r})
checkpoints = place.open()
save(checkpoints, 0, 1)
before = place.all_files()
def write(folder):
    (folder / "small").write_bytes(b"x" * 1000)
    if {framework}:
        try:
            (folder / "large").write_bytes(bytes(3 << 20))
        except OSError:
            raise RuntimeError("enforce fail at inline_container.cc")
    (folder / "large").write_bytes(bytes(3 << 20))
try:
    checkpoints.save(0, 2, write, {{}}, 0.0)
except CheckpointError as error:
    print(error)
assert place.all_files() == before, place.all_files()
assert_whole(place.open(), 0, 1)
save(checkpoints, 0, 2)
assert_whole(place.open(), 0, 2)
"""


@pytest.mark.parametrize(
    "framework", [False, True], ids=["an OSError", "a framework's RuntimeError"]
)
@pytest.mark.parametrize("where", ["both", "target"])
@pytest.mark.parametrize("kind", ON_DISK)
def test_a_disk_of_two_megabytes_fills_up(kind, where, framework, tmp_path):
    """A real file system, mounted in a name space of its own where nobody else sees it."""
    disk = tmp_path / "disk"
    disk.mkdir()
    script = tmp_path / "script.py"
    tests = str(Path(__file__).parent)
    script.write_text(
        DISK.format(
            kind=kind, folder=str(disk), tests=tests, framework=framework and where == "both"
        )
    )
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c",
         'mount -t tmpfs -o size=2m luthier "$1" && exec "$2" "$3"',
         "sh", disk, sys.executable, script],
        env={**os.environ, "TMPDIR": str(disk if where == "both" else tmp_path)},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "disk is full" in done.stdout
    assert "Nothing written before is lost" in done.stdout


# -- local folders ---------------------------------------------------------------------------------


def test_other_errors_of_the_disk_do_not_speak_of_space(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError) as caught:
        save(LocalCheckpoints(tmp_path / "file"), 0, 1)
    assert "full" not in str(caught.value)
    assert "Not a directory" in str(caught.value)


def test_strangers_in_the_folder_are_left_alone(tmp_path):
    checkpoints = LocalCheckpoints(tmp_path)
    save(checkpoints, 0, 1)
    for name in (
        "trial-00000.backup",
        "trial-x",
        "trial-00000/step-000001.copy",
        "trial-00000/notes",
    ):
        (tmp_path / name).mkdir()
    log = Log()
    log.propose()
    checkpoints.keep(0, {1})
    checkpoints.collect(log.history)
    assert (tmp_path / "trial-00000/notes").is_dir()
    assert_whole(checkpoints, 0, 1)


def test_durable_flushes_all_before_the_rename_and_the_folder_after_it(tmp_path, monkeypatch):
    calls = []
    fsync, replace = os.fsync, os.replace

    def flushed(handle):
        calls.append(os.readlink(f"/proc/self/fd/{handle}"))
        fsync(handle)

    def renamed(source, target):
        calls.append(f"-> {target}")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", flushed)
    monkeypatch.setattr(os, "replace", renamed)
    root = tmp_path / "new" / "study"
    save(LocalCheckpoints(root), 0, 1)
    assert calls == [f"-> {root}/trial-00000/step-000001"]
    shutil.rmtree(tmp_path / "new")
    calls.clear()
    save(LocalCheckpoints(root, durable=True), 0, 1)
    rename = calls.index(f"-> {root}/trial-00000/step-000001")
    before, after = calls[:rename], calls[rename + 1 :]
    temporary = f"{root}/trial-00000/.step-000001.{os.getpid()}.tmp"
    written = [f"{temporary}/{name}" for name in [*content(0, 1), "manifest.json"]]
    folders = [f"{temporary}/optimizer", temporary]
    made = [str(tmp_path), str(root.parent), str(root), f"{root}/trial-00000"]
    assert set(before) == {*written, *folders, *made}
    for name in (*written, folders[0]):  # a folder after what lies in it
        assert before.index(name) < before.index(str(Path(name).parent))
    assert after == [f"{root}/trial-00000"]
    assert_whole(LocalCheckpoints(root, durable=True), 0, 1)
