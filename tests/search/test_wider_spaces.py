"""What is new in a space that somebody has widened is looked at, though all that is known lies elsewhere."""

from __future__ import annotations

import pytest
from tests.run.test_simulation import told as known
from told import proposal, told

import luthier as lt
from luthier.search import CoarseToFine, DifferentialEvolution
from luthier.search.differential_evolution import _since
from luthier.search.observations import observe
from luthier.search.widening import wider_since
from luthier.space import Float, Int, Space
from luthier.study.history import fold
from luthier.study.log import read_log
from luthier.study.snapshot import decode, encode

NARROW = Space(x=Float(0, 1), y=Float(0, 1))
WIDE = Space(x=Float(0, 3), y=Float(0, 1))
TPE_INSIDE = CoarseToFine(inside="tpe")


def two_valleys(c):
    """Return a loss whose best valley in the narrow space is a poor one of the wide space."""
    return min((c["x"] - 0.3) ** 2 + 0.1, (c["x"] - 2.5) ** 2) + 0.01 * c["y"]


def bowl(c):
    return (c["x"] - 2.5) ** 2 + 0.01 * c["y"]


def go_on(study, trials, loss=two_valleys):
    """Return where x lay in so many more trials."""
    for _ in range(trials):
        trial = study.ask()
        study.tell(trial, loss=loss(trial.configuration))
    return [trial.configuration["x"] for trial in study.trials[-trials:]]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("searcher", [TPE_INSIDE, DifferentialEvolution()])
def test_a_better_valley_in_what_is_new_is_found(searcher, seed):
    study = told(NARROW, two_valleys, 25, searcher=searcher, seed=seed)
    study.steer.space(WIDE)
    places = go_on(study, 60)
    assert sum(x > 1.2 for x in places) > 20
    assert study.best_value < 0.02


def test_its_rounds_begin_anew_and_it_says_so():
    study = told(NARROW, two_valleys, 25, searcher=TPE_INSIDE)
    study.steer.space(WIDE)
    line = TPE_INSIDE.explain(study.history, study.space)
    assert line == (
        "coarse round 1 of 2: the first 8 trials since the space was widened, after trial 24, look "
        "everywhere in 2 hyperparameters"
    )
    assert all(p.before == p.after for p in TPE_INSIDE.narrowed(study.history, study.space))
    places = go_on(study, 8)
    assert all(any(low <= x < low + 0.5 for x in places) for low in (0.0, 0.5, 1.0, 1.5, 2.0, 2.5))
    assert TPE_INSIDE.explain(study.history, study.space).startswith("coarse round 2 of 2")
    go_on(study, 8)
    assert TPE_INSIDE.explain(study.history, study.space).startswith("tpe after 2 coarse rounds")


@pytest.mark.parametrize("searcher", [TPE_INSIDE, DifferentialEvolution()])
def test_a_change_that_only_narrows_begins_nothing_anew(searcher):
    study = told(WIDE, bowl, 45, searcher=searcher)
    study.steer.space(Space(x=Float(0, 2.9), y=Float(0, 0.9)))
    study.steer.space(Space(x=Float(0, 2.9), y=Float(0, 0.9, scale="linear", prior=0.5)))
    assert wider_since(study.history, 45) == 0
    places = go_on(study, 10, bowl)
    assert sum(abs(x - 2.5) < 0.3 for x in places) >= 6  # quasi-random: two of ten


def test_a_space_that_widened_itself_has_its_box_follow_and_its_population_begin_anew():
    study = told(NARROW, two_valleys, 20)
    study.steer.space(WIDE)
    [record] = study.history.changes
    assert (wider_since(study.history, 20), wider_since(study.history, 19)) == (20, 0)
    assert wider_since(study.history, 20, by_hand=True) == 20
    record.change = type(record.change)(time=0.0, space=WIDE.to_dict(), itself=True)
    assert wider_since(study.history, 20) == 20
    assert wider_since(study.history, 20, by_hand=True) == 0


def test_of_the_population_of_before_the_best_keeps_its_place():
    study = told(NARROW, two_valleys, 25, searcher=DifferentialEvolution())
    best = study.best.number
    study.steer.space(WIDE)
    go_on(study, 6)
    seen = _since(25, observe(study.history, study.space))
    assert seen.numbers.tolist() == [best, *range(25, 31)]
    assert seen.losses[0] == study.trials[best].best_loss
    assert len(seen.points) == 7


@pytest.mark.parametrize("searcher", [TPE_INSIDE, DifferentialEvolution()])
def test_a_history_that_was_just_folded_proposes_the_same(searcher):
    study = told(NARROW, two_valleys, 25, searcher=searcher)
    for trials, space in ((12, WIDE), (9, NARROW), (0, Space(x=Int(0, 9), y=Float(0, 2)))):
        study.steer.space(space)
        go_on(study, trials)
    assert [(r.first, r.wider) for r in study.history.changes] == [
        (25, True), (37, False), (46, True),
    ]  # fmt: skip
    fresh = fold(read_log(study.store, study.name))
    kept = decode(encode(fresh))
    assert repr(known(fresh)) == repr(known(kept)) == repr(known(study.history))
    for number in (46, 50):
        before = proposal(study, searcher, number)
        for other in (fresh, kept):
            study._history, own = other, study.history
            assert proposal(study, searcher, number) == before
            study._history = own


def test_where_the_code_had_asked_for_more_that_is_what_was_known_before():
    study = lt.open(
        "grown", {}, define_by_run=True, minimize="loss", storage="memory", searcher="random"
    )
    for _ in range(4):
        trial = study.ask()
        x = trial.hp.float("x", 0.0, 3.0)
        study.tell(trial, loss=x)
    study.steer.space({"x": Float(0.0, 2.0)})
    study.steer.space({"x": Float(0.0, 2.5)})
    assert [record.wider for record in study.history.changes] == [False, True]
