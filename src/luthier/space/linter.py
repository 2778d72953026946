"""What an experienced tuner would say about a space before the first trial."""

from __future__ import annotations

import math
import re

from luthier.space.options import Choice
from luthier.space.ranges import Float, Int
from luthier.space.space import Space

# No alpha: besides the learning rate it is scikit-learn's L2, XGBoost's L1, mixup's and LeakyReLU's.
_RATE = re.compile(r"(^|_)(lr|learning_rate|eta)(_|$)|learning_?rate", re.IGNORECASE)
_LOG = re.compile(
    r"(^|_)(weight_decay|decay|wd|epsilon|eps|l1|l2|lambda|reg_alpha|regulari[sz]ation)(_|$)",
    re.IGNORECASE,
)
_MOMENTUM = re.compile(r"(^|_)(momentum|beta|beta_?[12]|rho)(_|$)", re.IGNORECASE)
# lr_patience, lr_decay, learning_rate_factor: about a schedule, and no rate itself.
_ABOUT = re.compile(
    r"(^|_)(decay|drop|factor|gamma|mult\w*|ratio|scale|power|schedul\w*|patience|warm_?up|cycles?|"
    r"epochs?|steps?|every|interval)(_|$)",
    re.IGNORECASE,
)
_BARE = re.compile(r"^decay$|weight_decay", re.IGNORECASE)  # decay that is a penalty
_DROPOUT = re.compile(r"drop_?out|(^|_)drop(_|$)", re.IGNORECASE)
_BATCH = re.compile(r"batch_?size|(^|_)batch(_|$)", re.IGNORECASE)


def lint(space: Space, *, data_size: int | None = None) -> list[str]:
    """Return a sentence for each hyperparameter whose range looks wrong, with the fix.

    Args:
        space: what will be searched.
        data_size: number of training examples, when it is known.
    """
    sentences: list[str] = []
    for key, domain in space.domains.items():
        name = Space.short(key)
        if isinstance(domain, Float | Int):
            sentences += [f"{key}: {words}" for words in _range(name, domain, data_size)]
        elif isinstance(domain, Choice):
            sentences += [f"{key}: {words}" for words in _choice(name, domain, data_size)]
    return sentences


def _range(name: str, domain: Float | Int, data_size: int | None) -> list[str]:
    low, high = domain.low, domain.high
    words: list[str] = []
    rate = isinstance(domain, Float) and _RATE.search(name) is not None and not _ABOUT.search(name)
    small = _LOG.search(name) is not None and not rate and not _ABOUT.search(_BARE.sub("", name))
    if isinstance(domain, Float) and domain.scale == "linear":
        what = "a learning rate" if rate else "such a small quantity"
        if (rate or small) and low <= 0 < high:
            words.append(
                f"{what} belongs on a log scale, which cannot reach {low:g}: start at "
                f"{high * 1e-4:.0e} and use scale='log'"
            )
        elif (rate and high / low >= 3) or (small and high / low >= 10):
            share = (low * math.sqrt(high / low) - low) / (high - low)
            words.append(
                f"{what} belongs on a log scale: on a linear one only {share:.0%} of the draws lie "
                f"in the lower half of its decades; use scale='log'"
            )
        elif low > 0 and high / low >= 1000:
            words.append(
                f"a linear range over {math.log10(high / low):.0f} decades hardly ever draws from "
                "the small ones; use scale='log'"
            )
    if domain.scale == "log" and high / low < 10 and isinstance(domain, Float):
        words.append(
            f"a log range of {high / low:.1f} to 1 is less than a decade: widen it, or use a "
            "linear scale"
        )
    if rate and high >= 10:
        words.append(
            f"learning rates up to {high:g} diverge in nearly every net; end at 1 or below"
        )
    near_one = isinstance(domain, Float) and 0.99 <= high <= 1
    if near_one and _MOMENTUM.search(name) and domain.scale != "one_minus_log":
        words += [] if domain.step else [_near_one(low, high)]
    return words + _sizes(name, high, data_size)


def _near_one(low: float, high: float) -> str:
    if high == 1:
        return "a value of 1 never forgets: end at 0.999 and use scale='one_minus_log'"
    return (
        f"what matters is 1 - x, from {1 - low:.2g} down to {1 - high:.2g}: use "
        "scale='one_minus_log'"
    )


def _choice(name: str, domain: Choice, data_size: int | None) -> list[str]:
    numbers = [o for o in domain.options if isinstance(o, int | float) and not isinstance(o, bool)]
    words = _sizes(name, max(numbers), data_size) if numbers else []
    small = _RATE.search(name) or _LOG.search(name)
    if small and len(numbers) == len(domain.options) == 2 and min(numbers) > 0:
        low, high = sorted(numbers)
        if high / low >= 100:
            words.append(
                f"a list is a choice, here of {low:g} and {high:g} and nothing between; for a range use "
                f"Float({low:g}, {high:g}, scale='log'), in YAML {{log: [{low:g}, {high:g}]}}"
            )
    if len(numbers) == len(domain.options) and len(numbers) >= 6:
        kind = "Int" if all(isinstance(n, int) for n in numbers) else "Float"
        words.append(
            f"{len(numbers)} numbers as a choice hide their order from the searcher; use "
            f"{kind}({min(numbers):g}, {max(numbers):g}) on the right scale"
        )
    return words


def _sizes(name: str, high: float, data_size: int | None) -> list[str]:
    words: list[str] = []
    if _DROPOUT.search(name) and 0.7 < high <= 1:  # above 1 it is no rate: dropout_layers
        words.append(f"dropout of {high:g} silences most of the layer; end at 0.5 to 0.7")
    if _BATCH.search(name) and data_size is not None and high > data_size:
        words.append(
            f"batches of {high:g} are more than the {data_size} training examples; end at "
            f"{data_size // 4} or below"
        )
    return words


__all__ = ["lint"]
