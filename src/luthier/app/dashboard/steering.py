"""What the page asks for, done: each wish becomes an event in the study's log, with who and when."""

from __future__ import annotations

import ast
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Literal

import msgspec

from luthier.app import words
from luthier.app.dashboard.columns import label
from luthier.app.saying import short_race
from luthier.app.told_domains import with_ends, with_options
from luthier.errors import SpaceError, StudyError, nearest
from luthier.space import Bool, Choice, Constant, Domain, Float, Int
from luthier.storage import SQLiteStore
from luthier.study.narrowing import with_in_place
from luthier.study.protocols import Store
from luthier.study.study import Study

_LONGEST = 10_000


class Wish(msgspec.Struct, forbid_unknown_fields=True):
    """What a page may post."""

    study: str
    action: Literal[
        "stop", "pause", "resume", "prune", "enqueue", "space", "budget", "note", "race"
    ]
    who: str = ""
    reason: str = ""
    trial: int | None = None
    configuration: dict[str, str] | None = None
    name: str = ""
    low: str = ""
    high: str = ""
    options: list[str] | None = None
    trials: int | msgspec.UnsetType | None = msgspec.UNSET  # null: no limit; left out: as it is
    epochs: int | msgspec.UnsetType | None = msgspec.UNSET
    text: str = ""
    finalists: int = 5
    repetitions: int = 10


class Helm:
    """Opens the store for writing when the first wish comes; grants one wish at a time."""

    def __init__(self, opened: Callable[[], Store]) -> None:
        self._opened = opened
        self._store: Store | None = None
        self._lock = threading.Lock()
        self._studies: dict[str, Study] = {}

    def grant(self, wish: Wish, who: str) -> str:
        """Do it, and return in words what was done.

        Raises:
            StudyError: the study does not exist or cannot do it; SpaceError: a value out of range.
        """
        if len(wish.text) > _LONGEST or len(wish.reason) > _LONGEST or len(wish.who) > 200:
            raise StudyError(f"A note or reason may have {_LONGEST} characters at most.")
        with self._lock:
            return granted(self._study(wish.study), wish, who)

    def _study(self, name: str) -> Study:
        """Return the study as it stands, opened anew where it is another one than before."""
        from luthier.run.opening import open_study

        if isinstance(self._store, SQLiteStore) and self._store.replaced:
            self._store.close()
            self._store = None
            self._studies.clear()
        if self._store is None:
            self._store = self._opened()
        if (known := self._studies.pop(name, None)) is not None:
            with suppress(StudyError):  # begun anew since, with other settings
                known.refresh()
                self._studies[name] = known
        if name not in self._studies:
            self._studies[name] = open_study(name, storage=self._store, renews=False)
        return self._studies[name]


def granted(study: Study, wish: Wish, who: str) -> str:
    """Do what *wish* asks of *study*; see ``Helm.grant``."""
    steer = study.steer.by(who)
    match wish.action:
        case "stop":
            steer.stop(wish.reason)
            return "Workers end after their current epoch."
        case "pause":
            steer.pause(wish.reason)
            return "Workers wait after their current epoch."
        case "resume":
            steer.go_on(wish.reason)
            return "The study goes on."
        case "prune":
            steer.prune(_trial(wish), wish.reason or "pruned by hand")
            return f"Trial {wish.trial} is pruned; a running one ends at its next report."
        case "enqueue":
            steer.enqueue(configuration_from(study, wish.configuration or {}))
            return "The configuration is tried next."
        case "space":
            domain = changed(study, wish)  # it refreshes: what others changed since stays so
            steer.space(with_in_place(study.space, wish.name, domain), wish.reason)
            return f"The space of {wish.name} is changed."
        case "budget":
            history = study.refresh()
            limits = history.limits
            steer.budget(
                trials=limits.trials if wish.trials is msgspec.UNSET else wish.trials,
                epochs=limits.epochs if wish.epochs is msgspec.UNSET else wish.epochs,
                until=history.until,
                reason=wish.reason,
            )
            return f"The budget is now: {words.budget(study.refresh(), time.time())}."
        case "race":
            steer.race(wish.finalists, wish.repetitions, reason=wish.reason)
            done = f"The {wish.finalists} best trials are raced once the search is over."
            return f"{done} {short_race(study)}".strip()
        case "note":
            steer.note(wish.text, wish.trial)
            return "The note is kept." if wish.text else "The note is taken back."


def _trial(wish: Wish) -> int:
    if wish.trial is None:
        raise StudyError("Pruning needs the number of a trial.")
    return wish.trial


def configuration_from(study: Study, texts: dict[str, str]) -> dict[str, Any]:
    """Return the configuration that was typed, each value read as its hyperparameter's kind.

    Raises:
        SpaceError: an unknown hyperparameter, or a text that is no value of it.
    """
    study.refresh()
    domains = study.space.domains
    found: dict[str, Any] = {}
    for name, text in texts.items():
        if name not in domains:
            raise SpaceError(f"The space has no {name!r}.{nearest(name, list(domains))}")
        found[name] = value_from(name, domains[name], text)
    for name, domain in domains.items():
        if name not in found and isinstance(domain, Constant):
            found[name] = domain.value
    return {n: v for n, v in found.items() if study.space.is_active(n, found)}


def value_from(name: str, domain: Domain, text: str) -> Any:
    """Return the value of *domain* that is written as *text*.

    Raises:
        SpaceError: there is none.
    """
    if isinstance(domain, Float | Int):
        try:
            return float(text) if isinstance(domain, Float) else int(text)
        except ValueError:
            raise SpaceError(f"{name}: expected a number, got {text!r}.") from None
    options: tuple[Any, ...] = (False, True)
    if isinstance(domain, Choice):
        options = domain.options
    elif isinstance(domain, Constant):
        options = (domain.value,)
    else:
        assert isinstance(domain, Bool)
    for option in options:
        if label(option) == text:
            return option
    known = [label(option) for option in options]
    raise SpaceError(
        f"{name}: expected one of {', '.join(known)}, got {text!r}.{nearest(text, known)}"
    )


def changed(study: Study, wish: Wish) -> Domain:
    """Return the domain of *wish.name* with other ends, or with other options.

    Raises:
        SpaceError: an unknown hyperparameter, ends that are no numbers, no options.
    """
    study.refresh()
    domain = study.space.domains.get(wish.name)
    if domain is None:
        raise SpaceError(f"The space has no {wish.name!r}.{nearest(wish.name, list(study.space))}")
    if isinstance(domain, Float | Int):
        low = value_from(wish.name, domain, wish.low)
        high = value_from(wish.name, domain, wish.high)
        return with_ends(domain, low, high)
    if isinstance(domain, Choice) and wish.options and not domain.subspaces:
        known = {label(option): option for option in domain.options}
        fresh = [
            known[text] if text in known else _typed(wish.name, text, domain)
            for text in wish.options
        ]
        return with_options(domain, fresh)
    raise SpaceError(f"{wish.name} is {domain!r}: its range cannot be changed from the page.")


def _typed(name: str, text: str, domain: Choice) -> Any:
    """Return a new option: of the type of those that are there, or else the value that it is in Python.

    Raises:
        SpaceError: it is no number among numbers, or no value at all where no option is a text.
    """
    kinds = {type(option) for option in domain.options}
    try:
        for kind in (str, int, float):
            if kinds == {kind}:
                return kind(text)
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        if str in kinds:  # a word among other words, which are shown without their quotes
            return text
        known = ", ".join(map(label, domain.options))
        raise SpaceError(
            f"{name}: expected an option like the others ({known}), written as in Python, got {text!r}."
        ) from None
