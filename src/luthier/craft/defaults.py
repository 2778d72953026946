"""The space to start from: what an experienced tuner writes down for a dense net before the first trial."""

from __future__ import annotations

from collections.abc import Sequence

from luthier.craft import batch_size as batches
from luthier.craft import momentum, regularisation, width
from luthier.craft.optimizers import checked_optimizer, is_adaptive
from luthier.errors import SpaceError
from luthier.space import Choice, Constant, Float, Space
from luthier.space.domains import Domain


def learning_rate(optimizer: str) -> Float:
    """Return the learning rate's range before a range finder has said better.

    SGD: 1e-4 to 1 (Andrew Ng, "Improving Deep Neural Networks", week 3), default 1e-2. Adam and its kin,
    and RMSprop: 1e-5 to 1e-1, default 1e-3 (Kingma & Ba 2014, algorithm 1).

    Raises:
        SpaceError: an optimizer that the craft does not know.
    """
    if is_adaptive(optimizer):
        return Float(1e-5, 1e-1, scale="log", default=1e-3)
    return Float(1e-4, 1.0, scale="log", default=1e-2)


def space(
    inputs: int,
    outputs: int,
    examples: int,
    optimizer: str | Sequence[str] = "adamw",
    *,
    classifies: bool | None = None,
    trials: int | None = None,
    rate: Float | None = None,
    batch_size: int | None = None,
    layers: tuple[int, int] = (1, 4),
    families: Sequence[width.Family] = ("constant",),
) -> Space:
    """Return the joint space of a dense net, in the order in which its hyperparameters are tuned.

    ``learning_rate``; ``momentum``, or ``beta_1``, ``beta_2`` and ``epsilon``, or ``rho`` and ``epsilon``;
    ``batch_size``; ``units``; ``layers``; ``decay``, the learning rate at the end of training as a share of
    that at the start (1: constant); ``weight_decay``; ``dropout``; for classes ``label_smoothing``.
    ``lint(space, data_size=examples)`` has nothing to say about it.

    Args:
        inputs: numbers in one example.
        outputs: numbers that the net returns; for classes how many there are.
        examples: how many training examples there are.
        optimizer: as for ``luthier.craft.momentum.domains``. Several: a choice, where each has its own
            ``learning_rate``, momenta and ``weight_decay``, for their good values differ by orders.
        classifies: True for classes; by default with two outputs or more.
        trials: how many trials there will be; few leave the optimizer's lesser
            hyperparameters at their defaults, as constants.
        rate: the learning rate's range from a range finder, for one optimizer.
        batch_size: what was measured (``luthier.craft.batch_size.find``), which is then fixed; None:
            searched.
        layers: the fewest and the most hidden layers.
        families: shapes of the hidden layers; see ``luthier.craft.width``.

    Raises:
        SpaceError: sizes that cannot be, an unknown optimizer, or a *rate* for several.
    """
    names = [optimizer] if isinstance(optimizer, str) else list(dict.fromkeys(optimizer))
    if not names or (rate is not None and len(names) > 1):
        raise SpaceError(
            f"optimizer={optimizer!r}, rate={rate!r}: expected one optimizer or several, and a rate only "
            "for one."
        )
    classes = outputs if (outputs > 1 if classifies is None else classifies) else None
    moves = {checked_optimizer(name): _optimizer(name, trials, rate) for name in names}
    net = width.domains(inputs, outputs, layers=layers, families=families)
    shared = regularisation.domains(names[0], classes)
    found: dict[str, Domain] = {}
    if len(moves) == 1:
        found |= next(iter(moves.values()))
        decay = {"weight_decay": found.pop("weight_decay")}
    else:
        found["optimizer"] = Choice({name: Space(each) for name, each in moves.items()})
        decay = {}
    if batch_size is None:
        found |= batches.domains(examples)
    else:
        found["batch_size"] = Constant(batch_size)
    found["units"] = net.pop("units")
    found |= net
    found["decay"] = Float(1e-3, 1.0, scale="log", default=1.0)
    found |= decay
    found |= {name: domain for name, domain in shared.items() if name != "weight_decay"}
    return Space(found)


def _optimizer(name: str, trials: int | None, rate: Float | None) -> dict[str, Domain]:
    return {
        "learning_rate": rate or learning_rate(name),
        **momentum.domains(name, trials),
        "weight_decay": regularisation.domains(name)["weight_decay"],
    }
