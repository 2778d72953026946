"""How a searcher copes with a learning rate that diverges beyond a cliff, close to the best one.

One hyperparameter on a log scale, Float(1e-5, 10): the loss is the square of the distance to the
optimum in decades, and NaN above 0.03. The optimum is at 0.02, 0.005 or 0.001, so the cliff is 0.18 to
1.5 decades away, and random search falls off it in 42 % of its trials. A tuner that learns from what
diverged stops falling; one that learns too well never looks near the edge, where the optimum may be.

    python benchmarks/cliff.py          # a few minutes
    python benchmarks/cliff.py --quick  # 2 seeds

Exits with 0 when Luthier's first searcher here meets both goals for each optimum, else with 1.
"""

from __future__ import annotations

import argparse
import itertools
import math
import multiprocessing
import os
import statistics
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import peers
from peers.results import conditions, note, one_thread, verdict, write_section
from tasks import number

LOW, HIGH, CLIFF = 1e-5, 10.0, 0.03
OPTIMA = (0.02, 0.005, 0.001)
TRIALS, LAST = 60, 40
DIVERGED, NEAR = 0.15, 0.01  # share of the last trials; share of the range's decades
SPACE = [number("learning_rate", LOW, HIGH, log=True)]


class Outcome(NamedTuple):
    """Of one run: the share of the last trials that diverged, and how near the best came."""

    diverged: float
    distance: float  # in shares of the whole range, by the logarithm


def main() -> int:
    options = arguments()
    one_thread()  # of what is started from here on
    names = [name for name in contestants() if name in (options.tuners or contestants())]
    missing = {name: why for name in names if (why := peers.lacking(name, options.venvs))}
    present = [name for name in names if name not in missing]
    found: dict[str, dict[float, tuple[Outcome, ...]]] = {}
    versions = set()
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.jobs, mp_context=spawn) as pool:
        for name, optimum in itertools.product(present, OPTIMA):
            one = partial(run, name, optimum, options.venvs)
            outcomes, said = zip(*pool.map(one, range(options.seeds)), strict=True)
            found.setdefault(name, {})[optimum] = outcomes
            versions.update(said)
            note(f"{name}, optimum {optimum:g}: {median_words(outcomes)}")
    goals, met = goal_lines(found)
    text = "\n".join(
        [
            "## Cliff",
            "",
            *conditions("cliff.py", versions),
            *(f"- not compared, {name}: {why}" for name, why in missing.items()),
            "",
            f"A learning rate from {LOW:g} to {HIGH:g} that diverges above {CLIFF:g}; {TRIALS} trials, "
            f"{options.seeds} seeds. Share of diverged trials among the last {LAST}, median (and largest); "
            "distance of the best from the optimum in % of the range's logarithm, median (and largest):",
            "",
            *table(found),
            "",
            *goals,
            "",
        ]
    )
    print(text)
    if options.write:
        write_section("Cliff", text)
    return 0 if met else 1


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--tuners", nargs="*", help="default: all of them")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes at a time")
    parser.add_argument("--venvs", type=Path, default=peers.VENVS, help="the peers' environments")
    parser.add_argument("--quick", action="store_true", help="2 seeds")
    parser.add_argument("--write", action="store_true", help="put the section into RESULTS.md")
    options = parser.parse_args()
    if options.quick:
        options.seeds = 2
    if options.seeds < 1:
        parser.error("--seeds must be at least 1.")
    return options


def contestants() -> list[str]:
    """Return Luthier's guided searchers, the one to judge first, and whom they are compared with."""
    guided = ("auto", "gaussian_process", "tpe")
    own = [peers.OWN + name for name in guided if name in peers.luthier_searchers()]
    return [*own, "optuna-tpe", "optuna-tpe-pruned", "optuna-gp", peers.RANDOM]


def run(name: str, optimum: float, venvs: Path, seed: int) -> tuple[Outcome, str]:
    tuner = peers.open_tuner(name, SPACE, seed=seed, evaluations=TRIALS, venvs=venvs)
    losses = []
    try:
        for _ in range(TRIALS):
            loss = loss_of(tuner.ask()["learning_rate"], optimum)
            tuner.tell(loss)
            losses.append(loss)
    finally:
        tuner.close()
    best = min((loss for loss in losses if loss is not None), default=math.inf)
    diverged = sum(loss is None for loss in losses[-LAST:]) / LAST
    return Outcome(diverged, math.sqrt(best) / math.log10(HIGH / LOW)), tuner.version


def loss_of(rate: float, optimum: float) -> float | None:
    """Return the squared distance in decades, None where training diverges."""
    return None if rate > CLIFF else math.log10(rate / optimum) ** 2


# -- the words ---------------------------------------------------------------------------------------


def table(found: dict[str, dict[float, tuple[Outcome, ...]]]) -> list[str]:
    heads = " | ".join(f"{o:g}: diverged | distance" for o in OPTIMA)
    lines = [f"| optimum at | {heads} |", f"|---|{'--:|--:|' * len(OPTIMA)}"]
    for name, by_optimum in found.items():
        lines.append(f"| {name} | {' | '.join(map(median_words, by_optimum.values()))} |")
    return lines


def median_words(outcomes: tuple[Outcome, ...]) -> str:
    diverged = [outcome.diverged for outcome in outcomes]
    distance = [outcome.distance for outcome in outcomes]
    return (
        f"{statistics.median(diverged):.0%} ({max(diverged):.0%}) | "
        f"{statistics.median(distance):.2%} ({max(distance):.2%})"
    )


def goal_lines(found: dict[str, dict[float, tuple[Outcome, ...]]]) -> tuple[list[str], bool]:
    """Judge the first of Luthier's searchers, by the median over seeds at its worst optimum."""
    own = next((name for name in found if name.startswith(peers.OWN)), None)
    if own is None:
        return ["No goal is judged: none of Luthier's guided searchers ran."], False
    runs = found[own].values()
    diverged = max(statistics.median(o.diverged for o in outcomes) for outcomes in runs)
    distance = max(statistics.median(o.distance for o in outcomes) for outcomes in runs)
    fell = (
        f"{own}, at most {DIVERGED:.0%} of the last {LAST} trials diverge (median, worst optimum)"
    )
    came = f"{own}, the best within {NEAR:.0%} of the range (median, worst optimum)"
    lines = [
        verdict(fell, diverged <= DIVERGED, f"{diverged:.0%}"),
        verdict(came, distance <= NEAR, f"{distance:.2%}"),
    ]
    return lines, diverged <= DIVERGED and distance <= NEAR


if __name__ == "__main__":
    sys.exit(main())
