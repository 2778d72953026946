"""The fold of a log into times: what was taken back does not count, and what ended ends once."""

from __future__ import annotations

import itertools

import pytest

import luthier
from luthier.insight.chronicle import chronicle
from luthier.study import events as ev

UNIT = luthier.Space(x=luthier.Float(0.0, 1.0))


def opened():
    return luthier.open("s", UNIT, minimize="loss", searcher="random", storage="memory")


def test_who_gives_up_a_trial_that_had_failed_ends_it_no_second_time():
    study = opened()
    bad, good = study.ask(2)
    study.fail(bad, "error", "a bug", "")
    study.tell(good, loss=1.0)
    before = dict(chronicle(study).finished)
    assert list(before) == [0, 1]
    study.steer.prune(0, "it cannot be mended")
    assert study.refresh().trials[0].kind == "pruned"
    after = chronicle(study).finished
    assert list(after.items()) == list(before.items())
    assert all(a <= b for a, b in itertools.pairwise(after.values()))


def leased(study, trial, lease, at, from_step, losses):
    """Append a lease and the reports of it, one a second."""
    holder = study.trials[trial].holder
    study.append(
        [
            ev.JobLeased(
                time=at, trial=trial, lease=lease, holder=holder, from_step=from_step, to_step=9
            )
        ]
    )
    study.append([
        ev.Reported(time=at + n, trial=trial, lease=lease, step=from_step + n, metrics={"loss": loss})
        for n, loss in enumerate(losses, 1)
    ])  # fmt: skip


def test_the_best_of_a_trial_that_is_trained_again_is_no_report_that_was_taken_back():
    study = opened()
    first = study.ask()
    lease, began = first.lease, study.refresh().header.time
    leased(study, 0, lease + 1, began + 10, 0, [3.0, 2.0, 0.5])
    told = chronicle(study)
    assert told.best[0] == pytest.approx((13.0, 3))
    leased(study, 0, lease + 2, began + 20, 1, [2.5, 1.0])
    history = study.refresh()
    assert (history.best.best_loss, history.best.best_step) == (1.0, 3)
    told = chronicle(study)
    assert told.best[0] == pytest.approx((22.0, 5))
    assert told.bests(history) == [pytest.approx((22.0, 5, 0))]
    leased(study, 0, lease + 3, began + 30, 1, [])
    told = chronicle(study)
    assert told.best[0] == pytest.approx((11.0, 1))
    leased(study, 0, lease + 4, began + 40, 0, [])
    assert chronicle(study).best == {}


def test_what_a_fenced_off_worker_says_of_an_end_is_no_end():
    study = opened()
    first = study.ask()
    lease, began = first.lease, study.refresh().header.time
    leased(study, 0, lease + 1, began + 10, 0, [3.0])
    study.append([ev.TrialCompleted(time=began + 12, trial=0, lease=lease, step=1)])
    assert chronicle(study).finished == {}
    study.append([ev.TrialCompleted(time=began + 14, trial=0, lease=lease + 1, step=1)])
    assert chronicle(study).finished == {0: pytest.approx(14.0)}
