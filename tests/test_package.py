"""The package as a whole: light to import, typed, and everything public is there."""

from __future__ import annotations

import importlib.metadata
import importlib.resources
import re
import subprocess
import sys

import pytest

import luthier

FRAMEWORKS = ("tensorflow", "keras", "torch", "jax", "scipy", "sklearn", "matplotlib", "rich")


def test_import_brings_in_no_framework():
    code = "import sys, luthier; luthier.Space, luthier.Hyperband; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not loaded & set(FRAMEWORKS)
    assert "numpy" not in loaded


@pytest.mark.parametrize("name", luthier.__all__)
def test_everything_public_is_there_and_documented(name):
    assert getattr(luthier, name) is not None
    assert name.startswith("__") or getattr(luthier, name).__doc__


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="no attribute 'Spcae'"):
        _ = luthier.Spcae


def test_the_supervisor_imports_no_framework():
    code = "import sys, luthier.run.supervisor, luthier.app.tune; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & set(FRAMEWORKS)


def test_the_default_searcher_does_without_the_heaviest_part_of_scipy():
    code = """
import sys, luthier as lt
study = lt.open("s", {"x": lt.Float(0, 1), "y": lt.Choice([1, 2])}, minimize="loss", storage="memory")
for _ in range(12):
    trial = study.ask()
    study.tell(trial, loss=trial["x"])
print(*sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "scipy.optimize" in loaded  # the Gaussian process had its turn
    assert "scipy.stats" not in loaded  # one to two seconds


def test_few_dependencies():
    def needs(name, seen):
        for line in importlib.metadata.requires(name) or []:
            requirement, _, marker = line.partition(";")
            if "extra ==" in marker or "python_version" in marker or "platform" in marker:
                continue
            other = re.match(r"[\w.-]+", requirement)[0].lower()
            if other not in seen:
                seen.add(other)
                needs(other, seen)
        return seen

    assert len(needs("luthier", {"luthier"})) <= 16


def test_it_ships_its_types():
    assert (importlib.resources.files("luthier") / "py.typed").is_file()
