"""What checkpoints at a URL have to keep besides the contract in test_checkpoints.py."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from pathlib import Path

import pytest
from checkpoint_places import (
    Place,
    assert_whole,
    content,
    in_child,
    read,
    s3_options,
    save,
    writer,
)
from test_disk_checkpoints import limited

from luthier.errors import CheckpointError, LuthierWarning
from luthier.run import remote
from luthier.run.url_checkpoints import URLCheckpoints

DAY = 24 * 3600 * 10**9
NOBODY = {
    "key": "test",
    "secret": "test",
    "endpoint_url": "http://127.0.0.1:9",
    "config_kwargs": {"retries": {"max_attempts": 0}},  # botocore's own pauses take half a minute
}


@pytest.fixture
def place(request, tmp_path):
    return Place(request.param, tmp_path)


@pytest.fixture
def no_pauses(monkeypatch):
    monkeypatch.setattr(remote, "PAUSES", (0.0, 0.0, 0.0))


everywhere = pytest.mark.parametrize("place", ["file", "memory", "s3"], indirect=True)
in_memory = pytest.mark.parametrize("place", ["memory"], indirect=True)
on_s3 = pytest.mark.parametrize("place", ["s3"], indirect=True)


def file_system(checkpoints):
    checkpoints.check()
    return checkpoints._remote._connected()[0]


# -- killed and rival writers ----------------------------------------------------------------------

TRAIN = """
import sys
sys.path[:0] = [sys.argv[1]]
from checkpoint_places import save
from luthier.run.url_checkpoints import URLCheckpoints
checkpoints = URLCheckpoints(sys.argv[2], {"key": "test", "secret": "test"})
step = checkpoints.newest(0)[0]
print(step, flush=True)
while True:
    step += 1
    save(checkpoints, 0, step)
    print(step, flush=True)
    checkpoints.keep(0, {step, 4})
"""


@on_s3
def test_kill_9_at_random_moments_on_s3(place):
    chance, reached = random.Random(2), 0
    for _ in range(5):
        process = subprocess.Popen(
            [sys.executable, "-c", TRAIN, str(Path(__file__).parent), place.url],
            env={**os.environ, "AWS_ENDPOINT_URL": place.options["endpoint_url"]},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert int(process.stdout.readline()) == reached
        time.sleep(chance.uniform(0.1, 0.6))
        process.send_signal(signal.SIGKILL)
        said = process.communicate()[0].split()
        assert process.returncode == -signal.SIGKILL
        step = place.open().newest(0)[0]
        assert step >= max([reached, *map(int, said)])
        if step:
            assert_whole(place.open(), 0, step)
        reached = step
    assert reached > 5
    checkpoints = place.open()
    save(checkpoints, 0, reached + 1)
    checkpoints.keep(0, {reached + 1, 4})
    assert place.checkpoints(0) == [4, reached + 1]
    assert len(place.all_files()) == 2 + len(content(0, 4)) + len(content(0, reached + 1))


def cut_upload(place, step, began):
    """Leave what a worker killed in the middle of an upload leaves."""
    name = f"{place.root}/trial-00000/step-{step:06d}.{began:016x}-0000abcd/weights.bin"
    place.files.makedirs(name.rpartition("/")[0], exist_ok=True)
    place.files.pipe_file(name, b"half")
    return name


@everywhere
def test_an_unfinished_attempt_goes_once_it_is_superseded_or_a_day_old(place):
    now = time.time_ns()
    checkpoints = place.open()
    superseded = cut_upload(place, 3, now - 10**9)
    save(checkpoints, 0, 2)
    fresh = cut_upload(place, 3, time.time_ns())
    assert_whole(place.open(), 0, 2)
    place.open().keep(0, {2})
    assert superseded not in place.all_files()
    assert fresh in place.all_files()  # somebody may be writing it
    old = cut_upload(place, 7, now - 2 * DAY)
    new_place = place.open()
    new_place.keep(0, {2})
    assert old not in place.all_files()
    save(new_place, 0, 3)
    new_place.keep(0, {2, 3})
    assert fresh not in place.all_files()
    assert_whole(place.open(), 0, 3)


@everywhere
def test_a_day_old_attempt_goes_also_where_nothing_was_ever_finished(place):
    old = cut_upload(place, 1, time.time_ns() - 2 * DAY)
    fresh = cut_upload(place, 1, time.time_ns())
    place.open().keep(0, set())
    assert old not in place.all_files()
    assert fresh in place.all_files()


@everywhere
def test_of_two_writers_of_one_step_the_newest_whole_one_counts(place):
    for value in ("first", "second", "third"):
        place.open().save(0, 1, lambda f, v=value: (f / "v").write_text(v), {"n": len(value)}, 0.0)
    third = max(f for f in place.all_files() if f.endswith("/v"))
    place.files.rm_file(third)  # its manifest stays: somebody was killed while deleting it
    assert place.open().newest(0)[1] == {"n": 6.0}
    assert read(place.open().path(0, 1)) == {"v": b"second"}
    place.open().keep(0, {1})
    assert len(place.all_files()) == 2
    assert read(place.open().path(0, 1)) == {"v": b"second"}


@everywhere
def test_nothing_exists_before_the_manifest_which_comes_last(place, monkeypatch):
    checkpoints = place.open()
    save(checkpoints, 0, 1)
    publish = remote.RemoteFolder.publish

    def look(self, name, content_):
        assert len(place.all_files()) == len(content(0, 1)) + 1 + len(content(0, 2))
        assert_whole(place.open(), 0, 1)
        publish(self, name, content_)

    monkeypatch.setattr(remote.RemoteFolder, "publish", look)
    save(checkpoints, 0, 2)
    assert_whole(place.open(), 0, 2)


@on_s3
def test_a_fork_makes_a_connection_of_its_own(place):
    checkpoints = place.open()
    save(checkpoints, 0, 1)
    assert_whole(checkpoints, 0, 1)

    def work():
        assert_whole(checkpoints, 0, 1)
        save(checkpoints, 0, 2)
        checkpoints.keep(0, {2})
        return checkpoints.newest(0)[0]

    assert in_child(work) == (0, 2)
    assert_whole(checkpoints, 0, 2)


@on_s3
def test_several_threads_may_save_at_once(place):
    checkpoints = place.open()
    threads = [threading.Thread(target=save, args=(checkpoints, n, 1)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(4):
        assert_whole(checkpoints, number, 1)


# -- a network that fails --------------------------------------------------------------------------


class Fails:
    """Raises the error the first *times* it is called, then does what it stands for."""

    def __init__(self, real, times, error):
        self.real, self.left, self.error = real, times, error
        self.calls = 0

    def __call__(self, *args, **kwargs):
        self.calls += 1
        self.left -= 1
        if self.left >= 0:
            raise self.error
        return self.real(*args, **kwargs)


@in_memory
@pytest.mark.parametrize("operation", ["put", "pipe_file", "find", "cat_file", "get"])
def test_what_fails_three_times_is_tried_a_fourth_time(place, operation, no_pauses, monkeypatch):
    checkpoints = place.open()
    files = file_system(checkpoints)
    failing = Fails(getattr(files, operation), 3, ConnectionResetError("reset by peer"))
    monkeypatch.setattr(files, operation, failing)
    save(checkpoints, 0, 1)
    assert_whole(checkpoints, 0, 1)
    assert failing.calls >= 4


@in_memory
@pytest.mark.parametrize("operation", ["put", "pipe_file"])
@pytest.mark.parametrize(
    ("error", "calls"),
    [(ConnectionResetError("no"), 4), (RuntimeError("no"), 4), (PermissionError("no"), 1)],
)
def test_what_keeps_failing_loses_nothing(place, operation, error, calls, no_pauses, monkeypatch):
    checkpoints = place.open()
    save(checkpoints, 0, 1)
    before = place.all_files()
    files = file_system(checkpoints)
    failing = Fails(getattr(files, operation), 10**9, error)
    monkeypatch.setattr(files, operation, failing)
    with pytest.raises(CheckpointError, match="Nothing written before is lost") as caught:
        save(checkpoints, 0, 2)
    assert type(error).__name__ in str(caught.value)
    assert ("at the last of 4 attempts" in str(caught.value)) == (calls == 4)
    assert failing.calls == calls
    assert place.all_files() == before
    assert_whole(place.open(), 0, 1)


@in_memory
def test_between_the_attempts_it_pauses(place, monkeypatch):
    slept = []
    monkeypatch.setattr(remote.time, "sleep", slept.append)
    checkpoints = place.open()
    files = file_system(checkpoints)
    monkeypatch.setattr(files, "find", Fails(files.find, 3, TimeoutError()))
    assert checkpoints.newest(0)[0] == 0
    assert slept == list(remote.PAUSES)


def test_a_server_that_does_not_answer_is_an_error_not_an_empty_place(no_pauses, monkeypatch):
    import s3fs

    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)  # its own, which double their pauses
    checkpoints = URLCheckpoints("s3://bucket/study", NOBODY)
    for call in (
        lambda: checkpoints.newest(0),
        lambda: checkpoints.path(0, 1),
        lambda: save(checkpoints, 0, 1),
        checkpoints.check,
    ):
        with pytest.raises(CheckpointError, match=r"Could not .* s3://bucket/study"):
            call()


def test_what_cannot_be_deleted_is_warned_of_once(no_pauses, monkeypatch):
    import s3fs

    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)
    checkpoints = URLCheckpoints("s3://bucket/study", NOBODY)
    with pytest.warns(LuthierWarning, match="Checkpoints that nobody needs stay at s3://bucket"):
        checkpoints.keep(0, set())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        checkpoints.keep(0, set())


def test_a_bucket_that_does_not_exist_is_named_at_once():
    checkpoints = URLCheckpoints("s3://no-such-bucket/study", s3_options())
    began = time.monotonic()
    for call in (checkpoints.check, lambda: save(checkpoints, 0, 1)):
        with pytest.raises(CheckpointError, match=r"s3://no-such-bucket.*does not exist"):
            call()
    assert time.monotonic() - began < 5


@everywhere
def test_check_leaves_nothing_behind(place):
    place.open().check()
    assert place.all_files() == {}


def test_a_password_in_the_url_is_not_repeated(no_pauses):
    with pytest.raises(CheckpointError) as caught:
        URLCheckpoints("ftp://me:secret@127.0.0.1:9/study").check()
    assert "ftp://127.0.0.1:9/study" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_the_endpoint_may_come_from_the_environment(monkeypatch):
    place = Place("s3")
    monkeypatch.setenv("AWS_ENDPOINT_URL", place.options["endpoint_url"])
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    save(URLCheckpoints(place.url), 0, 1)
    assert_whole(place.open(), 0, 1)


@on_s3
def test_a_file_of_several_parts(place):
    data = random.Random(0).randbytes(6 << 20)
    checkpoints = place.open()
    files = file_system(checkpoints)
    real = files.put
    files.put = lambda *args: real(*args, chunksize=5 << 20)  # s3fs does so above 100 MB
    checkpoints.save(0, 1, lambda f: (f / "large").write_bytes(data), {}, 0.0)
    assert read(place.open().path(0, 1)) == {"large": data}


MISSING = """
import sys
for name in {hidden!r}.split():
    sys.modules[name] = None
from luthier.errors import CheckpointError
from luthier.run.url_checkpoints import URLCheckpoints
checkpoints = URLCheckpoints({url!r})
try:
    checkpoints.save(0, 1, lambda folder: None, {{}}, 0.0)
except CheckpointError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("url", "hidden", "extra"),
    [
        ("s3://bucket/study", "s3fs", "s3"),
        ("s3://bucket/study", "fsspec fsspec.core", "s3"),
        ("gs://bucket/study", "gcsfs", "gcs"),
        ("sftp://host/study", "paramiko", "urls"),
        ("nonsense://host/study", "s3fs", "urls"),
        ("memory://study", "fsspec fsspec.core", "urls"),
    ],
)
def test_a_missing_package_is_named_with_how_to_get_it(url, hidden, extra):
    script = MISSING.format(url=url, hidden=hidden)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert f"pip install 'luthier[{extra}]'" in done.stdout
    assert url in done.stdout


def test_importing_it_imports_no_file_system():
    script = (
        "import sys, luthier.run.url_checkpoints as u; u.URLCheckpoints('s3://b/s', {});"
        "print([m for m in ('fsspec', 's3fs', 'botocore') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


# -- local copies ----------------------------------------------------------------------------------


@in_memory
def test_a_download_is_used_again_until_it_is_touched_or_the_trial_goes_on(place, monkeypatch):
    checkpoints = place.open()
    save(checkpoints, 0, 1)
    folder = checkpoints.path(0, 1)
    files = file_system(checkpoints)
    counted = Fails(files.get, 0, OSError())
    monkeypatch.setattr(files, "get", counted)
    assert checkpoints.path(0, 1) == folder
    assert counted.calls == 0
    (folder / "weights.bin").write_bytes(b"changed by the training code")
    assert read(checkpoints.path(0, 1)) == content(0, 1)
    assert counted.calls == 1
    save(checkpoints, 0, 2)
    assert not folder.exists()


@in_memory
def test_what_is_damaged_on_its_way_is_fetched_again(place, monkeypatch):
    checkpoints = place.open()
    save(checkpoints, 0, 1)
    files, broken = file_system(checkpoints), []
    get = files.get

    def break_one(sources, targets):
        get(sources, targets)
        if not broken:
            broken.append(targets[-1])
            Path(targets[-1]).write_bytes(b"noise")

    monkeypatch.setattr(files, "get", break_one)
    assert read(checkpoints.path(0, 1)) == content(0, 1)
    assert broken


@in_memory
def test_a_local_disk_that_is_full_is_told_when_reading(place):
    checkpoints = place.open()
    checkpoints.save(0, 1, lambda f: (f / "w").write_bytes(bytes(5000)), {}, 0.0)

    def work():
        limited(1000)
        with pytest.raises(CheckpointError, match="the disk is full"):
            checkpoints.path(0, 1)

    assert in_child(work) == (0, None)


SCRATCH = """
import sys, time
sys.path[:0] = [sys.argv[1]]
from checkpoint_places import save
from luthier.run.url_checkpoints import URLCheckpoints
checkpoints = URLCheckpoints("memory://study")
save(checkpoints, 0, 1)
print(checkpoints.path(0, 1), flush=True)
sys.stdin.read()
"""


def start(tmp_path):
    return subprocess.Popen(
        [sys.executable, "-c", SCRATCH, str(Path(__file__).parent)],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_the_temporary_folder_goes_with_its_process(tmp_path):
    calm, killed = start(tmp_path), start(tmp_path)
    folders = [Path(p.stdout.readline().strip()) for p in (calm, killed)]
    assert all(read(folder) == content(0, 1) for folder in folders)
    calm.communicate("")
    assert not folders[0].parent.exists()
    killed.kill()
    killed.communicate()
    assert folders[1].exists()
    living, sweeper = start(tmp_path), start(tmp_path)
    kept = [Path(p.stdout.readline().strip()) for p in (living, sweeper)]
    assert not folders[1].parent.exists()  # the next process cleaned up after the killed one ...
    assert all(folder.exists() for folder in kept)  # ... and left the living ones alone
    for process in (living, sweeper):
        process.communicate("")
    assert list(tmp_path.iterdir()) == []


def test_without_room_for_temporary_files_it_says_so(tmp_path, monkeypatch):
    def work():
        tempfile.tempdir = str(tmp_path / "nowhere")
        with pytest.raises(CheckpointError, match="Set TMPDIR"):
            URLCheckpoints("memory://study").save(0, 1, writer(0, 1), {}, 0.0)

    assert in_child(work) == (0, None)


@in_memory
def test_downloads_of_parents_make_room_for_newer_ones(place):
    checkpoints = place.open()
    for trial in range(8):
        save(checkpoints, trial, 1)
    first = checkpoints.path(0, 1)
    folders = []
    for trial in range(1, 8):
        folders.append(checkpoints.path(trial, 1))
        assert checkpoints.path(0, 1) == first  # in use: it is not the oldest
    assert [folder.exists() for folder in folders] == [False] * 4 + [True] * 3
    assert read(first) == content(0, 1)
