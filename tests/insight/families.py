"""How runs are made to misbehave: a family a way, its details drawn by the run's own seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256

import numpy as np
from training_runs import Recipe

Draw = np.random.Generator
POOL = {"fashion": 600, "digits": 600, "cancer": 260}
VALIDATION = {"fashion": 400, "digits": 300, "cancer": 100}
GOOD = {"adam": 2e-3, "sgd": 2e-2}  # sgd with momentum 0.9


def recipe(family: str, index: int) -> Recipe:
    """Return the recipe of a run; the same name always gives the same one."""
    seed = int.from_bytes(sha256(f"{family} {index}".encode()).digest()[:4], "big") % 2**31
    draw = np.random.default_rng(seed)
    return replace(FAMILIES[family](draw), seed=seed % 10**6)


def _sound(draw: Draw, data: str | None = None, examples: int | None = None, **more) -> Recipe:
    """Return settings that work; *more* spoils them."""
    data = data or str(draw.choice(["fashion", "fashion", "digits", "digits", "cancer"]))
    optimizer = more.pop("optimizer", None) or str(draw.choice(["adam", "sgd"]))
    factor = more.pop("factor", draw.uniform(0.6, 1.6))
    return Recipe(
        data,
        min(examples or POOL[data], POOL[data]),
        validation=more.pop("validation", VALIDATION[data]),
        widths=more.pop("widths", None) or (int(draw.choice([32, 48, 64])),),
        optimizer=optimizer,
        rate=GOOD[optimizer] * factor,
        schedule=more.pop("schedule", str(draw.choice(["constant", "cosine"]))),
        batch=more.pop("batch", int(draw.choice([16, 32, 64]))),
        running=bool(draw.random() < 0.75),
        **more,
    )


def _log(draw: Draw, low: float, high: float) -> float:
    return float(np.exp(draw.uniform(np.log(low), np.log(high))))


def healthy(draw: Draw) -> Recipe:
    dropout = float(draw.choice([0.0, 0.2, 0.3]))
    return _sound(
        draw, epochs=int(draw.integers(15, 40)), dropout=dropout, schedule="cosine",
        decay=float(draw.choice([1e-3, 3e-3])), factor=draw.uniform(0.5, 1.5),
    )  # fmt: skip


def rate_too_high(draw: Draw) -> Recipe:
    optimizer = str(draw.choice(["adam", "sgd"]))
    return _sound(
        draw, "fashion", epochs=int(draw.integers(15, 40)), schedule="constant",
        factor=_log(draw, 8, 30) if optimizer == "adam" else _log(draw, 4, 10),
        optimizer=optimizer, batch=int(draw.choice([16, 32])), decay=_log(draw, 1e-3, 5e-3),
        noise=float(draw.choice([0.0, 0.0, 0.1])),
    )  # fmt: skip


def blown_up(draw: Draw) -> Recipe:
    optimizer = str(draw.choice(["adam", "sgd", "sgd"]))
    factor = _log(draw, 1e3, 3e4) if optimizer == "adam" else _log(draw, 60, 3000)
    return _sound(
        draw, epochs=int(draw.integers(10, 40)), schedule="constant", factor=factor,
        optimizer=optimizer, widths=(64, 64),
    )  # fmt: skip


def rate_far_too_low(draw: Draw) -> Recipe:
    return _sound(
        draw, epochs=int(draw.integers(10, 30)), schedule="constant", scale=0.3,
        factor=_log(draw, 1e-5, 1e-3), batch=64,
    )  # fmt: skip


def dead(draw: Draw) -> Recipe:
    """Every weight zero: no slope reaches the hidden layers, the answers stay the same."""
    return _sound(draw, epochs=int(draw.integers(10, 40)), scale=0.0, widths=(64, 64))


def slow(draw: Draw) -> Recipe:
    return _sound(
        draw, epochs=int(draw.integers(10, 40)), schedule="constant",
        factor=_log(draw, 0.02, 0.12), batch=64,
    )  # fmt: skip


def stopped_early(draw: Draw) -> Recipe:
    data = str(draw.choice(["fashion", "digits"]))
    return _sound(
        draw, data, POOL[data] // 3, epochs=int(draw.integers(10, 13)), schedule="constant",
        factor=draw.uniform(0.2, 0.5), batch=64,
    )  # fmt: skip


def tiny_net(draw: Draw) -> Recipe:
    data = str(draw.choice(["fashion", "digits"]))
    return _sound(
        draw, data, epochs=int(draw.integers(30, 70)), widths=(int(draw.integers(1, 5)),),
        schedule="cosine", factor=draw.uniform(3, 8),
    )  # fmt: skip


def frozen_layer(draw: Draw) -> Recipe:
    data = str(draw.choice(["fashion", "digits"]))
    return _sound(
        draw, data, epochs=int(draw.integers(30, 60)), widths=(int(draw.integers(6, 14)),) * 2,
        frozen=True, schedule="cosine", factor=draw.uniform(3, 8),
    )  # fmt: skip


def over_regularised(draw: Draw) -> Recipe:
    data = str(draw.choice(["fashion", "digits"]))
    return _sound(
        draw, data, epochs=int(draw.integers(20, 50)), decay=_log(draw, 0.05, 0.3),
        schedule="cosine", factor=draw.uniform(1, 3),
    )  # fmt: skip


def tiny_train_set(draw: Draw) -> Recipe:
    data = str(draw.choice(["fashion", "fashion", "digits", "cancer"]))
    return _sound(
        draw, data, int(draw.integers(50, 200)), epochs=int(draw.integers(40, 100)),
        widths=(int(draw.choice([96, 128])),), batch=16, schedule="constant",
        factor=draw.uniform(1, 2.5),
    )  # fmt: skip


def label_noise(draw: Draw) -> Recipe:
    return _sound(
        draw, examples=int(draw.integers(200, 600)), epochs=int(draw.integers(25, 60)),
        widths=(int(draw.choice([96, 128])),), noise=draw.uniform(0.2, 0.5),
        factor=draw.uniform(1, 2),
    )  # fmt: skip


def shuffled_labels(draw: Draw) -> Recipe:
    return _sound(
        draw, examples=int(draw.integers(200, 800)), epochs=int(draw.integers(20, 60)),
        widths=(int(draw.choice([16, 64, 128])),), noise=1.0, factor=draw.uniform(0.3, 2),
    )  # fmt: skip


def ascent_late(draw: Draw) -> Recipe:
    """A sign goes wrong after some epochs: what was learned is lost again."""
    return _sound(
        draw, epochs=int(draw.integers(15, 50)), schedule="constant", ascent=draw.uniform(0.35, 0.65),
        ascent_factor=_log(draw, 0.3, 1.5), optimizer="adam", batch=64,
    )  # fmt: skip


def wrong_sign(draw: Draw) -> Recipe:
    return _sound(
        draw, epochs=int(draw.integers(10, 30)), schedule="constant", ascent=0.0,
        factor=_log(draw, 0.003, 1), batch=64,
    )  # fmt: skip


def growing_rate(draw: Draw) -> Recipe:
    optimizer = str(draw.choice(["adam", "adam", "sgd"]))
    growth = _log(draw, 150, 800) if optimizer == "adam" else _log(draw, 15, 60)
    return _sound(
        draw, "fashion", batch=16, decay=1e-3, epochs=int(draw.integers(20, 50)), factor=0.5,
        schedule="growing", growth=growth, optimizer=optimizer,
    )  # fmt: skip


def tiny_validation_set(draw: Draw) -> Recipe:
    return _sound(
        draw, "fashion", epochs=int(draw.integers(15, 40)), validation=int(draw.integers(12, 45)),
        schedule="constant", factor=draw.uniform(0.5, 1.2), batch=32, dropout=0.2,
        decay=float(draw.choice([1e-3, 3e-3])),
    )  # fmt: skip


def far_too_long(draw: Draw) -> Recipe:
    return _sound(
        draw, epochs=int(draw.integers(40, 60)), schedule="early", factor=draw.uniform(1, 2),
        batch=32, decay=float(draw.choice([1e-3, 3e-3])),
    )  # fmt: skip


FAMILIES: dict[str, Callable[[Draw], Recipe]] = {
    f.__name__.replace("_", " "): f
    for f in (
        healthy, rate_too_high, blown_up, rate_far_too_low, dead, slow, stopped_early, tiny_net,
        frozen_layer, over_regularised, tiny_train_set, label_noise, shuffled_labels, ascent_late,
        wrong_sign, growing_rate, tiny_validation_set, far_too_long,
    )
}  # fmt: skip

COPIES = {
    "rate too high": 4, "ascent late": 4, "growing rate": 3, "wrong sign": 3, "tiny validation set": 3,
    "label noise": 2, "tiny train set": 2, "healthy": 2, "stopped early": 2,
}  # fmt: skip
"""How many runs of a family there are for one of each other."""
