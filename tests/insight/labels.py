"""What ails a run, found by measurements and further runs that its own curve does not hold.

The criteria are listed in ``make_curves.py``.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from families import GOOD
from training_runs import Recipe, Run, parts_of, reference, train

Labels = dict[str, bool]
TINY = 60  # examples in a validation set


def labelled(recipe: Recipe) -> tuple[Run, Labels, dict[str, float]]:
    """Return the run, its labels, and the numbers that they come from."""
    epochs, cut = recipe.epochs, (2 * recipe.epochs) // 3
    run = train(recipe, keep=(cut, epochs))
    labels = np.bincount(parts_of(recipe)[0][1])
    shares = labels[labels > 0] / labels.sum()
    constant = float(-(shares * np.log(shares)).sum())
    clean = np.array(run.clean_train)
    lowest, end = float(np.nanmin(clean)), _end(clean)
    untrained = train(replace(recipe, rate=0.0, epochs=1)).clean_train[0]
    truth = {"constant": constant, "clean_end": end, "clean_lowest": lowest}
    found = Labels()
    finite = all(np.isfinite(run.reported[n]).all() for n in ("loss", "val_loss"))
    _decide(
        found,
        "diverging",
        not finite or end > 2 * constant,
        finite and end < 1.1 * max(constant, untrained),
    )
    if found.get("diverging"):
        sound = replace(recipe, rate=GOOD[recipe.optimizer], schedule="constant")
        truth["sound"] = _end(np.array(train(sound).clean_train))
        if recipe.ascent > 1 and not truth["sound"] < constant:
            del found["diverging"]
    if found.get("diverging"):
        return run, found, truth
    spoilt = recipe.ascent < 1 or recipe.schedule == "growing"
    rise = (float(np.min(clean[-max(2, len(clean) // 10) :])) - lowest) / constant
    truth["rise"] = rise
    _decide(
        found, "train loss rising", spoilt and rise > 0.1, rise < 0.02 if spoilt else rise < 0.04
    )
    if spoilt or found.get("train loss rising") or run.held_out[-1] > 5 * constant:
        return run, found, truth
    fell = (float(np.min(clean[: len(clean) // 3])) - lowest) / constant
    nothing = lowest > 0.95 * constant and fell < 0.02
    _decide(found, "not learning", nothing, lowest < 0.8 * constant)
    if found.get("not learning", True):
        return run, found, truth
    _sound_run(recipe, run, found, truth, cut)
    return run, found, truth


def _sound_run(recipe: Recipe, run: Run, found: Labels, truth: dict[str, float], cut: int) -> None:
    epochs, end, held = recipe.epochs, truth["clean_end"], np.array(run.held_out)
    small = 0.01 * truth["constant"]

    later = train(recipe, start=run.states[epochs], begin=epochs, end=epochs + epochs // 2)
    best, best_later = _lowest(held), _lowest(np.array([*held, *later.held_out]))
    gain = (best - best_later) / best
    truth["gain"] = gain
    _decide(found, "still improving", gain > 0.05 and best - best_later > small, gain < 0.01)

    first = _lowest(held[: max(epochs // 3, 1)])
    behind = first / best - 1
    truth["first_third"] = behind
    if epochs >= 12:
        _decide(found, "saturated early", behind < 0.01, behind > 0.05 and first - best > small)

    remaining = epochs - cut
    calm = train(
        recipe, start=run.states[cut], begin=cut,
        rates=lambda e: recipe.rate_at(e) * 0.5 * (1 + np.cos(np.pi * (e - cut) / remaining)),
    )  # fmt: skip
    calmed = float(np.mean(calm.clean_train[-2:]))
    truth["calmed"] = calmed / end
    truth["calmed_held_out"] = float(np.mean(calm.held_out[-2:]) / _end(held))
    helps = calmed < 0.75 * end and truth["calmed_held_out"] < 0.98 and end - calmed > small
    _decide(found, "step too large late", helps, calmed > 0.92 * end or end - calmed < 0.2 * small)

    risen = _end(held) / best - 1
    truth["risen"] = risen
    fell = np.mean(run.clean_train[-3:]) < run.clean_train[int(np.argmin(held))]
    if risen > 0.1 and fell:
        more = train(replace(recipe, examples=4 * recipe.examples, noise=0.0))
        truth["more_data"] = _end(np.array(more.held_out)) / _end(held)
    _decide(found, "overfitting", truth.get("more_data", 1.0) < 0.95, risen < 0.02)

    larger = train(reference(recipe))
    truth["larger"] = end / max(_end(np.array(larger.clean_train)), small)
    truth["larger_held_out"] = _lowest(np.array(larger.held_out)) / best
    helped = min(calmed, _end(np.array(later.clean_train))) / end
    truth["helped"] = helped
    lower = end * (1 - 1 / truth["larger"]) if truth["larger"] > 0 else 0.0
    could = truth["larger"] > 1.6 and lower > 5 * small and truth["larger_held_out"] < 0.93
    settled = found.get("still improving") is False and not found.get("step too large late")
    stays = truth["larger"] * helped > 1.4 and settled
    within = truth["larger"] < 1.2 or truth["larger_held_out"] > 0.98
    _decide(found, "underfitting", could and stays, within)

    jumps, held_jumps = _jumps(run.reported["val_accuracy"]), _jumps(run.held_out_accuracy)
    ratio = jumps / max(held_jumps, 1e-3)
    truth["jumps"], truth["jumps_ratio"] = jumps, ratio
    tiny = recipe.validation <= TINY
    _decide(
        found,
        "noisy validation",
        tiny and ratio > 2 and jumps > 0.01,
        not tiny and (ratio < 1.4 or jumps < 0.01),
    )

    if found.get("step too large late"):  # a loss that jumps is lowest, and last, by luck
        for kind in ("still improving", "saturated early", "overfitting"):
            found.pop(kind, None)


def _decide(found: Labels, name: str, yes: bool, no: bool) -> None:
    if yes or no:
        found[name] = bool(yes)


def _end(values: np.ndarray) -> float:
    """Return the mean of the last tenth, of two epochs at least."""
    return float(np.mean(values[-max(2, len(values) // 10) :]))


def _lowest(values: np.ndarray) -> float:
    """Return the lowest of the medians of three epochs in a row: not one lucky epoch."""
    padded = np.array([values[0], *values, values[-1]])
    return float(np.median([padded[:-2], padded[1:-1], padded[2:]], axis=0).min())


def _jumps(values: list[float]) -> float:
    """Return by how much an epoch differs from the mean of its neighbours, root mean square.

    Of the last two thirds; for independent noise it is √1.5 of its standard deviation.
    """
    late = np.array(values[len(values) // 3 :])
    return float(np.sqrt(np.mean((late[1:-1] - (late[:-2] + late[2:]) / 2) ** 2)))
