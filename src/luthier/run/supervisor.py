"""Keeps N worker processes alive on one machine; imports no framework and trains nothing.

Each worker runs the same loop against the same log, in a session of its own, forked from a server
that has the frameworks loaded. A worker that dies takes nothing with it: its trial goes back to the
queue and on from its checkpoint. When this process dies, the kernel kills the others.
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
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from luthier.errors import LuthierError, StudyError
from luthier.run import child, devices
from luthier.run.disk import fresh_folder, sweep
from luthier.run.forkserver import BROKEN, CLOSED, Lines
from luthier.run.places import logs_of
from luthier.run.processes import kill_session, tell
from luthier.run.recording import failure_of
from luthier.run.renewal import renew
from luthier.run.vital_signs import Pulse, memory_kills
from luthier.run.worker import Train, preemptible
from luthier.study import interrupts
from luthier.study.holder import is_gone
from luthier.study.leases import held_here
from luthier.study.records import TrialRecord
from luthier.study.study import Study

FRAMEWORKS = ("tensorflow", "torch", "jax", "keras", "sklearn")
HANG_SECONDS = 600.0
GRACE_SECONDS = 60.0
_EARLY_DEATHS = 3
_DEATH_SECONDS = 10.0  # at most, from SIGKILL until a process has let go of everything
_LOGS_KEPT = 7 * 24 * 3600.0  # seconds since a worker of an earlier start printed something


def supervise(
    study: Study,
    train: Train,
    workers: int,
    *,
    gpus_per_trial: float | None = None,
    hang_after: float = HANG_SECONDS,
    grace: float = GRACE_SECONDS,
    place: devices.Place = devices.ALONE,
) -> str:
    """Run *workers* processes on the study until it has no jobs left, and return why it ended.

    Args:
        study: the jobs.
        train: the training code.
        workers: how many at the same time.
        gpus_per_trial: see ``devices.environment``.
        hang_after: seconds after which a worker whose processes use no processor time is killed, and
            its trial put back in the queue.
        grace: seconds that trials get to come to their next report after SIGTERM.
        place: where an engine has put this loop.

    Raises:
        TrialError: the training code raised; the message holds its traceback.
        StudyError: a worker dies again and again before it takes a job; GPUs that are not there; a machine
            that cannot fork.
        KeyboardInterrupt: after the workers are gone and their trials are back in the queue.
    """
    check_forks()
    devices.checked_share(gpus_per_trial, workers)
    with (
        preemptible(study),
        interrupts.held(),
        _Crew(study, train, workers, gpus_per_trial, hang_after, grace, place) as crew,
    ):
        crew.work()
        study.refresh()
        if (failure := failure_of(study)) is not None:
            raise failure
    return study.preempted or study.why_over() or "nothing is left to do"


def check_forks() -> None:
    """Refuse a machine on which workers cannot be forked from a process that has the frameworks loaded.

    Raises:
        StudyError: it is Windows.
    """
    if not hasattr(os, "fork"):
        raise StudyError(
            "Worker processes need Linux or macOS, and this is Windows: leave workers= and gpus_per_trial= out "
            "and start the script several times, on one storage; or run it in WSL."
        )


class _Crew:
    """The workers and the fork server they come from."""

    def __init__(
        self,
        study: Study,
        train: Train,
        workers: int,
        gpus_per_trial: float | None,
        hang_after: float,
        grace: float,
        place: devices.Place,
    ) -> None:
        self._study = study
        self._workers = workers
        self._gpus_per_trial = gpus_per_trial
        self._hang_after = hang_after
        self._grace = grace
        self._place = place
        self._living: dict[int, int] = {}  # slot -> process id
        self._ours: set[int] = set()  # the process ids of all that ever lived
        self._pulses: dict[int, Pulse] = {}  # process id -> its pulse
        self._hung: set[int] = set()
        self._deaths = 0
        self._memory_kills = memory_kills()
        self._renewed = time.monotonic()
        self._told_at: float | None = None
        self._folder = fresh_folder("crew")  # swept by a later start if this process is killed
        self._logs = logs_of(study.store)
        self._logs.mkdir(parents=True, exist_ok=True)
        _sweep_logs(self._logs)
        self._earlier = {slot: _size(self._log(slot)) for slot in (None, *range(workers))}
        self._order = self._write_order(train)
        ours, theirs = socket.socketpair()
        self._lines = Lines(ours)
        self._connection = ours
        shares = devices.environment(0, workers, gpus_per_trial, place)
        shares.pop("CUDA_VISIBLE_DEVICES", None)
        self._server = subprocess.Popen(
            [sys.executable, "-m", "luthier.run.forkserver", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            env={**os.environ, **shares},
            stdin=subprocess.DEVNULL,
            stdout=open(self._log(None), "a"),  # noqa: SIM115 (handed to the process)
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        theirs.close()

    def __enter__(self) -> _Crew:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        self._kill_all()
        with contextlib.suppress(OSError):
            self._connection.close()
        self._server.kill()
        self._server.wait()
        shutil.rmtree(self._folder, ignore_errors=True)
        sweep()  # of workers that were killed
        interrupted = error is not None and issubclass(error, KeyboardInterrupt)
        reason, kind = "interrupted" if interrupted else "the study ended", "interrupted"
        if self._study.preempted and not interrupted:
            reason, kind = self._study.preempted, "preempted"
        with contextlib.suppress(LuthierError):  # a store that is gone: the leases will lapse
            self._study.release_lapsed(reason, kind=kind, of=self._ours)

    def work(self) -> None:
        preload = [name for name in FRAMEWORKS if name in sys.modules]
        self._lines.send(
            {"preload": preload, "path": sys.path, "argv": sys.argv, "order": str(self._order)}
        )
        with interrupts.through():
            ready = self._lines.wait()
        if ready is None:
            self._gone("the fork server ended before it was ready")
            return
        for slot in range(self._workers):
            self._spawn(slot)
        while self._living:
            interrupts.check()
            self._connection.settimeout(0.5)
            message = self._lines.poll()
            if message is CLOSED:
                self._gone("the fork server was killed")
                return
            if isinstance(message, dict):
                self._heard(message)
            self._look_after()

    def _gone(self, what: str) -> None:
        """Raise that the fork server is gone, unless we are to go, too: then its workers are given up."""
        if not self._study.preempted:
            raise self._broken(what)

    def _look_after(self) -> None:
        """Renew the workers' leases, kill what hangs, and pass a request to leave on."""
        now = time.monotonic()
        if self._study.preempted and self._told_at is None:
            self._told_at = now
            for pid in self._living.values():
                tell(pid, signal.SIGTERM)
        if self._told_at is not None and now > self._told_at + self._grace:
            self._kill_all()
            return
        if now < self._renewed + min(self._study.leases.term / 3, self._hang_after / 4):
            return
        self._renewed = now
        for pid in self._living.values():
            if pid and self._pulses.setdefault(pid, Pulse(pid)).still_for() > self._hang_after:
                self._give_up_on(pid)
        with contextlib.suppress(LuthierError):  # away for a moment; workers wait for it too
            quiet = [(t.number, t.lease) for t in self._held() if is_quiet(t, self._study)]
            renew(self._study.store, self._study.name, quiet, self._study.clock.time())

    def _give_up_on(self, pid: int) -> None:
        """Kill a worker that hangs; first its trial is put back, before others see that it is gone."""
        held = [t for t in self._held() if t.holder is not None and t.holder.pid == pid]
        why = f"it used no processor time for {self._hang_after:g} s"
        self._study.release_held(held, why, kind="hung")
        self._hung.add(pid)
        kill_session(pid)

    def _held(self) -> list[TrialRecord]:
        """Return the trials that our workers hold."""
        return held_here(self._study.refresh(), self._study.leases, self._living.values())

    def _heard(self, message: dict[str, Any]) -> None:
        if "spawned" in message:
            self._living[message["spawned"]] = message["pid"]
            self._ours.add(message["pid"])
            if self._told_at is not None:  # the others were told before this one was there
                tell(message["pid"], signal.SIGTERM)
            return
        slot, code = message["exited"], message["code"]
        pid = self._living.pop(slot, 0)
        kill_session(pid)  # what the worker itself had started
        self._pulses.pop(pid, None)
        if code in (child.FINISHED, child.PREEMPTED) and not held_here(
            self._study.refresh(), self._study.leases, {pid}
        ):
            return
        if code == child.FAILED:
            raise self._error_of(slot)
        if code != child.REPLACE:
            self._lost(slot, pid, code)
        if not self._study.preempted:
            self._spawn(slot)

    def _lost(self, slot: int, pid: int, code: int) -> None:
        cause = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exited with {code}"
        kind, kills = "lost", memory_kills()
        if pid in self._hung:
            self._hung.discard(pid)
            return
        if code == -signal.SIGKILL and kills > self._memory_kills:
            kind, cause = "out of memory", "killed by the kernel, which had no memory left"
        self._memory_kills = kills
        why = f"worker {slot} was {cause}" if code < 0 else f"worker {slot} {cause}"
        trials = self._study.release_lapsed(why, kind=kind, of={pid})
        self._deaths = 0 if trials else self._deaths + 1
        if trials or self._study.preempted:
            return
        if code == BROKEN or self._deaths >= _EARLY_DEATHS * self._workers:
            raise self._broken(f"worker {slot} {cause} before it could train", slot)

    def _spawn(self, slot: int) -> None:
        self._living.setdefault(slot, 0)
        self._lines.send(
            {
                "spawn": slot,
                "log": str(self._log(slot)),
                "env": devices.environment(slot, self._workers, self._gpus_per_trial, self._place),
            }
        )

    def _write_order(self, train: Train) -> Path:
        """Write what every worker is to do, for the fork server to read once."""
        code = self._folder / "train.pickle"
        code.write_bytes(_packed(train))
        study = self._study
        until = None
        if study.deadline is not None:
            until = time.time() + study.deadline - time.monotonic()
        order = {
            "study": study.name,
            "storage": study.store.address,
            "until": until,
            "hopeful": study.hopeful,
            "train": str(code),
        }
        path = self._folder / "order.json"
        path.write_text(json.dumps(order))
        return path

    def _error_of(self, slot: int) -> Exception:
        """Return what ended a worker: the error of the user's code, or that of the worker itself."""
        self._study.refresh()
        return failure_of(self._study) or self._broken(f"worker {slot} failed", slot)

    def _broken(self, what: str, slot: int | None = None) -> StudyError:
        log = self._log(slot)
        with contextlib.suppress(OSError):
            said = log.read_bytes()[self._earlier[slot] :]
            lines = said.decode(errors="replace").splitlines()[-25:]
            what += f". The end of {log}:\n" + "\n".join(lines)
        return StudyError(what)

    def _log(self, slot: int | None) -> Path:
        """Return the file, of this start alone, for what a worker prints; None is the fork server."""
        place = self._place  # Dask may have several loops in one process
        first = (place.loop if place.number is None else place.number) * self._workers
        who = "server" if slot is None else f"worker-{first + slot}"
        return self._logs / f"{os.getpid()}-{who}.log"

    def _kill_all(self) -> None:
        for pid in self._living.values():
            kill_session(pid)
        pids = [pid for pid in self._living.values() if pid]
        until = time.monotonic() + _DEATH_SECONDS
        while time.monotonic() < until and not all(map(is_gone, pids)):
            time.sleep(0.01)
        self._living.clear()


def _sweep_logs(folder: Path) -> None:
    """Delete what workers of earlier starts have printed, long ago."""
    for log in folder.glob("*.log"):
        with contextlib.suppress(OSError):  # another start was faster
            if time.time() - log.stat().st_mtime > _LOGS_KEPT:
                log.unlink()


def _size(log: Path) -> int:
    return log.stat().st_size if log.exists() else 0


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


def is_quiet(trial: TrialRecord, study: Study) -> bool:
    """Return whether a trial has given no sign of late, so that its lease is to be renewed.

    One from the future counts as none: the machine's clock was set back since.
    """
    return abs(study.clock.time() - trial.last_sign) > study.leases.term / 4


__all__: Sequence[str] = ["supervise"]
