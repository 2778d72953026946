"""Keeps N worker processes alive on one machine; imports no framework and trains nothing.

Each worker runs the same loop against the same log, in a process group of its own, forked from a
server that has the frameworks loaded. A worker that dies takes nothing with it: its trial goes back
to the queue and on from its checkpoint. When this process dies, the kernel kills the others.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from luthier.errors import StudyError, TrialError
from luthier.run import child, devices
from luthier.run.forkserver import CLOSED, Lines
from luthier.run.worker import Train
from luthier.storage import SQLiteStore
from luthier.study.history import TrialState
from luthier.study.study import Study

FRAMEWORKS = ("tensorflow", "torch", "jax", "keras", "sklearn")
_EARLY_DEATHS = 3


def supervise(study: Study, store: SQLiteStore, train: Train, workers: int) -> None:
    """Run *workers* processes on the study until it has no jobs left.

    Raises:
        TrialError: the training code raised; the message holds its traceback.
        StudyError: a worker dies again and again before it takes a job.
        KeyboardInterrupt: after the workers are gone and their trials are back in the queue.
    """
    with _Crew(study, store, train, workers) as crew:
        crew.work()


class _Crew:
    """The workers and the fork server they come from."""

    def __init__(self, study: Study, store: SQLiteStore, train: Train, workers: int) -> None:
        self._study = study
        self._workers = workers
        self._living: dict[int, int] = {}  # slot -> process id
        self._deaths = 0
        self._folder = Path(tempfile.mkdtemp(prefix="luthier-"))
        self._logs = store.path.with_name(f"{store.path.stem}-checkpoints") / "logs"
        self._logs.mkdir(parents=True, exist_ok=True)
        self._payload = self._write_payload(store, train)
        ours, theirs = socket.socketpair()
        self._lines = Lines(ours)
        self._connection = ours
        shares = devices.environment(0, workers)
        shares.pop("CUDA_VISIBLE_DEVICES", None)
        self._server = subprocess.Popen(
            [sys.executable, "-m", "luthier.run.forkserver", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            env={**os.environ, **shares},
            stdin=subprocess.DEVNULL,
            stdout=open(self._logs / "server.log", "w"),  # noqa: SIM115 (handed to the process)
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        theirs.close()

    def __enter__(self) -> _Crew:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._kill_all()
        with contextlib.suppress(OSError):
            self._connection.close()
        self._server.kill()
        self._server.wait()
        shutil.rmtree(self._folder, ignore_errors=True)
        interrupted = kind is not None and issubclass(kind, KeyboardInterrupt)
        self._study.release_dead("interrupted" if interrupted else "the study ended", blame=False)

    def work(self) -> None:
        preload = [name for name in FRAMEWORKS if name in sys.modules]
        self._lines.send({"preload": preload, "path": sys.path})
        ready = self._lines.wait()
        if ready is None:
            raise self._broken("the fork server ended before it was ready")
        for slot in range(self._workers):
            self._spawn(slot)
        while self._living:
            self._connection.settimeout(0.5)
            message = self._lines.poll()
            if message is CLOSED:
                raise self._broken("the fork server was killed")
            if isinstance(message, dict):
                self._heard(message)

    def _heard(self, message: dict[str, Any]) -> None:
        if "spawned" in message:
            self._living[message["spawned"]] = message["pid"]
            return
        slot, code = message["exited"], message["code"]
        pid = self._living.pop(slot, 0)
        _kill_group(pid)  # what the worker itself had started
        if code == child.FINISHED:
            return
        if code == child.FAILED:
            raise self._users_error(slot)
        if code != child.REPLACE:
            self._lost(slot, code)
        self._spawn(slot)

    def _lost(self, slot: int, code: int) -> None:
        cause = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exited with {code}"
        trials = self._study.release_dead(f"worker {slot} was {cause}", blame=True)
        self._deaths = 0 if trials else self._deaths + 1
        if code > 0 or self._deaths >= _EARLY_DEATHS * self._workers:
            raise self._broken(f"worker {slot} {cause} before it could train", slot)

    def _spawn(self, slot: int) -> None:
        self._living.setdefault(slot, 0)
        self._lines.send(
            {
                "spawn": slot,
                "payload": str(self._payload),
                "log": str(self._log(slot)),
                "env": devices.environment(slot, self._workers),
            }
        )

    def _write_payload(self, store: SQLiteStore, train: Train) -> Path:
        code = self._folder / "train.pickle"
        code.write_bytes(_packed(train))
        study = self._study
        until = None
        if study.deadline is not None:
            until = time.time() + study.deadline - time.monotonic()
        order = {
            "study": study.name,
            "storage": str(store.path),
            "max_trials": study.limits.trials,
            "max_epochs": study.limits.epochs,
            "until": until,
            "train": str(code),
        }
        payload = self._folder / "order.json"
        payload.write_text(json.dumps(order))
        return payload

    def _users_error(self, slot: int) -> Exception:
        failed = [
            t
            for t in self._study.refresh().trials
            if t.state is TrialState.FAILED and t.kind == "error"
        ]
        if not failed:
            return self._broken(f"worker {slot} failed", slot)
        last = max(failed, key=lambda t: t.ended_at or 0.0)
        return TrialError(
            f"The training code failed in trial {last.number}, with {last.configuration}:\n\n"
            f"{last.traceback}\nMend it and run again: the study goes on with this trial."
        )

    def _broken(self, what: str, slot: int | None = None) -> StudyError:
        log = self._log(slot) if slot is not None else self._logs / "server.log"
        with contextlib.suppress(OSError):
            what += f". The end of {log}:\n" + "\n".join(log.read_text().splitlines()[-25:])
        return StudyError(what)

    def _log(self, slot: int) -> Path:
        return self._logs / f"worker-{slot}.log"

    def _kill_all(self) -> None:
        for pid in self._living.values():
            _kill_group(pid)
        until = time.monotonic() + 1.0
        while time.monotonic() < until and any(map(_lives, self._living.values())):
            time.sleep(0.01)
        self._living.clear()


def _packed(train: Train) -> bytes:
    """Pickle the training code; functions of a notebook or a script travel by value."""
    import cloudpickle

    try:
        return cloudpickle.dumps(train)
    except Exception as error:
        raise StudyError(
            f"The training code cannot be sent to worker processes: {error}. Make what it uses "
            "(models, open files, data sets with threads) inside the function, or use workers=1."
        ) from error


def _kill_group(pid: int) -> None:
    if pid:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)


def _lives(pid: int) -> bool:
    try:
        return (
            bool(pid) and Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        )
    except OSError:
        return False


__all__: Sequence[str] = ["supervise"]
