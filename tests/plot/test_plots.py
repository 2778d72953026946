"""Every picture is read back: its lines, bars and points are the study's own numbers."""

import itertools
import math

import numpy as np
import pytest
from drawn_studies import made

import luthier
from luthier import plot
from luthier.errors import StudyError
from luthier.study.history import History
from luthier.study.records import TrialState


def lines(figure) -> dict:
    return {line.get_label(): line for line in figure.axes[0].lines}


def test_the_best_so_far_only_gets_better_and_ends_at_the_best(history: History) -> None:
    figure = plot.progress(history)
    best = lines(figure)["best so far"].get_ydata()
    assert all(b <= a for a, b in itertools.pairwise(best))
    assert best[-1] == history.best.best_loss
    lost = lines(figure)["diverged or failed"]
    assert len(lost.get_xdata()) == history.counts()[TrialState.DIVERGED] > 0


def test_progress_by_epochs_ends_at_all_epochs(history: History) -> None:
    best = lines(plot.progress(history, by="epochs"))["best so far"]
    assert best.get_xdata()[-1] == sum(t.step for t in history.trials if t.ended_at is not None)


def test_progress_by_something_else_names_what_there_is(history: History) -> None:
    with pytest.raises(StudyError, match=r"by='epoch'.*Did you mean 'epochs'"):
        plot.progress(history, by="epoch")  # type: ignore[arg-type]


def test_the_best_curves_are_those_of_the_ranking(history: History) -> None:
    drawn = lines(plot.curves(history, top=2))
    for trial in history.ranking()[:2]:
        assert list(drawn[f"trial {trial.number}"].get_ydata()) == trial.curve("loss")


def test_curves_of_a_metric_that_nobody_reported(history: History) -> None:
    with pytest.raises(StudyError, match=r"No trial reported 'los'.*'loss'"):
        plot.curves(history, metric="los")


def test_slices_show_each_trial_at_its_value(history: History) -> None:
    figure = plot.slices(history, ["learning_rate"])
    points, *_ = figure.axes[0].collections
    rates = {history.trials[int(n)].configuration["learning_rate"] for n in points.get_array()}
    assert {float(x) for x, _ in points.get_offsets()} == rates
    assert figure.axes[0].get_xscale() == "log"


def test_a_momentum_is_drawn_as_its_distance_from_one(history: History) -> None:
    figure = plot.slices(history, ["momentum"])
    points, *_ = figure.axes[0].collections
    first = int(points.get_array()[0])
    assert points.get_offsets()[0][0] == 1 - history.trials[first].configuration["momentum"]
    low, high = figure.axes[0].get_xlim()
    assert low > high, "0.5 is left, 0.99 right"


def test_choices_stand_apart_though_true_equals_one() -> None:
    space = luthier.Space(x=luthier.Choice(True, 1, "one"))
    settings = {"minimize": "loss", "searcher": "random", "noisy": True}
    study = luthier.open("choices", space, storage="memory", **settings)
    for _ in range(30):
        study.tell(study.ask(), loss=1.0)
    figure = plot.slices(study)
    points, *_ = figure.axes[0].collections
    for (x, _), number in zip(points.get_offsets(), points.get_array(), strict=True):
        value = study.trials[int(number)].configuration["x"]
        assert [True, 1, "one"][round(x)] is value or [True, 1, "one"][round(x)] == value != True  # noqa: E712
    assert [t.get_text() for t in figure.axes[0].get_xticklabels()] == ["True", "1", "one"]


def test_budgets_count_every_trial_and_epoch(history: History) -> None:
    axes = plot.budgets(history).axes[0]
    heights = np.zeros(9)
    for bars in axes.containers:
        heights += [bar.get_height() for bar in bars]
    assert heights[0] == sum(t.step >= 1 for t in history.trials)
    assert heights.sum() == history.epochs


def test_parallel_lines_are_places_in_the_unit_cube(history: History) -> None:
    axes = plot.parallel(history).axes[0]
    best = history.ranking()[0]
    places = [history.space[n].encode(v) for n, v in best.configuration.items()]
    maximize = history.objective.direction == "maximize"
    expected = [*places, float(maximize)]  # the best of all, at its end of the objective's axis
    assert any(
        np.allclose(line.get_ydata(), expected) for line in axes.lines if len(line.get_ydata()) == 5
    )
    assert axes.get_xticklabels()[-1].get_text() == history.objective.metric
    with pytest.raises(StudyError, match=r"top must be a share in \(0, 1\], got 0"):
        plot.parallel(history, top=0)


def test_a_front_needs_two_objectives(history: History) -> None:
    with pytest.raises(StudyError, match="the study has 1"):
        plot.front(history)
    space = luthier.Space(x=luthier.Float(0.0, 1.0))
    study = luthier.open("two", space, minimize=["a", "b"], searcher="random", storage="memory")
    for _ in range(12):
        trial = study.ask()
        study.tell(trial, a=trial["x"], b=(1 - trial["x"]) ** 2)
    drawn = lines(plot.front(study))["front"]
    assert list(drawn.get_xdata()) == sorted(t.configuration["x"] for t in study.front)


def test_answers_are_drawn_in_one_call(history: History) -> None:
    shares = [bar.get_width() for bar in plot.importance(history).axes[0].patches]
    found = luthier.insight.importance(history)
    assert shares == [one.share for one in found[::-1]]
    assert plot.isolation(history, "optimizer").axes[0].get_xlabel() == "optimizer"
    assert plot.enough(history).axes[0].get_xscale() == "log"
    assert "together" in plot.interactions(history).axes[0].get_title()


@pytest.mark.parametrize("name", ["progress", "curves", "budgets"])
def test_an_empty_study_is_an_empty_picture(name: str) -> None:
    space = luthier.Space(x=luthier.Float(0.0, 1.0))
    study = luthier.open("empty", space, minimize="loss", storage="memory")
    assert getattr(plot, name)(study).axes[0].get_ylabel()


def test_nothing_but_divergence_is_drawn_without_a_best() -> None:
    space = luthier.Space(x=luthier.Float(0.0, 1.0))
    study = luthier.open("lost", space, minimize="loss", searcher="random", storage="memory")
    for _ in range(3):
        study.tell(study.ask(), loss=math.nan)
    assert "best so far" not in lines(plot.progress(study))


def test_stages_are_named_in_the_progress() -> None:
    staged = made(24, epochs=1, scheduler=None)
    assert not plot.progress(staged).axes[0].texts
    study = luthier.tune(
        lambda trial: trial.report(loss=trial["learning_rate"]),
        {"learning_rate": luthier.Float(1e-3, 1.0, scale="log"), "units": luthier.Int(1, 9)},
        minimize="loss",
        staged=True,
        max_trials=24,
        storage="memory",
        progress=False,
    ).study
    names = [text.get_text().strip() for text in plot.progress(study).axes[0].texts]
    assert names == [stage.name for stage in study.history.stages]


def test_a_contour_shows_every_trial_and_the_best_in_red(history: History) -> None:
    figure = plot.contour(history, "learning_rate", "units")
    axes = figure.axes[0]
    trials, best = axes.lines
    finite = [t for t in history.trials if math.isfinite(t.best_loss) and not t.violation]
    assert len(trials.get_xdata()) <= len(finite)
    domain = history.space["learning_rate"]
    chosen = history.trials[int(axes.get_title().split()[-1])]
    assert best.get_xdata()[0] == pytest.approx(
        domain.encode(chosen.configuration["learning_rate"])
    )
    assert [label.get_text() for label in axes.get_xticklabels()] == [
        "0.0001", "0.001", "0.01", "0.1", "1"
    ]  # fmt: skip
    for pair in (("optimizer", "momentum"), ("units", "optimizer")):
        plot.contour(history, *pair)


@pytest.mark.parametrize(
    ("domain", "labels"),
    [
        (luthier.Int(1, 4), ["1", "2", "3", "4"]),
        (luthier.Int(2, 8, step=2), ["2", "4", "6", "8"]),
        (luthier.Int(32, 128, step=32), ["32", "64", "96", "128"]),
        (luthier.Int(1, 20), ["1", "5", "9", "13", "17"]),
    ],
)
def test_steps_are_named_where_they_are(domain: luthier.Int, labels: list[str]) -> None:
    space = luthier.Space(n=domain, x=luthier.Float(0, 1))
    study = luthier.open("c", space, minimize="loss", searcher="random", storage="memory")
    for _ in range(12):
        trial = study.ask()
        study.tell(trial, loss=trial["x"])
    axes = plot.contour(study, "n", "x").axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == labels
    assert list(axes.get_xticks()) == pytest.approx([domain.encode(int(n)) for n in labels])


def test_the_best_so_far_keeps_the_bounds() -> None:
    space = luthier.Space(x=luthier.Float(0, 1))
    study = luthier.open(
        "b", space, minimize="loss", subject_to="size <= 0.5", searcher="random", storage="memory"
    )
    for _ in range(20):
        trial = study.ask()
        study.tell(trial, loss=-trial["x"], size=trial["x"])
    axes = plot.progress(study).axes[0]
    lines = {line.get_label(): line for line in axes.lines}
    assert lines["best so far"].get_ydata()[-1] == study.best_value >= -0.5
    assert len(lines["not size <= 0.5"].get_xdata()) == sum(t.violation > 0 for t in study.trials)


def test_the_front_keeps_the_bounds() -> None:
    space = luthier.Space(x=luthier.Float(0, 1))
    study = luthier.open(
        "b", space, minimize=["a", "b"], subject_to="a <= 0.5", searcher="random", storage="memory"
    )
    for _ in range(12):
        trial = study.ask()
        study.tell(trial, a=trial["x"], b=(1 - trial["x"]) ** 2)
    drawn = {k: list(line.get_xdata()) for k, line in lines(plot.front(study)).items()}
    broken = [t.configuration["x"] for t in study.trials if t.violation]
    assert broken
    assert drawn["not a <= 0.5"] == broken
    assert not {*drawn["trials"], *drawn["front"]} & {*broken}
    assert len(drawn["trials"]) + len(drawn["front"]) + len(broken) == 12


def test_slices_have_the_line_that_a_surrogate_expects(history: History) -> None:
    figure = plot.slices(history, ["learning_rate"])
    _, band = figure.axes[0].collections
    line = figure.axes[0].lines[-1]
    assert len(line.get_xdata()) == 61
    heights = band.get_paths()[0].vertices[:, 1]
    assert heights.min() <= min(line.get_ydata())
    assert heights.max() >= max(line.get_ydata())


def test_studies_are_compared_by_one_objective(history: History) -> None:
    other = made(10)
    figure = plot.compare({"one": history, "other": other}, by="epochs")
    drawn = lines(figure)
    assert drawn["one"].get_ydata()[-1] == history.best.best_loss
    assert drawn["other"].get_xdata()[-1] <= other.epochs
    with pytest.raises(StudyError, match=r"by='epoch'.*Did you mean 'epochs'"):
        plot.compare({"one": history}, by="epoch")  # type: ignore[arg-type]
    with pytest.raises(StudyError, match="there is no study"):
        plot.compare({})


def test_what_diverged_is_not_drawn_beside_the_front_that_it_seems_to_beat() -> None:
    space = luthier.Space(x=luthier.Float(0, 1))
    study = luthier.open("f", space, minimize=["a", "b"], searcher="random", storage="memory")
    for number in range(6):
        trial = study.ask()
        if number < 3:
            trial.report(a=0.01 * number, b=0.0)
            trial.report(a=math.nan, b=0.0)
        else:
            study.tell(trial, a=float(number), b=1.0)
    drawn = {k: list(line.get_xdata()) for k, line in lines(plot.front(study)).items()}
    assert drawn == {"trials": [4.0, 5.0], "front": [3.0]}


def test_the_best_share_of_very_many_trials_is_that_of_all_of_them() -> None:
    space = luthier.Space(x=luthier.Float(0, 1))
    study = luthier.open("many", space, minimize="loss", searcher="random", storage="memory")
    for trial in study.ask(700):
        study.tell(trial, loss=trial["x"])
    for top, coloured in ((0.1, 70), (0.9, 500)):
        axes = plot.parallel(study, top).axes[0]
        drawn = [line for line in axes.lines if len(line.get_xdata()) == 2 and line.get_lw() > 1]
        assert len(drawn) == coloured
        assert axes.get_title() == (
            f"The best {coloured} of 700 trials by loss, in colour; those after the first 500 are left out"
        )
