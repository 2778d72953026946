"""What a user gets from the package index: one build, installed into a clean environment.

It needs a package index, as ``make test`` itself does; without one these tests are skipped, but not in CI.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.packaging
ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = sorted(PROJECT["optional-dependencies"])
# Looked up without what they need themselves: that is gigabytes, or minutes of CI.
LARGE = {"keras", "tensorflow", "torch", "jax", "lightning", "transformers", "xgboost", "wandb"}
LARGE |= {"ray", "dask", "gcs", "s3"}


def run(*command, check=True):
    known = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, timeout=500, env=known, cwd=ROOT
    )
    assert not check or done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done


def environment(folder):
    """Return the Python of a new virtual environment with pip and nothing else."""
    venv.create(folder, with_pip=True, symlinks=True)
    return folder / "bin" / "python"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Return the folder with the wheel and the source archive of one build."""
    folder = tmp_path_factory.mktemp("built")
    python = environment(folder / "building")
    done = run(python, "-m", "pip", "install", "--quiet", "hatchling>=1.27", check=False)
    if done.returncode != 0 and not os.environ.get("CI"):
        pytest.skip(f"no package index: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    run(python, "-m", "hatchling", "build", "--directory", folder / "dist")
    return folder / "dist"


@pytest.fixture(scope="module")
def wheel(built):
    [found] = built.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def clean(wheel, tmp_path_factory):
    """Return the Python of an environment in which the wheel is installed as a user would."""
    python = environment(tmp_path_factory.mktemp("clean") / "venv")
    run(python, "-m", "pip", "install", "--quiet", "--only-binary", ":all:", "--no-compile", wheel)
    return python


def test_what_the_wheel_holds(wheel):
    assert wheel.name.endswith("-py3-none-any.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "luthier/py.typed" in names
    assert any(name.startswith("luthier/app/dashboard/") and name.endswith(".js") for name in names)
    assert any("LICENSE" in name for name in names)
    tracked = run("git", "ls-files", "src/luthier").stdout.split("\n")
    assert {f"src/{name}" for name in names if name.startswith("luthier/")} == set(
        filter(None, tracked)
    )


def test_what_the_source_archive_holds(built):
    [archive] = built.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        names = {name.partition("/")[2] for name in opened.getnames()}
    assert {"src/luthier/py.typed", "pyproject.toml", "README.md", "LICENSE", "PKG-INFO"} <= names
    assert "page/build.mjs" in names
    assert not any("node_modules" in name or name.endswith(".db") for name in names)


def test_it_installs_small_and_runs(clean, tmp_path):
    listed = json.loads(run(clean, "-m", "pip", "list", "--format", "json").stdout)
    packages = {p["name"].lower() for p in listed} - {"pip", "setuptools"}
    assert "luthier" in packages
    assert len(packages) <= 16, packages
    site = next((clean.parents[1] / "lib").glob("python*/site-packages"))
    files = [f for f in site.rglob("*") if f.is_file()]
    own = [f for f in files if not re.match(r"(pip|setuptools)\b", f.relative_to(site).parts[0])]
    assert sum(f.stat().st_size for f in own if "__pycache__" not in f.parts) < 200e6
    help_ = run(clean.parent / "luthier", "--help").stdout
    assert "export" in help_
    assert "doctor" in help_
    code = (
        "import luthier as lt\n"
        "study = lt.open('s', {'x': lt.Float(0, 1)}, minimize='loss', storage='memory')\n"
        "for _ in range(12):\n    trial = study.ask()\n    study.tell(trial, loss=trial['x'])\n"
        "print(study.best_value < 0.2)"
    )
    assert run(clean, "-c", code).stdout == "True\n"
    told = run(clean.parent / "luthier", "doctor", "--storage", tmp_path / "l.db").stdout
    assert "No deep-learning framework is here" in told


@pytest.mark.parametrize("extra", EXTRAS)
def test_each_extra_resolves_on_its_own(extra, clean, wheel, tmp_path):
    report = tmp_path / "report.json"
    run(
        clean, "-m", "pip", "install", "--quiet", "--dry-run", "--report", report,
        *(["--no-deps"] if extra in LARGE else []),
        *([f"{wheel}[{extra}]"] if extra not in LARGE else PROJECT["optional-dependencies"][extra]),
    )  # fmt: skip
    planned = json.loads(report.read_text())["install"]
    assert planned
    assert not {p["metadata"]["name"].lower() for p in planned} & {"torch", "tensorflow"} - {extra}


def test_keras_brings_no_backend(clean, wheel, tmp_path):
    report = tmp_path / "report.json"
    run(
        clean, "-m", "pip", "install", "--quiet", "--dry-run", "--report", report, f"{wheel}[keras]"
    )
    names = {p["metadata"]["name"].lower() for p in json.loads(report.read_text())["install"]}
    assert "keras" in names
    assert not names & {"torch", "tensorflow", "tensorflow-cpu", "jax"}


def test_it_says_which_pythons_it_takes():
    low, _, high = "3.11", "", f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert PROJECT["requires-python"] == f">={low}"
    assert f"Programming Language :: Python :: {high}" in PROJECT["classifiers"]
