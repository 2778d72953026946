"""What a leader of ranks leaves when it lets them go."""

from __future__ import annotations

import threading
import time

from luthier.run.ranks.leading import Leader
from luthier.run.ranks.meeting import Group, new_address


def test_a_leader_that_lets_its_ranks_go_listens_no_more():
    before = set(threading.enumerate())
    leaders = [Leader(Group(0, 2, new_address())) for _ in range(3)]
    for leader in leaders:
        leader.close()
        leader.close()
    until = time.monotonic() + 20
    while set(threading.enumerate()) - before and time.monotonic() < until:
        time.sleep(0.01)
    assert set(threading.enumerate()) <= before
