"""What a scheduler's decision takes with 10,000 trials, at 10 and at 300 epochs a trial, on one core.

A decision is what a worker waits for at a report: what becomes of its trial (``judge``), who is left behind
(``dropped``), and what is trained next (``next``); 19 of 20 must be below the goal, in processor time. The
history is made by the scheduler itself, an event at a time, with a report an epoch; under freeze-thaw, which
would take an hour to begin so many, a random share of the trials has come as far as each unit. Then new
trials report, and every decision is timed; the fold of the event is not. Beside it is what Optuna's pruners
take for ``should_prune`` with as many trials and reports, in memory.

A population has 20 members whatever the trials, of which most are copies; copies train an interval each, so
it has one column. DEHB's decisions hold the breeding of configurations, which others leave to searchers.

    python benchmarks/decisions.py          # about ten minutes
    python benchmarks/decisions.py --quick  # 1,000 trials, and no peer

Exits with 0 when all goals are met, else with 1.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import peers
from peers.install import installed, python_of
from peers.results import conditions, note, one_thread, verdict, write_section

import luthier
from luthier.run.opening import Opening, header_for
from luthier.schedule import SCHEDULERS
from luthier.study import events as ev
from luthier.study.deciding import ending
from luthier.study.goals import goals_from
from luthier.study.history import History
from luthier.study.protocols import Fate, Limits, Resume, Scheduler, Start

EPOCHS = (10, 300)  # and reports, of a trial that is trained to its end
TRIALS, DECISIONS = 10_000, 400
GOAL_MS = 1.0
GOALS = {"freeze thaw": 30.0}
FLAT = 3.0  # times as long with 300 reports a trial as with 10, at most: there are more rungs, too
NOISE_MS = 0.1  # below which the machine's noise is as large
OPTUNA = "Optuna, "
SPACE = luthier.Space({name: luthier.Float(0.0, 1.0) for name in "abcdef"})
NAMES = [name for name in SCHEDULERS if name != "replay"]  # a replay has one trial
INTERVAL = 10  # epochs between two ready points of a population


class Taken(NamedTuple):
    """Milliseconds of processor time of a decision; of twenty one takes as long as *late* or longer."""

    median: float
    late: float

    @classmethod
    def of(cls, taken: list[float]) -> Taken:
        return cls(statistics.median(taken), statistics.quantiles(taken, n=20)[-1])


Found = dict[str, dict[int, Taken]]  # scheduler or pruner -> epochs


def main() -> int:
    options = arguments()
    one_thread()
    versions, found = {f"Luthier {luthier.__version__}"}, {}
    for name in options.schedulers:
        found[name] = measured(name, options.trials)
    if not options.quick:
        versions |= measure_optuna(found, options.trials, options.venvs)
    goals, met = goal_lines(found)
    text = "\n".join(
        [
            "## Decisions",
            "",
            *conditions("decisions.py", versions),
            "",
            f"Milliseconds of processor time of a scheduler's decision with {options.trials:,} trials told, "
            f"median / 95th percentile of {DECISIONS}, by the epochs (and reports) of a trial that is "
            "trained to its end:",
            "",
            *table(found),
            "",
            *goals,
            "",
        ]
    )
    print(text)
    if options.write:
        write_section("Decisions", text)
    return 0 if met else 1


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--schedulers", nargs="*", default=NAMES, choices=NAMES)
    parser.add_argument("--trials", type=int, default=TRIALS)
    parser.add_argument("--venvs", type=Path, default=peers.VENVS, help="the peers' environments")
    parser.add_argument("--quick", action="store_true", help="1,000 trials, and no peer")
    parser.add_argument("--write", action="store_true", help="put the section into RESULTS.md")
    options = parser.parse_args()
    if options.quick:
        options.trials = 1_000
    return options


# -- the measurement ---------------------------------------------------------------------------------


def measured(name: str, trials: int) -> dict[int, Taken]:
    """Return what a decision takes, by the epochs of a trial."""
    cells = {}
    for epochs in EPOCHS[:1] if name == "population" else EPOCHS:
        begin = time.perf_counter()
        driven = Driven(made(name, epochs, trials), trials)
        if name == "freeze thaw":
            driven.fill_at_random()
        else:
            driven.fill()
        driven.warm_up()
        filled = time.perf_counter() - begin
        cells[epochs] = Taken.of([seconds * 1e3 for seconds in driven.decide(DECISIONS)])
        note(f"{name}, {epochs} epochs: {cell(cells[epochs])} (filled in {filled:.0f} s)")
        del driven
        gc.collect()
    return cells


def made(name: str, epochs: int, trials: int) -> Scheduler:
    """Return a scheduler; a population trains until there have been so many copies."""
    rule: Any = SCHEDULERS[name]
    if name == "population":
        return rule(epochs * trials, interval=INTERVAL)
    return rule(epochs)


class Driven:
    """A history that a scheduler makes, with one worker, in memory."""

    holder = ev.Holder("benchmark", "", "", 0, "", 0)

    def __init__(self, scheduler: Scheduler, trials: int) -> None:
        self.scheduler, self.trials = scheduler, trials
        self.epochs: int = scheduler.epochs  # type: ignore[attr-defined]
        self.limits = Limits(trials=2 * trials)
        self.draws = random.Random(0)
        self.history, self.number, self.warming = History(), 0, False
        goals = goals_from(None, "loss", None)
        searcher = getattr(scheduler, "searcher", "random")
        opening = Opening("decisions", SPACE, goals, searcher, scheduler, None, 0)
        self.apply(header_for(opening, 0.0))
        self.apply(ev.BudgetSet(time=float(self.number), trials=self.limits.trials))

    def fill(self) -> None:
        """Train until there are enough trials; only what a job ends with is asked for."""
        while len(self.history.trials) < self.trials:
            for number, step, last in self.job():
                self.report(number, step)
                if step == last:
                    self.end(number)

    def fill_at_random(self) -> None:
        """Train as many trials, each for as many units as the last with a chance of four in five."""
        unit = max(1, self.epochs // 20)
        while len(self.history.trials) < self.trials:
            units = min(20, 1 + int(math.log(1 - self.draws.random(), 0.8)))
            number = self.begin(Start(min(self.epochs, unit * units)))
            last = self.history.trials[number].to_step or 1
            for step in range(1, last + 1):
                self.report(number, step)
            self.end(number)

    def warm_up(self) -> None:
        """Judge a good trial at each of its reports, as in a process that has seen the study grow.

        What schedulers know of a step they read off all trials when they look at that step first.
        """
        self.warming = True
        for number, step, _ in self.job():
            self.report(number, step)
            if (
                self.scheduler.judge(self.history, self.history.trials[number]).fate
                is not Fate.GO_ON
            ):
                self.end(number)
                break
        self.warming = False

    def decide(self, count: int) -> list[float]:
        """Train on; return the processor's seconds of *count* decisions, one after every report."""
        taken: list[float] = []
        while len(taken) < count:
            for number, step, _ in self.job():
                self.report(number, step)
                begin = time.thread_time()
                over = self.scheduler.judge(self.history, self.history.trials[number])
                judged = time.thread_time()
                if over.fate is not Fate.GO_ON:
                    self.end(number)
                again = time.thread_time()
                dropped = self.scheduler.dropped(self.history, self.limits)
                self.scheduler.next(self.history, self.limits)
                taken.append(judged - begin + time.thread_time() - again)
                self.drop(dropped)
                if over.fate is not Fate.GO_ON or len(taken) == count:
                    break
        return taken

    def job(self) -> list[tuple[int, int, int]]:
        """Begin what is to be trained next; return (trial, step, last step) of each of its epochs.

        Raises:
            RuntimeError: there is nothing to train, though there is room for twice the trials.
        """
        self.drop(self.scheduler.dropped(self.history, self.limits))
        move = self.scheduler.next(self.history, self.limits)
        if not isinstance(move, Start | Resume):
            raise RuntimeError(f"{self.scheduler} ended early: {move}")
        number = move.trial if isinstance(move, Resume) else self.begin(move)
        trial = self.history.trials[number]
        if isinstance(move, Resume):
            self.lease(number, trial.step, move.to_step)
        last = trial.to_step or self.epochs
        return [(number, step, last) for step in range(trial.step + 1, last + 1)]

    def begin(self, move: Start) -> int:
        number = len(self.history.trials)
        parent, start = move.parent or (-1, 0)
        drawn = {name: 0.3 if self.warming else self.draws.random() for name in "abcdef"}
        configuration = move.configuration or drawn
        self.apply(
            ev.TrialProposed(
                time=float(self.number), trial=number, configuration=configuration, seen=self.number,
                bracket=move.bracket, parent=parent, start=start,
            )
        )  # fmt: skip
        self.lease(number, start, move.to_step)
        return number

    def lease(self, number: int, step: int, to_step: int | None) -> None:
        lease = self.history.last_lease + 1
        self.apply(
            ev.JobLeased(
                time=float(self.number), trial=number, lease=lease, holder=self.holder, from_step=step,
                to_step=to_step,
            )
        )  # fmt: skip

    def report(self, number: int, step: int) -> None:
        trial = self.history.trials[number]
        away = sum((x - 0.3) ** 2 for x in trial.configuration.values())
        loss = away + 2 / step + 0.05 * self.draws.random()
        said = {"time": float(self.number), "trial": number, "lease": trial.lease, "step": step}
        self.apply(ev.Reported(**said, metrics={"loss": loss}))
        self.apply(ev.CheckpointWritten(**said))

    def end(self, number: int) -> None:
        trial = self.history.trials[number]
        verdict = self.scheduler.judge(self.history, trial)
        for event in ending(float(self.number), number, trial.lease, trial.step, verdict):
            self.apply(event)

    def drop(self, dropped: list[tuple[int, str]]) -> None:
        for number, reason in dropped:
            step = self.history.trials[number].step
            self.apply(
                ev.TrialStopped(time=float(self.number), trial=number, step=step, reason=reason)
            )

    def apply(self, event: ev.AnyEvent) -> None:
        self.number += 1
        self.history.apply(self.number, event)


def measure_optuna(found: Found, trials: int, venvs: Path) -> set[str]:
    """Add what Optuna's pruners take to *found*; return its version."""
    if not installed(venvs, "optuna"):
        note("Optuna is not installed: python benchmarks/peers/install.py optuna")
        return set()
    script, version = Path(__file__).parent / "peers" / "decisions_optuna.py", ""
    for epochs in EPOCHS:
        arguments = map(str, (script, trials, epochs, DECISIONS))
        command = [str(python_of(venvs, "optuna")), *arguments]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        answer = json.loads(done.stdout)
        version = answer["version"]
        for name, taken in answer["taken"].items():
            found.setdefault(OPTUNA + name, {})[epochs] = one = Taken.of(taken)
            note(f"{OPTUNA}{name}, {epochs} epochs: {cell(one)}")
    return {version}


# -- the words ---------------------------------------------------------------------------------------


def table(found: Found) -> list[str]:
    lines = [f"| | {' | '.join(f'{epochs} epochs' for epochs in EPOCHS)} |", "|---|--:|--:|"]
    for name, cells in found.items():
        words = (cell(cells[epochs]) if epochs in cells else "-" for epochs in EPOCHS)
        lines.append(f"| {name} | {' | '.join(words)} |")
    return lines


def cell(one: Taken) -> str:
    return f"{one.median:.3g} / {one.late:.3g}"


def goal_lines(found: Mapping[str, dict[int, Taken]]) -> tuple[list[str], bool]:
    lines, all_met = [], True
    for name, cells in found.items():
        if name.startswith(OPTUNA):
            continue
        goal = GOALS.get(name, GOAL_MS)
        slowest = max(one.late for one in cells.values())
        few, many = cells[EPOCHS[0]].median, cells.get(EPOCHS[-1], cells[EPOCHS[0]]).median
        flat = many <= max(FLAT * few, NOISE_MS)
        met = slowest <= goal and flat
        all_met &= met
        words = f"{name} at most {goal:g} ms, and at most {FLAT:g} times as long with more reports"
        lines.append(verdict(words, met, f"{slowest:.3g} ms, {many / few:.2g} times"))
    return lines, all_met


if __name__ == "__main__":
    sys.exit(main())
