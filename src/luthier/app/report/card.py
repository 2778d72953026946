"""The model card: what Hugging Face shows beside a model, filled in from the study's log.

The front matter has the keys of Hugging Face's model cards (Mitchell et al. 2019 for the idea). Only what is
known is written: whoever publishes says what the data, the task and the licence are.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from luthier.app import words
from luthier.app.forms import as_yaml
from luthier.app.reading import failure
from luthier.app.report.answering import answer, chosen, code
from luthier.app.report.learned import Lessons, boundaries, sufficiency
from luthier.app.report.markdown import document
from luthier.app.report.parts import Items, Part, Report, Section, Table, Text
from luthier.app.report.settings import settings
from luthier.app.whole_files import replace
from luthier.errors import LuthierError
from luthier.insight.race import race
from luthier.study.history import History
from luthier.study.words import counted, tried

_FEW = 20  # trials: below, the best of them says little of the space


@dataclass(frozen=True)
class About:
    """What the log of a study does not know about its model.

    Attributes:
        name: the model's name; the study's where it is empty.
        library: what trained it: ``keras``, ``pytorch``, ``jax``, ...
        dataset: what it was trained on, as Hugging Face or people call it.
        task: such as ``image-classification``.
        licence: such as ``apache-2.0``.
        text: what the model is for, and how its data were made and divided.
    """

    name: str = ""
    library: str = ""
    dataset: str = ""
    task: str = ""
    licence: str = ""
    text: str = ""


def card(history: History, about: About, storage: str = "") -> str:
    """Return the model card of the study's chosen configuration, as Markdown with front matter."""
    lessons = Lessons(history)
    sections: list[tuple[str, Callable[[], list[Part]]]] = [
        ("The answer", lambda: answer(history)),
        ("What was searched", lambda: _searched(lessons)),
        ("Data", lambda: _data(history, about)),
        ("Train it", lambda: code(history, storage)),
        ("Limitations", lambda: _limitations(lessons)),
        ("Settings and versions", lambda: settings(history)),
    ]
    done = tuple(Section(heading, tuple(parts())) for heading, parts in sections)
    body = document(
        Report(about.name or history.header.name, tuple(s for s in done if s.parts)), {}
    )
    return f"---\n{as_yaml(front_matter(history, about))}---\n\n{body}"


def write_card(history: History, about: About, file: str | Path, storage: str = "") -> Path:
    """Write the model card to *file*, and return its path.

    Raises:
        LuthierError: it cannot be written, or its name does not end in .md.
    """
    path = Path(file)
    if path.suffix.lower() != ".md":
        raise LuthierError(
            f"A model card is Markdown: expected a name that ends in .md, got {file}."
        )
    try:
        replace(path, card(history, about, storage).encode())
    except OSError as error:
        raise LuthierError(f"Cannot write {path}: {error}.") from error
    return path


def front_matter(history: History, about: About) -> dict[str, Any]:
    """Return the keys that Hugging Face reads, those alone whose values are known."""
    metric, trial = history.objective.metric, chosen(history)
    found: dict[str, Any] = {
        "license": about.licence,
        "library_name": about.library,
        "pipeline_tag": about.task,
        "datasets": [about.dataset] if about.dataset else [],
        "metrics": list(dict.fromkeys(m.removeprefix("val_") for m in history.goals.metrics)),
        "tags": ["hyperparameter-tuning", "luthier"],
    }
    if trial is not None and about.task and about.dataset:
        value, named = history.value(trial.best_loss), f"{metric} in the search"
        if (raced := race(history)) is not None and raced.winner is not None:
            value, named = raced.winner.mean, f"mean {metric} over new seeds"
        split = "validation" if metric.startswith("val_") else "unknown"
        dataset = {"name": about.dataset, "type": about.dataset, "split": split}
        measured = {"type": metric.removeprefix("val_"), "value": value, "name": named}
        result = {
            "task": {"type": about.task},
            "dataset": dataset,
            "metrics": [measured, *_on_the_test_set(history, trial.number)],
        }
        name = about.name or history.header.name
        found["model-index"] = [{"name": name, "results": [result]}]
    return {key: value for key, value in found.items() if value}


def _on_the_test_set(history: History, trial: int) -> list[dict[str, Any]]:
    """Return what the first read of the test set said: later ones are no estimate any more."""
    first = next((read for read in history.test_reads if read.trial == trial), None)
    if first is None:
        return []
    return [
        {"type": name.removeprefix("val_"), "value": value, "name": f"{name} on the test set"}
        for name, value in first.values.items()
    ]


def _searched(lessons: Lessons) -> list[Part]:
    history = lessons.history
    ranges = tuple((name, repr(domain)) for name, domain in history.space.domains.items())
    counts = ", ".join(f"{count} {state}" for state, count in history.counts().items())
    header = history.header
    return [
        Text(
            f"{tried(history)} ({counts or 'none'}) of {history.epochs} epochs together, by "
            f"{header.searcher['name']} search with scheduler {header.scheduler['name']}: "
            f"{history.goals}."
        ),
        *([Table(("hyperparameter", "range"), ranges)] if ranges else []),
        *boundaries(lessons),
    ]


def _data(history: History, about: About) -> list[Part]:
    parts: list[Part] = [Text(about.text)] if about.text else []
    if about.dataset:
        parts.append(Text(f"Trained and validated on {about.dataset}."))
    if not parts:
        parts.append(
            Text(
                "Not known: the study's log does not say what it was trained on (--dataset, --text)."
            )
        )
    if not history.test_reads:
        parts.append(Text("No test set was read: all values are of validation data."))
    return parts


def _limitations(lessons: Lessons) -> list[Part]:
    """Return what the log itself says against believing the answer too much."""
    history = lessons.history
    metric, ranking, raced = history.objective.metric, history.ranking(), race(history)
    lines: list[str] = []
    if ranking and (raced is None or raced.winner is None):
        seeds = "The race on new seeds goes on." if raced else "New seeds were not tried."
        if raced is not None and raced.undecided:
            seeds = f"The race on new seeds decided nothing: {raced.undecided}."
        side = "high" if history.objective.direction == "maximize" else "low"
        lines.append(
            f"The value is that of one training, the best of {len(ranking)}: chosen for being {side}, so "
            f"it is too good on the average. {seeds}"
        )
    if ranking and not history.test_reads:
        lines.append(
            f"{metric} chose the configuration and the epoch, so it is no independent estimate."
        )
    if len(history.test_reads) > 1:
        lines.append(f"The test set was read {len(history.test_reads)} times.")
    if len(ranking) < _FEW:
        lines.append(f"Only {counted(len(ranking), 'trial')} ended with a value.")
    edges = lessons.edges if history.space.dimension else ()
    if not isinstance(edges, str) and edges:
        names = ", ".join(dict.fromkeys(edge.name for edge in edges))
        lines.append(
            f"The best trials crowd an edge of the space: better may lie beyond ({names})."
        )
    lost = sum(map(bool, map(failure, history.trials)))
    if lost:
        share = 100 * lost / len(history.trials)
        lines.append(f"{counted(lost, 'trial')} diverged or failed: {words.number(share)} %.")
    empty = [
        t for t in history.trials
        if t.state.ended and not failure(t) and not math.isfinite(t.best_loss)
    ]  # fmt: skip
    if empty:
        lines.append(f"{counted(len(empty), 'trial')} ended without a finite {metric}.")
    parts: list[Part] = [Items(tuple(lines))] if lines else []
    return [*parts, *(p for p in sufficiency(lessons) if isinstance(p, Text))]
