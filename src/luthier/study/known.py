"""What is known about a study, and the questions that are asked of it."""

from __future__ import annotations

import math
from typing import Any

from luthier.errors import StorageError
from luthier.space import Domain, Space
from luthier.study import events as ev
from luthier.study.goals import Goals, constraint_from, front_of
from luthier.study.limits import Limits
from luthier.study.objective import Objective
from luthier.study.records import SpaceRecord, StageRecord, TrialRecord, TrialState

COMMAND = "command"  # attribute of the study of a script: the words of its command


class Known:
    """All that a study's log tells, up to one of its events.

    Attributes:
        cursor: number of the last event folded in.
        trials: every trial, at the index of its number.
        space: the search space as it stands now.
        formerly: what hyperparameters were before somebody widened or narrowed the space, by name:
            define-by-run code still asks for that.
        changes: every widening or narrowing of the space.
        widening: whether the study may widen its space by itself; None while nobody has said.
        limits: how much may be tried.
        opened_for: the limits that a program last opened the study with, if the log tells.
        earlier: what other studies found, to learn from.
        until: when to stop, in seconds since 1970, or None.
        held: '' while the study runs, 'paused' or 'stopped' by hand; ``held_why`` says why.
        touched: the numbers of the trials that events changed, one entry an event: what is derived
            from trials is kept up to date from an index into it.
        epochs: steps trained by all trials together, those trained again after a crash included.
        race: how the best trials are raced when the search is over, or None.
        repetitions: the trials that repeat another one: data of a race, and no candidates.
        repeated_epochs: those of ``epochs`` that repetitions trained.
        stages: what the study was divided in, the last one still under way; none without stages.
        test_reads: every look at the test set.
        attributes: what programs wrote down about each trial, and (-1) the study, by name; the latest
            counts.
        notes: the remark that stands, by trial; that on the whole study under -1.
        late_reports: reports by workers that had lost their lease: kept in the log, used nowhere.
    """

    def __init__(self) -> None:
        self.cursor = 0
        self.anew = False  # whether there are events before the one with which the study began
        self.created: ev.StudyCreated | None = None
        self._objective: Objective | None = None
        self._goals: Goals | None = None
        self._metric, self._sign, self._constrained = "", 1.0, False  # as the header says
        self.space = Space()
        self.formerly: dict[str, list[Domain]] = {}
        self.changes: list[SpaceRecord] = []
        self.widening: bool | None = None
        self.limits = Limits()
        self.opened_for: Limits | None = None
        self.budgeted = False  # whether the log says what the limits are
        self.until: float | None = None
        self.held = ""
        self.held_why = ""
        self.race: ev.RaceSet | None = None
        self.repetitions: dict[int, TrialRecord] = {}
        self.repeated_epochs: int = 0
        self.trials: list[TrialRecord] = []
        self.touched: list[int] = []
        self.earlier: list[ev.EarlierTrials] = []
        self.queue: list[dict[str, Any]] = []
        self.brackets: dict[int, list[TrialRecord]] = {}
        self.active: dict[int, TrialRecord] = {}  # queued or running
        self.queued: dict[int, TrialRecord] = {}
        self.paused: dict[int, TrialRecord] = {}
        self.heirs: dict[int, TrialRecord] = {}  # that have no checkpoint yet but their parent's
        self.infeasible: list[dict[str, Any]] = []  # configurations that ran out of memory
        self.errors: dict[int, TrialRecord] = {}  # failed by a bug in the user's code
        self.stages: list[StageRecord] = []
        self.test_reads: list[ev.TestRead] = []
        self.attributes: dict[int, dict[str, Any]] = {}
        self.notes: dict[int, ev.NoteTaken] = {}
        self.ended = 0
        self.best: TrialRecord | None = None
        self.epochs: int = 0
        self.late_reports = 0
        self.enqueued = (
            0  # trials that were begun because somebody had asked for their configuration
        )
        self.last_lease = 0
        self.last_time = 0.0

    @property
    def objective(self) -> Objective:
        """Return what the study is judged by."""
        if self._objective is None:
            header = self.header
            self._objective = Objective(header.metric, header.direction)  # type: ignore[arg-type]
        return self._objective

    @property
    def goals(self) -> Goals:
        """Return all that the study is judged by: every objective, and bounds on other metrics."""
        if self._goals is None:
            also = [Objective(*pair) for pair in self.header.also]  # type: ignore[arg-type]
            rules = tuple(map(constraint_from, self.header.subject_to))
            self._goals = Goals((self.objective, *also), rules)
        return self._goals

    @property
    def header(self) -> ev.StudyCreated:
        """Return the study's first event.

        Raises:
            StorageError: when the log does not begin with one.
        """
        if self.created is None:
            raise StorageError("The study's log is empty: it was never created.")
        return self.created

    def value(self, loss: float) -> float:
        """Return a loss as the objective's value, the way the user reported it."""
        return -loss if self.objective.direction == "maximize" and math.isfinite(loss) else loss

    def counts(self) -> dict[TrialState, int]:
        """Return how many trials are in each state, states without any left out."""
        found: dict[TrialState, int] = {}
        for trial in self.trials:
            found[trial.state] = found.get(trial.state, 0) + 1
        return found

    def ranking(self) -> list[TrialRecord]:
        """Return the trials that have a finite value and did not diverge or fail, best first.

        By the first objective; those that break a constraint come after all others. Repetitions are
        left out.
        """
        scored = [t for t in self.trials if self.counts_in_ranking(t)]
        return sorted(scored, key=ranked_by)

    def inherited(self) -> dict[int, set[int]]:
        """Return, by trial, the steps whose checkpoints children still have to go on from."""
        found: dict[int, set[int]] = {}
        for child in self.heirs.values():
            found.setdefault(child.parent, set()).add(child.start)
        return found

    def front(self) -> list[TrialRecord]:
        """Return the trials that no other one beats in every objective, within the constraints.

        The best by the first objective comes first. With one objective it is that trial alone.
        """
        return front_of([t for t in self.trials if self.may_lead(t)], self.goals)

    def may_lead(self, trial: TrialRecord) -> bool:
        """Return whether *trial* may be on the front: in the ranking, within the constraints, all measured."""
        counts = self.counts_in_ranking(trial) and not trial.violation
        return counts and all(map(math.isfinite, self.goals.losses(trial)))

    @property
    def barren(self) -> bool:
        """Return whether nothing is lost if the study begins anew: nobody reported or asked for anything."""
        own = self.attributes.get(-1, {}).keys() - {COMMAND}
        given = (
            self.queue,
            self.changes,
            self.notes,
            self.earlier,
            own or self.attributes.keys() - {-1},
            self.test_reads,
        )
        steered = self.opened_for is not None and self.limits != self.opened_for
        if self.epochs or self.late_reports or any(given) or self.held or steered:
            return False
        # Who failed or gave its trial back has said its last word; who fell silent may come back.
        return all(
            trial.kind == "error" or (trial.state is TrialState.QUEUED and not trial.retries)
            for trial in self.trials
        )

    # -- as it is found out -----------------------------------------------------------------------

    def begin(self, event: ev.StudyCreated) -> None:
        """Take the settings that the study was created with."""
        self.created = event
        self._metric, self._constrained = event.metric, bool(event.subject_to)
        self._sign = -1.0 if event.direction == "maximize" else 1.0

    def index(self, trial: TrialRecord) -> None:
        """Enter a trial that is new to this history in the indices by bracket and by state."""
        self.touched.append(trial.number)
        self.brackets.setdefault(trial.bracket, []).append(trial)
        if trial.repeats >= 0:
            self.repetitions[trial.number] = trial
        if not trial.state.ended or trial.resumable:
            self._enter_heir(trial)
        if trial.state in (TrialState.QUEUED, TrialState.RUNNING):
            self.active[trial.number] = trial
            if trial.state is TrialState.QUEUED:
                self.queued[trial.number] = trial
        elif trial.state is TrialState.PAUSED:
            self.paused[trial.number] = trial
        else:
            self.ended += 1
            if trial.kind == "error":
                self.errors[trial.number] = trial

    def _enter_heir(self, trial: TrialRecord) -> None:
        if trial.parent >= 0 and not trial.checkpoint:
            self.heirs[trial.number] = trial

    @staticmethod
    def counts_in_ranking(trial: TrialRecord) -> bool:
        """Return whether *trial* has a finite value, did not diverge or fail, and repeats none."""
        spoilt = trial.state in (TrialState.DIVERGED, TrialState.FAILED)
        return not spoilt and math.isfinite(trial.best_loss) and trial.repeats < 0


def ranked_by(trial: TrialRecord) -> tuple[float, float, int]:
    """Return what trials are ranked by, the least first; of equal ones the earlier stands before."""
    return trial.violation, trial.best_loss, trial.number
