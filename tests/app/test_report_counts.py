"""What the report says of several objectives, of few trials and of trials that came to nothing."""

from __future__ import annotations

import math

import pytest
from test_report import section

import luthier
from luthier.app.report import About, contents
from luthier.app.report.card import card
from luthier.app.report.parts import Picture, Table
from luthier.study.study import Study

SPACE = luthier.Space(learning_rate=luthier.Float(1e-4, 1.0, scale="log"))


def told(outcomes, **options) -> Study:
    """Return a study of trials with these outcomes."""
    options = {"searcher": "random", "storage": "memory", "name": "s"} | options
    study = luthier.open(options.pop("name"), SPACE, **options)
    for outcome in outcomes:
        study.tell(study.ask(), **outcome)
    return study


def heads(report) -> tuple[str, ...]:
    (best,) = [s for s in report.sections if s.heading == "The best trials"]
    return next(p for p in best.parts if isinstance(p, Table)).headings


def test_all_objectives_and_the_front_are_told() -> None:
    outcomes = [{"acc": 0.9, "size": 9.0}, {"acc": 0.5, "size": 1.0}, {"acc": 0.4, "size": 5.0}]
    study = told(outcomes, maximize="acc", minimize="size")
    report = contents(study.history)
    assert heads(report)[:5] == ("trial", "acc", "size", "best epoch", "state")
    best = section(report, "The best trials").splitlines()
    assert [line.split()[:3] for line in best[1:4]] == [
        ["0*", "0.9", "9"], ["1*", "0.5", "1"], ["2", "0.4", "5"],
    ]  # fmt: skip
    assert "* on the front" in best[4]
    answer = section(report, "The answer")
    assert "It is chosen by acc alone." in answer
    assert "on the front in all of acc, size (2 trials: 0, 1)" in answer


def test_the_metrics_of_constraints_are_told_and_who_breaks_them() -> None:
    outcomes = [{"acc": 0.9, "latency": 30.0}, {"acc": 0.5, "latency": 10.0}]
    report = contents(told(outcomes, maximize="acc", subject_to="latency <= 20").history)
    assert heads(report)[:3] == ("trial", "acc", "latency")
    best = section(report, "The best trials").splitlines()
    assert [line.split()[:3] for line in best[1:3]] == [["1", "0.5", "10"], ["0!", "0.9", "30"]]
    assert best[3] == "! breaks latency <= 20"
    assert "chosen by" not in section(report, "The answer")


def test_with_several_objectives_nobody_is_told_to_stop_by_the_first_alone() -> None:
    outcomes = [{"acc": 0.9 - number / 100, "size": 30.0 - number} for number in range(30)]
    both = told(outcomes, maximize="acc", minimize="size", searcher="differential_evolution")
    report = contents(both.history)
    assert luthier.insight.enough(both).stop
    steps = section(report, "What to do next")
    assert "By acc alone more trials like these would hardly help" in steps
    assert "Stop here" not in steps
    assert "This is by acc alone" in section(report, "Have we tried enough?")
    one = [{"acc": outcome["acc"]} for outcome in outcomes]
    alone = contents(told(one, maximize="acc", searcher="differential_evolution").history)
    assert "Stop here" in section(alone, "What to do next")
    assert "alone" not in section(alone, "Have we tried enough?")


def test_evidence_is_of_all_trials_where_the_advice_is() -> None:
    lost = contents(told([{"loss": math.nan}] * 4, minimize="loss").history)
    steps = section(lost, "What to do next")
    assert "add warm-up and clipping (diverging: 4 of 4 in all)." in steps
    assert "Find out why none of the trials that ended (4) has a finite loss" in steps
    assert "Run more trials" not in steps
    assert "0 of the 0" not in steps
    some = told([{"loss": math.nan}] * 3 + [{"loss": 1.0 + n} for n in range(12)], minimize="loss")
    steps = section(contents(some.history), "What to do next")
    assert "(diverging: 0 of the 3 best trials, 3 of 15 in all)." in steps


def test_before_any_trial_has_ended_more_are_to_be_run() -> None:
    study = told([], minimize="loss")
    study.ask()
    assert "Run more trials" in section(contents(study.refresh()), "What to do next")


@pytest.mark.parametrize(("trials", "few"), [(1, True), (9, True), (12, False)])
def test_few_trials_tell_nothing_of_the_edges(trials: int, few: bool) -> None:
    study = luthier.open("s", SPACE, minimize="loss", searcher="random", storage="memory")
    for _ in range(trials):
        trial = study.ask()
        study.tell(trial, loss=(math.log10(trial["learning_rate"]) + 2) ** 2)
    report = contents(study.history)
    edges = section(report, "The edges of the space")
    if few:
        assert edges == f"Too few trials to tell whether an edge is crowded ({trials} of 10)."
    assert ("crowd no edge" in edges) is not few
    (found,) = [s for s in report.sections if s.heading == "The edges of the space"]
    assert any(isinstance(part, Picture) for part in found.parts) is not few
    text = card(study.history, About())
    assert ("Too few trials to tell whether an edge is crowded" in text) is few


def test_the_card_says_for_what_a_value_was_chosen() -> None:
    losses = told([{"loss": 1.0}, {"loss": 2.0}], minimize="loss")
    assert "chosen for being low" in card(losses.history, About())
    values = told([{"acc": 1.0}, {"acc": 2.0}], maximize="acc")
    assert "chosen for being high" in card(values.history, About())


def test_a_later_half_without_a_value_is_no_reason_to_stop() -> None:
    outcomes = [{"loss": 1.0 + n} for n in range(10)] + [{"loss": math.nan}] * 10
    study = told(outcomes, minimize="loss", searcher="differential_evolution")
    report = contents(study.history)
    steps = section(report, "What to do next")
    assert "Look at the later half of the trials first" in steps
    assert "Stop here" not in steps
    told_ = section(report, "Have we tried enough?")
    assert told_.startswith("Whether more trials would help cannot be told: the best loss is 1 ")
