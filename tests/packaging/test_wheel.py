"""What a user gets from the package index: one build, installed into a clean environment.

It needs a package index, as ``make test`` itself does; without one these tests are skipped, but not in CI.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import warnings
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
PYTHONS = ["3.11", "3.12", "3.13", "3.14"]
INSTALL = ["install", "--quiet", "--only-binary", ":all:"]
REQUIRED = "3.11"  # the others are tried where they are


def run(*command, check=True):
    known = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, timeout=500, env=known, cwd=ROOT
    )
    assert not check or done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done


def environment(folder, python=sys.executable):
    """Return the Python of a new virtual environment with pip and nothing else."""
    run(python, "-m", "venv", "--symlinks", folder)
    return folder / "bin" / "python"


def quick_environment(folder, python, *packages):
    """Return the Python of a new virtual environment with *packages*, by uv, or by pip if it cannot."""
    uv, made = Path(sys.executable).with_name("uv"), folder / "bin" / "python"
    steps = [("venv", "--quiet", "--python", python, folder),
             ("pip", *INSTALL, "--python", made, *packages)]  # fmt: skip
    if uv.exists() and all(run(uv, *step, check=False).returncode == 0 for step in steps):
        return made
    shutil.rmtree(folder, ignore_errors=True)
    environment(folder, python)
    run(made, "-m", "pip", *INSTALL, "--no-compile", *packages)
    return made


def interpreter(version):
    """Return a whole Python of *version*, from the path or from pyenv; None where there is none."""
    homes = (Path.home() / ".pyenv" / "versions").glob(f"{version}*/bin/python{version}")
    code = f"import sys, ensurepip, sqlite3, venv; assert sys.version.startswith('{version}.')"
    for found in (sys.executable, shutil.which(f"python{version}"), *sorted(homes)):
        if found and run(found, "-c", code, check=False).returncode == 0:
            return found
    return None


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Return the folder with the wheel and the source archive of one build."""
    folder = tmp_path_factory.mktemp("built")
    try:
        python = quick_environment(folder / "building", sys.executable, "hatchling>=1.27")
    except AssertionError as error:
        if not os.environ.get("CI"):
            pytest.skip(f"no package index: {str(error).strip().splitlines()[-1]}")
        raise
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
    run(python, "-m", "pip", *INSTALL, "--no-compile", wheel)
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


def test_it_installs_small(clean):
    listed = json.loads(run(clean, "-m", "pip", "list", "--format", "json").stdout)
    packages = {p["name"].lower() for p in listed} - {"pip", "setuptools"}
    assert "luthier" in packages
    assert len(packages) <= 16, packages
    site = next((clean.parents[1] / "lib").glob("python*/site-packages"))
    files = [f for f in site.rglob("*") if f.is_file()]
    own = [f for f in files if not re.match(r"(pip|setuptools)\b", f.relative_to(site).parts[0])]
    assert sum(f.stat().st_size for f in own if "__pycache__" not in f.parts) < 200e6


SCRIPT = """
import os, sys
import luthier as lt

def train(trial):
    trial.set_attribute("process", os.getpid())
    for epoch in trial.epochs():
        trial.report(loss=trial["x"] + 1 / (epoch + 1))

if __name__ == "__main__":
    study = lt.open("s", {"x": lt.Float(0, 1)}, minimize="loss", storage="memory")
    for _ in range(12):
        trial = study.ask()
        study.tell(trial, loss=trial["x"])
    assert study.best_value < 0.2
    found = lt.tune(
        train, {"x": lt.Float(0, 1)}, minimize="loss", epochs=2, scheduler=None, max_trials=6,
        workers=2, name="two", storage=sys.argv[1], progress=False,
    )
    written = found.study.refresh().attributes
    processes = {written[trial.number]["process"] for trial in found.trials}
    print(len(found.trials), os.getpid() in processes, sys.version.split()[0])
"""


@pytest.mark.parametrize("version", PYTHONS)
def test_it_runs_on_every_python(version, clean, wheel, tmp_path):
    found = interpreter(version)
    if found is None:
        assert version != REQUIRED
        warnings.warn(f"not tried: there is no Python {version} here", stacklevel=1)
        pytest.skip(f"there is no Python {version} here")
    python = clean
    if version != ".".join(map(str, sys.version_info[:2])):
        python = quick_environment(tmp_path / "venv", found, wheel)
    script, store = tmp_path / "script.py", tmp_path / "studies.db"
    script.write_text(SCRIPT)
    trials, trained_itself, told = run(python, script, store).stdout.split()
    assert (trials, trained_itself) == ("6", "False")
    assert told.startswith(f"{version}.")
    help_ = run(python.parent / "luthier", "--help").stdout
    assert "export" in help_
    assert "doctor" in help_
    told = run(python.parent / "luthier", "doctor", "--storage", store).stdout
    assert "No deep-learning framework is here" in told
    assert "two" in run(python.parent / "luthier", "list", "--storage", store).stdout


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
    assert PROJECT["requires-python"] == f">={REQUIRED}"
    named = [c.rpartition(" ")[2] for c in PROJECT["classifiers"] if ":: Python :: 3." in c]
    assert named == [version for version in PYTHONS if version in named]
    assert {v for v in PYTHONS if interpreter(v)} <= set(named)
