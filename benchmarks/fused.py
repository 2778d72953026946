"""How long whole searches take: Luthier's compiled epochs, its ordinary path, KerasTuner, Optuna + PyTorch.

Each search has a process of its own, and the clock runs from the process's start: imports, building and
compiling count. Luthier's compiled programs begin with an empty cache each time; "again" is the same
search once more with the cache that the first one left. Every round runs all of them in turn, after one
short search by each that does not count: it leaves bytecode of the packages, and their files in memory.
Besides wall time it tells processor time, which other work on the machine disturbs less.

    python benchmarks/fused.py --install      # KerasTuner's and Optuna's environments
    python benchmarks/fused.py --quick        # two trials of two epochs: whether it works
    python benchmarks/fused.py --net mlp cnn --search random hyperband --write
    python benchmarks/fused.py --images 55000 --cores 1
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import peers
from peers.fashion_process import answer_of, save_images
from peers.install import install
from peers.results import conditions, note, verdict, write_section

TITLE = "Compiled epochs: whole searches"
KERAS_TUNER, OPTUNA = "keras-tuner-tensorflow", "optuna"
VALIDATION = 2_000  # images
GOALS = {"KerasTuner on TensorFlow": 10, "Optuna + PyTorch": 3}  # times, for the MLP


class Search(NamedTuple):
    """What one whole search took."""

    wall: float
    processor: float
    epochs: int
    trials: int
    best: float
    more: dict[str, Any]


class Way(NamedTuple):
    """How to search: a script, the environment that it runs in, and Keras's backend."""

    script: str
    venv: str | None
    backend: str = "jax"
    fused: Any = False


WAYS = {
    "Luthier, fused": Way("fused_luthier.py", None, fused="auto"),
    "Luthier, fused, again": Way("fused_luthier.py", None, fused="auto"),
    "Luthier on TensorFlow": Way("fused_luthier.py", None, "tensorflow"),
    "Optuna + PyTorch": Way("fused_optuna.py", OPTUNA),
    "KerasTuner on JAX": Way("fused_keras_tuner.py", KERAS_TUNER, "jax"),
    "KerasTuner on TensorFlow": Way("fused_keras_tuner.py", KERAS_TUNER, "tensorflow"),
}


def main() -> int:
    options = arguments()
    if options.install:
        return 1 if install(options.venvs, [KERAS_TUNER, OPTUNA]) else 0
    lines: list[str] = []
    versions: set[str] = set()
    met = True
    with tempfile.TemporaryDirectory(prefix="luthier-fused-") as folder:
        data = Path(folder) / "data.npz"
        images = save_images(data, options.images, VALIDATION)
        for way in dict.fromkeys(WAYS[name] for name in options.ways):
            short = setting_of(options.net[0], "random", 0, way, options)
            short |= {"trials": 1, "epochs": 1}
            searched(way, data, short, options, f"{folder}/programs", set())
        for net in options.net:
            for search in options.search:
                found = compared(net, search, data, options, versions)
                text, good = part(net, search, found)
                lines, met = [*lines, "", *text], met and good
                if net == "mlp" and "Luthier, fused" in found:
                    lines += ["", floor(found, data, options)]
    title = f"{TITLE}, {images:,} images, {options.cores} core{'s' * (options.cores > 1)}"
    head = [
        f"## {title}",
        "",
        *conditions("fused.py", versions, "each search has them to itself"),
        f"- Fashion-MNIST, {images:,} training and {VALIDATION:,} validation images, batches of "
        f"{options.batch_size}; random search: {options.trials} trials of {options.random_epochs} "
        f"epochs; Hyperband: R = {options.epochs}, η = 3, {options.budget} epochs in all",
    ]
    text = "\n".join([*head, *lines]) + "\n"
    print(text)
    if options.write:
        write_section(title, text)
    return 0 if met else 1


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--net", nargs="+", choices=("mlp", "cnn", "pooled"), default=["mlp"])
    parser.add_argument(
        "--search", nargs="+", choices=("random", "hyperband"), default=["random", "hyperband"]
    )
    parser.add_argument("--ways", nargs="+", choices=tuple(WAYS), default=list(WAYS))
    parser.add_argument("--rounds", type=int, default=1, help="seeds; every way runs in each")
    parser.add_argument("--trials", type=int, default=12, help="of random search")
    parser.add_argument("--random-epochs", type=int, default=10, help="of each of its trials")
    parser.add_argument("--epochs", type=int, default=27, help="Hyperband's R")
    parser.add_argument("--budget", type=int, default=375, help="epochs of a Hyperband in all")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--cores", type=int, default=os.cpu_count())
    parser.add_argument("--venvs", type=Path, default=peers.VENVS)
    parser.add_argument("--install", action="store_true", help="make the peers' environments")
    parser.add_argument("--quick", action="store_true", help="two trials of two epochs")
    parser.add_argument("--write", action="store_true", help="put the section into RESULTS.md")
    options = parser.parse_args()
    if options.quick:
        options.trials, options.random_epochs, options.images = 2, 2, 1_000
        options.epochs, options.budget = 3, 9
    return options


def compared(
    net: str, search: str, data: Path, options: argparse.Namespace, versions: set[str]
) -> dict[str, list[Search]]:
    """Return every way's searches, one a round."""
    found: dict[str, list[Search]] = {name: [] for name in options.ways}
    for seed in range(options.rounds):
        with tempfile.TemporaryDirectory(prefix="luthier-programs-") as programs:
            for name in options.ways:
                setting = setting_of(net, search, seed, WAYS[name], options)
                found[name].append(searched(WAYS[name], data, setting, options, programs, versions))
                note(f"{net}, {search}, round {seed}, {name}: {found[name][-1]}")
    return found


def setting_of(
    net: str, search: str, seed: int, way: Way, options: argparse.Namespace
) -> dict[str, Any]:
    return {
        "net": net,
        "search": search,
        "seed": seed,
        "trials": options.trials,
        "budget": options.budget,
        "epochs": options.random_epochs if search == "random" else options.epochs,
        "batch_size": options.batch_size,
        "threads": options.cores,
        "fused": way.fused,
    }


def searched(
    way: Way,
    data: Path,
    setting: dict[str, Any],
    options: argparse.Namespace,
    programs: str,
    versions: set[str],
) -> Search:
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    answer = answer_of(
        way.script,
        data,
        setting,
        way.backend,
        programs,
        venvs=options.venvs,
        venv=way.venv,
        cores=options.cores,
    )
    wall, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    versions |= set(answer.pop("versions"))
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    del answer["seconds"]
    return Search(
        wall, processor, answer.pop("epochs"), answer.pop("trials"), answer.pop("best"), answer
    )


def part(net: str, search: str, found: dict[str, list[Search]]) -> tuple[list[str], bool]:
    """Return the lines about one net and search, and whether they met the goals."""
    first = next(iter(found))
    own = middle(found[first])
    lines = [
        f"{net}, {search} (medians over {len(found[first])} rounds; how many times as long as the first "
        "line, in brackets):",
        "",
        "| | wall, s | processor, s | ms an epoch | trials | epochs | best validation accuracy |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for name, searches in found.items():
        s = middle(searches)
        lines.append(
            f"| {name} | {s.wall:.1f} ({s.wall / own.wall:.1f}) | {s.processor:.1f} "
            f"({s.processor / own.processor:.1f}) | {1e3 * s.wall / s.epochs:.0f} | {s.trials} "
            f"| {s.epochs} | {s.best:.4f} |"
        )
    good = True
    if net == "mlp":
        lines.append("")
        for name, times in GOALS.items():
            if name in found:
                reached = middle(found[name]).wall / own.wall
                good = good and reached >= times
                lines.append(
                    verdict(f"{times} times as fast as {name}", reached >= times, f"{reached:.1f}")
                )
    return lines, good


def floor(found: dict[str, list[Search]], data: Path, options: argparse.Namespace) -> str:
    """Return a line about what the matrices' products alone take: the most that could be reached."""
    first = found["Luthier, fused"][0]
    setting = {"units": first.more["units"], "batch_size": options.batch_size}
    answer = answer_of(
        "fused_products.py", data, setting, "jax", "", venvs=options.venvs, cores=options.cores
    )
    seconds = answer["seconds"]
    most = ", ".join(
        f"{middle(found[name]).wall / seconds:.1f} times as fast as {name}"
        for name in GOALS
        if name in found
    )
    return (
        f"The products of matrices alone (of the first round's nets; nothing else: no losses, no Adam, no "
        f"start) take {seconds:.1f} s of it, at {answer['gigaflops']:.0f} GFLOP/s"
        + (f": whoever needs no time for the rest is {most}." if most else ".")
    )


def middle(searches: list[Search]) -> Search:
    """Return the medians; what else was told is the first one's."""
    columns = zip(*(s[:5] for s in searches), strict=True)
    wall, processor, epochs, trials, best = map(statistics.median, columns)
    return Search(wall, processor, int(epochs), int(trials), best, searches[0].more)


if __name__ == "__main__":
    sys.exit(main())
