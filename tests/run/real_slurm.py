"""A real SLURM of one node, for tests: its own munged, slurmctld and slurmd, which die with it.

Everything runs as the user of the tests, with its own ports and folders, so that it disturbs neither
a SLURM of this machine nor another test. It needs Debian's packages slurm-wlm and munge.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scontrol", "sinfo", "scancel")
_SEARCHED = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"

_CONFIGURATION = """\
ClusterName=luthier{control}
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={control}
SlurmdPort={node}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=5
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
JobCompType=jobcomp/none
GresTypes=gpu
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0
ReturnToService=2
KillWait=5
MinJobAge=300
NodeName={host} NodeAddr=127.0.0.1 CPUs=8 Gres=gpu:2 State=UNKNOWN
PartitionName=test Nodes=ALL Default=YES MaxTime=60 State=UP
"""


class Slurm:
    """What a test asks of the cluster; it is up when the object is there."""

    def __init__(self, folder: Path, environment: dict[str, str]):
        self.folder = folder
        self.environment = environment

    def run(self, *command: str, cwd: Path | None = None, **variables: str) -> str:
        """Run one of SLURM's commands and return what it printed."""
        done = subprocess.run(
            command,
            env={**self.environment, **variables},
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def submit(self, script: str, cwd: Path, **variables: str) -> str:
        """Submit a script from the folder *cwd* and return the job's number."""
        file = cwd / "workers.sh"
        file.write_text(script)
        return self.run("sbatch", "--parsable", str(file), cwd=cwd, **variables).strip()

    def state(self, job: str) -> dict[str, str]:
        """Return what SLURM says of a job, or of one task of an array (``12_0``)."""
        text = self.run("scontrol", "--oneliner", "show", "job", job)
        return dict(word.partition("=")[::2] for word in text.split() if "=" in word)

    def wait(self, job: str, states: set[str], seconds: float) -> dict[str, str]:
        """Wait until a job is in one of *states*, and return what SLURM says of it."""
        deadline = time.monotonic() + seconds
        while (state := self.state(job))["JobState"] not in states:
            assert time.monotonic() < deadline, (
                f"job {job} is not in {states}: {state}\n{self.log()}"
            )
            time.sleep(0.2)
        return state

    def log(self) -> str:
        """Return the ends of the daemons' logs, for a failed test."""
        files = [self.folder / "slurmctld.log", self.folder / "slurmd.log"]
        return "\n".join(f"{f.name}:\n{f.read_text()[-3000:]}" for f in files if f.exists())


def missing() -> list[str]:
    """Return the programs that are not installed."""
    return [name for name in PROGRAMS if shutil.which(name, path=_SEARCHED) is None]


@contextlib.contextmanager
def running_slurm() -> Iterator[Slurm]:
    """Start a SLURM, and stop it with everything that it started."""
    # Not pytest's folder: munge refuses one that others cannot enter, and a socket's path is short.
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    daemons: list[subprocess.Popen[bytes]] = []
    try:
        for name in ("munge", "state", "spool"):
            (folder / name).mkdir()
        folder.chmod(0o755)
        key = folder / "munge" / "key"
        key.touch(mode=0o600)
        key.write_bytes(secrets.token_bytes(128))
        control, node = _free_ports(2)
        configuration = folder / "slurm.conf"
        configuration.write_text(
            _CONFIGURATION.format(
                folder=folder,
                control=control,
                node=node,
                user=getpass.getuser(),
                host=socket.gethostname().partition(".")[0],
            )
        )
        for gpu in ("gpu0", "gpu1"):  # in name only
            (folder / gpu).touch()
        (folder / "gres.conf").write_text(f"Name=gpu File={folder}/gpu[0-1]\n")
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("SLURM")},
            "SLURM_CONF": str(configuration),
            "PATH": _SEARCHED,
        }
        for command in (
            [
                *("munged", "--foreground", f"--key-file={key}"),
                *(f"--{what}={folder}/munge/{what[:-5]}" for what in ("pid-file", "seed-file")),
                f"--socket={folder}/munge/socket",
            ],
            ["slurmctld", "-D", "-i"],
            ["slurmd", "-D"],
        ):
            with (folder / f"{command[0]}.out").open("wb") as out:
                daemons.append(
                    subprocess.Popen(
                        [shutil.which(command[0], path=_SEARCHED) or command[0], *command[1:]],
                        env=environment,
                        stdin=subprocess.DEVNULL,
                        stdout=out,
                        stderr=out,
                        start_new_session=True,
                    )
                )
            if command[0] == "munged":
                _wait_for(folder / "munge" / "socket", daemons[0])
        slurm = Slurm(folder, environment)
        _wait_until_idle(slurm, daemons)
        yield slurm
    finally:
        _stop(daemons, folder)
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for(file: Path, daemon: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 10
    while not file.exists():
        assert daemon.poll() is None, _outputs(file.parent.parent)
        assert time.monotonic() < deadline, _outputs(file.parent.parent)
        time.sleep(0.05)


def _wait_until_idle(slurm: Slurm, daemons: list[subprocess.Popen[bytes]]) -> None:
    deadline = time.monotonic() + 30
    while True:
        asked = subprocess.run(
            ["sinfo", "--noheader", "--format=%T"],
            env={**slurm.environment, "SLURM_TIMEOUT": "2"},
            capture_output=True,
            text=True,
        )
        if asked.stdout.strip() == "idle":
            return
        dead = [daemon.args for daemon in daemons if daemon.poll() is not None]
        assert not dead, f"{dead}\n{_outputs(slurm.folder)}\n{slurm.log()}"
        assert time.monotonic() < deadline, f"{asked}\n{_outputs(slurm.folder)}\n{slurm.log()}"
        time.sleep(0.1)


def _outputs(folder: Path) -> str:
    return "\n".join(f"{file.name}:\n{file.read_text()[-2000:]}" for file in folder.glob("*.out"))


def _stop(daemons: list[subprocess.Popen[bytes]], folder: Path) -> None:
    """End the daemons, and the jobs, which run in sessions of their own."""
    for daemon in reversed(daemons):
        daemon.send_signal(signal.SIGTERM)
    for daemon in daemons:
        with contextlib.suppress(subprocess.TimeoutExpired):
            daemon.wait(5)
    deadline = time.monotonic() + 10
    while (left := _processes_of(folder)) and time.monotonic() < deadline:
        for process in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        time.sleep(0.05)
    for daemon in daemons:
        daemon.wait(5)
    assert not left, f"processes {left} of {folder} do not end"


def _processes_of(folder: Path) -> list[int]:
    """Return the processes with our SLURM_CONF: daemons, step daemons and all that jobs started.

    Read as bytes: a step daemon writes its title over the beginning of its environment.
    """
    ours = b"SLURM_CONF=" + os.fsencode(folder / "slurm.conf")
    found: list[int] = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if ours in (process / "environ").read_bytes().split(b"\0"):
                found.append(int(process.name))
    return found


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
