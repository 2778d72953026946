"""What ``luthier show`` and ``luthier list`` print. Reads the log, writes nothing."""

from __future__ import annotations

import math
import re
import shlex
import sys
import time
from typing import TYPE_CHECKING, Any

from luthier.app import words
from luthier.app.reading import (
    activity,
    failure,
    failures,
    finite_best,
    last_of_several,
    mark,
    marks_told,
    on_front,
    race_winner,
    returns,
)
from luthier.app.sparkline import sparkline
from luthier.craft.stages import story
from luthier.insight.race import RaceResult, race
from luthier.study.goals import outcome
from luthier.study.history import History
from luthier.study.records import TrialRecord, TrialState
from luthier.study.words import counted, rules_broken, tried

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

ADVICE = {
    "diverged": "counted as worse than all others; if many did, lower the learning rate's upper end",
    "out of memory": "nothing as large is proposed again; halve='batch_size' tries half the batch",
    "error": "a bug in the training code: mend it and run again, the trial is tried once more",
    "pruned": "given up by hand; nothing like it is proposed again",
    "lost": "its process was killed again and again: look at the machine's memory",
    "hung": "its processes used no processor time: look for a deadlock, in data loading first",
}
PUT_BACK = {
    "lost": "worker lost",
    "hung": "worker hung",
    "out of memory": "out of memory, tried again",
    "preempted": "preempted",
    "interrupted": "interrupted",
    "paused": "paused or stopped by hand",
    "time": "the time was up",
    "error": "tried again after an error",
}
_OTHER = "see luthier show STUDY --trial N for what it said"
_UNCUT = 100_000  # columns: what reads our output through a pipe gets all of it
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-_])")


def clean(text: str) -> str:
    """Return *text* without what would move a terminal's cursor or change its colour."""
    lines = _ESCAPES.sub("", text).expandtabs(4).split("\n")
    return "\n".join("".join(c if c.isprintable() else ascii(c)[1:-1] for c in s) for s in lines)


def console() -> Console:
    """Return a console: coloured on a terminal (unless NO_COLOR is set), plain and wide elsewhere."""
    from rich.console import Console

    if sys.stdout.isatty():
        return Console(highlight=False, markup=False, emoji=False)
    return Console(
        highlight=False,
        markup=False,
        emoji=False,
        width=_UNCUT,
        color_system=None,
        force_terminal=False,
    )


def print_list(histories: dict[str, History]) -> None:
    """Print a line for each study."""
    table = _table("study", "objective", "trials", "epochs", "best", "state", "last sign")
    for column in (*table.columns[:3], table.columns[4]):
        column.no_wrap, column.overflow = False, "fold"
    for name, history in histories.items():
        best = finite_best(history)
        table.add_row(
            _cell(name),
            _cell(str(history.goals)),
            _counts(history),
            str(history.epochs),
            _cell(_best_value(history, best)),
            activity(history),
            words.duration(time.time() - history.last_time) + " ago",
        )
    console().print(table)


def _best_value(history: History, best: TrialRecord | None) -> str:
    if best is None:
        return "-"
    rules = rules_broken(history)
    breaks = f" (breaks {rules})" if rules else ""
    return words.number(history.value(best.best_loss)) + breaks


def print_study(history: History, top: int, where: str = "") -> None:
    """Print what was searched, how the trials ended, the ranking, and the best configuration.

    Args:
        history: the study.
        top: rows of the ranking.
        where: the option by which a command finds the study's store.
    """
    out, header = console(), history.header
    out.print(_titled(header.name, f": {history.goals}"))
    out.print(
        clean(
            f"{settings_words(header.searcher)} search, scheduler {settings_words(header.scheduler)}, "
            f"seed {header.seed}; {activity(history)}"
        )
    )
    out.print(f"{_counts(history)}; {counted(history.epochs, 'epoch')}")
    for kind, count in failures(history).items():
        out.print(f"  {count} {clean(kind)}: {ADVICE.get(kind, _OTHER)}")
    if put_back := returns(history):
        words_ = (f"{n} x {PUT_BACK.get(cause, clean(cause))}" for cause, n in put_back.items())
        out.print(f"  put back in the queue: {', '.join(words_)}")
    _print_story(history, out)
    ranking = history.ranking()
    if not ranking:
        out.print("No trial has a finite value yet.")
        return
    out.print()
    table = _ranking_table(history, ranking[:top])
    if table.__rich_measure__(out, out.options.update(width=_UNCUT)).maximum > out.width:
        table = _ranking_table(history, ranking[:top], narrow=True)
    out.print(table)
    for line in marks_told(history, ranking[:top]):
        out.print(clean(line))
    if len(ranking) > top:
        out.print(f"... and {len(ranking) - top} more: --top {len(ranking)}")
    if (raced := race(history)) is not None:
        out.print()
        out.print(_race_table(history, raced))
        for line in words.race_lines(raced, history.objective.metric):
            out.print(clean(line))
    _print_best(history, ranking[0], out, where)


def _print_best(history: History, best: TrialRecord, out: Console, where: str) -> None:
    """Print the configuration with the best value, and that of a race's winner where it is another."""
    from luthier.app.forms import as_yaml

    what = "the best value"
    if rules := rules_broken(history):
        what = f"which comes closest (no trial keeps to {rules})"
    export = f"luthier export {shlex.quote(history.header.name)}{where}"
    told = [(best, what, export)]
    won = race_winner(history)
    if won is not None and won[0] is not best:
        winner, wins = won
        told.append(
            (winner, f"which {wins} the race on new seeds", f"{export} --trial {winner.number}")
        )
    for trial, what, command in told:
        out.print()
        said = f"configuration of trial {trial.number}, {what}; to a file: {command} --to yaml"
        out.print(clean(said), soft_wrap=True)  # a command is copied in one piece
        if several := last_of_several(trial):
            out.print(clean(several))
        print(as_yaml(trial.configuration), end="")


def _print_story(history: History, out: Console) -> None:
    """Print the stages one by one, changes of the space, and who has looked at the test set."""
    paragraphs = story(history)
    if paragraphs:
        out.print()
    for paragraph in paragraphs:
        out.print(clean(paragraph), soft_wrap=not out.is_terminal)
    for read in history.test_reads:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(read.time))
        values = ", ".join(f"{name} {words.number(v)}" for name, v in read.values.items())
        out.print(clean(f"test set read on {when} by {read.who}: trial {read.trial}, {values}"))


def print_trial(history: History, trial: TrialRecord) -> None:
    """Print one trial in full: configuration, every report, and how it ended."""
    out = console()
    why = f": {trial.why}" if trial.why else ""
    if trial.repeats >= 0:
        why += f"; trial {trial.repeats} again, on a new seed"
    out.print(_titled(f"trial {trial.number}", f", {trial.state}{why}"))
    if kind := failure(trial):
        out.print(f"  {clean(kind)}: {ADVICE.get(kind, 'what was raised is below')}")
    spent = f"{counted(trial.step - trial.start, 'epoch')}, {words.duration(sum(trial.seconds))}"
    if trial.parent >= 0:
        spent += f", on from trial {trial.parent} after epoch {trial.start}"
    if math.isfinite(trial.best_loss):
        value = words.number(history.value(trial.best_loss))
        spent += f"; best {history.objective.metric} {value} at epoch {trial.best_step}"
    out.print(clean(spent))
    for name, value in trial.configuration.items():
        out.print(clean(f"  {name}: {words.readable(value)}"))
    if trial.steps:
        out.print(_reports_table(trial))
    if trial.traceback:
        out.print(clean(trial.traceback), soft_wrap=True)


def _reports_table(trial: TrialRecord) -> Table:
    names = list(dict.fromkeys(name for metrics in trial.metrics for name in metrics))
    table = _table("epoch", *names, "seconds", justify="right")
    for step, metrics, seconds in zip(trial.steps, trial.metrics, trial.seconds, strict=True):
        values = [words.number(metrics[n]) if n in metrics else "" for n in names]
        table.add_row(str(step), *values, f"{seconds:.2f}")
    return table


def _ranking_table(history: History, ranking: list[TrialRecord], *, narrow: bool = False) -> Table:
    """Return the ranking, a column for each hyperparameter; *narrow*: one, of several lines."""
    metric, *others = history.goals.metrics
    front = on_front(history)
    full = list(dict.fromkeys(name for trial in ranking for name in trial.configuration))
    # Short names must tell the columns apart in the whole table, not within one trial.
    names = {key: short for short, key in words.shortened({key: key for key in full}).items()}
    table = _table("", "trial", "state", "epochs", metric, *others, "at", "curve")
    for heading in ["configuration"] if narrow else names.values():
        table.add_column(_cell(heading), overflow="fold", no_wrap=not narrow)
    for rank, trial in enumerate(ranking, 1):
        values = {key: words.readable(value) for key, value in trial.configuration.items()}
        if narrow:
            cells = [", ".join(f"{names[key]}={value}" for key, value in values.items())]
        else:
            cells = [values.get(key, "") for key in full]
        table.add_row(
            f"{rank}{mark(trial, front)}",
            str(trial.number),
            str(trial.state),
            str(trial.step),
            words.number(history.value(trial.best_loss)),
            *(words.number(outcome(trial, name)) for name in others),
            str(trial.best_step),
            sparkline(trial.curve(metric)),
            *map(_cell, cells),
        )
    return table


def _race_table(history: History, raced: RaceResult) -> Table:
    """Return the finalists: what they reached in the search, and on new seeds."""
    metric = history.objective.metric
    table = _table("finalist", "in the search", f"{metric} on new seeds", "95 %", "seeds", "")
    for one in raced.finalists:
        ends = f"[{words.number(one.low)}, {words.number(one.high)}]"
        counts = (
            (one.diverged, "diverged"),
            (one.broke, "beyond the bounds"),
            (one.failed, "failed"),
        )
        bad = [f"{n} {what}" for n, what in counts if n]
        out = f"dropped after {one.dropped}: {one.why}" if one.dropped is not None else ""
        table.add_row(
            f"trial {one.trial}",
            words.number(one.found),
            words.number(one.mean) if one.values else "",
            ends if len(one.values) > 1 else "",
            ", ".join([str(len(one.values)), *bad]),
            _cell(out),
        )
    return table


def _table(*headings: str, justify: Any = "left") -> Table:
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for heading in headings:
        table.add_column(_cell(heading), justify=justify, no_wrap=True)
    return table


def _cell(text: str) -> Text:
    from rich.text import Text

    return Text(clean(text).replace("\n", "\\n"))


def _titled(title: str, rest: str) -> Text:
    from rich.text import Text

    return Text.assemble((clean(title), "bold"), clean(rest))


def _counts(history: History) -> str:
    counts = history.counts()
    listed = ", ".join(f"{counts[s]} {s}" for s in TrialState if s in counts)
    return f"{tried(history)} ({listed})" if listed else tried(history)


def settings_words(spec: dict[str, Any]) -> str:
    """Return a searcher or scheduler as its name and what it was set to."""
    settings = ", ".join(f"{k}={v}" for k, v in spec.items() if k != "name" and v is not None)
    return f"{spec['name']} ({settings})" if settings else str(spec["name"])
