"""What a trial costs beside its training, Luthier and Optuna side by side, and what `kill -9` loses.

A trial here is ask, 10 reports and tell, with random search over 6 hyperparameters, in an SQLite file
on a real disk. The contestants take turns, a block of trials each, in one process, so that whatever
else the machine does hits all of them alike. The blocks are centred on trial number --trials: each
study is filled up to there first.

Optuna is measured twice. As it comes, its commits wait for the disk (SQLite's default) and Luthier's
do not, so Optuna's would survive a power cut that costs Luthier its last few seconds. The second time
it is set to commit just as Luthier does. The goal is judged as it comes, by the wall clock.

Then a process that runs the same loop with Luthier is killed with SIGKILL at random moments, and
every report that it had acknowledged is looked for in the reopened study.

    python benchmarks/overhead.py               # about a minute
    python benchmarks/overhead.py --trials 200  # shorter

Exits with 0 when the goal is met and nothing was lost, else with 1.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import gc
import math
import os
import platform
import random
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil

import luthier

GOAL = 20
REPORTS = 10
BLOCK = 10
KILLS = 8
LOG_FLOATS = {
    "learning_rate": (1e-5, 1e-1),
    "weight_decay": (1e-6, 1e-2),
    "epsilon": (1e-9, 1e-5),
}
UNITS = (16, 512)
OPTIONS = {"optimizer": ["sgd", "adam", "rmsprop"], "activation": ["relu", "gelu", "tanh", "elu"]}
SPACE = luthier.Space(
    {name: luthier.Float(*bounds, scale="log") for name, bounds in LOG_FLOATS.items()}
    | {"units": luthier.Int(*UNITS)}
    | {name: luthier.Choice(options) for name, options in OPTIONS.items()}
)
RESULTS = Path(__file__).with_name("RESULTS.md")

Run = Callable[[int], object]  # runs so many trials


class Contestant(NamedTuple):
    """One way of running trials.

    *fill* is a faster *run*, for the trials that are not measured; *reports* counts what is stored.
    """

    name: str
    fill: Run
    run: Run
    reports: Callable[[], int]


class Cost(NamedTuple):
    """Milliseconds per trial, one entry a block."""

    wall: list[float]
    cpu: list[float]


def main() -> int:
    options = arguments()
    if options.child:
        report_for_ever(options.child)
    with tempfile.TemporaryDirectory(prefix="luthier-overhead-", dir=options.folder) as name:
        folder = Path(name)
        where = file_system(folder)
        everyone = [
            luthier_contestant(folder / "luthier.db"),
            optuna_contestant("Optuna", folder / "optuna.db", waits=True),
            optuna_contestant("Optuna, commits like Luthier", folder / "wal.db", waits=False),
        ]
        costs = measure(everyone, options.trials, options.blocks)
        ratios, fast_enough = ratio_lines(costs)
        survival, survived = survive_kills(folder / "killed.db")
    text = "\n".join(
        [
            "## Overhead",
            "",
            *conditions(where),
            "",
            f"Per trial (ask, {REPORTS} reports, tell), trials around number {options.trials}; median "
            f"over {options.blocks} blocks of {BLOCK} trials [95 % bootstrap interval], and mean:",
            "",
            *table(costs),
            "",
            *ratios,
            "",
            "Surviving `kill -9`:",
            "",
            *survival,
            "",
        ]
    )
    print(text)
    if not options.dry:
        write_section(text)
    return 0 if fast_enough and survived else 1


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--trials", type=int, default=1000, help="measure around this number")
    parser.add_argument("--blocks", type=int, default=20, help="blocks of trials per contestant")
    parser.add_argument(
        "--folder",
        default="/var/tmp" if os.path.isdir("/var/tmp") else None,
        help="a folder on a real disk, for the temporary files (default: /var/tmp)",
    )
    parser.add_argument("--dry", action="store_true", help="leave RESULTS.md as it is")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.blocks < 2 or options.trials < options.blocks * BLOCK / 2:
        parser.error(f"--blocks must be at least 2, and --trials at least {BLOCK // 2} times that.")
    return options


# -- the contestants ---------------------------------------------------------------------------------


def losses() -> list[float]:
    return [1.0 / step + random.random() for step in range(1, REPORTS + 1)]


def luthier_contestant(path: Path) -> Contestant:
    study = luthier.open("overhead", SPACE, minimize="loss", searcher="random", storage=path)

    def run(trials: int) -> None:
        for _ in range(trials):
            trial = study.ask()
            for loss in losses():
                trial.report(loss=loss)
            study.tell(trial)

    def reports() -> int:
        return sum(len(trial.steps) for trial in luthier.open("overhead", storage=path).trials)

    return Contestant("Luthier", run, run, reports)


def optuna_contestant(name: str, path: Path, *, waits: bool) -> Contestant:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = optuna.storages.RDBStorage(f"sqlite:///{path}")
    if not waits:
        commit_like_luthier(storage.engine)
    study = optuna.create_study(
        storage=storage, sampler=optuna.samplers.RandomSampler(seed=0), direction="minimize"
    )

    def suggest(trial: optuna.trial.Trial) -> None:
        for name, (low, high) in LOG_FLOATS.items():
            trial.suggest_float(name, low, high, log=True)
        trial.suggest_int("units", *UNITS)
        for name, options in OPTIONS.items():
            trial.suggest_categorical(name, options)

    def run(trials: int) -> None:
        for _ in range(trials):
            trial = study.ask()
            suggest(trial)
            values = losses()
            for step, loss in enumerate(values, 1):
                trial.report(loss, step)
            study.tell(trial, values[-1])

    def fill(trials: int) -> None:
        """Add copies of a trial that was run: the same rows, a few times faster."""
        run(1)
        (model,) = study.get_trials(deepcopy=False)
        study.add_trials([model] * (trials - 1))

    def reports() -> int:
        again = optuna.load_study(study_name=study.study_name, storage=f"sqlite:///{path}")
        return sum(len(trial.intermediate_values) for trial in again.get_trials(deepcopy=False))

    return Contestant(name, fill, run, reports)


def commit_like_luthier(engine) -> None:
    """Have SQLite write ahead and not wait for the disk, as Luthier's store does."""
    from sqlalchemy import event

    @event.listens_for(engine, "connect")
    def _(connection, _record) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")

    engine.dispose()  # the connections made before know nothing of it


# -- the measurement ---------------------------------------------------------------------------------


def measure(everyone: list[Contestant], trials: int, blocks: int) -> dict[str, Cost]:
    """Return what a trial costs each contestant, block by block, in an order that changes."""
    for contestant in everyone:
        begin = time.perf_counter()
        contestant.fill(trials - blocks * BLOCK // 2)
        note(f"{contestant.name}: filled in {time.perf_counter() - begin:.0f} s")
    costs = {contestant.name: Cost([], []) for contestant in everyone}
    order = list(everyone)
    for number in range(blocks):
        random.shuffle(order)
        for contestant in order:
            gc.collect()  # nobody pays for another's garbage
            wall, cpu = time.perf_counter(), time.process_time()
            contestant.run(BLOCK)
            costs[contestant.name].cpu.append((time.process_time() - cpu) / BLOCK * 1e3)
            costs[contestant.name].wall.append((time.perf_counter() - wall) / BLOCK * 1e3)
        note(f"block {number + 1} of {blocks}")
    for contestant in everyone:
        expected = (trials - blocks * BLOCK // 2 + blocks * BLOCK) * REPORTS
        assert contestant.reports() == expected, f"{contestant.name} did not do the work"
    return costs


def resampled(count: int) -> np.ndarray:
    """Return rows of block numbers to take a bootstrap median over; the same for every contestant."""
    return np.random.default_rng(0).integers(count, size=(2000, count))


def interval(values: np.ndarray) -> str:
    low, high = np.percentile(values, [2.5, 97.5])
    return f"[{low:.3g}, {high:.3g}]"


def table(costs: dict[str, Cost]) -> list[str]:
    lines = ["| | wall ms | mean | CPU ms | mean |", "|---|--:|--:|--:|--:|"]
    for name, cost in costs.items():
        cells = []
        for values in map(np.array, cost):
            medians = np.median(values[resampled(len(values))], axis=1)
            cells += [f"{np.median(values):.3g} {interval(medians)}", f"{values.mean():.3g}"]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def ratio_lines(costs: dict[str, Cost]) -> tuple[list[str], bool]:
    """Return Optuna's cost over Luthier's, in words, and whether the goal is met."""
    own, *others = costs
    lines, first = [], math.nan
    for other in others:
        for clock in ("wall", "cpu"):
            theirs, ours = (np.array(getattr(costs[name], clock)) for name in (other, own))
            rows = resampled(len(ours))
            medians = np.median(theirs[rows], axis=1) / np.median(ours[rows], axis=1)
            ratio = float(np.median(theirs) / np.median(ours))
            lines.append(f"- {other} / {own}, {clock}: {ratio:.1f} {interval(medians)}")
            first = ratio if math.isnan(first) else first
    word = "PASS" if first >= GOAL else "FAIL"
    goal = f"Goal: at least {GOAL} times less than Optuna as it comes, by the wall clock: "
    return [*lines, "", f"{goal}{first:.1f} times. **{word}**"], first >= GOAL


# -- kill -9 -----------------------------------------------------------------------------------------


def report_for_ever(path: str) -> None:
    """Be the process that is killed: say each report once Luthier has taken it."""
    study = luthier.open("killed", SPACE, minimize="loss", searcher="random", storage=path)
    while True:
        trial = study.ask()
        for loss in losses():
            trial.report(loss=loss)
            os.write(1, f"{trial.number} {trial.step} {loss!r}\n".encode())
        study.tell(trial)


def survive_kills(path: Path) -> tuple[list[str], bool]:
    """Kill one process after another, all on one file, and look for what each had reported."""
    lines, lost = ["| killed after | reports acknowledged | lost |", "|--:|--:|--:|"], 0
    total = 0
    for _ in range(KILLS):
        seconds = random.uniform(0.0, 1.0)
        acknowledged = kill_after(seconds, path)
        study = luthier.open("killed", storage=path)
        missing = [report for report in acknowledged if not has(study, *report)]
        study.close()
        lines.append(f"| {seconds:.3f} s | {len(acknowledged)} | {len(missing)} |")
        total, lost = total + len(acknowledged), lost + len(missing)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        (sound,) = connection.execute("PRAGMA integrity_check").fetchone()
    survived = not lost and total > 0 and sound == "ok"
    word = "PASS" if survived else "FAIL"
    summary = (
        f"{total} reports acknowledged by {KILLS} processes killed on one file, {lost} lost; "
        f"SQLite's integrity check: {sound}. **{word}**"
    )
    return [*lines, "", summary], survived


def kill_after(seconds: float, path: Path) -> list[tuple[int, int, float]]:
    """Return the reports that a process acknowledged until it was killed."""
    said = path.with_name("acknowledged")
    command = [sys.executable, __file__, "--child", str(path)]
    with said.open("wb") as output, subprocess.Popen(command, stdout=output) as process:
        while not said.stat().st_size and process.poll() is None:
            time.sleep(0.001)  # it is still starting
        time.sleep(seconds)
        process.kill()
    if process.returncode != -signal.SIGKILL:
        raise RuntimeError(f"The process to be killed ended by itself: {process.returncode}.")
    whole, _, _ = said.read_text().rpartition("\n")
    reports = [line.split() for line in whole.splitlines()]
    return [(int(trial), int(step), float(loss)) for trial, step, loss in reports]


def has(study: luthier.Study, trial: int, step: int, loss: float) -> bool:
    if trial >= len(study.trials):
        return False
    record = study.trials[trial]
    return (step, loss) in zip(record.steps, record.losses, strict=True)


# -- the words around it -----------------------------------------------------------------------------


def conditions(where: str) -> list[str]:
    import optuna

    command = " ".join(["python benchmarks/overhead.py", *sys.argv[1:]])
    return [
        f"- {datetime.date.today():%Y-%m-%d}, `{command}`",
        f"- {os.cpu_count()} cores ({processor()}), {where}, {platform.system()}; load average at "
        f"the end {os.getloadavg()[0]:.1f}",
        f"- Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, "
        f"Luthier {luthier.__version__}, Optuna {optuna.__version__}",
    ]


def processor() -> str:
    with contextlib.suppress(OSError):
        if found := re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text()):
            return found[1]
    return platform.processor() or platform.machine()


def file_system(folder: Path) -> str:
    """Return the kind of the file system that *folder* is on.

    Raises:
        SystemExit: when it is kept in memory, where a commit costs nothing.
    """
    inside = [
        mount
        for mount in psutil.disk_partitions(all=True)
        if folder.resolve().is_relative_to(mount.mountpoint)
    ]
    kind = max(inside, key=lambda mount: len(mount.mountpoint)).fstype if inside else "unknown"
    if kind in ("tmpfs", "ramfs"):
        raise SystemExit(f"{folder} is in memory ({kind}): name one on a disk with --folder.")
    return kind


def note(text: str) -> None:
    print(text, file=sys.stderr)


def write_section(text: str) -> None:
    """Put this section into RESULTS.md, in the place of its last version."""
    before = RESULTS.read_text() if RESULTS.exists() else "# Results of the benchmarks\n"
    others = re.sub(r"(?ms)^## Overhead\n.*?(?=^## |\Z)", "", before).rstrip()
    RESULTS.write_text(f"{others}\n\n{text}")


if __name__ == "__main__":
    sys.exit(main())
