"""The dashboard at 10,000 trials of 50 reports: time to the first picture, memory, frames while brushing.

    python benchmarks/dashboard.py --install    # optuna-dashboard's environment
    python benchmarks/dashboard.py [--trials 10000] [--points 50] [--no-peer]

Beside it optuna-dashboard on a study of the same trials. Both get a fresh server process and a fresh page,
in Debian's Chromium without a window or a GPU. Needs the group ``test``.

- first picture: from the navigation until the first chart has its points.
- interactive: the end of the last task above 50 ms before two seconds without one.
- frames: what requestAnimationFrame sees while a brush is drawn over an axis with the mouse.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import peers
import psutil
from peers.install import install
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from luthier.space import Choice, Float, Int, Space
from luthier.storage import SQLiteStore
from luthier.study import events as ev
from luthier.study.history import History
from luthier.study.snapshot import keep_snapshot_if_due

PEER_NAME = "optuna-dashboard"
PEER = peers.VENVS / PEER_NAME
SPACE = Space(
    learning_rate=Float(1e-5, 1e-1, scale="log"),
    weight_decay=Float(1e-6, 1e-2, scale="log"),
    momentum=Float(0.8, 0.999, scale="one_minus_log"),
    dropout=Float(0, 0.6),
    units=Int(16, 1024, scale="log"),
    layers=Int(1, 8),
    batch_size=Choice(32, 64, 128, 256),
    optimizer=Choice("sgd", "adam", "adamw"),
)
WATCH = """
window.seen = {picture: null, long: 0};
const look = () => {
  if (window.seen.picture === null && PICTURE) window.seen.picture = performance.now();
  requestAnimationFrame(look);
};
requestAnimationFrame(look);
new PerformanceObserver((list) => {
  for (const task of list.getEntries())
    window.seen.long = Math.max(window.seen.long, task.startTime + task.duration);
}).observe({type: 'longtask', buffered: true});
"""
OURS = "[...document.querySelectorAll('canvas[data-marks]')].some((c) => +c.dataset.marks > 1)"
THEIRS = "document.querySelector('.js-plotly-plot .scatterlayer .trace, .js-plotly-plot canvas')"


def trials_of(count: int, points: int) -> list[tuple[dict[str, Any], list[float]]]:
    """Return configurations and curves; half of the trials are stopped on the way."""
    chance = random.Random(1)
    found: list[tuple[dict[str, Any], list[float]]] = []
    for _ in range(count):
        configuration = SPACE.sample(lambda _: chance.random())
        floor = 0.2 + 0.1 * abs(math.log10(configuration["learning_rate"]) + 3)
        floor += 0.2 * configuration["dropout"] + 0.05 * chance.random()
        curve = [floor + math.exp(-5 * i / points) + chance.gauss(0, 0.01) for i in range(points)]
        found.append((configuration, curve))
    return found


def write_ours(path: Path, trials: list[tuple[dict[str, Any], list[float]]]) -> None:
    """Write the log that a run would have left, with the snapshots that its workers would have kept."""
    store, now = SQLiteStore(path), time.time() - 36_000
    history, number = History(), 0
    here = ev.Holder("host", "boot", "ns", 1, "0", 1)
    batch: list[ev.AnyEvent] = [
        ev.StudyCreated(
            time=now, format=1, name="study", metric="val_loss", direction="minimize",
            space=SPACE.to_dict(), seed=0, searcher={"name": "random"},
            scheduler={"name": "full"}, luthier="0",
        ),
        ev.BudgetSet(time=now, trials=len(trials)),
    ]  # fmt: skip

    def write() -> None:
        nonlocal number
        store.append("study", [ev.encode(event) for event in batch])
        for event in batch:
            number += 1
            history.apply(number, event)
        keep_snapshot_if_due(store, "study", history, len(batch))
        batch.clear()

    for trial, (configuration, curve) in enumerate(trials):
        now += 1
        batch.append(
            ev.TrialProposed(time=now, trial=trial, configuration=configuration, seen=number)
        )
        lease = {"trial": trial, "lease": trial + 1}
        batch.append(ev.JobLeased(time=now, holder=here, from_step=0, to_step=None, **lease))
        for step, loss in enumerate(curve, 1):
            metrics = {"val_loss": loss, "loss": 0.9 * loss}
            batch.append(ev.Reported(time=now, step=step, metrics=metrics, seconds=0.02, **lease))
        batch.append(ev.TrialCompleted(time=now, step=len(curve), **lease))
        if len(batch) > 4000:
            write()
    write()
    store.close()


THEIR_WRITER = """
import json, sqlite3, sys, optuna
from optuna.distributions import *
trials = json.load(open(sys.argv[2]))
optuna.create_study(study_name="study", storage="sqlite:///" + sys.argv[1])
kinds = {
    "learning_rate": FloatDistribution(1e-5, 1e-1, log=True),
    "weight_decay": FloatDistribution(1e-6, 1e-2, log=True),
    "momentum": FloatDistribution(0.8, 0.999), "dropout": FloatDistribution(0, 0.6),
    "units": IntDistribution(16, 1024, log=True), "layers": IntDistribution(1, 8),
    "batch_size": CategoricalDistribution([32, 64, 128, 256]),
    "optimizer": CategoricalDistribution(["sgd", "adam", "adamw"]),
}
texts = {name: distribution_to_json(kind) for name, kind in kinds.items()}
db = sqlite3.connect(sys.argv[1])
when = "2026-01-01 00:00:00.000000"
for i, (configuration, curve) in enumerate(trials):
    n = i + 1
    db.execute("INSERT INTO trials (trial_id, number, study_id, state, datetime_start, datetime_complete)"
               " VALUES (?, ?, 1, 'COMPLETE', ?, ?)", (n, i, when, when))
    db.executemany("INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json)"
                   " VALUES (?, ?, ?, ?)",
                   [(n, k, kinds[k].to_internal_repr(v), texts[k]) for k, v in configuration.items()])
    db.execute("INSERT INTO trial_values (trial_id, objective, value, value_type)"
               " VALUES (?, 0, ?, 'FINITE')", (n, min(curve)))
    db.executemany("INSERT INTO trial_intermediate_values (trial_id, step, intermediate_value,"
                   " intermediate_value_type) VALUES (?, ?, ?, 'FINITE')",
                   [(n, s, v) for s, v in enumerate(curve, 1)])
db.commit()
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


def served(command: list[str], port: int) -> subprocess.Popen[bytes]:
    """Start a server and wait until it listens."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while True:
        assert process.poll() is None, command
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return process
        except OSError:
            time.sleep(0.05)


def browser() -> webdriver.Chrome:
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or "chromium"
    for argument in ("--headless=new", "--disable-gpu", "--no-sandbox", "--window-size=1400,1000"):
        options.add_argument(argument)
    options.add_argument("--enable-unsafe-swiftshader")  # for the peer's WebGL
    driver = webdriver.Chrome(options, Service(shutil.which("chromedriver")))
    driver.set_page_load_timeout(300)
    driver.set_script_timeout(330)
    driver.command_executor.client_config.timeout = (
        330  # the peer's page answers nothing for minutes
    )
    return driver


def opened(url: str, picture: str, patience: float = 180.0) -> tuple[float, float]:
    """Return the milliseconds to the first picture and to when the page is interactive."""
    driver = browser()
    try:
        source = WATCH.replace("PICTURE", f"({picture})")
        driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": source})
        began = time.monotonic()
        driver.get(url)
        while time.monotonic() - began < patience:
            seen = driver.execute_script("return {...window.seen, now: performance.now()}")
            if seen["picture"] is not None:
                last = max(seen["picture"], seen["long"])
                if seen["now"] > last + 2000:
                    return seen["picture"], last
            time.sleep(0.1)
        return math.inf, math.inf
    finally:
        driver.quit()


def worked(driver: webdriver.Chrome) -> float:
    """Return the seconds of processor time that the page's thread has taken."""
    metrics = driver.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
    return next(m["value"] for m in metrics if m["name"] == "TaskDuration")


def brushed(url: str) -> tuple[list[float], list[float], float]:
    """Return the milliseconds between frames of a page at rest, and while a brush is drawn, each sorted.

    And those of processor time that one of the latter takes the page.
    """
    driver = browser()
    try:
        driver.get(url)
        ready = "return document.querySelector('[data-parallel]')?.dataset.done > 0"
        while not driver.execute_script(ready):
            time.sleep(0.1)
        time.sleep(1.0)
        where = driver.execute_script(
            "const r = document.querySelectorAll('[data-axis]')[3].getBoundingClientRect();"
            "return [r.left + r.width / 2, r.top, r.height]"
        )
        driver.execute_script(
            "window.frames_ = []; let last = performance.now(); const next = (now) => {"
            "window.frames_.push(now - last); last = now; requestAnimationFrame(next)};"
            "requestAnimationFrame(next)"
        )

        def mouse(kind: str, y: float) -> None:
            event = {"type": kind, "x": where[0], "y": y, "button": "left", "buttons": 1}
            driver.execute_cdp_cmd("Input.dispatchMouseEvent", {**event, "clickCount": 1})

        time.sleep(1.5)
        quiet = sorted(driver.execute_script("return window.frames_.splice(0)"))
        driver.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})
        before = worked(driver)
        mouse("mousePressed", where[1] + 10)
        for i in range(80):
            mouse("mouseMoved", where[1] + 10 + where[2] * 0.8 * (0.5 - 0.5 * math.cos(i / 8)))
        frames = driver.execute_script("return window.frames_.slice(1)")
        each = 1000 * (worked(driver) - before) / max(1, len(frames))
        mouse("mouseReleased", where[1] + 40)
        return quiet, sorted(frames), each
    finally:
        driver.quit()


class Found(dict[str, Any]):
    """What was measured, printed as it comes."""

    def __setitem__(self, name: str, value: Any) -> None:
        super().__setitem__(name, value)
        if isinstance(value, tuple):
            value = [f"{v:.0f}" for v in value]
        print(f"{name}: {round(value, 1) if isinstance(value, float) else value}", flush=True)


def told(frames: list[float]) -> list[float]:
    return [round(x, 1) for x in (median(frames), frames[int(0.95 * len(frames))], frames[-1])]


def memory(process: subprocess.Popen[bytes]) -> float:
    """Return the megabytes of a server and its children."""
    whole = psutil.Process(process.pid)
    return sum(p.memory_info().rss for p in [whole, *whole.children(True)]) / 1e6


def measure_ours(found: Found, ours: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "luthier.app.command", "dashboard", str(ours)]
    process = served([*command, "--port", str(port)], port)
    try:
        page = f"http://127.0.0.1:{port}/#/study?name=study"
        found["luthier, server just started"] = opened(page, OURS)
        found["luthier, again"] = opened(page, OURS)
        found["luthier, MB after the first pages"] = memory(process)
        quiet, frames, each = brushed(f"{page}&tab=trials")
        found["page at rest: median, 95 %, worst ms"] = told(quiet)
        found["luthier, brushing: frames"] = len(frames)
        found["luthier, brushing: median, 95 %, worst ms"] = told(frames)
        found["luthier, brushing: ms of processor time a frame"] = each
        for tab in ("curves", "hyperparameters", "health", "workers"):
            picture = OURS if tab != "health" else "document.querySelector('.finding')"
            first, _ = opened(f"{page}&tab={tab}", picture)
            found[f"luthier, {tab}: ms to the first picture"] = first
        found["luthier, MB after every page"] = memory(process)
    finally:
        process.terminate()
        process.wait(20)


def write_theirs(
    folder: Path, theirs: Path, trials: list[tuple[dict[str, Any], list[float]]]
) -> None:
    (folder / "trials.json").write_text(json.dumps(trials))
    arguments = [str(PEER / "bin/python"), "-c", THEIR_WRITER, str(theirs)]
    subprocess.run([*arguments, str(folder / "trials.json")], check=True)


def measure_theirs(found: Found, theirs: Path) -> None:
    port = free_port()
    command = [str(PEER / "bin/optuna-dashboard"), f"sqlite:///{theirs}", "--port", str(port)]
    process = served(command, port)
    try:
        page = f"http://127.0.0.1:{port}/dashboard/studies/1"
        found["optuna-dashboard, server just started"] = opened(page, THEIRS, 300)
        found["optuna-dashboard, again"] = opened(page, THEIRS, 300)
        found["optuna-dashboard, MB"] = memory(process)
    finally:
        process.terminate()
        process.wait(20)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--points", type=int, default=50)
    parser.add_argument("--no-peer", action="store_true")
    parser.add_argument("--peer-only", action="store_true")
    parser.add_argument("--keep", type=Path, help="a folder for the studies, used again when there")
    parser.add_argument("--install", action="store_true", help="make the peer's environment")
    wanted = parser.parse_args()
    if wanted.install:
        sys.exit(1 if install(peers.VENVS, [PEER_NAME]) else 0)
    folder = wanted.keep or Path(tempfile.mkdtemp(prefix="dashboard-"))
    folder.mkdir(parents=True, exist_ok=True)
    load = os.getloadavg()[0]
    size = f"{wanted.trials}x{wanted.points}"
    ours, theirs = folder / f"luthier-{size}.db", folder / f"optuna-{size}.db"
    if not ours.exists() or not theirs.exists():
        trials = trials_of(wanted.trials, wanted.points)
    if not ours.exists():
        write_ours(ours, trials)
    found = Found()
    found["trials"], found["points"], found["load"] = wanted.trials, wanted.points, round(load, 1)
    if not wanted.peer_only:
        measure_ours(found, ours)
    if not wanted.no_peer:
        if not theirs.exists():
            write_theirs(folder, theirs, trials)
        measure_theirs(found, theirs)


if __name__ == "__main__":
    main()
