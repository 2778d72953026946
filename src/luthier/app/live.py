"""Progress while a study runs: a small live table on a terminal, next to nothing elsewhere.

It reads the log through a store of its own from a thread of its own, and never writes.
"""

from __future__ import annotations

import statistics
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, TextIO

from luthier.app import words
from luthier.app.notebook import Output, in_kernel
from luthier.insight.timing import epoch_seconds, first_epoch, start_seconds
from luthier.space.notebook import box, dim, table
from luthier.study.history import History
from luthier.study.notebook import best_so_far, curve
from luthier.study.protocols import Plan, Store
from luthier.study.records import TrialRecord, TrialState
from luthier.study.snapshot import follow
from luthier.study.words import copies, rules_broken

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

_REFRESH_SECONDS = 0.5
_NOTEBOOK_SECONDS = 1.0  # each picture is a message to the browser, and is kept in no file
_RUNNING_SHOWN = 6
_WARM_EPOCHS = 4


class Progress:
    """Shows a study's progress between ``with`` and its end.

    Args:
        store: a store of its own: the worker's connection is not shared between threads.
        study: the study's name.
        plan: what is planned; None when only time ends the study.
        workers: how many processes of this call train.
        deadline: on time.monotonic()'s clock, or None.
        live: True: a live table, in a notebook as an output of its cell; False: one line when the
            warm-up tells how long it will take.
    """

    def __init__(
        self,
        store: Store,
        study: str,
        plan: Plan | None,
        workers: int,
        deadline: float | None,
        *,
        live: bool,
    ) -> None:
        self._store = store
        self._study = study
        self._plan = plan
        self._workers = workers
        self._deadline = deadline
        self._live = live
        self._history = History()
        self._began = time.monotonic()
        self._before = 0
        self._said_how_long = False
        self._output: Output | None = None  # in a notebook
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="luthier-progress", daemon=True)

    def __enter__(self) -> Progress:
        self._refresh()
        self._before = self._history.epochs
        if self._live and in_kernel():
            self._output = Output(*self._told())  # in this thread: it belongs to the cell that runs
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(timeout=1.0)
        if self._output is not None:
            self._refresh()
            self._output.update(*self._told())

    def _run(self) -> None:
        if not self._live:
            while not self._over.wait(_REFRESH_SECONDS) and not self._said_how_long:
                self._refresh()
                self._say_how_long()
            return
        if self._output is not None:
            while not self._over.wait(_NOTEBOOK_SECONDS):
                cursor = self._history.cursor
                self._refresh()
                if self._history.cursor != cursor:
                    self._output.update(*self._told())
            return
        from rich.live import Live

        # What is printed goes above the table where both are on the terminal, and into its file elsewhere.
        above = sys.stdout.isatty()
        with Live(
            console=screen(sys.stderr),
            refresh_per_second=4,
            transient=True,
            redirect_stdout=above,
        ) as view:
            while not self._over.wait(_REFRESH_SECONDS):
                self._refresh()
                view.update(self._picture())

    def _refresh(self) -> None:
        self._history = follow(self._store, self._study, self._history)

    # -- how long --------------------------------------------------------------------------------

    def _seconds_left(self) -> float | None:
        """Return the seconds left, by what was measured; None in the warm-up, or where nothing tells."""
        bound = None if self._deadline is None else self._deadline - time.monotonic()
        if self._plan is None or self._warmed() < _WARM_EPOCHS:
            return bound
        # Nobody said how many epochs a trial trains, or more were trained than was planned.
        if self._plan.to_end or self._history.epochs > self._plan.epochs:
            return bound
        epoch, start = self._costs()
        epochs = max(0, self._plan.epochs - self._history.epochs)
        jobs = sum(rung.trials for b in self._plan.brackets for rung in b.rungs)
        share = epochs / max(1, self._plan.epochs)
        # A worker may train several side by side, and workers elsewhere may have joined.
        at_once = max(self._workers, len(self._running()))
        guess = (epochs * epoch + jobs * share * start) / at_once
        return guess if bound is None else min(guess, bound)

    def _warmed(self) -> int:
        return sum(len(t.seconds) for t in self._history.trials)

    def _costs(self) -> tuple[float, float]:
        """Return seconds an epoch, and seconds that a job takes before its first (compiling)."""
        told = [t for t in self._history.trials if t.seconds]
        later = [s for t in told[-50:] for s in epoch_seconds(t)]
        if not later:
            # Nobody has trained a second epoch yet: most of a first one is compiling.
            first = statistics.median(map(first_epoch, told))
            return first / 4, first * 3 / 4
        epoch = statistics.median(later)
        return epoch, statistics.median(start_seconds(t, epoch) for t in told)

    def _say_how_long(self) -> None:
        left = self._seconds_left()
        if left is None or self._plan is None or self._warmed() < _WARM_EPOCHS:
            return
        self._said_how_long = True
        print(
            f"luthier: warm-up over after {self._history.epochs} epochs: about {words.duration(left)} left",
            file=sys.stderr,
        )

    # -- in a notebook -----------------------------------------------------------------------------

    def _told(self) -> tuple[str, str]:
        """Return the picture as HTML, and its first line as text."""
        history, headline = self._history, self._headline()
        lines = [line for line in (self._best(), self._rungs()) if line]
        rows = [self._row(trial) for trial in self._running()[:_RUNNING_SHOWN]]
        running = table(["trial", "epoch", history.objective.metric, "configuration"], rows)
        html = box(headline, *map(dim, lines), curve(best_so_far(history)), running if rows else "")
        return html, "\n".join([headline, *lines])

    # -- the picture -----------------------------------------------------------------------------

    def _picture(self) -> RenderableType:
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        history = self._history
        lines: list[Any] = [Text(self._headline(), style="bold")]
        if best := self._best():
            lines.append(Text(best, style="yellow" if rules_broken(history) else "green"))
        if (rungs := self._rungs()) is not None:
            lines.append(Text(rungs))
        if running := self._running():
            table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
            for heading in ("trial", "epoch", history.objective.metric, "configuration"):
                table.add_column(heading, no_wrap=True)
            for trial in running[:_RUNNING_SHOWN]:
                table.add_row(*self._row(trial))
            lines.append(table)
        return Group(*lines)

    def _best(self) -> str:
        """Return the best trial in a line; '' while there is none."""
        history, best = self._history, self._history.best
        if best is None or history.created is None:
            return ""
        value = words.number(history.value(best.best_loss))
        return (
            f"{words.best(history)} {value} (trial {best.number}, epoch {best.best_step}): "
            f"{words.configuration(best.configuration)}"
        )

    def _running(self) -> list[TrialRecord]:
        return [t for t in self._history.active.values() if t.state is TrialState.RUNNING]

    def _row(self, trial: TrialRecord) -> tuple[str, str, str, str]:
        last = words.number(self._history.value(trial.losses[-1])) if trial.losses else ""
        upto = f"{trial.step}/{trial.to_step}" if trial.to_step else str(trial.step)
        return str(trial.number), upto, last, words.configuration(trial.configuration)

    def _headline(self) -> str:
        history = self._history
        parts = [self._study]
        trials, epochs = str(len(history.trials) - copies(history)), str(history.epochs)
        if self._plan is not None:
            trials += f"/{self._plan.trials}"
            if not self._plan.to_end:
                epochs += f"/{self._plan.word}{self._plan.epochs}"
        parts += [f"trials {trials}", f"epochs {epochs}"]
        parts.append(f"{words.duration(time.monotonic() - self._began)} so far")
        if (left := self._seconds_left()) is not None:
            parts.append(f"{words.duration(left)} left")
        elif self._warmed() < _WARM_EPOCHS:
            parts.append("warming up")
        return "  ·  ".join(parts)

    def _rungs(self) -> str | None:
        """Return the ladder of the current bracket: how many have come up each rung."""
        if self._plan is None or not self._history.trials:
            return None
        current = max(
            (t.bracket for t in self._history.active.values()),
            default=self._history.trials[-1].bracket,
        )
        bracket = next((b for b in self._plan.brackets if b.index == current), None)
        if bracket is None or len(bracket.rungs) < 2:
            return None
        members = self._history.brackets.get(current, [])
        steps = [
            f"{sum(t.step >= rung.step for t in members)}/{rung.trials} at epoch {rung.step}"
            for rung in bracket.rungs
        ]
        return f"bracket {bracket.name} ({current + 1} of {len(self._plan.brackets)}):  " + (
            "  >  ".join(steps)
        )


def screen(file: TextIO) -> Console:
    """Return a console on *file*, to which the names and values of users are text, whatever is in brackets."""
    from rich.console import Console

    return Console(file=file, markup=False, emoji=False)
