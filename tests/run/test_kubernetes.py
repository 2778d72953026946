"""The manifest: what kubectl and Kubernetes make of it."""

from __future__ import annotations

import re

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from luthier.errors import StudyError
from luthier.run.kubernetes import manifest

URL = "postgresql://user:hunter2@host/db"


def text(storage=URL, image="registry.org:5000/training:1", command=("train.py",), **options):
    return manifest(storage, image, command, **{"workers": 3, **options})


def job(*arguments, **options):
    return yaml.safe_load(text(*arguments, **options))  # PyYAML reads YAML 1.1, as kubectl does


def container(*arguments, **options):
    [only] = job(*arguments, **options)["spec"]["template"]["spec"]["containers"]
    return only


def test_the_job():
    made = job(namespace="lab", name="a-1", grace_seconds=90)
    assert (made["apiVersion"], made["kind"]) == ("batch/v1", "Job")
    assert made["metadata"] == {"name": "a-1", "namespace": "lab"}
    spec = made["spec"]
    assert spec["completionMode"] == "Indexed"
    assert spec["completions"] == spec["parallelism"] == 3
    assert spec["backoffLimit"] >= 3
    assert spec["template"]["spec"]["terminationGracePeriodSeconds"] == 90
    assert container(grace_seconds=90)["command"][:6] == [
        "luthier", "worker", "--slots", "1", "--grace", "75",
    ]  # fmt: skip
    assert "namespace" not in job()["metadata"]


def test_a_pod_that_was_evicted_or_told_to_stop_is_replaced_and_not_counted():
    spec = job()["spec"]
    evicted, told = spec["podFailurePolicy"]["rules"]
    assert evicted["action"] == told["action"] == "Ignore"
    assert evicted["onPodConditions"] == [{"type": "DisruptionTarget", "status": "True"}]
    assert told["onExitCodes"] == {"containerName": "worker", "operator": "In", "values": [143]}
    assert container()["name"] == "worker"
    assert spec["template"]["spec"]["restartPolicy"] == "Never"  # or the API refuses the policy


def test_resources():
    asked = container(gpus_per_worker=2, cores_per_worker=4, memory="512Mi")["resources"]
    assert asked["limits"] == asked["requests"]
    assert asked["limits"] == {"cpu": "4", "memory": "512Mi", "nvidia.com/gpu": "2"}
    assert "nvidia.com/gpu" not in container()["resources"]["limits"]


def test_a_shared_gpu():
    shared = container(gpus_per_worker=0.5)
    assert shared["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert shared["command"][2:4] == ["--slots", "2"]


def test_the_url_is_in_the_secret_only():
    written = text(secret="my.secret", namespace="lab")
    assert "hunter2" not in written
    assert "postgresql" not in written
    assert container(secret="my.secret")["env"] == [
        {
            "name": "LUTHIER_STORAGE",
            "valueFrom": {"secretKeyRef": {"name": "my.secret", "key": "LUTHIER_STORAGE"}},
        }
    ]
    assert container()["command"][-2:] == ["env", "train.py"]
    comments = [line for line in written.splitlines() if line.startswith("#")]
    assert any("kubectl --namespace=lab create secret generic my.secret" in c for c in comments)
    assert any("kubectl --namespace=lab apply -f -" in c for c in comments)
    assert text("env") == text()


def expanded(argument):
    """Return what a container gets: Kubernetes' own rule, for no variable that it knows."""
    return re.sub(r"\$(\$|\([^)]*\))", lambda m: "$" if m[1] == "$" else "EXPANDED", argument)


PRINTABLE = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


@given(st.lists(PRINTABLE))
@example(
    ["no", "1e-5", "1_000", "0x1F", "12:30", "~", "", " a ", "a: b # c", "$(HOME)", "$$(X)", "$"]
)
@example(["\x85", "\u2028", "\ufeff", "\x07", "\t", "\n", "😀", "\r\n", "\x7f", "\ufffe"])
@example(["x " * 3000])
def test_arguments_arrive_as_they_are(arguments):
    written = text(command=["train.py", *arguments])
    for read in (yaml.safe_load, YAML(typ="safe").load):
        [only] = read(written)["spec"]["template"]["spec"]["containers"]
        got = [expanded(argument) for argument in only["command"]]
        assert got[got.index("train.py") + 1 :] == arguments


@pytest.mark.parametrize("bad", ["", "A", "a_b", "-a", "a-", "a.b", "a b", "a\n", "ä", "x" * 62])
@pytest.mark.parametrize("what", ["name", "namespace", "secret"])
def test_names(what, bad):
    fine = {("secret", "a.b"), ("secret", "x" * 62), ("namespace", "x" * 62)}
    if (what, bad) in fine:
        text(**{what: bad})
        return
    with pytest.raises(StudyError, match=rf"{what} cannot be .*RFC 1123"):
        text(**{what: bad})


def test_the_longest_name_leaves_room_for_the_pods_number():
    text(name="x" * 61, workers=10)
    with pytest.raises(StudyError, match="at most 60"):
        text(name="x" * 61, workers=11)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"workers": 0}, "workers .*0"),
        ({"cores_per_worker": 0}, "cores_per_worker .*0"),
        ({"memory": "-4Gi"}, "memory .*'-4Gi'"),
        ({"memory": "4GB"}, "memory .*'4GB'"),
        ({"grace_seconds": 3}, "grace_seconds .*3"),
        ({"slots": 0}, "slots .*0"),
        ({"gpus_per_worker": 0.7}, "gpus_per_worker .*0.7"),
        ({"image": ""}, "image"),
        ({"image": "a b"}, "image .*'a b'"),
        ({"image": "--x"}, "image"),
        ({"command": []}, "nothing to run"),
        ({"command": ["-x"]}, "script .*'-x'"),
        ({"storage": "luthier.db"}, "storage .*'luthier.db'.*server"),
        ({"storage": "sqlite:////data/luthier.db"}, "do not share a file"),
        ({"storage": "memory://"}, "storage .*'memory://'"),
        ({"storage": ""}, "storage"),
    ],
)
def test_refusals(change, words):
    with pytest.raises(StudyError, match=words):
        text(**change)


def test_a_refusal_says_no_password():
    with pytest.raises(StudyError) as refused:
        text("host=h password=hunter2")
    assert "hunter2" not in str(refused.value)
