"""Population-based training: members copy the best ones' weights and change their hyperparameters.

Jaderberg et al. 2017, "Population based training of neural networks", Algorithm 1, with truncation
selection (section 4.1.1): whoever is in the worst fifth at its ready point takes over the checkpoint and
the configuration of one of the best fifth (exploit) and changes the configuration (explore). Each such
step is a trial of its own, with a parent; the winner's line of parents is its schedule, which ``Replay``
trains again.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from luthier.errors import StudyError, nearest
from luthier.schedule.exploring import explored
from luthier.schedule.full import rest
from luthier.schedule.settings import real, whole
from luthier.space import Float, Space
from luthier.study.chance import Chance
from luthier.study.history import History, thawed
from luthier.study.limits import epochs_left
from luthier.study.protocols import (
    COMPLETE,
    GO_ON,
    PAUSE,
    Bracket,
    Done,
    Limits,
    Move,
    Plan,
    Resume,
    Rung,
    Start,
    Verdict,
    Wait,
)
from luthier.study.records import TrialRecord, TrialState
from luthier.study.study import Study

_FEWEST = 4  # members that are compared; with fewer a fifth means nothing
_LIVES = 3  # trials a member, on the average, when nobody is left to copy
_LOST = (TrialState.DIVERGED, TrialState.FAILED)


@dataclass(frozen=True)
class PopulationBasedTraining:
    """Population-based training.

    A study's ``max_trials`` bounds the members; a copy that takes a member's place is a trial on top.

    Attributes:
        epochs: epochs that each member trains.
        population: members, at least 4.
        interval: epochs between two ready points; by default a tenth of *epochs*, at least 1.
        truncation: share of the population that is replaced, and of it that is copied; at most 0.5.
        anew: probability that a hyperparameter is drawn anew instead of changed by a fifth.
        explores: names of the hyperparameters that may change while training goes on; by default every
            ``Float``. All others are inherited with the weights, which would not fit otherwise.
    """

    epochs: int
    population: int = 20
    interval: int | None = None
    truncation: float = 0.2
    anew: float = 0.25
    explores: Sequence[str] | None = None
    ends_by_its_plan: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            StudyError: a setting outside its range.
        """
        whole(self, epochs=1, population=1, interval=1)
        real(self, "truncation", "anew")
        if self.interval is not None and self.interval > self.epochs:
            raise StudyError(
                f"Population-based training: interval must lie between 1 and epochs={self.epochs}, got "
                f"{self.interval!r}."
            )
        if self.population < _FEWEST:
            raise StudyError(
                f"Population-based training: population must be at least {_FEWEST}, got "
                f"{self.population!r}: of fewer members there is no worst fifth to be replaced."
            )
        for name, value, low, high in (
            ("truncation", self.truncation, 0.0, 0.5),
            ("anew", self.anew, 0.0, 1.0),
        ):
            if not low <= value <= high:
                raise StudyError(
                    f"Population-based training: {name} must lie between {low:g} and {high:g}, "
                    f"got {value!r}."
                )

    def fit(self, space: Space | None, limits: Limits) -> None:
        """Refuse limits that leave nobody to copy, and a space that leaves nothing to change.

        Raises:
            StudyError: fewer than 4 trials, a name in *explores* that the space has not, or no ``Float``
                in a space where *explores* names nothing else.
        """
        if limits.trials is not None and limits.trials < _FEWEST:
            raise StudyError(
                f"Population-based training: max_trials={limits.trials} leaves {limits.trials} members, and "
                f"of fewer than {_FEWEST} none is replaced by a copy. Give {_FEWEST} at the least."
            )
        if space is None:
            return
        for name in self.explores or ():
            _check_name(name, space)
        if self.explores is None and not any(
            isinstance(domain, Float) for domain in space.domains.values()
        ):
            raise StudyError(
                "Population-based training: it changes every Float while training goes on, and the space has "
                "none, so every copy would be as the trial that it is copied from. Name what else may change "
                f"in explores=: the space has {', '.join(map(repr, space.domains))}."
            )

    @property
    def promotes(self) -> bool:
        """Return True: members pause at their ready points, and children begin from checkpoints."""
        return True

    def plan(self, limits: Limits) -> Plan | None:
        """Return the population, each member to its end; copies of others come on top as trials."""
        members = self._members(limits)
        rungs = [Rung(members, self._interval)]
        whole = members
        if limits.epochs is not None:
            members = min(members, max(1, limits.epochs // self._interval))
            whole = min(members, limits.epochs // self.epochs)
            rungs = [Rung(members, self._interval)]
        if self.epochs > self._interval and whole:
            rungs.append(Rung(whole, self.epochs))
        return Plan((Bracket(0, "population", tuple(rungs)),), at_most=True)

    def next(self, history: History, limits: Limits) -> Move:
        """Let the member that is furthest behind go on, or replace it by a copy of a better one."""
        left = epochs_left(history, limits)
        count = self._members(limits)
        if left < 1:
            return rest(history, f"{limits.epochs} epochs were trained")
        for member in range(count):
            if member not in history.brackets:
                return Start(min(self._interval, self.epochs, _whole(left)), member)
        present = [history.brackets[member][-1] for member in range(count)]
        ready = [t for t in present if self._is_ready(t)]
        lost = [t for t in present if t.state in _LOST]
        for trial in sorted([*lost, *ready], key=lambda t: (t.step, t.bracket)):
            move = self._move(history, limits, trial, present, left)
            if move is not None:
                return move
        if len(lost) == len(present):
            return Done("every member of the population failed or diverged")
        but = f", but for {len(lost)} that failed or diverged" if lost else ""
        return rest(history, f"every member of the population has been trained{but}")

    def judge(self, history: History, trial: TrialRecord) -> Verdict:
        """Pause at the ready point."""
        if trial.step >= self.epochs:
            return COMPLETE
        return PAUSE if trial.to_step is not None and trial.step >= trial.to_step else GO_ON

    def dropped(self, history: History, limits: Limits) -> list[tuple[int, str]]:
        """Return the members whose place another one's copy has taken."""
        found: list[tuple[int, str]] = []
        for number, trial in sorted(history.paused.items()):
            newest = history.brackets[trial.bracket][-1]
            if newest is not trial:
                found.append(
                    (
                        number,
                        f"trial {newest.number} goes on in its place, from trial {newest.parent}",
                    )
                )
        return found

    @property
    def _interval(self) -> int:
        return self.interval or max(1, self.epochs // 10)

    def _members(self, limits: Limits) -> int:
        return min(self.population, limits.trials or self.population)

    def _is_ready(self, trial: TrialRecord) -> bool:
        return trial.state is TrialState.PAUSED and trial.step < self.epochs

    def _move(
        self,
        history: History,
        limits: Limits,
        trial: TrialRecord,
        present: list[TrialRecord],
        left: float,
    ) -> Move | None:
        """Return how a member goes on, None when it cannot."""
        gone = trial.state.ended
        if gone and self._hopeless(history, trial):
            return None
        step = _common_step(present) if gone else trial.step
        losses = {t.number: loss_on_the_way(history, t, step) for t in present}
        known = sorted((x, n) for n, x in losses.items() if math.isfinite(x))
        share = max(1, int(self.truncation * len(known))) if self.truncation else 0
        rank = bisect_left(known, (losses[trial.number], trial.number))
        worst = gone or (len(known) >= _FEWEST and rank >= len(known) - share)
        if worst and share:
            # In place of one that is lost, the best that can be copied; else one of the best, or none.
            among = [history.trials[number] for _, number in (known if gone else known[:share])]
            able = [t for t in among if t is not trial and self._can_be_copied(t)][:share]
            if able:
                return self._copy(history, trial, able, left)
        if gone:
            room = limits.trials is None or len(history.trials) < limits.trials
            again = room and not known and len(history.trials) < _LIVES * len(present)
            return Start(min(self._interval, _whole(left)), trial.bracket) if again else None
        to_step = min(trial.step + self._interval, self.epochs)
        return Resume(trial.number, min(to_step, trial.step + _whole(left)))

    def _can_be_copied(self, trial: TrialRecord) -> bool:
        """Return whether *trial* has a checkpoint to go on from; those of ended trials are not kept."""
        return not trial.state.ended and 0 < trial.checkpoint < self.epochs

    def _hopeless(self, history: History, trial: TrialRecord) -> bool:
        """Return whether the last copies in the member's place ended before their first epoch."""
        last = history.brackets[trial.bracket][-_LIVES:]
        return len(last) == _LIVES and all(
            t.parent >= 0 and t.step == t.start and t.state.ended for t in last
        )

    def _copy(
        self, history: History, trial: TrialRecord, best: list[TrialRecord], left: float
    ) -> Start:
        number = len(history.trials)
        chance = Chance(history.header.seed, ("population", number))
        parent = best[int(chance.uniform("parent") * len(best))]
        names = None if self.explores is None else tuple(self.explores)
        for name in names or ():
            _check_name(name, history.space)
        child = explored(parent.configuration, history.space, names, self.anew, chance)
        start = parent.checkpoint
        to_step = min(start + self._interval, self.epochs, start + _whole(left))
        return Start(to_step, trial.bracket, child, (parent.number, start))


def _check_name(name: str, space: Space) -> None:
    if name not in space.domains:
        raise StudyError(
            f"Population-based training: explores names {name!r}, which the space has not: it has "
            f"{', '.join(map(repr, space.domains))}.{nearest(name, space.domains)}"
        )


@dataclass(frozen=True)
class Replay:
    """Trains one member's schedule again: its configurations, one after another.

    Attributes:
        epochs: epochs of the whole schedule.
        segments: ``{"to_step": epoch, "configuration": ...}`` in order; the last one ends at *epochs*.
    """

    epochs: int
    segments: Sequence[Mapping[str, Any]] = ()
    ends_by_its_plan: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Check the segments.

        Raises:
            StudyError: none, or their ends do not rise to *epochs*.
        """
        whole(self, epochs=1)
        ends = [segment.get("to_step", 0) for segment in self.segments]
        rise = ends == sorted(set(ends)) and all(isinstance(end, int) for end in ends)
        if not ends or not rise or ends[0] < 1 or ends[-1] != self.epochs:
            raise StudyError(
                "Replay: segments must end at rising epochs, whole numbers, the last one at "
                f"epochs={self.epochs}, got {ends}. Take them from Replay.of(study)."
            )

    @classmethod
    def of(cls, study: Study, trial: TrialRecord | None = None) -> Replay:
        """Return the schedule that led to *trial* of a study, by default the best one.

        Raises:
            StudyError: no trial has a finite value.
        """
        history = study.refresh()
        trial = trial or history.best
        if trial is None:
            raise StudyError(
                "Replay: there is no trial with a finite value whose schedule to take."
            )
        line = lineage(history, trial)
        ends = [*(child.start for child in line[1:]), trial.best_step or trial.step]
        segments = [
            {"to_step": end, "configuration": dict(one.configuration)}
            for one, end in zip(line, ends, strict=True)
        ]
        return cls(ends[-1], segments)

    @property
    def promotes(self) -> bool:
        """Return True: each segment goes on from the checkpoint of the one before."""
        return True

    def plan(self, limits: Limits) -> Plan | None:
        """Return one training of all epochs, or of the segments that the limits hold."""
        most = self.epochs if limits.epochs is None else limits.epochs
        held = [segment["to_step"] for segment in self.segments if segment["to_step"] <= most]
        rung = Rung(1, held[-1]) if held else Rung(0, self.epochs)
        return Plan((Bracket(0, "replay", (rung,)),))

    def next(self, history: History, limits: Limits) -> Move:
        """Begin the next segment from the last one's checkpoint."""
        done = len(history.trials)
        if history.active:
            return Wait()
        before = history.trials[-1] if done else None
        if before is not None and (early := self._ended_early(before, done - 1)):
            return Done(f"trial {before.number} ended early: {early}")
        if done == len(self.segments):
            return Done("the schedule has been trained")
        segment, start = self.segments[done], before.step if before is not None else 0
        if segment["to_step"] - start > epochs_left(history, limits):
            return Done(f"{limits.epochs} epochs do not hold the next segment of the schedule")
        parent = (before.number, start) if before is not None else None
        # From a study's first event, where MessagePack has made lists of tuples.
        configuration = thawed(dict(segment["configuration"]))
        return Start(segment["to_step"], 0, configuration, parent)

    def _ended_early(self, trial: TrialRecord, segment: int) -> str:
        """Return why the schedule cannot go on from the trial of a segment, "" where it can."""
        last = segment + 1 == len(self.segments)
        if trial.state is not (TrialState.COMPLETED if last else TrialState.PAUSED):
            return trial.why or trial.state.value
        if trial.step < self.segments[segment]["to_step"]:
            return f"{trial.state.value} at epoch {trial.step}"
        return "" if last or trial.checkpoint == trial.step else "it wrote no checkpoint at its end"

    def judge(self, history: History, trial: TrialRecord) -> Verdict:
        """Pause at the end of a segment."""
        if trial.step >= self.epochs:
            return COMPLETE
        return PAUSE if trial.to_step is not None and trial.step >= trial.to_step else GO_ON

    def dropped(self, history: History, limits: Limits) -> list[tuple[int, str]]:
        """Return the segments after which the next one has begun."""
        last = len(history.trials) - 1
        return [
            (number, "the next segment goes on from it")
            for number in history.paused
            if number < last
        ]


def lineage(history: History, trial: TrialRecord) -> list[TrialRecord]:
    """Return the trials whose checkpoints led to *trial*, the first ancestor first, itself last."""
    line = [trial]
    while line[-1].parent >= 0:
        line.append(history.trials[line[-1].parent])
    return line[::-1]


def _common_step(present: list[TrialRecord]) -> int:
    """Return the last step that all members in training have come to, of those that have reported."""
    known = [t for t in present if t.state not in _LOST and t.step]
    going_on = [t for t in known if not t.state.ended]
    return min((t.step for t in going_on or known), default=1)


def loss_on_the_way(history: History, trial: TrialRecord, step: int) -> float:
    """Return the standing at *step*, of the trial or of the ancestor it came from; infinite if unknown.

    A trial that reports every few epochs counts with its last report up to *step*.
    """
    if trial.state in _LOST or trial.step < step:
        return math.inf
    one = trial
    while one.parent >= 0 and one.start >= step:
        one = history.trials[one.parent]
    at = bisect_left(one.steps, step + 1) - 1
    return history.goals.standing(one, at) if at >= 0 else math.inf


def _whole(epochs: float) -> int:
    return int(min(epochs, 2**31))
