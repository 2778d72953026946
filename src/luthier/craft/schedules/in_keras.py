"""Schedules in Keras 3, on any backend."""

from __future__ import annotations

from typing import Any, Self, cast

import keras

from luthier.craft.schedules.plateau import Plateau, PlateauState
from luthier.craft.schedules.schedule import Schedule


@keras.saving.register_keras_serializable("luthier")
class KerasSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule as Keras calls it: with the optimizer's step count."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.horizon = schedule.horizon

    def __call__(self, step: Any) -> Any:
        """Return the rate as a float32 tensor of the backend."""
        return keras.ops.cast(
            self.schedule.at(keras.ops.cast(step, "float32"), keras.ops), "float32"
        )

    def get_config(self) -> dict[str, Any]:
        """Return the schedule as plain data."""
        return {"schedule": self.schedule.to_dict()}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Return the schedule that ``get_config`` described."""
        return cls(Schedule.from_dict(config["schedule"]))


class PlateauCallback(keras.callbacks.Callback):
    """Sets the optimizer's rate by a ``Plateau`` after every epoch.

    What it remembers are simple attributes, which ``luthier.keras`` keeps in its checkpoints.
    """

    def __init__(self, plateau: Plateau, monitor: str = "val_loss") -> None:
        super().__init__()
        self.plateau = plateau
        self.monitor = monitor
        self.rate, self.best, self.waited, self.reductions = plateau.start()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Set the rate: the first epoch may follow a checkpoint."""
        cast(Any, self.model).optimizer.learning_rate = self.rate

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Take one step of the state machine."""
        if self.monitor not in (logs or {}):
            return  # as Keras's own callbacks do
        before = PlateauState(self.rate, self.best, self.waited, self.reductions)
        after = self.plateau.step(before, float((logs or {})[self.monitor]))
        self.rate, self.best, self.waited, self.reductions = after


def adapt(
    schedule: Schedule | Plateau, monitor: str = "val_loss"
) -> KerasSchedule | PlateauCallback:
    """Return the schedule for an optimizer, or the callback of a ``Plateau``."""
    if isinstance(schedule, Plateau):
        return PlateauCallback(schedule, monitor)
    return KerasSchedule(schedule)
