"""A few rounds of what benchmarks/chaos.py does at length."""

from __future__ import annotations

import pytest
from tests.run.chaos import chaos
from tests.storage.postgres_server import running_postgres

pytestmark = pytest.mark.processes
ROUNDS = 10


def check(outcome):
    assert outcome.violations == []
    assert outcome.counts["rounds"] == ROUNDS
    assert outcome.counts["kills"] >= ROUNDS
    assert outcome.counts["reports acknowledged"] > 0


def test_workers_killed_at_random_on_sqlite(tmp_path):
    check(chaos(f"{tmp_path}/luthier.db", tmp_path, ROUNDS, seed=1))


def test_workers_killed_and_the_server_restarted_on_postgres(tmp_path):
    with running_postgres() as server:
        outcome = chaos(server.url, tmp_path, ROUNDS, seed=2, restart=server.restart)
    check(outcome)
    assert outcome.counts["server restarts"] == 1
