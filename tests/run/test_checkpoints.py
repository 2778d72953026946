"""One contract for every place of checkpoints, and what only a local folder has to keep."""

from __future__ import annotations

import json
import math
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
from checkpoint_places import (
    KINDS,
    Killed,
    Log,
    Place,
    assert_whole,
    content,
    in_child,
    read,
    save,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from luthier.errors import CheckpointError
from luthier.run.checkpoints import KEPT, LocalCheckpoints
from luthier.run.retention import kept_steps

ON_DISK = ["local", "file"]


@pytest.fixture
def place(request, tmp_path):
    return Place(request.param, tmp_path)


everywhere = pytest.mark.parametrize("place", KINDS, indirect=True)
on_disk = pytest.mark.parametrize("place", ON_DISK, indirect=True)


# -- the contract ----------------------------------------------------------------------------------


@everywhere
def test_nothing_is_there_at_first(place):
    checkpoints = place.open()
    assert checkpoints.newest(0) == (0, {}, 0.0)
    checkpoints.keep(0, {1})
    checkpoints.collect(Log().history)
    with pytest.raises(CheckpointError, match="Trial 0 has no complete checkpoint of step 1"):
        checkpoints.path(0, 1)


@everywhere
def test_what_was_saved_comes_back(place):
    def write(folder):
        (folder / "deep" / "er").mkdir(parents=True)
        (folder / "deep" / "er" / "weights [0]*?.bin").write_bytes(bytes(range(256)))
        (folder / "größe #1 %20").write_text("π")
        (folder / "empty").write_bytes(b"")
        (folder / "no files" / "here").mkdir(parents=True)

    metrics = {"loss": 0.1 + 0.2, "worst": math.inf, "val/f1": -0.0}
    place.open().save(7, 3, write, metrics, 1.25)
    checkpoints = place.open()
    assert checkpoints.newest(7) == (3, metrics, 1.25)
    folder = checkpoints.path(7, 3)
    assert read(folder) == {
        "deep/er/weights [0]*?.bin": bytes(range(256)),
        "größe #1 %20": "π".encode(),
        "empty": b"",
    }
    assert (folder / "no files" / "here").is_dir()
    assert checkpoints.newest(8)[0] == 0


@everywhere
def test_metrics_that_are_nan_or_numpy_numbers_come_back(place):
    import numpy as np

    place.open().save(0, 1, lambda folder: None, {"a": math.nan, "b": np.float32(0.5)}, 0.0)
    _, metrics, _ = place.open().newest(0)
    assert math.isnan(metrics["a"])
    assert metrics["b"] == 0.5


@everywhere
def test_the_newest_is_the_one_of_the_highest_step(place):
    checkpoints = place.open()
    for step in (2, 10, 9):
        save(checkpoints, 0, step)
    save(checkpoints, 1, 11)
    assert_whole(place.open(), 0, 10)


@everywhere
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_in_the_training_code_is_its_own_and_leaves_nothing(place, error):
    checkpoints = place.open()
    save(checkpoints, 0, 1)
    before = place.all_files()

    def write(folder):
        (folder / "half").write_bytes(b"x")
        raise error("mine")

    with pytest.raises(error, match="mine"):
        checkpoints.save(0, 2, write, {}, 0.0)
    assert place.all_files() == before
    assert_whole(place.open(), 0, 1)


@everywhere
def test_a_file_of_the_manifests_name_is_refused(place):
    with pytest.raises(CheckpointError, match=r"named manifest\.json"):
        place.open().save(0, 1, lambda f: (f / "manifest.json").write_text("{}"), {}, 0.0)
    assert place.all_files() == {}


@everywhere
def test_a_step_saved_again_is_all_new(place):
    checkpoints = place.open()
    checkpoints.save(0, 1, lambda f: [(f / n).write_text("old") for n in "ab"], {"loss": 9}, 0.0)
    checkpoints.path(0, 1)
    checkpoints.save(0, 1, lambda f: (f / "b").write_text("new"), {"loss": 1}, 0.0)
    for some in (checkpoints, place.open()):
        assert some.newest(0) == (1, {"loss": 1.0}, 0.0)
        assert read(some.path(0, 1)) == {"b": b"new"}
    checkpoints.keep(0, {1})
    assert place.checkpoints(0) == [1]
    assert read(place.open().path(0, 1)) == {"b": b"new"}


@everywhere
def test_keep_deletes_the_others_of_this_trial_only(place):
    checkpoints = place.open()
    for step in (1, 2, 3, 4):
        save(checkpoints, 0, step)
    save(checkpoints, 1, 1)
    checkpoints.keep(0, {2, 4, 77})
    assert place.checkpoints(0) == [2, 4]
    assert place.checkpoints(1) == [1]
    assert_whole(place.open(), 0, 4)
    assert read(place.open().path(0, 2)) == content(0, 2)
    with pytest.raises(CheckpointError, match="no complete checkpoint"):
        place.open().path(0, 3)


@everywhere
def test_a_changed_byte_is_found_and_named(place):
    save(place.open(), 0, 1)
    place.open().path(0, 1)
    name = place.named(1, "weights.bin")
    data = bytearray(place.files.cat_file(name))
    data[len(data) // 2] ^= 1
    place.files.pipe_file(name, bytes(data))
    with pytest.raises(CheckpointError, match=r"weights\.bin is damaged.*goes on from an earlier"):
        place.open().path(0, 1)


@everywhere
@pytest.mark.parametrize("name", ["weights.bin", "manifest.json"])
@pytest.mark.parametrize("how", ["cut", "gone", "longer"])
def test_half_a_checkpoint_does_not_exist(place, name, how):
    checkpoints = place.open()
    save(checkpoints, 0, 1)
    save(checkpoints, 0, 2)
    file = place.named(2, name)
    data = place.files.cat_file(file)
    if how == "gone":
        place.files.rm_file(file)
    else:
        place.files.pipe_file(file, data[:-1] if how == "cut" else data + b"x")
    assert_whole(place.open(), 0, 1)
    with pytest.raises(CheckpointError, match="no complete checkpoint of step 2"):
        place.open().path(0, 2)


@everywhere
@pytest.mark.parametrize(
    "change",
    [
        {"files": {"../../stolen": [1, "00"]}},
        {"files": {"/etc/stolen": [1, "00"]}},
        {"files": {"weights.bin": "many"}},
        {"files": ["weights.bin"]},
        {"folders": [".."]},
        {"metrics": {"loss": "low"}},
        {"seconds": "nan"},
        {"step": None},
    ],
)
def test_a_manifest_of_something_else_is_none(place, change):
    save(place.open(), 0, 1)
    name = place.named(1, "manifest.json")
    manifest = json.loads(place.files.cat_file(name))
    place.files.pipe_file(name, json.dumps(manifest | change).encode())
    assert place.open().newest(0) == (0, {}, 0.0)


@everywhere
def test_collect_follows_the_rule(place):
    checkpoints, log = place.open(), Log()
    for loss in (5.0, 3.0, 4.0, 1.0, 2.0, 0.5, 0.1):
        number = log.propose()
        log.lease(number)
        for step in (1, 2):
            save(checkpoints, number, step)
            log.report(number, step, loss if step == 1 else loss + 1)
    save(checkpoints, 99, 1)  # of a trial that this reader of the log has not heard of yet
    log.diverge(6)
    for number in (0, 1, 2, 3):
        log.complete(number)
    checkpoints.collect(log.history)
    # Trials 4 and 5 still run; with 3 they are the best three.
    expected = {0: [], 1: [], 2: [], 3: [1], 4: [1, 2], 5: [1, 2], 6: [], 99: [1]}
    assert {n: place.checkpoints(n) for n in expected} == expected
    log.complete(4)
    log.fail(5)
    checkpoints.collect(log.history)
    assert {n: place.checkpoints(n) for n in (3, 4, 5, 99)} == {3: [1], 4: [1], 5: [], 99: [1]}


def simulate(place, trials, seed):
    """Run a study of many trials, three at a time; check the disk after every change of it."""
    chance, log, checkpoints = random.Random(seed), Log(), place.open()
    running, gone = [], set()
    while log.history.ended < trials:
        if len(running) < 3 and len(log.trials) < trials:
            running.append(log.propose())
            log.lease(running[-1])
        trial = chance.choice(running)
        record = log.trials[trial]
        save(checkpoints, trial, record.step + 1)
        log.report(trial, record.step + 1, chance.random())
        checkpoints.keep(trial, {record.step, record.best_step})
        assert set(place.checkpoints(trial)) == {record.step, record.best_step}
        if chance.random() < 0.3:
            running.remove(trial)
            chance.choice([log.complete, log.complete, log.diverge, log.fail])(trial)
            checkpoints.collect(log.history)
            kept = kept_steps(log.history)
            gone |= {t.number for t in log.trials if t.state.ended} - set(kept)
            # A trial that running ones had pushed out does not come back when they diverge.
            expected = {n: sorted(steps) for n, steps in kept.items() if n not in gone}
            expected |= {
                n: sorted({log.trials[n].step, log.trials[n].best_step} - {0}) for n in running
            }
            names = {f.partition("/trial-")[2][:5] for f in place.all_files()}
            found = {int(name): place.checkpoints(int(name)) for name in names}
            assert found == {n: steps for n, steps in expected.items() if steps}
            assert len(place.all_files()) <= 5 * (KEPT + 2 * 3)


@pytest.mark.parametrize(
    ("place", "trials"),
    [("local", 300), ("file", 60), ("memory", 200), ("s3", 8)],
    indirect=["place"],
)
def test_disk_use_stays_within_the_rule_over_a_long_study(place, trials):
    simulate(place, trials, seed=3)


STEPS = st.integers(1, 6)
OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("save"), STEPS),
        st.tuples(st.just("keep"), st.sets(STEPS, max_size=3)),
        st.tuples(st.just("fail"), STEPS),
        st.tuples(st.just("open"), st.none()),
    ),
    max_size=12,
)


@pytest.mark.parametrize(
    ("kind", "examples"), [("local", 60), ("file", 30), ("memory", 60), ("s3", 4)]
)
def test_any_sequence_of_steps_is_what_a_dictionary_would_hold(kind, examples):
    @settings(max_examples=examples, deadline=None)
    @given(OPERATIONS)
    def check(operations):
        place, held = Place(kind), set()
        checkpoints = place.open()
        for name, value in operations:
            if name == "save":
                save(checkpoints, 0, value)
                held.add(value)
            elif name == "keep":
                checkpoints.keep(0, value)
                held &= value
            elif name == "fail":
                with pytest.raises(ZeroDivisionError):
                    checkpoints.save(0, value, lambda folder: 1 / 0, {}, 0.0)
            else:
                checkpoints = place.open()
            assert checkpoints.newest(0)[0] == max(held, default=0)
        for step in held:
            assert read(checkpoints.path(0, step)) == content(0, step)
        assert set(place.checkpoints(0)) == held
        if kind in ON_DISK:
            shutil.rmtree(Path(place.root).parent.parent)

    check()


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
