"""What a budget counts, and what is told beside it: repetitions of a race, copies in a population."""

from __future__ import annotations

import csv

import pytest
from click.testing import CliRunner
from test_report import section

import luthier as lt
from luthier.app import show, watch
from luthier.app.command import commands
from luthier.app.dashboard.summary import listed, summary
from luthier.app.report import About, contents
from luthier.app.report.card import card
from luthier.insight import planner
from luthier.run.opening import made_parts
from luthier.study.words import copies, searched_count, tried

SPACE = {"rate": lt.Float(0.1, 1.0)}


def train(trial):
    for epoch in trial.epochs(save=lambda folder: None, restore=lambda folder: None):
        trial.report(loss=abs(trial["rate"] - 0.05 * epoch) + 1 / (epoch + 1))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return str(tmp_path_factory.mktemp("counts") / "s.db")


@pytest.fixture(scope="module")
def raced(place):
    return lt.tune(
        train, SPACE, minimize="loss", name="raced", scheduler=None, searcher="random", epochs=2,
        max_trials=6, finalists=2, repetitions=3, storage=place, progress=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def population(place):
    scheduler = lt.schedule.PopulationBasedTraining(8, population=6, interval=2)
    return lt.tune(
        train, SPACE, minimize="loss", name="population", scheduler=scheduler, searcher="random",
        storage=place, progress=False,
    )  # fmt: skip


def output(place, *arguments):
    return CliRunner().invoke(commands, [*arguments, "--storage", place], catch_exceptions=False)


def test_repetitions_are_not_counted_as_trials(raced, place):
    history = raced.study.history
    again = len(history.repetitions)
    told = f"6 trials and {again} repetitions of finalists"
    assert (searched_count(history), tried(history)) == (6, told)
    assert f"done {told}, " in section(contents(history), "Settings")
    assert f"in all: {told}" in section(contents(history), "How trials ended")
    assert f": {told}, best loss" in repr(raced)
    assert f"; {told} ({6 + again} completed)" in raced._repr_html_()
    assert f"{told} ({6 + again} completed)" in output(place, "list").output
    assert (
        f"{told} ({6 + again} completed); {history.epochs} epochs\n"
        in output(place, "show", "raced").output
    )
    assert f"{told} ({6 + again} completed) of " in card(history, About())


def test_the_end_of_tune_counts_what_the_budget_counts(raced, capsys):
    from luthier.app.saying import Say, conclude

    conclude(raced.study, raced.study.store, "6 trials were tried", Say(quiet=False))
    again = len(raced.study.history.repetitions)
    assert (
        f"tried: 6 trials and {again} repetitions of finalists ({6 + again} completed)"
        in capsys.readouterr().err
    )


def test_copies_are_not_counted_as_trials(population):
    history = population.study.history
    copied = copies(history)
    assert copied > 0
    assert len(history.trials) == 6 + copied
    whose = "another's" if copied == 1 else "others'"
    told = f"6 trials and {copied} that went on from {whose} weights"
    assert tried(history) == told
    assert tried(history, 6) == told.replace("6 trials", "6 of 6 trials")
    assert f"done {told}, " in section(contents(history), "Settings")
    lines = [line.plain for line in watch.picture(history, 200, 40, history.last_time)]
    assert any(line.startswith(told) for line in lines)


def test_the_page_gets_both_counts(raced, population):
    for history in (raced.study.history, population.study.history):
        line = listed("s", history)
        assert line["trials"] - line["repetitions"] - line["copies"] == 6
    assert summary(raced.study.history)["plan"]["trials"] == 6


def test_a_plan_with_a_race_says_how_many_configurations_are_tried(raced, place):
    history = raced.study.history
    _, scheduler = made_parts(history.header)
    made = scheduler.planned(history, history.limits)
    assert made.trials == 6 + 2 * 3
    assert planner.estimate(scheduler.inner, history.limits, made, None, 2).trials == 6
    assert "Full(epochs=2): 6 trials, at most 24 epochs" in output(place, "plan", "raced").output


def test_a_member_tells_what_it_trained_itself_and_whom_it_goes_on_from(
    population, place, tmp_path
):
    history = population.study.history
    member = next(t for t in history.trials if t.parent >= 0 and t.step > t.start)
    shown = output(place, "show", "population", "--trial", str(member.number)).output
    own = member.step - member.start
    assert f"\n{own} epoch{'s' * (own != 1)}, " in shown
    assert f", on from trial {member.parent} after epoch {member.start}" in shown
    file = tmp_path / "trials.csv"
    output(place, "export", "population", "--to", str(file))
    rows = list(csv.DictReader(file.open()))
    assert sum(int(row["epochs"]) - int(row["start"]) for row in rows) == history.epochs
    assert rows[member.number]["parent"] == str(member.parent)
    assert rows[0]["parent"] == ""


def test_the_best_configuration_of_a_population_is_called_the_last_of_several(population, place):
    best = population.best
    assert best.parent >= 0
    told = f"trial {best.number} ended with it: its hyperparameters changed on the way"
    assert told in output(place, "show", "population").output
    assert told in output(place, "export", "population", "--as", "json").stderr


def test_a_study_without_either_is_told_as_ever(place):
    study = lt.open("plain", SPACE, minimize="loss", storage="memory")
    study.tell(study.ask(), loss=1.0)
    assert tried(study.history) == "1 trial"
    assert show._counts(study.history) == "1 trial (1 completed)"
    file_columns = lt.app.export.trial_rows(study.history).columns
    assert not {"parent", "start", "repeats"} & set(file_columns)
