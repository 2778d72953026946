"""A study that can be written to: its log, folded as it grows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import MsgspecError

from luthier.errors import StudyError
from luthier.study import events as ev
from luthier.study import interrupts
from luthier.study.clock import SYSTEM_CLOCK, Clock
from luthier.study.history import History
from luthier.study.pace import Pace
from luthier.study.protocols import Searcher, Store
from luthier.study.reading import Reading
from luthier.study.snapshot import fold, follow, keep_snapshot_if_due
from luthier.study.steering import Steering, enqueued

if TYPE_CHECKING:
    from luthier.study.trial import Trial


class Writing(Reading):
    """The study called *name* in *store*: what it has come to, what is added, what people ask of it.

    Attributes:
        searcher: proposes configurations.
        clock: tells the events' time.
        leased: the trials that this process holds, by lease; renewals read it from another thread.
    """

    def __init__(
        self, store: Store, name: str, searcher: Searcher, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        super().__init__(store, name)
        self.searcher = searcher
        self.clock = clock
        self.leased: dict[int, int] = {}
        self._pace = Pace()

    @property
    def history(self) -> History:
        """Return the fold of the log as far as this process has read it, with all that it wrote."""
        return self.refresh() if self._pace.waits else self._history

    def refresh(self) -> History:
        """Fold in what all processes have appended, and return the history."""
        self._pace.waits = False
        with interrupts.held():
            return super().refresh()

    # -- what anybody may write --------------------------------------------------------------------

    def append(self, events: list[ev.AnyEvent], *, expect: int | None = None) -> None:
        """Write *events* that decide nothing, such as a look at the test set, or trials run elsewhere.

        Raises:
            Conflict: with *expect*, when the log's last number is another one.
        """
        self._append(events, expect=expect)

    def set_attribute(self, name: str, value: Any, trial: int = -1) -> None:
        """Write down *value* under *name*, about a trial or the study; see ``History.attributes``.

        Args:
            name: what it is called.
            value: plain data: numbers (numpy's, too), texts, True and False, None, lists and dictionaries
                of these.
            trial: its number; -1 for the whole study.

        Raises:
            StudyError: *value* is something else, or a whole number beyond 64 bits; there is no such trial.
        """
        if trial >= len(self._history.trials) and trial >= len(self.refresh().trials):
            raise StudyError(f"There is no trial {trial} to write {name!r} down about.")
        said = ev.AttributeSet(time=self.clock.time(), trial=trial, name=name, value=value)
        try:
            said = ev.decode(ev.encode_plain(said))  # as whoever reads the log will have it
        except (TypeError, OverflowError, RecursionError, MsgspecError) as error:
            raise StudyError(
                f"{name!r} cannot be written down, it is {value!r} ({error}): expected plain data, such as "
                "numbers, texts and lists of them."
            ) from None
        self._append([said])

    def enqueue(self, configuration: Mapping[str, Any]) -> None:
        """Have *configuration* tried next, before what the searcher proposes.

        Raises:
            SpaceError: when the space does not hold it.
        """
        self._append([enqueued(self.refresh(), configuration, self.clock.time())])

    @property
    def steer(self) -> Steering:
        """Return what people may ask of the study while it runs: pause, stop, prune, budget, space."""
        return Steering(self.refresh, self._append, self.clock, self.searcher)

    # -- parts -----------------------------------------------------------------------------------

    def _append(
        self, events: list[ev.AnyEvent], trial: Trial | None = None, *, expect: int | None = None
    ) -> None:
        """Append *events* and fold the log up to them, no further: verdicts depend on that prefix.

        Args:
            events: may be none.
            trial: whose lease the events end.
            expect: the number of the last event that may be in the log.
        """
        with interrupts.held():
            self._write(events, trial, expect)

    def _write(
        self, events: Sequence[ev.AnyEvent], trial: Trial | None, expect: int | None
    ) -> None:
        if trial is not None:
            self.leased.pop(trial.lease, None)
        if not events:
            return
        events, bodies = ev.written(events)
        if expect is not None:
            last = self.store.append(self.name, bodies, expect)
        else:
            last, others = self.store.append_and_read(self.name, bodies, self._history.cursor)
            self._take(fold(self.name, self._history, others))
        if last == self._history.cursor + len(events):
            for event in events:
                self._history.apply(self._history.cursor + 1, event)
        else:
            self._take(follow(self.store, self.name, self._history, up_to=last))
        appended = self._pace.appended(self.clock.monotonic(), len(events))
        keep_snapshot_if_due(self.store, self.name, self._history, appended)
