"""Scripts in any language as training code: nothing in them need know of Luthier.

A trial is a process. It is given its configuration on its command line, in a JSON file and in its
environment; its metrics are read from what it prints, from a file, from TensorBoard's event files or from
a socket. It is ended by SIGTERM to its whole process group, and after a grace period by SIGKILL.

What it writes into the folder ``LUTHIER_CHECKPOINT`` is copied when a report is read, and is there again
when the trial goes on after a pause, a crash or a promotion. A script that writes nothing there begins
again from the beginning.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from luthier.run.vital_signs import memory_kills
from luthier.study.protocols import Fate
from luthier.study.trial import Trial
from luthier.train.script.command import Command
from luthier.train.script.folder import Folder
from luthier.train.script.running import Run, answer
from luthier.train.script.sources import Reading

__all__ = ["Script"]


@dataclass(frozen=True)
class Script:
    """The training function that a command is.

    Attributes:
        command: what to run.
        metrics: names of the metrics that a report must have.
        place: the folder under which each trial has one of its own.
        patterns: regular expressions for metrics in what is printed, by the metrics' names.
        metrics_file: a file of JSON lines or CSV that the script writes; it may have
            ``{trial.folder}`` in it, and must where trials run side by side.
        tensorboard: likewise a folder of event files.
        grace: seconds between SIGTERM and SIGKILL.
        environment: variables for the script.
    """

    command: Command
    metrics: tuple[str, ...]
    place: str
    patterns: Mapping[str, str] = field(default_factory=dict[str, str])
    metrics_file: str = ""
    tensorboard: str = ""
    grace: float = 10.0
    environment: Mapping[str, str] = field(default_factory=dict[str, str])

    def __call__(self, trial: Trial) -> None:
        """Run the trial's process to its end, or to the scheduler's.

        Raises:
            TrialError: it ended with an error, or without the objective; the message holds the end of
                what it printed.
            MemoryError: it ran out of memory.
            TrialEnded: it was ended from outside, and the trial is given back.
            StudyError: there is no such program, or what it writes cannot be read, or its steps are no epochs.
        """
        folder = Path(self.place) / f"trial-{trial.number:05d}"
        folder.mkdir(parents=True, exist_ok=True)
        state = Folder(folder / "checkpoint")
        run = None
        said: Reading | None = None
        kills = memory_kills()
        try:
            for _ in trial.epochs(state):
                if run is None:  # the checkpoint has been restored by now
                    run = Run(self, trial, folder)
                    state.overtaken = run.overtaken
                else:
                    answer(said, go_on=True)
                said = run.next(trial.step)
                if said is None:
                    break
                run.steps.check(said.step)
                trial.report(said.metrics, step=said.step)
            if run is not None and said is not None:
                self._warn_of_checkpoints(trial, state)
                answer(said, go_on=False, why=trial.verdict.reason)
                run.conclude(patient=trial.verdict.fate in (Fate.COMPLETE, Fate.PAUSE))
        finally:
            if run is not None:
                run.close()
            state.close()
        if run is not None:
            run.check(trial, reported=bool(trial.step), out_of_memory=memory_kills() > kills)

    def _warn_of_checkpoints(self, trial: Trial, state: Folder) -> None:
        if state.restless:
            trial.warn_once(
                "restless checkpoints",
                f"The script goes on writing {', '.join(state.restless)} in the folder that LUTHIER_CHECKPOINT "
                "names while it is copied: what is kept of that may be torn. Write checkpoints before the "
                "report, and report with luthier.report, which waits; keep logs elsewhere (LUTHIER_FOLDER).",
            )
        if trial.verdict.fate is not Fate.PAUSE or state.saved:
            return
        if state.late:
            trial.warn_once(
                "script ahead of its checkpoints",
                "The script trains on while its reports are read, so its checkpoints belong to later epochs, "
                "and none was kept: a trial that is promoted trains again from the beginning. Report with "
                'luthier.report, which waits, or print the epoch with the metrics, {"step": 3, ...}.',
            )
            return
        if state.failed:
            trial.warn_once(
                "script's checkpoints not copied",
                "What the script wrote into the folder that LUTHIER_CHECKPOINT names could not be copied: "
                f"{state.failed}. A trial that is promoted trains again from the beginning.",
            )
            return
        trial.warn_once(
            "script without checkpoints",
            "The script wrote no checkpoint into the folder that LUTHIER_CHECKPOINT names: a trial "
            "that is promoted trains again from the beginning. A scheduler that never pauses is "
            "'median'; 'auto' stops in place of pausing.",
        )
