"""Where the tests keep checkpoints, real file systems and a real S3 server, and what they write there."""

from __future__ import annotations

import atexit
import functools
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.request
import uuid
from pathlib import Path

import fsspec

from luthier.run.checkpoints import LocalCheckpoints
from luthier.run.forkserver import die_with_parent
from luthier.run.url_checkpoints import URLCheckpoints
from luthier.space import Space
from luthier.study import events as ev
from luthier.study.history import History
from luthier.study.holder import holder_for

KINDS = ["local", "file", "memory", "s3"]


class Place:
    """An empty place of one kind; ``open()`` gives checkpoints that know nothing of earlier ones."""

    def __init__(self, kind, folder=None):
        name = uuid.uuid4().hex[:12]
        self.kind, self.options = kind, {}
        if kind == "s3":
            self.url, self.options = f"s3://bucket/{name}/study", s3_options()
        elif kind == "memory":
            self.url = f"memory://{name}/study"
        else:
            self.url = f"file://{folder or tempfile.mkdtemp()}/{name}/study"
        self.files, self.root = fsspec.core.url_to_fs(self.url, **self.options)

    def open(self):
        if self.kind == "local":
            return LocalCheckpoints(Path(self.root))
        return URLCheckpoints(self.url, self.options)

    def all_files(self):
        """Return the sizes of all files by their full names."""
        self.files.invalidate_cache()
        return {name: e["size"] for name, e in self.files.find(self.root, detail=True).items()}

    def named(self, step, name):
        """Return the full name of the one file of *step* that is called *name*."""
        (found,) = [
            f for f in self.all_files() if f"/step-{step:06d}" in f and f.endswith(f"/{name}")
        ]
        return found

    def checkpoints(self, trial):
        """Return the steps of which the trial has a finished checkpoint."""
        names = [f for f in self.all_files() if f"/trial-{trial:05d}/step-" in f]
        return sorted(
            int(name.rpartition("/step-")[2][:6]) for name in names if "/manifest.json" in name
        )


@functools.cache
def s3_options():
    """Start an S3 server for this process, make a bucket, and return how to reach it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=die_with_parent,
    )
    atexit.register(server.kill)
    address = f"http://127.0.0.1:{port}"
    for _ in range(600):
        try:
            urllib.request.urlopen(f"{address}/moto-api/", timeout=5).close()
            break
        except OSError:
            assert server.poll() is None, "the S3 server did not start"
            time.sleep(0.1)
    options = {"key": "test", "secret": "test", "endpoint_url": address}
    fsspec.filesystem("s3", skip_instance_cache=True, **options).mkdir("bucket")
    return options


def content(trial, step):
    """Return the files of a checkpoint, by name: which ones there are depends on trial and step."""
    chance = random.Random(1000 * trial + step)
    files = {
        "weights.bin": chance.randbytes(chance.randint(1, 20_000)),
        f"optimizer/part-{step % 3}": chance.randbytes(chance.randint(0, 2_000)),
        "state.json": json.dumps({"trial": trial, "step": step}).encode(),
    }
    if step % 2:
        files["only at odd steps"] = b""
    return files


def writer(trial, step):
    """Return what training code would give to ``save``."""

    def write(folder):
        for name, data in content(trial, step).items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(data)

    return write


def save(checkpoints, trial, step):
    checkpoints.save(trial, step, writer(trial, step), {"loss": 1 / step}, float(step))


def read(folder):
    """Return all files in *folder* but the manifest, by name."""
    found = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
    return {name: p.read_bytes() for name, p in found.items() if name != "manifest.json"}


def assert_whole(checkpoints, trial, step):
    """Check that the newest checkpoint is that of *step*, with all that was written and no more."""
    assert checkpoints.newest(trial) == (step, {"loss": 1 / step}, float(step))
    assert read(checkpoints.path(trial, step)) == content(trial, step)


def in_child(work):
    """Run *work* in a fork of this process; return its exit status (below 0: a signal) and answer."""
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        code = 1
        try:
            os.close(reading)
            os.write(writing, json.dumps(work()).encode())
            code = 0
        except BaseException:
            os.write(writing, json.dumps(traceback.format_exc()[-3000:]).encode())
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer = pipe.read()
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return code, json.loads(answer) if answer else None


class Killed:
    """Kills this process with SIGKILL just before its *moment*-th change of the file system."""

    CHANGES = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "shutil.copyfile"}

    def __init__(self, moment):
        self.left = moment
        sys.addaudithook(self._hook)

    def _hook(self, event, arguments):
        if event not in self.CHANGES or (event == "open" and not _writes(arguments)):
            return
        self.left -= 1
        if self.left < 0:
            os.kill(os.getpid(), signal.SIGKILL)


def _writes(arguments):
    _, mode, flags = arguments
    return bool(set(mode or "") & set("wxa+")) or bool((flags or 0) & (os.O_WRONLY | os.O_RDWR))


class Log:
    """A history and the few events that these tests tell it."""

    def __init__(self, also=(), subject_to=()):
        self.history = History()
        self._holder = holder_for(self)
        self._lease = 0
        created = ev.StudyCreated(
            time=0.0, format=1, name="s", metric="loss", direction="minimize", space=Space().to_dict(), seed=0,
            searcher={}, scheduler={}, luthier="0", also=list(also), subject_to=list(subject_to),
        )  # fmt: skip
        self._apply(created)

    @property
    def trials(self):
        return self.history.trials

    def propose(self):
        number = len(self.trials)
        self._apply(ev.TrialProposed(time=0.0, trial=number, configuration={}, seen=0))
        return number

    def lease(self, trial, from_step=0):
        self._lease += 1
        leased = ev.JobLeased(
            time=0.0, trial=trial, lease=self._lease, holder=self._holder, from_step=from_step,
            to_step=None,
        )  # fmt: skip
        self._apply(leased)

    def report(self, trial, step, loss, *, checkpointed=True, **others):
        self._tell(ev.Reported, trial, step=step, metrics={"loss": loss, **others})
        if checkpointed:
            self._tell(ev.CheckpointWritten, trial, step=step)

    def pause(self, trial):
        self._tell(ev.TrialPaused, trial, step=self.trials[trial].step)

    def complete(self, trial):
        self._tell(ev.TrialCompleted, trial, step=self.trials[trial].step)

    def diverge(self, trial):
        self._tell(ev.TrialDiverged, trial, step=self.trials[trial].step, metric="loss")

    def fail(self, trial, kind="out of memory"):
        self._tell(ev.TrialFailed, trial, step=0, kind=kind, message="")

    def requeue(self, trial):
        self._apply(ev.TrialRequeued(time=0.0, trial=trial, reason=""))

    def _tell(self, event, trial, /, **fields):
        self._apply(event(time=0.0, trial=trial, lease=self.trials[trial].lease, **fields))

    def _apply(self, event):
        self.history.apply(self.history.cursor + 1, event)
