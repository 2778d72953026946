"""What comes before anything is modelled: earlier studies' good configurations; and what never comes again."""

from __future__ import annotations

import math
import warnings

import pytest
from told import told

import luthier as lt
from luthier.errors import LuthierWarning, StudyError
from luthier.search import SEARCHERS, TPE, GaussianProcess
from luthier.search.columns import columns_of
from luthier.search.novelty import first_new, lent
from luthier.search.observations import observe
from luthier.space import Float, Space

SQUARE = Space(x=Float(0.0, 1.0), y=Float(0.0, 1.0))
ALONE = ("random", "sobol", "halton", "grid")


def bowl(c):
    return (c["x"] - 0.3) ** 2 + (c["y"] - 0.6) ** 2


def after(first, searcher, space=SQUARE, **options):
    """Return a study that learns from *first*."""
    return lt.open(
        f"after with {searcher}", space, minimize="loss", searcher=searcher, learn_from=first,
        storage="memory", **options,
    )  # fmt: skip


@pytest.mark.parametrize("enqueued", [0, 2, 7])
@pytest.mark.parametrize("searcher", ["auto", "tpe", "bohb", "cma_es", "differential_evolution"])
def test_good_configurations_of_earlier_studies_come_first_whoever_took_the_numbers(
    searcher, enqueued
):
    first = told(SQUARE, bowl, 30)
    best = first.history.best.configuration
    study = after(first, searcher)
    for n in range(enqueued):
        study.enqueue({"x": 0.9, "y": n / 10})
    for _ in range(enqueued):
        trial = study.ask()
        study.tell(trial, loss=bowl(trial.configuration))
    asked = [study.ask().configuration for _ in range(3)]
    assert any(c == pytest.approx(best) for c in asked)


def test_what_the_code_settles_otherwise_is_not_asked_for_for_ever():
    study = after(told(SQUARE, bowl, 30), "bohb")
    seen = observe(study.history, SQUARE)  # by which none of them was ever tried
    asked = [lent(seen, study.history, SQUARE, number) for number in range(40)]
    assert asked[0] is None
    assert len({tuple(asked[number].values()) for number in (1, 2, 3)}) == 3
    assert not any(asked[20:])


@pytest.mark.parametrize("searcher", ALONE)
def test_who_learns_nothing_says_so(searcher):
    first = told(SQUARE, bowl, 30)
    space = Space(x=Float(0.0, 1.0, step=0.1), y=Float(0.0, 1.0, step=0.1))
    with pytest.warns(LuthierWarning, match=f"searcher '{searcher}' learns from no trials"):
        after(first, searcher, space)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("searcher", [name for name in SEARCHERS if name not in ALONE])
def test_all_others_learn(searcher):
    assert after(told(SQUARE, bowl, 30), searcher).history.earlier


FIRST_ALONE = ("tpe", "cma_es", "differential_evolution", "bohb")


@pytest.mark.parametrize("searcher", FIRST_ALONE)
def test_who_takes_over_first_proposals_alone_says_so_once_these_are_over(searcher, tmp_path):
    first, options = told(SQUARE, bowl, 30), {"minimize": "loss", "searcher": searcher}
    study = lt.open("late", SQUARE, storage=tmp_path / "s.db", **options)
    for _ in range(12):
        trial = study.ask()
        study.tell(trial, loss=bowl(trial.configuration))
    with pytest.warns(LuthierWarning, match=f"'{searcher}' tries the best .* this study has 12 tr"):
        lt.open("late", SQUARE, storage=tmp_path / "s.db", learn_from=first, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # by now it knows: nobody is told again with every start
        lt.open("late", SQUARE, storage=tmp_path / "s.db", learn_from=first, **options)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("searcher", ["auto", "tpe"])
def test_it_is_no_news_where_earlier_trials_have_a_say_or_their_turn(searcher):
    first, trials = told(SQUARE, bowl, 30), 20 if searcher == "auto" else 11
    study = told(SQUARE, bowl, trials, searcher=searcher)
    again = lt.open(
        study.name,
        SQUARE,
        minimize="loss",
        searcher=searcher,
        storage=study.store,
        learn_from=first,
    )
    assert again.history.earlier


def test_a_noisy_study_repeats_nothing_that_failed():
    study = lt.open("noisy", SQUARE, minimize="loss", noisy=True, storage="memory")
    for n in range(8):
        trial = study.ask()
        if n in (2, 5):
            study.tell(trial, loss=math.nan)
        else:
            study.tell(trial, loss=bowl(trial.configuration))
    seen = observe(study.history, SQUARE)
    columns = columns_of(SQUARE)
    lost, sound = columns.rounded(seen.infeasible), columns.rounded(seen.points)
    assert first_new(lost, seen, study.history, SQUARE, again=True) is None
    assert first_new(sound, seen, study.history, SQUARE, again=True) is not None
    assert first_new(sound, seen, study.history, SQUARE) is None


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: TPE(candidates=0), "candidates must be a whole number above 0, got 0"),
        (lambda: TPE(initial="8"), "initial must be .*, got '8'"),
        (lambda: TPE(initial=True), "initial must be .*, got True"),
        (lambda: TPE(good=0), "good must lie between 0 and 1, got 0"),
        (lambda: TPE(good=1.0), "good must lie between 0 and 1, got 1.0"),
        (lambda: GaussianProcess(initial="8"), "initial must be .*, or None, got '8'"),
        (lambda: GaussianProcess(initial=0), "initial must be .*, or None, got 0"),
        (lambda: GaussianProcess(per_second=1), "per_second must be True, False or None, got 1"),
    ],
)
def test_arguments_that_cannot_be_are_refused(make, words):
    with pytest.raises(StudyError, match=words):
        make()
