"""SIGKILL at random moments over the workers of one study after another, and what must hold after it.

``chaos`` keeps four worker processes at work, kills some of them round after round and starts others
in their place. Each worker says outside of the store what it was told and what it did: ``begun`` (a
job, with the step that it goes on from and the newest whole checkpoint found on the disk), ``trained``
(an epoch) and ``acknowledged`` (a report, once the loop had turned). When a study is through, a last
worker runs undisturbed, and its log and its checkpoints are held against what was said.

As a program it is a worker: python chaos.py STORAGE STUDY SAID
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import luthier
from luthier.run.retention import Leaders, is_over
from luthier.run.worker import work
from luthier.storage import open_store
from luthier.study import events as ev
from luthier.study.history import History
from luthier.study.snapshot import decode, encode

WORKERS = 4
EPOCH_SECONDS = 0.004  # beside what writing the checkpoint and the report take
END_SECONDS = 30.0  # a study that is through, or a worker that started, is there after so long
ENOUGH = 20  # violations after which nothing more is to be learnt
SPACE = luthier.Space(x=luthier.Float(0.0, 1.0), units=luthier.Int(1, 64))
SCHEDULERS = (
    luthier.Hyperband(epochs=27),
    luthier.SuccessiveHalving(epochs=32, trials=40, factor=2),
    luthier.Hyperband(epochs=16, factor=2),
)


# -- a worker ----------------------------------------------------------------------------------------


class Net:
    """Two files whose content tells the trial, its configuration and every step up to theirs."""

    def __init__(self, trial: luthier.Trial) -> None:
        self.trial, self.step = trial, 0

    def content(self, step: int) -> bytes:
        text = f"{self.trial.number} {self.trial.configuration}".encode()
        for number in range(step + 1):
            text = hashlib.sha256(text + str(number).encode()).digest()
        return text * 8

    def save(self, folder: Path) -> None:
        content = self.content(self.trial.step)
        (folder / "weights").write_bytes(content)
        (folder / "optimizer").write_bytes(content[::-1])

    def restore(self, folder: Path) -> None:
        self.step = self.trial.from_step
        content = self.content(self.step)
        assert (folder / "weights").read_bytes() == content, f"{folder} is of another trial or step"
        assert (folder / "optimizer").read_bytes() == content[::-1], f"{folder} is mixed up"


def be_worker(storage: str, name: str, said: str) -> None:
    handle = os.open(said, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    study = luthier.open(name, storage=storage)

    def say(*words: object) -> None:
        os.write(handle, f"{' '.join(map(str, words))}\n".encode())

    def train(trial: luthier.Trial) -> None:
        net = Net(trial)
        folder = study.checkpoints.root / f"trial-{trial.number:05d}"
        say("begun", trial.number, trial.lease, trial.from_step, newest_on_disk(folder))
        reported = ()
        for epoch in trial.epochs(net):
            assert net.step == epoch, f"epoch {epoch} after step {net.step}"
            if reported:
                say("acknowledged", *reported)
            time.sleep(EPOCH_SECONDS)
            net.step += 1
            loss = (trial["x"] - 0.3) ** 2 + 1 / net.step
            say("trained", trial.number, trial.lease, net.step)
            trial.report(loss=loss)
            reported = (trial.number, trial.lease, net.step, repr(loss))
        say("acknowledged", *reported)

    say("ready", os.getpid())
    work(study, train)


def newest_on_disk(folder: Path) -> int:
    """Return the step of the newest checkpoint that has every file its manifest lists; 0 for none."""
    found = [0]
    for manifest in folder.glob("step-*/manifest.json"):
        with contextlib.suppress(OSError, ValueError):
            files = json.loads(manifest.read_bytes())["files"]
            if all((manifest.parent / n).stat().st_size == size for n, (size, _) in files.items()):
                found.append(int(manifest.parent.name.removeprefix("step-")))
    return max(found)


# -- the killing -------------------------------------------------------------------------------------


@dataclass
class Outcome:
    """What happened, in figures, and what must not have happened, in words."""

    counts: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)


@dataclass
class Place:
    """One study of the many, and where its workers say what they do."""

    storage: str
    name: str
    said: Path
    study: luthier.Study  # follows the log from its first event on
    kills: int = 0
    crew: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self) -> subprocess.Popen[str]:
        command = [sys.executable, __file__, self.storage, self.name, str(self.said)]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        self.crew.append(process)
        return process

    def lines(self, kind: str) -> list[list[str]]:
        if not self.said.exists():
            return []
        found = (line.split() for line in self.said.read_text().splitlines())
        return [words[1:] for words in found if words[0] == kind]

    def kill(self, processes: list[subprocess.Popen[str]]) -> None:
        for process in processes:
            process.kill()
        for process in processes:
            self.kills += process.wait() == -signal.SIGKILL

    def wait_until_ready(self) -> None:
        until = time.monotonic() + END_SECONDS
        while time.monotonic() < until:
            ready = {int(pid) for (pid,) in self.lines("ready")}
            if all(p.pid in ready or p.poll() is not None for p in self.crew):
                return
            time.sleep(0.005)


def chaos(
    storage: str,
    folder: Path,
    rounds: int,
    seed: int,
    restart: Callable[[], object] | None = None,
) -> Outcome:
    """Kill workers for so many rounds, and return what came of it.

    Args:
        storage: where the studies are kept.
        folder: for checkpoints and for what the workers say.
        rounds: 1 to 4 workers are killed in each.
        seed: decides the moments and the victims.
        restart: restarts the store's server the hard way; called in every tenth round.
    """
    chance, outcome = random.Random(seed), Outcome()
    place: Place | None = None
    for number in range(rounds):
        if place is None:
            place = begin(storage, folder, outcome.counts["studies"], seed)
            outcome.counts["studies"] += 1
        while len(place.crew) < WORKERS:
            place.start()
        if chance.random() < 0.8:  # else some are still on their way to their first job
            place.wait_until_ready()
        time.sleep(chance.uniform(0.0, 0.25))
        if restart is not None and number % 10 == 5:
            restart()
            outcome.counts["server restarts"] += 1
            time.sleep(chance.uniform(0.0, 0.1))
        place.kill(chance.sample(place.crew, chance.randint(1, WORKERS)))
        outcome.counts["rounds"] += 1
        place.study.refresh()
        if through(place, outcome):
            finish(place, outcome)
            place = None
        if len(outcome.violations) > ENOUGH:
            break
    if place is not None:
        finish(place, outcome)
    store = open_store(storage)
    outcome.violations += [f"the store is damaged: {line}" for line in store.check()]
    store.close()
    return outcome


def begin(storage: str, folder: Path, number: int, seed: int) -> Place:
    name = f"chaos-{seed}-{number}"
    study = luthier.open(
        name,
        SPACE,
        minimize="loss",
        scheduler=SCHEDULERS[number % len(SCHEDULERS)],
        seed=seed + number,
        storage=storage,
        checkpoints=folder / "checkpoints",
    )
    return Place(storage, name, folder / f"{name}.said", study)


def through(place: Place, outcome: Outcome) -> bool:
    """Take the dead from the crew; return True when one of them found nothing left to do."""
    ended = [process for process in place.crew if process.poll() is not None]
    place.crew = [process for process in place.crew if process.poll() is None]
    for process in ended:
        _, words = process.communicate()
        if process.returncode not in (0, -signal.SIGKILL):
            outcome.violations.append(f"{place.name}: a worker ended by itself: {words[-600:]}")
    return any(process.returncode == 0 for process in ended)


def finish(place: Place, outcome: Outcome) -> None:
    """Let a last worker run undisturbed, then look at what the study has become."""
    place.kill(place.crew)
    through(place, outcome)
    last = place.start()
    try:
        _, words = last.communicate(timeout=END_SECONDS)
    except subprocess.TimeoutExpired:
        last.kill()
        _, words = last.communicate()
        words = f"still at work after {END_SECONDS:g} s {words}"
    if last.returncode != 0:
        outcome.violations.append(f"{place.name}: the last worker: {words[-600:]}")
    found = look_through(place, outcome.counts)
    outcome.violations += [f"{place.name}: {words}" for words in found]
    place.study.close()


# -- what must hold ----------------------------------------------------------------------------------


def look_through(place: Place, counts: Counter[str]) -> list[str]:
    """Return what should not be, in words; *counts* grows by what was looked at."""
    folded, reports = replay(place, counts)
    live = place.study.refresh()
    found = []
    if told(folded) != told(live):
        found.append("the log, replayed, is another history than the one that was followed")
    if told(decode(encode(folded)) or History()) != told(folded):
        found.append("a snapshot would give another history")
    found += [f"trial {t.number} is {t.state}" for t in folded.trials if not t.state.ended]
    if not folded.trials:
        found.append("nothing was tried")
    found += unkept_reports(place, folded, reports)
    found += trained_again(place, counts)
    found += wrong_checkpoints(place, folded)
    counts["kills"] += place.kills
    counts["trials"] += len(folded.trials)
    counts["jobs cut off by a kill"] += sum(t.retries.get("lost", 0) for t in folded.trials)
    counts["trials given up"] += sum(t.state == "failed" for t in folded.trials)
    counts["reports acknowledged"] += len(place.lines("acknowledged"))
    return found


def replay(place: Place, counts: Counter[str]) -> tuple[History, dict[tuple[int, int, int], str]]:
    """Fold the log from its first event; return the loss of every report by trial, lease and step."""
    folded, reports = History(), {}
    for number, body in place.study.store.read(place.name):
        event = ev.decode(body)
        folded.apply(number, event)
        counts["events"] += 1
        if isinstance(event, ev.Reported):
            key = (event.trial, event.lease, event.step)
            counts["reports written twice"] += key in reports
            reports[key] = repr(event.metrics["loss"])
    counts["late reports"] += folded.late_reports
    return folded, reports


def told(history: History) -> tuple[object, ...]:
    """Return all that a history holds, for comparison."""
    indices = (history.active, history.queued, history.paused, history.errors)
    brackets = {key: [t.number for t in group] for key, group in history.brackets.items()}
    return (encode(history), [sorted(index) for index in indices], history.ended, brackets)


def unkept_reports(
    place: Place, folded: History, reports: dict[tuple[int, int, int], str]
) -> list[str]:
    """Return the acknowledged reports that the log does not hold, or that were folded away."""
    found = []
    for trial, lease, step, loss in place.lines("acknowledged"):
        record = folded.trials[int(trial)]
        if reports.get((int(trial), int(lease), int(step))) != loss:
            found.append(f"lost: the report of trial {trial} at step {step} under lease {lease}")
        elif (int(step), float(loss)) not in zip(record.steps, record.losses, strict=True):
            found.append(f"folded away: the report of trial {trial} at step {step}")
    return found


def trained_again(place: Place, counts: Counter[str]) -> list[str]:
    """Return the jobs that began before their newest checkpoint, and epochs lost without a kill."""
    found = [
        f"trial {trial} went on from step {from_step}, but had a checkpoint of step {newest}"
        for trial, _, from_step, newest in place.lines("begun")
        if int(newest) > int(from_step)
    ]
    trained = Counter((trial, step) for trial, _, step in place.lines("trained"))
    again = trained.total() - len(trained)
    counts["jobs"] += len(place.lines("begun"))
    counts["epochs trained"] += trained.total()
    counts["epochs trained again"] += again
    if again > place.kills:
        found.append(f"{again} epochs were trained again after {place.kills} kills")
    return found


def wrong_checkpoints(place: Place, folded: History) -> list[str]:
    """Return what lies in the checkpoint folders beside what the rule keeps, or is missing there."""
    root = place.study.checkpoints.root
    there = {path.relative_to(root).as_posix() for path in root.glob("*/*")}
    on_disk = {int(path[6:11]) for path in there}
    kept = {
        f"trial-{trial:05d}/step-{step:06d}"
        for trial, steps in Leaders().kept_steps(folded, on_disk).items()
        for step in steps
        if step > 0
    }
    found = [
        f"{path} was left on the disk"
        for path in sorted(there - kept)
        if is_over(folded, int(path[6:11]))  # one that was given up may go on at a later start
    ]
    if not any(trial.state == "failed" for trial in folded.trials):
        # One that fails makes room among the best for another, whose checkpoints may be gone.
        found += [f"{path} is not on the disk" for path in sorted(kept - there)]
    return found


if __name__ == "__main__":
    be_worker(*sys.argv[1:])
