"""The objective against each hyperparameter, one small picture each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from luthier.errors import StudyError
from luthier.insight import response
from luthier.insight.drawing import FILL, LINE, MARK, grid_of_axes
from luthier.insight.labelling import plain, shortened, told_apart
from luthier.insight.trials import Source, column_of, history_of, reported, tried
from luthier.space import Bool, Choice, Domain, Int
from luthier.study.chance import Chance
from luthier.study.history import History

_ACROSS = 3
_DECADES = 1000.0  # a range below has too few powers of ten to read it by


def slices(source: Source, names: Sequence[str] | None = None) -> Any:
    """Return the objective of every trial against each hyperparameter, on its own scale.

    Later trials are darker; the best one is red. Each stands at the best value that it reported, after
    however many epochs. The line is what a surrogate expects with all other
    hyperparameters as in the best trial, in its interval of 90 %; see ``insight.response``.
    ``one_minus_log`` is drawn as 1 − value on a log axis that runs backwards, so that 0.9, 0.99 and
    0.999 are equally far apart.

    Args:
        source: a study or its history.
        names: of the hyperparameters; by default all that are searched.

    Raises:
        StudyError: one of *names* is not searched, there is none of them, or nothing is searched.
    """
    history, found = history_of(source), tried(source)
    columns = found.columns
    if not columns.dimension:
        raise StudyError(
            "There is nothing to slice: the space has no hyperparameter that is searched."
        )
    if names is not None and not names:
        raise StudyError("slices needs the name of a hyperparameter, got none; None means all.")
    chosen = range(columns.dimension) if names is None else [column_of(columns, n) for n in names]
    losses = reported(history, found).tolist()
    grid = grid_of_axes(len(chosen), _ACROSS)
    for axes, column in zip(grid, chosen, strict=True):
        name, domain = columns.names[column], columns.domains[column]
        places: list[float] = []
        values: list[float] = []
        numbers: list[int] = []
        for number, loss in zip(found.numbers.tolist(), losses, strict=True):
            configuration = history.trials[number].configuration
            if name in configuration and math.isfinite(loss):
                places.append(_place(domain, configuration[name], number))
                values.append(history.value(loss))
                numbers.append(number)
        axes.scatter(
            places, values, c=numbers, cmap="Blues", vmin=-len(history.trials) / 2, s=14, lw=0
        )
        if values:
            better = min if history.objective.direction == "minimize" else max
            at = values.index(better(values))
            axes.plot(places[at], values[at], "o", color=MARK, ms=6)
        _surrogate(axes, history, name, domain)
        _scale(axes, domain)
        axes.set_xlabel(plain(name))
    for axes in grid[::_ACROSS]:
        axes.set_ylabel(plain(history.objective.metric))
    return grid[0].figure


def _surrogate(axes: Any, history: History, name: str, domain: Domain) -> None:
    """Draw what a surrogate expects, where there are trials enough for one."""
    try:
        expected = response(history, name)
    except StudyError:
        return
    at = [domain.decode(float(place)) for place in expected.places]
    if isinstance(domain, Choice | Bool):
        ends = [expected.mean - expected.low, expected.high - expected.mean]
        axes.errorbar(
            range(len(at)), expected.mean, yerr=ends, fmt="_", ms=14, color=LINE, capsize=4
        )
        return
    scale = getattr(domain, "scale", "linear")
    places = [1 - value if scale == "one_minus_log" else float(value) for value in at]
    axes.fill_between(places, expected.low, expected.high, color=FILL, alpha=0.18, lw=0)
    axes.plot(places, expected.mean, color=LINE, lw=1.0)


def _place(domain: Domain, value: Any, number: int) -> float:
    """Return where a value stands; equal choices are spread a little, the same way each time."""
    if isinstance(domain, Choice | Bool):
        spread = Chance(number, ("jitter",)).uniform() - 0.5
        return int(domain.encode(value) * domain.cardinality) + 0.5 * spread
    scale = getattr(domain, "scale", "linear")
    return 1 - value if scale == "one_minus_log" else float(value)


def _scale(axes: Any, domain: Domain) -> None:
    if isinstance(domain, Choice | Bool):
        count = domain.cardinality
        options = [str(domain.decode((i + 0.5) / count)) for i in range(count)]
        axes.set_xticks(range(count), list(map(shortened, options)))
        axes.set_xlim(-0.6, count - 0.4)
        return
    from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

    scale = getattr(domain, "scale", "linear")
    if scale == "linear":
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=isinstance(domain, Int)))
        return
    axes.set_xscale("log")
    axes.xaxis.set_minor_formatter(NullFormatter())
    if scale == "one_minus_log":
        axes.invert_xaxis()
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{1 - x:.12g}"))
    elif domain.high < _DECADES * domain.low:  # type: ignore[attr-defined]
        ends = [float(domain.decode(unit)) for unit in (0.0, 0.5, 1.0)]
        axes.set_xticks(ends, told_apart(ends, 3))
