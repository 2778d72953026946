"""SIGKILL at random moments over 4 workers, round after round, on SQLite and on PostgreSQL.

In every tenth round on PostgreSQL the server itself is stopped the hard way (immediate mode: no
shutdown, recovery at the start) while workers run. What must hold after it is in tests/run/chaos.py:
no acknowledged report is lost, no trial is stuck, no epoch that a whole checkpoint held is trained
again, the log replays to the history that was followed live, and the disk holds no more checkpoints
than the rule keeps.

    python benchmarks/chaos.py               # 200 rounds each, about 6 minutes
    python benchmarks/chaos.py --rounds 20 --store sqlite --seed 7

Exits with 1 on any violation.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.run.chaos import Outcome, chaos
from tests.storage.postgres_server import running_postgres

FIGURES = (
    "rounds",
    "kills",
    "server restarts",
    "studies",
    "trials",
    "trials given up",
    "jobs",
    "jobs cut off by a kill",
    "epochs trained",
    "epochs trained again",
    "reports acknowledged",
    "late reports",
    "reports written twice",
    "events",
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--store", choices=STORES, action="append", help="only this one")
    options = parser.parse_args()
    outcomes: dict[str, Outcome] = {}
    for store in options.store or STORES:
        begin = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="luthier-chaos-") as folder:
            outcomes[store] = STORES[store](Path(folder), options.rounds, options.seed)
        outcomes[store].counts["seconds"] = round(time.monotonic() - begin)
    print(table(outcomes))
    for store, outcome in outcomes.items():
        for words in outcome.violations:
            print(f"VIOLATION on {store}: {words}")
    return 1 if any(outcome.violations for outcome in outcomes.values()) else 0


def on_sqlite(folder: Path, rounds: int, seed: int) -> Outcome:
    return chaos(f"{folder}/luthier.db", folder, rounds, seed)


def on_postgres(folder: Path, rounds: int, seed: int) -> Outcome:
    with running_postgres() as server:
        return chaos(server.url, folder, rounds, seed, restart=server.restart)


STORES = {"sqlite": on_sqlite, "postgres": on_postgres}


def table(outcomes: dict[str, Outcome]) -> str:
    lines = [f"| | {' | '.join(outcomes)} |", f"|---|{'--:|' * len(outcomes)}"]
    for figure in (*FIGURES, "seconds"):
        cells = [f"{outcome.counts[figure]:,}" for outcome in outcomes.values()]
        lines.append(f"| {figure} | {' | '.join(cells)} |")
    cells = [str(len(outcome.violations)) for outcome in outcomes.values()]
    return "\n".join([*lines, f"| violations | {' | '.join(cells)} |"])


if __name__ == "__main__":
    sys.exit(main())
