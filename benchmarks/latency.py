"""What one proposal takes with 100, 1,000 and 10,000 trials told, in 6 and 20 dimensions, on one core.

The history is the same random configurations for every tuner, given in bulk; then come cycles of ask and
tell: their median is judged, their mean is told too (some fit only every few cycles), and so is the
first one, where some fit from scratch. Luthier's default is measured again with one trial in ten that diverges,
and held to the same. A peer's time is taken in its own process, so it holds no pipe.
Every combination has a fresh process; one whose proposal takes more than a minute is given up, and
with it the longer histories.

    python benchmarks/latency.py          # about half an hour
    python benchmarks/latency.py --quick  # 100 trials, 6 dimensions

Exits with 0 when all goals that could be judged are met, else with 1.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import multiprocessing
import os
import signal
import statistics
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import peers
from peers.random_search import RandomSearch
from peers.results import conditions, note, one_thread, verdict, write_section
from tasks import number, whole

DIMENSIONS, TRIALS = (6, 20), (100, 1_000, 10_000)
CYCLES, ENOUGH = 20, 20.0  # cycles, or as many as fit into these seconds, but 3
PATIENCE = 60.0  # seconds for one proposal
FILLING = 300.0  # seconds for opening a tuner and telling it the history
COMPARED = ("optuna-tpe", "optuna-gp", "hebo", "smac", "ax")
AUTO_MS = {100: 20.0, 1_000: 20.0, 10_000: 50.0}
GP_TIMES = 10
DIVERGING = 10  # one trial in so many
WITH_DIVERGENCE = f"{peers.OWN}auto, one in {DIVERGING} diverges"
NONE = (math.nan, math.nan, math.nan)


class Case(NamedTuple):
    tuner: str
    dimensions: int
    trials: int
    venvs: Path
    diverging: int = 0  # one trial in so many diverges; 0: none


class Latency(NamedTuple):
    """Milliseconds of one cycle of ask and tell; NaN and *why* when there is none."""

    median: float
    mean: float
    first: float
    version: str = ""
    why: str = ""


Found = dict[str, dict[tuple[int, int], Latency]]  # tuner -> (dimensions, trials)


def main() -> int:
    options = arguments()
    one_thread()  # of what is started from here on
    names = options.tuners or default_tuners()
    missing = {name: why for name in names if (why := peers.lacking(name, options.venvs))}
    found: Found = {}
    for name in (name for name in names if name not in missing):
        found[name] = measured(name, options)
        if name == peers.OWN + "auto":
            found[WITH_DIVERGENCE] = measured(name, options, DIVERGING)
    goals, met = goal_lines(found)
    versions = {one.version for cells in found.values() for one in cells.values() if one.version}
    text = "\n".join(
        [
            "## Latency",
            "",
            *conditions("latency.py", versions),
            *(f"- not measured, {name}: {why}" for name, why in missing.items()),
            *reasons(found),
            "",
            "Milliseconds of one proposal (ask and tell) by dimensions and trials told: median / mean of up "
            f"to {CYCLES} cycles / the first one before them (Luthier imports SciPy in it):",
            "",
            *table(found),
            "",
            *goals,
            "",
        ]
    )
    print(text)
    if options.write:
        write_section("Latency", text)
    return 0 if met else 1


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--tuners", nargs="*", help="default: Luthier's, and " + ", ".join(COMPARED)
    )
    parser.add_argument("--dimensions", nargs="*", type=int, default=list(DIMENSIONS))
    parser.add_argument("--trials", nargs="*", type=int, default=list(TRIALS))
    parser.add_argument("--venvs", type=Path, default=peers.VENVS, help="the peers' environments")
    parser.add_argument("--quick", action="store_true", help="100 trials, 6 dimensions")
    parser.add_argument("--write", action="store_true", help="put the section into RESULTS.md")
    options = parser.parse_args()
    if options.quick:
        options.dimensions, options.trials = [DIMENSIONS[0]], [TRIALS[0]]
    return options


def default_tuners() -> list[str]:
    return [*(peers.OWN + name for name in peers.luthier_searchers()), *COMPARED]


# -- the measurement ---------------------------------------------------------------------------------


def measured(
    name: str, options: argparse.Namespace, diverging: int = 0
) -> dict[tuple[int, int], Latency]:
    """Return what a tuner takes in each case; after one that was given up, longer ones are not tried."""
    cells = {}
    for dimensions in options.dimensions:
        slow = False
        for trials in sorted(options.trials):
            if slow:
                one = Latency(*NONE, why="not tried")
            else:
                one = in_own_process(Case(name, dimensions, trials, options.venvs, diverging))
            slow = math.isnan(one.median)
            cells[dimensions, trials] = one
            note(f"{name}, {dimensions} dimensions, {trials} trials: {cell(one)} {one.why}")
    return cells


def in_own_process(case: Case) -> Latency:
    """Return what *case* took, measured in a process that is ended when it takes too long."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe(duplex=False)
    process = spawn.Process(target=send_cycles, args=(case, theirs))
    process.start()
    theirs.close()
    limit = FILLING + (ENOUGH + 2 * PATIENCE)
    answer = Latency(*NONE, why=f"not done within {limit:g} s")
    try:
        with contextlib.suppress(EOFError):
            if ours.poll(limit):
                answer = ours.recv()
    finally:  # also by Ctrl-C, of which a session of its own does not hear
        # With the peer, which would go on computing beside the next one.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()
        process.join()
    return answer


def send_cycles(case: Case, answer: Connection) -> None:
    os.setsid()
    try:
        answer.send(cycles(case))
    except Exception as error:
        answer.send(Latency(*NONE, why=f"{type(error).__name__}: {error}"))


def cycles(case: Case) -> Latency:
    """Fill a tuner's history, then ask and tell.

    Raises:
        peers.process.PeerError: a peer took too long, or failed.
    """
    space = box(case.dimensions)
    history = told(space, case.trials, case.diverging)
    tuner: Any = peers.open_tuner(
        case.tuner, space, seed=0, evaluations=2 * case.trials, venvs=case.venvs, patience=FILLING
    )
    taken: list[float] = []
    try:
        tuner.fill(history)
        tuner.patience = PATIENCE  # a peer's; Luthier's searchers have no need of it
        begin = time.monotonic()
        while len(taken) < CYCLES + 1:
            diverges = is_diverging(len(taken), case.diverging)
            configuration = tuner.ask()
            tuner.tell(None if diverges else loss_of(space, configuration))
            taken.append((tuner.seconds + tuner.told) * 1e3)
            if taken[0] > PATIENCE * 1e3:
                return Latency(*NONE, tuner.version, f"over {PATIENCE:g} s")
            if len(taken) >= 4 and time.monotonic() - begin > ENOUGH:
                break
    finally:
        tuner.close()
    rest = taken[1:]
    return Latency(statistics.median(rest), statistics.mean(rest), taken[0], tuner.version)


def box(dimensions: int) -> list[dict[str, Any]]:
    """Return a space of as many log, linear and whole ranges by turns."""
    kinds = (
        lambda name: number(name, 1e-5, 1e-1, log=True),
        lambda name: number(name, 0.0, 1.0),
        lambda name: whole(name, 1, 64),
    )
    return [kinds[i % 3](f"x{i}") for i in range(dimensions)]


def told(
    space: list[dict[str, Any]], count: int, diverging: int
) -> list[tuple[dict[str, Any], float | None]]:
    draws = RandomSearch(space, 0)
    configurations = [draws.ask() for _ in range(count)]
    return [
        (configuration, None if is_diverging(n, diverging) else loss_of(space, configuration))
        for n, configuration in enumerate(configurations)
    ]


def is_diverging(number: int, diverging: int) -> bool:
    return diverging > 0 and number % diverging == diverging - 1


def loss_of(space: list[dict[str, Any]], configuration: dict[str, Any]) -> float:
    """Return a bowl with ripples in the unit cube."""
    places = []
    for p in space:
        low, high, value = (float(x) for x in (p["low"], p["high"], configuration[p["name"]]))
        if p["log"]:
            low, high, value = math.log(low), math.log(high), math.log(value)
        places.append((value - low) / (high - low))
    x = np.array(places) - 0.37
    return float((x**2).sum() + 0.05 * np.sin(20 * x).sum())


# -- the words ---------------------------------------------------------------------------------------


def table(found: Found) -> list[str]:
    if not found:
        return ["Nothing was measured."]
    cases = list(next(iter(found.values())))
    heads = [f"{dimensions} d, {trials:,}" for dimensions, trials in cases]
    lines = [f"| | {' | '.join(heads)} |", f"|---|{'--:|' * len(heads)}"]
    for name, cells in found.items():
        lines.append(f"| {name} | {' | '.join(cell(cells[case]) for case in cases)} |")
    return lines


def cell(one: Latency) -> str:
    return "-" if math.isnan(one.median) else f"{one.median:.3g} / {one.mean:.3g} / {one.first:.3g}"


def reasons(found: Found) -> list[str]:
    """Return why a cell is empty."""
    return [
        f"- {name}, {dimensions} dimensions, {trials:,} trials: {one.why}"
        for name, cells in found.items()
        for (dimensions, trials), one in cells.items()
        if one.why
    ]


def goal_lines(found: Found) -> tuple[list[str], bool]:
    lines, all_met = [], True
    for name in (peers.OWN + "auto", WITH_DIVERGENCE):
        for trials, goal in AUTO_MS.items():
            own = [one.median for (_, n), one in found.get(name, {}).items() if n == trials]
            if own:
                met = max(own) <= goal  # NaN is not
                all_met &= met
                goal_words = f"{name} at most {goal:g} ms with {trials:,} trials"
                lines.append(verdict(goal_words, met, f"{max(own):.3g} ms"))
    ratios = gp_ratios(found)
    if ratios:
        met = min(ratios) >= GP_TIMES
        all_met &= met
        goal_words = f"Luthier's Gaussian process {GP_TIMES} times faster than Optuna's, 100 trials"
        lines.append(verdict(goal_words, met, f"{min(ratios):.1f} times"))
    return lines or ["No goal could be judged."], all_met


def gp_ratios(found: Found) -> list[float]:
    """Return Optuna's time over ours with 100 trials, an entry for each number of dimensions."""
    own, other = (found.get(n, {}) for n in (peers.OWN + "gaussian_process", "optuna-gp"))
    return [
        other[case].median / own[case].median for case in own if case in other and case[1] == 100
    ]


if __name__ == "__main__":
    sys.exit(main())
