"""``luthier tune`` for scripts that know nothing of it, and study files."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import click
import jsonschema
import pytest
from click.testing import CliRunner

import luthier as lt
from luthier.app.command import commands
from luthier.app.scripts import _named_after
from luthier.app.study_file import read_study_file, schema, study_from
from luthier.errors import LuthierError, LuthierWarning

TRAIN = """
import argparse, json
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
parser.add_argument("--units", type=int)
parser.add_argument("--epochs", type=int, default=2)
given = parser.parse_args()
for epoch in range(given.epochs):
    print(json.dumps({"val_loss": given.lr + given.units / (epoch + 1)}))
"""
SPACE = "lr: {log: [1.0e-5, 0.1]}\nunits: {int: [32, 512], step: 32}\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").write_text(TRAIN)
    (tmp_path / "space.yaml").write_text(SPACE)
    return tmp_path


def run(*words):
    return CliRunner(catch_exceptions=False).invoke(commands, ["tune", *words])


def test_a_script_and_a_space_file(folder):
    words = ["--space", "space.yaml", "--minimize", "val_loss", "--max-trials", "2"]
    assert run("train.py", "--epochs", "3", *words).exit_code == 0  # the issue's own form
    study = lt.open("train")
    assert [list(trial.steps) for trial in study.trials] == [[1, 2, 3]] * 2
    assert study.space == lt.Space(
        lr=lt.Float(1e-5, 0.1, scale="log"), units=lt.Int(32, 512, step=32)
    )
    assert run(*words[:5], "3", "train.py", "--epochs", "3").exit_code == 0  # and goes on
    assert len(study.trials) == 3


def test_ranges_on_the_command_line_in_a_process_of_its_own(folder):
    words = [sys.executable, "train.py", "--lr", "{log:1e-5:1e-1}", "--units", "{32,64}"]
    ours = ["tune", "--minimize", "val_loss", "--max-trials", "3", "--study", "mine", "--"]
    done = subprocess.run(
        [sys.executable, "-m", "luthier.app.command", *ours, *words], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "best val_loss" in done.stderr
    study = lt.open("mine")
    assert len(study.trials) == 3
    assert study.space["units"] == lt.Choice(32, 64)


def test_a_study_file(folder):
    (folder / "study.yaml").write_text(
        "study: filed\nrun: python train.py --lr {lr} --units {units} --epochs {trial.epochs}\n"
        "space: space.yaml\nconstraints: ['units * lr <= 10']\nminimize: val_loss\nepochs: 4\n"
        "scheduler: null\nsearcher: random\nmax_trials: 1\n"
    )
    assert run("study.yaml", "--max-trials", "2").exit_code == 0
    study = lt.open("filed")
    assert [trial.step for trial in study.trials] == [4, 4]
    assert study.history.header.searcher["name"] == "random"
    assert [c.text for c in study.space.constraints] == ["units * lr <= 10"]


def test_widening_is_allowed_on_the_command_line_and_in_a_file(folder):
    words = ["--minimize", "val_loss", "--max-trials", "1", "--study", "mine"]
    assert run("--widen", *words, "train.py", "--space", "space.yaml").exit_code == 0
    assert lt.open("mine").history.widening is True
    assert run("--no-widen", *words, "train.py", "--space", "space.yaml").exit_code == 0
    assert lt.open("mine").history.widening is False
    assert run(*words, "train.py", "--space", "space.yaml").exit_code == 0
    assert lt.open("mine").history.widening is False  # what was said stands
    (folder / "study.yaml").write_text(
        "run: python train.py --lr {lr} --units {units}\nspace: space.yaml\nminimize: val_loss\n"
        "max_trials: 1\nwiden: true\n"
    )
    assert run("study.yaml").exit_code == 0
    assert lt.open("study").history.widening is True
    (folder / "own.py").write_text(
        "import luthier\n"
        "luthier.tune(lambda t: t['x'], {'x': luthier.Float(0, 1)}, minimize='y', max_trials=1)\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "luthier.app.command", "tune", "--widen", "own.py"], check=False
    )
    assert done.returncode == 0
    assert lt.open("own").history.widening is True


def test_a_study_file_with_a_function_in_toml(folder, monkeypatch):
    (folder / "my_training.py").write_text(
        "def main(trial):\n    trial.report(loss=trial['lr'])\n    return None\n"
    )
    (folder / "study.toml").write_text(
        'function = "my_training:main"\nminimize = "loss"\nmax_trials = 2\n'
        "[space.lr]\nlog = [1e-5, 0.1]\n"
    )
    assert run("study.toml").exit_code == 0
    assert len(lt.open("study").trials) == 2


def test_the_present_form_is_as_it_was(folder):
    (folder / "own.py").write_text(
        "import sys, luthier\n"
        "luthier.tune(lambda t: t['x'], {'x': luthier.Float(0, 1)}, minimize='y', max_trials=2)\n"
        "print(sys.argv[1:])\n"
    )
    done = run("own.py", "--space-ship", "--seed", "3")
    assert done.exit_code == 0
    assert "['--space-ship', '--seed', '3']" in done.output
    with pytest.raises(lt.StudyError, match="--max-trials is for scripts that do not call"):
        run("--max-trials", "3", "own.py")


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["studdy.yaml"], "Did you mean 'study.yaml'"),
        (["study.yaml", "--metric", "x"], "expected NAME=REGEX"),
        (["study.yaml", "--metric", "loss=loss"], "no group for the number"),
        (["--space", "spice.yaml", "train.py"], "Did you mean 'space.yaml'"),
        (["--space", "space.yaml", "tain.py"], "Did you mean 'train.py'"),
        (["--space", "space.yaml", "train.py"], "A study is judged by a metric"),
        (["study.yaml", "--workers", "2", "--metrics-file", "m.csv"], "would write there"),
    ],
)
def test_what_is_wrong_is_named_with_its_fix(folder, words, error):
    (folder / "study.yaml").write_text(
        "run: python train.py\nspace: space.yaml\nminimize: loss\nmax_trials: 1\n"
    )
    with pytest.raises(LuthierError, match=error):
        run(*words)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        ({"max_trails": 3}, "study.yaml: unknown key 'max_trails'. Did you mean 'max_trials'"),
        ({"max_trials": "three"}, r"max_trials: 'three': expected `int"),
        ({"max_trials": 0}, r"max_trials: 0: expected `int` >= 1"),
        ({"run": {"a": 1}}, r"run: \{'a': 1\}: expected"),
    ],
)
def test_a_wrong_study_file(data, error):
    with pytest.raises(lt.StudyError, match=error):
        study_from(data, "study.yaml")


FULL = {
    "study": "resnet",
    "run": "python train.py",
    "space": {
        "lr": {"log": [1e-5, 0.1]},
        "momentum": {"one_minus_log": [0.5, 0.99], "when": {"opt": "sgd"}, "prior": 0.9},
        "opt": ["sgd", "adam"],
        "units": "int:1:8",
        "bn": {"bool": None, "default": True},
    },
    "maximize": ["accuracy", "speed"],
    "scheduler": None,
    "max_time": "2h",
}


def test_the_schema_takes_what_we_take_and_refuses_what_we_refuse():
    jsonschema.Draft202012Validator.check_schema(schema())
    validator = jsonschema.Draft202012Validator(schema())
    validator.validate(FULL)
    assert study_from(FULL, "f").max_time == "2h"
    for wrong in (
        {"max_trails": 3},
        {"max_trials": 0},
        {"space": {"lr": {"lgo": [1, 2]}}},
        {"space": {"lr": {"log": [1, 2], "int": [1, 2]}}},
        {"run": 3},
    ):
        assert not validator.is_valid({**FULL, **wrong}), wrong


def test_the_schema_is_printed():
    printed = CliRunner().invoke(commands, ["schema"])
    assert json.loads(printed.output) == json.loads(json.dumps(schema()))


def test_yaml_reads_numbers_as_numbers(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text("space: {lr: {log: [1e-5, 1e-1]}}\nminimize: loss\n")
    assert read_study_file(path).space == {"lr": {"log": [1e-5, 0.1]}}


def test_an_unknown_option_names_the_nearest(folder):
    (folder / "study.yaml").write_text("minimize: loss\n")
    with pytest.raises(click.UsageError, match="--max-trails"):
        CliRunner().invoke(
            commands, ["tune", "study.yaml", "--max-trails", "3"],
            standalone_mode=False, catch_exceptions=False,
        )  # fmt: skip


def test_the_scheduler_is_auto_or_what_the_file_says(folder):
    words = ["--minimize", "val_loss", "--max-trials", "1", "--epochs", "9"]
    for name, more in (
        ("auto", []),
        ("none", ["--scheduler", "none"]),
        ("median", ["--scheduler", "median"]),
    ):
        assert (
            run(*words, *more, "--study", name, "train.py", "--space", "space.yaml").exit_code == 0
        )
        assert lt.open(name).history.header.scheduler["name"] == name
    (folder / "study.yaml").write_text(
        "run: python train.py --lr {lr} --units {units} --epochs {trial.epochs}\n"
        "space: space.yaml\nminimize: val_loss\nepochs: 9\nscheduler: patience\nmax_trials: 1\n"
    )
    assert run("study.yaml").exit_code == 0
    assert lt.open("study").history.header.scheduler["name"] == "patience"


def test_what_is_searched_and_nowhere_in_the_command_is_told(folder):
    words = ["--minimize", "val_loss", "--max-trials", "1", "--space", "space.yaml", "--"]
    fixed = "lr: {log: [1.0e-5, 0.1]}\nunits: {int: [32, 512], step: 32}\nmomentum: 0.9\n"
    (folder / "space.yaml").write_text(fixed)
    with pytest.warns(
        lt.LuthierWarning, match=r"^units: searched, but nowhere .*--units \{units\}"
    ):
        run(*words, sys.executable, "train.py", "--lr", "{lr}", "--units", "32")


def test_a_plan_of_a_study_as_it_is(folder):
    lt.open("s", {"x": lt.Float(0, 1)}, minimize="loss", epochs=4, scheduler=None, max_trials=3)
    done = CliRunner(catch_exceptions=False).invoke(commands, ["plan", "s"])
    assert "3 trials x 4 epochs = 12 epochs" in done.output
    lt.open("grid", {"x": lt.Choice(1, 2)}, minimize="loss", searcher="grid").steer.race(2, 3)
    done = CliRunner(catch_exceptions=False).invoke(commands, ["plan", "grid"])
    assert "2 trials" in done.output
    assert "then a race of the finalists" in done.output
    done = CliRunner().invoke(commands, ["plan", "s", "--epoch-time", "rubbish"])
    assert done.exit_code == 2
    assert "'--epoch-time': A time must be seconds above 0 or a text" in done.output
    assert "rubbish" in done.output


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--order", "foo", "--staged", "train.py"], "--order must be one of 'one by one', 'ng'"),
        (["--order", "one-by-on", "train.py"], "Did you mean 'one by one'?"),
        (["--order", "ng", "own.py"], "give --staged with it"),
        (["--order", "ng", "train.py", "--lr", "{log:1e-5:1e-1}"], "give --staged with it"),
        (["--order", "ng", "study.yaml"], "give --staged with it"),
        (
            ["--metric", "val_loss=(", "train.py", "--lr", "{log:1e-5:1e-1}"],
            "no regular expression",
        ),
        (["--metric", "val_loss=x", "train.py", "--lr", "{log:1e-5:1e-1}"], "has no group"),
        (["--gpus-per-trial", "1.5", "train.py", "--lr", "{log:1e-5:1e-1}"], "gpus_per_trial must"),
        (["--gpus-per-trial", "64", "train.py", "--lr", "{log:1e-5:1e-1}"], "need 64 GPUs"),
    ],
)
def test_what_would_be_ignored_or_cannot_be_is_refused_before_there_is_a_study(
    folder, words, error
):
    (folder / "own.py").write_text("raise SystemExit(9)\n")
    (folder / "study.yaml").write_text(
        "run: python train.py --lr {lr}\nspace: {lr: {log: [1.0e-5, 0.1]}}\n"
        "minimize: val_loss\nmax_trials: 1\n"
    )
    given = ["--minimize", "val_loss", "--max-trials", "1"] if "{log:1e-5:1e-1}" in words else []
    with pytest.raises(LuthierError, match=re.escape(error)):
        run(*given, *words)
    assert not (folder / "luthier.db").exists() or lt.storage.open_store("luthier.db").names() == []


def test_the_order_of_stages_holds_for_scripts_and_study_files_too(folder, monkeypatch):
    monkeypatch.setenv("LUTHIER_STAGED", "")
    words = ["--space", "space.yaml", "--minimize", "val_loss", "--max-trials", "1"]
    assert run("--staged", "--order", "ng", *words, "train.py").exit_code == 0
    assert lt.open("train").history.header.searcher["order"] == "ng"
    (folder / "filed.yaml").write_text(
        "run: python train.py --lr {lr} --units {units}\nspace: space.yaml\nminimize: val_loss\n"
        "staged: true\nmax_trials: 1\n"
    )
    monkeypatch.setenv("LUTHIER_STAGED", "")
    assert run("--order", "NG", "filed.yaml").exit_code == 0
    assert lt.open("filed").history.header.searcher["order"] == "ng"


def test_constraints_are_over_the_ranges_in_the_command_too(folder):
    run_line = "python train.py --lr {log:1e-5:1e-1} --units {int:32:512:32}"
    (folder / "all.yaml").write_text(
        f"run: '{run_line}'\nminimize: val_loss\nmax_trials: 1\nconstraints: ['units <= 64']\n"
    )
    assert run("all.yaml").exit_code == 0
    assert [c.text for c in lt.open("all").space.constraints] == ["units <= 64"]
    (folder / "ranges.yaml").write_text(
        "space: {lr: {log: [1.0e-5, 0.1]}}\nconstraints: ['lr <= 0.01']\n"
    )
    (folder / "some.yaml").write_text(
        "run: 'python train.py --lr {lr} --units {int:32:512:32}'\nspace: ranges.yaml\n"
        "minimize: val_loss\nmax_trials: 1\nconstraints: ['units * lr <= 1']\n"
    )
    assert run("some.yaml").exit_code == 0
    texts = [c.text for c in lt.open("some").space.constraints]
    assert texts == ["lr <= 0.01", "units * lr <= 1"]


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ("environment: {A: 1}", "environment: {'A': 1} is for scripts"),
        ("grace: 3", "grace: 3.0 is for scripts"),
        ("metrics: {loss: '(.)'}", "metrics: {'loss': '(.)'} is for scripts"),
        ("metrics_file: m.csv", "metrics_file: 'm.csv' is for scripts"),
        ("tensorboard: runs", "tensorboard: 'runs' is for scripts"),
        ("constraints: ['a <= 1']", "constraints: ['a <= 1'] are over a space"),
    ],
)
def test_what_a_function_would_ignore_is_refused(folder, more, error):
    (folder / "filed.yaml").write_text(
        f"function: nowhere:main\nminimize: loss\nmax_trials: 1\n{more}\n"
    )
    with pytest.raises(lt.StudyError, match=re.escape(error)):
        run("filed.yaml")


def test_a_module_names_its_study(folder):
    (folder / "a").mkdir()
    (folder / "a" / "train.py").write_text(TRAIN)
    words = ["--lr", "{log:1e-5:1e-1}", "--units", "{32,64}"]
    ours = ["--minimize", "val_loss", "--max-trials", "1", "--"]
    assert run(*ours, sys.executable, "-m", "a.train", *words).exit_code == 0
    assert len(lt.open("train").trials) == 1


def test_a_module_that_launches_a_script_does_not_name_the_study():
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", __file__]
    assert _named_after(launch) == Path(__file__).stem
    assert _named_after([sys.executable, "-m", "a.train", "--lr", "1"]) == "train"


def test_the_same_script_with_other_fixed_words_is_told_of(folder):
    words = ["--space", "space.yaml", "--minimize", "val_loss", "--max-trials", "1"]
    assert run("train.py", "--epochs", "3", *words).exit_code == 0
    assert run("train.py", "--epochs", "3", *words).exit_code == 0
    with pytest.warns(
        LuthierWarning, match=r"made with the command 'train\.py --epochs 3'.*--epochs 4'"
    ):
        run("train.py", "--epochs", "4", *words)
    study = lt.open("train")
    assert study.history.attributes[-1]["command"][1:] == ["train.py", "--epochs", "3"]


def test_the_command_that_is_kept_keeps_no_study_that_came_to_nothing(folder):
    (folder / "train.py").write_text("raise SystemExit(3)")
    words = ["--space", "space.yaml", "--max-trials", "1"]
    with pytest.raises(LuthierError, match="exit code 3"):
        run("train.py", *words, "--minimize", "val_loss")
    (folder / "train.py").write_text(TRAIN)
    with pytest.warns(LuthierWarning, match="it begins anew"):
        assert run("train.py", *words, "--minimize", "val_loss", "--seed", "1").exit_code == 0


def test_a_command_that_came_to_nothing_is_forgotten(folder):
    (folder / "train.py").write_text("raise SystemExit(3)")
    words = ["--space", "space.yaml", "--max-trials", "1", "--minimize", "val_loss"]
    with pytest.raises(LuthierError, match="exit code 3"):
        run("train.py", "--wrong", *words)
    (folder / "train.py").write_text(TRAIN)
    assert run("train.py", *words).exit_code == 0  # a warning would be an error here
    assert lt.open("train").history.attributes[-1]["command"][1:] == ["train.py"]


def test_a_study_file_in_another_encoding_is_refused_in_words(folder):
    (folder / "study.yaml").write_bytes("study: größe\n".encode("latin-1"))
    with pytest.raises(LuthierError, match=r"study\.yaml is no text in UTF-8 \(byte 9\)"):
        read_study_file("study.yaml")
    (folder / "study.yaml").write_bytes("study: größe\n".encode())
    assert read_study_file("study.yaml").study == "größe"


def test_an_objective_on_the_command_line_takes_the_place_of_the_files(folder):
    (folder / "study.yaml").write_text(
        "run: python train.py\nspace: space.yaml\nminimize: val_loss\nmax_trials: 1\n"
    )
    (folder / "train.py").write_text(TRAIN.replace("val_loss", "accuracy"))
    assert run("study.yaml", "--maximize", "accuracy").exit_code == 0
    assert [str(goal) for goal in lt.open("study").goals.objectives] == ["maximize accuracy"]
