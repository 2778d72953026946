"""A thousand simulated workers: what is lost, and how long they stand idle.

5 % of the jobs lose their worker at a random moment, 1 % are cut off and report late, epoch times are
heavy-tailed (Pareto, exponent 1.5). The study, searchers, schedulers, leases and log are the real ones.

    python benchmarks/simulated.py              # about a minute

Exits with 0 when no trial is lost and, with schedulers that never wait, workers are idle for less than
2 % of the time.
"""

from __future__ import annotations

import argparse
import sys
import time

import luthier
from luthier.run.opening import made_parts
from luthier.study.log import read_log
from luthier.study.replay import replay

GOAL = 0.02
SPACE = luthier.Space(x=luthier.Float(0.0, 1.0), units=luthier.Int(8, 512, scale="log"))


def loss(configuration: dict[str, float], epoch: int) -> float:
    return (configuration["x"] - 0.3) ** 2 + 1.0 / epoch


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--workers", type=int, default=1000)
    parser.add_argument("--trials", type=int, default=5000)
    parser.add_argument("--searcher", default="random", help="others take longer, each proposal")
    options = parser.parse_args()
    met = True
    print(
        "scheduler  workers  trials  idle    deaths  cut off  late  lost  replays  real s  virtual h"
    )
    for scheduler, trials in ((None, options.trials), ("median", options.trials // 2)):
        began = time.perf_counter()
        run = luthier.simulate(
            loss,
            SPACE,
            minimize="loss",
            searcher=options.searcher,
            scheduler=scheduler,
            workers=options.workers,
            epochs=9,
            max_trials=trials,
            epoch_seconds=luthier.heavy_tailed(60.0, 1.5),
            failures=0.05,
            cut_off=0.01,
        )
        real = time.perf_counter() - began
        study = run.study
        lost = len(run.stuck) + trials - len(study.trials)
        if scheduler is None:
            again = replay(read_log(study.store, study.name), *made_parts(study.history.header))
            replays = "yes" if not again.difference else again.difference
        else:
            replays = "-"  # as above; the median rule looks at every trial at every verdict
        print(
            f"{scheduler or 'none':9}  {options.workers:7}  {len(study.trials):6}  {run.idle:6.2%}  "
            f"{run.deaths:6}  {run.cut_off:7}  {study.history.late_reports:4}  {lost:4}  {replays:7}  "
            f"{real:6.1f}  {run.seconds / 3600:9.1f}"
        )
        met = met and lost == 0 and run.idle < GOAL and replays in ("yes", "-")
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    main()
