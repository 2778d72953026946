"""What a study goes on with: the next trial, whoever failed before, and one that was begun before.

Where Optuna's ways differ from Luthier's: a trial that was asked for by hand waits to be told of, however its
process ends; a study goes on whatever failed; and a trial that is run again is judged by what it reports anew.
"""

from __future__ import annotations

import weakref

from luthier.errors import StudyError
from luthier.run.renewal import keep_renewing
from luthier.study import events as ev
from luthier.study.deciding import Deciding, Job, in_vain
from luthier.study.history import History
from luthier.study.leases import Leases
from luthier.study.protocols import Conflict, Done, Start, Wait
from luthier.study.records import TrialRecord
from luthier.study.study import Study

BY_HAND = "asked by hand"  # an attribute of such trials
_OF_A_RUN = ("step ", "system:completed_rung_", "constraint:")  # attributes that a run leaves


class StandingLeases:
    """A process's leases; those of trials that were asked for by hand stand until somebody tells of them.

    Args:
        study: whose trials.
        leases: of all the others.
    """

    def __init__(self, study: Study, leases: Leases) -> None:
        self._study = weakref.ref(study)  # which has these: a lease ends with its study, at once
        self._leases = leases

    @property
    def holder(self) -> ev.Holder:
        """Return the identity under which this process takes leases."""
        return self._leases.holder

    @property
    def term(self) -> float:
        """Return how many seconds of silence its own leases survive."""
        return self._leases.term

    def lapsed(self, trial: TrialRecord) -> bool:
        """Return True when the lease on a running trial is void."""
        study = self._study()
        if study is not None and BY_HAND in study.history.attributes.get(trial.number, {}):
            return False
        return self._leases.lapsed(trial)


def next_job(study: Study) -> Job | Wait | Done:
    """Return what to run next, leased to this process; also where all trials of late have failed."""
    while True:
        try:
            return study.next_job()
        except StudyError:
            if not in_vain(study.history):
                raise
            if (job := _in_spite(study)) is not None:
                return job


def _in_spite(study: Study) -> Job | None:
    """Begin the trial that ``study.next_job`` refused, because those before it failed; None: look again.

    Luthier ends a study there that has no max_trials=. Optuna's scripts know no such number, and mend what
    failed while others work on the study.
    """
    history = study.refresh()
    move = study.scheduler.next(history, study.limits)
    if not isinstance(move, Start):
        return None
    decider = Deciding(
        history,
        study.searcher,
        study.scheduler,
        study.limits,
        study.checkpoints,
        study.leases.holder,
        study.leases.term,
        study.clock.time(),
    )
    decision = decider.start(move, decider.propose(move))
    try:
        study.append(decision.events, expect=history.cursor)
    except Conflict:
        return None
    if decision.job is not None:
        hold(study, decision.job)
    return decision.job


def hold(study: Study, job: Job) -> None:
    """Have this process renew the lease of a job that it has begun beside ``study.next_job``."""
    study.leased[job.lease] = job.trial
    if study.store.address != "memory":
        keep_renewing(study)


def waits_for_a_word(history: History) -> bool:
    """Return whether a study waits for trials that were asked for by hand, and for nothing else.

    They are no work for whoever waits: an ``optimize`` that has begun all there is to try ends there.
    """
    by_hand = (BY_HAND in history.attributes.get(number, {}) for number in history.active)
    return not history.held and all(by_hand)


def forget_first_run(study: Study, number: int) -> None:
    """Void what an earlier run of trial *number* had reported, if there was one."""
    notes = study.history.attributes.get(number, {})
    left = [
        name for name, value in notes.items() if name.startswith(_OF_A_RUN) and value is not None
    ]
    if left and study.history.trials[number].retries:
        now = study.clock.time()
        study.append([ev.AttributeSet(time=now, trial=number, name=name) for name in left])


__all__ = ["BY_HAND", "StandingLeases", "forget_first_run", "hold", "next_job", "waits_for_a_word"]
