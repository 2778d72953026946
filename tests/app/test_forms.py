"""The best configuration in the languages of others, read back by their own readers."""

from __future__ import annotations

import argparse
import math
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import example, given
from hypothesis import strategies as st

import luthier as lt
from luthier.app.command import commands
from luthier.app.forms import (
    FORMS,
    SUFFIXES,
    as_arguments,
    as_hydra,
    as_overrides,
    as_python,
    as_toml,
)
from luthier.errors import LuthierError

# TOML and Python's source are Unicode without lone surrogates.
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
OPTIONS = st.booleans() | st.integers(-(2**63) + 1, 2**63 - 1) | TEXTS
FLOATS = st.floats(allow_nan=False)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
CONFIGURATIONS = st.dictionaries(NAMES, OPTIONS | FLOATS | st.lists(OPTIONS | FLOATS).map(tuple))
FOUND = {
    "learning_rate": 1e-05,
    "batch-size": 64,
    "optimizer": "sgd",
    "optimizer.sgd.momentum": 0.9,
    "model.layers": 2,
    "nesterov": True,
    "warm": False,
    "clip": None,
    "kernel": (3, 5),
    "note": 'it\'s a \\ "word"',
}


@given(CONFIGURATIONS)
@example({"a.b": "\x7f\n\\\"'", "rate": 1e-05, "big": math.inf, "": ""} | {"pair": (1, "a", 0.5)})
def test_toml_is_read_back(configuration):
    given = {k: list(v) if isinstance(v, tuple) else v for k, v in configuration.items()}
    assert tomllib.loads(as_toml(configuration)) == given


def test_toml_says_what_it_cannot_say():
    assert as_toml({"clip": None, "n": 3}) == '# "clip" is None, which TOML cannot say\nn = 3\n'
    with pytest.raises(LuthierError, match="TOML cannot say None within a list"):
        as_toml({"sizes": (1, None)})


@given(CONFIGURATIONS)
@example({"big": math.inf, "less": -math.inf, "a-b": None})
def test_python_is_read_back(configuration):
    module = {}
    exec(as_python(configuration), module)
    assert module["configuration"] == configuration


def parser():
    made = argparse.ArgumentParser()
    made.add_argument("--learning_rate", type=float, default=0.1)
    made.add_argument("--batch-size", type=int, default=32)
    made.add_argument("--optimizer", default="adam")
    made.add_argument("--momentum", type=float)
    made.add_argument("--layers", type=int)
    made.add_argument("--nesterov", action="store_true")
    made.add_argument("--warm", action="store_true")
    made.add_argument("--clip", type=float)
    made.add_argument("--kernel", type=lambda text: tuple(map(int, text.split(","))))
    made.add_argument("--note")
    return made


EXPECTED = {
    "learning_rate": 1e-05, "batch_size": 64, "optimizer": "sgd", "momentum": 0.9, "layers": 2,
    "nesterov": True, "warm": False, "clip": None, "kernel": (3, 5), "note": FOUND["note"],
}  # fmt: skip


def test_argparse_by_defaults_and_by_arguments():
    module = {}
    exec(as_python(FOUND), module)
    by_defaults = parser()
    module["set_defaults"](by_defaults)
    assert vars(by_defaults.parse_args([])) == EXPECTED
    assert by_defaults.parse_args(["--layers", "7"]).layers == 7
    assert vars(parser().parse_args(shlex.split(as_arguments(FOUND)))) == EXPECTED


def test_arguments_through_a_shell():
    code = "import sys; print(sys.argv[1:])"
    line = f"{shlex.quote(sys.executable)} -c {shlex.quote(code)} {as_arguments(FOUND)}"
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(shlex.split(as_arguments(FOUND)))
    assert "--learning_rate 1e-05 --batch-size 64 " in as_arguments(FOUND)


def test_the_line_of_the_docs_passes_what_has_spaces_as_it_is(tmp_path):
    docs = (Path(__file__).parents[2] / "docs" / "after.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"^    (luthier export clothes .*python train.py)$", docs, re.MULTILINE)
    kinds = ("cosine with restarts", 'it\'s "so"')
    study = lt.open(
        "clothes", {"rate": lt.Float(0, 1), "schedule": lt.Choice(*kinds)}, minimize="loss",
        storage=tmp_path / "luthier.db",
    )  # fmt: skip
    (tmp_path / "train.py").write_text("import sys; print(sys.argv[1:])\n")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for number, kind in enumerate(kinds):
        study.enqueue({"rate": 0.25, "schedule": kind})
        study.tell(study.ask(), loss=-number)
        done = subprocess.run(
            ["sh", "-c", line], capture_output=True, text=True, cwd=tmp_path,
            env={**os.environ, "PATH": path},
        )  # fmt: skip
        assert done.stdout.strip() == str(["--rate", "0.25", "--schedule", kind]), done.stderr


def test_hydra_names_are_places():
    text = as_hydra(FOUND)
    assert text.startswith("# @package _global_\n")
    assert yaml.safe_load(text) == {
        "learning_rate": 1e-05, "batch-size": 64, "optimizer": "sgd", "momentum": 0.9,
        "model": {"layers": 2}, "nesterov": True, "warm": False, "clip": None, "kernel": [3, 5],
        "note": FOUND["note"],
    }  # fmt: skip
    assert shlex.split(as_overrides(FOUND))[:5] == [
        "learning_rate=1e-05", "batch-size=64", "optimizer=sgd", "momentum=0.9", "model.layers=2",
    ]  # fmt: skip
    with pytest.raises(LuthierError, match=r"place 'momentum' in a Hydra configuration"):
        as_hydra({"optimizer": "sgd", "optimizer.sgd.momentum": 0.9, "momentum": 0.5})
    with pytest.raises(LuthierError, match="Hydra reads no override of 'a b'"):
        as_overrides({"a b": 1})


def test_the_command(tmp_path):
    study = lt.open("s/1", {"rate": lt.Float(0, 1)}, minimize="loss", storage=tmp_path / "s.db")
    study.enqueue({"rate": 0.25})
    study.tell(study.ask(), loss=1.0)

    def run(*arguments):
        return CliRunner().invoke(
            commands, ["export", "s/1", *arguments, "--storage", str(tmp_path / "s.db")]
        )

    assert run("--as", "arguments").output == "--rate 0.25\n"
    assert run("--as", "overrides").output == "rate=0.25\n"
    for suffix, form in SUFFIXES.items():
        assert run("--to", str(tmp_path / f"best{suffix}")).exit_code == 0
        assert (tmp_path / f"best{suffix}").read_text() == FORMS[form]({"rate": 0.25})
    assert run("--as", "hydra", "--to", str(tmp_path / "group.yaml")).exit_code == 0
    assert (tmp_path / "group.yaml").read_text() == "# @package _global_\nrate: 0.25\n"
    assert "Say where to (--to FILE) or how" in run().output
    offered = next(p for p in commands.commands["export"].params if p.name == "form").type.choices
    assert list(offered) == list(FORMS)
