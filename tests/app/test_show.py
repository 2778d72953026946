"""What ``luthier show`` prints of studies that are not as one expects."""

from __future__ import annotations

import math
from io import StringIO

import pytest
from click.testing import CliRunner
from rich.console import Console

import luthier as lt
from luthier.app import show
from luthier.app.command import commands
from luthier.app.show import clean
from luthier.craft.changes import differences
from luthier.study.records import TrialState


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def output(*arguments):
    done = CliRunner().invoke(commands, arguments, catch_exceptions=False)
    assert done.exit_code == 0
    return done.output


def test_square_brackets_are_text():
    study = lt.open("[red]x[/red]", lt.Space(a=lt.Float(0, 1)), maximize="val[acc]")
    study.tell(study.ask(), {"val[acc]": 1.0})
    assert "[red]x[/red]" in output("list")
    shown = output("show", "[red]x[/red]")
    assert shown.startswith("[red]x[/red]: maximize val[acc]\n")
    assert shown.count("val[acc]") == 2


def test_nothing_is_cut_where_there_is_no_terminal():
    names = [f"a_rather_long_hyperparameter_{i}" for i in range(20)]
    study = lt.open("wide", lt.Space({n: lt.Float(0, 1) for n in names}), maximize="accuracy")
    study.tell(study.ask(), accuracy=1.0)
    heading = next(s for s in output("show", "wide").splitlines() if "curve" in s)
    assert heading.split()[-20:] == names


def test_a_narrow_terminal_gets_every_value(monkeypatch):
    space = lt.Space({f"hyperparameter_{i}": lt.Constant(f"value_{i}") for i in range(9)})
    study = lt.open("s" * 90, space, maximize="accuracy")
    study.tell(study.ask(), accuracy=1.0)
    lines = StringIO()
    terminal = Console(file=lines, width=90, markup=False, highlight=False)
    monkeypatch.setattr(show, "console", lambda: terminal)
    history = study.refresh()
    show.print_study(history, 10)
    show.print_list({study.name: history})
    text = lines.getvalue()
    assert all(f"hyperparameter_{i}=value_{i}" in text for i in range(9))
    # A command is copied in one piece: the terminal alone may break it.
    assert max(len(line) for line in text.splitlines() if "luthier export" not in line) <= 90
    assert "…" not in text


def test_a_failure_of_any_kind_is_shown_without_escape_sequences():
    study = lt.open("s", lt.Space(a=lt.Float(0, 1)), minimize="loss")
    trial = study.ask()
    study.fail(trial, "strange", "\x1b[31mred\x1b[0m\x07", "Traceback\n\x1b[1m  here\x1b[0m\n")
    assert "1 strange: see luthier show" in output("show", "s")
    shown = output("show", "s", "--trial", "0")
    assert "trial 0, failed: red\\x07" in shown
    assert "Traceback\n  here\n" in shown
    assert "\x1b" not in shown


def test_clean():
    assert clean("a\tb\x1b]0;title\x07c\r\n\x1b[2Kd\x1b") == "a   bc\\r\nd\\x1b"


def test_names_are_short_only_where_the_whole_table_has_one_of_that_name():
    rules = {"sgd": lt.Space(momentum=lt.Float(0.5, 0.9), damping=lt.Float(0, 1)),
             "rms": lt.Space(momentum=lt.Float(0.1, 0.2))}  # fmt: skip
    study = lt.open("s", lt.Space(rule=lt.Choice(rules)), minimize="loss")
    study.enqueue({"rule": "sgd", "rule.sgd.momentum": 0.75, "rule.sgd.damping": 0.5})
    study.enqueue({"rule": "rms", "rule.rms.momentum": 0.15})
    for _ in range(2):
        study.tell(study.ask(), loss=1.0)
    shown = output("show", "s").splitlines()
    heading = next(s for s in shown if "curve" in s).split()
    assert sorted(heading[-4:]) == ["damping", "rule", "rule.rms.momentum", "rule.sgd.momentum"]


def test_define_by_run_and_one_trial_as_yaml():
    study = lt.open("s", lt.Space(), minimize="loss", define_by_run=True)
    for number in range(3):
        trial = study.ask()
        trial.hp.float("rate", 1e-3, 1e-1, scale="log")
        if number == 1:
            trial.hp.int("extra", 1, 9)
        trial.report(loss=1.0 - number, step=2)
        study.tell(trial)
    assert "extra" in output("show", "s", "--trial", "1", "--yaml")
    assert "extra" not in output("show", "s", "--yaml")
    assert "2 epochs" in output("show", "s", "--trial", "1")
    assert "extra" in output("show", "s")


@pytest.mark.filterwarnings(
    "ignore:Trial 0 is paused at epoch 1, and its reports come from outside"
)
def test_what_waits_is_to_be_continued():
    space = lt.Space(a=lt.Float(0, 1))
    study = lt.open("s", space, minimize="loss", max_trials=9, epochs=9, scheduler="hyperband")
    trial = study.ask()
    trial.report(loss=1.0)
    while not trial.should_stop:
        trial.report(loss=1.0)
    assert study.trials[0].state is TrialState.PAUSED
    assert "to be continued" in output("list")


def test_a_metric_that_is_nan_or_missing():
    study = lt.open("s", lt.Space(a=lt.Float(0, 1)), maximize="accuracy")
    trial = study.ask()
    trial.report(accuracy=0.5, f1=math.nan)
    trial.report(accuracy=0.75)
    study.tell(trial)
    shown = output("show", "s", "--trial", "0").splitlines()
    assert [line.split()[:3] for line in shown[-2:]] == [["1", "0.5", "nan"], ["2", "0.75", "0.00"]]


def test_what_was_changed_in_the_space_is_said(tmp_path):
    space = lt.Space(
        learning_rate=lt.Float(1e-5, 0.1, scale="log"),
        units=lt.Int(8, 64),
        kind=lt.Choice("a", "b"),
    )
    study = lt.open("s", space, minimize="loss", storage=tmp_path / "luthier.db")
    study.tell(study.ask(), loss=1.0)
    narrow = study.space.with_domain("learning_rate", lt.Float(1e-4, 0.01, scale="log"))
    study.steer.space(narrow)
    study.steer.space(narrow.with_domain("kind", lt.Choice("a", "c")), "b is slow")
    said = output("show", "s")
    assert "by hand" in said
    assert "learning_rate: 1e-05..0.1 -> 0.0001..0.01.\n" in said
    assert "kind: a,b -> a,c (b is slow).\n" in said
    assert "no reason given" not in said


def test_differences_between_spaces():
    before = lt.Space(x=lt.Float(0.0, 1.0), n=lt.Int(1, 8), gone=lt.Bool())
    after = lt.Space(
        {"x": lt.Float(0.0, 1.0, step=0.5), "n": lt.Int(1, 16), "z": lt.Constant(3)},
        constraints=["n <= 9"],
    )
    step, n, gone, z, rule = differences(before, after)
    assert step == "x: Float(0.0, 1.0) -> Float(0.0, 1.0, step=0.5)"
    assert (n, gone, z, rule) == ("n: 1..8 -> 1..16", "gone: taken out", "z: new, 3", "now n <= 9")
    assert differences(after, after) == []


def test_what_a_space_had_grown_by_before_a_change_is_not_called_new():
    study = lt.open("s", {}, minimize="loss", define_by_run=True)
    trial = study.ask()
    trial.hp.float("a", 0.0, 1.0)
    study.tell(trial, loss=1.0)
    for high in (0.5, 0.25):
        study.steer.space(study.refresh().space.with_domain("a", lt.Float(0.0, high)))
    said = output("show", "s")
    assert "a: 0..0.5 -> 0..0.25." in said
    assert "new" not in said
