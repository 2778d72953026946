"""The model card: its front matter, and that it says only what the log knows."""

from __future__ import annotations

import pytest
import yaml
from click.testing import CliRunner

import luthier as lt
from luthier.app.command import commands


def train(trial):
    for epoch in trial.epochs():
        trial.report(val_accuracy=trial["rate"] - 0.01 * epoch, val_loss=1.0)


def tuned(tmp_path, **options):
    return lt.tune(
        train, {"rate": lt.Float(0.1, 0.9)}, maximize="val_accuracy", epochs=2, scheduler=None,
        max_trials=12, name="digits: 1", storage=tmp_path / "s.db", progress=False, **options,
    )  # fmt: skip


def parts(path):
    front, body = path.read_text().removeprefix("---\n").split("\n---\n", 1)
    return yaml.safe_load(front), body


def test_only_what_is_known(tmp_path):
    result = tuned(tmp_path)
    front, body = parts(result.card(tmp_path / "card.md"))
    assert front == {"metrics": ["accuracy"], "tags": ["hyperparameter-tuning", "luthier"]}
    headings = [line for line in body.splitlines() if line.startswith(("# digits", "## "))]
    assert headings[0] == "# digits: 1"
    assert headings[1:] == [f"## {h}" for h in (
        "The answer", "What was searched", "Data", "Train it", "Limitations", "Settings and versions",
    )]  # fmt: skip
    assert "does not say what it was trained on" in body
    assert "| rate | Float(0.1, 0.9) |" in body
    assert "best of 12: chosen for being high" in body
    assert "![" not in body


def test_results_for_hugging_face_and_the_first_read_of_the_test_set(tmp_path):
    result = tuned(tmp_path)
    result.test(lambda trial: 0.5)
    card = result.card(
        tmp_path / "c.md", name="net", library="keras", dataset="fashion-mnist", licence="mit",
        task="image-classification", text="For clothes.",
    )  # fmt: skip
    front, body = parts(card)
    [index] = front.pop("model-index")
    [found] = index["results"]
    best = result.study.best_value
    assert [(m["type"], m["value"], m["name"]) for m in found["metrics"]] == [
        ("accuracy", best, "val_accuracy in the search"),
        ("accuracy", 0.5, "val_accuracy on the test set"),
    ]
    assert found["dataset"]["split"] == "validation"
    assert (front["license"], front["library_name"], front["pipeline_tag"], front["datasets"]) == (
        "mit", "keras", "image-classification", ["fashion-mnist"],
    )  # fmt: skip
    assert body.startswith("\n# net\n")
    assert "For clothes." in body
    assert "No test set was read" not in body


def test_a_race_gives_the_interval(tmp_path):
    result = tuned(tmp_path, finalists=2, repetitions=3)
    card = result.card(tmp_path / "c.md", dataset="d", task="t")
    front, body = parts(card)
    [measured] = front["model-index"][0]["results"][0]["metrics"]
    assert measured["name"] == "mean val_accuracy over new seeds"
    assert "95 % interval" in body
    assert "New seeds were not tried" not in body


def test_the_command(tmp_path):
    tuned(tmp_path)
    to, storage = tmp_path / "M.md", str(tmp_path / "s.db")
    call = ["card", "digits: 1", "--to", str(to), "--storage", storage, "--license", "mit"]
    assert CliRunner().invoke(commands, call, catch_exceptions=False).exit_code == 0
    front, body = parts(to)
    assert front["license"] == "mit"
    assert f"storage={storage!r}" in body
    failed = CliRunner().invoke(commands, [*call[:3], str(tmp_path / "M.txt"), *call[4:]])
    assert "expected a name that ends in .md" in str(failed.exception)


def test_a_study_without_trials(tmp_path):
    study = lt.open("none", {"a": lt.Float(0, 1)}, minimize="loss", storage=tmp_path / "s.db")
    from luthier.app.report import About, write_card

    front, body = parts(write_card(study.history, About(task="t", dataset="d"), tmp_path / "c.md"))
    assert "model-index" not in front
    assert "No trial has a finite loss yet." in body


def test_what_was_lost_is_counted_by_how_it_ended(tmp_path):
    """One diverged after a good epoch, one reported no number, one is alone."""
    study = lt.open(
        "lost", {"a": lt.Float(0, 1)}, minimize="loss", searcher="random", storage="memory"
    )
    for losses in ([0.5, float("nan")], [0.7]):
        trial = study.ask()
        for loss in losses:
            trial.report(loss=loss)
        if losses[-1] == losses[-1]:
            study.tell(trial)
    from luthier.app.report import About, write_card

    _, body = parts(write_card(study.history, About(), tmp_path / "c.md"))
    assert "1 trial diverged or failed: 50 %." in body
    assert "Only 1 trial ended with a value." in body


def test_a_race_that_is_not_decided_is_no_race_that_was_not_run(tmp_path):
    with pytest.warns(
        lt.LuthierWarning, match="28 epochs leave the race of 3 finalists 5 trainings"
    ):
        result = tuned(tmp_path, finalists=3, repetitions=3, max_epochs=12 * 2 + 4)
    assert result.race is not None
    assert result.race.winner is None
    _, body = parts(result.card(tmp_path / "c.md"))
    assert "New seeds were not tried" not in body
    assert "The race on new seeds decided nothing: 28 epochs held 5 of the 9 trainings" in body
    result.study.steer.budget(trials=12)
    _, body = parts(result.card(tmp_path / "d.md"))
    assert "The race on new seeds goes on" in body
