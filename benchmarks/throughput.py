"""How many trials a second one study takes, what an append costs in a long log, and how it opens.

1. Throughput: 8 processes on one SQLite file, random search over 6 hyperparameters; a trial is ask,
   3 reports and tell, without training. Luthier, Optuna on SQLite (RDBStorage as it comes) and Optuna
   on its journal take turns, each time with a fresh file on a real disk. Imports, opening and one
   trial a process come before the clock starts. Then Luthier's log is looked through: every report
   that was acknowledged is there, every trial completed, and the log folds from its first event to
   what its snapshot gives.
2. Append: one report into logs of 1,000 to 1,000,000 events, in turns.
3. Power: the same with an append that waits for the disk, by 1 and by 8 processes.
4. Open: a study of 100,000 trials of 10 reports, in a fresh process.

    python benchmarks/throughput.py --write             # about 4 minutes; into RESULTS.md
    python benchmarks/throughput.py --part open --quick

Exits with 0 when every goal of the parts that ran is met, else with 1.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import os
import platform
import random
import re
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from long_study import report_event, write_long_study
from overhead import LOG_FLOATS, OPTIONS, RESULTS, SPACE, UNITS, file_system, note, processor
from together import Finished, per_second, together

import luthier
from luthier.storage import SQLiteStore, open_store
from luthier.study import events as ev
from luthier.study.history import History
from luthier.study.log import read_log
from luthier.study.snapshot import decode, encode

PROCESSES = 8
REPORTS = 3
TIMES_SQLITE, TIMES_JOURNAL = 100, 30
APPEND_RATIO = 1.5
APPENDS = 1100  # a block: about one move of SQLite's log into the file
OPEN_SECONDS, OPEN_MEGABYTES = 2.0, 500
LONG_REPORTS = 10
STUDY = "throughput"


class Sizes(NamedTuple):
    """How much is done; the second set is for a look at whether it works."""

    luthier: int = 500  # trials a process
    sqlite: int = 30
    journal: int = 150  # in half a second its rate is anything from 40 to 190
    turns: int = 3
    alone: int = 2000
    logs: tuple[int, ...] = (1_000, 10_000, 100_000, 1_000_000)
    blocks: int = 20
    power: int = 1000
    long: int = 100_000
    openings: int = 5


FULL = Sizes()
QUICK = Sizes(430, 5, 20, 1, 500, (1_000, 10_000, 100_000), 6, 200, 10_000, 2)


class Part(NamedTuple):
    """What a part of the benchmark found: lines for the report, and whether its goals are met."""

    lines: list[str]
    met: bool


def main() -> int:
    options = arguments()
    sizes = QUICK if options.quick else FULL
    begin = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="luthier-throughput-", dir=options.folder) as name:
        folder = Path(name)
        where = file_system(folder)
        parts = [PARTS[part](folder, sizes) for part in options.part or PARTS]
    lines = ["## Throughput", "", *conditions(where, begin)]
    for part in parts:
        lines += ["", *part.lines]
    text = "\n".join([*lines, ""])
    print(text)
    if options.write:
        write_section(text)
    return 0 if all(part.met for part in parts) else 1


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--part", action="append", choices=PARTS, help="only this one; repeatable")
    parser.add_argument("--quick", action="store_true", help="less of everything")
    parser.add_argument(
        "--folder",
        default="/var/tmp" if os.path.isdir("/var/tmp") else None,
        help="a folder on a real disk, for the temporary files (default: /var/tmp)",
    )
    parser.add_argument("--write", action="store_true", help="put the section into RESULTS.md")
    options = parser.parse_args()
    if options.write and (options.part or options.quick):
        parser.error("--write is for a whole run: leave out --part and --quick.")
    return options


def verdict(goal: str, met: bool) -> str:
    return f"- Goal: {goal}. **{'PASS' if met else 'FAIL'}**"


# -- 1. throughput -----------------------------------------------------------------------------------


def luthier_trials(path: Path) -> Callable[[], tuple[int, list[float]]]:
    study = luthier.open(STUDY, storage=path)

    def one() -> tuple[int, list[float]]:
        trial, losses = study.ask(), [random.random() for _ in range(REPORTS)]
        for loss in losses:
            trial.report(loss=loss)
        study.tell(trial)
        return trial.number, losses

    return one


def optuna_trials(kind: str, path: Path) -> Callable[[], int]:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    sampler = optuna.samplers.RandomSampler()
    study = optuna.load_study(study_name=STUDY, storage=optuna_storage(kind, path), sampler=sampler)

    def one() -> int:
        trial = study.ask()
        for name, (low, high) in LOG_FLOATS.items():
            trial.suggest_float(name, low, high, log=True)
        trial.suggest_int("units", *UNITS)
        for name, options in OPTIONS.items():
            trial.suggest_categorical(name, options)
        loss = 0.0
        for step in range(1, REPORTS + 1):
            loss = random.random()
            trial.report(loss, step)
        study.tell(trial, loss)
        return trial.number

    return one


def optuna_storage(kind: str, path: Path):
    import optuna

    if kind == "sqlite":
        return optuna.storages.RDBStorage(f"sqlite:///{path}")
    backend = optuna.storages.journal.JournalFileBackend(str(path))
    return optuna.storages.JournalStorage(backend)


def throughput(folder: Path, sizes: Sizes) -> Part:
    rates: dict[str, list[float]] = {}
    errors: Counter[str] = Counter()
    wrong: list[str] = []
    for turn in range(sizes.turns):
        order = ["Luthier", "Optuna, SQLite", "Optuna, journal"]
        random.shuffle(order)
        for name in order:
            path = folder / f"{turn}-{name.replace(', ', '-')}"
            done, found = contest(name, path, sizes)
            rates.setdefault(name, []).append(per_second(done))
            errors[name] += sum(len(one.errors) for one in done)
            wrong += found
            note(f"turn {turn + 1}, {name}: {rates[name][-1]:.1f} trials/s {done[0].errors[:1]}")
    alone = trials_alone(folder / "alone.db", sizes.alone)
    medians = {name: statistics.median(found) for name, found in rates.items()}
    ratios = [
        (f"Optuna, {kind}", medians["Luthier"] / medians[f"Optuna, {kind}"], goal)
        for kind, goal in (("SQLite", TIMES_SQLITE), ("journal", TIMES_JOURNAL))
    ]
    wrong += [f"{errors['Luthier']} errors"] if errors["Luthier"] else []
    lines = [
        f"Trials a second, {PROCESSES} processes on one file (ask, {REPORTS} reports, tell), median of "
        f"{sizes.turns} turns; Luthier {PROCESSES * sizes.luthier} trials a turn, Optuna "
        f"{PROCESSES * sizes.sqlite} on SQLite and {PROCESSES * sizes.journal} on its journal:",
        "",
        "| | trials/s | turns | errors |",
        "|---|--:|--:|--:|",
        *(
            f"| {name} | {medians[name]:.4g} | {', '.join(f'{r:.4g}' for r in rates[name])} "
            f"| {errors[name]} |"
            for name in sorted(rates)
        ),
        "",
        f"One process, ask and tell without further reports: {alone:.0f} trials/s.",
        "",
        *(
            verdict(f"at least {goal} times {name}: {ratio:.0f} times", ratio >= goal)
            for name, ratio, goal in ratios
        ),
        verdict(
            f"no error, every event there, replay the same: {'; '.join(wrong) or 'so'}", not wrong
        ),
    ]
    return Part(lines, not wrong and all(ratio >= goal for _, ratio, goal in ratios))


def contest(name: str, path: Path, sizes: Sizes) -> tuple[list[Finished], list[str]]:
    """Return what the processes of one contestant did, and what is wrong with Luthier's log."""
    if name == "Luthier":
        luthier.open(STUDY, SPACE, minimize="loss", searcher="random", storage=path).close()
        done = together(luthier_trials, (path,), sizes.luthier, PROCESSES)
        return done, faults(path, dict(answer for one in done for answer in one.answers))
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    kind = "sqlite" if "SQLite" in name else "journal"
    optuna.create_study(study_name=STUDY, storage=optuna_storage(kind, path))
    times = sizes.sqlite if kind == "sqlite" else sizes.journal
    return together(optuna_trials, (kind, path), times, PROCESSES), []


def faults(path: Path, acknowledged: dict[int, list[float]]) -> list[str]:
    """Return what the log lacks of what the processes were told that it holds."""
    store = open_store(path)
    folded, kinds = History(), Counter()
    for number, event in read_log(store, STUDY):
        folded.apply(number, event)
        kinds[type(event).__name__] += 1
    expected = {
        "TrialProposed": len(acknowledged),
        "JobLeased": len(acknowledged),
        "Reported": len(acknowledged) * REPORTS,
        "TrialCompleted": len(acknowledged),
    }
    kinds = {kind: count for kind, count in kinds.items() if kind in expected}
    found = [] if kinds == expected else [f"events {kinds}, expected {expected}"]
    if sorted(acknowledged) != list(range(len(folded.trials))):
        found.append("trial numbers are not consecutive")
    for trial in folded.trials:
        if trial.state != "completed" or list(trial.losses) != acknowledged.get(trial.number):
            found.append(f"trial {trial.number} is {trial.state} with {list(trial.losses)}")
    snapshot = store.snapshot(STUDY)
    if snapshot is None or decode(snapshot[1]) is None:
        found.append("no snapshot was kept")
    if encode(folded) != encode(luthier.open(STUDY, storage=path).history):
        found.append("the snapshot gives another history than the log")
    return found[:5]


def trials_alone(path: Path, trials: int) -> float:
    study = luthier.open(STUDY, SPACE, minimize="loss", searcher="random", storage=path)
    study.tell(study.ask(), loss=1.0)
    begin = time.perf_counter()
    for _ in range(trials):
        study.tell(study.ask(), loss=random.random())
    return trials / (time.perf_counter() - begin)


# -- 2. append ---------------------------------------------------------------------------------------


def append(folder: Path, sizes: Sizes) -> Part:
    """Measure blocks of appends to logs of each length in turn."""
    filled = {events: fill(folder / f"filled-{events}.db", events) for events in sizes.logs}
    times: dict[int, list[float]] = {events: [] for events in sizes.logs}
    order = list(sizes.logs)
    for _ in range(sizes.blocks):
        random.shuffle(order)
        for events in order:
            path = filled[events]
            if events <= 100_000:  # the longest one hardly gets longer by a block
                path = copied(path, folder / f"copy-{events}.db")
            times[events] += append_times(path, APPENDS)
        note(f"append: {', '.join(f'{statistics.median(times[e]) * 1e6:.0f} µs' for e in times)}")
    first = times[sizes.logs[0]]
    rows, met = [], True
    for events, taken in times.items():
        mean, median = statistics.fmean(taken), statistics.median(taken)
        ratios = mean / statistics.fmean(first), median / statistics.median(first)
        met = met and max(ratios) <= APPEND_RATIO
        rows.append(
            f"| {events:,} | {median * 1e6:.1f} | {ratios[1]:.2f} | {mean * 1e6:.1f} "
            f"| {ratios[0]:.2f} |"
        )
    lines = [
        f"Appending one report, µs, over {sizes.blocks} blocks of {APPENDS} in turns (a block moves "
        "SQLite's log into the file about once; the mean holds that):",
        "",
        "| events in the log | median | of the first | mean | of the first |",
        "|--:|--:|--:|--:|--:|",
        *rows,
        "",
        verdict(f"within {APPEND_RATIO} times the cost at {sizes.logs[0]:,} events", met),
    ]
    return Part(lines, met)


def fill(path: Path, events: int) -> Path:
    store = SQLiteStore(path)
    for start in range(0, events, 10_000):
        batch = range(start, min(start + 10_000, events))
        store.append(
            STUDY, [ev.encode(report_event(n // 10, n // 10, n % 10, 1.8e9)) for n in batch]
        )
    store.compact()
    store.close()
    return path


def copied(source: Path, target: Path) -> Path:
    for old in target.parent.glob(f"{target.name}*"):
        old.unlink()
    shutil.copyfile(source, target)
    with target.open("rb") as handle:
        os.fsync(handle.fileno())  # else the first append that waits for the disk pays for the copy
    return target


def append_times(path: Path, count: int) -> list[float]:
    store = SQLiteStore(path)
    bodies = [ev.encode(report_event(7, 7, step, time.time())) for step in range(count + 20)]
    for body in bodies[:20]:
        store.append(STUDY, [body])
    taken = []
    for body in bodies[20:]:
        begin = time.perf_counter()
        store.append(STUDY, [body])
        taken.append(time.perf_counter() - begin)
    store.close()
    return taken


# -- 3. power ----------------------------------------------------------------------------------------


def power_appends(address: str) -> Callable[[], int]:
    store = open_store(address)
    return lambda: store.append(STUDY, [ev.encode(report_event(7, 7, 1, time.time()))])


def power(folder: Path, sizes: Sizes) -> Part:
    """Measure appends that wait for the disk; there is no goal."""
    rows = []
    for durability in ("power", "process"):
        for processes in (1, PROCESSES):
            path = folder / f"{durability}-{processes}.db"
            address = f"{path}?durability={durability}"
            each = sizes.power // processes * (1 if durability == "power" else 10)
            done = together(power_appends, (address,), each, processes)
            errors = sum(len(one.errors) for one in done)
            rows.append(f"| {durability} | {processes} | {per_second(done):.0f} | {errors} |")
            note(rows[-1])
    flush = statistics.median(flush_times(folder / "flushed", 100))
    lines = [
        f"Appends of one report a second, by durability (one bare fsync of 4 KiB here: "
        f"{flush * 1e3:.2f} ms, {1 / flush:.0f} a second):",
        "",
        "| durability | processes | appends/s | errors |",
        "|---|--:|--:|--:|",
        *rows,
    ]
    return Part(lines, all(row.endswith("| 0 |") for row in rows))


def flush_times(path: Path, count: int) -> Iterator[float]:
    with path.open("wb", buffering=0) as handle:
        for _ in range(count):
            handle.write(bytes(4096))
            begin = time.perf_counter()
            os.fsync(handle.fileno())
            yield time.perf_counter() - begin


# -- 4. open -----------------------------------------------------------------------------------------


def opening(folder: Path, sizes: Sizes) -> Part:
    path = folder / "long.db"
    events, cursor = write_long_study(path, sizes.long)
    note(f"open: {events:,} events written, snapshot at {cursor:,}")
    seconds, cpu, megabytes = opened(path, sizes.openings)
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM snapshots")
    bare_seconds, bare_cpu, bare_megabytes = opened(path, 1)
    fast, small = seconds < OPEN_SECONDS, megabytes < OPEN_MEGABYTES
    lines = [
        f"Opening a study of {sizes.long:,} trials of {LONG_REPORTS} reports ({events:,} events, "
        f"{path.stat().st_size / 1e6:.0f} MB) in a fresh process, median of {sizes.openings}:",
        "",
        "| | seconds | CPU seconds | peak resident MB |",
        "|---|--:|--:|--:|",
        f"| snapshot of {cursor:,} events and the rest | {seconds:.2f} | {cpu:.2f} | {megabytes:.0f} |",
        f"| no snapshot | {bare_seconds:.2f} | {bare_cpu:.2f} | {bare_megabytes:.0f} |",
        "",
        verdict(f"under {OPEN_SECONDS:g} s", fast),
        verdict(f"under {OPEN_MEGABYTES} MB", small),
    ]
    return Part(lines, fast and small)


OPEN = """
import sys, time
import luthier
begin, before = time.perf_counter(), time.process_time()
study = luthier.open(sys.argv[1], storage=sys.argv[2])
seconds = time.perf_counter() - begin
cpu = time.process_time() - before
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
assert len(study.history.trials) > 1000
print(seconds, cpu, int(peak.split()[1]) * 1024 / 1e6)
"""


def opened(path: Path, times: int) -> list[float]:
    """Return the median seconds, processor seconds and megabytes of opening the study in fresh processes."""
    command = [sys.executable, "-c", OPEN, STUDY, str(path)]
    found = [subprocess.check_output(command, text=True).split() for _ in range(times)]
    return [statistics.median(map(float, column)) for column in zip(*found, strict=True)]


# -- the words around it -----------------------------------------------------------------------------

PARTS: dict[str, Callable[[Path, Sizes], Part]] = {
    "throughput": throughput,
    "append": append,
    "power": power,
    "open": opening,
}


def conditions(where: str, load: float) -> list[str]:
    import optuna

    command = " ".join(["python benchmarks/throughput.py", *sys.argv[1:]])
    return [
        f"- {datetime.date.today():%Y-%m-%d}, `{command}`",
        f"- {os.cpu_count()} cores ({processor()}), {where}, {platform.system()}; load average at the "
        f"start {load:.1f}, at the end {os.getloadavg()[0]:.1f}",
        f"- Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, "
        f"Luthier {luthier.__version__}, Optuna {optuna.__version__}",
    ]


def write_section(text: str) -> None:
    """Put this section into RESULTS.md, in the place of its last version, the others as they are."""
    before = RESULTS.read_text() if RESULTS.exists() else "# Results of the benchmarks\n"
    others = re.sub(r"(?ms)^## Throughput\n.*?(?=^## |\Z)", "", before).rstrip()
    RESULTS.write_text(f"{others}\n\n{text}")


if __name__ == "__main__":
    sys.exit(main())
