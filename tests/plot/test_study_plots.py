"""The pictures of how a study went: rungs, workers, budget, space, race, range test; and the page's numbers."""

import math

import pytest
from tests.app.dashboard.example_studies import range_test, troubled

import luthier
from luthier import plot
from luthier.app.dashboard.chronicle import chronicle_page
from luthier.app.dashboard.ladder import ladder_page
from luthier.errors import StudyError
from luthier.insight.chronicle import chronicle
from luthier.insight.race import race
from luthier.insight.seed_noise import noise
from luthier.space import Choice, Float, Space
from luthier.study.history import History


def labelled(figure) -> dict:
    return {line.get_label(): line for line in figure.axes[0].lines}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> luthier.Study:
    path = tmp_path_factory.mktemp("plots") / "studies.db"
    troubled("troubled", path)
    return luthier.open("troubled", storage=path)


def test_the_ladder_has_the_pages_dots_and_cuts(history: History) -> None:
    bracket = ladder_page(history)["brackets"][0]
    drawn = labelled(plot.ladder(history, bracket["bracket"]))
    fates = [
        fate
        for rung in bracket["rungs"]
        for fate, value in zip(rung["fate"], rung["value"], strict=True)
        if value is not None
    ]
    words = {"went on": "promoted", "stopped": "stopped", "trained to its end": "ended"}
    assert fates.count("promoted") > 0
    for label, fate in words.items():
        assert (
            len(drawn[label].get_xdata()) == fates.count(fate)
            if fate in fates
            else label not in drawn
        )
    cuts = [r["cut"] for r in bracket["rungs"] if r["cut"] is not None]
    axes = plot.ladder(history).axes[0]
    dashed = [line.get_ydata()[0] for line in axes.lines if line.get_linestyle() == "--"]
    assert dashed == pytest.approx(cuts, rel=1e-5)


def test_a_ladder_that_is_not_there_says_so(history: History, study: luthier.Study) -> None:
    with pytest.raises(StudyError, match=r"bracket=77: expected one that has begun: 0"):
        plot.ladder(history, 77)
    with pytest.raises(StudyError, match="no ladder"):
        plot.ladder(luthier.open("s", Space(x=Float(0, 1)), minimize="loss", storage="memory"))


def test_the_timeline_has_the_pages_jobs_losses_and_retries(study: luthier.Study) -> None:
    page = chronicle_page(chronicle(study), study.history)["jobs"]
    figure = plot.workers(study)
    bars = figure.axes[0].patches
    assert sorted(bar.get_x() for bar in bars) == pytest.approx(sorted(page["begin"]), rel=1e-5)
    drawn = labelled(figure)
    again = [begin for begin, why in zip(page["begin"], page["again"], strict=True) if why]
    assert sorted(drawn["tried again"].get_xdata()) == pytest.approx(sorted(again), rel=1e-5)
    assert len(drawn["worker lost"].get_xdata()) == 2
    names = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert names == ["host:100", "host:101", "host:102"]


def test_the_budget_is_spent_as_on_the_page(study: luthier.Study) -> None:
    page = chronicle_page(chronicle(study), study.history)
    drawn = labelled(plot.spent(study))["spent"]
    assert drawn.get_ydata()[-1] == page["burn"]["epochs"][-1] == study.history.epochs
    figure = plot.spent(study, "trials")
    assert (
        list(labelled(figure)["spent"].get_ydata())
        == page["finished"]["trials"]
        == list(range(1, 9))
    )
    assert labelled(figure)["budget 20"].get_ydata()[0] == 20
    with pytest.raises(StudyError, match=r"budget='epoch'.*Did you mean 'epochs'"):
        plot.spent(study, "epoch")  # type: ignore[arg-type]


def test_the_space_has_all_trials_the_best_one_and_the_crowded_edge() -> None:
    space = Space(x=Float(1, 100, scale="log"), kind=Choice("a", "b"))
    study = luthier.open(
        "s", space, minimize="loss", storage="memory", searcher="random", scheduler=None
    )
    for _ in range(60):
        trial = study.ask()
        study.tell(trial, loss=-math.log(trial["x"]))
    axes = plot.space(study).axes[0]
    grey = [bar for bar in axes.patches if bar.get_facecolor()[:3] == pytest.approx((2 / 3,) * 3)]
    assert len(grey) == 40 + 2
    best = space.domains["x"].encode(study.history.best.configuration["x"])
    upright = {line.get_xdata()[0]: line.get_color() for line in axes.lines}
    assert upright[best] == "#222222"
    assert upright[1.0] == "#c44e52", "the best lie at the upper edge, which is red"
    assert 0.0 not in upright
    with pytest.raises(StudyError, match="no space to draw"):
        plot.space(luthier.open("n", Space(), minimize="loss", storage="memory").history)


def test_the_race_shows_the_means_of_new_seeds() -> None:
    def train(trial: luthier.Trial) -> None:
        for _ in trial.epochs(save=lambda folder: None, restore=lambda folder: None):
            trial.report(loss=trial["x"] + 0.01 * (trial.seed % 7))

    result = luthier.tune(
        train,
        Space(x=Float(0, 1)),
        minimize="loss",
        searcher="random",
        scheduler=None,
        epochs=1,
        max_trials=6,
        storage="memory",
        finalists=2,
        repetitions=3,
        progress=False,
    )
    found = race(result.study.history)
    assert found is not None
    assert noise(result.study.history).source == "repeats"  # the race's seeds say how large it is
    figure = plot.race(result.study)
    drawn = [line.get_ydata() for line in figure.axes[0].lines if line.get_markersize() == 7]
    assert [y[0] for y in drawn if len(y) == 1] == [f.mean for f in found.finalists if f.values]
    with pytest.raises(StudyError, match="no race to draw"):
        plot.race(luthier.open("s", Space(x=Float(0, 1)), minimize="loss", storage="memory"))


def test_the_range_test_that_was_kept(study: luthier.Study) -> None:
    with pytest.raises(StudyError, match="No range test is kept"):
        plot.learning_rate(study)
    range_test(study)
    drawn = labelled(plot.learning_rate(study))
    assert any(label.startswith("suggestion") for label in drawn)
    assert len(drawn["smoothed"].get_xdata()) == 120
