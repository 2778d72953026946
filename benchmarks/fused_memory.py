"""Whether many trials in one process leave memory behind: compiled epochs, one process, by trials.

A net of one hidden layer on 1,000 images of Fashion-MNIST, an epoch a trial, over learning rate, dropout and
four widths, so four programs serve all trials. The process's resident memory is read as each trial
begins. What the first fifth takes (compiling, caches that fill) is the beginning; what counts is how much
more the rest takes.

    python benchmarks/fused_memory.py --write              # some minutes
    python benchmarks/fused_memory.py --trials 100

Exits with 0 when the rest of the trials adds at most 5 % to the memory, else with 1.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile

os.environ["KERAS_BACKEND"] = "jax"

from pathlib import Path

import keras
import numpy as np
import psutil
from fused import save
from peers.results import conditions, verdict, write_section

import luthier

TITLE = "Compiled epochs: memory over many trials"
WIDTHS = (16, 32, 64, 128)
GROWTH = 0.05
IMAGES = 1_000


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--trials", type=int, default=1_000)
    parser.add_argument(
        "--fused", type=int, default=0, help="so many side by side; 0: as it decides"
    )
    parser.add_argument("--write", action="store_true", help="put the section into RESULTS.md")
    options = parser.parse_args()
    resident, peak = measured(options.trials, options.fused or "auto")
    fifth = len(resident) // 5
    begin, end = (
        float(np.median(part)) for part in (resident[fifth : 2 * fifth], resident[-fifth:])
    )
    growth = end / begin - 1
    rows = [
        f"| {number + 1:,} | {resident[number]:.0f} |"
        for number in sorted({0, fifth, *range(fifth, len(resident), fifth), len(resident) - 1})
    ]
    text = "\n".join(
        [
            f"## {TITLE}",
            "",
            *conditions("fused_memory.py", {f"Luthier {luthier.__version__}"}),
            f"- {options.trials:,} trials of one epoch on {IMAGES:,} images, in one process; peak "
            f"{peak:.0f} MB",
            "",
            "| built | resident, MB |",
            "|--:|--:|",
            *rows,
            "",
            verdict(
                f"the last fifth of the trials holds at most {GROWTH:.0%} more than the second",
                growth <= GROWTH,
                f"{growth:+.1%}",
            ),
            "",
        ]
    )
    print(text)
    if options.write:
        write_section(TITLE, text)
    return 0 if growth <= GROWTH else 1


def measured(trials: int, fused: int | str) -> tuple[list[float], float]:
    """Return the resident memory in MB as each trial begins, and the most there ever was."""
    process, resident = psutil.Process(), []

    def build(hp):
        resident.append(process.memory_info().rss / 1e6)
        model = keras.Sequential(
            [
                keras.Input((28, 28)),
                keras.layers.Flatten(),
                keras.layers.Dense(hp.choice("units", WIDTHS), activation="relu"),
                keras.layers.Dropout(hp.float("dropout", 0.05, 0.5)),
                keras.layers.Dense(10, activation="softmax"),
            ]
        )
        optimizer = keras.optimizers.Adam(hp.float("learning_rate", 1e-4, 1e-1, scale="log"))
        model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    with tempfile.TemporaryDirectory(prefix="luthier-memory-") as folder:
        save(Path(folder) / "data.npz", IMAGES)
        data = np.load(Path(folder) / "data.npz")
        luthier.keras.tune(
            build,
            ((data["x"], data["y"]), (data["x_val"], data["y_val"])),
            epochs=1,
            batch_size=50,
            searcher="random",
            scheduler=None,
            max_trials=trials,
            seed=0,
            storage=f"{folder}/luthier.db",
            fused=fused,
            progress=False,
        )
    return resident, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


if __name__ == "__main__":
    sys.exit(main())
