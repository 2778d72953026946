"""Who has arrived at each rung of a ladder and who waits there, the best first."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from luthier.study.goals import Goals
from luthier.study.records import TrialRecord, TrialState

# Standing at the rung, and the trial's number: the earlier trial wins a tie.
Place = tuple[float, int]

_LOST = (TrialState.STOPPED, TrialState.FAILED)


def report_on_arrival(trial: TrialRecord, step: int) -> int:
    """Return the index of the first report at *step* or after it, else of the last one; -1: none."""
    return min(bisect_left(trial.steps, step), len(trial.steps) - 1)


def standing_on_arrival(trial: TrialRecord, step: int, goals: Goals) -> float:
    """Return what the trial is compared by at *step*: the loss, worse than any where it breaks a bound."""
    at = report_on_arrival(trial, step)
    return goals.standing(trial, at) if at >= 0 else float("inf")


@dataclass(eq=False)
class Rungs:
    """The rungs of one ladder, the lowest first.

    Attributes:
        steps: where each rung ends.
        arrived: for each rung, all that have trained to its end.
        waiting: for each rung, those of them that are paused there.
        lost: for each rung, those of them that ended there before their time, and take no place.
    """

    bracket: int
    steps: Sequence[int]
    goals: Goals
    arrived: list[list[Place]] = field(default_factory=list[list[Place]])
    waiting: list[list[Place]] = field(default_factory=list[list[Place]])
    lost: list[list[Place]] = field(default_factory=list[list[Place]])
    known: dict[int, tuple[list[Place], int, int, int]] = field(
        default_factory=dict[int, tuple[list[Place], int, int, int]]
    )

    def __post_init__(self) -> None:
        self.arrived = [[] for _ in self.steps]
        self.waiting = [[] for _ in self.steps]
        self.lost = [[] for _ in self.steps]

    def take(self, trial: TrialRecord) -> None:
        """Replace what is known of *trial*."""
        if trial.bracket != self.bracket:
            return
        before, paused_before, lost_before, rewound = self.known.get(trial.number, ([], -1, -1, 0))
        if rewound != trial.rewound:  # it went back to an older checkpoint
            self._leave(before, paused_before, lost_before)
            before, paused_before, lost_before = [], -1, -1
        level = bisect_right(self.steps, trial.step)
        places = before + [
            (standing_on_arrival(trial, step, self.goals), trial.number)
            for step in self.steps[len(before) : level]
        ]
        for rung in range(len(before), level):
            insort(self.arrived[rung], places[rung])
        paused = level - 1 if trial.state is TrialState.PAUSED else -1
        _move(self.waiting, places, paused_before, paused)
        lost = level - 1 if trial.state in _LOST else -1
        _move(self.lost, places, lost_before, lost)
        self.known[trial.number] = places, paused, lost, trial.rewound

    def promotable(self, rung: int, factor: float) -> Iterator[int]:
        """Yield who waits at *rung* and is in the top 1/*factor* of those that arrived, the best first.

        Who was stopped there, by hand or when the study had come to its end, or failed, takes nobody's
        place: with a raised limit there may be many such.
        """
        among, lost = self.arrived[rung], self.lost[rung]
        for place in self.waiting[rung]:
            rank = bisect_left(among, place) - bisect_left(lost, place)
            if rank >= len(among) // factor or place[0] == float("inf"):
                return
            yield place[1]

    def _leave(self, places: list[Place], paused: int, lost: int) -> None:
        for rung, place in enumerate(places):
            _remove(self.arrived[rung], place)
        _move(self.waiting, places, paused, -1)
        _move(self.lost, places, lost, -1)


def _move(rungs: list[list[Place]], places: list[Place], before: int, now: int) -> None:
    """Take a trial from rung *before* of *rungs* to rung *now*; -1 is none."""
    if before != now:
        if before >= 0:
            _remove(rungs[before], places[before])
        if now >= 0:
            insort(rungs[now], places[now])


def _remove(places: list[Place], place: Place) -> None:
    del places[bisect_left(places, place)]
