"""What losing the optimizer's state at promotion costs: KerasTuner's Hyperband beside Luthier.

KerasTuner 1.4.8 restores a promoted trial's weights (those of its best epoch), but not Adam's moments and
step count: the new model's optimizer is not built when they are loaded. Luthier restores everything.
Each configuration climbs the rungs 1, 3 and 9 on 2,000 images of Fashion-MNIST, with a constant learning
rate and with one that falls by a cosine over the 9 epochs:

- KerasTuner, promoted: its own ``Hyperband.run_trial``, in its own environment;
- KerasTuner, uninterrupted: the same code, one rung of 9 epochs;
- Luthier, promoted: paused after epochs 1 and 3, gone on with from checkpoints;
- Luthier, uninterrupted: must be the same numbers, bit for bit;
- Luthier's loop that forgets: promoted, with the optimizer's state set to zero each time. All else is
  the same, batch by batch, so this difference is the state's alone.

    python benchmarks/keras_tuner_promotion.py --install --write    # some 20 minutes on two cores

Exits with 0 when Luthier's promoted runs are the uninterrupted ones, else with 1.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

os.environ["KERAS_BACKEND"] = "torch"  # as in KerasTuner's environment

import peers
from peers.install import install, installed
from peers.process import FarEnd
from peers.results import conditions, note, one_thread, verdict, write_section

RUNGS = (1, 3, 9)
IMAGES, HELD_OUT, BATCH = 2000, 2000, 64
STEPS = math.ceil(IMAGES / BATCH)
VENV = "keras-tuner"
SCHEDULES = {"constant": 0, "cosine": RUNGS[-1] * STEPS}
ARMS = (
    "KerasTuner, promoted",
    "KerasTuner, uninterrupted",
    "Luthier, promoted",
    "Luthier, uninterrupted",
    "Luthier that forgets",
)
PAIRS = (("Luthier, promoted", "Luthier that forgets"), (ARMS[1], ARMS[0]), (ARMS[2], ARMS[0]))


def main() -> int:
    options = arguments()
    one_thread()
    if options.install:
        install(options.venvs, [VENV])
    if not installed(options.venvs, VENV):
        note(f"KerasTuner is not installed in {options.venvs}: give --install")
        return 1
    configurations = [drawn(seed) for seed in range(options.seeds)]
    curves: dict[str, dict[str, list[list[float]]]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        data = kept_data(folder)
        far = FarEnd(
            Path(__file__).parent / "peers" / "keras_tuner_promotion.py",
            VENV, "", options.venvs, patience=600.0,
        )  # fmt: skip
        versions = far.answer({"data": str(data)})["versions"]
        skipped: list[str] = []
        for schedule, cosine in SCHEDULES.items():
            found: dict[str, list[list[float]]] = {arm: [] for arm in ARMS}
            for arm in ARMS[2:]:
                where = folder / f"{schedule}-{arm}.db"
                found[arm] = luthier_curves(arm, configurations, cosine, data, where)
                note(f"{schedule}, {arm}: done")
            for seed, configuration in enumerate(configurations):
                for arm, rungs in ((ARMS[0], RUNGS), (ARMS[1], RUNGS[-1:])):
                    asked = {"configuration": configuration, "rungs": rungs, "cosine": cosine}
                    answer = once(
                        folder / f"{schedule}-{arm}-{seed}.json", far, {"seed": seed, **asked}
                    )
                    found[arm].append(answer["curve"])
                    skipped += answer["skipped"]
                note(f"{schedule}, KerasTuner, seed {seed}: {found[ARMS[0]][-1][-1]:.4f}")
            curves[schedule] = found
        far.close()
    same = all(found[ARMS[2]] == found[ARMS[3]] for found in curves.values())
    text = section(curves, options.seeds, [*versions, *own_versions()], skipped, same)
    print(text)
    if options.write:
        write_section("Promotion", text)
    return 0 if same else 1


def once(kept: Path, far: FarEnd, request: dict[str, Any]) -> dict[str, Any]:
    """Return KerasTuner's answer, or what it answered in an earlier run that kept it."""
    if not kept.exists():
        kept.write_text(json.dumps(far.answer(request)))
    return json.loads(kept.read_text())


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--seeds", type=int, default=10, help="configurations, each on its own seed"
    )
    parser.add_argument("--venvs", type=Path, default=peers.VENVS, help="the peers' environments")
    parser.add_argument(
        "--keep", type=Path, help="a folder; the same call goes on from what is there"
    )
    parser.add_argument("--install", action="store_true", help="make KerasTuner's environment")
    parser.add_argument("--write", action="store_true", help="put the section into RESULTS.md")
    options = parser.parse_args()
    if options.seeds < 2:
        parser.error("--seeds must be at least 2.")
    return options


def drawn(seed: int) -> dict[str, Any]:
    chance = random.Random(f"promotion {seed}")
    rate = 10 ** chance.uniform(math.log10(3e-4), math.log10(1e-2))
    return {"learning_rate": rate, "units": chance.choice([32, 64, 128, 256])}


def kept_data(folder: Path) -> Path:
    """Write the images where both ends read them."""
    import numpy as np

    from luthier.datasets import fashion_mnist

    data = fashion_mnist()
    (x, y), (x_val, y_val) = data.train, data.validation
    path = folder / "data.npz"
    held = (x_val[:HELD_OUT], y_val[:HELD_OUT])
    names = ("x", "y", "x_val", "y_val", "batch")
    parts = (x[:IMAGES], y[:IMAGES], *held, np.array(BATCH))
    np.savez(path, **dict(zip(names, parts, strict=True)))
    return path


# -- Luthier -----------------------------------------------------------------------------------------


def luthier_curves(
    arm: str, configurations: list[dict[str, Any]], cosine: int, data: Path, where: Path
) -> list[list[float]]:
    """Return the validation accuracy of each configuration after each epoch."""
    import keras
    import numpy as np
    from peers.keras_tuner_promotion import built

    import luthier as lt
    from luthier.run.opening import open_study
    from luthier.run.worker import work
    from luthier.schedule import SCHEDULERS

    arrays = np.load(data)
    pairs = ((arrays["x"], arrays["y"]), (arrays["x_val"], arrays["y_val"]))

    def train(trial: lt.Trial) -> None:
        keras.utils.set_random_seed(trial.seed)
        forget = [forgets(trial.from_step)] if arm == "Luthier that forgets" else []
        model = built(trial.configuration, cosine)
        lt.keras.fit(trial, model, pairs, batch_size=BATCH, callbacks=forget)

    def forgets(start: int) -> keras.callbacks.Callback:
        """Set all that the optimizer has learned to zero where a promoted trial goes on.

        *start* is no attribute: Luthier would restore that from the checkpoint, too.
        """

        class Forgets(keras.callbacks.Callback):
            def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
                optimizer = self.model.optimizer
                if epoch and epoch == start:
                    rate = getattr(optimizer, "_learning_rate", None)
                    for variable in optimizer.variables:
                        if variable is not rate:
                            variable.assign(keras.ops.zeros_like(variable))

        return Forgets()

    rungs = RUNGS[-1:] if arm == "Luthier, uninterrupted" else RUNGS
    SCHEDULERS["climbing"] = climbing()
    study = open_study(
        "promotion",
        {"learning_rate": lt.Float(1e-5, 1.0, scale="log"), "units": lt.Int(1, 512)},
        maximize="val_accuracy",
        scheduler=SCHEDULERS["climbing"](rungs, len(configurations)),
        storage=where,
    )
    for configuration in configurations if not study.trials else ():
        study.enqueue(configuration)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", lt.LuthierWarning)  # of the cosine: it is what is measured
        work(study, train)
    return [trial.curve("val_accuracy") for trial in study.trials]


def climbing() -> type:
    """Return a scheduler under which every trial climbs all rungs, as if always the best."""
    from dataclasses import dataclass

    from luthier.study import protocols as of

    @dataclass(frozen=True)
    class Climbing:
        rungs: tuple[int, ...]
        trials: int

        @property
        def promotes(self) -> bool:
            return True

        def plan(self, limits: of.Limits) -> of.Plan:
            rungs = tuple(of.Rung(self.trials, step) for step in self.rungs)
            return of.Plan((of.Bracket(0, "all", rungs),))

        def next(self, history: Any, limits: of.Limits) -> of.Move:
            if len(history.trials) < self.trials:
                return of.Start(self.rungs[0])
            for number, trial in sorted(history.paused.items()):
                return of.Resume(number, min(s for s in self.rungs if s > trial.step))
            return of.Wait() if history.active else of.Done("all have climbed")

        def judge(self, history: Any, trial: Any) -> of.Verdict:
            if trial.step < trial.to_step:
                return of.GO_ON
            return of.COMPLETE if trial.step >= self.rungs[-1] else of.PAUSE

        def dropped(self, history: Any, limits: of.Limits) -> list[tuple[int, str]]:
            return []

    return Climbing


def own_versions() -> list[str]:
    import keras
    import torch

    import luthier

    return [
        f"Luthier {luthier.__version__}",
        f"keras {keras.__version__}",
        f"torch {torch.__version__}",
    ]


# -- the words ---------------------------------------------------------------------------------------


def section(
    curves: dict[str, dict[str, list[list[float]]]],
    seeds: int,
    versions: list[str],
    skipped: list[str],
    same: bool,
) -> str:
    lines = [
        "## Promotion",
        "",
        *conditions("keras_tuner_promotion.py", versions),
        "",
        f"{seeds} configurations (Adam, learning rate 3e-4 to 1e-2, 32 to 256 units), each on its own "
        f"seed, up the rungs {', '.join(map(str, RUNGS))}; {IMAGES} images of Fashion-MNIST, validation "
        f"accuracy in % on {HELD_OUT}, median over the configurations:",
        "",
    ]
    after = [r + 1 for r in RUNGS[:-1]]
    heads = [f"epoch {e}, the first after a promotion" for e in after] + [f"epoch {RUNGS[-1]}"]
    for schedule, found in curves.items():
        lines += [
            f"| {schedule} learning rate | {' | '.join(heads)} |",
            f"|---|{'--:|' * len(heads)}",
        ]
        for arm, own in found.items():
            cells = [f"{100 * median([c[e - 1] for c in own]):.2f}" for e in (*after, RUNGS[-1])]
            lines.append(f"| {arm} | {' | '.join(cells)} |")
        lines.append("")
        for better, worse in PAIRS:
            cells = [difference(found[better], found[worse], e) for e in (*after, RUNGS[-1])]
            lines.append(
                f"- {better} minus {worse.removeprefix('KerasTuner, ')}: {'; '.join(cells)}"
            )
        lines.append("")
    lines += [
        "Differences are medians of the pairs in percentage points [95 % bootstrap interval], after the "
        f"epochs {', '.join(map(str, (*after, RUNGS[-1])))}.",
        "",
        f"Keras' warnings about optimizer state that KerasTuner did not restore: {len(skipped)}"
        + (f", such as: {skipped[0].strip().splitlines()[0]}" if skipped else "."),
        "",
        verdict(
            "Luthier's promoted runs are the uninterrupted ones, bit for bit",
            same,
            "so" * same or "not so",
        ),
    ]
    return "\n".join(lines) + "\n"


def difference(better: list[list[float]], worse: list[list[float]], epoch: int) -> str:
    gaps = [100 * (a[epoch - 1] - b[epoch - 1]) for a, b in zip(better, worse, strict=True)]
    low, high = bootstrap(gaps)
    return f"{median(gaps):+.2f} [{low:+.2f}, {high:+.2f}]"


def bootstrap(gaps: list[float]) -> tuple[float, float]:
    """Return the 95 % interval of the median over resampled pairs."""
    import numpy as np

    draws = np.random.default_rng(0).choice(gaps, (10_000, len(gaps)))
    low, high = np.quantile(np.median(draws, axis=1), [0.025, 0.975])
    return float(low), float(high)


def median(values: list[float]) -> float:
    import numpy as np

    return float(np.median(values))


if __name__ == "__main__":
    sys.exit(main())
