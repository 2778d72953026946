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

_MANY = 0.2  # of the trials: worth to change something


def next_steps(lessons: Lessons) -> list[Part]:
    """Return the steps, or that there are none."""
    history = lessons.history
    if not history.trials:
        return [Text("Run the study: it has no trial yet.")]
    steps = [*_failing(history), *_edges(lessons), *_curves(lessons), *_going_on(lessons)]
    if history.ranking() and race(history) is None and len(history.ranking()) > 1:
        steps.append(
            "Race the best trials on new seeds before you believe their order: "
            "luthier race STUDY, or finalists=3 in tune()."
        )
    if history.ranking() and not history.test_reads:
        steps.append("When you have chosen, read the test set once: result.test(...).")
    return [Items(tuple(steps))]


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
    return changed + [
        f"{f.action[0].upper()}{f.action[1:]} ({f.kind}: {f.top} of the {f.of_top} best trials)."
        for f in found.findings
    ]


def _going_on(lessons: Lessons) -> list[str]:
    found = lessons.enough
    if isinstance(found, str):
        return [f"Run more trials: {found}"]
    if not found.more:
        return [
            "Stop here, or widen the space or take a finer grid: everything that would be proposed was tried."
        ]
    if found.stop or not math.isfinite(found.chance):
        return ["Stop here, or change the space: more trials like these would hardly help."]
    chance = percent(found.chance)
    if not found.noise.deviation:
        return [
            f"Go on, or race the best trials first: {found.more} more trials improve the best at all with a "
            f"chance of {chance}, but the seed noise is not known, so nor is whether that is more than luck."
        ]
    return [
        f"Go on: {found.more} more trials improve the best by more than the seed noise with a chance of "
        f"{chance}."
    ]
