"""The script for sbatch: what it says, how it quotes, and what a real SLURM makes of it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from itertools import pairwise

import pytest
import real_slurm
from hypothesis import example, given, settings
from hypothesis import strategies as st

from luthier.errors import StudyError
from luthier.run.slurm import sbatch_script

SECRETS = [
    "postgresql://user:hunter2@host/db",
    "postgres://host/db?user=u&password=hunter2",
    "postgresql://u:hunter2%2F@[::1]:5432/db?sslmode=require",
    "postgresql://u:hun/ter2@host/db",
    "https://hunter2@host/",
    "http://host/?token=hunter2",
    "http://host/#hunter2",
    "host=h password=hunter2",
]
PLAIN = ["study.db", "/a folder/tokens/study.db", "sqlite:///study.db", "https://host:8700/",
         "postgresql://user@host:5432/db", "postgresql:///db"]  # fmt: skip

STAND_IN = f"""#!{sys.executable}
# A worker that counts, and when it is told to stop keeps what it has counted.
import os, pathlib, signal, sys, time

stopping = False

def told(number, frame):
    global stopping
    stopping = True
    print("told", time.time(), flush=True)

signal.signal(signal.SIGTERM, told)
task = os.environ["SLURM_ARRAY_TASK_ID"]
kept = pathlib.Path(f"kept-{{task}}")
count = int(kept.read_text()) if kept.exists() else 0
print("begun", time.time(), "at", count, flush=True)
pathlib.Path(f"begun-{{task}}").touch()
while count < 1_000 and not (count and kept.exists()):
    count += 1
    time.sleep(0.1)
    if stopping:
        time.sleep(0.5)  # long enough to hear a second signal
        kept.write_text(str(count))
        sys.exit(143)
"""

TRAINING = """
import os, sys, time
from pathlib import Path

import luthier as lt

HERE, TASK = Path(sys.argv[1]), os.environ["SLURM_ARRAY_TASK_ID"]


class Weights:
    value = 1.0

    def save(self, folder):
        (folder / "value").write_text(repr(self.value))

    def restore(self, folder):
        self.value = float((folder / "value").read_text())


def train(trial):
    (HERE / f"took-part-{TASK}").touch()
    while len(list(HERE.glob("took-part-*"))) < 2:  # neither does all the work before the other
        time.sleep(0.05)
    weights = Weights()
    for epoch in trial.epochs(weights):
        time.sleep(0.1)
        weights.value *= 1 - trial["rate"]
        with (HERE / "epochs").open("a") as file:
            file.write(f"{TASK} {trial.number} {epoch}\\n")
        trial.report(loss=weights.value)


lt.tune(
    train, {"rate": lt.Float(0.1, 0.5)}, minimize="loss", name="on slurm", epochs=8, max_trials=12,
    scheduler=None,
)
"""


def script(storage="study.db", command=("train.py",), **options):
    return sbatch_script(storage, command, **{"workers": 2, "time_limit": "1:00:00", **options})


def options_of(text):
    return [line.removeprefix("#SBATCH ") for line in text.splitlines() if line.startswith("#SB")]


def test_what_it_says():
    text = script(workers=4, cores_per_worker=3, memory="16G", partition="long", account="lab")
    said = options_of(text)
    for option in (
        "--array=0-3", "--time=1:00:00", "--cpus-per-task=3", "--mem=16G", "--partition=long",
        "--account=lab", "--requeue", "--signal=B:USR1@120", "--open-mode=append",
        "--output=luthier-%A_%a.log", "--job-name=luthier",
    ):  # fmt: skip
        assert option in said
    assert not any("gpu" in option for option in said)
    assert "worker --slots 1 --grace 100 study.db train.py &" in text
    assert not any("--mem" in o or "--partition" in o for o in options_of(script()))


@pytest.mark.parametrize(
    ("gpus", "slots", "gres", "in_worker"),
    [(2, 1, 2, 1), (1.0, 3, 1, 3), (0.5, 1, 1, 2), (0.33, 1, 1, 3), (0.25, 4, 1, 4)],
)
def test_gpus(gpus, slots, gres, in_worker):
    text = script(gpus_per_worker=gpus, slots=slots)
    assert f"--gres=gpu:{gres}" in options_of(text)
    assert f"--slots {in_worker} " in text


@pytest.mark.parametrize("url", SECRETS)
def test_a_secret_stays_out(url):
    text = script(url)
    assert "ter2" not in text
    assert " env train.py &" in text
    assert "export LUTHIER_STORAGE" in text
    assert "--export=ALL" in options_of(text)


@pytest.mark.parametrize("url", PLAIN)
def test_what_holds_no_secret_is_written(url, tmp_path):
    assert ran(script(url, python=str(echo(tmp_path))), tmp_path)[-2:] == [url, "train.py"]


def test_without_the_url_in_the_environment_it_does_not_start(tmp_path):
    file = tmp_path / "workers.sh"
    file.write_text(script("env", python=str(echo(tmp_path))))
    environment = {k: v for k, v in os.environ.items() if k != "LUTHIER_STORAGE"}
    done = subprocess.run(["bash", file], capture_output=True, text=True, env=environment)
    assert done.returncode != 0
    assert done.stdout == ""
    assert "LUTHIER_STORAGE" in done.stderr


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"workers": 0}, "workers must be .* at least 1, got 0"),
        ({"workers": True}, "workers .*True"),
        ({"cores_per_worker": -1}, "cores_per_worker .*-1"),
        ({"slots": 0}, "slots .*0"),
        ({"time_limit": "soon"}, "time_limit .*'soon'.*days-hours"),
        ({"time_limit": "３０"}, "time_limit"),
        ({"time_limit": "-5"}, "time_limit .*'-5'"),
        ({"time_limit": "1:00\n#SBATCH --uid=0"}, "time_limit"),
        ({"time_limit": "3"}, "signal_seconds .*120.*'3'"),
        ({"time_limit": "0"}, "signal_seconds"),
        ({"signal_seconds": 5}, "signal_seconds .*5"),
        ({"signal_seconds": 70_000, "time_limit": "2-0"}, "65535"),
        ({"memory": "-4G"}, "memory .*'-4G'"),
        ({"memory": "4Gi"}, "memory .*'4Gi'"),
        ({"memory": "0"}, "memory"),
        ({"partition": "a b"}, "partition .*'a b'"),
        ({"account": ""}, "account"),
        ({"name": "a\n"}, "name"),
        ({"name": "%x"}, "name"),
        ({"gpus_per_worker": -1}, "gpus_per_worker .*-1"),
        ({"gpus_per_worker": 0.7}, "gpus_per_worker .*0.7.*0.5"),
        ({"gpus_per_worker": 1.5}, "gpus_per_worker .*1.5"),
        ({"gpus_per_worker": float("nan")}, "gpus_per_worker .*nan"),
        ({"gpus_per_worker": float("inf")}, "gpus_per_worker .*inf"),
        ({"gpus_per_worker": 0.5, "slots": 3}, "slots .*3"),
        ({"extra": ["constraint=a"]}, "extra .*'constraint=a'"),
        ({"extra": ["--comment=a\nrm -rf /"]}, "extra"),
        ({"command": []}, "nothing to run"),
        ({"command": ["--workers", "3"]}, "script cannot be '--workers'"),
        ({"command": ["t.py", "a\0b"]}, "argument"),
        ({"command": ["t.py", "\udc80"]}, "argument"),
        ({"storage": "memory"}, "storage .*'memory'"),
        ({"storage": ""}, "storage"),
        ({"storage": "--help"}, "storage"),
    ],
)
def test_refusals(change, words):
    with pytest.raises(StudyError, match=words):
        script(**change)


@pytest.mark.parametrize("limit", ["30", "30:00", "0:30:00", "2-0", "1-12:30", "1-12:30:00"])
def test_every_way_to_write_a_limit(limit):
    assert f"--time={limit}" in options_of(script(time_limit=limit))


def echo(folder):
    file = folder / "python it's"
    file.write_text("#!/bin/bash\nprintf '%s\\0' \"$@\"\n")
    file.chmod(0o755)
    return file


def ran(text, folder):
    """Return the arguments with which a script starts its worker."""
    file = folder / "workers.sh"
    file.write_text(text)
    subprocess.run(["bash", "-n", file], check=True)
    done = subprocess.run(["bash", file], check=True, capture_output=True)
    return done.stdout.decode().split("\0")[:-1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("quoting")


WORDS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


@given(WORDS.filter(lambda word: word and word[0] != "-"), st.lists(WORDS))
@example(
    "a b.py", ["$(touch x)", "`id`", "\\", "'", '"', "\n#SBATCH --uid=0", "", "-- ;&|", "WORKER"]
)
@settings(max_examples=50, deadline=None)
def test_arguments_arrive_as_they_are(folder, program, arguments):
    got = ran(script(command=[program, *arguments], python=str(echo(folder))), folder)
    head = ["-m", "luthier.app.command", "worker", "--slots", "1", "--grace", "100", "study.db"]
    assert got == [*head, program, *arguments]


@pytest.mark.processes
@pytest.mark.parametrize(
    ("code", "state", "put_back"),
    [
        (143, "RUNNING", True),
        (143, "COMPLETING", False),
        (0, "RUNNING", False),
        (2, "RUNNING", False),
    ],
)
@pytest.mark.parametrize("to_all", [False, True])
def test_the_worker_is_told_once_and_its_code_decides(tmp_path, code, state, put_back, to_all):
    for name, lines in {
        "worker": f"ended=; rounds=0; trap 'echo told; ended=yes' TERM; touch up; "
        "while [ $rounds -lt 8 ]; do sleep 0.05; rounds=$((rounds + ${#ended})); done; "
        f"exit {code}",
        "scontrol": f'echo "$@"; echo "JobId=8 JobState={state} Reason=None"',
    }.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{lines}\n")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "workers.sh").write_text(script(python="./worker"))
    with subprocess.Popen(
        ["bash", "workers.sh"],
        cwd=tmp_path,
        start_new_session=True,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}",
             "SLURM_JOB_ID": "7", "SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "1"},
    ) as running:  # fmt: skip
        try:
            until(lambda: (tmp_path / "up").exists(), 10)
            if to_all:  # as scancel and preemption do
                os.killpg(running.pid, signal.SIGTERM)
            else:  # as --signal=B: does
                running.send_signal(signal.SIGUSR1)
            said = running.communicate(timeout=20)[0]
        finally:
            if running.poll() is None:
                os.killpg(running.pid, signal.SIGKILL)
    assert running.returncode == code
    assert said.startswith("told\n")
    assert said.count("told\n") == 1
    assert ("requeue 7_1\n" in said) == put_back


def until(true, seconds, what=lambda: ""):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, what()
        time.sleep(0.05)


@pytest.fixture(scope="module")
def slurm():
    if lacking := real_slurm.missing():
        words = f"SLURM is not installed ({', '.join(lacking)}): apt-get install slurm-wlm munge"
        pytest.fail(words)
    with real_slurm.running_slurm() as running:
        yield running


class Job:
    """Two tasks of the stand-in worker."""

    def __init__(self, slurm, folder, **options):
        (worker := folder / "worker").write_text(STAND_IN)
        worker.chmod(0o755)
        self.folder, self.slurm = folder, slurm
        options = {"time_limit": "2", "signal_seconds": 59, "python": str(worker), **options}
        self.number = slurm.submit(script(**options), folder)

    def begun(self):
        """Wait until both tasks have begun; then a signal finds a worker that can be told."""
        until(lambda: len(list(self.folder.glob("begun-*"))) == 2, 30, self.slurm.log)

    def ended(self, task, seconds=30):
        end = {"COMPLETED", "CANCELLED", "FAILED", "TIMEOUT"}
        return self.slurm.wait(f"{self.number}_{task}", end, seconds)

    def log(self, task):
        return (self.folder / f"luthier-{self.number}_{task}.log").read_text()


@pytest.fixture(scope="module")
def jobs(slurm, tmp_path_factory):
    """Return all jobs, submitted at once: SLURM looks for limits only every 30 seconds."""
    special = {"told": {"gpus_per_worker": 0.5, "extra": ["""--comment=it's 5% "off" #1"""]}}
    names = ["limit", "told", "cancelled", "put back"]
    made = {n: Job(slurm, tmp_path_factory.mktemp(n), **special.get(n, {})) for n in names}
    for job in made.values():
        job.begun()
    for task in (
        0,
        1,
    ):  # sbatch takes at least what signal_seconds need; an operator may shorten it
        slurm.run("scontrol", "update", f"JobId={made['limit'].number}_{task}", "TimeLimit=1")
    return made


def went_on(log):
    """Return True when a log tells of a run that was told to stop and one that went on from it."""
    lines = [line for line in log.splitlines() if line.startswith(("begun", "told"))]
    said = re.sub(r"[\d.]{9,}", "TIME", " ".join(lines))
    return re.fullmatch(r"begun TIME at 0 told TIME begun TIME at [1-9]\d*", said)


@pytest.mark.processes
def test_a_worker_that_was_told_to_stop_goes_on_later_and_its_neighbour_does_not_notice(
    slurm, jobs
):
    job = jobs["told"]
    # The last task's plain id is the array's: what is said to it must not reach the other.
    slurm.run("scancel", "--signal=USR1", "--batch", f"{job.number}_1")
    ended = job.ended(1)
    assert (ended["JobState"], ended["Restarts"]) == ("COMPLETED", "1")
    assert went_on(job.log(1)), job.log(1)
    neighbour = slurm.state(f"{job.number}_0")
    assert (neighbour["JobState"], neighbour["Restarts"]) == ("RUNNING", "0")
    assert "told" not in job.log(0)
    said = slurm.run("scontrol", "--oneliner", "show", "job", f"{job.number}_0")
    assert """ Comment=it's 5% "off" #1 """ in said
    assert "gres:gpu:1" in said


@pytest.mark.processes
def test_a_cancelled_worker_stays_away(slurm, jobs):
    job = jobs["cancelled"]
    slurm.run("scancel", job.number)
    for task in (0, 1):
        ended = job.ended(task)
        assert (ended["JobState"], ended["Restarts"]) == ("CANCELLED", "0")
        assert len(re.findall("^told", job.log(task), re.MULTILINE)) == 1


@pytest.mark.processes
def test_a_worker_that_slurm_itself_puts_back_goes_on_once(slurm, jobs):
    job = jobs["put back"]
    slurm.run("scontrol", "requeue", f"{job.number}_0")
    ended = job.ended(0)
    assert (ended["JobState"], ended["Restarts"]) == ("COMPLETED", "1")
    assert went_on(job.log(0)), job.log(0)


@pytest.mark.processes
def test_a_real_study(slurm, tmp_path):
    from luthier.storage import open_store
    from luthier.study.events import decode

    (tmp_path / "train.py").write_text(TRAINING)
    text = script(command=["train.py", str(tmp_path)], signal_seconds=30)
    job = slurm.submit(text, tmp_path)
    epochs = tmp_path / "epochs"

    def told():
        logs = (file.read_text() for file in tmp_path.glob("*.log"))
        return "\n".join([*logs, slurm.log()])

    until(lambda: epochs.exists() and len(epochs.read_text().splitlines()) > 10, 60, told)
    slurm.run("scancel", "--signal=USR1", "--batch", f"{job}_1")
    ended = [slurm.wait(f"{job}_{task}", {"COMPLETED", "FAILED"}, 60) for task in (0, 1)]
    assert [(e["JobState"], e["Restarts"]) for e in ended] == [
        ("COMPLETED", "0"), ("COMPLETED", "1"),
    ], told()  # fmt: skip
    done = [tuple(map(int, line.split())) for line in epochs.read_text().splitlines()]
    assert sorted((trial, epoch) for _, trial, epoch in done) == [
        (trial, epoch) for trial in range(12) for epoch in range(8)
    ]
    assert {task for task, _, _ in done} == {0, 1}
    store = open_store(tmp_path / "study.db", read_only=True)
    numbers = [number for number, _ in store.read("on slurm", 0)]
    assert all(after == before + 1 for before, after in pairwise(numbers))
    kinds = [type(decode(event)).__name__ for _, event in store.read("on slurm", 0)]
    assert kinds.count("TrialCompleted") == 12


@pytest.mark.processes
def test_the_signal_comes_before_the_limit(jobs):
    for task in (0, 1):
        ended = jobs["limit"].ended(task, 60)
        assert (ended["JobState"], ended["Restarts"]) == ("COMPLETED", "1")
        log = jobs["limit"].log(task)
        assert went_on(log), log
        begun, told = (float(re.search(rf"{word} (\S+)", log)[1]) for word in ("begun", "told"))
        assert told - begun < 60
