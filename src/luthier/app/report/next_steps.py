"""What to do next, gathered from everything that the study taught, the most urgent first."""

from __future__ import annotations

import math

from luthier.app.reading import failures
from luthier.app.report.learned import Lessons
from luthier.app.report.parts import Items, Part, Text
from luthier.app.show import ADVICE
from luthier.insight.race import race
from luthier.insight.sufficiency import percent
from luthier.study.history import History
from luthier.study.steering import inherits

_MANY = 0.2  # of the trials: worth to change something


def next_steps(lessons: Lessons) -> list[Part]:
    """Return the steps, or that there are none."""
    history = lessons.history
    if not history.trials:
        return [Text("Run the study: it has no trial yet.")]
    steps = [*_failing(history), *_edges(lessons), *_curves(lessons), *_going_on(lessons)]
    steps += _luck(history)
    if history.ranking() and not history.test_reads:
        steps.append("When you have chosen, read the test set once: result.test(...).")
    return [Items(tuple(steps))]


def _luck(history: History) -> list[str]:
    """Return what tells which of the best is the best, and not the luckiest."""
    raced = race(history)
    if raced is not None:
        return [f"The race on new seeds decided nothing: {raced.undecided}."] * bool(
            raced.undecided
        )
    if len(history.ranking()) < 2:
        return []
    if inherits(history):
        return [
            "Train the winner's schedule again on other seeds before you believe its value: "
            "luthier.schedule.Replay.of(study)."
        ]
    return [
        "Race the best trials on new seeds before you believe their order: "
        "luthier race STUDY, or finalists=3 in tune()."
    ]


def _failing(history: History) -> list[str]:
    total = len(history.trials)
    return [
        f"{count} of {total} trials ended as {kind}: {ADVICE.get(kind, 'look at their tracebacks')}."
        for kind, count in failures(history).items()
        if count / total >= _MANY or kind == "error"
    ]


def _edges(lessons: Lessons) -> list[str]:
    found = lessons.edges
    if isinstance(found, str):
        return []
    return [f"Widen the space: {f}." for f in found if f.to is not None]


def _curves(lessons: Lessons) -> list[str]:
    found = lessons.curves
    changed = [found.length.action] if found.length.change != "keep" else []
    return changed + [f"{f.action[0].upper()}{f.action[1:]} ({f.seen})." for f in found.findings]


def _going_on(lessons: Lessons) -> list[str]:
    found = lessons.enough
    history = lessons.history
    if isinstance(found, str) and history.ended and history.best is None:
        return [
            f"Find out why none of the trials that ended ({history.ended}) has a finite "
            f"{history.objective.metric}, then run more."
        ]
    if isinstance(found, str):
        return [f"Run more trials: {found}"]
    if not found.more:
        return [
            "Stop here, or widen the space or take a finer grid: everything that would be proposed was tried."
        ]
    if math.isnan(found.chance):
        return [
            "Look at the later half of the trials first: none of them has a value that counts, so whether more "
            "would help cannot be told."
        ]
    several = len(history.goals.objectives) > 1
    if found.stop:
        if several:
            return [
                f"By {found.metric} alone more trials like these would hardly help; what they would add to the "
                "front is not known."
            ]
        return ["Stop here, or change the space: more trials like these would hardly help."]
    chance, best = percent(found.chance), f"the best {found.metric}" if several else "the best"
    if not found.noise.deviation:
        first = "" if inherits(history) else ", or race the best trials first"
        return [
            f"Go on{first}: {found.more} more trials improve {best} at all with a "
            f"chance of {chance}, but the seed noise is not known, so nor is whether that is more than luck."
        ]
    return [
        f"Go on: {found.more} more trials improve {best} by more than the seed noise with a chance of "
        f"{chance}."
    ]
