"""The section of the comparison: a rank table, regrets and figures for each number of workers."""

from __future__ import annotations

import argparse
import math
import statistics
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from peers.ranks import lead, mean_ranks
from peers.results import FIGURES, conditions, verdict
from peers.runs import Record, Runs
from regret import gaps

from fidelity import AUTO, RANDOM
from fidelity.curves import CurveTask

Array = NDArray[np.float64]
Regrets = dict[str, dict[str, Array]]  # task -> tuner -> (seeds, points)

POINTS = 2  # points of a curve for each full training
FLOOR = 1e-4  # the lowest regret that a figure shows


def section(
    runs: dict[int, Runs],
    tasks: dict[str, CurveTask],
    names: list[str],
    options: argparse.Namespace,
    missing: dict[str, str],
) -> str:
    """Return the text; *runs* by the number of workers, *missing* are tuners or tasks with why."""
    versions = {
        record["version"]
        for every in runs.values()
        for record in records(every)
        if "version" in record
    }
    lines = ["## Multi-fidelity", "", *conditions("multifidelity.py", versions), ""]
    lines += [f"- not compared, {name}: {why}" for name, why in missing.items()]
    if options.stale:
        lines += ["- runs of Luthier may be of older code (--stale)"]
    lines += ["", INTRODUCTION]
    for workers, own in runs.items():
        lines += ["", *part(workers, own, tasks, names, options)]
    return "\n".join(lines) + "\n"


INTRODUCTION = (
    "Normalised regret of the lowest loss seen so far at any epoch (0: the best of the task, 1: the "
    "median of random configurations' best) by the epochs that all workers trained together, in full "
    "trainings. Of the tuners with runs on every task: mean rank of the median over seeds [95 % bootstrap "
    "interval over tasks and seeds], by family after the last; mean over tasks of the median regret; then "
    "the epochs until the regret was as low as random search's median after the last, as a share of "
    "all, median over tasks and seeds (∞: more than half never got there); trials, the workers' idle "
    "time, seconds a run took (median), and seeds."
)


def part(
    workers: int,
    runs: Runs,
    tasks: dict[str, CurveTask],
    names: list[str],
    options: argparse.Namespace,
) -> list[str]:
    """Return the subsection for one number of workers."""
    trainings: list[int] = options.trainings
    regrets = all_regrets(runs, tasks, trainings[-1], options.cache)
    tuners = [u for u in names if any(u in own for own in regrets.values())]
    lines = [f"### {workers} worker{'s' * (workers > 1)}", ""]
    lines += [
        f"- {line}" for line in [*gaps(runs, list(tasks), names, options.seeds), *failures(runs)]
    ]
    if not regrets:
        return [*lines, "- no runs"]
    lines += ["", *rank_table(runs, regrets, tuners, tasks, trainings)]
    lines += ["", *goal_lines(regrets, tuners, trainings)]
    lines += ["", *task_table(regrets, tuners, trainings[-1])]
    return [*lines, "", *figure_lines(regrets, tuners, tasks, workers, options.write)]


def all_regrets(runs: Runs, tasks: dict[str, CurveTask], trainings: int, cache: Path) -> Regrets:
    """Return regrets at every half training, of the runs that no error ended."""
    regrets: Regrets = {}
    for name, task in tasks.items():
        reference = task.refer(cache)
        at = np.arange(1, POINTS * trainings + 1) * task.epochs / POINTS
        for tuner, own in runs.get(name, {}).items():
            rows = [best_at(r, at) for r in own.values() if "error" not in r and "stopped" not in r]
            if rows:
                regrets.setdefault(name, {})[tuner] = reference.regret(np.array(rows))
    return regrets


def best_at(record: Record, at: Array) -> Array:
    """Return the lowest loss after the epochs *at*, infinite before the first."""
    if not record["found"]:
        return np.full(len(at), math.inf)
    epochs, losses = np.array(record["found"]).T
    return np.append(math.inf, losses)[np.searchsorted(epochs, at, side="right")]


def records(runs: Runs) -> list[Record]:
    return [
        record for own in runs.values() for by_seed in own.values() for record in by_seed.values()
    ]


def failures(runs: Runs) -> list[str]:
    """Return, a tuner each, how many runs failed or were stopped, and why the first one did."""
    ends: dict[str, list[str]] = {}
    for task, tuner in ((t, u) for t in runs for u in runs[t]):
        for seed, record in runs[task][tuner].items():
            if why := record.get("error") or record.get("stopped"):
                at = f"after {record['epochs']} epochs of {task}, seed {seed}: {why}"
                ends.setdefault(tuner, []).append(at)
    return [f"{tuner}: {len(all_)} runs cut short; {all_[0]}" for tuner, all_ in ends.items()]


# -- tables ------------------------------------------------------------------------------------------


def rank_table(
    runs: Runs,
    regrets: Regrets,
    tuners: list[str],
    tasks: dict[str, CurveTask],
    trainings: list[int],
) -> list[str]:
    """Return ranks, regrets and what else is told of a tuner, the best at the last first."""
    whole = [u for u in tuners if all(u in own for own in regrets.values())]
    families = list(dict.fromkeys(tasks[name].family for name in regrets))
    columns = {f"rank {t}": ranked(regrets, whole, t) for t in trainings}
    last = columns[f"rank {trainings[-1]}"]
    for family in families if len(families) > 1 else []:
        own = {name: regrets[name] for name in regrets if tasks[name].family == family}
        columns[family] = {u: v[:1] for u, v in ranked(own, whole, trainings[-1]).items()}
    heads = [
        *columns,
        *(f"regret {t}" for t in trainings),
        "epochs",
        "trials",
        "idle",
        "s",
        "seeds",
    ]
    lines = [f"| | {' | '.join(heads)} |", f"|---|{'--:|' * len(heads)}"]
    for tuner in sorted(tuners, key=lambda u: last[u][0] if u in last else math.inf):
        cells = [rank_cell(found.get(tuner)) for found in columns.values()]
        cells += [regret_cell(regrets, tuner, t) if tuner in whole else "-" for t in trainings]
        cells += [share_words(share_of(regrets, tuner)), *spent(runs, tuner)]
        lines.append(f"| {tuner} | {' | '.join(cells)} |")
    return [f"{len(regrets)} tasks.", "", *lines]


def ranked(regrets: Regrets, tuners: list[str], trainings: int) -> dict[str, Array]:
    """Return mean rank and interval after so many trainings."""
    if not tuners:
        return {}
    column = POINTS * trainings - 1
    finals = [[own[tuner][:, column] for tuner in tuners] for own in regrets.values()]
    return dict(zip(tuners, mean_ranks(finals, np.random.default_rng(0)).T, strict=True))


def rank_cell(found: Array | None) -> str:
    if found is None:
        return "-"
    mean = f"{found[0]:.2f}"
    return mean if len(found) == 1 else f"{mean} [{found[1]:.2f}, {found[2]:.2f}]"


def regret_cell(regrets: Regrets, tuner: str, trainings: int) -> str:
    column = POINTS * trainings - 1
    return f"{np.mean([np.median(own[tuner][:, column]) for own in regrets.values()]):.3f}"


def share_of(regrets: Regrets, tuner: str) -> float | None:
    """Return when the tuner is as good as random search is at its end, as a share of that."""
    shares: list[float] = []
    for own in regrets.values():
        if tuner not in own or RANDOM not in own:
            return None
        reached = own[tuner] <= np.median(own[RANDOM][:, -1])
        first = (reached.argmax(axis=1) + 1) / reached.shape[1]
        shares += np.where(reached.any(axis=1), first, math.inf).tolist()
    return statistics.median(shares)


def share_words(share: float | None) -> str:
    if share is None:
        return "-"
    return f"{share:.1%}" if math.isfinite(share) else "∞"


def goal_lines(regrets: Regrets, tuners: list[str], trainings: list[int]) -> list[str]:
    """Return whether the default is the best after each budget, and what of random search it needs."""
    whole = [u for u in tuners if all(u in own for own in regrets.values())]
    if AUTO not in whole or len(whole) < 2:
        return []
    lines: list[str] = []
    mine = whole.index(AUTO)
    for budget in trainings:
        column = POINTS * budget - 1
        finals = [[own[tuner][:, column] for tuner in whole] for own in regrets.values()]
        second, difference, low, high = lead(finals, mine, np.random.default_rng(0))
        goal = f"{AUTO} best in mean rank after {budget} trainings"
        value = f"{whole[second]} is {difference:.2f} [{low:.2f}, {high:.2f}] behind"
        lines.append(verdict(goal, difference > 0, value))
    share = share_of(regrets, AUTO)
    if share is not None:
        goal = "random search's last quality with at most 1/8 of its epochs, median"
        lines.append(verdict(goal, share <= 1 / 8, share_words(share)))
    return lines


def spent(runs: Runs, tuner: str) -> list[str]:
    """Return its trials, idle time and seconds a run, and its seeds."""
    own = [r for task in runs.values() for r in task.get(tuner, {}).values() if "trials" in r]
    if not own:
        return ["-", "-", "-", "0"]
    trials, idle, wall = (statistics.median(r[k] for r in own) for k in ("trials", "idle", "wall"))
    counts = {len(task[tuner]) for task in runs.values() if tuner in task}
    seeds = "–".join(map(str, sorted({min(counts), max(counts)})))
    return [f"{trials:.0f}", f"{idle:.1%}", f"{wall:.3g}", seeds]


def task_table(regrets: Regrets, tuners: list[str], trainings: int) -> list[str]:
    """Return the median regret of every tuner on every task."""
    lines = [
        f"Median regret after {trainings} full trainings (the lowest in bold; - without runs):",
        "",
        f"| | {' | '.join(tuners)} |",
        f"|---|{'--:|' * len(tuners)}",
    ]
    for task, own in regrets.items():
        medians = {u: float(np.median(rows[:, -1])) for u, rows in own.items()}
        lowest = min(medians.values())
        words = {u: f"**{m:.3f}**" if m == lowest else f"{m:.3f}" for u, m in medians.items()}
        lines.append(f"| {task} | {' | '.join(words.get(u, '-') for u in tuners)} |")
    return lines


def figure_lines(
    regrets: Regrets, tuners: list[str], tasks: dict[str, CurveTask], workers: int, write: bool
) -> list[str]:
    """Draw the figures of the tuners with runs on every task, and return their lines."""
    if not write:
        return []
    from peers.figures import Axis, draw

    common = [u for u in tuners if all(u in own for own in regrets.values())]
    if not common:
        return ["No figures: no tuner has runs on every task."]
    shown = {t: {u: np.maximum(own[u], FLOOR) for u in common} for t, own in regrets.items()}
    length = next(iter(next(iter(shown.values())).values())).shape[1]
    axis = Axis("full trainings", np.arange(1, length + 1) / POINTS)
    families = {name: tasks[name].family for name in shown}
    try:
        paths = draw(shown, families, FIGURES, f"multifidelity_{workers}", axis)
    except ImportError as error:
        return [f"No figures: {error}."]
    return [f"![{p.stem}](figures/{p.name})" for p in paths if p.suffix == ".png"]
