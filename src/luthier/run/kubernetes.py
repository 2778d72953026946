"""Kubernetes: the manifest of an Indexed Job whose pods are workers of one study.

Kubernetes only starts and stops ``luthier worker``; no client library is needed to print what
``kubectl apply`` reads.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from io import StringIO
from typing import Any

from luthier.errors import StudyError
from luthier.run.slurm import (
    FROM_ENVIRONMENT,
    gpus_and_slots,
    whole,
    worker_arguments,
    written_storage,
)

STOPPED = 143  # what a worker that was told to stop exits with
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")
_MEMORY = re.compile(r"[1-9][0-9]*(?:[KMGTP]i|[kMGTP])?")
_LONGEST_LABEL, _LONGEST_SUBDOMAIN = 63, 253
_FAILURES_PER_WORKER = 3
_ON_THIS_MACHINE = re.compile(r"sqlite:|file:|(?!.*://)")


def manifest(
    storage: str,
    image: str,
    command: Sequence[str],
    *,
    workers: int,
    gpus_per_worker: float = 0,
    cores_per_worker: int = 1,
    memory: str = "4Gi",
    secret: str = "luthier",
    name: str = "luthier",
    namespace: str | None = None,
    slots: int = 1,
    grace_seconds: int = 120,
) -> str:
    """Return the YAML of an Indexed Job with one pod for each worker.

    A pod that was evicted, preempted or told to stop is replaced and does not count as a failure.

    Args:
        storage: the store's URL, of a server that all pods reach, or ``env``; it is checked but not
            written: pods read it from the secret.
        image: the container's image, with luthier and the training code in it.
        command: the script that calls ``luthier.tune``, and its arguments.
        workers: pods.
        gpus_per_worker: whole GPUs; or 1/n: each pod has one GPU, which n trials share.
        cores_per_worker: CPU cores of a pod, all its slots together.
        memory: of a pod, such as ``4Gi``.
        secret: the name of the secret whose key LUTHIER_STORAGE holds the store's URL.
        name: of the job.
        namespace: of the job and the secret; None is the one kubectl is set to.
        slots: trials at the same time in one worker.
        grace_seconds: how long a pod that is told to stop may take.

    Raises:
        StudyError: a value that cannot be; the message names it and says what was expected.
    """
    gpus, slots = gpus_and_slots(gpus_per_worker, slots)
    whole("workers", workers)
    whole("cores_per_worker", cores_per_worker)
    whole("grace_seconds", grace_seconds, 10)
    _check_storage(storage)
    # Pods are called NAME-INDEX, and that must be a label too.
    _check_name("name", name, _LONGEST_LABEL - len(f"-{workers - 1}"))
    _check_name("secret", secret, _LONGEST_SUBDOMAIN, dots=True)
    if namespace is not None:
        _check_name("namespace", namespace, _LONGEST_LABEL)
    if not re.fullmatch(r"[a-zA-Z0-9][^\s\0]*", image):
        raise StudyError(f"image cannot be {image!r}: expected such as 'registry.org/training:1'.")
    if not _MEMORY.fullmatch(memory):
        raise StudyError(f"memory cannot be {memory!r}: expected such as '512Mi' or '4Gi'.")
    # A sixth of the time is kept for giving the trials back.
    grace = grace_seconds - grace_seconds // 6
    arguments = worker_arguments(FROM_ENVIRONMENT, command, slots=slots, grace=grace)
    resources = {"cpu": str(cores_per_worker), "memory": memory}
    if gpus:
        resources["nvidia.com/gpu"] = str(gpus)
    container = {
        "name": "worker",
        "image": image,
        "command": ["luthier", *(_unexpanded(a) for a in arguments)],
        "env": [
            {
                "name": "LUTHIER_STORAGE",
                "valueFrom": {"secretKeyRef": {"name": secret, "key": "LUTHIER_STORAGE"}},
            }
        ],
        "resources": {"requests": resources, "limits": dict(resources)},
        "securityContext": {"allowPrivilegeEscalation": False},
        "volumeMounts": [{"name": "shared-memory", "mountPath": "/dev/shm"}],
    }
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, **({"namespace": namespace} if namespace else {})},
        "spec": _job_specification(container, workers, grace_seconds),
    }
    return _heading(name, secret, namespace) + _yaml(job)


def _job_specification(container: dict[str, Any], workers: int, grace: int) -> dict[str, Any]:
    return {
        "completionMode": "Indexed",
        "completions": workers,
        "parallelism": workers,
        "backoffLimit": _FAILURES_PER_WORKER * workers,
        # What is no fault of the training is not counted. This needs restartPolicy Never: the job
        # makes a new pod, on any node, where the kubelet would start the container again on its own.
        "podFailurePolicy": {
            "rules": [
                {
                    "action": "Ignore",
                    "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
                },
                {
                    "action": "Ignore",
                    "onExitCodes": {
                        "containerName": "worker",
                        "operator": "In",
                        "values": [STOPPED],
                    },
                },
            ]
        },
        "template": {
            "spec": {
                "restartPolicy": "Never",
                "terminationGracePeriodSeconds": grace,
                "automountServiceAccountToken": False,
                "containers": [container],
                # The 64 MB that a container gets by itself kill PyTorch's loader processes. It is
                # memory of the pod, inside its limit.
                "volumes": [{"name": "shared-memory", "emptyDir": {"medium": "Memory"}}],
            }
        },
    }


def _heading(name: str, secret: str, namespace: str | None) -> str:
    there = f" --namespace={namespace}" if namespace else ""
    return "\n".join(
        [
            "# Workers of one study. The store's URL is in a secret, once made by",
            "#     read -rs LUTHIER_STORAGE",
            '#     printf %s "$LUTHIER_STORAGE" |',
            f"#         kubectl{there} create secret generic {secret} "
            "--from-file=LUTHIER_STORAGE=/dev/stdin",
            "# Start them, look at them, stop them:",
            f"#     luthier cluster kubernetes ... | kubectl{there} apply -f -",
            f"#     kubectl{there} get pods --selector=job-name={name}",
            f"#     kubectl{there} delete job {name}",
            "",
        ]
    )


def _yaml(document: dict[str, Any]) -> str:
    from ruamel.yaml import YAML

    writer = YAML()
    writer.width = 4096
    writer.indent(mapping=2, sequence=4, offset=2)
    text = StringIO()
    writer.dump(_quoted(document), text)
    return text.getvalue()


def _quoted(value: Any) -> Any:
    """Return *value* with its texts in quotes: kubectl reads YAML 1.1, where ``no`` is a boolean."""
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString

    if isinstance(value, dict):
        return {key: _quoted(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_quoted(item) for item in value]
    return DoubleQuotedScalarString(value) if isinstance(value, str) else value


def _unexpanded(argument: str) -> str:
    """Return an argument that Kubernetes leaves alone: it replaces ``$(NAME)``, and ``$$`` by ``$``."""
    return argument.replace("$", "$$")


def _check_storage(storage: str) -> None:
    # Said back as a script would hold it: an error message must not show a password either.
    shown = written_storage(storage)
    if storage != FROM_ENVIRONMENT and _ON_THIS_MACHINE.match(storage):
        raise StudyError(
            f"The storage cannot be {shown!r}: pods do not share a file. Expected a server's URL, "
            "such as postgresql://..., or env."
        )


def _check_name(what: str, text: str, longest: int, *, dots: bool = False) -> None:
    """Check a name by RFC 1123: a label, or with *dots* labels with dots between them."""
    labels = text.split(".") if dots else [text]
    if len(text) > longest or not all(_LABEL.fullmatch(label) for label in labels):
        raise StudyError(
            f"{what} cannot be {text!r}: expected at most {longest} lower-case letters, digits and "
            "'-', the first and the last no '-' (RFC 1123)."
        )
