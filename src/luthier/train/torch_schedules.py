"""PyTorch: what optimizers and learning-rate schedulers were built with, once a checkpoint was read into them.

A checkpoint holds the schedule's length, and the optimizer's learning rate, of whoever wrote it. Both may have
been built otherwise here: a schedule that ends with the rung is longer in the next rung; and in
population-based training an heir goes on from its parent's state with hyperparameters of its own.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch.optim import Optimizer
from torch.optim import lr_scheduler as of

# What says how long a scheduler is, or how fast it falls; all else of its state is how far it has come.
_LENGTHS = (
    *("T_max", "T_0", "total_iters", "total_steps", "_schedule_phases", "total_size", "step_ratio"),
    *("milestones", "_milestones", "step_size", "gamma"),
    *("horizon", "schedule_values"),  # of Luthier's own
)
# Their rate follows from the step alone. Others say so by a closed form, or compute it from the one before.
_ABSOLUTE = (of.LambdaLR, of.OneCycleLR, of.CyclicLR, of.CosineAnnealingWarmRestarts)


class Built:
    """Optimizers and schedulers as they are now, just built; made before a checkpoint is read into them.

    Args:
        parts: of a training's parts, these are picked out.
    """

    def __init__(self, parts: Iterable[Any]) -> None:
        parts = [unwrapped(part) for part in parts]
        self._optimizers = [part for part in parts if isinstance(part, Optimizer)]
        self._options = [[_options(g) for g in each.param_groups] for each in self._optimizers]
        schedules = [part for part in parts if isinstance(part, of.LRScheduler)]
        self._schedules = [_Schedule(each, _alone(each, schedules)) for each in schedules]

    @property
    def peaks(self) -> list[list[float]]:
        """Return the rate from which each group of each optimizer starts, a warm-up aside.

        It is 0 for an optimizer that finds its own (Adafactor).
        """
        return [[float(_peak(group) or 0.0) for group in groups] for groups in self._options]

    def tie(self) -> None:
        """Give the schedulers their own length back, at the step that they have come to."""
        for each in self._schedules:
            each.tie()

    def keep_own(self, peaks: Sequence[Sequence[float]] | None) -> None:
        """Give the optimizers their own learning rate, momentum, weight decay and so on back.

        Where the rate had been changed since it was built, it goes on from its new peak, by the same share
        of it.

        Args:
            peaks: ``peaks`` of whoever wrote the checkpoint; None where it does not say.
        """
        for number, (optimizer, options) in enumerate(
            zip(self._optimizers, self._options, strict=True)
        ):
            for place, (group, own) in enumerate(zip(optimizer.param_groups, options, strict=True)):
                known = peaks[number][place] if peaks else group.get("lr")
                start, peak = group.get("initial_lr", known), _peak(own)
                own = dict(own)
                if start:
                    own["lr"] = peak if group["lr"] == start else peak * group["lr"] / start
                group.update(own)
        for leaf in (leaf for each in self._schedules for leaf in _leaves(each.schedule)):
            if hasattr(leaf, "base_lrs"):
                groups = leaf.optimizer.param_groups
                leaf.base_lrs = [group.get("initial_lr", group["lr"]) for group in groups]


def unwrapped(part: Any) -> Any:
    """Return the scheduler that Accelerate has wrapped; any other part itself."""
    inner = getattr(part, "scheduler", None)
    return inner if isinstance(inner, of.LRScheduler) else part


class _Schedule:
    """A scheduler, and what it was built with.

    Args:
        schedule: one of PyTorch's, or derived from them.
        alone: no other scheduler has a hand in the same rate.
    """

    def __init__(self, schedule: Any, alone: bool) -> None:
        self.schedule = schedule
        self._alone = alone
        self._lengths = [_lengths(leaf) for leaf in _leaves(schedule)]
        composed = hasattr(schedule, "_schedulers")
        self._state = copy.deepcopy(schedule.state_dict()) if composed else None
        self._groups = [_options(group) for group in schedule.optimizer.param_groups]

    def tie(self) -> None:
        """Give it its own length back, and the rate that belongs to it."""
        schedule, leaves = self.schedule, list(_leaves(self.schedule))
        same = [_lengths(leaf) for leaf in leaves] == self._lengths
        # How long a function is nobody sees: of the same one comes the same rate.
        functions = any(isinstance(leaf, of.LambdaLR) for leaf in leaves)
        if same and not (functions and self._alone and _rates_are_its_own(schedule)):
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of steps before the optimizer's
            if self._state is not None and self._alone:
                self._replay(max(getattr(leaf, "last_epoch", 0) for leaf in leaves))
                return
            for leaf, own in zip(leaves, self._lengths, strict=True):
                vars(leaf).update(own)
            if hasattr(schedule, "_get_closed_form_lr") or isinstance(schedule, _ABSOLUTE):
                _jump(schedule)

    def _replay(self, steps: int) -> None:
        """Step anew from the start, from the rates that the optimizer has by now started from."""
        schedule: Any = self.schedule
        schedule.load_state_dict(self._state)
        groups = schedule.optimizer.param_groups
        for group, own in zip(groups, self._groups, strict=True):
            group["lr"] = own["lr"]
            if group["initial_lr"] != own["initial_lr"]:  # a parent's
                group["lr"] = own["lr"] * group["initial_lr"] / own["initial_lr"]
        for leaf in _leaves(schedule):
            if hasattr(leaf, "base_lrs"):
                leaf.base_lrs = [group["initial_lr"] for group in groups]
        for _ in range(steps):
            schedule.step()


def _jump(schedule: Any) -> None:
    """Compute a scheduler's rate anew at the step that it has come to."""
    at, count = schedule.last_epoch, vars(schedule)["_step_count"]
    if isinstance(schedule, of.CosineAnnealingWarmRestarts):
        schedule.T_i = schedule.T_0
        at += schedule.T_cur % 1  # its steps may be parts of an epoch
    schedule.step(at)
    vars(schedule)["_step_count"] = count


def _leaves(schedule: Any) -> Iterable[Any]:
    """Return a scheduler and those that it is composed of."""
    yield schedule
    for each in getattr(schedule, "_schedulers", ()):
        yield from _leaves(each)


def _lengths(schedule: Any) -> dict[str, Any]:
    return {name: copy.copy(vars(schedule)[name]) for name in _LENGTHS if name in vars(schedule)}


def _rates_are_its_own(schedule: Any) -> bool:
    """Return whether the optimizer has the rates that the scheduler has given it last."""
    return [g["lr"] for g in schedule.optimizer.param_groups] == list(schedule.get_last_lr())


def _alone(schedule: Any, all_of_them: Iterable[Any]) -> bool:
    return sum(each.optimizer is schedule.optimizer for each in all_of_them) == 1


def _options(group: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in group.items() if name != "params"}


def _peak(options: Mapping[str, Any]) -> Any:
    return options.get("initial_lr", options.get("lr"))


__all__ = ["Built", "unwrapped"]
