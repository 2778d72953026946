"""Wishes beside what others do to the same study meanwhile, and options that somebody typed."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

import luthier
from luthier.app.dashboard.steering import Helm, Wish
from luthier.errors import LuthierWarning, SpaceError
from luthier.space import Choice, Float, Int, Space
from luthier.storage import MemoryStore, SQLiteStore
from luthier.study import events as ev
from luthier.study.log import read_log
from luthier.study.protocols import Store

SPACE = Space(rate=Float(1e-4, 1, scale="log"), units=Int(1, 9))


def opened(store: Store, space: Space = SPACE, metric: str = "loss") -> luthier.Study:
    return luthier.open("s", space, minimize=metric, storage=store, scheduler=None)


def steered(helm: Helm, **wish: Any) -> None:
    helm.grant(Wish(study="s", **wish), "Ada")


def test_a_range_set_on_the_page_keeps_what_others_have_changed_since() -> None:
    store = MemoryStore()
    study, helm = opened(store), Helm(lambda: store)
    steered(helm, action="pause")  # the page's own study has read the log so far
    study.steer.space(study.space.with_domain("units", Int(1, 99)))
    steered(helm, action="space", name="rate", low="1e-3", high="1")
    space = study.refresh().space
    assert (space["units"].high, space["rate"].low) == (99, 1e-3)


def test_a_budget_set_on_the_page_keeps_the_time_that_others_have_set_since() -> None:
    store = MemoryStore()
    study, helm = opened(store), Helm(lambda: store)
    steered(helm, action="pause")
    until = time.time() + 1000
    study.steer.budget(until=until)
    steered(helm, action="budget", trials=7)
    history = study.refresh()
    assert (history.limits.trials, history.until) == (7, until)


def test_a_limit_that_nobody_typed_is_as_others_have_set_it_since() -> None:
    store = MemoryStore()
    study, helm = opened(store), Helm(lambda: store)
    steered(helm, action="pause")
    study.steer.budget(trials=9, epochs=90)
    said = helm.grant(Wish(study="s", action="budget", trials=7), "Ada")
    assert said == "The budget is now: 7 trials in all; 90 epochs of all trials together."
    wish = msgspec.json.decode(b'{"study": "s", "action": "budget", "epochs": null}', type=Wish)
    assert helm.grant(wish, "Ada") == "The budget is now: 7 trials in all."
    limits = study.refresh().limits
    assert (limits.trials, limits.epochs) == (7, None)


def test_a_study_that_begins_anew_is_steered_as_the_new_one() -> None:
    store = MemoryStore()
    opened(store)
    helm = Helm(lambda: store)
    steered(helm, action="pause")
    steered(helm, action="resume")
    with pytest.warns(LuthierWarning, match="begins anew"):
        again = opened(store, Space(width=Float(0, 1)), metric="error")
    steered(helm, action="stop", reason="enough")
    steered(helm, action="space", name="width", low="0", high="2")
    history = again.refresh()
    assert (history.held, history.held_why, history.space["width"].high) == ("stopped", "enough", 2)
    stops = [event for _, event in read_log(store, "s") if isinstance(event, ev.StudyStopped)]
    assert len(stops) == 1, "nothing was written before it was opened again"


def test_a_file_that_was_deleted_and_made_again_is_steered(tmp_path: Path) -> None:
    path = tmp_path / "studies.db"
    opened(SQLiteStore(path)).close()
    helm = Helm(lambda: SQLiteStore(path))
    steered(helm, action="note", text="the old one")
    for file in tmp_path.glob("studies.db*"):
        if file.is_file():
            file.unlink()
    study = opened(SQLiteStore(path))
    steered(helm, action="note", text="the new one")
    assert [note.text for note in study.refresh().notes.values()] == ["the new one"]


@pytest.mark.parametrize(
    ("options", "typed", "found"),
    [
        (("a", "b"), "(1, 2)", "(1, 2)"),
        ((1, 2), "3", 3),
        ((0.5, 1.0), "3", 3.0),
        (((3, 3), (5, 5)), "(7, 7)", (7, 7)),
        ((None, 0.1), "0.2", 0.2),
        ((1, 0.5), "2", 2),
        (("a", None), "True", True),
        (("a", 2, None), "new", "new"),
    ],
)
def test_a_typed_option_is_of_the_kind_of_the_others(
    options: tuple[Any, ...], typed: str, found: Any
) -> None:
    store = MemoryStore()
    study = opened(store, Space(kind=Choice(*options)))
    known = [option if isinstance(option, str) else repr(option) for option in options]
    steered(Helm(lambda: store), action="space", name="kind", options=[*known, typed])
    domain = study.refresh().space["kind"]
    assert isinstance(domain, Choice)
    assert domain.options == (*options, found)
    assert type(domain.options[-1]) is type(found)


@pytest.mark.parametrize(
    ("options", "typed"),
    [
        ((1, 2), "three"),
        ((1, 2), "1.5"),
        (((3, 3), (5, 5)), "(7, 7"),
        ((None, 0.1), "none"),
        ((None, 0.1), "__import__('os')"),
        (((3, 3), (5, 5)), "{1: 2}"),
        (((3, 3), None), "[" * 10_000),
    ],
)
def test_a_typed_option_that_is_none_is_refused_in_words(
    options: tuple[Any, ...], typed: str
) -> None:
    store = MemoryStore()
    opened(store, Space(kind=Choice(*options)))
    wish = Wish(study="s", action="space", name="kind", options=[*map(repr, options), typed])
    with pytest.raises(SpaceError, match=re.escape("expected")):
        Helm(lambda: store).grant(wish, "Ada")


def test_narrowing_takes_along_what_hangs_on_it_and_keeps_beliefs(tmp_path: Path) -> None:
    space = Space(
        kind=Choice("mlp", "cnn"),
        units=Int(1, 9).when(kind="mlp"),
        act=Choice("relu", "gelu", "tanh", default="gelu", prior="relu"),
        rate=Float(1e-4, 1.0, scale="log", default=0.01),
    )
    store = SQLiteStore(tmp_path / "s.db")
    study = opened(store, space)
    helm = Helm(lambda: store)
    steered(helm, action="space", name="act", options=["relu", "gelu"])
    steered(helm, action="space", name="rate", low="1e-3", high="1")
    steered(helm, action="space", name="kind", options=["cnn"])
    found = study.refresh().space
    assert list(found.domains) == ["kind", "act", "rate"]
    assert (found["act"].default, found["act"].prior, found["rate"].default) == (
        "gelu",
        "relu",
        0.01,
    )
