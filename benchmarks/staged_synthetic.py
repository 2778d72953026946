"""Stages against random search and plain auto on made-up nets with interactions, by trials.

The nets of ``tasks/synthetic.py`` have nine hyperparameters, a best learning rate that moves with
optimizer, momentum, depth and width, and regularisation that makes up for capacity; other tasks by name.
All tuners search the same joint space. Results are kept in a file, so a run goes on where it was cut.

    python benchmarks/staged_synthetic.py --seeds 10            # about 3 minutes of one core
    python benchmarks/staged_synthetic.py --tasks 'taskset-*' 'lcbench-3945' --trials 40
    python benchmarks/staged_synthetic.py --report
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import math
import warnings
from pathlib import Path

import numpy as np
import tasks as every
from peers.luthier_tuner import domain

import luthier
from luthier.craft.stages import Stages

TUNERS = {
    "random": "random",
    "auto": "auto",
    "stages": "stages",
    "stages, Ng's order": Stages(order="ng"),
    "stages, no end together": Stages(joint=0.0),
    "stages, rate not live": Stages(live=False),
}
USUAL = ("random", "auto", "stages")
RESAMPLES = 2000


def main() -> None:
    options = arguments()
    known, _ = every.catalogue()
    names = [n for n in known if any(fnmatch.fnmatch(n, p) for p in options.tasks)]
    if not options.report:
        for seed in range(options.seeds):
            for name in names:
                for tuner in options.tuners:
                    result(options.cache, known[name], tuner, seed, options.trials)
    print(table(options, names))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--tasks", nargs="*", default=["net-wide", "net-small", "net-noisy"])
    parser.add_argument("--tuners", nargs="*", choices=list(TUNERS), default=list(USUAL))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--at", type=int, nargs="*", default=[25, 40, 60])
    cache = Path("~/.cache/luthier-staged-synthetic").expanduser()
    parser.add_argument("--cache", type=Path, default=cache)
    parser.add_argument("--report", action="store_true", help="run nothing, use what there is")
    return parser.parse_args()


def result(cache: Path, task: every.Task, tuner: str, seed: int, trials: int) -> list[float]:
    """Return the judged loss of the best configuration after each trial, NaN before there is one."""
    kept = cache / f"{task.name}__{tuner}__{trials}__{seed}.json"
    if kept.exists():
        return json.loads(kept.read_text())
    problem = task.problem(seed)
    space = {parameter["name"]: domain(parameter) for parameter in task.space}
    study = luthier.open(
        "s", space, minimize="loss", searcher=TUNERS[tuner], seed=seed, max_trials=trials,
        noisy=problem.judge is not None, storage="memory",
    )  # fmt: skip
    best, incumbent, found = math.inf, math.nan, []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(trials):
            trial = study.ask()
            loss = problem.evaluate(dict(trial.configuration))
            study.tell(trial, loss=loss)
            if loss < best:
                best = loss
                judge = problem.judge
                incumbent = judge(dict(trial.configuration)) if judge else loss
            found.append(incumbent)
    cache.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps(found))
    print(f"{kept.stem}: {found[-1]:.4g}", flush=True)
    return found


def table(options: argparse.Namespace, names: list[str]) -> str:
    lines = ["| task | trials | " + " | ".join(options.tuners) + " |", "|---" * 2 + "|---" * 20]
    lines[1] = "|---|--:|" + "--:|" * len(options.tuners)
    for name in names:
        for at in (at for at in options.at if at <= options.trials):
            cells = [interval(options, name, tuner, at) for tuner in options.tuners]
            lines.append(f"| {name} | {at} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def interval(options: argparse.Namespace, name: str, tuner: str, at: int) -> str:
    """Return the median over seeds, its 90 % bootstrap interval, and the number of seeds."""
    pattern = f"{name}__{tuner}__{options.trials}__*.json"
    values = [json.loads(p.read_text())[at - 1] for p in sorted(options.cache.glob(pattern))]
    if not values:
        return "-"
    draws = np.random.default_rng(0).choice(values, (RESAMPLES, len(values)))
    low, high = np.nanquantile(np.nanmedian(draws, axis=1), [0.05, 0.95])
    return f"{np.nanmedian(values):.4g} [{low:.4g}, {high:.4g}] ({len(values)})"


if __name__ == "__main__":
    main()
