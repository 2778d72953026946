"""Completion, by the shells that are here and by what each shell asks."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest
from click.shell_completion import ShellComplete

import luthier as lt
from luthier.app.command import commands


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with studies, and with ``luthier`` as a program."""
    made = tmp_path_factory.mktemp("shell")
    space = {
        "learning_rate": lt.Float(1e-4, 1e-1, scale="log"),
        "optimizer": lt.Choice("sgd", "adam"),
    }
    for name in ("readme", "robot", "two words"):
        lt.open(name, space, minimize="loss", storage=made / "luthier.db")
    lt.open("other", space, minimize="loss", storage=made / "other.db")
    program = made / "luthier"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m luthier.app.command "$@"\n')
    program.chmod(0o755)
    return made


def run(folder, *command, **environment):
    known = {k: v for k, v in os.environ.items() if k != "LUTHIER_STORAGE"}
    path = {
        "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    done = subprocess.run(
        command, cwd=folder, env={**known, **path, **environment}, capture_output=True, text=True,
        timeout=60,
    )  # fmt: skip
    assert done.stderr == ""
    return done.stdout


@pytest.fixture
def asked(folder, monkeypatch):
    """Return what is offered after a line, for the word that has been begun."""
    monkeypatch.chdir(folder)
    monkeypatch.delenv("LUTHIER_STORAGE", raising=False)
    completing = ShellComplete(commands, {}, "luthier", "_LUTHIER_COMPLETE")
    return lambda line, word="": [
        item.value for item in completing.get_completions(line.split()[1:], word)
    ]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script(folder, shell):
    script = run(folder, "luthier", "completion", shell)
    assert f"_LUTHIER_COMPLETE={shell}_complete" in script
    assert shutil.which(shell) or "CI" not in os.environ
    if shutil.which(shell):
        (folder / f"script.{shell}").write_text(script)
        run(folder, shell, "-n", f"script.{shell}")


def test_bash_completes_studies(folder):
    code = (
        'eval "$(luthier completion bash)"; COMP_WORDS=(luthier show r); COMP_CWORD=2; '
        '_luthier_completion luthier; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    assert run(folder, "bash", "-c", code).split() == ["readme", "robot"]


@pytest.mark.skipif(shutil.which("fish") is None and "CI" not in os.environ, reason="no fish here")
def test_fish_completes_studies(folder):
    code = 'luthier completion fish | source; complete -C "luthier show r"'
    assert run(folder, "fish", "--no-config", "-c", code).split() == ["readme", "robot"]


def test_every_command_that_takes_a_study_completes_it():
    def all_of(group, path=""):
        for name, command in group.commands.items():
            if hasattr(command, "commands"):
                yield from all_of(command, f"{path}{name} ")
            else:
                yield f"{path}{name}", command

    takes = {
        name: [p for p in command.params if p.name == "study" and p.param_type_name == "argument"]
        for name, command in all_of(commands)
    }
    takes = {name: found[0] for name, found in takes.items() if found}
    assert len(takes) > 15
    assert [name for name, p in takes.items() if p._custom_shell_complete is None] == []


def test_studies_of_the_storage_that_is_named(asked):
    assert asked("luthier show --storage other.db") == ["other"]
    assert asked("luthier isolate") == ["readme", "robot", "two words"]
    assert asked("luthier show --storage none.db") == []


def test_hyperparameters(asked):
    assert asked("luthier isolate readme", "le") == ["learning_rate"]
    assert asked("luthier enqueue readme") == ["learning_rate=", "optimizer="]
    assert asked("luthier enqueue readme", "optimizer=a") == ["optimizer=adam"]
    assert asked("luthier isolate nobody") == []
