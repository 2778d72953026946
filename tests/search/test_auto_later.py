"""What the default does after some hundred trials."""

from __future__ import annotations

import pytest
from told import MIXED, proposal, told

import luthier as lt
from luthier.search import CMAES, TPE, GaussianProcess
from luthier.search.auto import Auto
from luthier.space import Float, Int, Space

NUMBERS = Space(rate=Float(1e-5, 1, scale="log"), momentum=Float(0, 1), units=Int(8, 64))


def loss(c):
    return (c["momentum"] - 0.3) ** 2 + (c["units"] - 40) ** 2 / 1000


def test_numbers_are_left_to_cma_es_and_one_in_four_to_the_process():
    study = told(NUMBERS, loss, 203)
    evolved, near = CMAES(initial=200, step=0.1), GaussianProcess()
    for number in range(203, 209):
        wanted = near if number % 4 == 0 else evolved
        assert proposal(study, Auto(), number) == proposal(study, wanted, number)
    assert Auto().explain(study.history, NUMBERS) == (
        "CMA-ES: 3 numbers and 203 known trials; one proposal in 4 by a Gaussian process"
    )


@pytest.mark.parametrize(
    ("space", "noisy", "metrics"),
    [
        (MIXED, False, ["loss"]),  # a choice, and what is active only sometimes
        (NUMBERS.domains, True, ["loss"]),
        (NUMBERS.domains, False, ["loss", "size"]),
        ({"rate": Float(1e-5, 1, scale="log")}, False, ["loss"]),
    ],
)
def test_everything_else_to_the_process_and_tpe(space, noisy, metrics):
    study = lt.open(
        "s", space, minimize=metrics, noisy=noisy, searcher="random", seed=0, storage="memory"
    )
    for number in range(202):
        told_to = {"loss": number % 17, "size": number % 5}
        study.tell(study.ask(), **{name: float(told_to[name]) for name in metrics})
    assert "CMA-ES" not in Auto().explain(study.history, study.space)
    assert proposal(study, Auto(), 204) == proposal(study, TPE(), 204)
    assert proposal(study, Auto(), 205) == proposal(study, GaussianProcess(), 205)


@pytest.mark.parametrize("step", [0, -0.1, 1.5, "0.1", True, float("nan")])
def test_a_step_that_cannot_be_is_refused(step):
    with pytest.raises(lt.StudyError, match="CMA-ES: step must be a number above 0 and up to 1"):
        CMAES(step=step)


def after_a_change(**domains):
    """Return what the default proposes after 320 trials at an edge, in the space with *domains*."""
    space = Space(a=Float(0, 1), b=Float(0, 1))
    study = lt.open("s", space, minimize="loss", searcher="random", seed=0, storage="memory")
    for number in range(320):
        study.enqueue({"a": 1 - 1e-3 / (number + 1), "b": 0.5 + 1e-3 / (number + 1)})
        study.tell(study.ask(), loss=1 / (number + 1))
    study.steer.space({**space.domains, **domains})
    found = []
    for _ in range(8):
        trial = study.ask()
        found.append(proposal(study, Auto(), trial.number))
        study.tell(trial, loss=1.0)
    return found


def test_what_is_new_in_the_space_is_looked_at():
    assert max(c["a"] for c in after_a_change(a=Float(0, 2))) > 1.05
    new = [c["c"] for c in after_a_change(c=Float(0, 1))]
    assert max(new) - min(new) > 0.1


def test_who_asks_no_belief_says_so():
    space = Space(x=Float(0, 1, prior=0.2), y=Float(0, 1))
    assert Auto().explain(told(space, lambda c: c["x"] + c["y"], 31).history, space) == (
        "quasi-random: one proposal in 16 asks no belief, for it may be wrong"
    )
    assert "belief" not in Auto().explain(told(space, lambda c: c["x"] + c["y"], 30).history, space)
