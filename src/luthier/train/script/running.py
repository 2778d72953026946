"""One run of a script: its process, and everything that listens to it."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from luthier.client import SOCKET
from luthier.errors import TrialEnded, TrialError, nearest
from luthier.study.trial import Trial
from luthier.train.script.listener import Listener
from luthier.train.script.process import Process
from luthier.train.script.readings import Readings
from luthier.train.script.sources import (
    Curves,
    Growing,
    Patterns,
    Reading,
    reading_from,
)
from luthier.train.script.steps import Steps

if TYPE_CHECKING:
    from luthier.train.script import Script

_MEMORY = re.compile(r"OutOfMemoryError|out of memory|RESOURCE_EXHAUSTED|MemoryError|bad_alloc")
_LOOK_SECONDS = 0.2  # between two looks at files
_TERMINATED = (
    -signal.SIGTERM,
    128 + signal.SIGTERM,
)  # the latter is how a shell tells of its child
_KILLED = (-signal.SIGKILL, 128 + signal.SIGKILL)  # likewise
_TOLD_SECONDS = 2.0  # within which SIGTERM comes to us where it was for all processes of a job


class Run:
    """One process and everything that listens to it."""

    def __init__(self, script: Script, trial: Trial, folder: Path) -> None:
        self._script = script
        self.steps = Steps(trial)
        self._log = folder / "log.txt"
        self.readings = Readings(script.metrics)
        self._wrong: list[Exception] = []
        self._patterns = Patterns(script.patterns)
        self._over = threading.Event()
        self._looking = threading.Lock()
        self._numberless = self._late = False
        self._seen: dict[str, float] = {}
        self._gathered: dict[str, float] = {}
        facts = _facts(trial, folder)
        facts_file = Path(facts["configuration"])
        facts_file.write_text(json.dumps(trial.configuration, indent=1))
        self._listener = Listener(self.readings.put)
        self._files = [
            source(Path(_filled(text, facts)))
            for source, text in ((Growing, script.metrics_file), (Curves, script.tensorboard))
            if text
        ]
        for source in self._files:
            source.pass_over(goes_on=trial.from_step > 0)
        environment = {
            **script.environment,
            **{f"LUTHIER_{name.upper()}": str(value) for name, value in facts.items()},
            SOCKET: self._listener.address,
        }
        try:
            arguments = script.command.filled(trial.configuration, facts)
            self._process = Process(arguments, environment, self._log, self._heard)
        except BaseException:
            self._listener.close()
            raise
        threading.Thread(target=self._watch, daemon=True).start()

    def next(self, step: int) -> Reading | None:
        """Return the next report after *step*; None when the process has ended.

        Readings are gathered until they have every metric that the study is judged by. One of a step that
        is known already, from a script that began again, is passed over.
        """
        while True:
            reading = self.readings.get()
            if self._wrong:
                raise self._wrong[0]
            if reading is None:
                return None
            reading = self.steps.counted(reading)
            self._seen |= reading.metrics
            self._gathered |= reading.metrics
            known = reading.step is not None and reading.step <= step
            if known or not all(name in self._gathered for name in self._script.metrics):
                answer(reading, go_on=True)
                if known:
                    self._gathered = {}
                continue
            self._numberless = reading.step is None and reading.answer is None
            self._late = reading.late
            whole = Reading(self._gathered, reading.step, reading.answer)
            self._gathered = {}
            return whole

    def overtaken(self, seconds: float) -> bool:
        """Return whether the script has gone beyond the report that was read, which has no number.

        What it has printed is heard a moment later, so that is waited for, and its files are looked at. A
        script that reports through the socket waits itself.
        """
        if not self._numberless or self._late:
            return self._numberless
        self._look()
        until = time.monotonic() + seconds
        while not self.readings.more and time.monotonic() < until:
            if self._process.code is not None:
                self._process.drain()
                break
            time.sleep(0.001)
        if seconds and not self.readings.more:
            self._look()
        return self.readings.more

    def conclude(self, *, patient: bool) -> None:
        """End the process; a *patient* end waits for it to come by itself, if it trains no further."""
        until = time.monotonic() + (self._script.grace if patient else 0.0)
        while time.monotonic() < until and not self._process.wait(0.02) and self.readings.empty():
            pass
        self._process.end(self._script.grace)

    def close(self) -> None:
        """Leave nothing running."""
        self._over.set()
        self._listener.close()  # first: a script that waits for an answer hears that it is over
        self._process.end(self._script.grace)

    def check(self, trial: Trial, *, reported: bool, out_of_memory: bool) -> None:
        """Raise what the process's end means, if it was a bad one."""
        if self._process.told_to_end:
            return
        code = self._process.code or 0
        short = trial.to_step is not None and trial.step < trial.to_step
        if (code or short or not reported) and self._told(trial, code):
            _give_back(trial, trial.study.preempted)
            return
        if code:
            words = f"exit code {code}" if code > 0 else f"signal {-code}"
            end = self._process.tail
            text = (
                f"The script ended with {words} in trial {trial.number}, with {trial.configuration}"
            )
            if _MEMORY.search(end) or (code in _KILLED and out_of_memory):
                raise MemoryError(f"{text}: out of memory.")
            if code in _TERMINATED:
                _give_back(trial)
                return
            raise TrialError(f"{text}:\n\n{end}\n\nAll that it printed is in {self._log}.")
        if not reported:
            missing = next((name for name in self._script.metrics if name not in self._seen), None)
            if missing is None:
                raise TrialError(
                    f"The script ended without a report of trial {trial.number} that counts: it gave "
                    f"{', '.join(map(repr, self._script.metrics))}, but with steps that do not go beyond "
                    f"{trial.step}, or not together. A step is the number of epochs trained so far; one that "
                    "counts from 0 begins with step 0. All that it printed is in "
                    f"{self._log}."
                )
            seen = ", ".join(map(repr, self._seen)) or "no metrics at all"
            raise TrialError(
                f"The script ended without a report of {missing!r} in trial {trial.number}; it gave {seen}."
                f'{nearest(missing, self._seen)} Print a line such as {{"{missing}": 0.41}} after each '
                f"epoch, or say where it is: --metric '{missing}=REGEX', --metrics-file, --tensorboard. "
                f"All that it printed is in {self._log}."
            )

    def _told(self, trial: Trial, code: int) -> bool:
        """Return whether this process was told to go, as its script may have been.

        A cluster that wants a machine back tells all processes of a job in one moment, and the script may have
        died of it before we heard.
        """
        until = time.monotonic() + (_TOLD_SECONDS if code in _TERMINATED else 0.0)
        while not trial.study.preempted and time.monotonic() < until:
            time.sleep(0.02)
        return bool(trial.study.preempted)

    def _heard(self, line: str) -> None:
        try:
            reading = reading_from(line) or self._patterns.found_in(line)
        except Exception as error:  # this thread must go on reading; the trial's raises it
            self._wrong.append(error)
            reading = Reading({})
        if reading is not None:
            self.readings.put(reading)

    def _watch(self) -> None:
        """Look at the files while the process runs; then say that it has ended."""
        try:
            while not self._over.is_set() and not self._looked():
                pass
        except Exception as error:  # the trial's thread raises it
            self._wrong.append(error)
        finally:
            self.readings.put(None)

    def _looked(self) -> bool:
        """Read what is new in the files, and return whether the process has ended."""
        ended = self._process.wait(_LOOK_SECONDS)
        if ended:
            self._process.drain()
        self._look(ended=ended)
        return ended

    def _look(self, *, ended: bool = False) -> None:
        with self._looking:  # so that all readings come in their order
            for source in self._files:
                with contextlib.suppress(OSError):
                    for reading in source.new(ended=ended):
                        self.readings.put(reading)


def _give_back(trial: Trial, preempted: str = "") -> None:
    """Put a trial back in the queue whose script was ended from outside; nothing where it is over already.

    Args:
        trial: whose.
        preempted: why this process has to go, too; "" where its script alone was ended (by somebody's kill, or
            a guard of the machine's memory). Then it counts as a lost worker's: it is no bug in the script.

    Raises:
        TrialEnded: it was given back.
    """
    if trial.should_stop:
        return
    reason = preempted or "its script was ended by SIGTERM"
    if preempted:
        trial.study.release(trial, reason, "preempted")
    else:
        held = trial.history.trials[trial.number]
        if held.lease == trial.lease:
            trial.study.release_held([held], reason, kind="lost")
        trial.study.leased.pop(trial.lease, None)
        trial.closed = True
    raise TrialEnded(f"Trial {trial.number} was given back at step {trial.step}: {reason}.")


def _facts(trial: Trial, folder: Path) -> dict[str, Any]:
    """Return what a script is told of its trial: in its environment, and where its command asks."""
    return {
        "number": trial.number,
        "seed": trial.seed,
        "epochs": "" if trial.to_step is None else trial.to_step,
        "folder": str(folder.absolute()),
        "checkpoint": str((folder / "checkpoint").absolute()),
        "configuration": str((folder / "configuration.json").absolute()),
        "from_epoch": trial.from_step,
        "max_epochs": trial.horizon or "",
    }


def _filled(text: str, facts: Mapping[str, Any]) -> str:
    return re.sub(r"\{trial\.(\w+)\}", lambda found: str(facts.get(found[1], found[0])), text)


def answer(reading: Reading | None, *, go_on: bool, why: str = "") -> None:
    """Tell whoever waits for it whether to go on."""
    if reading is not None and reading.answer is not None:
        reading.answer(go_on, why)
