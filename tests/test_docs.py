"""The documentation is whole: its pages are in the navigation, its gallery and its reference complete."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import pytest
import yaml

import luthier
from luthier.app.study_file import read_study_file

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


def pages(entry):
    if isinstance(entry, str):
        return [entry]
    values = entry.values() if isinstance(entry, dict) else entry
    return [page for value in values for page in pages(value)]


def test_every_page_is_in_the_navigation_once():
    listed = pages(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])
    there = [str(p.relative_to(DOCS)) for p in DOCS.rglob("*.md")]
    assert sorted(listed) == sorted(there)


def test_every_link_leads_somewhere():
    broken = []
    for page in [ROOT / "README.md", *DOCS.rglob("*.md")]:
        prose = re.sub(r"```.*?```", "", page.read_text(), flags=re.S)
        for target in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", prose):
            if not (page.parent / target).exists():
                broken.append(f"{page.name}: {target}")
    assert broken == []


def test_the_gallery_is_complete():
    rows = re.findall(r"^\| `(\S+\.py)` \| (.+) \|$", (DOCS / "gallery.md").read_text(), re.M)
    examples = ROOT / "examples"
    first_lines = {
        str(p.relative_to(examples)): ast.get_docstring(ast.parse(p.read_text())).splitlines()[0]
        for p in examples.rglob("*.py")
    }
    assert dict(rows) == first_lines
    assert len(rows) == len(first_lines)


def test_every_public_name_is_in_the_reference():
    text = (DOCS / "reference.md").read_text()
    missing = [
        name
        for name in luthier.__all__
        if name != "__version__" and getattr(luthier, name).__module__ != "luthier.errors"
        if f"::: {getattr(luthier, name).__module__}.{getattr(luthier, name).__name__}\n"
        not in text
    ]
    assert missing == []
    assert "::: luthier.errors\n" in text


def members(name):
    thing = getattr(luthier, name)
    yield name, thing
    if inspect.isclass(thing):
        for key, member in inspect.getmembers_static(thing):
            function = getattr(member, "__func__", getattr(member, "fget", member))
            if key.startswith("_") or not inspect.isfunction(function):
                continue
            if function.__module__.startswith("luthier"):
                yield f"{name}.{key}", function


@pytest.mark.parametrize("name", [n for n in luthier.__all__ if n != "__version__"])
def test_every_public_name_and_method_has_a_docstring(name):
    assert [known for known, thing in members(name) if not inspect.getdoc(thing)] == []


def test_the_study_file_for_users_of_wandb_is_one(tmp_path):
    found = re.findall(r"```yaml\n(.*?)```", (DOCS / "migration.md").read_text(), re.S)
    assert len(found) == 2
    for number, text in enumerate(found):
        path = tmp_path / f"{number}.yaml"
        path.write_text(text)
        assert read_study_file(path).study in ("resnet", "from-wandb")
