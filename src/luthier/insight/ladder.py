"""The rung ladder: who arrived at which rung with what, who went on, and why the rest did not."""

from __future__ import annotations

from dataclasses import dataclass

from luthier.errors import LuthierError
from luthier.run.opening import made_parts
from luthier.schedule.rungs import report_on_arrival, standing_on_arrival
from luthier.study.deciding import within_space
from luthier.study.history import History
from luthier.study.protocols import Plan
from luthier.study.records import TrialRecord, TrialState

MOST_BRACKETS = 40
_SHOWN = 200  # trials of a rung: its best, and an even choice of the rest


def plan_of(history: History) -> Plan | None:
    """Return what the study means to train, its race included.

    None where only time ends it, or nobody can tell.
    """
    try:
        searcher, scheduler = made_parts(history.header)
        limits = within_space(history.limits, searcher, scheduler, history)
        return scheduler.planned(history, limits)
    except LuthierError:  # a scheduler of the user's own, or a newer version's
        return None


@dataclass(frozen=True)
class Rung:
    """One rung: how many trials the plan has for it (0: nobody knows), and who arrived, the best first.

    Of very many arrivals ``trials``, ``values`` and ``fates`` name the best and an even choice of the
    rest; ``places`` says where each of them stood, from 1 for the best. ``values`` are those on arrival, in
    the metric's own sign. A fate is 'promoted', 'waits', 'stopped' or 'ended'. ``cut`` is the worst value
    with which a trial went on.
    """

    step: int
    planned: int
    arrived: int
    promoted: int
    trials: tuple[int, ...]
    values: tuple[float, ...]
    fates: tuple[str, ...]
    places: tuple[int, ...]
    cut: float | None


@dataclass(frozen=True)
class Bracket:
    """One bracket, its rungs from the lowest to the highest."""

    index: int
    name: str
    trials: int
    rungs: tuple[Rung, ...]

    @property
    def spent(self) -> int:
        """The epochs that its trials were trained up to the rungs where they arrived, about."""
        steps = [0, *(rung.step for rung in self.rungs)]
        return sum(
            r.arrived * (r.step - before) for r, before in zip(self.rungs, steps, strict=False)
        )

    @property
    def full(self) -> int:
        """The epochs that training all of its trials to the last rung takes."""
        return self.trials * self.rungs[-1].step


@dataclass(frozen=True)
class Ladder:
    """The brackets that have begun, the newest 40 of them; ``hidden`` is how many were before those."""

    brackets: tuple[Bracket, ...]
    hidden: int
    scheduler: str
    plan: Plan | None


def ladder(history: History) -> Ladder:
    """Return who arrived at which rung of each bracket, and what became of them there."""
    plan = plan_of(history)
    steps_of = {b.index: [r.step for r in b.rungs] for b in plan.brackets} if plan else {}
    planned = {b.index: [r.trials for r in b.rungs] for b in plan.brackets} if plan else {}
    names = {b.index: f"{b.index + 1}, {b.name}" for b in plan.brackets} if plan else {}
    common = _common_steps(history, steps_of)
    found: list[Bracket] = []
    begun = [index for index in sorted(history.brackets) if index >= 0]
    for index in begun[-MOST_BRACKETS:]:
        trials = [t for t in history.brackets[index] if t.repeats < 0]
        steps = steps_of.get(index) or common
        if not trials or not steps:
            continue
        counts = planned.get(index) or [0] * len(steps)
        rungs = tuple(
            _rung(history, trials, step, count, last=step == steps[-1])
            for step, count in zip(steps, counts, strict=False)
        )
        found.append(Bracket(index, names.get(index) or str(index + 1), len(trials), rungs))
    scheduler = str(history.header.scheduler.get("name", ""))
    return Ladder(tuple(found), max(0, len(begun) - MOST_BRACKETS), scheduler, plan)


def _common_steps(history: History, steps_of: dict[int, list[int]]) -> list[int]:
    """Return the steps at which trials were told to stop, for brackets that the plan does not name."""
    if steps_of:
        return max(steps_of.values(), key=len)
    ends = [t.to_step for t in history.trials if t.to_step is not None]
    paused = [t.step for t in history.trials if t.state is TrialState.PAUSED]
    return sorted({*ends, *paused})[:12]


def _rung(
    history: History, trials: list[TrialRecord], step: int, planned: int, *, last: bool
) -> Rung:
    arrived = [t for t in trials if t.steps and t.step >= step]
    arrived.sort(key=lambda t: (standing_on_arrival(t, step, history.goals), t.number))
    placed = [(t.losses[report_on_arrival(t, step)], t.number) for t in arrived]
    shown = _shown(len(placed))
    numbers = [placed[i][1] for i in shown]
    return Rung(
        step,
        planned,
        len(arrived),
        sum(_fate(t, step, last=last) == "promoted" for t in arrived),
        tuple(numbers),
        tuple(history.value(placed[i][0]) for i in shown),
        tuple(_fate(history.trials[n], step, last=last) for n in numbers),
        tuple(i + 1 for i in shown),
        _cut(history, placed, {t.number for t in arrived if t.step > step}, last=last),
    )


def _shown(count: int) -> list[int]:
    """Return which of *count* arrivals are named: all, or the first and an even choice of the rest."""
    if count <= _SHOWN:
        return list(range(count))
    half = _SHOWN // 2
    return [*range(half), *(half + i * (count - half) // half for i in range(half))]


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
    """Return the value of the last in the order that went on."""
    values = [loss for loss, number in placed if number in went_on]
    return None if last or not values else history.value(values[-1])
