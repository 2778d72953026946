"""How good the best configuration is after 25, 50 and 100 evaluations: Luthier and its peers.

Tasks are BBOB's functions, Hartmann-6, made-up nets with conditions and divergence, the LCBench
surrogate, TaskSet, FCNet and real training with scikit-learn (``tasks/``). Tuners are Luthier's searchers,
random search and the peers (``peers/``), each in its own environment, since their dependencies
conflict. A trial that diverges is told in the way of each: as a failed one where there is such a state.

A run is one tuner on one task with one seed. Its result is kept in a file, so a comparison goes on where
it was interrupted; those of peers come with the repository (``kept/``); a run of Luthier is repeated when
the code that searches changed. Each run has one process and one thread; its objective is evaluated in
that process, its peer in another.

    python benchmarks/regret.py --install              # the peers' environments, some GB
    python benchmarks/regret.py --jobs 8 --write       # many hours: --tuners and --tasks take patterns
    python benchmarks/regret.py --quick                # minutes: few tasks, 2 seeds, 30 evaluations
    python benchmarks/regret.py --report --write       # only the tables, from the runs that there are
"""

from __future__ import annotations

import argparse
import fnmatch
import itertools
import math
import os
import statistics
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import peers
import tasks as every
from peers.install import install
from peers.kept import pack, unpack, without_runs
from peers.luthier_tuner import source_digest
from peers.ranks import best_so_far, lead, mean_ranks, ranks
from peers.results import FIGURES, conditions, note, one_thread, write_section
from peers.runs import Record, Runs, gathered, perform

BUDGETS = (25, 50, 100)
OWN = "luthier-auto"
QUICK = ("bbob-f01-5d", "hartmann-6", "net-small", "fcnet-protein_structure")
CACHE = Path("~/.cache/luthier-regret").expanduser()


class Run(NamedTuple):
    """One tuner on one task with one seed."""

    task: str
    tuner: str
    seed: int
    evaluations: int
    venvs: Path
    limit: float

    def path(self, cache: Path) -> Path:
        return cache / f"{self.task}__{self.tuner}__{self.seed}.json"

    @property
    def budget(self) -> tuple[str, int]:
        return "evaluations", self.evaluations


def main() -> int:
    options = arguments()
    searching = "" if options.stale else source_digest()
    one_thread()  # of what is started from here on
    if options.install:
        failures = install(options.venvs, sorted({peer.venv for peer in peers.PEERS.values()}))
        for name, said in failures.items():
            note(f"{name} would not install:\n{said}")
        return 1 if failures else 0
    known, lacks = every.catalogue()
    tasks = chosen_tasks(known, options)
    names = chosen_tuners(options)
    unpack("regret", options.cache)
    missing = {name: why for name in names if (why := peers.lacking(name, options.venvs))}
    if options.report:
        missing = without_runs(missing, options.cache)
    present = [name for name in names if name not in missing]
    wanted = [
        Run(task, tuner, seed, options.evaluations, options.venvs, options.limit)
        for seed, task, tuner in itertools.product(range(options.seeds), tasks, present)
    ]
    if not options.report:
        perform(wanted, perform_one, options.cache, options.jobs, searching, words)
    runs = gathered(wanted, options.cache, searching)
    text = section(runs, tasks, present, options, lacks | missing)
    print(text)
    if options.write:
        pack("regret", options.cache)
        write_section("Regret", text)
    return 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tasks", nargs="*", metavar="PATTERN", help="default: the usual ones")
    parser.add_argument("--tuners", nargs="*", metavar="PATTERN", help="default: all")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--evaluations", type=int, default=max(BUDGETS))
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes at a time")
    parser.add_argument("--limit", type=float, default=1800.0, help="seconds a run may take")
    parser.add_argument("--cache", type=Path, default=CACHE, help="a folder for the runs' results")
    parser.add_argument("--venvs", type=Path, default=peers.VENVS, help="the peers' environments")
    parser.add_argument("--install", action="store_true", help="make these environments and end")
    parser.add_argument("--quick", action="store_true", help="few tasks, 2 seeds, 30 evaluations")
    parser.add_argument("--report", action="store_true", help="run nothing, use what there is")
    parser.add_argument(
        "--stale", action="store_true", help="use runs of Luthier's older code, too"
    )
    parser.add_argument("--write", action="store_true", help="put the section into RESULTS.md")
    options = parser.parse_args()
    if options.quick:
        options.seeds, options.evaluations = min(options.seeds, 2), min(options.evaluations, 30)
        options.tasks = options.tasks or list(QUICK)
    if min(options.seeds, options.evaluations, options.jobs) < 1:
        parser.error("--seeds, --evaluations and --jobs must be at least 1.")
    return options


def chosen_tasks(known: dict[str, every.Task], options: argparse.Namespace) -> list[str]:
    if options.tasks:
        return chosen("task", list(known), options.tasks)
    return [name for name, task in known.items() if task.usual]


def chosen_tuners(options: argparse.Namespace) -> list[str]:
    names = peers.tuner_names()
    return chosen("tuner", names, options.tuners) if options.tuners else names


def chosen(kind: str, names: list[str], patterns: list[str]) -> list[str]:
    """Return the names that a pattern matches.

    Raises:
        SystemExit: one matches none.
    """
    for pattern in patterns:
        if not fnmatch.filter(names, pattern):
            raise SystemExit(f"No {kind} matches {pattern!r}; there are {', '.join(names)}.")
    return [n for n in names if any(fnmatch.fnmatchcase(n, pattern) for pattern in patterns)]


# -- the runs ----------------------------------------------------------------------------------------


def words(record: Record) -> str:
    return f"{record['seconds']:.1f} s proposing"


def perform_one(run: Run) -> Record:
    """Return what a run found, or the error that ended it; what came before the error is kept."""
    record: Record = {"losses": [], "judged": [], "seconds": 0.0, "evaluations": run.evaluations}
    if run.tuner.startswith(peers.OWN):
        record["source"] = source_digest()
    task = every.catalogue()[0][run.task]
    begin, tuner = time.monotonic(), None
    try:
        tuner = peers.open_tuner(
            run.tuner,
            task.space,
            seed=run.seed,
            evaluations=run.evaluations,
            venvs=run.venvs,
            patience=run.limit,
        )
        record["version"] = tuner.version
        problem = task.problem(run.seed)
        for _ in range(run.evaluations):
            evaluate_next(task, problem, tuner, record)
            if time.monotonic() - begin > run.limit:
                record["stopped"] = f"stopped after {run.limit:g} s"
                break
    except Exception as error:
        record["error"] = f"{type(error).__name__}: {error}"
    finally:
        if tuner is not None:
            tuner.close()
    return record


def evaluate_next(
    task: every.Task, problem: every.Problem, tuner: peers.Tuner, record: Record
) -> None:
    configuration = every.active(task.space, tuner.ask())
    record["seconds"] += tuner.seconds
    loss = problem.evaluate(configuration)
    loss = float(loss) if math.isfinite(loss) else None
    judged = problem.judge(configuration) if problem.judge and loss is not None else loss
    record["losses"].append(loss)
    record["judged"].append(judged)
    tuner.tell(loss)


# -- the section -------------------------------------------------------------------------------------


def section(
    runs: Runs,
    tasks: list[str],
    names: list[str],
    options: argparse.Namespace,
    missing: dict[str, str],
) -> str:
    known = every.catalogue()[0]
    tuners = list(dict.fromkeys(tuner for task in tasks for tuner in runs.get(task, {})))
    everything = [runs[t][u][s] for t in runs for u in runs[t] for s in runs[t][u]]
    budgets = sorted({min(budget, options.evaluations) for budget in BUDGETS})
    curves = {b: curves_to(b, runs, tasks, known) for b in budgets}
    versions = {record["version"] for record in everything if "version" in record}
    lines = ["## Regret", "", *conditions("regret.py", versions), ""]
    lines += [f"- not compared, {name}: {why}" for name, why in missing.items()]
    if options.stale:
        lines += ["- runs of Luthier may be of older code (--stale)"]
    lines += [f"- {line}" for line in [*gaps(runs, tasks, names, options.seeds), *failures(runs)]]
    lines += ["", *rank_table(runs, curves, tuners, known)]
    lines += ["", *goal_lines(curves, tuners)] if OWN in tuners else []
    for budget in budgets:
        lines += ["", *median_table(budget, curves[budget], tuners)]
    lines += ["", *figure_lines(curves[budgets[-1]], known, options.write)]
    return "\n".join(lines) + "\n"


def curves_to(
    budget: int, runs: Runs, tasks: list[str], known: dict[str, every.Task]
) -> dict[str, dict[str, np.ndarray]]:
    """Return the best so far above the optimum, by task and tuner, of runs that got to *budget*."""
    curves: dict[str, dict[str, np.ndarray]] = {}
    for task, (tuner, records) in ((t, pair) for t in tasks for pair in runs.get(t, {}).items()):
        rows = [
            best_so_far(r["losses"], r["judged"])[:budget] - known[task].optimum
            for r in records.values()
            if len(r["losses"]) >= budget
        ]
        if rows:
            curves.setdefault(task, {})[tuner] = np.array(rows)
    return curves


def gaps(runs: Runs, tasks: list[str], names: list[str], seeds: int) -> list[str]:
    """Return, a tuner each, how many of its runs are not there (of Luthier's: with this code)."""
    whole = len(tasks) * seeds
    there = {name: sum(len(runs.get(task, {}).get(name, {})) for task in tasks) for name in names}
    return [f"{n}: {whole - k} of {whole} runs not done" for n, k in there.items() if k < whole]


def failures(runs: Runs) -> list[str]:
    """Return, a tuner each, how many runs failed or were stopped, and why the first one did."""
    ends: dict[str, list[str]] = {}
    for task, tuner in ((t, u) for t in runs for u in runs[t]):
        for seed, record in runs[task][tuner].items():
            if why := record.get("error") or record.get("stopped"):
                at = f"after {len(record['losses'])} evaluations of {task}, seed {seed}: {why}"
                ends.setdefault(tuner, []).append(at)
    return [f"{tuner}: {len(all_)} runs cut short; {all_[0]}" for tuner, all_ in ends.items()]


def rank_table(
    runs: Runs,
    curves: dict[int, dict[str, dict[str, np.ndarray]]],
    tuners: list[str],
    known: dict[str, every.Task],
) -> list[str]:
    """Return mean ranks by budget, and by family at the last one, best first."""
    budgets = list(curves)
    tasks = list(curves[budgets[-1]])
    families = list(dict.fromkeys(known[task].family for task in tasks))
    columns = {budget: ranked(curves[budget], tuners, tasks) for budget in budgets}
    last = columns[budgets[-1]]
    for family in families:
        own = [task for task in tasks if known[task].family == family]
        columns[family] = ranked(curves[budgets[-1]], list(last), own)
    heads = [f"after {head}" if isinstance(head, int) else head for head in columns]
    lines = [
        f"Mean rank over {len(tasks)} tasks of the median over seeds [95 % bootstrap interval over "
        f"tasks and seeds], by family after {budgets[-1]}; a tuner is ranked when it has runs on "
        "every task. Then the share of its trials that diverged, the seconds that it took to propose "
        "in a run (median), and its seeds.",
        "",
        f"| | {' | '.join(heads)} | diverged | s | seeds |",
        f"|---|{'--:|' * (len(heads) + 3)}",
    ]
    for tuner in sorted(tuners, key=lambda name: last[name][0] if name in last else math.inf):
        cells = [rank_cell(found.get(tuner), head in families) for head, found in columns.items()]
        lines.append(f"| {tuner} | {' | '.join([*cells, *spent(runs, tuner)])} |")
    return lines


def ranked(
    curves: dict[str, dict[str, np.ndarray]], tuners: list[str], tasks: list[str]
) -> dict[str, np.ndarray]:
    """Return mean rank and interval of those tuners that have curves on all the tasks."""
    able = [u for u in tuners if all(u in curves.get(task, {}) for task in tasks)]
    if not able or not tasks:
        return {}
    finals = [[curves[task][tuner][:, -1] for tuner in able] for task in tasks]
    return dict(zip(able, mean_ranks(finals, np.random.default_rng(0)).T, strict=True))


def goal_lines(curves: dict[int, dict[str, dict[str, np.ndarray]]], tuners: list[str]) -> list[str]:
    """Return whether the default is the best after each budget, clear of the second, and last nowhere."""
    lines: list[str] = []
    for budget, found in curves.items():
        able = [u for u in tuners if all(u in found[task] for task in found)]
        if OWN not in able or len(able) < 2:
            continue
        finals = [[found[task][tuner][:, -1] for tuner in able] for task in found]
        mine = able.index(OWN)
        second, difference, low, high = lead(finals, mine, np.random.default_rng(0))
        lines.append(
            f"- Goal: {OWN} best in mean rank after {budget}, clear of the second: {able[second]} is "
            f"{difference:.2f} [{low:.2f}, {high:.2f}] behind (95 % interval of the difference in the same "
            f"resample). {'**PASS**' if low > 0 else '**FAIL**'}"
        )
        placed = ranks(np.array([[np.median(own) for own in task] for task in finals]))
        last = [task for task, row in zip(found, placed, strict=True) if row[mine] == max(row)]
        lines.append(
            f"- Goal: {OWN} last on no task after {budget}: {', '.join(last) or 'on none'}. "
            f"{'**FAIL**' if last else '**PASS**'}"
        )
    return lines


def rank_cell(found: np.ndarray | None, short: bool) -> str:
    if found is None:
        return "-"
    mean, low, high = found
    return f"{mean:.1f}" if short else f"{mean:.2f} [{low:.2f}, {high:.2f}]"


def spent(runs: Runs, tuner: str) -> list[str]:
    records = [r for task in runs.values() for r in task.get(tuner, {}).values() if r["losses"]]
    if not records:
        return ["-", "-", "0"]
    diverged = sum(loss is None for r in records for loss in r["losses"])
    share = diverged / sum(len(r["losses"]) for r in records)
    seconds = statistics.median(r["seconds"] for r in records)
    seeds = sorted({len(task[tuner]) for task in runs.values() if tuner in task})
    return [f"{share:.1%}", f"{seconds:.3g}", "–".join(map(str, sorted({seeds[0], seeds[-1]})))]


def median_table(
    budget: int, curves: dict[str, dict[str, np.ndarray]], tuners: list[str]
) -> list[str]:
    lines = [
        f"Best value after {budget} evaluations, median over seeds (above the optimum where it is "
        "known; the lowest in bold; - without such runs):",
        "",
        f"| | {' | '.join(tuners)} |",
        f"|---|{'--:|' * len(tuners)}",
    ]
    for task, found in curves.items():
        medians = {tuner: float(np.median(own[:, -1])) for tuner, own in found.items()}
        lowest = min(medians.values())
        words = {u: f"**{m:.4g}**" if m == lowest else f"{m:.4g}" for u, m in medians.items()}
        lines.append(f"| {task} | {' | '.join(words.get(u, '-') for u in tuners)} |")
    return lines


def figure_lines(
    curves: dict[str, dict[str, np.ndarray]], known: dict[str, every.Task], write: bool
) -> list[str]:
    """Draw the figures of the tuners that have curves on every task, and return their lines."""
    if not write or not curves:
        return []
    from peers.figures import draw

    common = [u for u in next(iter(curves.values())) if all(u in own for own in curves.values())]
    if not common:
        return ["No figures: no tuner has runs on every task."]
    whole = {task: {tuner: own[tuner] for tuner in common} for task, own in curves.items()}
    try:
        paths = draw(whole, {task: known[task].family for task in whole}, FIGURES)
    except ImportError as error:
        return [f"No figures: {error}."]
    return [f"![{p.stem}](figures/{p.name})" for p in paths if p.suffix == ".png"]


if __name__ == "__main__":
    sys.exit(main())
