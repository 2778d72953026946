"""What ``luthier show`` and ``luthier list`` print. Reads the log, writes nothing."""

from __future__ import annotations

import math
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from luthier.app import words
from luthier.app.sparkline import sparkline
from luthier.study import events as ev
from luthier.study.history import History, TrialRecord, TrialState
from luthier.study.holder import is_gone
from luthier.study.protocols import Store

if TYPE_CHECKING:
    from rich.console import Console

ADVICE = {
    "diverged": "counted as worse than all others; if many did, lower the learning rate's upper end",
    "out of memory": "the configuration is kept; narrow batch size or width, or use smaller data types",
    "error": "a bug in the training code: mend it and run again, the trial is tried once more",
    "lost": "its process was killed again and again: look at the machine's memory",
}


def read(store: Store, name: str) -> History:
    """Return the history of one study."""
    history = History()
    for number, body in store.read(name):
        history.apply(number, ev.decode(body))
    return history


def activity(history: History) -> str:
    """Return 'running' when a living process holds a trial, 'to be continued', or 'idle'."""
    now = time.time()
    active = history.active.values()
    if any(t.holder is not None and not is_gone(t.holder, t.last_sign, now) for t in active):
        return "running"
    return "to be continued" if active else "idle"


def console() -> Console:
    """Return a console: coloured on a terminal, plain and wide enough elsewhere."""
    from rich.console import Console

    if sys.stdout.isatty():
        return Console(highlight=False)
    return Console(highlight=False, width=200, no_color=True, force_terminal=False)


def print_list(histories: dict[str, History]) -> None:
    """Print a line for each study."""
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for heading in ("study", "objective", "trials", "epochs", "best", "state", "last sign"):
        table.add_column(heading, no_wrap=True)
    for name, history in histories.items():
        best = history.best
        table.add_row(
            name,
            str(history.objective),
            _counts(history),
            str(history.epochs),
            "-" if best is None else words.number(history.value(best.best_loss)),
            activity(history),
            words.duration(time.time() - history.last_time) + " ago",
        )
    console().print(table)


def print_study(history: History, top: int) -> None:
    """Print what was searched, how the trials ended, the ranking, and the best configuration."""
    out, header = console(), history.header
    out.print(f"[bold]{_plain(header.name)}[/bold]: {history.objective}")
    out.print(
        f"{header.searcher['name']} search, scheduler {_settings(header.scheduler)}, "
        f"seed {header.seed}; {activity(history)}"
    )
    out.print(f"{_counts(history)}; {history.epochs} epochs")
    for kind, count in _kinds(history).items():
        out.print(f"  {count} {kind}: {ADVICE[kind]}")
    ranking = history.ranking()
    if not ranking:
        out.print("No trial has a finite value yet.")
        return
    out.print()
    out.print(_ranking_table(history, ranking[:top]))
    if len(ranking) > top:
        out.print(f"... and {len(ranking) - top} more: --top {len(ranking)}")
    out.print()
    out.print("best configuration (luthier export writes it to a file):")
    from luthier.app.export import as_yaml

    print(as_yaml(ranking[0].configuration), end="")


def print_trial(history: History, trial: TrialRecord) -> None:
    """Print one trial in full: configuration, every report, and how it ended."""
    out = console()
    why = f": {trial.why}" if trial.why else ""
    out.print(f"[bold]trial {trial.number}[/bold], {trial.state}{_plain(why)}")
    for name, value in trial.configuration.items():
        out.print(f"  {_plain(name)}: {_plain(words.readable(value))}")
    from rich.table import Table

    names = sorted({name for metrics in trial.metrics for name in metrics})
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for heading in ("epoch", *names, "seconds"):
        table.add_column(heading, justify="right", no_wrap=True)
    for step, metrics, seconds in zip(trial.steps, trial.metrics, trial.seconds, strict=True):
        values = [words.number(metrics[n]) if n in metrics else "" for n in names]
        table.add_row(str(step), *values, f"{seconds:.2f}")
    out.print(table)
    if trial.traceback:
        print(trial.traceback)


def _ranking_table(history: History, ranking: list[TrialRecord]) -> Any:
    from rich.table import Table

    shortened = [words.shortened(t.configuration) for t in ranking]
    names = list(dict.fromkeys(name for values in shortened for name in values))
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for heading in (
        "",
        "trial",
        "state",
        "epochs",
        history.objective.metric,
        "at",
        "curve",
        *names,
    ):
        table.add_column(heading, no_wrap=True)
    for rank, (trial, values) in enumerate(zip(ranking, shortened, strict=True), 1):
        table.add_row(
            str(rank),
            str(trial.number),
            str(trial.state),
            str(trial.step),
            words.number(history.value(trial.best_loss)),
            str(trial.best_step),
            sparkline(trial.curve(history.objective.metric)),
            *(_plain(words.readable(values[n])) if n in values else "" for n in names),
        )
    return table


def _counts(history: History) -> str:
    counts = history.counts()
    listed = ", ".join(f"{counts[s]} {s}" for s in TrialState if s in counts)
    return f"{len(history.trials)} trials" + (f" ({listed})" if listed else "")


def _kinds(history: History) -> Counter[str]:
    kinds: Counter[str] = Counter()
    for trial in history.trials:
        if trial.state is TrialState.DIVERGED:
            kinds["diverged"] += 1
        elif trial.state is TrialState.FAILED:
            kinds[trial.kind] += 1
    return kinds


def _settings(spec: dict[str, Any]) -> str:
    settings = ", ".join(f"{k}={v}" for k, v in spec.items() if k != "name" and v is not None)
    return f"{spec['name']} ({settings})" if settings else str(spec["name"])


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def finite_best(history: History) -> TrialRecord | None:
    """Return the best trial, None while none has a finite value."""
    best = history.best
    return best if best is not None and math.isfinite(best.best_loss) else None
