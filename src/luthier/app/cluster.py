"""``luthier cluster``: prints what a cluster's scheduler needs to start workers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

_SCRIPT_KEEPS_ITS_OPTIONS = {"allow_interspersed_args": False}


def _shared(command: Callable[..., None]) -> Callable[..., None]:
    """Add the arguments and options that every kind of cluster has."""
    for add in (
        click.option("--name", default="luthier", show_default=True, help="The job's name."),
        click.option(
            "--slots",
            type=int,
            default=1,
            show_default=True,
            help="Trials at the same time in one worker.",
        ),
        click.option(
            "--cores-per-worker",
            type=int,
            default=1,
            show_default=True,
            help="CPU cores of a worker, all its slots together.",
        ),
        click.option(
            "--gpus-per-worker",
            type=float,
            default=0,
            show_default=True,
            help="Whole GPUs; 0.5 is one GPU on which a worker trains two trials.",
        ),
        click.option("--workers", type=int, required=True, help="How many workers to start."),
        click.argument(
            "command", nargs=-1, type=click.UNPROCESSED, metavar="[--] SCRIPT [ARGUMENTS]..."
        ),
        click.argument("storage"),
    ):
        command = add(command)
    return command


@click.group("cluster")
def cluster() -> None:
    """Print what starts workers on a cluster.

    \b
    luthier cluster slurm --workers 8 --time-limit 12:00:00 \\
        env train.py --data /data > workers.sh
    luthier cluster kubernetes --workers 8 --image IMAGE \\
        env train.py --data /data | kubectl apply -f -

    The script is the one that calls luthier.tune. The store's URL may be the word env: workers then
    read it from LUTHIER_STORAGE, which keeps a password out of files and of the list of processes.
    """


@cluster.command("slurm", context_settings=_SCRIPT_KEEPS_ITS_OPTIONS)
@_shared
@click.option(
    "--time-limit",
    required=True,
    metavar="LIMIT",
    help="Of one run of a worker, as sbatch reads it: 12:00:00, 2-0.",
)
@click.option("--memory", metavar="SIZE", help="Memory of a worker, such as 16G.")
@click.option("--partition", help="Where to run.")
@click.option("--account", help="Who pays.")
@click.option(
    "--signal-seconds",
    type=int,
    default=120,
    show_default=True,
    help="How long before the limit a worker is told to stop.",
)
@click.option(
    "--extra",
    multiple=True,
    metavar="OPTION",
    help="Another option of sbatch, such as --extra=--constraint=a100; may be repeated.",
)
@click.option(
    "--python", metavar="FILE", help="The interpreter on the cluster; by default this one."
)
def slurm(storage: str, command: tuple[str, ...], python: str | None, **options: Any) -> None:
    """Print a script for sbatch, which runs SCRIPT in workers that share the store STORAGE.

    It starts the workers as a job array, tells them to stop some time before the limit, and puts them
    back into the queue until the study has nothing left to do.
    """
    from luthier.run.slurm import sbatch_script

    if python is not None:
        options["python"] = python
    script = sbatch_script(storage, _without_dashes(command), **options)
    click.echo(script.encode(), nl=False)  # UTF-8 whatever the locale


@cluster.command("kubernetes", context_settings=_SCRIPT_KEEPS_ITS_OPTIONS)
@_shared
@click.option("--image", required=True, help="The image, with luthier and the training code in it.")
@click.option(
    "--memory", default="4Gi", show_default=True, metavar="SIZE", help="Memory of a worker."
)
@click.option(
    "--secret",
    default="luthier",
    show_default=True,
    help="The secret whose key LUTHIER_STORAGE holds the store's URL.",
)
@click.option("--namespace", help="Of the job and the secret.")
@click.option(
    "--grace-seconds",
    type=int,
    default=120,
    show_default=True,
    help="How long a worker that is told to stop may take.",
)
def kubernetes(storage: str, image: str, command: tuple[str, ...], **options: Any) -> None:
    """Print a manifest for kubectl, which runs SCRIPT in workers that share the store STORAGE.

    It is an Indexed Job with one pod for each worker; a pod that was evicted or preempted is replaced.
    """
    from luthier.run.kubernetes import manifest

    click.echo(manifest(storage, image, _without_dashes(command), **options).encode(), nl=False)


def _without_dashes(command: tuple[str, ...]) -> list[str]:
    """Return the script and its arguments, without the ``--`` that may stand before them."""
    return list(command[1:] if command[:1] == ("--",) else command)
