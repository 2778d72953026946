"""Which reported metric is what: the one place that knows how frameworks name them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

from luthier.insight.diagnosis.curves import SHARES, Curves, curves
from luthier.study.objective import Objective
from luthier.study.records import TrialRecord

VALIDATION = ("validation", "valid", "val", "dev", "eval", "test", "heldout", "held_out")
TRAINING = ("training", "train", "tr")
LOSSES = (
    "loss", "cross_entropy", "crossentropy", "nll", "ce", "bce", "perplexity", "ppl",
    "mse", "rmse", "mae", "logloss", "log_loss",
)  # fmt: skip
RISING = (
    "accuracy", "acc", "top1", "balanced_accuracy", "auc", "auroc", "f1", "f1_score", "precision",
    "recall", "iou", "dice", "bleu", "map", "r2", "score",
)  # fmt: skip
FALLING = ("error", "err", "error_rate", "wer", "cer", "fid")


def split(name: str) -> tuple[str, str]:
    """Return the part of the data (``"validation"``, ``"train"`` or ``""``) and the bare name.

    >>> split("val_loss"), split("train/acc"), split("accuracy")
    (('validation', 'loss'), ('train', 'acc'), ('', 'accuracy'))
    """
    plain = re.sub(r"[^0-9a-z]+", "_", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()).strip("_")
    for part, words in (("validation", VALIDATION), ("train", TRAINING)):
        for word in words:
            if plain.startswith(f"{word}_"):
                return part, plain[len(word) + 1 :]
            if plain.endswith(f"_{word}"):
                return part, plain[: -len(word) - 1]
    return "", plain


def is_loss(bare: str) -> bool:
    """Return whether a bare name is that of something that training lowers."""
    return bare in LOSSES or bare.endswith("_loss")


def curves_of(
    trial: TrialRecord,
    objective: Objective | None = None,
    *,
    classes: int | None = None,
) -> Curves:
    """Return a trial's curves, found by the names of its metrics.

    A name without a part (Keras: ``loss``, ``accuracy``) is of the training set where any other name
    says that it is of the validation set; else the objective is taken to be of the validation set,
    and a loss beside it of the training set.

    Args:
        objective: what the study is judged by; it decides which metric is read where there are
            several, and which way is better.
    """
    names = list(dict.fromkeys(name for reported in trial.names for name in reported))
    of = {name: split(name) for name in names}
    target = objective.metric if objective is not None else ""
    some_validation = any(part == "validation" for part, _ in of.values())
    for name, (part, bare) in of.items():
        if not part:
            held_out = not some_validation and (name == target or not is_loss(bare))
            of[name] = ("validation" if held_out else "train", bare)
    loss = _chosen((b for _, b in of.values() if is_loss(b)), of.get(target, ("", ""))[1], LOSSES)
    metric = _chosen(
        (b for _, b in of.values() if not is_loss(b) and _is_metric(b, of, target)),
        of.get(target, ("", ""))[1],
        RISING + FALLING,
    )
    by_role = {role: name for name, role in reversed(of.items())}
    if target in of:
        by_role[of[target]] = target
    rises = metric not in FALLING
    if objective is not None and of.get(target, ("", ""))[1] == metric:
        rises = objective.direction == "maximize"

    def found(part: str, bare: str | None) -> list[float] | None:
        name = by_role.get((part, bare or ""))
        return _curve(trial, name, broken=name == target or is_loss(of[name][1])) if name else None

    train, validation = found("train", metric), found("validation", metric)
    shown = [v for v in (*(train or ()), *(validation or ())) if math.isfinite(v)]
    if metric in SHARES and 1 < max(shown, default=0.0) <= 100:  # per cent
        train, validation = (m and [v / 100 for v in m] for m in (train, validation))
    return curves(
        train_loss=found("train", loss),
        validation_loss=found("validation", loss),
        train_metric=train,
        validation_metric=validation,
        epochs=list(trial.steps),
        metric=metric or "metric",
        loss=loss or "loss",
        rises=rises,
        classes=classes,
        nan_diverged=False,
    )


def _curve(trial: TrialRecord, name: str, *, broken: bool) -> list[float]:
    """Return a metric: NaN where it was not reported, infinite where what was is no number.

    The latter where *broken* says that it matters; else NaN says that it was not measured.
    """
    values = zip(trial.curve(name), trial.names, strict=True)
    no_number = math.inf if broken else math.nan
    return [v if math.isfinite(v) or name not in names else no_number for v, names in values]


def _is_metric(bare: str, of: dict[str, tuple[str, str]], target: str) -> bool:
    return bare in RISING + FALLING or (target in of and of[target][1] == bare)


def _chosen(bare: Iterable[str], wanted: str, known: tuple[str, ...]) -> str | None:
    """Return the objective's own name where it is among them, else the best known, else the first."""
    found = list(dict.fromkeys(bare))
    if wanted in found:
        return wanted
    ranks = {name: rank for rank, name in enumerate(known)}
    return min(found, key=lambda name: ranks.get(name, math.inf), default=None)
