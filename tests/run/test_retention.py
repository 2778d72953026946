"""Which checkpoints are kept, and that finding out stays cheap."""

from __future__ import annotations

import math
import random
import time

from checkpoint_places import (
    Log,
    save,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from luthier.run.checkpoints import KEPT, LocalCheckpoints
from luthier.run.retention import Leaders, kept_steps
from luthier.study.history import History
from luthier.study.records import TrialRecord, TrialState

ACTS = st.lists(
    st.tuples(
        st.sampled_from(
            ["propose", "train", "train", "pause", "complete", "diverge", "fail", "again"]
        ),
        st.integers(0, 10**6),
        st.sampled_from([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, math.inf, math.nan]),
        st.booleans(),
    ),
    max_size=60,
)


@settings(max_examples=300, deadline=None)
@given(ACTS)
def test_leaders_answer_what_a_ranking_of_all_trials_would(acts):
    log, leaders, on_disk = Log(), Leaders(), set()
    for act, which, loss, asked in acts:
        states = {
            "train": {TrialState.RUNNING, TrialState.PAUSED, TrialState.QUEUED},
            "again": {TrialState.FAILED, TrialState.RUNNING},
        }.get(act, {TrialState.RUNNING})
        able = [t for t in log.trials if t.state in states]
        if act == "propose" or not able:
            log.lease(log.propose())
        else:
            _act(log, on_disk, act, able[which % len(able)], loss)
        if asked:
            assert leaders.kept_steps(log.history, on_disk) == kept_steps(log.history)


def _act(log, on_disk, act, trial, loss):
    if act == "train":
        if trial.state is not TrialState.RUNNING:
            log.lease(trial.number, trial.step)
        on_disk.add(trial.number)
        log.report(trial.number, trial.step + 1, loss)
    elif act == "again" and trial.state is TrialState.FAILED:
        log.requeue(trial.number)
    elif act == "again":  # its worker died: what it reported after its checkpoint is forgotten
        log.lease(trial.number, trial.step // 2)
    else:
        getattr(log, act)(trial.number)


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
        kept = [int(p.name.removeprefix("trial-")) for p in tmp_path.iterdir()]
    assert len(ranked) == 1
    assert time.process_time() - began < 2.0
    assert set(kept) <= set(kept_steps(log.history))
    assert len(kept) == KEPT
