"""``luthier cluster``: prints, and refuses in one line."""

from __future__ import annotations

import subprocess
import sys

import pytest
import yaml
from click.testing import CliRunner

from luthier.app.cluster import cluster
from luthier.errors import StudyError

SLURM = ["slurm", "--workers", "2", "--time-limit", "1:00:00"]
KUBERNETES = ["kubernetes", "--workers", "2", "--image", "lab/training:1"]


def printed(*arguments):
    result = CliRunner().invoke(cluster, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.parametrize("between", [[], ["--"]])
def test_slurm(between, tmp_path):
    text = printed(
        *SLURM, "--gpus-per-worker", "0.5", "--cores-per-worker", "4", "--memory", "16G", "--name", "mine",
        "--extra=--constraint=a100", "--extra", "--mail-type=END", "--python", "/opt/my python",
        "study.db", *between, "train.py", "--name", "theirs", "--", "it's",
    )  # fmt: skip
    lines = text.splitlines()
    assert lines[0] == "#!/bin/bash"
    for option in ("array=0-1", "time=1:00:00", "gres=gpu:1", "cpus-per-task=4", "mem=16G",
                   "job-name=mine", "constraint=a100", "mail-type=END"):  # fmt: skip
        assert f"#SBATCH --{option}" in lines
    command = "--slots 2 --grace 100 study.db train.py --name theirs -- 'it'\"'\"'s' &"
    assert f"'/opt/my python' -m luthier.app.command worker {command}" in lines
    file = tmp_path / "workers.sh"
    file.write_text(text)
    subprocess.run(["bash", "-n", file], check=True)


def test_slurm_starts_this_python_by_default():
    assert f"{sys.executable} -m luthier" in printed(*SLURM, "study.db", "train.py")


@pytest.mark.parametrize("between", [[], ["--"]])
def test_kubernetes(between):
    text = printed(
        *KUBERNETES, "--gpus-per-worker", "1", "--memory", "8Gi", "--secret", "store", "--namespace", "lab",
        "--grace-seconds", "60", "env", *between, "train.py", "--image", "ä",
    )  # fmt: skip
    job = yaml.safe_load(text)
    assert job["metadata"] == {"name": "luthier", "namespace": "lab"}
    [container] = job["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "lab/training:1"
    assert container["resources"]["limits"]["memory"] == "8Gi"
    assert container["command"][-4:] == ["env", "train.py", "--image", "ä"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([*SLURM, "--cores-per-worker", "0", "study.db", "train.py"], "cores_per_worker .*0"),
        ([*SLURM, "--time-limit", "soon", "study.db", "train.py"], "time_limit .*'soon'"),
        (
            [*SLURM, "study.db", "--gpus-per-worker", "1", "train.py"],
            "script cannot be '--gpus-per-worker'",
        ),
        ([*SLURM, "study.db"], "nothing to run"),
        ([*SLURM, "study.db", "--"], "nothing to run"),
        ([*KUBERNETES, "luthier.db", "train.py"], "do not share a file"),
        ([*KUBERNETES, "--name", "A", "env", "train.py"], "RFC 1123"),
    ],
)
def test_a_wrong_value_is_a_study_error_of_one_line(arguments, words):
    """And ``luthier`` itself turns that into one line and exit code 2."""
    with pytest.raises(StudyError, match=words) as refused:
        CliRunner().invoke(cluster, arguments, catch_exceptions=False)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["slurm", "--workers", "2", "study.db", "train.py"], "--time-limit"),
        (["slurm", "--time-limit", "1-0", "study.db", "train.py"], "--workers"),
        ([*SLURM, "--workers", "two", "study.db", "train.py"], "'two'"),
        ([*SLURM, "--colour", "study.db", "train.py"], "--colour"),
        ([*KUBERNETES], "STORAGE"),
        (["kubernetes", "--workers", "2", "env", "train.py"], "--image"),
    ],
)
def test_a_wrong_call(arguments, words):
    result = CliRunner().invoke(cluster, arguments)
    assert result.exit_code == 2
    assert words in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize("kind", ["slurm", "kubernetes"])
def test_help(kind):
    assert kind in printed("--help")
    text = printed(kind, "--help")
    assert "STORAGE" in text
    assert "--workers" in text
