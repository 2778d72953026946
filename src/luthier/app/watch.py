"""``luthier watch``: a study in the terminal while it runs, over ssh, too. Reads the log, writes nothing."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from luthier.app import options, words
from luthier.app.completing import study_argument
from luthier.app.dashboard.summary import sparks
from luthier.app.dashboard.watched import first_of
from luthier.app.reading import activity, read
from luthier.app.show import clean, console
from luthier.app.sparkline import sparkline
from luthier.errors import LuthierError, StudyError, nearest
from luthier.insight.happening import worker_of
from luthier.insight.ladder import ladder
from luthier.study.history import History
from luthier.study.protocols import Store
from luthier.study.records import TrialRecord, TrialState
from luthier.study.snapshot import follow
from luthier.study.words import rules_broken, tried

if TYPE_CHECKING:
    from rich.text import Text

_LOOKS = 0.5  # seconds between two pictures at least
_WAITS = 5.0  # seconds after which "last sign" is drawn anew though nothing happened
_NARROW = 60  # columns below which configurations are left out
_RUNNING = 12
_BEST = 5
_RUNGS = 4


@click.command()
@study_argument(required=False)
@options.storage
@click.option("--once", is_flag=True, help="Print it as it stands, and end.")
def watch(study: str | None, storage: str | None, once: bool) -> None:
    """Show STUDY while it runs: curves, rungs, workers; by default the study that had the last sign.

    Where there is no terminal it prints the picture once.
    """
    from luthier.app.stores import store_to_read

    store = store_to_read(storage)
    names = store.names()
    if study is None:
        if not names:
            raise StudyError("There is no study here to watch yet.")
        study = _newest(store, names)
    elif study not in names:
        raise StudyError(f"There is no study {study!r}.{nearest(study, names)}")
    first, history = _followed(store, study, b"", History())
    out = console()
    if once or not sys.stdout.isatty():
        for line in picture(history, min(out.width, 120), 40, time.time()):
            out.print(line)
        return
    from rich.console import Group
    from rich.live import Live

    with Live(console=out, auto_refresh=False, screen=True) as view:
        while True:
            lines = picture(history, out.width, out.height - 1, time.time())
            view.update(Group(*lines), refresh=True)
            time.sleep(_LOOKS)
            store.wait(study, history.cursor, _WAITS)
            first, history = _followed(store, study, first, history)


def _followed(store: Store, study: str, first: bytes, history: History) -> tuple[bytes, History]:
    """Return the log's first event, and *history*, whose own is *first*, with what is new.

    Where the first event is another one, the file was deleted and made again: then nothing that was read
    holds.
    """
    now = first_of(store, study)
    return now, follow(store, study, history if now == first else History())


def _newest(store: Store, names: Sequence[str]) -> str:
    """Return the study that had the last sign; one that cannot be read does not hide the others.

    Raises:
        LuthierError: none can be read.
    """
    signs: dict[str, float] = {}
    wrong: list[LuthierError] = []
    for name in names:
        try:
            signs[name] = read(store, name).last_time
        except LuthierError as error:
            wrong.append(error)
    if not signs:
        raise wrong[0]
    return max(signs, key=lambda name: signs[name])


def picture(history: History, width: int, height: int, now: float) -> list[Text]:
    """Return the study as lines, none longer than *width* columns, *height* of them at most.

    What does not fit is left out from the end: the best and what runs come first.
    """
    from rich.text import Text

    lines: list[tuple[str, str]] = [*_head(history, now)]
    running = [t for t in history.trials if t.state is TrialState.RUNNING]
    if running:
        shown = running[-_RUNNING:]
        newest = f", the newest {len(shown)}" if len(shown) < len(running) else ""
        lines += [("", ""), (f"running ({len(running)}{newest})", "bold")]
        lines += [(_row(history, t, width), "") for t in shown]
    ranking = history.ranking()[:_BEST]
    if ranking:
        lines += [("", ""), ("best", "bold")]
        lines += [(_row(history, t, width), "") for t in ranking]
    if rungs := _rungs(history, width):
        lines += [("", ""), ("rungs", "bold"), *((line, "") for line in rungs)]
    workers = {worker_of(t.holder): t.number for t in running if t.holder is not None}
    if workers:
        held = ", ".join(f"{worker} trial {number}" for worker, number in workers.items())
        lines += [("", ""), (f"{len(workers)} worker{'s' * (len(workers) > 1)}: {held}", "dim")]
    found: list[Text] = []
    for text, style in lines[:height]:
        line = Text(clean(text).replace("\n", " "), style=style, no_wrap=True)
        line.truncate(width, overflow="ellipsis")
        found.append(line)
    return found


def _head(history: History, now: float) -> list[tuple[str, str]]:
    header, limits = history.header, history.limits
    counts = ", ".join(f"{n} {state}" for state, n in history.counts().items()) or "no trial yet"
    epochs = f" of {limits.epochs}" if limits.epochs else ""
    lines = [
        (f"{header.name}: {history.goals}", "bold"),
        (
            f"{activity(history)}, last sign {words.duration(now - history.last_time)} ago, "
            f"{words.duration(now - header.time)} since it began",
            "",
        ),
        (f"{tried(history, limits.trials)}, {history.epochs}{epochs} epochs ({counts})", ""),
    ]
    if history.stages:
        lines.append((f"stage {len(history.stages)}: {history.stages[-1].name}", ""))
    best = history.best
    if best is not None:
        curve = sparkline([v if v is not None else float("inf") for v in sparks(history)], 40)
        value = words.number(history.value(best.best_loss))
        colour = "yellow" if rules_broken(history) else "green"
        lines.append((f"{words.best(history)} {value}, trial {best.number}  {curve}", colour))
    return lines


def _row(history: History, trial: TrialRecord, width: int) -> str:
    """Return a trial on one line: number, epochs, value, curve, and what room is left for."""
    to = f"/{trial.to_step}" if trial.to_step else ""
    value = "-"
    if math.isfinite(trial.best_loss):
        value = words.number(history.value(trial.best_loss))
    curve = sparkline(_losses(history, trial), 16 if width >= _NARROW else 8)
    line = f"{trial.number:>6}  {f'{trial.step}{to}':>9}  {value:>9}  {curve:<16}"
    if width < _NARROW:
        return line.rstrip()
    return f"{line}  {words.configuration(trial.configuration)}"


def _losses(history: History, trial: TrialRecord) -> Sequence[float]:
    return [history.value(loss) for loss in trial.losses]


def _rungs(history: History, width: int) -> list[str]:
    """Return the newest brackets with rungs, each on one line: how many arrived of how many planned."""
    brackets = [b for b in ladder(history).brackets if len(b.rungs) > 1][-_RUNGS:]
    lines: list[str] = []
    for bracket in brackets:
        rungs = [
            f"{r.arrived}{f'/{r.planned}' if r.planned else ''} at {r.step}" for r in bracket.rungs
        ]
        name = f"bracket {bracket.name}: " if width >= _NARROW else ""
        lines.append(f"  {name}{' > '.join(rungs)}")
    return lines
