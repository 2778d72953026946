"""The rung ladder: who arrived at which rung with what, who went on, and why the rest did not."""

from __future__ import annotations

from typing import Any

from luthier.app.dashboard.columns import rounded
from luthier.errors import LuthierError
from luthier.run.opening import made_parts
from luthier.schedule.rungs import loss_on_arrival
from luthier.study.deciding import within_space
from luthier.study.history import History
from luthier.study.protocols import Plan
from luthier.study.records import TrialRecord, TrialState

MOST_BRACKETS = 40
_SHOWN = 200  # trials of a rung: its best, and an even choice of the rest


def plan_of(history: History) -> Plan | None:
    """Return what the study's scheduler means to train; None where only time ends it, or nobody can tell."""
    try:
        searcher, scheduler = made_parts(history.header)
        return scheduler.plan(within_space(history.limits, searcher, history.space))
    except LuthierError:  # a scheduler of the user's own, or a newer version's
        return None


def ladder(history: History) -> dict[str, Any]:
    """Return the brackets that have begun, each with its rungs from the lowest to the highest.

    A rung has its step, how many trials the plan has for it, how many arrived, and of the ones shown the
    trial, its value on arrival, and its fate there: 'promoted', 'waits', 'stopped' or 'ended'.
    """
    plan = plan_of(history)
    steps_of = {b.index: [r.step for r in b.rungs] for b in plan.brackets} if plan else {}
    planned = {b.index: [r.trials for r in b.rungs] for b in plan.brackets} if plan else {}
    names = {b.index: f"{b.index + 1}, {b.name}" for b in plan.brackets} if plan else {}
    common = _common_steps(history, steps_of)
    found: list[dict[str, Any]] = []
    begun = [index for index in sorted(history.brackets) if index >= 0]
    for index in begun[-MOST_BRACKETS:]:
        trials = [t for t in history.brackets[index] if t.repeats < 0]
        steps = steps_of.get(index) or common
        if not trials or not steps:
            continue
        counts = planned.get(index) or [0] * len(steps)
        rungs = [
            _rung(history, trials, step, count, last=step == steps[-1])
            for step, count in zip(steps, counts, strict=False)
        ]
        name = names.get(index) or str(index + 1)
        found.append({"bracket": index, "name": name, "trials": len(trials), "rungs": rungs})
    return {
        "brackets": found,
        "hidden": max(0, len(begun) - MOST_BRACKETS),
        "scheduler": str(history.header.scheduler.get("name", "")),
        "planned_trials": plan.trials if plan else None,
        "planned_epochs": plan.epochs if plan else None,
    }


def _common_steps(history: History, steps_of: dict[int, list[int]]) -> list[int]:
    """Return the steps at which trials were told to stop, for brackets that the plan does not name."""
    if steps_of:
        return max(steps_of.values(), key=len)
    ends = [t.to_step for t in history.trials if t.to_step is not None]
    paused = [t.step for t in history.trials if t.state is TrialState.PAUSED]
    return sorted({*ends, *paused})[:12]


def _rung(
    history: History, trials: list[TrialRecord], step: int, planned: int, *, last: bool
) -> dict[str, Any]:
    arrived = [t for t in trials if t.steps and t.step >= step]
    placed = sorted((loss_on_arrival(t, step), t.number) for t in arrived)
    shown = placed
    if len(placed) > _SHOWN:
        best, rest = placed[: _SHOWN // 2], placed[_SHOWN // 2 :]
        shown = best + [rest[i * len(rest) // (_SHOWN // 2)] for i in range(_SHOWN // 2)]
    numbers = [number for _, number in shown]
    fates = [_fate(history.trials[n], step, last=last) for n in numbers]
    promoted = sum(_fate(t, step, last=last) == "promoted" for t in arrived)
    return {
        "step": step,
        "planned": planned,
        "arrived": len(arrived),
        "promoted": promoted,
        "trial": numbers,
        "value": rounded([history.value(loss) for loss, _ in shown]),
        "fate": fates,
        "cut": _cut(history, placed, {t.number for t in arrived if t.step > step}, last=last),
    }


def _fate(trial: TrialRecord, step: int, *, last: bool) -> str:
    if trial.step > step or (
        trial.to_step is not None and trial.to_step > step and not trial.state.ended
    ):
        return "promoted"
    if trial.state is TrialState.PAUSED:
        return "waits"
    if last or trial.state is TrialState.COMPLETED:
        return "ended"
    return "stopped" if trial.state.ended else "waits"


def _cut(
    history: History, placed: list[tuple[float, int]], went_on: set[int], *, last: bool
) -> float | None:
    """Return the worst value with which a trial went on."""
    values = [loss for loss, number in placed if number in went_on]
    return None if last or not values else rounded([history.value(max(values))])[0]
