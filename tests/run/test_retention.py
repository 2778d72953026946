"""Which checkpoints are kept, and that finding out stays cheap."""

from __future__ import annotations

import math
import random
import time
from itertools import pairwise

import pytest
from checkpoint_places import Log, save
from hypothesis import given, settings
from hypothesis import strategies as st

from luthier.run.checkpoints import KEPT, LocalCheckpoints
from luthier.run.retention import ON_FRONT, Leaders
from luthier.study import snapshot
from luthier.study.history import History
from luthier.study.records import TrialRecord, TrialState

ACTS = st.lists(
    st.tuples(
        st.sampled_from(
            ["propose", "train", "train", "pause", "complete", "diverge", "fail", "again"]
        ),
        st.integers(0, 10**6),
        st.sampled_from([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, math.inf, math.nan]),
        st.sampled_from([0.0, 1.0, 2.0, 3.0]),
        st.booleans(),
    ),
    max_size=60,
)
GOALS = {
    "one objective": {},
    "a bound": {"subject_to": ["latency <= 1"]},
    "several objectives": {"also": [("latency", "minimize")]},
    "both": {"also": [("size", "minimize")], "subject_to": ["latency <= 1"]},
}


@pytest.mark.parametrize("goals", GOALS.values(), ids=GOALS)
def test_the_best_of_the_ended_and_the_front_keep_theirs(goals):
    @settings(max_examples=75, deadline=None)
    @given(ACTS)
    def check(acts):
        log, leaders, on_disk = Log(**goals), Leaders(), set()
        for act, which, loss, latency, asked in acts:
            states = {
                "train": {TrialState.RUNNING, TrialState.PAUSED, TrialState.QUEUED},
                "again": {TrialState.FAILED, TrialState.RUNNING},
            }.get(act, {TrialState.RUNNING})
            able = [t for t in log.trials if t.state in states]
            if act == "propose" or not able:
                log.lease(log.propose())
            else:
                _act(log, on_disk, act, able[which % len(able)], loss, latency)
            if asked:
                assert leaders.kept_steps(log.history, on_disk) == expected(log.history)

    check()


def expected(history):
    ended = [t for t in history.ranking() if t.state.ended]
    keepers = ended[:KEPT]
    if len(history.goals.objectives) > 1:
        losses = history.goals.losses
        allowed = [t for t in ended if not t.violation]
        keepers += [
            t
            for t in allowed
            if not any(
                all(a <= b for a, b in zip(losses(other), losses(t), strict=True))
                and (losses(other), other.number) < (losses(t), t.number)
                for other in allowed
            )
        ]
    return {t.number: {t.best_checkpoint} for t in keepers}


def _act(log, on_disk, act, trial, loss, latency):
    if act == "train":
        if trial.state is not TrialState.RUNNING:
            log.lease(trial.number, trial.step)
        on_disk.add(trial.number)
        log.report(trial.number, trial.step + 1, loss, latency=latency, size=2 - latency)
    elif act == "again" and trial.state is TrialState.FAILED:
        log.requeue(trial.number)
    elif act == "again":  # its worker died: what it reported after its checkpoint is forgotten
        log.lease(trial.number, trial.step // 2)
    else:
        getattr(log, act)(trial.number)


def train(log, checkpoints, *losses, **others):
    """Begin a trial, and write a checkpoint with each report."""
    number = log.propose()
    log.lease(number)
    for step, loss in enumerate(losses, 1):
        save(checkpoints, number, step)
        log.report(number, step, loss, **others)
        record = log.trials[number]
        checkpoints.keep(number, {record.step, record.best_checkpoint})
    return number


def on_disk(folder):
    return sorted(int(path.name.removeprefix("trial-")) for path in folder.iterdir())


def test_running_trials_that_diverge_do_not_cost_an_ended_one_its_checkpoint(tmp_path):
    log, checkpoints = Log(), LocalCheckpoints(tmp_path)
    ended = train(log, checkpoints, 5.0)
    log.complete(ended)
    running = [train(log, checkpoints, 1.0) for _ in range(KEPT)]
    checkpoints.collect(log.history)
    for number in running:
        log.diverge(number)
    checkpoints.collect(log.history)
    assert log.history.best.number == ended
    assert on_disk(tmp_path) == [ended]


def test_a_long_front_keeps_its_ends_and_what_is_spread_between_them(tmp_path):
    log, chance = Log(also=[("latency", "minimize")]), random.Random(1)
    checkpoints = LocalCheckpoints(tmp_path)
    for _ in range(60):
        x = chance.random()
        log.complete(train(log, checkpoints, x, latency=1 - x))
        checkpoints.collect(log.history)
    front = [trial.number for trial in log.history.front()]
    assert len(front) == 60
    kept = on_disk(tmp_path)
    assert ON_FRONT <= len(kept) <= ON_FRONT + KEPT
    assert {front[0], front[-1]} <= set(kept)
    losses = sorted(log.trials[number].best_loss for number in kept)
    assert max(b - a for a, b in pairwise(losses)) < 3 / ON_FRONT


# -- a trial's best checkpoint ---------------------------------------------------------------------


def records(log):
    """Return the trial as it is known, and as a snapshot tells it."""
    return log.trials[0], snapshot.decode(snapshot.encode(log.history)).trials[0]


def test_the_best_checkpoint_is_the_best_of_the_epochs_that_have_one():
    log = Log()
    log.lease(log.propose())
    found = []
    for step, loss in enumerate([9.0, 5.0, 6.0, 4.0, 3.0, 7.0, 3.5, 8.0, 3.0], 1):
        log.report(0, step, loss, checkpointed=step % 2 == 0 or step == 9)
        found.append([(record.best_step, record.best_checkpoint) for record in records(log)])
    best = [(1, 0), (2, 2), (2, 2), (4, 4), (5, 4), (5, 4), (5, 4), (5, 4), (5, 9)]
    assert found == [[pair, pair] for pair in best]


def test_of_a_trial_that_goes_on_from_an_earlier_checkpoint_that_one_is_the_best():
    log = Log()
    log.lease(log.propose())
    for step, loss in enumerate([3.0, 2.0, 1.0, 4.0], 1):
        log.report(0, step, loss, checkpointed=step != 4)
    log.lease(0, 3)
    assert log.trials[0].best_checkpoint == 3
    log.lease(0, 2)
    assert log.trials[0].best_checkpoint == 2
    log.lease(0, 0)
    assert log.trials[0].best_checkpoint == 0
    log.report(0, 1, 5.0)
    assert log.trials[0].best_checkpoint == 1


# -- its cost --------------------------------------------------------------------------------------


def test_collecting_in_a_study_of_100_000_trials_ranks_them_once(tmp_path, monkeypatch):
    log, checkpoints = Log(), LocalCheckpoints(tmp_path)
    chance = random.Random(1)
    log.trials.extend(
        TrialRecord(n, {}, 0, TrialState.COMPLETED, 0.0, best_loss=1 + chance.random(), best_step=1)
        for n in range(100_000)
    )
    ranked = []
    ranking = History.ranking
    monkeypatch.setattr(History, "ranking", lambda self: ranked.append(1) or ranking(self))
    checkpoints.collect(log.history)
    began, kept = time.process_time(), []
    for _ in range(100):
        number = log.propose()
        log.lease(number)
        save(checkpoints, number, 1)
        log.report(number, 1, chance.random() * 2)
        log.complete(number)
        checkpoints.collect(log.history)
        kept = on_disk(tmp_path)
    assert len(ranked) == 1
    assert time.process_time() - began < 2.0
    assert set(kept) <= set(Leaders().kept_steps(log.history, kept))
    assert len(kept) == KEPT
