"""Schedules in PyTorch: they set the rate of each parameter group, and can be saved."""

from __future__ import annotations

from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from luthier.craft.schedules.plateau import Plateau, PlateauState
from luthier.craft.schedules.schedule import Schedule
from luthier.errors import StudyError


class TorchSchedule(LambdaLR):
    """A schedule as PyTorch steps it: after every step of the optimizer.

    Attributes:
        every_batch: True; it tells ``luthier.torch.tune`` to step it after each batch.
    """

    every_batch = True

    def __init__(self, optimizer: Optimizer, schedule: Schedule) -> None:
        self.schedule_values = schedule.to_dict()
        self.horizon = schedule.horizon
        _scale(optimizer, schedule.peak)
        super().__init__(optimizer, lambda step: schedule(step) / schedule.peak)


class PlateauSchedule:
    """Sets an optimizer's rates by a ``Plateau``: call ``step(metric)`` after every evaluation.

    Attributes:
        reads_metric: True; it tells ``luthier.torch.tune`` to step it with ``val_loss``.
    """

    reads_metric = True

    def __init__(self, optimizer: Optimizer, plateau: Plateau) -> None:
        self.optimizer = optimizer
        self.plateau = plateau
        self.state = plateau.start()
        _scale(optimizer, plateau.peak)

    def step(self, metric: Any) -> None:
        """Take one step of the state machine, and scale every group's rate as it says."""
        before, self.state = self.state, self.plateau.step(self.state, float(metric))
        if self.state.rate != before.rate:
            for group in self.optimizer.param_groups:
                group["lr"] *= self.state.rate / before.rate

    def state_dict(self) -> dict[str, Any]:
        """Return what is remembered, as four numbers."""
        return self.state._asdict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what ``state_dict`` returned; the rates are in the optimizer's own state."""
        self.state = PlateauState(**state)


def adapt(schedule: Schedule | Plateau, optimizer: Optimizer) -> TorchSchedule | PlateauSchedule:
    """Return the scheduler of *optimizer*.

    Raises:
        StudyError: the first group has rate 0, so that the others have no ratio to it.
    """
    if isinstance(schedule, Plateau):
        return PlateauSchedule(optimizer, schedule)
    return TorchSchedule(optimizer, schedule)


def _scale(optimizer: Optimizer, rate: float) -> None:
    """Set the first group's rate, and keep the others' ratios to it.

    It is each group's initial rate, too: that of an earlier schedule would stay the peak of this one, and a
    copied checkpoint goes on from it.
    """
    groups = optimizer.param_groups
    now = [float(group["lr"]) for group in groups]
    if not now[0]:  # an earlier schedule may have ended there
        now = [
            float(group.get("initial_lr", rate)) for group, rate in zip(groups, now, strict=True)
        ]
    if not now[0]:
        raise StudyError(
            "The optimizer's first group has learning rate 0: give it one above 0. The schedule sets it to "
            "its own, and the other groups' in proportion."
        )
    for group, own in zip(groups, now, strict=True):
        group["lr"] = group["initial_lr"] = rate * (own / now[0])
