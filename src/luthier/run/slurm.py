"""SLURM: a script for ``sbatch`` that starts workers as a job array and lets them be requeued.

SLURM only starts and stops ``luthier worker``; what a study has done and what is left of it is in its
store. So no accounting database is asked, and a worker that comes back simply takes the next job.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Sequence

from luthier.errors import StudyError

FROM_ENVIRONMENT = "env"  # the word by which a worker reads the store's URL from LUTHIER_STORAGE

# Only what certainly holds no password or token may be written out; a URL's user is one for Postgres,
# and a token elsewhere.
_OPEN_URL = re.compile(
    r"sqlite:///[^?#]*|(?:postgres(?:ql)?://(?:[\w.-]+@)?|https?://)[\w.:\[\]-]*(?:/[\w./-]*)?"
)
_TIME_LIMIT = re.compile(
    r"(?a)(?P<days>\d+)-(?P<h>\d+)(?::(?P<m>\d+)(?::(?P<s>\d+))?)?"  # D-H, D-H:M, D-H:M:S
    r"|(?:(?P<hours>\d+):(?=\d+:))?(?P<minutes>\d+)(?::(?P<seconds>\d+))?"  # M, M:S, H:M:S
)
_WORD = re.compile(r"[A-Za-z0-9_][\w.+-]*", re.ASCII)
_MEMORY = re.compile(r"[1-9][0-9]*[KMGT]?")
_EARLY = 60  # by so many seconds SLURM may send a signal before its time
_SHORTEST_NOTICE, _LONGEST_NOTICE = 10, 65_535

_NEEDS_STORAGE = """\
: "${LUTHIER_STORAGE:?is not set here: export it before sbatch is called}"
"""
_BODY = r"""
# USR1 comes before the time limit, to this shell alone: the worker is told by TERM. A TERM to this
# shell is one that SLURM sends to all processes of the job, so that the worker has it already: a second
# one would end it at once. Either way `wait` ends early, and is called again.
interrupted=
told=
worker=
tell() {
    told=yes
    interrupted=yes
    if [ -n "$worker" ]; then kill -TERM "$worker" 2>/dev/null; fi
}
trap tell USR1
trap interrupted=yes TERM

WORKER &
worker=$!
if [ -n "$told" ]; then kill -TERM "$worker" 2>/dev/null; fi
while :; do
    interrupted=
    wait "$worker"
    code=$?
    if [ -z "$interrupted" ]; then break; fi
done

# 143: the worker was told to stop and gave its trials back, and the study has more to do. A job that
# somebody cancelled, or that SLURM puts back by itself, is no longer RUNNING and is left alone. The
# task is named in the array's form: the plain id of the last task would put all of them back.
if [ "$code" -eq 143 ]; then
    task="${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}"
    case "$(scontrol --oneliner show job "$task")" in
    *" JobState=RUNNING "*)
        echo "luthier: worker $task was told to stop and is put back into the queue"
        scontrol requeue "$task"
        ;;
    esac
fi
exit "$code"
"""


def sbatch_script(
    storage: str,
    command: Sequence[str],
    *,
    workers: int,
    time_limit: str,
    gpus_per_worker: float = 0,
    cores_per_worker: int = 1,
    memory: str | None = None,
    partition: str | None = None,
    account: str | None = None,
    slots: int = 1,
    signal_seconds: int = 120,
    extra: Sequence[str] = (),
    python: str = sys.executable,
    name: str = "luthier",
) -> str:
    """Return a bash script for ``sbatch``: a job array with one worker for each of its tasks.

    Some time before its limit a worker is told to stop; it gives its trials back at their next
    checkpoint and its task goes back into the queue, until the study has nothing left to do.

    Args:
        storage: the store's URL or path; one that may hold a password or token, and the word ``env``,
            is read from the variable LUTHIER_STORAGE when the job runs, and is not in the script.
        command: the script that calls ``luthier.tune``, and its arguments.
        workers: tasks of the array, each with one worker.
        time_limit: of one run of a task, as SLURM writes it: ``30`` (minutes), ``12:00:00``, ``2-12``.
        gpus_per_worker: whole GPUs; or 1/n: each worker has one GPU, which n trials share.
        cores_per_worker: CPU cores of a worker, all its slots together.
        memory: of a worker, such as ``16G``; None leaves it to the cluster.
        partition: where to run; None leaves it to the cluster.
        account: who pays; None leaves it to the cluster.
        slots: trials at the same time in one worker.
        signal_seconds: how long before the limit a worker is told to stop; SLURM may do it up to a
            minute earlier.
        extra: more options of ``sbatch``, such as ``--constraint=a100``.
        python: the interpreter, on the cluster, that has luthier installed.
        name: of the job; its log files are called after it.

    Raises:
        StudyError: a value that cannot be; the message names it and says what was expected.
    """
    gpus, slots = gpus_and_slots(gpus_per_worker, slots)
    whole("workers", workers)
    whole("cores_per_worker", cores_per_worker)
    seconds = _checked_notice(signal_seconds, time_limit)
    options = [
        f"--job-name={_word('name', name)}",
        f"--array=0-{workers - 1}",
        f"--time={time_limit}",
        "--nodes=1",
        "--ntasks=1",
        f"--cpus-per-task={cores_per_worker}",
        *([f"--gres=gpu:{gpus}"] if gpus else []),
        *([f"--mem={_memory(memory)}"] if memory is not None else []),
        *([f"--partition={_word('partition', partition)}"] if partition is not None else []),
        *([f"--account={_word('account', account)}"] if account is not None else []),
        "--requeue",
        f"--signal=B:USR1@{seconds}",
        "--open-mode=append",
        f"--output={name}-%A_%a.log",
        "--export=ALL",
        *(_checked_extra(option) for option in extra),
    ]
    # A sixth of the notice is kept for giving the trials back and for scontrol.
    worker = worker_arguments(storage, command, slots=slots, grace=seconds - seconds // 6)
    line = shlex.join([checked_text("python", python), "-m", "luthier.app.command", *worker])
    head = ["#!/bin/bash", *(f"# {text}".rstrip() for text in _advice(storage, workers))]
    body = _BODY.replace("WORKER", line, 1)
    if written_storage(storage) == FROM_ENVIRONMENT:
        body = _NEEDS_STORAGE + body
    return "\n".join([*head, *(f"#SBATCH {option}" for option in options), "", "set -u", body])


def _advice(storage: str, workers: int) -> list[str]:
    text = [f"{workers} workers of one study. Submit this with: sbatch FILE"]
    if written_storage(storage) == FROM_ENVIRONMENT:
        text += [
            "The store's URL stays out of this file: export it in the shell that calls sbatch,",
            "    read -rs LUTHIER_STORAGE && export LUTHIER_STORAGE",
        ]
    elif "://" not in storage or storage.startswith("sqlite:"):
        text += [
            "The store is a file, which must not be on a network file system: all workers must run on",
            "the machine that has it (--nodelist=NAME). For several machines use a server's URL.",
        ]
    return [*text, "Paths are seen from the folder in which sbatch is called.", ""]


def worker_arguments(storage: str, command: Sequence[str], *, slots: int, grace: int) -> list[str]:
    """Return what stands behind ``luthier`` to start a worker.

    Raises:
        StudyError: no script, an argument that no command line can hold, or a storage that workers
            cannot share.
    """
    if not command:
        raise StudyError("There is nothing to run: give the script that calls luthier.tune.")
    if not command[0] or command[0].startswith("-"):
        raise StudyError(
            f"The script cannot be {command[0]!r}: expected a file such as 'train.py', and Luthier's "
            "own options before the storage."
        )
    arguments = [checked_text("argument", argument) for argument in command]
    options = ["--slots", str(slots), "--grace", str(grace)]
    return ["worker", *options, written_storage(storage), *arguments]


def written_storage(storage: str) -> str:
    """Return how a script may write *storage*: as it is, or ``env`` when it may hold a secret.

    Raises:
        StudyError: empty, an option's name, or in the memory of one process.
    """
    if not storage or storage.startswith("-"):
        raise StudyError(f"The storage cannot be {storage!r}: expected a path or a URL.")
    if storage in ("memory", ":memory:", "memory://"):
        raise StudyError(
            f"The storage cannot be {storage!r}: workers in other processes do not see it. Expected "
            "a path or a URL."
        )
    checked_text("storage", storage)
    if "://" in storage or re.search("(password|token)=", storage, re.IGNORECASE):
        return storage if _OPEN_URL.fullmatch(storage) else FROM_ENVIRONMENT
    return storage


def gpus_and_slots(gpus_per_worker: float, slots: int) -> tuple[int, int]:
    """Return the whole GPUs and the slots of a worker; 1/n of a GPU is one GPU with n slots.

    Raises:
        StudyError: neither a whole number nor 1/n, or slots that contradict it.
    """
    whole("slots", slots)
    if gpus_per_worker >= 0 and float(gpus_per_worker).is_integer():
        return int(gpus_per_worker), slots
    sharing = round(1 / gpus_per_worker) if gpus_per_worker > 0.001 else 0
    if sharing < 2 or abs(gpus_per_worker * sharing - 1) > 0.02:  # 0.33 is a third
        raise StudyError(
            f"gpus_per_worker cannot be {gpus_per_worker!r}: expected a whole number, or 1/n such as "
            "0.5 for n trials on one GPU."
        )
    if slots not in (1, sharing):
        raise StudyError(
            f"slots cannot be {slots} with gpus_per_worker={gpus_per_worker!r}, which is {sharing} "
            "trials on one GPU: give one of them."
        )
    return 1, sharing


def whole(what: str, value: int, least: int = 1) -> int:
    """Return *value*; raises StudyError when it is no whole number of at least *least*."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise StudyError(f"{what} must be a whole number of at least {least}, got {value!r}.")
    return value


def checked_text(what: str, text: str) -> str:
    """Return *text*; raises StudyError when it cannot stand in a UTF-8 file as one argument."""
    try:
        bad = "\0" in text or not text.encode()
    except UnicodeEncodeError:
        bad = True
    if bad and text:
        raise StudyError(f"The {what} {text!r} cannot be written: expected UTF-8 without NUL.")
    return text


def _checked_notice(signal_seconds: int, time_limit: str) -> int:
    """Return *signal_seconds*, when they leave a worker time to do anything at all."""
    found = _TIME_LIMIT.fullmatch(time_limit)
    if not found:
        raise StudyError(
            f"time_limit cannot be {time_limit!r}: expected minutes, minutes:seconds, "
            "hours:minutes:seconds, days-hours or days-hours:minutes, such as '12:00:00'."
        )
    part = {key: int(value or 0) for key, value in found.groupdict().items()}
    hours = part["days"] * 24 + part["h"] + part["hours"]
    limit = hours * 3600 + (part["m"] + part["minutes"]) * 60 + part["s"] + part["seconds"]
    whole("signal_seconds", signal_seconds, _SHORTEST_NOTICE)
    if signal_seconds > min(limit - _EARLY - 1, _LONGEST_NOTICE):
        raise StudyError(
            f"signal_seconds cannot be {signal_seconds} with time_limit {time_limit!r}: expected at "
            f"most {_LONGEST_NOTICE}, and {_EARLY} seconds less than the limit, or a worker is told "
            "to stop as soon as it has started."
        )
    return signal_seconds


def _word(what: str, text: str) -> str:
    if not _WORD.fullmatch(text):
        raise StudyError(
            f"{what} cannot be {text!r}: expected letters, digits, '_', '.', '-', '+'."
        )
    return text


def _memory(text: str) -> str:
    if not _MEMORY.fullmatch(text):
        raise StudyError(f"memory cannot be {text!r}: expected such as '512M' or '16G'.")
    return text


def _checked_extra(option: str) -> str:
    """Return one option as ``sbatch`` reads it from a script: it knows the shell's quotes."""
    if not option.startswith("-") or not option.isprintable():
        raise StudyError(
            f"extra cannot hold {option!r}: expected an option of sbatch on one line, such as "
            "'--constraint=a100'."
        )
    return shlex.quote(checked_text("option", option))
