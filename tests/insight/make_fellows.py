"""Train, for labelled runs, further trials on the same data: ``python tests/insight/make_fellows.py``.

In use a trial is not alone: its study holds other trials on its very data, and the rule for underfitting
goes by them. So that the tests can show it a run as Luthier does, each held-out run that bears a label for
underfitting gets six fellows, drawn by random search from one ordinary space whatever the run's family is
(width, rate, optimizer, weight decay, dropout). Neither the label nor the net of the run is used.
"""

from __future__ import annotations

import gzip
import json
import sys
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from families import GOOD, recipe
from training_runs import Recipe, train

FOLDER = Path(__file__).parent / "curves"
FELLOWS, EPOCHS = 6, 20


def fellows(run: Recipe, name: str) -> list[Recipe]:
    """Return what random search draws for a study on the run's training and validation data."""
    seed = int.from_bytes(sha256(f"fellows of {name}".encode()).digest()[:4], "big")
    draw = np.random.default_rng(seed)
    return [_drawn(draw, run) for _ in range(FELLOWS)]


def _drawn(draw: np.random.Generator, run: Recipe) -> Recipe:
    optimizer = str(draw.choice(["adam", "sgd"]))
    sound = Recipe(run.data, run.examples, run.validation, noise=run.noise, seed=run.seed)
    return replace(
        sound,
        widths=(round(2 ** draw.uniform(4, 7)),),
        optimizer=optimizer,
        rate=GOOD[optimizer] * 5 ** draw.uniform(-1, 1),
        decay=float(draw.choice([0.0, 1e-3, 1e-2])),
        dropout=float(draw.choice([0.0, 0.0, 0.3])),
        schedule="cosine",
        epochs=EPOCHS,
    )


def reported(made: Recipe) -> dict[str, list[float | None]]:
    """Return the two losses that a trial reports, four digits; None for what is not finite."""
    run = train(made).reported
    return {
        name: [float(f"{v:.4g}") if abs(v) < 1e30 else None for v in run[name]]
        for name in ("loss", "val_loss")
    }


def main(part: str, into: Path) -> None:
    written = gzip.decompress((FOLDER / f"{part}.jsonl.gz").read_bytes()).decode()
    found = {}
    for line in written.splitlines():
        record = json.loads(line)
        if "underfitting" in record["labels"]:
            family, index = record["name"].rsplit(" ", 1)
            drawn = fellows(recipe(family, int(index)), record["name"])
            found[record["name"]] = [reported(made) for made in drawn]
    text = "".join(
        json.dumps({"of": name, "curves": curves}) + "\n" for name, curves in found.items()
    )
    into.write_bytes(gzip.compress(text.encode(), mtime=0))


if __name__ == "__main__":
    main("held_out", FOLDER / "fellows.jsonl.gz")
