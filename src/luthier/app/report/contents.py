"""What the report of a study says: a function of its history."""

from __future__ import annotations

from collections.abc import Callable

from luthier.app import words
from luthier.app.reading import failures, mark, marks_told, on_front, returns
from luthier.app.report.answering import answer, code
from luthier.app.report.learned import Lessons, boundaries, diagnosis, importances, sufficiency
from luthier.app.report.next_steps import next_steps
from luthier.app.report.parts import Items, Part, Picture, Report, Section, Table, Text
from luthier.app.report.settings import settings
from luthier.app.show import ADVICE
from luthier.craft.stages import story
from luthier.insight.ladder import ladder
from luthier.insight.race import race
from luthier.study.goals import outcome
from luthier.study.history import History
from luthier.study.words import searched_count, tried

_TOP = 10


def contents(history: History, storage: str = "") -> Report:
    """Return the report of a study, section by section.

    Args:
        history: of the study.
        storage: where it is kept, for the commands and the code that the report gives, without
            passwords (``luthier.run.places.place``); '' for the default.
    """
    lessons = Lessons(history)
    sections: list[tuple[str, Callable[[], list[Part]]]] = [
        ("The answer", lambda: answer(history)),
        ("What to do next", lambda: next_steps(lessons)),
        ("How it was found", lambda: _found(history)),
        ("The best trials", lambda: _best(history)),
        ("What matters", lambda: importances(history)),
        ("The edges of the space", lambda: boundaries(lessons)),
        ("What the learning curves say", lambda: diagnosis(lessons)),
        ("Have we tried enough?", lambda: sufficiency(lessons)),
        ("How trials ended", lambda: _ended(history)),
        ("Train it", lambda: code(history, storage)),
        ("Settings", lambda: settings(history)),
    ]
    done = [(heading, tuple(parts())) for heading, parts in sections]
    return Report(history.header.name, tuple(Section(h, parts) for h, parts in done if parts))


def _found(history: History) -> list[Part]:
    """Return the story stage by stage, the race, and the way down."""
    from luthier import plot

    parts: list[Part] = [Text(paragraph) for paragraph in story(history)]
    if len(history.trials) > 1:
        parts.append(
            Picture(
                "best-so-far",
                "The value of every trial in the order in which they ended, and the best so far.",
                lambda: plot.progress(history),
            )
        )
    raced = race(history)
    if raced is not None:
        parts.append(Items(tuple(words.race_lines(raced, history.objective.metric))))
        if any(finalist.values for finalist in raced.finalists):
            parts.append(
                Picture(
                    "race",
                    "The finalists on new seeds: each one's values, their mean and its 95 % interval; the "
                    "short line is what the search had found.",
                    lambda: plot.race(history),
                )
            )
    if any(len(t.steps) > 1 for t in history.trials):
        parts += [
            Picture(
                "learning-curves",
                f"{history.objective.metric} over the epochs; the five best trials in colour.",
                lambda: plot.curves(history),
            ),
            Picture(
                "budgets",
                "How many trials were trained to each epoch, and what became of them.",
                lambda: plot.budgets(history),
            ),
        ]
    if any(len(bracket.rungs) > 1 for bracket in ladder(history).brackets):
        parts.append(
            Picture(
                "ladder",
                "The first bracket with several rungs: who arrived with what, and who went on. The broken "
                "line is the worst value with which a trial went on.",
                lambda: plot.ladder(history),
            )
        )
    return parts


def _best(history: History) -> list[Part]:
    from luthier import plot

    ranking = history.ranking()[:_TOP]
    if not ranking:
        return []
    metric, *others = history.goals.metrics
    front = on_front(history)
    full = list(dict.fromkeys(name for t in ranking for name in t.configuration))
    short = {key: name for name, key in words.shortened({key: key for key in full}).items()}
    rows = tuple(
        (
            f"{trial.number}{mark(trial, front)}",
            words.number(history.value(trial.best_loss)),
            *(words.number(outcome(trial, name)) for name in others),
            f"{trial.best_step} of {trial.step}",
            str(trial.state),
            *(words.readable(trial.configuration.get(key, "")) for key in full),
        )
        for trial in ranking
    )
    headings = ("trial", metric, *others, "best epoch", "state", *short.values())
    parts: list[Part] = [Table(headings, rows), *map(Text, marks_told(history, ranking))]
    if len(history.trials) > 2 and history.space.dimension:
        parts += [
            Picture(
                "slices",
                "Every trial against each hyperparameter on its own scale; later trials are darker, "
                "the best is red. The line is what a Gaussian process expects with all else as in the "
                "best trial, in its interval of 90 %.",
                lambda: plot.slices(history),
            ),
            Picture(
                "parallel",
                "Every trial as a line across the hyperparameters, the best in colour.",
                lambda: plot.parallel(history),
            ),
        ]
    if len(history.goals.objectives) > 1:
        parts.append(
            Picture(
                "front",
                "The trials that no other one beats in every objective.",
                lambda: plot.front(history),
            )
        )
    return parts


def _ended(history: History) -> list[Part]:
    counts = tuple((str(state), str(count)) for state, count in history.counts().items())
    parts: list[Part] = [Table(("state", "trials"), counts)] if counts else []
    lines = [f"in all: {tried(history)}"] if searched_count(history) < len(history.trials) else []
    lines += [
        f"{count} {kind}: {ADVICE.get(kind, 'see luthier show STUDY --trial N')}"
        for kind, count in failures(history).items()
    ]
    lines += [f"put back in the queue, {cause}: {n} times" for cause, n in returns(history).items()]
    return [*parts, Items(tuple(lines))] if lines else parts
