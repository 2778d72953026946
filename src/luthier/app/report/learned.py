"""What a study taught: importance, interactions, isolation, edges, curves, and whether to go on."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from luthier import insight, plot
from luthier.app import words
from luthier.app.report.parts import Items, Part, Picture, Table, Text
from luthier.errors import StudyError
from luthier.insight import boundary
from luthier.insight.diagnosis import StudyDiagnosis, diagnose
from luthier.plot.contoured import drawn
from luthier.study.history import History

_PAIRS = 3
_ISOLATED = 2


def asked(question: Callable[[], Any]) -> Any:
    """Return the answer, or the reason in words why there is too little to answer from."""
    try:
        return question()
    except StudyError as error:
        return str(error)


@dataclass(frozen=True)
class Lessons:
    """What several sections ask of a study, each answered once, when it is first asked for.

    An answer in words says why there is too little to answer from.
    """

    history: History

    @cached_property
    def edges(self) -> tuple[boundary.Crowded, ...] | str:
        """Return the edges of the space that the best trials crowd."""
        return asked(lambda: boundary.check(self.history))

    @cached_property
    def curves(self) -> StudyDiagnosis:
        """Return what the learning curves show."""
        return diagnose(self.history)

    @cached_property
    def enough(self) -> insight.Enough | str:
        """Return whether more trials would help."""
        return asked(lambda: insight.enough(self.history))


def importances(history: History) -> list[Part]:
    """Return which hyperparameters matter, which act together, and the first ones by themselves."""
    if not history.space.dimension:
        return []
    found: Any = asked(lambda: insight.importance(history))
    if isinstance(found, str):
        return [Text(found)]
    rows = tuple((i.name, f"{i.share:.1%}", f"{i.low:.1%} to {i.high:.1%}") for i in found)
    parts: list[Part] = [
        Text(
            f"How much of {_explained(history)} over the whole space each hyperparameter explains "
            "by itself (fANOVA), with nine in ten of the shares from resampled trials."
        ),
        Table(("hyperparameter", "share", "interval"), rows),
        Picture("importance", "The shares as bars.", lambda: insight.picture(found).figure),
    ]
    pairs: Any = asked(lambda: insight.interactions(history))
    if not isinstance(pairs, str) and pairs:
        lines = tuple(f"{p.share:.1%}: {' and '.join(p.names)}" for p in pairs[:_PAIRS])
        parts += [Text("What two explain only together:"), Items(lines)]
    names = [i.name for i in found]
    return [*parts, *_expected(history, names), *_isolated(history, names)]


def _explained(history: History) -> str:
    """Return what importance is the importance for."""
    goals = history.goals
    several, rules = len(goals.objectives) > 1, " and ".join(map(str, goals.constraints))
    if not several and not rules:
        return "the objective's variance"
    fronts = f"by fronts of {' and '.join(map(str, goals.objectives))}" if several else ""
    kept = f"those that break {rules} behind all others" if rules else ""
    return f"the variance of the trials' order ({', '.join(filter(None, (fronts, kept)))})"


def _expected(history: History, names: Sequence[str]) -> list[Part]:
    """Return the two that matter most, as a surrogate expects them together."""
    both: Any = asked(lambda: insight.contour(history, *names[:2]))
    if isinstance(both, str):
        return []
    told = (
        f"{both.names[0]} and {both.names[1]} together, as a Gaussian process expects them with all else "
        f"as in trial {both.around}; beyond the broken line it knows little."
    )
    return [Picture("contour", told, lambda: drawn(both, history))]


def _isolated(history: History, names: Sequence[str]) -> list[Part]:
    parts: list[Part] = []
    for place, name in enumerate(names[:_ISOLATED], 1):
        alone: Any = asked(lambda name=name: insight.isolation(history, name))
        if not isinstance(alone, str) and any(math.isfinite(v.median) for v in alone.values):
            draw = lambda alone=alone: insight.picture(alone).figure  # noqa: E731
            parts.append(Picture(f"isolation-{place}", str(alone), draw))
    return parts


def boundaries(lessons: Lessons) -> list[Part]:
    """Return the edges that the best trials crowd."""
    if not lessons.history.space.dimension:
        return []
    found = lessons.edges
    if isinstance(found, str):
        return [Text(found)]
    picture = Picture(
        "space",
        "Where all trials lie (grey), the best tenth (blue) and the best one (line), each hyperparameter on "
        "its own scale; a red edge is crowded.",
        lambda: plot.space(lessons.history),
    )
    if not found and lessons.history.best is None:
        return [Text("No trial has a finite value, so none shows where the space is too narrow.")]
    if not found and (few := boundary.too_few(lessons.history)):
        return [Text(few)]
    if not found:
        return [Text("The best trials crowd no edge of the space."), picture]
    return [Items(tuple(map(str, found))), picture]


def diagnosis(lessons: Lessons) -> list[Part]:
    """Return what the curves of all trials show, and of the best three."""
    found = lessons.curves
    if not found.by_trial:
        return []
    healthy = sum(not several for several in found.by_trial.values())
    parts: list[Part] = [
        Text(f"{len(found.by_trial)} trials diagnosed, {healthy} of them look healthy."),
        Text(f"Training length: {found.length.action}"),
    ]
    if found.findings:
        parts.append(Items(tuple(map(str, found.findings))))
    rows = tuple(
        (str(number), str(one.kind), one.evidence, one.action)
        for number in found.top[:3]
        for one in found.by_trial[number]
    )
    if rows:
        parts.append(Table(("trial", "shows", "seen", "what to do"), rows))
    return parts


def sufficiency(lessons: Lessons) -> list[Part]:
    """Return whether more trials would help."""
    found = lessons.enough
    if isinstance(found, str):
        return [Text(found)]
    picture = Picture(
        "enough",
        f"The best {found.metric} of n trials with its quartiles, and the noise of "
        f"{words.number(found.noise.deviation)} round the best.",
        lambda: insight.picture(found).figure,
    )
    return [Text(str(found)), picture]
