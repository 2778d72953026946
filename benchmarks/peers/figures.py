"""The figures of the comparison, as PNG and SVG."""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np

from peers.ranks import ranks

Curves = dict[str, dict[str, np.ndarray]]  # task -> tuner -> (seeds, evaluations)


class Axis(NamedTuple):
    """What the columns of the curves are: 1, 2, 3, ... evaluations, or else."""

    label: str = "evaluations"
    at: np.ndarray | None = None

    def of(self, columns: int) -> np.ndarray:
        return np.arange(1, columns + 1) if self.at is None else self.at


EVALUATIONS = Axis()


def draw(
    curves: Curves,
    families: dict[str, str],
    folder: Path,
    stem: str = "regret",
    axis: Axis = EVALUATIONS,
) -> list[Path]:
    """Draw the mean rank by evaluations, over all tasks and by family, and the median of each task.

    Args:
        curves: the best value so far; the same tuners and evaluations for every task.
        families: the family of each task.
        folder: where the files go.
        stem: what their names begin with.
        axis: what the curves are drawn against.

    Raises:
        ImportError: matplotlib is not installed.
    """
    import matplotlib

    matplotlib.use("agg")
    matplotlib.rcParams["svg.hashsalt"] = "luthier"  # the same file again when nothing changed
    folder.mkdir(exist_ok=True)
    groups = {"all": list(curves)}
    for task in curves:
        groups.setdefault(families[task], []).append(task)
    return [
        *draw_ranks(curves, groups, folder / f"{stem}_rank", axis),
        *draw_tasks(curves, folder / f"{stem}_tasks", axis),
    ]


def panels(count: int, size: tuple[float, float]):
    from matplotlib import pyplot

    columns = min(count, 4)
    rows = math.ceil(count / columns)
    figure, axes = pyplot.subplots(
        rows, columns, squeeze=False, figsize=(size[0] * columns, size[1] * rows + 0.8)
    )
    for spare in axes.flat[count:]:
        spare.set_axis_off()
    return figure, list(axes.flat)


def style(tuner: str, place: int) -> dict[str, object]:
    """Return Luthier's lines thick and whole, the others thin, by turns dashed."""
    own = tuner.startswith("luthier")
    return {
        "color": f"C{place % 10}",
        "linewidth": 2.2 if own else 1.0,
        "linestyle": "-" if own else ("--", "-.", ":")[place % 3],
        "label": tuner,
    }


def draw_ranks(curves: Curves, groups: dict[str, list[str]], stem: Path, axis: Axis) -> list[Path]:
    figure, axes = panels(len(groups), (3.6, 2.9))
    for ax, (name, tasks) in zip(axes, groups.items(), strict=False):
        medians = np.array([[np.median(own, axis=0) for own in curves[t].values()] for t in tasks])
        means = ranks(medians.swapaxes(1, 2)).mean(axis=0)
        for place, tuner in enumerate(curves[tasks[0]]):
            ax.plot(axis.of(len(means)), means[:, place], **style(tuner, place))
        ax.set(title=f"{name} ({len(tasks)})", xlabel=axis.label, ylabel="mean rank")
    return finished(figure, axes[0], stem)


def draw_tasks(curves: Curves, stem: Path, axis: Axis) -> list[Path]:
    figure, axes = panels(len(curves), (3.0, 2.3))
    for ax, (task, tuners) in zip(axes, curves.items(), strict=False):
        for place, (tuner, own) in enumerate(tuners.items()):
            median = np.median(own, axis=0)
            at = np.unique(np.linspace(0, len(median) - 1, 26).astype(int))
            seen = at[np.isfinite(median[at])]
            ax.plot(
                axis.of(len(median))[seen], np.maximum(median[seen], 1e-12), **style(tuner, place)
            )
        ax.set_yscale("log")
        ax.set_title(task, fontsize=8)
        ax.tick_params(labelsize=6)
    return finished(figure, axes[0], stem)


def finished(figure, first, stem: Path) -> list[Path]:
    from matplotlib import pyplot

    lines, names = first.get_legend_handles_labels()
    columns = max(1, min(len(names), int(figure.get_size_inches()[0] / 1.9)))
    figure.legend(lines, names, loc="lower center", ncols=columns, fontsize=7)
    height = figure.get_size_inches()[1]
    legend = 0.35 + 0.18 * math.ceil(len(names) / columns)
    figure.tight_layout(rect=(0, legend / height, 1, 1))
    paths = [stem.with_suffix(".png"), stem.with_suffix(".svg")]
    figure.savefig(paths[0], dpi=110)
    figure.savefig(paths[1], metadata={"Date": None})
    pyplot.close(figure)
    return paths
