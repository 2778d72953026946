"""How good the best configuration is by epochs trained: Luthier's schedulers and multi-fidelity peers.

Tasks have known learning curves: TaskSet's six tables and LCBench's surrogate (``fidelity/curves.py``).
Simulated workers train along them on a virtual clock. Luthier runs through ``luthier.simulate``; the peers
decide through their own packages, in their own environments (``fidelity/``). Whoever trains a
configuration again from its beginning, as its package has it done, is charged for that again.

A run is one tuner on one task with so many workers and one seed. Its result is kept in a file, so a
comparison goes on where it was interrupted; those of peers come with the repository (``kept/``); a run
of Luthier is repeated when the code that decides changed.

    python benchmarks/multifidelity.py --install            # the peers' environments, some GB
    python benchmarks/multifidelity.py --quick              # minutes: 2 tasks, 2 seeds, 10 trainings
    python benchmarks/multifidelity.py --tuners 'luthier-asha+*' random --tasks 'taskset-*' --seeds 3
    python benchmarks/multifidelity.py --workers 1 8 64 --write   # many hours
    python benchmarks/multifidelity.py --report --write     # only the tables, from the runs that there are
"""

from __future__ import annotations

import argparse
import itertools
import os
import sys
from pathlib import Path

import fidelity
import peers
from fidelity.curves import catalogue
from fidelity.report import section
from fidelity.runs import Run, digest, perform_one
from peers.install import install
from peers.kept import pack, unpack, without_runs
from peers.results import note, one_thread, write_section
from peers.runs import Record, gathered, perform
from regret import chosen

CACHE = Path("~/.cache/luthier-fidelity").expanduser()
QUICK = ("taskset-patch32_GRU64_avg_bs128", "taskset-patch32_LSTM128_bs128")


def main() -> int:
    options = arguments()
    code = "" if options.stale else digest()
    one_thread()  # of what is started from here on
    if options.install:
        wanted = sorted({venv for venv, _ in fidelity.PEERS.values()})
        failures = install(options.venvs, wanted)
        for name, said in failures.items():
            note(f"{name} would not install:\n{said}")
        return 1 if failures else 0
    known, lacks = catalogue()
    tasks = [name for name, task in known.items() if task.usual]
    tasks = chosen("task", list(known), options.tasks) if options.tasks else tasks
    names = fidelity.usual_names()
    names = chosen("tuner", fidelity.tuner_names(), options.tuners) if options.tuners else names
    unpack("fidelity", options.cache)
    missing = {name: why for name in names if (why := fidelity.lacking(name, options.venvs))}
    if options.report:
        missing = without_runs(missing, options.cache)
    present = [name for name in names if name not in missing]
    wanted = {
        workers: [
            Run(task, tuner, seed, workers, max(options.trainings), options.venvs, options.limit)
            for seed, task, tuner in itertools.product(range(options.seeds), tasks, present)
        ]
        for workers in options.workers
    }
    if not options.report:
        everything = [run for runs in wanted.values() for run in runs]
        perform(everything, perform_one, options.cache, options.jobs, code, words)
    runs = {workers: gathered(w, options.cache, code) for workers, w in wanted.items()}
    chosen_tasks = {name: known[name] for name in tasks}
    text = section(runs, chosen_tasks, present, options, lacks | missing)
    print(text)
    if options.write:
        pack("fidelity", options.cache)
        write_section("Multi-fidelity", text)
    return 0


def words(record: Record) -> str:
    return record.get("stopped") or f"{record['wall']:.1f} s"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--tasks", nargs="*", metavar="PATTERN", help="default: the usual ones")
    parser.add_argument("--tuners", nargs="*", metavar="PATTERN", help="default: the usual ones")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument(
        "--trainings",
        type=int,
        nargs="+",
        default=[5, 10, 20, 50],
        help="compare after so many full trainings' epochs; the largest is the budget",
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes at a time")
    parser.add_argument("--limit", type=float, default=1800.0, help="seconds a run may take")
    parser.add_argument("--cache", type=Path, default=CACHE, help="a folder for the runs' results")
    parser.add_argument("--venvs", type=Path, default=peers.VENVS, help="the peers' environments")
    parser.add_argument("--install", action="store_true", help="make these environments and end")
    parser.add_argument("--quick", action="store_true", help="2 tasks, 2 seeds, 10 trainings")
    parser.add_argument("--report", action="store_true", help="run nothing, use what there is")
    parser.add_argument("--stale", action="store_true", help="use runs of Luthier's older code")
    parser.add_argument("--write", action="store_true", help="put the section into RESULTS.md")
    options = parser.parse_args()
    if options.quick:
        options.seeds, options.workers = min(options.seeds, 2), options.workers[:1]
        options.trainings = [t for t in options.trainings if t <= 10] or [10]
        options.tasks = options.tasks or list(QUICK)
    options.trainings = sorted(set(options.trainings))
    if min(options.seeds, options.jobs, *options.workers, *options.trainings) < 1:
        parser.error("--seeds, --jobs, --workers and --trainings must be at least 1.")
    return options


if __name__ == "__main__":
    sys.exit(main())
