"""What is kept of studies: when it is let go of, and when it is the past of another log."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

import luthier
from luthier.app.dashboard import watched as watching
from luthier.app.dashboard.live import Live
from luthier.app.dashboard.watched import Watch, Watched
from luthier.errors import LuthierWarning, StorageError, StudyError
from luthier.space import Float, Int, Space
from luthier.storage import MemoryStore, SQLiteStore, sqlite
from luthier.study.protocols import Store

SPACE = Space(rate=Float(1e-4, 1, scale="log"), units=Int(1, 9))


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at the log, and whether it is the same one, whenever somebody asks."""
    monkeypatch.setattr(watching, "_PAUSE", -1.0)
    monkeypatch.setattr(watching, "_COMPARED", -1.0)
    monkeypatch.setattr(sqlite, "_LOOK_SECONDS", -1.0)


def told(store: Store, name: str, losses: list[float], space: Space = SPACE) -> luthier.Study:
    study = luthier.open(name, space, minimize="loss", storage=store, scheduler=None)
    for loss in losses:
        study.tell(study.ask(), loss=loss)
    return study


def test_a_page_of_a_study_that_begins_anew_is_sent_all_of_the_new_one() -> None:
    store = MemoryStore()
    study = luthier.open("s", SPACE, minimize="loss", storage=store, scheduler=None)
    study.fail(study.ask(), "error", "a bug", "Traceback")
    watched = Watched(store, "s")
    before, feed = watched.columns(), watched.chronicle()["feed"]
    assert [e["kind"] for e in feed] == ["failed", "steered", "created"]
    assert "why_not" in watched.lesson("importance")
    with pytest.warns(LuthierWarning, match="begins anew"):
        again = luthier.open("s", {"x": Float(0, 1)}, minimize="error", storage=store)
    again.tell(again.ask(), error=1.0)
    after = watched.columns(before["revision"])
    assert after["whole"]
    assert after["revision"].partition("-")[0] != before["revision"].partition("-")[0]
    assert after["summary"]["trials"] == 1
    assert [e["kind"] for e in watched.chronicle()["feed"]] == ["steered", "created"]
    assert not watched.columns(after["revision"])["whole"]
    assert watched.lesson("importance")["trials"] == 1, "that of the old one is forgotten"


def made_anew(folder: Path) -> None:
    """Delete the database."""
    for path in folder.glob("studies.db*"):
        if path.is_file():
            path.unlink()


def test_a_store_that_was_deleted_and_made_again_is_another_one(tmp_path: Path) -> None:
    path = tmp_path / "studies.db"
    told(SQLiteStore(path), "s", [3.0, 2.0, 1.0]).close()
    told(SQLiteStore(path), "gone", [1.0]).close()
    watch = Watch(SQLiteStore(path, read_only=True))
    before = watch.study("s").columns()
    assert before["summary"]["trials"] == 3
    assert watch.line("gone").shown["trials"] == 1
    made_anew(tmp_path)
    assert watch.study("s").columns(before["revision"])["summary"]["trials"] == 3, "nothing new yet"
    told(SQLiteStore(path), "s", [7.0]).close()
    watch.store.names()  # looks at which file it is
    after = watch.study("s").columns(before["revision"])
    assert (after["whole"], after["summary"]["best"]) == (True, 7.0)
    for _ in range(2):
        with pytest.raises(StudyError, match="There is no study 'gone'"):
            watch.study("gone")


def test_histories_are_let_go_of_and_their_lines_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "_KEPT", 2 * watching._SMALL)
    store = MemoryStore()
    studies = [told(store, f"s{i}", [float(i)]) for i in range(4)]
    watch = Watch(store)
    lines = [watch.line(f"s{i}") for i in range(4)]
    assert list(watch.studies) == ["s2", "s3"], "those that were asked for last"
    assert [line.shown["best"] for line in lines] == [0.0, 1.0, 2.0, 3.0]
    watch.study("s2")
    told(store, "s4", [4.0])
    watch.study("s4")
    assert list(watch.studies) == ["s2", "s4"]
    # Nothing is read for what has not grown.
    stamps = [watch.stamp(f"s{i}") for i in range(2)]
    assert watch.line("s0").shown == lines[0].shown
    assert stamps == [line.stamp for line in lines[:2]]
    assert list(watch.studies) == ["s2", "s4"]
    studies[0].tell(studies[0].ask(), loss=-1.0)
    assert watch.line("s0").shown["best"] == -1.0
    assert list(watch.studies) == ["s4", "s0"]
    assert watch.stamp("s0") != stamps[0]


def test_the_last_history_stays_however_long_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "_KEPT", 1)
    store = MemoryStore()
    told(store, "s", [1.0])
    watch = Watch(store)
    assert watch.study("s") is watch.study("s")


def test_a_line_that_said_running_is_written_anew_when_the_worker_may_be_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watching, "_KEPT", 1)
    store = MemoryStore()
    study = told(store, "s", [])
    study.ask()
    told(store, "t", [])
    watch = Watch(store)
    assert watch.line("s").shown["state"] == "running"
    watch.study("t")
    assert list(watch.studies) == ["t"]
    watch.line("s")
    assert list(watch.studies) == ["t"], "it is as it was a moment ago"
    monkeypatch.setattr(watching, "_PATIENCE", -1.0)
    watch.line("s")
    assert list(watch.studies) == ["s"]
    study.close()


def test_lessons_are_kept_under_names_that_the_space_has() -> None:
    store = MemoryStore()
    told(store, "s", [float(i % 5) for i in range(12)])
    watched = Watched(store, "s")
    for name in ("", "a", "b", "rate"):
        assert watched.lesson("importance", name)["rows"]
    assert len(watched._lessons) == 1
    for what, name in (
        ("isolation", "rates"),
        ("isolation", ""),
        ("contour", "nonsense"),
        ("contour", '["rate", "units and more"]'),
    ):
        assert "why_not" in watched.lesson(what, name)
    assert "Did you mean 'rate'?" in watched.lesson("isolation", "rates")["why_not"]
    assert len(watched._lessons) == 1
    watched.lesson("isolation", "rate")
    assert len(watched._lessons) == 2


def test_no_more_lessons_are_kept_than_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "_LESSONS", 2)
    store = MemoryStore()
    told(store, "s", [1.0])
    watched = Watched(store, "s")
    for what in ("importance", "boundary", "enough"):
        watched.lesson(what)
    assert [what for _, what, _ in watched._lessons] == ["boundary", "enough"]


def test_a_study_that_cannot_be_read_stops_no_news_of_the_others() -> None:
    store = MemoryStore()
    told(store, "broken", [1.0])
    store.append("broken", [b"no event at all"])
    study = told(store, "fine", [1.0])
    with pytest.raises(StorageError, match="cannot be read"):
        Watch(store).study("broken").refresh()

    async def heard() -> None:
        live = Live(Watch(store))
        stream = live.studies()
        assert b'"studies":2' in await news(stream)
        study.tell(study.ask(), loss=2.0)
        assert b'"studies":2' in await news(stream)
        live.end()

    asyncio.run(heard())


def test_the_stream_of_a_study_survives_that_it_cannot_be_read() -> None:
    store = MemoryStore()
    told(store, "s", [1.0])

    async def heard() -> None:
        live = Live(Watch(store))
        stream = live.study("s")
        assert b'"cursor":-1' not in await news(stream)
        store.append("s", [b"no event at all"])
        assert b'"cursor":-1' in await news(stream)
        live.end()

    asyncio.run(heard())


async def news(stream: AsyncGenerator[bytes]) -> bytes:
    """Return the next event that says something."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        said: Any = await asyncio.wait_for(anext(stream), 30)
        if said.startswith(b"data: "):
            return said
    raise AssertionError("no news")
