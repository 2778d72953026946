"""What a leader of ranks leaves when it lets them go, and when they have to go."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest

import luthier
from luthier.run.ranks import leading
from luthier.run.ranks import messages as ms
from luthier.run.ranks.leading import Leader
from luthier.run.ranks.meeting import Group, new_address
from luthier.study.records import TrialState


def gone(before):
    """Return whether every thread that was not there before ends."""
    until = time.monotonic() + 20
    while set(threading.enumerate()) - before and time.monotonic() < until:
        time.sleep(0.01)
    return set(threading.enumerate()) <= before


def test_a_leader_that_lets_its_ranks_go_listens_no_more():
    before = set(threading.enumerate())
    leaders = [Leader(Group(0, 2, new_address())) for _ in range(3)]
    for leader in leaders:
        leader.close()
        leader.close()
    assert gone(before)


def test_it_listens_no_more_to_ranks_that_are_still_there():
    """Its threads stayed in recv() until each rank had ended, which heard nothing of it."""
    before = set(threading.enumerate())
    leader = Leader(Group(0, 3, new_address()))
    line = ms.Line(leader.group.address, 1)
    unknown = ms.Client(leader.group.address, family="AF_UNIX")  # has not said who it is
    until = time.monotonic() + 60
    while not leader._answers or len(set(threading.enumerate()) - before) < 4:
        assert time.monotonic() < until
        time.sleep(0.01)  # the leader's own, the line's, and one for each of the two
    leader.close()
    assert gone(before)
    assert line.lost.wait(20)
    assert isinstance(line.next(), ms.Failed)
    unknown.close()


def test_a_rank_that_went_between_two_jobs_is_missed_at_the_next():
    leader = Leader(Group(0, 2, new_address()))
    line = ms.Line(leader.group.address, 1)
    until = time.monotonic() + 60
    while not leader._answers:
        assert time.monotonic() < until
        time.sleep(0.01)
    leading._hang_up(line._connection)  # as a process that is killed
    while leader._open:
        assert time.monotonic() < until
        time.sleep(0.01)
    leader.check()  # a rank may go when there is nothing to train any more
    space = {"x": luthier.Float(0, 1)}
    study = luthier.open("s", space, minimize="loss", max_trials=1, storage="memory")
    with pytest.raises(leading.RankLost, match="rank 1 ended without a word"):
        leader.begin(study, study.next_job(), None)
    leader.close()


STUCK = """
import os, signal, socket, sys, time
import luthier
from luthier.run.ranks import leading, messages as ms
from luthier.run.ranks.meeting import Group, new_address

leading._GRACE_SECONDS = 0.5

def train(trial):
    trial.report(loss=1.0)
    leader = leading.Leader(Group(0, 2, new_address())).lead()
    trial.lead(leader)
    line = ms.Line(leader.group.address, 1)
    while not leader._answers:
        time.sleep(0.01)
    with leader.blamed(trial):
        if sys.argv[2] == "told":
            os.kill(os.getpid(), signal.SIGTERM)
        with socket.socket(fileno=os.dup(line._connection.fileno())) as killed:
            killed.shutdown(socket.SHUT_RDWR)
        time.sleep(60)  # in a library that waits for it

luthier.tune(
    train, {"x": luthier.Float(0, 1)}, minimize="loss", epochs=3, max_trials=1, scheduler=None, name="stuck",
    storage=sys.argv[1], progress=False,
)
"""


@pytest.mark.processes
@pytest.mark.parametrize(("way", "code"), [("told", 143), ("not", 1)])
def test_a_rank_that_is_lost_to_a_preemption_gives_the_trial_back(way, code, tmp_path):
    place = str(tmp_path / "studies.db")
    done = subprocess.run(
        [sys.executable, "-c", STUCK, place, way], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == code, done.stderr
    assert "rank 1 ended without a word" in done.stderr
    [trial] = luthier.open("stuck", storage=place).trials
    assert trial.state is (TrialState.QUEUED if way == "told" else TrialState.FAILED)
