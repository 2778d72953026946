"""The report: what it says comes from the history, and it stands on its own."""

import ast
import math
import re
import shlex
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner
from serving_store import TOKEN, served

import luthier
from luthier.app.command import commands
from luthier.app.report import contents, write
from luthier.app.report.parts import Code, Items, Report, Table, Text
from luthier.errors import LuthierError
from luthier.insight.race import race
from luthier.study.history import History

HOSTILE = "<script>alert(1)</script> | `x` ../../etc [a](http://evil.example) $x$ {$_^$ \"'"


class Page(HTMLParser):
    """Every tag with its attributes, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def section(report: Report, heading: str) -> str:
    """Return what a section says, as one text."""
    (found,) = [s for s in report.sections if s.heading == heading]
    said: list[str] = []
    for part in found.parts:
        match part:
            case Text(words):
                said.append(words)
            case Items(lines):
                said += lines
            case Table(headings, rows):
                said += [" ".join(row) for row in (headings, *rows)]
            case Code(text):
                said.append(text)
    return "\n".join(said)


def studied(trials: int = 40, *, name: str = "told", **options) -> History:
    space = luthier.Space(
        learning_rate=luthier.Float(1e-4, 1.0, scale="log"), layers=luthier.Int(1, 3)
    )

    def train(trial: luthier.Trial) -> None:
        for epoch in trial.epochs():
            away = (math.log10(trial["learning_rate"]) + 2) ** 2 / 20
            noise = luthier.study.chance.Chance(trial.seed, (epoch,)).uniform() / 100
            accuracy = 0.7 + 0.05 * trial["layers"] - away - 0.2 / (epoch + 1) + noise
            trial.report(val_accuracy=math.nan if trial["learning_rate"] > 0.2 else accuracy)

    return luthier.tune(
        train,
        space,
        maximize="val_accuracy",
        searcher="random",
        max_trials=trials,
        epochs=6,
        storage="memory",
        progress=False,
        name=name,
        **{"scheduler": None, **options},
    ).study.history


@pytest.fixture(scope="module")
def history() -> History:
    return studied()


@pytest.fixture(scope="module")
def report(history: History) -> Report:
    return contents(history, "luthier.db")


def test_the_answer_is_the_best_trial_with_how_sure_it_is(history: History, report: Report) -> None:
    from luthier.search import recommended

    told = section(report, "The answer")
    trial = recommended(history)
    assert told.startswith(f"Trial {trial.number}: val_accuracy ")
    assert "from a single training" in told
    assert "Of trainings with other seeds 95 % lie within ±" in told  # guessed from the curves
    assert "would give [" not in told
    assert "seed noise" in told
    assert f"layers {trial.configuration['layers']}" in told


def test_a_luckier_trial_than_the_answer_is_named(history: History, report: Report) -> None:
    from luthier.search import recommended

    answer, luckiest = recommended(history).number, history.ranking()[0].number
    assert answer != luckiest
    assert f"is that of trial {luckiest} (result.best)" in section(report, "The answer")
    code = section(report, "Train it")
    assert f"--trial {answer} --storage luthier.db" in code


def test_the_answer_of_a_race_has_its_interval() -> None:
    raced = studied(20, finalists=2, repetitions=4)
    told = section(contents(raced), "The answer")
    found = race(raced)
    assert found is not None
    assert "95 % interval [" in told
    assert "trainings on new seeds" in told
    assert f"Trial {found.winner.trial}:" in told


def test_what_to_do_next_has_the_edge_the_length_and_the_race(report: Report) -> None:
    told = section(report, "What to do next")
    assert "Widen the space: layers:" in told
    assert "train longer" in told
    assert "luthier race" in told
    assert "read the test set once" in told


def test_failures_are_told_with_advice(history: History, report: Report) -> None:
    lost = sum(t.state.value == "diverged" for t in history.trials)
    assert lost
    assert f"{lost} diverged: counted as worse than all others" in section(
        report, "How trials ended"
    )


def test_the_code_runs(history: History, tmp_path: Path) -> None:
    place = tmp_path / "luthier.db"
    space = luthier.Space(x=luthier.Float(0.0, 1.0), kind=luthier.Choice("a", "b"))
    study = luthier.open("it's mine", space, minimize="loss", storage=place, searcher="random")
    for _ in range(3):
        trial = study.ask()
        study.tell(trial, loss=trial["x"])
    (found,) = [
        p for s in contents(study.history, str(place)).sections for p in s.parts
        if isinstance(p, Code) and p.language == "python"
    ]  # fmt: skip
    scope: dict = {}
    exec(compile(ast.parse(found.text), "report", "exec"), scope)
    assert scope["configuration"] == study.best.configuration
    assert scope["hp"].float("x", 0.0, 1.0) == study.best.configuration["x"]


def test_settings_name_the_seed_the_space_and_the_versions(report: Report) -> None:
    told = section(report, "Settings")
    assert "seed 0" in told
    assert "learning_rate Float(0.0001, 1.0" in told
    assert f"luthier of the study {luthier.__version__}" in told


def test_the_page_stands_on_its_own(report: Report, tmp_path: Path) -> None:
    path = write(report, tmp_path / "told.html")
    text = path.read_text()
    page = Page(text)
    assert len(text) < 2_000_000
    assert not [tag for tag, _ in page.tags if tag in ("script", "link", "iframe", "object")]
    addresses = [v for _, a in page.tags for k, v in a.items() if k in ("src", "href")]
    assert all(v.startswith(("#", "data:image/")) for v in addresses if v)
    pictures = [a for tag, a in page.tags if tag == "img"]
    assert len(pictures) >= 7
    assert all(a["alt"] for a in pictures)
    assert [h for h in ("The answer", "Train it", "Settings") if h not in page.text] == []


def test_the_same_history_is_the_same_page(report: Report, tmp_path: Path) -> None:
    first = write(report, tmp_path / "a.html").read_bytes()
    assert write(report, tmp_path / "b.html").read_bytes() == first


def test_markdown_has_its_pictures_beside_it(report: Report, tmp_path: Path) -> None:
    text = write(report, tmp_path / "told.md").read_text()
    named = re.findall(r"!\[[^]]*\]\(([^)]+)\)", text)
    assert len(named) >= 7
    assert all((tmp_path / name).stat().st_size > 1000 for name in named)
    assert "\n## The answer\n" in text


def test_hostile_names_are_only_text(tmp_path: Path) -> None:
    space = luthier.Space({"a": luthier.Choice(HOSTILE, "other")})
    study = luthier.open(
        HOSTILE, space, minimize=HOSTILE, searcher="random", noisy=True, storage="memory"
    )
    for number in range(12):
        trial = study.ask()
        for epoch in range(3):
            trial.report({HOSTILE: 1.0 + number / 10 + epoch})
        study.tell(trial)
    report = contents(study.history)
    page = Page(write(report, tmp_path / "h.html").read_text())
    assert not [tag for tag, _ in page.tags if tag == "script"]
    assert HOSTILE in page.text
    text = write(report, tmp_path / "h.md").read_text()
    prose = re.sub(r"```.*?```", "", text, flags=re.S)
    assert not re.search(r"(?<!\\)<script", prose)
    assert not re.search(r"(?<![\\!])\[a", prose)
    assert {p.name for p in tmp_path.iterdir()} == {"h.html", "h.md", "h-pictures"}


@pytest.mark.parametrize("trials", [0, 1, 2])
def test_a_study_of_few_trials_says_that_they_are_few(trials: int, tmp_path: Path) -> None:
    space = luthier.Space(x=luthier.Float(0.0, 1.0))
    study = luthier.open("few", space, minimize="loss", searcher="random", storage="memory")
    for _ in range(trials):
        study.tell(study.ask(), loss=math.nan if trials == 1 else 1.0)
    report = contents(study.history)
    said = section(report, "The answer") + section(report, "What to do next")
    assert ("No trial has a finite loss yet" in said) is (trials < 2)
    assert ("Run the study", "then run more", "Go on")[trials] in said
    assert write(report, tmp_path / "few.html").stat().st_size > 2000


def test_stages_are_the_story() -> None:
    from luthier.craft.stages import story

    staged = luthier.tune(
        lambda trial: trial.report(loss=(math.log10(trial["learning_rate"]) + 2) ** 2),
        {"learning_rate": luthier.Float(1e-4, 1.0, scale="log"), "units": luthier.Int(4, 64)},
        minimize="loss",
        staged=True,
        max_trials=24,
        storage="memory",
        progress=False,
    ).study.history
    told = section(contents(staged), "How it was found")
    assert len(staged.stages) > 1
    assert all(paragraph in told for paragraph in story(staged))


def test_the_command_and_its_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    space = luthier.Space(x=luthier.Float(0.0, 1.0))
    study = luthier.open("mine", space, minimize="loss", searcher="random", storage="s.db")
    study.tell(study.ask(), loss=1.0)
    run = CliRunner().invoke(commands, ["report", "mine", "--storage", "s.db"])
    assert run.exit_code == 0, run.output
    assert "s.db" in (tmp_path / "mine.html").read_text()
    with pytest.raises(LuthierError, match=r"'mine.pdf'.*ends in .html or .md"):
        write(contents(study.history), "mine.pdf")
    wrong = CliRunner().invoke(commands, ["report", "mime", "--storage", "s.db"])
    assert "Did you mean 'mine'" in str(wrong.exception)
    with pytest.raises(LuthierError, match="Cannot write"):
        write(contents(study.history), tmp_path / "no" / "such" / "folder.html")


def test_no_token_stands_in_what_is_given_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "served").mkdir()
    with served(tmp_path / "served") as url:
        place = url.replace(f"{TOKEN}@", "")
        space = luthier.Space(x=luthier.Float(0.0, 1.0))
        study = luthier.open("mine", space, minimize="loss", searcher="random", storage=url)
        study.tell(study.ask(), loss=1.0)
        for words in (["report", "mine"], ["report", "mine", "--to", "mine.md"], ["card", "mine"]):
            run = CliRunner(catch_exceptions=False).invoke
            for option, variable in ((["--storage", url], None), ([], url)):
                done = run(commands, [*words, *option], env={"LUTHIER_STORAGE": variable})
                assert done.exit_code == 0, done.output
                _gives_no_token_away(tmp_path, place)
        study.close()


def _gives_no_token_away(folder: Path, place: str) -> None:
    (file,) = [p for p in folder.iterdir() if p.is_file()]
    text = file.read_text()
    assert f"--storage {place}" in text
    assert TOKEN not in text
    file.unlink()


def test_nothing_is_said_of_the_default_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    study = luthier.open("mine", {"x": luthier.Float(0.0, 1.0)}, minimize="loss")
    study.tell(study.ask(), loss=1.0)
    done = CliRunner(catch_exceptions=False).invoke(commands, ["card", "mine"])
    assert done.exit_code == 0
    text = (tmp_path / "MODEL_CARD.md").read_text()
    assert "luthier.open('mine')" in text
    assert "luthier export mine --to yaml\n" in text


def test_code_and_command_are_as_one_would_type_them(tmp_path: Path) -> None:
    place = str(tmp_path / "my studies; it's.db")
    space = luthier.Space(x=luthier.Float(0.0, 1.0), pair=luthier.Choice((1, "a"), None))
    study = luthier.open("mine", space, minimize="loss", storage=place, searcher="random")
    study.tell(study.ask(), loss=1.0)
    python, shell = [
        p for s in contents(study.history, place).sections for p in s.parts if isinstance(p, Code)
    ]  # fmt: skip
    scope: dict = {}
    exec(compile(ast.parse(python.text), "report", "exec"), scope)
    assert scope["configuration"] == study.best.configuration
    assert shlex.split(shell.text) == [
        "luthier", "export", "mine", "--to", "yaml", "--storage", place,
    ]  # fmt: skip


def one_of(losses: list[float], **options) -> History:
    """Return a study that was told these losses, all of one configuration of two."""
    space = luthier.Space(kind=luthier.Choice("a", "b"))
    study = luthier.open("seeds", space, minimize="loss", noisy=True, storage="memory", **options)
    for loss in losses:
        study.enqueue({"kind": "a"})
        study.tell(study.ask(), loss=loss)
    return study.history


def test_the_interval_of_a_single_training_is_students() -> None:
    told = section(contents(one_of([1.0, 2.0, 3.0])), "The answer")
    # Deviation 1 with two degrees of freedom: 4.303 on both sides.
    assert "[-3.303, 5.303] in 95 % of trainings" in told


def test_without_scatter_nothing_is_said_of_other_seeds() -> None:
    told = section(contents(one_of([1.0, 1.0, 1.0])), "The answer")
    assert "How much of that is luck is not known" in told
    assert "Other seeds" not in told


def test_a_test_set_that_was_read_twice_was_not_read_once() -> None:
    space = luthier.Space(x=luthier.Float(0.0, 1.0))
    study = luthier.open("twice", space, minimize="loss", searcher="random", storage="memory")
    study.tell(study.ask(), loss=1.0)
    from luthier.app.fence import read_test

    read_test(study, study.best, lambda trial: 0.5, study.best)
    assert "On the test set, read once by" in section(contents(study.refresh()), "The answer")
    with pytest.warns(luthier.LuthierWarning):
        read_test(study, study.best, lambda trial: 0.6, study.best)
    told = section(contents(study.refresh()), "The answer")
    assert told.count("On the test set, read by") == 2
    assert "The test set was read 2 times" in told


def test_a_member_of_a_population_is_trained_again_by_its_schedule() -> None:
    from luthier.schedule import PopulationBasedTraining, Replay

    history = luthier.simulate(
        lambda c, step: 1 / step + abs(c["rate"] - 0.3 * step / 8),
        luthier.Space(rate=luthier.Float(0.0, 1.0)), minimize="loss", searcher="random",
        scheduler=PopulationBasedTraining(8, population=6, interval=2),
    )  # fmt: skip
    study = history.study
    from luthier.app.report.answering import chosen

    answer = chosen(study.history)
    assert answer is not None
    assert answer.parent >= 0
    python, shell = [
        p for s in contents(study.history).sections for p in s.parts if isinstance(p, Code)
    ]  # fmt: skip
    line = next(text for text in python.text.splitlines() if text.startswith("schedule = "))
    scope = {"luthier": luthier, "study": study}
    exec(line, scope)
    assert scope["schedule"] == Replay.of(study, answer)
    assert "epochs = " not in python.text
    assert "luthier export" in shell.text


def test_importance_with_several_goals_is_for_the_order() -> None:
    space = luthier.Space(x=luthier.Float(0.0, 1.0), y=luthier.Float(0.0, 1.0))
    study = luthier.open(
        "goals", space, minimize=["a", "b"], subject_to="c <= 0.9", searcher="random",
        storage="memory",
    )  # fmt: skip
    for _ in range(30):
        trial = study.ask()
        study.tell(trial, a=trial["x"], b=1 - trial["x"], c=trial["y"])
    told = section(contents(study.history), "What matters")
    assert "of the variance of the trials' order (by fronts of minimize a and minimize b" in told
    assert "those that break c <= 0.9 behind all others)" in told
    assert "of the objective's variance over" in section(contents(studied(30)), "What matters")


def test_pictures_of_a_file_with_a_space_in_its_name(report: Report, tmp_path: Path) -> None:
    from urllib.parse import unquote

    text = write(report, tmp_path / "my (first) report.md").read_text()
    named = re.findall(r"!\[[^]]*\]\(([^)]+)\)", text)
    assert len(named) >= 7
    assert not any(" " in name for name in named)
    assert all((tmp_path / unquote(name)).is_file() for name in named)


def test_a_grid_that_was_tried_has_nothing_to_go_on_with() -> None:
    space = luthier.Space(a=luthier.Int(1, 4), b=luthier.Int(1, 3))
    study = luthier.open("grid", space, minimize="loss", searcher="grid", storage="memory")
    for _ in range(12):
        trial = study.ask()
        study.tell(trial, loss=trial["a"] + trial["b"])
    told = section(contents(study.history), "What to do next")
    assert "everything that would be proposed was tried" in told
    assert "Go on" not in told


def test_where_the_noise_is_not_known_a_record_is_no_reason_to_go_on() -> None:
    space = luthier.Space(x=luthier.Float(0.0, 1.0))
    study = luthier.open("once", space, minimize="loss", searcher="random", storage="memory")
    for _ in range(20):
        trial = study.ask()
        study.tell(trial, loss=trial["x"])
    told = section(contents(study.history), "What to do next")
    assert "with a chance of 50 %, but the seed noise is not known" in told
