"""What checkpoints behind a server have to keep besides the contract in test_checkpoints.py."""

from __future__ import annotations

import io
import itertools
import json
import os
import socket
import sys
import tarfile
import warnings
from pathlib import Path

import pytest
from checkpoint_places import Log

from luthier.errors import CheckpointError, LuthierWarning
from luthier.run.http_checkpoints import HTTPCheckpoints
from luthier.run.opening import Opening, header_for
from luthier.run.places import checkpoints_of
from luthier.storage.http import HTTPStore
from luthier.study.goals import goals_from

sys.path.insert(0, str(Path(__file__).parents[1] / "app"))
from serving_store import Served, free_port, serving

pytestmark = pytest.mark.processes

_numbers = itertools.count()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("served"), any_bytes=True) as server:
        yield server


@pytest.fixture
def study(server):
    """A store and the name of a study of its own."""
    store = HTTPStore(server.url, patience=10)
    yield store, f"study {next(_numbers)}"
    store.close()


@pytest.fixture
def checkpoints(study):
    return HTTPCheckpoints(*study)


def write(folder: Path) -> None:
    (folder / "weights.bin").write_bytes(bytes(range(256)) * 4096)
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "deep" / "ü.txt").write_text("text")


def test_checkpoints_come_back(checkpoints, study):
    store, name = study
    assert checkpoints.newest(3) == (0, {}, 0.0)
    checkpoints.save(3, 1, write, {"loss": 0.5}, 1.0)
    checkpoints.save(3, 10, write, {"loss": float("inf"), "accuracy": 0.1}, 2.5)
    checkpoints.save(4, 2, write, {}, 1.0)
    elsewhere = HTTPCheckpoints(HTTPStore(store.address), name)
    assert elsewhere.newest(3) == (10, {"loss": float("inf"), "accuracy": 0.1}, 2.5)
    assert elsewhere.newest(5) == (0, {}, 0.0)
    folder = elsewhere.path(3, 10)
    assert (folder / "weights.bin").read_bytes() == bytes(range(256)) * 4096
    assert (folder / "deep" / "ü.txt").read_text() == "text"
    assert (folder / "deep" / "er").is_dir()
    assert json.loads((folder / "manifest.json").read_text())["step"] == 10


def test_a_study_does_not_find_the_checkpoints_of_an_earlier_namesake(study):
    store, name = study
    opening = Opening(name, {}, goals_from(None, "loss"), None, None, None, 0)
    earlier, later = (checkpoints_of(store, header_for(opening, now)) for now in (1.0, 2.0))
    earlier.save(0, 3, write, {"loss": 0.5}, 1.0)
    assert later.newest(0) == (0, {}, 0.0)
    assert checkpoints_of(store, header_for(opening, 1.0)).newest(0)[0] == 3


def test_a_checkpoint_written_again_is_the_new_one(checkpoints):
    checkpoints.save(0, 1, write, {"loss": 1.0}, 1.0)
    checkpoints.save(0, 1, lambda folder: (folder / "x").write_text("new"), {"loss": 2.0}, 1.0)
    assert checkpoints.newest(0)[1] == {"loss": 2.0}
    assert sorted(p.name for p in checkpoints.path(0, 1).iterdir()) == ["manifest.json", "x"]


def test_an_error_in_writing_passes_and_leaves_the_one_before(checkpoints):
    checkpoints.save(0, 1, write, {}, 1.0)

    def fail(folder: Path) -> None:
        (folder / "half").write_text("x")
        raise RuntimeError("the user's own")

    with pytest.raises(RuntimeError, match="the user's own"):
        checkpoints.save(0, 2, fail, {}, 1.0)
    assert checkpoints.newest(0)[0] == 1


def test_a_missing_checkpoint_is_told(checkpoints):
    with pytest.raises(CheckpointError, match=r"Trial 7 has no complete checkpoint of step 3"):
        checkpoints.path(7, 3)


def test_a_server_that_is_away_is_a_checkpoint_error():
    store = HTTPStore(f"http://t@127.0.0.1:{free_port()}", patience=0.2)
    away = HTTPCheckpoints(store, "s")
    with pytest.raises(CheckpointError, match="has not answered"):
        away.save(0, 1, write, {}, 1.0)
    with pytest.raises(CheckpointError, match="has not answered"):
        away.path(0, 1)
    with pytest.warns(LuthierWarning, match="Checkpoints that nobody needs stay at http"):
        away.keep(0, {1})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        away.collect(Log().history)


def tar_of(server: Served) -> Path:
    return max((server.folder / "checkpoints").rglob("*.tar"), key=lambda p: p.stat().st_mtime_ns)


def members(*entries: tuple[str, bytes, bytes]) -> bytes:
    """Return a tar file of (name, type, content or target)."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for name, kind, content in entries:
            entry = tarfile.TarInfo(name)
            entry.type = kind
            if kind == tarfile.REGTYPE:
                entry.size = len(content)
            else:
                entry.linkname = content.decode()
            tar.addfile(entry, io.BytesIO(content) if kind == tarfile.REGTYPE else None)
    return made.getvalue()


MANIFEST = (
    "manifest.json",
    tarfile.REGTYPE,
    b'{"step": 1, "metrics": {}, "seconds": 1.0, "files": {}, "folders": []}',
)


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: whole.replace(bytes(range(256)), bytes(256), 1),
        lambda whole: whole.replace(b"text", b"test"),
        lambda whole: whole[: len(whole) // 2],
        lambda whole: whole[:100],
        lambda whole: b"x" * len(whole),
        lambda whole: b"",
        lambda whole: members(),
        lambda whole: members(("weights.bin", tarfile.REGTYPE, b"no manifest")),
        lambda whole: members(MANIFEST, ("more", tarfile.REGTYPE, b"x")),
        lambda whole: members(MANIFEST, ("../out", tarfile.REGTYPE, b"x")),
        lambda whole: members(MANIFEST, ("/tmp/luthier-out", tarfile.REGTYPE, b"x")),
        lambda whole: members(MANIFEST, ("link", tarfile.SYMTYPE, b"/etc/passwd")),
        lambda whole: members(MANIFEST, ("link", tarfile.LNKTYPE, b"manifest.json")),
        lambda whole: members(MANIFEST, ("device", tarfile.CHRTYPE, b"")),
        lambda whole: members(MANIFEST, ("pipe", tarfile.FIFOTYPE, b"")),
    ],
)
def test_a_damaged_checkpoint_is_refused(checkpoints, server, damage):
    checkpoints.save(0, 1, write, {"loss": 1.0}, 1.0)
    tar = tar_of(server)
    tar.write_bytes(damage(tar.read_bytes()))
    with pytest.raises(CheckpointError, match=r"step 1 is damaged: .*Delete it .*run again"):
        checkpoints.path(0, 1)
    assert not Path("/tmp/luthier-out").exists()


def test_the_newest_skips_what_is_no_checkpoint(checkpoints, server):
    checkpoints.save(0, 1, write, {"loss": 1.0}, 1.0)
    checkpoints.save(0, 2, write, {"loss": 2.0}, 1.0)
    tar_of(server).write_bytes(b"x" * 10_000)
    assert checkpoints.newest(0) == (1, {"loss": 1.0}, 1.0)


def test_the_newest_reads_only_the_manifest(checkpoints, monkeypatch):
    size = 20 << 20
    checkpoints.save(0, 1, lambda folder: (folder / "w").write_bytes(os.urandom(size)), {}, 1.0)
    came = []
    read = socket.SocketIO.readinto

    def counted(self, buffer):
        came.append(read(self, buffer) or 0)
        return came[-1]

    monkeypatch.setattr(socket.SocketIO, "readinto", counted)
    for _ in range(20):
        assert checkpoints.newest(0)[0] == 1
    assert 0 < sum(came) < size  # of the 20 that it would be


def test_keep_and_collect(checkpoints):
    for trial in range(6):
        for step in (1, 2, 3):
            checkpoints.save(trial, step, lambda folder: None, {}, 1.0)
    checkpoints.keep(0, {1, 3})
    assert checkpoints._trials()[0] == [1, 3]

    log = Log()
    for number, loss in enumerate([0.5, 0.9, 0.1, 0.2, 0.4]):
        log.lease(log.propose())
        log.report(number, 3, loss)
        if number != 1:
            log.complete(number)
    checkpoints.collect(log.history)
    assert checkpoints._trials() == {1: [1, 2, 3], 2: [3], 3: [3], 4: [3], 5: [1, 2, 3]}


def test_fetched_folders_make_room(checkpoints):
    for step in range(1, 7):
        checkpoints.save(0, step, write, {}, 1.0)
    folders = [checkpoints.path(0, step) for step in range(1, 7)]
    assert [folder.exists() for folder in folders] == [False, False, True, True, True, True]
    assert [p for p in folders[-1].parent.iterdir() if p.suffix == ".tar"] == []
