"""In how many pairs of runs a version of Luthier is better than another one: what a change was worth.

Each version's runs come from ``regret.py``, with the same tasks and seeds and a cache of its own:

    PYTHONPATH=OLD/src python benchmarks/regret.py --cache /tmp/old --tuners luthier-auto --tasks ...
    PYTHONPATH=src python benchmarks/regret.py --cache /tmp/new --tuners luthier-auto --tasks ...
    python benchmarks/pairs.py /tmp/old /tmp/new

A pair is a task and a seed; by family and of all, after 25, 50 and 100 evaluations, ties counted as half.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path

import numpy as np
from peers.ranks import best_so_far
from regret import BUDGETS


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--tuner", default="luthier-auto")
    options = parser.parse_args()
    before, after = (found(folder, options.tuner) for folder in (options.before, options.after))
    pairs = sorted(before.keys() & after.keys())
    families = sorted({task.partition("-")[0] for task, _ in pairs})
    for family in [*families, ""]:
        chosen = [pair for pair in pairs if pair[0].startswith(family)]
        old, new = (np.array([runs[pair] for pair in chosen]) for runs in (before, after))
        better = (new < old) + 0.5 * (new == old)
        told = ", ".join(f"{share:.1%}" for share in better.mean(axis=0))
        error = 0.5 / math.sqrt(len(chosen))
        tasks = len({task for task, _ in chosen})
        print(f"{family or 'all'}: {told} ± {error:.1%} of {len(chosen)} pairs, {tasks} tasks")
    return 0 if pairs else 1


def found(folder: Path, tuner: str) -> dict[tuple[str, str], list[float]]:
    """Return by task and seed the best loss after each budget."""
    runs: dict[tuple[str, str], list[float]] = {}
    for path in folder.glob(f"*__{tuner}__*.json"):
        task, _, seed = path.stem.split("__")
        record = json.loads(path.read_text())
        curve = best_so_far(record["losses"], record["judged"])
        if len(curve) >= max(BUDGETS):
            runs[task, seed] = [float(curve[budget - 1]) for budget in BUDGETS]
    return runs


if __name__ == "__main__":
    sys.exit(main())
