"""Files that ``luthier export`` writes, read back by other people's readers."""

from __future__ import annotations

import csv
import json
import math
import os
import subprocess
import sys
from io import StringIO

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import example, given
from hypothesis import strategies as st
from ruamel.yaml import YAML

import luthier as lt
from luthier.app.command import commands
from luthier.app.forms import as_json, as_yaml
from luthier.errors import LuthierError

OPTIONS = st.none() | st.booleans() | st.integers(-(2**63) + 1, 2**63 - 1) | st.text()
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
TRICKY = ["no", "On", "y", "12:30", "1e5", "1.5", "~", "", "null", "0o17", "2001-01-01", "- a",
          "a: b", "a #b", "é", "\n", "\x85", " ", "=", "<<", "!x", "&x", "1_000", ".inf"]  # fmt: skip


def export(tmp_path, study, name, *options):
    arguments = ["export", study, "--to", str(tmp_path / name), *options]
    arguments += ["--storage", str(tmp_path / "luthier.db")]
    done = CliRunner().invoke(commands, arguments, catch_exceptions=False)
    assert done.exit_code == 0
    assert sorted(p.name for p in tmp_path.iterdir() if p.name.endswith(".tmp")) == []
    return tmp_path / name


@given(st.dictionaries(st.text(min_size=1), OPTIONS | FLOATS | st.lists(OPTIONS | FLOATS)))
@example({word: word for word in TRICKY} | {"rate": 1e-05, "big": 1e22, "small": -3e-300})
def test_yaml_means_the_same_to_every_reader(configuration):
    given = {k: tuple(v) if isinstance(v, list) else v for k, v in configuration.items()}
    text = as_yaml(given)
    assert yaml.safe_load(text) == configuration
    assert YAML(typ="safe", pure=True).load(text) == configuration


def test_plain_words_stay_plain():
    assert as_yaml({"optimizer": "sgd", "rate": 1e-05, "n": 3, "size": None}) == (
        "optimizer: sgd\nrate: 1.0e-05\n'n': 3\nsize:\n"
    )


def test_yaml_of_others_is_left_alone():
    as_yaml({"a": 1e-5})
    out = StringIO()
    YAML().dump({"a": 1e-5, "b": "no"}, out)
    assert out.getvalue() == "a: 1e-05\nb: no\n"


def test_another_trials_configuration_is_written_on_request(odd):
    other = luthier_trial(odd, 1)
    assert json.loads(export(odd, "odd", "c.json", "--trial", "1").read_text()) == other
    arguments = ["export", "odd", "--as", "json", "--trial", "2"]
    done = CliRunner().invoke(commands, [*arguments, "--storage", str(odd / "luthier.db")])
    assert "has no trial 2: expected 0 to 1" in str(done.exception)


def luthier_trial(folder, number):
    study = lt.open("odd", storage=folder / "luthier.db")
    found = dict(study.trials[number].configuration)
    return {k: list(v) if isinstance(v, tuple) else v for k, v in found.items()}


def test_json_has_no_nan():
    assert json.loads(as_json({"a": math.nan, "b": (1, "x"), "c": 1e-5})) == {
        "a": None, "b": [1, "x"], "c": 1e-5,
    }  # fmt: skip


@pytest.fixture
def odd(tmp_path):
    """A study whose names are also the columns', with options of every type."""
    space = lt.Space(
        epochs=lt.Int(1, 9), state=lt.Choice("no", "yes"), pair=lt.Choice((1, "a"), (2, "b"))
    )
    study = lt.open("odd", space, maximize="accuracy", storage=tmp_path / "luthier.db")
    study.enqueue({"epochs": 3, "state": "no", "pair": (1, "a")})
    trial = study.ask()
    trial.report(accuracy=0.5, seconds=7.0)
    study.tell(trial)
    study.tell(study.ask(), accuracy=math.nan)
    return tmp_path


def test_hyperparameters_called_like_columns(odd):
    with export(odd, "odd", "t.csv").open(newline="") as file:
        first, second = csv.DictReader(file)
    assert (first["epochs"], first["configuration.epochs"]) == ("1", "3")
    assert (first["state"], first["configuration.state"]) == ("completed", "no")
    assert first["pair"] == "(1, 'a')"
    assert (second["state"], second["best"], second["best_epoch"]) == ("diverged", "", "")
    with export(odd, "odd", "c.csv", "--curves").open(newline="") as file:
        first, second = csv.DictReader(file)
    assert first["metric.seconds"] == "7.0"
    assert (second["metric.seconds"], second["accuracy"]) == ("", "nan")


def test_parquet_of_mixed_tuples(odd):
    import pyarrow.parquet as parquet

    table = parquet.read_table(export(odd, "odd", "t.parquet")).to_pylist()
    assert table[0]["pair"] == "(1, 'a')"
    assert table[0]["configuration.epochs"] == 3
    assert table[1]["best"] is None


def test_an_empty_study_has_its_columns(tmp_path):
    lt.open("e", lt.Space(a=lt.Float(0, 1)), minimize="loss", storage=tmp_path / "luthier.db")
    assert export(tmp_path, "e", "t.csv").read_text() == (
        "trial,state,bracket,epochs,best,best_epoch,seconds,why,a\n"
    )
    curves = export(tmp_path, "e", "c.csv", "--curves").read_text()
    assert curves == "trial,epoch,seconds,loss\n"
    assert export(tmp_path, "e", "t.parquet").stat().st_size > 0


def test_what_was_there_stays_when_writing_fails(odd, monkeypatch):
    file = export(odd, "odd", "t.csv")
    before = file.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    arguments = ["export", "odd", "--to", str(file), "--storage", str(odd / "luthier.db")]
    assert "Cannot write" in str(CliRunner().invoke(commands, arguments).exception)
    assert file.read_bytes() == before
    assert list(odd.glob(".*")) == []


def test_without_pyarrow_it_says_what_to_install(odd):
    code = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "sys.argv = ['luthier', 'export', 'odd', '--to', 't.parquet']\n"
        "from luthier.app.command import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=odd)
    assert done.returncode == 2
    assert "pip install 'luthier[parquet]'" in done.stderr
    assert not (odd / "t.parquet").exists()


def test_a_result_and_its_trials_are_short_to_read(tmp_path):
    def train(trial):
        trial.report(loss=trial["x"], size=3.0)

    result = lt.tune(
        train, {"x": lt.Constant(0.5)}, minimize="loss", max_trials=1, name="s",
        storage=tmp_path / "luthier.db", progress=False,
    )  # fmt: skip
    best = "<trial 0: completed, epoch 1, {'x': 0.5}>"
    assert repr(result.best) == best
    assert repr(result) == f"<Result of study 's': 1 trial, best loss 0.5 of {best}>"
    result.study.steer.budget(trials=2)
    assert repr(result.study.ask()) == "<Trial 1: epoch 0, {'x': 0.5}>"
    with export(tmp_path, "s", "all.csv").open(newline="") as file:
        first, *_ = csv.DictReader(file)
    assert (first["best"], first["size"], first["x"]) == ("0.5", "3.0", "0.5")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--to", "c.csv", "--trial", "0"], "--trial would be ignored"),
        (["--to", "c.parquet", "--trial", "0"], "--trial would be ignored"),
        (["--curves", "--as", "yaml"], "--as yaml holds one configuration, not curves"),
        (["--curves", "--to", "c.db"], "c.db holds studies, not curves"),
        (["--to", "c.csv", "--as", "yaml"], "contradict each other: .* such as c.yaml"),
        (["--to", "c.json", "--as", "toml"], "contradict each other: .* such as c.toml"),
        (["--to", "c.py", "--as", "hydra"], "contradict each other: .* such as c.yaml"),
        (["--to", "c.db", "--as", "arguments"], "contradict each other: .* such as c.txt"),
        (["--to", "nodir/c.csv"], "there is no folder 'nodir'"),
        (["--to", "nodir/c.yaml"], "there is no folder 'nodir'"),
    ],
)
def test_what_would_be_ignored_is_refused(tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    study = lt.open("s", {"x": lt.Float(0, 1)}, minimize="loss")
    study.tell(study.ask(), loss=1.0)
    with pytest.raises(LuthierError, match=said) as caught:
        CliRunner(catch_exceptions=False).invoke(commands, ["export", "s", *words])
    assert ".tmp" not in str(caught.value)
    assert not list(tmp_path.glob("c.*"))


def test_what_fits_together_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study = lt.open("s", {"x": lt.Float(0, 1)}, minimize="loss")
    study.tell(study.ask(), loss=1.0)
    for words in (
        ["--to", "c.yaml", "--as", "hydra"],
        ["--to", "c.yml", "--as", "yaml", "--trial", "0"],
        ["--to", "c.txt", "--as", "arguments"],
        ["--to", "c", "--as", "json"],
        ["--as", "overrides", "--trial", "0"],
        ["--to", "c.csv", "--curves"],
    ):
        done = CliRunner(catch_exceptions=False).invoke(commands, ["export", "s", *words])
        assert done.exit_code == 0, words


def test_no_text_in_a_table_is_a_formula(tmp_path):
    words = ("=1+1", "+1", "-1", "-1+cmd", "@SUM(1)", "\t=1", "plain", -2, -0.5)
    space = lt.Space({"=kind": lt.Choice(*words)})
    study = lt.open("f", space, minimize="loss", storage=tmp_path / "luthier.db")
    for word in words:
        study.enqueue({"=kind": word})
        study.tell(study.ask(), loss=-1e-5)
    study.enqueue({"=kind": "plain"})
    study.fail(study.ask(), "failed", "=HYPERLINK(1)")
    with export(tmp_path, "f", "t.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["'=kind"] for row in rows[:-1]] == [
        "'=1+1", "'+1", "-1", "'-1+cmd", "'@SUM(1)", "'\t=1", "plain", "-2", "-0.5",
    ]  # fmt: skip
    assert {row["best"] for row in rows[:-1]} == {"-1e-05"}
    assert rows[-1]["why"] == "'=HYPERLINK(1)"
