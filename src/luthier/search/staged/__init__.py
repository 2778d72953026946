"""Stages: hyperparameters in the order in which they matter, a few at a time, then all together.

What an experienced tuner does: the learning rate first, at the defaults of everything else; then momentum,
batch size, units, layers, decay, regularisation, each coarsely and then by a guided search, the rest fixed
at the best so far. Every stage ends in a conclusion that is part of the study's log.

Setting one at a time is blind to interactions, so three things are different from what is done by hand. The
surrogate that guides each stage has seen all trials of all stages; the learning rate stays live, in a range
round its best, since nearly everything shifts it; and a share of the study is kept for the end, when all is
live at once round the best.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from luthier.errors import StudyError
from luthier.search.columns import columns_of
from luthier.search.gaussian_process import GaussianProcess, ranked_places
from luthier.search.models import Models
from luthier.search.novelty import first_apart, first_new, untried
from luthier.search.observations import observe
from luthier.search.random import RandomSearch
from luthier.search.sobol import points
from luthier.search.staged.concluding import conclusion
from luthier.search.staged.effects import importance
from luthier.search.staged.planning import coarse, is_over, next_stage
from luthier.search.staged.remaining import remaining
from luthier.search.staged.roles import by_full_name, checked_order, grouped
from luthier.search.staged.settings import JOINT, Settings
from luthier.search.staged.starting import check_names, check_start, is_range, started
from luthier.search.staged.widening import widening
from luthier.search.staged.within import as_fixed, fits, opened, room_of
from luthier.search.surrogate.threads import one_thread
from luthier.search.transfer import sources_of
from luthier.search.widening import changed_now
from luthier.space import Space
from luthier.study import events as ev
from luthier.study.chance import Chance
from luthier.study.history import History
from luthier.study.protocols import Turn

_DRAWN = 64  # places of which the first new one is taken where nothing guides


@dataclass(frozen=True)
class Stages:
    """A searcher that works in stages; ``luthier.tune(..., staged=True)``.

    Attributes:
        order: ``"one by one"``, ``"ng"`` (Andrew Ng's), or a list of roles and hyperparameters' names,
            with groups as inner lists: ``["learning rate", ["momentum", "batch size"], "dropout"]``.
            What it does not name comes last.
        roles: what hyperparameters are where their names do not say it: ``{"c_17": "units"}``.
        start: ranges for the first stage, (low, high) by name, such as the learning rate's from a range
            finder; what the space does not hold of them is cut off, and every later stage goes by what
            was found.
        joint: the share of the trials, from 0 to 1, that is kept for the end, all hyperparameters
            together.
        live: whether the learning rate is varied in later stages, too, near its best.
        adapts: whether what the trials show changes the order and skips what makes no difference.
        zoom: how much of each range, by its width on its own scale, is left in the last stage.
        width: and how much of the learning rate's while it is live.

    Raises:
        StudyError: a setting that cannot be; the message says what was expected.
    """

    order: str | Sequence[str | Sequence[str]] = "one by one"
    roles: Mapping[str, str] = field(default_factory=dict[str, str])
    start: Mapping[str, Sequence[float]] = field(default_factory=dict[str, Sequence[float]])
    joint: float = 0.4
    live: bool = True
    adapts: bool = True
    zoom: float = 0.5
    width: float = 0.3

    def __post_init__(self) -> None:
        """Check the settings."""
        checked_order(self.order)
        for name in ("joint", "zoom", "width"):
            value: Any = getattr(self, name)
            if (
                type(value) not in (int, float)
                or not 0 <= value <= 1
                or (name != "joint" and not value)
            ):
                raise StudyError(f"Stages: {name} must lie between 0 and 1, got {value!r}.")
        for name, ends in self.start.items():
            if not is_range(ends):
                raise StudyError(f"Stages: start must give {name!r} (low, high), got {ends!r}.")

    def propose(
        self, history: History, space: Space, number: int, chance: Chance
    ) -> dict[str, Any]:
        """Return the configuration of trial *number*.

        Raises:
            SpaceError: constraints that leave (next to) nothing of the space.
        """
        if not space.searched or not history.stages:
            return RandomSearch().propose(history, space, number, chance)
        begun, done = history.stages[-1].begun, history.stages[-1].trials
        if begun.stage == 0 and done == 0 and fits(space, begun.around):
            wanted = space.check(begun.around)  # though somebody may have enqueued trials before
            if all(trial.configuration != wanted for trial in history.trials):
                return wanted
        names = [name for name in begun.hyperparameters if name in space.domains]
        own = opened(space, names, begun.around)
        found = None
        if done < _coarse(len(own), begun) or len(observe(history, space).losses) < 2:
            found = _evenly(history, space, begun, own, done, chance)
        found = found or _guided(history, space, begun, chance)
        if found is None:
            return untried(observe(history, space), history, space, number, chance)
        return as_fixed(space, begun, found)

    def size(self, space: Space) -> int | None:
        """Return None: there is no end to it.

        Raises:
            StudyError: the order or the roles name what the space does not have.
        """
        grouped(space, checked_order(self.order), self.roles)
        return None

    def turn(self, history: History, room: int | None) -> Turn | None:
        """Return the end of a stage, a wider space, or the beginning of the next stage, when it is due.

        Raises:
            StudyError: the roles or the start name what the space does not have, or the start has ranges
                outside of it.
        """
        space, stages = history.space, history.stages
        if not space.searched:
            return None
        if stages and stages[-1].concluded is None:
            if not is_over(history, stages[-1], room):
                return None
            return conclusion(history, space, stages[-1], self._settings(space), importance)
        if room == 0:
            return None
        if stages and not changed_now(history):
            wider = widening(history, space, stages[-1], by_full_name(space, self.roles))
            if wider is not None:
                return wider
        self._check(history)
        return next_stage(history, space, self._settings(space), room, importance)

    def explain(self, history: History, space: Space) -> str:
        """Return in one line what the next proposal comes from, and why."""
        if not history.stages or history.stages[-1].concluded is not None:
            names = ", ".join(
                name for name, _ in grouped(space, checked_order(self.order), self.roles)
            )
            return f"in stages: {names}, then all together"
        stage = history.stages[-1]
        of = f" of {stage.begun.trials}" if stage.begun.trials else ""
        live = f", with {', '.join(stage.begun.live)} live" if stage.begun.live else ""
        return (
            f"stage {stage.begun.stage + 1}, {stage.name}: trial {stage.trials + 1}{of} over "
            f"{', '.join(stage.hyperparameters)}{live}; the rest as in the best so far"
        )

    def _check(self, history: History) -> None:
        """Refuse names and ranges that the space does not have, before the first stage.

        Code that asks for its hyperparameters may yet ask for these; and a space may lose some later on.
        """
        if history.stages:
            return
        if not history.header.define_by_run:
            check_names(self.roles, "roles", history.space)
            check_names(self.start, "start", history.space)
        check_start(self.start, history.space)

    def _settings(self, space: Space) -> Settings:
        return Settings(
            checked_order(self.order), by_full_name(space, self.roles), started(space, self.start),
            self.joint, self.live, self.adapts, self.zoom, self.width,
        )  # fmt: skip


def _coarse(count: int, begun: ev.StageBegun) -> int:
    """Return how many trials of a stage are quasi-random; none of the last, once much is known."""
    if begun.name == JOINT and begun.stage > 0:
        return 0
    most = count + 1 if begun.trials is None else max(2, begun.trials // 2)
    return min(coarse(count), most)


def _guided(
    history: History, space: Space, begun: ev.StageBegun, chance: Chance
) -> dict[str, Any] | None:
    """Return what the surrogate of all trials promises most within the stage; None without a new one."""
    room, seen = room_of(space, begun, live=True), observe(history, space)
    if len(seen.losses) >= 2:
        noisy = history.header.noisy
        with one_thread():
            models = Models(seen, columns_of(space), sources_of(history, space))
            hurry = GaussianProcess().hurry(history)
            ranked = ranked_places(models, hurry, noisy, chance, room)
        if found := first_apart(ranked, seen, history, space, again=noisy):
            return found
    uniforms = chance.of("stage").generator().random((_DRAWN, room.dimension))
    found = first_new(room.drawn(uniforms), seen, history, space)
    if found is None and (left := remaining(history, room)):
        return left[0]
    return found


def _evenly(
    history: History,
    space: Space,
    begun: ev.StageBegun,
    own: list[str],
    index: int,
    chance: Chance,
) -> dict[str, Any] | None:
    """Return point *index* of a low-discrepancy sequence over the stage's own hyperparameters."""
    room = room_of(space, begun, live=False)
    columns = [room.names.index(name) for name in own]
    if not columns:
        return None
    seed = Chance(chance.seed, ("stage", begun.stage)).integer()
    place = ((room.low + room.high) / 2)[None, :]
    low, high = room.low[columns], room.high[columns]
    place[0, columns] = low + points(seed, len(columns), 64)[index % 64] * (high - low)
    return first_new(room.rounded(place), observe(history, space), history, space)
