"""What people may ask of a study while it runs: each an event that every worker sees."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from msgspec import structs

from luthier.errors import StudyError
from luthier.space import Float, Int, Space
from luthier.space.names import qualified
from luthier.space.plain import number, option, whole
from luthier.study import events as ev
from luthier.study.clock import Clock
from luthier.study.history import History
from luthier.study.protocols import Searcher

_INHERITS = ("population", "replay")  # schedulers whose trials go on from one another's weights


def inherits(history: History) -> bool:
    """Return whether the study's trials go on from one another's weights.

    Then the configuration with which a trial ended does not train the same again, nor explain its value.
    """
    return history.header.scheduler["name"] in _INHERITS


@dataclass(frozen=True)
class Steering:
    """The controls of one study; ``study.steer``. *who* is the person whose wish the log tells."""

    _refresh: Callable[[], History]
    _append: Callable[[list[ev.AnyEvent]], None]
    _clock: Clock
    _searcher: Searcher
    who: str = ""

    def by(self, who: str) -> Steering:
        """Return the same controls in another person's hands."""
        return replace(self, who=who)

    def pause(self, reason: str = "") -> None:
        """Have running trials give their jobs back at their next report, and workers wait."""
        self._append([ev.StudyPaused(time=self._clock.time(), reason=reason, who=self.who)])

    def stop(self, reason: str = "") -> None:
        """Have running trials give their jobs back at their next report, and workers end."""
        self._append([ev.StudyStopped(time=self._clock.time(), reason=reason, who=self.who)])

    def go_on(self, reason: str = "") -> None:
        """End a pause or a stop."""
        if self._refresh().held:
            self._append([ev.StudyContinued(time=self._clock.time(), reason=reason, who=self.who)])

    def prune(self, trial: int, reason: str = "pruned by hand") -> None:
        """Abandon a trial; a running one ends at its next report.

        One that failed by an error of the training code is given up: the study goes on without it.

        Raises:
            StudyError: there is no such trial, or it has ended.
        """
        history = self._refresh()
        trials = history.trials
        if not 0 <= trial < len(trials):
            known = f"0 to {len(trials) - 1}" if trials else "none yet"
            raise StudyError(f"There is no trial {trial} to prune: trials are {known}.")
        record = trials[trial]
        if record.state.ended and trial not in history.errors:
            raise StudyError(f"Trial {trial} has ended already: it is {record.state}.")
        now = self._clock.time()
        self._append(
            [ev.TrialStopped(time=now, trial=trial, step=record.step, reason=reason, who=self.who)]
        )

    def enqueue(self, configuration: Mapping[str, Any]) -> None:
        """Have *configuration* tried next, before what the searcher proposes.

        Raises:
            SpaceError: when the space does not hold it.
        """
        wanted = enqueued(self._refresh(), configuration, self._clock.time())
        self._append([structs.replace(wanted, who=self.who)])

    def note(self, text: str, trial: int | None = None) -> None:
        """Write a remark on a trial, or on the whole study; it takes the place of the one before.

        Args:
            text: of the remark; "" takes the one before back.
            trial: its number; None for the whole study.

        Raises:
            StudyError: there is no such trial.
        """
        trials = self._refresh().trials
        if trial is not None and not 0 <= trial < len(trials):
            known = f"0 to {len(trials) - 1}" if trials else "none yet"
            raise StudyError(f"There is no trial {trial} to write a note on: trials are {known}.")
        number, now = -1 if trial is None else trial, self._clock.time()
        self._append([ev.NoteTaken(time=now, text=text, trial=number, who=self.who)])

    def budget(
        self,
        *,
        trials: int | None = None,
        epochs: int | None = None,
        until: float | None = None,
        reason: str = "",
        opened: bool = False,
    ) -> None:
        """Limit the study anew, for every process that works on it; None is no limit.

        Programs that open it with the limits of before leave it at that.

        Args:
            trials: trials in all, those tried already included.
            epochs: epochs of all trials together.
            until: when to stop, in seconds since 1970.
            reason: kept in the log.
            opened: it is what a program asks for that opens the study.

        Raises:
            StudyError: a limit that is no whole number above 0.
        """
        for name, value in (("trials", trials), ("epochs", epochs)):
            given: Any = value
            if given is not None and (type(given) is not int or given < 1):
                raise StudyError(f"{name} must be a whole number above 0, or None, got {value!r}.")
        now = self._clock.time()
        self._append(
            [
                ev.BudgetSet(
                    time=now,
                    trials=trials,
                    epochs=epochs,
                    until=until,
                    reason=reason,
                    who=self.who,
                    opened=opened,
                )
            ]
        )

    def race(
        self,
        finalists: int = 5,
        repetitions: int = 10,
        *,
        significance: float = 0.05,
        reason: str = "",
    ) -> None:
        """Have the best trials raced on new seeds once the search is over; a finished study goes on.

        Args:
            finalists: how many trials, at least 2, of different configurations.
            repetitions: how often each is trained again at most, at least 3; one that is worse than the
                leader beyond chance is dropped earlier. They count as epochs, not as trials.
            significance: the risk of dropping the best of them, between 0 and 1.
            reason: kept in the log.

        Raises:
            StudyError: a number out of range, or trials that inherit one another's weights.
        """
        counts: tuple[tuple[str, Any, int], ...] = (
            ("finalists", finalists, 2),
            ("repetitions", repetitions, 3),
        )
        for name, value, least in counts:
            if type(value) is not int or value < least:
                raise StudyError(
                    f"{name} must be a whole number of at least {least}, got {value!r}."
                )
        if not 0.0 < significance < 1.0:
            raise StudyError(
                "significance, the risk of dropping the best finalist, must lie between 0 and 1 "
                f"(0.05), got {significance!r}."
            )
        history = self._refresh()
        if inherits(history):
            scheduler = history.header.scheduler["name"]
            raise StudyError(
                f"The scheduler {scheduler!r} has no finalists to race: its trials go on from one "
                "another's weights, so that a configuration alone does not train the same again. "
                "Train the winner's schedule again with luthier.schedule.Replay.of(study)."
            )
        self._append(
            [
                ev.RaceSet(
                    time=self._clock.time(),
                    finalists=finalists,
                    repetitions=repetitions,
                    significance=float(significance),
                    reason=reason,
                    who=self.who,
                )
            ]
        )

    def widen(self, allowed: bool, reason: str = "") -> None:
        """Let the study widen its space by itself where the best trials crowd an edge, or forbid it.

        Args:
            allowed: False also keeps a study in stages within the space as it stands.
            reason: kept in the log.

        Raises:
            StudyError: no truth value, or a grid, whose every point would move.
        """
        given: Any = allowed
        if type(given) is not bool:
            raise StudyError(f"widen must be True or False, got {given!r}.")
        history = self._refresh()
        if allowed and history.header.searcher["name"] == "grid":
            raise StudyError(
                "widen=True was given beside the searcher 'grid', whose points would all move with a "
                "range: take another searcher, such as 'auto', or widen the space yourself."
            )
        if history.widening is not allowed:
            now = self._clock.time()
            self._append([ev.WideningSet(time=now, allowed=allowed, reason=reason, who=self.who)])

    def learn_from(self, earlier: ev.EarlierTrials) -> None:
        """Give the searcher what another study found; the same study counts once."""
        if not any(earlier.same_as(known) for known in self._refresh().earlier):
            self._append([earlier])

    def space(self, space: Space | Mapping[str, Any], reason: str = "") -> None:
        """Widen or narrow the space; what was tried stays in the history.

        Raises:
            SpaceError: no space, or one that the searcher cannot search.
        """
        wanted = space if isinstance(space, Space) else Space(space)
        self._searcher.size(wanted)
        now = self._clock.time()
        self._append(
            [ev.SpaceChanged(time=now, space=wanted.to_dict(), reason=reason, who=self.who)]
        )


def enqueued(history: History, configuration: Mapping[str, Any], now: float) -> ev.Enqueued:
    """Return the event that has *configuration* tried next.

    Raises:
        SpaceError: when the space does not hold it.
    """
    space, checked = history.space, None
    if history.header.define_by_run:
        beginning = Space.from_dict(history.header.space)
        if not space.domains or any(key not in beginning for key in space):
            checked = _as_code_may_ask(space, beginning, configuration)
    return ev.Enqueued(
        time=now, configuration=space.check(configuration) if checked is None else checked
    )


def _as_code_may_ask(
    space: Space, beginning: Space, configuration: Mapping[str, Any]
) -> dict[str, Any]:
    """Return *configuration* for code that says its space while it runs.

    Before the first trial any name may be one that it asks for, and a range that it was seen to ask for may
    be another one next time; what it never asks for is left out, what is missing is drawn.
    """
    nothing_known = not space.domains and isinstance(configuration, Mapping)  # pyright: ignore[reportUnnecessaryIsInstance]
    given = dict(configuration) if nothing_known else qualified(space, configuration)
    checked: dict[str, Any] = {}
    for key, value in given.items():
        domain = space.domains.get(key)
        if isinstance(domain, Float | Int) and key not in beginning:
            is_whole = isinstance(domain, Int)
            checked[key] = whole(key, key, value) if is_whole else number(key, value)
        else:
            checked[key] = option(value) if domain is None else domain.check(key, value)
    return checked
