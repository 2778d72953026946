"""How soon Luthier is as good as KerasTuner's Hyperband gets, on all of Fashion-MNIST with Keras.

For each seed KerasTuner, on TensorFlow, searches a space to its end; then Luthier, with its defaults,
searches the same one on the same 55,000 training and 5,000 validation images for at most as many epochs:
on JAX, where its epochs are compiled, and on TensorFlow. What counts is when each first has the best
validation accuracy that KerasTuner reached: epochs trained and seconds, building and compiling included.
Each search has a process of its own and the machine's cores to itself. Compiled programs begin with an
empty cache. The spaces of ``mlp`` and ``cnn`` are learning rate and sizes; the wide ones have momentum,
hidden layers and weight decay, too, and the ranges of somebody who knows nothing of the net. KerasTuner
runs all brackets of Hyperband as often as ``--iterations`` says.

    python benchmarks/fashion_hyperband.py --install     # KerasTuner's environment
    python benchmarks/fashion_hyperband.py --net mlp --seeds 5 --write
    python benchmarks/fashion_hyperband.py --net mlp cnn --write
    python benchmarks/fashion_hyperband.py --net mlp-wide cnn-wide --iterations 3 --write
    python benchmarks/fashion_hyperband.py --quick       # 5,000 images, one seed: whether it works
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import peers
from peers.fashion_process import answer_of, save_images
from peers.install import install
from peers.results import conditions, note, verdict, write_section

VENV = "keras-tuner-tensorflow"
NETS = ("mlp", "cnn", "mlp-wide", "cnn-wide")
WAYS = {"Luthier on JAX": "jax", "Luthier on TensorFlow": "tensorflow"}
GOAL = 1 / 3
VALIDATION = 5_000
TITLE = "Fashion-MNIST with KerasTuner's Hyperband"

Found = list[tuple[float, int, float]]  # seconds, epochs so far, validation accuracy


def main() -> int:
    options = arguments()
    if options.install:
        return 1 if install(options.venvs, [VENV]) else 0
    with tempfile.TemporaryDirectory(prefix="luthier-fashion-") as folder:
        data = Path(folder) / "data.npz"
        images = save_images(data, options.images, VALIDATION)
        lines: list[str] = []
        versions: set[str] = set()
        met = True
        for net in options.net:
            pairs: list[tuple[Found, dict[str, Found]]] = []
            for seed in range(options.seeds):
                pairs.append(compared(net, seed, data, options, versions))
                for line in rows(seed, *pairs[-1]):
                    note(f"{net}: {line}")
            text, good = part(net, pairs)
            lines, met = [*lines, "", *text], met and good
    several = options.iterations > 1
    title = TITLE + several * f", {options.iterations} iterations"
    head = [
        f"## {title}",
        "",
        *conditions("fashion_hyperband.py", versions, "each search has them to itself"),
        f"- {images:,} training and {VALIDATION:,} validation images, batches of "
        f"{options.batch_size}, at most {options.epochs} epochs a trial",
    ]
    text = "\n".join([*head, *lines]) + "\n"
    print(text)
    if options.write:
        write_section(title, text)
    return 0 if met else 1


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--net", nargs="+", choices=NETS, default=["mlp"])
    parser.add_argument("--ways", nargs="+", choices=tuple(WAYS), default=list(WAYS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=9)
    parser.add_argument("--iterations", type=int, default=1, help="of KerasTuner's Hyperband")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--images", type=int, default=55_000)
    parser.add_argument("--venvs", type=Path, default=peers.VENVS)
    parser.add_argument("--install", action="store_true", help="make KerasTuner's environment")
    parser.add_argument("--quick", action="store_true", help="5,000 images, one seed")
    parser.add_argument("--write", action="store_true", help="put the section into RESULTS.md")
    options = parser.parse_args()
    if options.quick:
        options.images, options.seeds = 5_000, 1
    return options


def compared(
    net: str, seed: int, data: Path, options: argparse.Namespace, versions: set[str]
) -> tuple[Found, dict[str, Found]]:
    """Return what KerasTuner found, and what Luthier found in each way."""
    setting: dict[str, Any] = {
        "net": net,
        "epochs": options.epochs,
        "iterations": options.iterations,
        "batch_size": options.batch_size,
        "seed": seed,
    }
    theirs = searched(
        "keras_tuner_hyperband.py", "tensorflow", data, setting, options, versions, VENV
    )
    setting["budget"] = len(theirs)
    return theirs, {
        way: searched("luthier_fashion.py", WAYS[way], data, setting, options, versions)
        for way in options.ways
    }


def searched(
    script: str,
    backend: str,
    data: Path,
    setting: dict[str, Any],
    options: argparse.Namespace,
    versions: set[str],
    venv: str | None = None,
) -> Found:
    with tempfile.TemporaryDirectory(prefix="luthier-programs-") as programs:
        answer = answer_of(script, data, setting, backend, programs, venvs=options.venvs, venv=venv)
    versions |= set(answer["versions"])
    return [tuple(entry) for entry in answer["found"]]


def first(found: Found, bar: float) -> tuple[float, float]:
    """Return seconds and epochs until the accuracy *bar* was there, infinite without it."""
    return next(((s, e) for s, e, accuracy in found if accuracy >= bar), (math.inf, math.inf))


def rows(seed: int, theirs: Found, ours: dict[str, Found]) -> list[str]:
    bar = max(accuracy for *_, accuracy in theirs)
    s, e = first(theirs, bar)
    lines = [
        f"| {seed} | KerasTuner | {bar:.4f} | {e} | {s:.0f} | {len(theirs)} | {theirs[-1][0]:.0f} | | |"
    ]
    for way, found in ours.items():
        own_s, own_e = first(found, bar)
        best = max(accuracy for *_, accuracy in found)
        lines.append(
            f"| | {way} | {best:.4f} | {own_e:.0f} | {own_s:.0f} | {len(found)} | {found[-1][0]:.0f} "
            f"| {own_e / len(theirs):.2f} | {own_s / theirs[-1][0]:.2f} |"
        )
    return lines


def part(net: str, pairs: list[tuple[Found, dict[str, Found]]]) -> tuple[list[str], bool]:
    lines = [
        f"{net}: the best accuracy of each search; the epochs and seconds after which the best of "
        "KerasTuner's was there (inf: never); epochs and seconds in all; the first two as shares of "
        "KerasTuner's whole search:",
        "",
        "| seed | | best | epochs | s | of epochs | of s | share of epochs | share of s |",
        "|--:|---|--:|--:|--:|--:|--:|--:|--:|",
        *(line for seed, pair in enumerate(pairs) for line in rows(seed, *pair)),
        "",
    ]
    met = True
    for way in pairs[0][1]:
        epochs, seconds = (
            statistics.median(column)
            for column in zip(*(shares(theirs, ours[way]) for theirs, ours in pairs), strict=True)
        )
        met = met and max(epochs, seconds) <= GOAL
        lines += [
            verdict(f"{way}, at most 1/3 of the epochs, median", epochs <= GOAL, f"{epochs:.2f}"),
            verdict(f"{way}, at most 1/3 of the time, median", seconds <= GOAL, f"{seconds:.2f}"),
        ]
    return lines, met


def shares(theirs: Found, ours: Found) -> tuple[float, float]:
    """Return the epochs and seconds until *ours* was as good as *theirs* gets, as shares of all theirs."""
    seconds, epochs = first(ours, max(accuracy for *_, accuracy in theirs))
    return epochs / len(theirs), seconds / theirs[-1][0]


if __name__ == "__main__":
    sys.exit(main())
