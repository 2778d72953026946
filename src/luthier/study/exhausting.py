"""Which configurations of a grid, or of a space with few, nobody has tried yet."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from luthier.errors import SpaceError
from luthier.space import Space
from luthier.study.chance import Chance
from luthier.study.feasibility import would_run_out
from luthier.study.following import followed
from luthier.study.history import History
from luthier.study.protocols import Scheduler, Searcher, in_stages
from luthier.study.records import TrialRecord

Count = tuple[tuple[str, int], ...] | int | None  # values of each hyperparameter, to be a key
_MOST = 1_000  # configurations that are looked through at each proposal


def exhaustible(history: History, searcher: Searcher, scheduler: Scheduler) -> bool:
    """Return whether the study ends once every configuration of its space was tried.

    Not where trying one twice tells something, where code asks for more than was declared (nobody can know
    before the first report), or where the scheduler's plan says when it ends.
    """
    return history.epochs > 0 and _ends_once_all_were_tried(history, searcher, scheduler)


def _ends_once_all_were_tried(history: History, searcher: Searcher, scheduler: Scheduler) -> bool:
    """Return whether the study does so unless the first report says that there are more configurations."""
    if getattr(scheduler, "ends_by_its_plan", False):  # which says how many trials there are
        return False
    return _once(history, searcher) and _is_all(history)


def configurations(history: History) -> int | None:
    """Return how many there are as far as was declared, where no two trials need have the same one.

    None where there may be any number, or code was seen to ask for more.
    """
    if history.header.noisy or not _few(history.space) or not _is_all(history):
        return None
    return len(_points(history.space, None))


def left(history: History) -> int:
    """Return how many trials there are still to begin: configurations nobody tried, and what is enqueued."""
    return len(history.queue) + sum(1 for _ in _possible(history))


def waits_for_a_report(history: History, searcher: Searcher, scheduler: Scheduler) -> bool:
    """Return whether all configurations that were declared are being tried, and nothing was reported yet.

    Then the code may still ask for more, so the study is not over, and to begin one again would tell nothing.
    """
    if history.epochs or not history.active or history.queue:
        return False
    ends = _ends_once_all_were_tried(history, searcher, scheduler)
    return ends and next(_possible(history), None) is None


def new_one(
    history: History, searcher: Searcher, configuration: dict[str, Any], chance: Chance
) -> dict[str, Any]:
    """Return *configuration*; if it was tried, and there are few, any that was not, while there are such."""
    if not _once(history, searcher):
        return configuration
    if not was_tried(configuration, history) and not would_run_out(
        configuration, history.infeasible
    ):
        return configuration
    new = list(_possible(history))
    return dict(new[chance.of("untried").integer() % len(new)]) if new else configuration


def _once(history: History, searcher: Searcher) -> bool:
    ends_itself = in_stages(searcher) or searcher.size(history.space) is not None
    return not history.header.noisy and not ends_itself and _few(history.space)


@lru_cache(maxsize=32)
def _few(space: Space) -> bool:
    """Return whether something is searched, in few configurations, and constraints leave some of them."""
    count = 1
    for domain in space.domains.values():
        count *= domain.cardinality or _MOST + 1
        if count > _MOST:
            return False
    return bool(space.searched) and bool(_points(space, None))


def _is_all(history: History) -> bool:
    """Return whether the space is what people gave, and will stay so."""
    if history.header.define_by_run or history.widening:
        return False
    return history.space.domains.keys() <= _declared(history)


def _declared(history: History) -> set[str]:
    """Return the names that people gave: at the beginning, and when they changed the space."""
    spaces = [history.header.space, *(record.change.space for record in history.changes)]
    return {entry["name"] for space in spaces for entry in space["domains"]}


def _possible(history: History) -> Iterator[dict[str, Any]]:
    return trainable(history.space, None, history)


def points_of(space: Space, count: Count) -> tuple[dict[str, Any], ...]:
    """Return every point of the grid, in the order in which the space lists its hyperparameters.

    Raises:
        SpaceError: a continuous hyperparameter has neither a step nor a count, or the constraints leave
            nothing of the grid.
    """
    points = _points(space, count)
    if not points:
        raise SpaceError(
            "No point of the grid satisfies the constraints "
            f"({'; '.join(map(str, space.constraints))}). Loosen them, or take more values."
        )
    return points


def untried(space: Space, count: Count, history: History) -> Iterator[dict[str, Any]]:
    """Yield the points of the grid that nobody has tried.

    Where the code says what it needs, a trial that asked for some of the hyperparameters has tried all
    points that agree with it in those.
    """
    partly = history.header.define_by_run
    tried = followed(history, "tried", _Tried).words
    shapes = [(_written(space, count, names, partly), those) for names, those in tried.items()]
    for at, point in enumerate(points_of(space, count)):
        if not any(words[at] in those for words, those in shapes):
            yield point


def untried_count(space: Space, count: Count, history: History) -> int:
    """Return how many points ``trainable`` yields; mostly without a look at each."""
    if history.header.define_by_run or history.infeasible:
        return sum(1 for _ in trainable(space, count, history))
    tried = followed(history, "tried", _Tried).words
    # In this order it takes as long as what was tried, not as the grid.
    known = (
        len(_all_written(space, count, names).intersection(those)) for names, those in tried.items()
    )
    return len(points_of(space, count)) - sum(known)


def trainable(space: Space, count: Count, history: History) -> Iterator[dict[str, Any]]:
    """Yield the points of the grid that nobody has tried and that should not run out of memory."""
    for point in untried(space, count, history):
        if not would_run_out(point, history.infeasible):
            yield point


def was_tried(configuration: dict[str, Any], history: History) -> bool:
    """Return whether a trial has this configuration; see ``untried`` for code that says what it needs."""
    partly, names = history.header.define_by_run, configuration.keys()
    return any(
        (names >= set(shape) if partly else len(names) == len(shape) and names == set(shape))
        and _words(configuration, shape) in those
        for shape, those in followed(history, "tried", _Tried).words.items()
    )


class _Tried:
    """The configurations of trials in words, by the names that they have."""

    def __init__(self) -> None:
        self.words: dict[tuple[str, ...], Counter[str]] = {}
        self._of: dict[int, tuple[tuple[str, ...], str]] = {}

    def take(self, trial: TrialRecord) -> None:
        names = tuple(sorted(trial.configuration))
        found = (names, _words(trial.configuration, names))
        before = self._of.get(trial.number)
        if found == before:
            return
        if before is not None:
            self._forget(*before)
        self._of[trial.number] = found
        if names:  # else it has not asked for anything
            self.words.setdefault(names, Counter())[found[1]] += 1

    def _forget(self, names: tuple[str, ...], words: str) -> None:
        if those := self.words.get(names):
            those[words] -= 1
            if not those[words]:
                del those[words]


@lru_cache(maxsize=256)
def _written(space: Space, count: Count, names: tuple[str, ...], partly: bool) -> list[str | None]:
    """Return each point's values of *names* in words; None for one that has not these names.

    With *partly* it may have more.
    """
    wanted = set(names)
    return [
        _words(point, names)
        if (point.keys() >= wanted if partly else point.keys() == wanted)
        else None
        for point in _points(space, count)
    ]


@lru_cache(maxsize=64)
def _all_written(space: Space, count: Count, names: tuple[str, ...]) -> frozenset[str | None]:
    return frozenset(_written(space, count, names, partly=False))


def _words(configuration: dict[str, Any], names: tuple[str, ...]) -> str:
    return json.dumps([configuration[name] for name in names])


@lru_cache(maxsize=8)
def _points(space: Space, count: Count) -> tuple[dict[str, Any], ...]:
    return tuple(space.grid(dict(count) if isinstance(count, tuple) else count))
