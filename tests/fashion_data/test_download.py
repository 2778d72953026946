from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from serving import NAMES, Server

from luthier.datasets import fashion, fashion_mnist
from luthier.datasets.download import ATTEMPTS, fetch
from luthier.errors import DataError

Start = Callable[[Path], Server]
FILE, NAME = fashion.TEST_IMAGES, NAMES[2]  # 4.4 MB
DEAD = "http://127.0.0.1:9/"


def test_full_set_is_downloaded_once(start: Start, real: Path, home: Path) -> None:
    server = start(real)
    data = fashion_mnist("full", mirrors=[server.url])
    assert len(data.train[1]) == 55_000
    assert data.source == str(home / "fashion-mnist")
    assert sorted(p.name for p in (home / "fashion-mnist").iterdir()) == sorted([".lock", *NAMES])
    assert fashion_mnist("full", mirrors=[DEAD]).source == data.source
    assert fashion_mnist().source == data.source
    assert len(server.requests) == 4


def test_only_missing_files_are_downloaded(start: Start, real: Path, cache: Path) -> None:
    (cache / NAME).unlink()
    server = start(real)
    fashion_mnist("full", mirrors=[server.url])
    assert server.requests == [(f"/{NAME}", None, 200)]


def test_first_mirror_dead_second_without_the_file(
    start: Start, real: Path, tmp_path: Path
) -> None:
    empty, good = start(tmp_path), start(real)
    fetch(FILE, tmp_path / "to", [DEAD, empty.url, good.url.rstrip("/")])
    assert (tmp_path / "to" / NAME).read_bytes() == (real / NAME).read_bytes()


def test_cut_connection_is_resumed(start: Start, real: Path, tmp_path: Path) -> None:
    server = start(real)
    server.cut, server.cuts = 1_000_000, 2
    fetch(FILE, tmp_path, [server.url])
    assert (tmp_path / NAME).read_bytes() == (real / NAME).read_bytes()
    assert server.asked(NAME) == [
        (None, 200),
        ("bytes=1000000-", 206),
        ("bytes=2000000-", 206),
    ]


def test_cut_connection_without_ranges_starts_anew(
    start: Start, real: Path, tmp_path: Path
) -> None:
    server = start(real)
    server.cut, server.ranges = 1_000_000, False
    fetch(FILE, tmp_path, [server.url])
    assert (tmp_path / NAME).read_bytes() == (real / NAME).read_bytes()
    assert server.asked(NAME) == [(None, 200), ("bytes=1000000-", 200)]


def test_later_call_and_other_mirror_go_on_where_the_first_stopped(
    start: Start, real: Path, tmp_path: Path
) -> None:
    bad, good = start(real), start(real)
    bad.cut, bad.cuts = 100_000, 1_000
    with pytest.raises(DataError, match="connection ended after 100,000 of"):
        fetch(FILE, tmp_path, [bad.url])
    assert len(bad.requests) == ATTEMPTS
    assert not (tmp_path / NAME).exists()
    fetch(FILE, tmp_path, [good.url])
    assert good.asked(NAME) == [(f"bytes={ATTEMPTS * 100_000}-", 206)]
    assert (tmp_path / NAME).read_bytes() == (real / NAME).read_bytes()


def test_complete_part_is_taken_after_416(start: Start, real: Path, tmp_path: Path) -> None:
    server = start(real)
    content = (real / NAME).read_bytes()
    (tmp_path / f"{NAME}.part").write_bytes(content)
    fetch(FILE, tmp_path, [server.url])
    assert (tmp_path / NAME).read_bytes() == content
    assert server.asked(NAME) == [(f"bytes={len(content)}-", 416)]


@pytest.mark.parametrize("length", [1_000, 4_422_079, 5_000_000])
def test_foreign_part_is_thrown_away(start: Start, real: Path, tmp_path: Path, length: int) -> None:
    (tmp_path / f"{NAME}.part").write_bytes(b"x" * length)
    server = start(real)
    fetch(FILE, tmp_path, [server.url])
    assert (tmp_path / NAME).read_bytes() == (real / NAME).read_bytes()
    assert server.asked(NAME)[-1] == (None, 200)


def test_corrupted_content_is_refused(start: Start, real: Path, tmp_path: Path) -> None:
    wrong, page, endless, good = (start(real) for _ in range(4))
    wrong.change = lambda content: content[:-1_000] + bytes(1_000)
    page.change = lambda _: b"<html>Please log in</html>"
    endless.change = lambda content: content * 3
    bad = [wrong.url, page.url, endless.url]
    with pytest.raises(DataError, match="damaged or incomplete"):
        fetch(FILE, tmp_path, bad)
    assert [p.name for p in tmp_path.iterdir()] == [".lock"]
    assert [len(server.requests) for server in (wrong, page, endless)] == [1, 1, 1]
    fetch(FILE, tmp_path, [*bad, good.url])
    assert (tmp_path / NAME).read_bytes() == (real / NAME).read_bytes()


def test_all_mirrors_failing_lists_each(start: Start, tmp_path: Path) -> None:
    empty = start(tmp_path)
    with pytest.raises(DataError) as caught:
        fashion_mnist("full", mirrors=[DEAD, empty.url, "nonsense"])
    message = str(caught.value)
    assert f"{DEAD}{NAMES[0]}: <urlopen error" in message
    assert f"{empty.url}{NAMES[0]}: HTTP Error 404" in message
    assert f"nonsense/{NAMES[0]}: unknown url type" in message
    for fix in ("Call again", "LUTHIER_DATA", "apt install dataset-fashion-mnist", '"subset"'):
        assert fix in message


def test_folder_that_cannot_be_made(start: Start, real: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(DataError, match="Could not write"):
        fetch(FILE, tmp_path / "file" / "to", [start(real).url])


def python(code: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)


def test_two_processes_at_once(start: Start, real: Path, home: Path) -> None:
    server = start(real)
    server.before_end = lambda: time.sleep(0.5)  # so that the second comes while the first is at it
    code = f"""
from luthier.datasets import fashion_mnist
print(len(fashion_mnist("full", mirrors=[{server.url!r}]).train[1]))
"""
    both = [python(code), python(code)]
    assert [process.communicate()[0] for process in both] == ["55000\n", "55000\n"]
    assert sorted(path for path, _, _ in server.requests) == sorted(f"/{name}" for name in NAMES)


def test_download_of_a_killed_process_is_resumed(start: Start, real: Path, tmp_path: Path) -> None:
    server = start(real)
    server.cut = 1_000_000
    released = threading.Event()
    server.before_end = lambda: released.wait(30)
    process = python(f"""
from pathlib import Path
from luthier.datasets import download, fashion
download.fetch(fashion.TEST_IMAGES, Path({str(tmp_path)!r}), [{server.url!r}])
""")
    part = tmp_path / f"{NAME}.part"
    until = time.monotonic() + 30
    while not (part.exists() and part.stat().st_size > 500_000) and time.monotonic() < until:
        time.sleep(0.01)
    process.kill()
    process.communicate()
    released.set()
    fetch(FILE, tmp_path, [server.url])
    assert (tmp_path / NAME).read_bytes() == (real / NAME).read_bytes()
    assert [status for _, status in server.asked(NAME)] == [200, 206]


def test_without_locks_each_process_has_its_own_part(
    start: Start, real: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "fcntl", None)  # as on Windows
    bad, good = start(real), start(real)
    bad.cut, bad.cuts = 1_000, 1_000
    (tmp_path / f"{NAME}.part").write_bytes(b"another process writes here")
    with pytest.raises(DataError, match="connection ended"):
        fetch(FILE, tmp_path, [bad.url])
    fetch(FILE, tmp_path, [good.url])
    assert (tmp_path / NAME).read_bytes() == (real / NAME).read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == [".lock", NAME, f"{NAME}.part"]
