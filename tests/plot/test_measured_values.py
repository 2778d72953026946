"""Pictures show what was measured, and texts as they are."""

from __future__ import annotations

import math
from io import BytesIO

import pytest

import luthier
from luthier import insight, plot
from luthier.errors import StudyError
from luthier.study import events as ev

SPACE = luthier.Space(x=luthier.Float(0.0, 1.0), y=luthier.Float(0.0, 1.0))


def two_rungs() -> luthier.Study:
    """Return a study in which two of three trials were stopped after one of five epochs."""
    study = luthier.open("rungs", SPACE, minimize="loss", searcher="random", storage="memory")
    for number in range(20):
        trial = study.ask()
        trial.report(loss=1.0 + 0.01 * number if number != 13 else 0.72)
        if number < 6:
            for epoch in range(4):
                trial.report(loss=0.85 - 0.05 * epoch + 0.01 * number)
            study.tell(trial)
        else:
            study.append([ev.TrialStopped(time=0.0, trial=number, step=1, reason="left behind")])
    return study


def test_a_slice_shows_what_trials_reported() -> None:
    study = two_rungs()
    axes = plot.slices(study, ["x"]).axes[0]
    points, *_ = axes.collections
    drawn = dict(zip(map(int, points.get_array()), points.get_offsets()[:, 1], strict=True))
    assert drawn == {t.number: pytest.approx(t.best_loss) for t in study.trials}
    red = next(line for line in axes.lines if len(line.get_xdata()) == 1)
    assert red.get_ydata()[0] == study.best_value


def test_slices_of_nothing_say_so() -> None:
    with pytest.raises(StudyError, match="slices needs the name of a hyperparameter, got none"):
        plot.slices(two_rungs(), [])


def heights(figure, study) -> dict[int, float]:
    """Return where trials of two hyperparameters meet the objective's axis."""
    drawn = [tuple(line.get_ydata()) for line in figure.axes[0].lines]
    places = {(x, y): height for x, y, height in (d for d in drawn if len(d) == 3)}
    return {
        t.number: places[t.configuration["x"], t.configuration["y"]]
        for t in study.trials
        if (t.configuration["x"], t.configuration["y"]) in places
    }


def test_parallel_lines_end_at_measured_values_whatever_the_order_is_by() -> None:
    several = luthier.open(
        "several", SPACE, minimize=["a", "b"], searcher="random", storage="memory"
    )
    bounded = luthier.open(
        "bounded", SPACE, minimize="a", subject_to="b <= 0.5", searcher="random", storage="memory"
    )
    for study in (several, bounded):
        for _ in range(20):
            trial = study.ask()
            study.tell(trial, a=10 + trial["x"], b=1 - trial["x"])
        figure = plot.parallel(study)
        texts = [text.get_text() for text in figure.axes[0].texts]
        lowest, highest = float(texts[-2]), float(texts[-1].removesuffix(" or worse"))
        assert lowest == pytest.approx(min(t.best_loss for t in study.trials), abs=1e-2)
        assert 10.5 < highest < 11
        for number, height in heights(figure, study).items():
            value = study.trials[number].best_loss
            expected = min(1.0, (value - lowest) / (highest - lowest))
            assert height == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_only_the_worst_are_left_out_of_sight(direction: str) -> None:
    sign = 1.0 if direction == "minimize" else -1.0
    study = luthier.open(direction, SPACE, **{direction: "v"}, searcher="random", storage="memory")
    for number in range(30):
        value = {3: -50.0, 5: 50.0}.get(number, 1.0 + 0.01 * number)
        study.tell(study.ask(), v=sign * value)
    low, high = plot.progress(study).axes[0].get_ylim()
    assert low < study.best_value < high
    assert not low < sign * 50.0 < high


def test_repetitions_of_a_race_are_no_trials_of_the_search() -> None:
    study = luthier.simulate(
        lambda c, step: c["x"] + c["y"] / 100, SPACE, minimize="loss", searcher="random",
        scheduler=None, epochs=1, max_trials=20, finalists=2, repetitions=5,
    ).study  # fmt: skip
    assert study.history.repetitions
    spent = plot.spent(study, budget="trials").axes[0].lines[0].get_ydata()
    assert spent[-1] == 20
    bars = plot.space(study).axes[0].patches[:40]  # of all trials, by x
    curves = plot.curves(study, top=0).axes[0].lines
    assert len(curves) == 20
    heights = [-bar.get_height() for bar in bars]
    places = [t.configuration["x"] for t in study.trials if t.repeats < 0]
    counts = [sum(int(p * 40) == i for p in places) for i in range(40)]
    assert heights == pytest.approx([0.8 * n / max(counts) for n in counts])


def test_repetitions_of_a_race_are_not_on_the_front() -> None:
    study = luthier.open("two", SPACE, minimize=["a", "b"], searcher="random", storage="memory")
    for number in range(6):
        trial = study.ask()
        study.tell(trial, a=trial["x"], b=1 - trial["x"])
        if number == 4:
            values = trial.configuration
            study.append(
                [ev.TrialProposed(time=0.0, trial=5, configuration=values, seen=0, repeats=4)]
            )
    drawn = plot.front(study).axes[0].lines
    assert study.history.trials[5].steps
    assert sum(len(line.get_xdata()) for line in drawn) == 5


def saved(figure) -> bytes:
    out = BytesIO()
    figure.savefig(out, format="svg")
    return out.getvalue()


def test_names_with_dollars_are_no_mathematics() -> None:
    space = luthier.Space({"$a$ {": luthier.Float(0.0, 1.0), "b": luthier.Choice("$\\x$", "$y{$")})
    study = luthier.open("$", space, minimize="$m^$", searcher="random", storage="memory")
    for _ in range(30):
        trial = study.ask()
        for epoch in range(3):
            trial.report({"$m^$": trial["$a$ {"] + 1 / (1 + epoch)})
        study.tell(trial)
    names = ("progress", "curves", "parallel", "slices", "space", "contour", "importance", "enough")
    for name in (*names, "interactions"):
        assert saved(getattr(plot, name)(study)), name
    for name in ("$a$ {", "b"):
        assert saved(plot.isolation(study, name))
    assert saved(plot.compare({"$x{$": study}))


def test_a_name_that_begins_with_an_underscore_stands_in_the_legend() -> None:
    study = two_rungs()
    legend = plot.compare({"_old": study, "new": study}).axes[0].get_legend()
    assert [text.get_text().strip() for text in legend.get_texts()] == ["_old", "new"]


def test_ends_that_are_nearly_one_are_not_called_one() -> None:
    space = luthier.Space(
        m=luthier.Float(0.9, 0.99999, scale="one_minus_log"), x=luthier.Float(0.0, 1.0)
    )
    study = luthier.open("momentum", space, minimize="loss", searcher="random", storage="memory")
    for _ in range(12):
        trial = study.ask()
        study.tell(trial, loss=trial["m"] + trial["x"])
    for name in ("parallel", "space"):
        texts = [text.get_text() for text in getattr(plot, name)(study).axes[0].texts]
        assert "0.99999" in texts, name
    ticks = [t.get_text() for t in plot.contour(study, "m", "x").axes[0].get_xticklabels()]
    assert sorted(ticks) == ["0.9", "0.99", "0.999", "0.9999", "0.99999"]
    assert math.isfinite(insight.response(study, "m").mean[0])
