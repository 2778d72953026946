"""All that one needs to know to do it again."""

from __future__ import annotations

import platform
import time
from importlib import metadata

from luthier.app import words
from luthier.app.report.parts import Part, Table
from luthier.app.show import settings_words
from luthier.study.history import History
from luthier.study.words import tried
from luthier.version import __version__

_TOLD = ("keras", "tensorflow", "torch", "jax", "scikit-learn", "numpy")


def settings(history: History) -> list[Part]:
    """Return the space, the study's settings and the versions."""
    header = history.header
    domains = tuple((name, repr(domain)) for name, domain in history.space.domains.items())
    rules = tuple(("constraint", c.text) for c in history.space.constraints)
    limits = history.limits
    rows = [
        ("objective", str(history.goals)),
        ("searcher", settings_words(header.searcher)),
        ("scheduler", settings_words(header.scheduler)),
        ("seed", str(header.seed)),
        ("at most", f"{limits.trials or 'any'} trials, {limits.epochs or 'any'} epochs"),
        ("done", f"{tried(history)}, {history.epochs} epochs"),
        ("first event", _moment(header.time)),
        ("last event", f"{_moment(history.last_time)}, {_later(history)} later"),
        ("luthier of the study", header.luthier),
        ("luthier of this report", __version__),
        ("Python of this report", platform.python_version()),
        *((f"{name} here", version) for name, version in _versions()),
    ]
    parts: list[Part] = [Table(("setting", "value"), tuple(rows))]
    if domains:
        parts.insert(0, Table(("hyperparameter", "range"), domains + rules))
    return parts


def _moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(seconds))


def _later(history: History) -> str:
    return words.duration(history.last_time - history.header.time)


def _versions() -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for name in _TOLD:
        try:
            found.append((name, metadata.version(name)))
        except metadata.PackageNotFoundError:
            continue
    return found
