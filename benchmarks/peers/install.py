"""Makes the virtual environments of the peers, one each, because their dependencies conflict.

HEBO 0.3.6 pins GPy 1.9.9, which does not compile on Python 3.11 and later, hence uv and its overrides.
PyTorch comes first and for the CPU alone, or the rest would pull its several-GB CUDA build.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

TORCH = "torch==2.13.0"


class Recipe(NamedTuple):
    """What goes into one environment; *overrides* replace what the packages ask for."""

    packages: tuple[str, ...]
    torch: bool = False
    overrides: tuple[str, ...] = ()


RECIPES = {
    "nevergrad": Recipe(("nevergrad==1.0.12",)),
    "hyperopt": Recipe(("hyperopt==0.3.0", "setuptools<81")),
    "smac": Recipe(("smac==2.4.1",)),
    "optuna": Recipe(("optuna==5.0.0", "scipy", "cmaes"), torch=True),
    "optuna-dashboard": Recipe(("optuna-dashboard==0.21.0", "optuna==5.0.0")),
    "ax": Recipe(("ax-platform==1.3.1",), torch=True),
    "hebo": Recipe(("HEBO==0.3.6", "setuptools<81"), torch=True, overrides=("GPy>=1.13",)),
    "dehb": Recipe(("dehb==0.1.2",)),
    "syne": Recipe(("syne-tune[basic]==0.16.0",)),
    "neps": Recipe(("neural-pipeline-search==0.17.0",), torch=True),
    # Without tensorboard it fails on TensorFlow 2.21, which no longer brings it.
    "keras-tuner-tensorflow": Recipe(
        (
            "keras-tuner==1.4.8",
            "keras==3.15.1",
            "tensorflow-cpu==2.21.0",
            "tensorboard",
            "six",
            "jax",
        )
    ),
    # On PyTorch: with TensorFlow it also imports tensorboard. It does not ask for that, nor for six.
    "keras-tuner": Recipe(("keras-tuner==1.4.8", "keras==3.15.1", "six"), torch=True),
}


def python_of(venvs: Path, name: str) -> Path:
    """Return the interpreter of the environment *name*, which need not be there."""
    return venvs / name / "bin" / "python"


def installed(venvs: Path, name: str) -> bool:
    """Return whether the environment was made to its end."""
    return (venvs / name / "done").exists()


def install(venvs: Path, names: list[str] | None = None) -> dict[str, str]:
    """Make the environments that are not there yet; return what went wrong with each of the others."""
    venvs.mkdir(parents=True, exist_ok=True)
    failures = {}
    for name in names or RECIPES:
        if installed(venvs, name):
            continue
        print(f"{name}: installing into {venvs / name}", file=sys.stderr, flush=True)
        try:
            make(venvs, name, RECIPES[name])
        except subprocess.CalledProcessError as error:
            said = error.stderr.decode(errors="replace").strip().splitlines()[-12:]
            failures[name] = "\n".join(said)
            print(f"{name}: failed\n{failures[name]}", file=sys.stderr, flush=True)
        else:
            (venvs / name / "done").touch()
    return failures


def make(venvs: Path, name: str, recipe: Recipe) -> None:
    """Make one environment.

    Raises:
        subprocess.CalledProcessError: uv could not; its ``stderr`` says why.
    """
    uv = find_uv(venvs)
    run([*uv, "venv", "--clear", "--python", sys.executable, str(venvs / name)])
    pip = [*uv, "pip", "install", "--python", str(python_of(venvs, name))]
    if recipe.torch:
        # Wheels kept at hand are taken to hold PyTorch for the CPU; else it comes from its own index.
        here = os.environ.get("PIP_FIND_LINKS") or os.environ.get("UV_FIND_LINKS")
        run([*pip, *([] if here else ["--torch-backend", "cpu"]), TORCH])
    overrides = venvs / f"{name}-overrides.txt"
    overrides.write_text("".join(f"{line}\n" for line in recipe.overrides))
    run([*pip, "--override", str(overrides), *recipe.packages])


def find_uv(venvs: Path) -> list[str]:
    """Return the command that runs uv, which pip brings into *venvs* when the machine has none."""
    if found := shutil.which("uv"):
        return [found]
    if importlib.util.find_spec("uv"):
        return [sys.executable, "-m", "uv"]
    target = venvs / "uv"
    if not (target / "bin" / "uv").exists():
        run([sys.executable, "-m", "pip", "install", "--quiet", "--target", str(target), "uv"])
    return [str(target / "bin" / "uv")]


def run(command: list[str]) -> None:
    """Run it, with pip's own wheel folders made known to uv.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    environment = dict(os.environ)
    if links := environment.get("PIP_FIND_LINKS"):
        environment.setdefault("UV_FIND_LINKS", links)
    subprocess.run(command, check=True, capture_output=True, env=environment)
