"""Importance beside Optuna's: seconds of processor time on one core, and how far from the truth.

    python benchmarks/importance.py [--trials 1000] [--seeds 3]

Functions whose variance shares are known: Ishigami's (Sobol' indices of Homma & Saltelli 1996), a
weighted sum of ten, and a conditional space. Optuna's evaluators return shares that add up to 1, so the
errors are those of shares divided by their sum; for Luthier's fANOVA the error of the shares as they are
is printed too. PED-ANOVA measures something else than variance: its ranks are compared, not its shares.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import luthier
from luthier import insight
from luthier.space import Choice, Float

ISHIGAMI = {"x": 0.3139, "y": 0.4424, "z": 0.0}
WEIGHTS = {f"x{i}": 10.0 - i for i in range(10)}


def ishigami(c: dict[str, Any]) -> float:
    x, y, z = (2 * math.pi * c[name] - math.pi for name in "xyz")
    return math.sin(x) + 7 * math.sin(y) ** 2 + 0.1 * z**4 * math.sin(x)


def weighted(c: dict[str, Any]) -> float:
    return sum(weight * c[name] for name, weight in WEIGHTS.items())


def conditional(c: dict[str, Any]) -> float:
    return (2 * c["kind.a.p"] if c["kind"] == "a" else 1.0) + c["q"]


UNIT = Float(0.0, 1.0)
SQUARES = sum(w * w for w in WEIGHTS.values())
TASKS: dict[str, tuple[luthier.Space, Callable[[dict[str, Any]], float], dict[str, float]]] = {
    "ishigami": (luthier.Space(x=UNIT, y=UNIT, z=UNIT), ishigami, ISHIGAMI),
    "weighted sum": (
        luthier.Space(dict.fromkeys(WEIGHTS, UNIT)),
        weighted,
        {name: w * w / SQUARES for name, w in WEIGHTS.items()},
    ),
    "conditional": (
        luthier.Space(
            kind=Choice({"a": luthier.Space(p=UNIT), "b": luthier.Space(r=UNIT)}), q=UNIT
        ),
        conditional,
        {"kind": 0.0, "kind.a.p": 2 / 3, "kind.b.r": 0.0, "q": 1 / 3},
    ),
}


def study_of(task: str, trials: int, seed: int) -> Any:
    space, objective, _ = TASKS[task]
    study = luthier.open(
        f"{task} {trials} {seed}", space, minimize="loss", searcher="random", seed=seed,
        storage="memory",
    )  # fmt: skip
    for _ in range(trials):
        trial = study.ask()
        study.tell(trial, loss=objective(trial.configuration))
    return study


def optuna_of(task: str, study: Any) -> Any:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    space = TASKS[task][0]
    real = optuna.distributions.FloatDistribution(0.0, 1.0)
    choice = optuna.distributions.CategoricalDistribution(["a", "b"])
    known = {name: choice if name == "kind" else real for name in space.searched}
    made = optuna.create_study()
    for t in study.trials:
        made.add_trial(
            optuna.create_trial(
                params=dict(t.configuration),
                distributions={n: known[n] for n in t.configuration},
                value=t.best_loss,
            )
        )
    return made


def error(found: dict[str, float], true: dict[str, float], *, scaled: bool) -> float:
    """Return the largest error of any share."""
    whole = sum(found.values()) or 1.0
    total = sum(true.values()) or 1.0
    if not scaled:
        return max(abs(found.get(n, 0.0) - v) for n, v in true.items())
    return max(abs(found.get(n, 0.0) / whole - v / total) for n, v in true.items())


def concordance(found: dict[str, float], true: dict[str, float]) -> float:
    """Return the share of the pairs with different true shares that come in the right order."""
    pairs = [(a, b) for a in true for b in true if true[a] > true[b]]
    return float(np.mean([found.get(a, 0.0) > found.get(b, 0.0) for a, b in pairs]))


def timed(question: Callable[[], dict[str, float]]) -> tuple[float, dict[str, float]]:
    begin = time.process_time()
    found = question()
    return time.process_time() - begin, found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    rows: dict[tuple[str, str], list[tuple[float, float, float, float]]] = {}
    for task, (_, _, true) in TASKS.items():
        for seed in range(arguments.seeds):
            study = study_of(task, arguments.trials, seed)
            for name, question in questions(task, study).items():
                if seed == 0 and not name.startswith("Optuna Fanova"):  # that takes long enough
                    question()  # imports
                seconds, found = timed(question)
                row = (
                    seconds,
                    error(found, true, scaled=False),
                    error(found, true, scaled=True),
                    concordance(found, true),
                )
                rows.setdefault((task, name), []).append(row)
                print(task, seed, name, *(f"{x:.3f}" for x in row), flush=True)
    print(f"{arguments.trials} trials, medians of {arguments.seeds} seeds")
    print(
        "| function | method | s | error of a share | the same, shares adding up to 1 | pairs in order |"
    )
    print("|---|---|---|---|---|---|")
    for (task, name), found in rows.items():
        s, raw, scaled, order = np.median(np.array(found), axis=0)
        if name == "luthier interactions":  # other quantities: only their time is of interest
            print(f"| {task} | {name} | {s:.3f} | | | |")
            continue
        variance = "fanova" in name.lower()
        own = f"{raw:.3f}" if name == "luthier fanova" else ""
        print(
            f"| {task} | {name} | {s:.3f} | {own} | {f'{scaled:.3f}' if variance else ''} | {order:.2f} |"
        )


def questions(task: str, study: Any) -> dict[str, Callable[[], dict[str, float]]]:
    history = study.history
    found: dict[str, Callable[[], dict[str, float]]] = {
        "luthier fanova": lambda: {i.name: i.share for i in insight.importance(history)},
        "luthier ped_anova": lambda: {
            i.name: i.share for i in insight.importance(history, "ped_anova")
        },
        "luthier interactions": lambda: {
            str(p.names): p.share for p in insight.interactions(history)
        },
    }
    try:
        import optuna
        import sklearn  # noqa: F401
    except ImportError:
        return found
    other = optuna_of(task, study)
    params = None if task != "conditional" else ["kind", "q"]  # others are not in every trial
    kinds = optuna.importance
    for name, evaluator in (
        ("Optuna Fanova", kinds.FanovaImportanceEvaluator(seed=0)),
        ("Optuna PedAnova", kinds.PedAnovaImportanceEvaluator()),
    ):
        found[name] = lambda e=evaluator: kinds.get_param_importances(
            other, evaluator=e, params=params
        )
    return found


if __name__ == "__main__":
    main()
