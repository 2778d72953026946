"""Who has arrived at each rung of a ladder and who waits there, the best first."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from luthier.study.goals import Goals
from luthier.study.records import TrialRecord, TrialState

# Standing at the rung, and the trial's number: the earlier trial wins a tie.
Place = tuple[float, int]


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
    """

    bracket: int
    steps: Sequence[int]
    goals: Goals
    arrived: list[list[Place]] = field(default_factory=list[list[Place]])
    waiting: list[list[Place]] = field(default_factory=list[list[Place]])
    known: dict[int, tuple[list[Place], int, int]] = field(
        default_factory=dict[int, tuple[list[Place], int, int]]
    )

    def __post_init__(self) -> None:
        self.arrived = [[] for _ in self.steps]
        self.waiting = [[] for _ in self.steps]

    def take(self, trial: TrialRecord) -> None:
        """Replace what is known of *trial*."""
        if trial.bracket != self.bracket:
            return
        before, paused_before, rewound = self.known.get(trial.number, ([], -1, 0))
        if rewound != trial.rewound:  # it went back to an older checkpoint
            self._leave(before, paused_before)
            before, paused_before = [], -1
        level = bisect_right(self.steps, trial.step)
        places = before + [
            (standing_on_arrival(trial, step, self.goals), trial.number)
            for step in self.steps[len(before) : level]
        ]
        paused = level - 1 if trial.state is TrialState.PAUSED else -1
        for rung in range(len(before), level):
            insort(self.arrived[rung], places[rung])
        if paused != paused_before:
            if paused_before >= 0:
                _remove(self.waiting[paused_before], before[paused_before])
            if paused >= 0:
                insort(self.waiting[paused], places[paused])
        self.known[trial.number] = places, paused, trial.rewound

    def promotable(self, rung: int, factor: float) -> Iterator[int]:
        """Yield who waits at *rung* and is in the top 1/*factor* of those that arrived, the best first."""
        among = self.arrived[rung]
        for place in self.waiting[rung]:
            if bisect_left(among, place) >= len(among) // factor or place[0] == float("inf"):
                return
            yield place[1]

    def _leave(self, places: list[Place], paused: int) -> None:
        for rung, place in enumerate(places):
            _remove(self.arrived[rung], place)
        if paused >= 0:
            _remove(self.waiting[paused], places[paused])


def _remove(places: list[Place], place: Place) -> None:
    del places[bisect_left(places, place)]
