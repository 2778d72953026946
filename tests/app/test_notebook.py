"""What a notebook shows: read back as HTML, and in a real kernel."""

from __future__ import annotations

import math
import subprocess
import sys
from html.parser import HTMLParser
from typing import Any

import pytest

import luthier
from luthier.space import Choice, Float, Space

NASTY = "<img src=x onerror=alert(1)><script>alert(2)</script>\u202e"
_VOID = {"img", "br", "hr", "input"}


class Read(HTMLParser):
    """The tags and the text of a page; tags must be closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.said = ""
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag: str, attributes: Any) -> None:
        self.tags.append(tag)
        assert all(not name.startswith("on") for name, _ in attributes)
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: Any) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.said += data + "\n"


def read(shown: Any) -> Read:
    found = Read(shown._repr_html_())
    assert set(found.tags) <= {
        "div",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "svg",
        "polyline",
    }
    return found


def study_of(values: list[float], space: Space, name: str = "s") -> luthier.Study:
    study = luthier.open(
        name, space, minimize="loss", scheduler=None, searcher="random", storage="memory"
    )
    for value in values:
        study.tell(study.ask(), loss=value)
    return study


def test_a_study_shows_its_best_trials_first() -> None:
    study = study_of([3.0, 1.25, 2.0, math.nan], Space(x=Float(0, 1)))
    said = read(study).said.split("\n")
    assert "Study s" in said[0]
    assert "minimize loss" in said[1]
    cells = [line for line in said if line]
    start = cells.index("x") + 1
    assert cells[start : start + 2] == ["1", "1.25"], "the best trial and its value"
    assert "svg" in read(study).tags


@pytest.mark.parametrize("values", [[], [1.0], [math.nan] * 4, [1e308, -1e308], [2.0, 2.0]])
def test_odd_studies_show_something(values: list[float]) -> None:
    said = read(study_of(values, Space(x=Float(0, 1)))).said
    finite = any(map(math.isfinite, values))
    assert ("No trial has a finite value yet" in said) is not finite
    assert "nan" not in said.lower()


def test_what_is_hostile_is_text() -> None:
    space = Space({NASTY: Float(0, 1), "kind": Choice(NASTY)})
    study = study_of([0.5], space, NASTY)
    for shown in (study, space, study.ask(), study.trials[0]):
        assert "<script>alert(2)</script>" in read(shown).said
        assert "\u202e" not in shown._repr_html_()


def test_a_space_shows_each_domain_with_its_condition() -> None:
    inner = Space(momentum=Float(0.8, 0.999, scale="one_minus_log"))
    space = Space(
        optimizer=Choice({"sgd": inner, "adam": Space()}), rate=Float(1e-4, 1, scale="log")
    )
    said = read(space).said
    assert "optimizer.sgd.momentum" in said
    assert "optimizer in ['sgd']" in said
    assert "Float(0.0001, 1" in said
    many = read(Space({f"h{i}": Float(0, 1) for i in range(70)}))
    assert many.tags.count("tr") == 61
    assert "and 10 more" in many.said


CELL = """
import luthier, time
def train(trial):
    for epoch in trial.epochs():
        time.sleep(0.25)
        trial.report(loss=trial["x"] + 1 / (epoch + 1))
result = luthier.tune(train, {"x": luthier.Float(0, 1)}, minimize="loss", epochs=2, max_trials=6,
                      scheduler=None, searcher="random", storage="memory", name="cell")
result
"""


def test_a_kernel_shows_progress_in_one_output_and_then_the_result() -> None:
    import nbformat
    from nbclient import NotebookClient

    seen: list[str] = []

    class Client(NotebookClient):
        def process_message(self, msg: Any, cell: Any, cell_index: int) -> Any:
            if msg["msg_type"] == "update_display_data":
                seen.append(msg["content"]["data"]["text/html"])
            return super().process_message(msg, cell, cell_index)

    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
    Client(book, timeout=120, kernel_name="python3").execute()
    outputs = book.cells[0].outputs
    progress, result = (o for o in outputs if o.output_type != "stream")
    assert progress.output_type == "display_data"
    assert len(seen) >= 2, "it moved while the study ran, and at its end"
    assert "trials 6/6" in Read(progress.data["text/html"]).said, (
        "the output holds the last picture"
    )
    assert "best loss" in progress.data["text/plain"]
    assert "Study cell" in Read(result.data["text/html"]).said


def test_without_a_notebook_nothing_of_ipython_is_loaded() -> None:
    program = (
        "import sys, luthier\n"
        "def train(trial):\n"
        "    for epoch in trial.epochs(): trial.report(loss=1.0)\n"
        "luthier.tune(train, {'x': luthier.Float(0, 1)}, minimize='loss', epochs=1, max_trials=2,\n"
        "             storage='memory')\n"
        "assert 'IPython' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
