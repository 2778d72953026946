"""The command line, through its own process and through click."""

from __future__ import annotations

import csv
import json
import math
import os
import subprocess
import sys

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

import luthier as lt
from luthier.app.command import commands
from luthier.app.sparkline import sparkline
from luthier.storage import open_store
from luthier.study.events import encode

SPACE = lt.Space(
    learning_rate=lt.Float(1e-6, 1e-1, scale="log"),
    optimizer=lt.Choice({"sgd": lt.Space(momentum=lt.Float(0.5, 0.99)), "adam": lt.Space()}),
    size=lt.Choice(1, "auto", None),
)


@pytest.fixture
def storage(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study = lt.open("net one", SPACE, minimize="loss", max_trials=9)
    study.enqueue({"learning_rate": 1e-5, "optimizer": "adam", "size": None})
    for number in range(6):
        trial = study.ask()
        for step in range(1, 5):
            metrics = {"loss": 1 / (step + number), **({"other": 1.0} if step == 2 else {})}
            if number == 2 and step == 3:
                metrics["loss"] = math.nan
            trial.report(metrics)
            if trial.should_stop:
                break
        if number == 4:
            study.fail(trial, "out of memory", "8 GB")
        elif not trial.should_stop:
            study.tell(trial)
    lt.open("empty", SPACE, maximize="accuracy")
    hopeless = lt.open("hopeless", SPACE, maximize="accuracy")
    hopeless.tell(hopeless.ask(), accuracy=math.nan)
    return tmp_path / "luthier.db"


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "luthier.app.command", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_list(storage):
    done = run("list")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert [line.split("  ")[0].strip() for line in lines[1:]] == ["net one", "empty", "hopeless"]
    assert "6 trials (4 completed, 1 diverged, 1 failed)" in lines[1]
    assert "\x1b" not in done.stdout
    summaries = json.loads(run("list", "--json").stdout)
    assert summaries[0]["trials"] == {"completed": 4, "diverged": 1, "failed": 1}
    assert summaries[1]["best"] is None


def test_show_ranks_and_advises(storage):
    done = run("show", "net one")
    assert done.returncode == 0
    assert "1 diverged: counted as worse than all others" in done.stdout
    assert "1 out of memory: nothing as large is proposed again" in done.stdout
    ranking = [line.split()[:2] for line in done.stdout.splitlines() if "completed " in line]
    assert [trial for _, trial in ranking] == ["5", "3", "1", "0"]
    assert "█▄▂▁" in done.stdout or "█▅▂▁" in done.stdout or "█▃▁▁" in done.stdout


@pytest.mark.parametrize("study", ["net one", "empty", "hopeless"])
def test_show_works_on_every_study(storage, study):
    done = run("show", study)
    assert done.returncode == 0, done.stderr
    assert run("show", study, "--trial", "99").returncode == 2


def test_show_one_trial(storage):
    done = run("show", "net one", "--trial", "2")
    assert "trial 2, diverged: loss was not finite at step 3" in done.stdout
    assert "nan" in done.stdout


def test_best_configuration_for_machines(storage):
    best = lt.open("net one", storage=storage).best.configuration
    assert json.loads(run("show", "net one", "--json").stdout) == best
    assert YAML(typ="safe").load(run("show", "net one", "--yaml").stdout) == best
    assert run("show", "hopeless", "--json").returncode == 4
    assert run("export", "empty", "--to", "x.yaml").returncode == 4


def test_yaml_keeps_small_numbers_numbers_for_every_reader(storage, tmp_path):
    study = lt.open("small", lt.Space(rate=lt.Float(1e-9, 1, scale="log")), minimize="loss")
    study.enqueue({"rate": 1e-05})
    study.tell(study.ask(), loss=1)
    assert run("export", "small", "--to", "best.yaml").returncode == 0
    text = (tmp_path / "best.yaml").read_text()
    assert yaml.safe_load(text) == {"rate": 1e-05}
    assert YAML(typ="safe").load(text) == {"rate": 1e-05}


def test_export_trials_and_curves(storage, tmp_path):
    import pyarrow.parquet as parquet

    assert run("export", "net one", "--to", "trials.csv").returncode == 0
    with open(tmp_path / "trials.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["state"] for row in rows][2] == "diverged"
    assert float(rows[0]["learning_rate"]) == 1e-5
    assert rows[0]["optimizer.sgd.momentum"] == ""
    assert run("export", "net one", "--to", "trials.parquet").returncode == 0
    table = parquet.read_table(tmp_path / "trials.parquet").to_pylist()
    assert [row["trial"] for row in table] == list(range(6))
    assert run("export", "net one", "--to", "curves.parquet", "--curves").returncode == 0
    curves = parquet.read_table(tmp_path / "curves.parquet").to_pylist()
    assert len(curves) == 4 * 5 + 3
    assert math.isnan(curves[10]["loss"])
    assert run("export", "empty", "--to", "empty.csv").returncode == 0
    assert run("export", "net one", "--to", "csv").returncode == 0
    assert (tmp_path / "net one.csv").read_bytes() == (tmp_path / "trials.csv").read_bytes()
    assert run("export", "empty", "--to", "empty.parquet").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["show", "net on"], "no study 'net on'. Did you mean 'net one'?"),
        (["show", "net one", "--storage", "nowhere.db"], "There is no"),
        (["export", "net one", "--to", "x.xlsx"], "expected a name that ends in .yaml"),
        (["export", "net one", "--to", "no/such/x.csv"], "Cannot write"),
        (["export", "net one", "--to", "x.yaml", "--curves"], "not curves"),
        (["show", "empty", "--trial", "0"], "it has 0 trials so far"),
        (["show", "net one", "--top", "many"], "not a valid integer"),
        (["show"], "Missing argument 'STUDY'"),
        (["demo", "--workers", "0"], "0 is not in the range"),
        (["shw"], "No such command"),
    ],
)
def test_wrong_calls_end_in_one_line_and_code_2(storage, arguments, words):
    done = run(*arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_storage_from_the_environment(storage, monkeypatch, tmp_path):
    monkeypatch.setenv("LUTHIER_STORAGE", str(storage))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert "net one" in run("list").stdout


def test_reading_does_not_disturb_a_running_study(storage):
    study = lt.open("running", SPACE, minimize="loss", max_trials=3)
    trial = study.ask()
    assert "running" in run("list").stdout
    trial.report(loss=1.0)
    assert run("show", "running").returncode == 0
    trial.report(loss=0.5)
    study.tell(trial)
    assert study.best_value == 0.5


def test_the_newer_format_is_refused(storage):
    from luthier.study.events import StudyCreated

    created = StudyCreated(
        time=0, format=99, name="n", metric="loss", direction="minimize", space={}, seed=0,
        searcher={}, scheduler={}, luthier="9.0",
    )  # fmt: skip
    open_store(storage).append("future", [encode(created)])
    done = run("show", "future")
    assert done.returncode == 2
    assert "Upgrade luthier" in done.stderr
    everything = run("list")
    assert everything.returncode == 0
    assert "net one" in everything.stdout
    assert "Upgrade luthier" in everything.stderr


def test_a_damaged_event_is_said_to_be_one(storage):
    open_store(storage).append("empty", [b"\xc1"])
    done = run("show", "empty")
    assert done.returncode == 2
    assert "Event 3 of study 'empty' cannot be read" in done.stderr
    assert "Traceback" not in done.stderr


def test_help_is_quick_and_light():
    code = (
        "import sys; sys.argv = ['luthier', '--help']\n"
        "from luthier.app.command import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'scipy', 'rich', 'numpy', 'keras', 'torch', 'jax'} & set(sys.modules)\n"
        "sys.exit(f'imports {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_version():
    assert CliRunner().invoke(commands, ["--version"]).output == f"luthier {lt.__version__}\n"


@given(
    values=st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=60),
    width=st.integers(1, 30),
)
def test_sparklines_of_anything(values, width):
    line = sparkline(values, width)
    assert len(line) == min(len(values), width)
    assert set(line) <= set("▁▂▃▄▅▆▇█×")


def test_sparkline_rises():
    assert sparkline([0, 1, 2, math.nan, 3]) == "▁▃▆×█"
    assert sparkline([0.0, 5e-324]) == "▁█"
    assert sparkline([-1.7e308, 1.7e308]) == "▁█"


def test_a_closed_pipe_is_no_traceback(storage):
    done = subprocess.run(
        f"{sys.executable} -m luthier.app.command show 'net one' | head -1",
        shell=True,
        capture_output=True,
        text=True,
        env={**os.environ},
    )
    assert done.stderr == ""


def test_tune_runs_a_script_in_stages_without_a_change_to_it(tmp_path):
    script = tmp_path / "train.py"
    script.write_text(
        "import luthier as lt, sys\n"
        "def train(trial):\n"
        "    for _ in trial.epochs():\n"
        "        trial.report(loss=trial['lr'])\n"
        "lt.tune(train, lt.Space(lr=lt.Float(1e-3, 1.0, scale='log')), minimize='loss',\n"
        "        epochs=1, max_trials=int(sys.argv[1]), name='s', storage=sys.argv[2])\n"
    )
    storage = str(tmp_path / "l.db")
    done = run("tune", "--staged", "--order", "ng", str(script), "9", storage)
    assert done.returncode == 0, done.stderr
    assert "1. learning rate (lr): next in order." in done.stderr
    assert "1. learning rate (lr): next in order." in run("show", "s", "--storage", storage).stdout
    wrong = run("tune", "--staged", "--order", "nq", str(script))
    assert wrong.returncode == 2
    assert "order must be one of 'one by one', 'ng'" in wrong.stderr
