"""A race of a study's finalists on new seeds, once the search is over.

The best value of many trials is that of a good configuration on a lucky seed (the winner's curse). So
the best trials of the search are trained again, each repetition an ordinary trial with a seed of its
own, the same configuration and the full budget; ``contest`` says who is dropped. What made a trial a
finalist is none of its values in the race: it was selected for being high.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from dataclasses import dataclass, field, replace

from luthier.errors import StudyError
from luthier.schedule.auto import Auto
from luthier.schedule.contest import FEWEST, Contest, contest, finite
from luthier.schedule.freeze_thaw import FreezeThaw
from luthier.schedule.full import Full, rest
from luthier.schedule.patience import Patience
from luthier.schedule.population import PopulationBasedTraining, Replay
from luthier.study.following import followed
from luthier.study.history import History
from luthier.study.limits import epochs_left
from luthier.study.protocols import (
    Bracket,
    Done,
    Fate,
    Limits,
    Move,
    Plan,
    Resume,
    Rung,
    Scheduler,
    SchedulerExplains,
    Start,
    Verdict,
    holds,
    judges_alone,
)
from luthier.study.records import TrialRecord, TrialState
from luthier.study.searched import searched

BRACKET = -1  # of repetitions: no bracket of any search
REPETITIONS = 10  # of a finalist, at most, where nobody says otherwise
_RESERVED = 3  # one of so many epochs is kept for the race, at most
_FEWEST_FINALISTS = 2  # one alone has nobody to lead


def check_repetitions(finalists: int | None, repetitions: int) -> None:
    """Refuse repetitions that were asked for without a race.

    Raises:
        StudyError: *repetitions* are not the usual ones, and there are no *finalists*.
    """
    if finalists is None and repetitions != REPETITIONS:
        raise StudyError(
            f"repetitions={repetitions!r} is for a race of the best: give finalists= as well, such as 3."
        )


@dataclass(frozen=True)
class Race:
    """A search's scheduler, and after it the race that the study's log asks for, if it does.

    The search sees nothing of the race: neither its trials nor its epochs.
    """

    inner: Scheduler

    @property
    def epochs(self) -> int | None:
        """Return the most epochs one trial trains, None when only the training code knows."""
        return getattr(self.inner, "epochs", None)

    def compares_at(self, to_step: int | None, limits: Limits = Limits()) -> int | None:  # noqa: B008
        """Return the epoch at which a job that ends at *to_step* is first compared with longer ones.

        None when it is trained to its horizon first.
        """
        inner = self.inner
        trains_all = isinstance(inner, Full | Patience | Replay)
        if trains_all or (isinstance(inner, Auto) and not inner.saves(limits)):
            return None
        if self.epochs is None:
            return None
        # Of a loop that is not known to write checkpoints, to_step is the end; most write them.
        at_its_end = self.promotes or isinstance(inner, Auto)
        at = to_step if at_its_end else getattr(inner, "first_look", 1)
        return at if at is not None and at < self.epochs else None

    @property
    def in_rungs(self) -> bool:
        """Return whether jobs end at a few rungs, where trials are compared.

        Not where a trial goes on through all looks at it, nor where it is granted a few epochs at a time.
        """
        grants = isinstance(self.inner, FreezeThaw | PopulationBasedTraining)
        return isinstance(self.inner, Auto) or (self.promotes and not grants)

    @property
    def in_any_order(self) -> bool:
        """Return whether the search's scheduler decides the same in whatever order results come."""
        return getattr(self.inner, "in_any_order", False)

    @property
    def hangs_on_itself(self) -> bool:
        """Return whether a verdict hangs on the trial's own reports alone."""
        return getattr(self.inner, "hangs_on_itself", False)

    @property
    def ends_by_its_plan(self) -> bool:
        """Return whether the search ends when its scheduler's plan is done, however small the space is."""
        return getattr(self.inner, "ends_by_its_plan", False)

    @property
    def promotes(self) -> bool:
        """Return whether paused trials go on from their checkpoints."""
        return self.inner.promotes

    @property
    def judges_alone(self) -> bool:
        """Return whether every trial goes on to its end, whatever it reports."""
        return judges_alone(self.inner)

    def plan(self, limits: Limits) -> Plan | None:
        """Return what the search will train."""
        return self.inner.plan(limits)

    def explain(self, history: History, limits: Limits) -> str:
        """Return in one line what becomes of trials, and why; "" where the search's has no say."""
        inner = self.inner
        return inner.explain(history, limits) if isinstance(inner, SchedulerExplains) else ""

    def planned(self, history: History, limits: Limits) -> Plan | None:
        """Return what the search and the race of this study will train."""
        plan, rules = self._search_plan(history, limits), history.race
        if plan is None or rules is None:
            return plan
        count = self._trainings(history, limits, plan)
        if not count:
            return plan
        race = Bracket(BRACKET, "race", (Rung(count, self.epochs or 1),))
        return replace(plan, brackets=(*plan.brackets, race))

    def doubt(self, history: History, limits: Limits) -> str:
        """Return that the epochs do not hold what a race needs, and what would; "" where they may."""
        plan, rules, state = self._search_plan(history, limits), history.race, standing(history)
        if plan is None or rules is None or limits.epochs is None or self.epochs is None:
            return ""
        if state is not None and state.rounds:
            return ""  # it has been judged
        room, count = self._trainings(history, limits, plan), min(rules.finalists, plan.trials)
        # A search that goes on may find others, and whoever was raced before stays a finalist.
        before = (
            len(_raced(history)) if history.epochs - history.repeated_epochs < plan.epochs else 0
        )
        count = min(count + before, plan.trials)
        if room >= count * FEWEST or count < _FEWEST_FINALISTS:
            return ""
        enough = epochs_for(history, rules.finalists)
        less = room // FEWEST
        fewer = f", or finalists={less}" * (_FEWEST_FINALISTS <= less < rules.finalists)
        may = "may " * (plan.at_most or plan.about or bool(before))
        return (
            f"{limits.epochs} epochs {may}leave the race of {count} finalists {room} trainings of "
            f"{self.epochs} epochs, and nobody is judged before {count * FEWEST} ({FEWEST} of each): it would "
            f"end undecided. Raise max_epochs to {enough} (luthier budget STUDY --epochs {enough}){fewer}."
        )

    def _search_plan(self, history: History, limits: Limits) -> Plan | None:
        """Return what the search trains of its share, or has trained before a race was asked for."""
        share, spent = self._for_search(history, limits), history.epochs - history.repeated_epochs
        if history.race is not None and share.epochs is not None and spent > share.epochs:
            share = Limits(share.trials, spent)
        return self.inner.plan(share)

    def _trainings(self, history: History, limits: Limits, plan: Plan) -> int:
        """Return how many repetitions the race may begin at most, beside *plan*, the search's."""
        rules = history.race
        candidates = 0 if rules is None else min(rules.finalists, plan.trials)
        if rules is None or candidates < _FEWEST_FINALISTS:
            return 0
        count = candidates * rules.repetitions
        if limits.epochs is None:
            return count
        spent = max(plan.epochs, history.epochs - history.repeated_epochs)
        return min(count, max(0, limits.epochs - spent) // (self.epochs or 1))

    def next(self, history: History, limits: Limits) -> Move:
        """Let the search go on; when it is over, begin the repetition that the race needs next."""
        share = self._for_search(history, limits)
        move = self.inner.next(searched(history), share)
        if not isinstance(move, Done):
            return self._affordable(history, limits, move)
        move = Done(_said_of_share(move.reason, share, limits))
        if history.race is None:
            return move
        state = standing(history)
        if state is None:
            return move
        if state.wanted is None:
            return rest(history, f"{move.reason}, and the race of the finalists is over")
        chosen = history.trials[state.wanted]
        again = Start(self.epochs, BRACKET, dict(chosen.configuration), repeats=chosen.number)
        return self._affordable(history, limits, again)

    def judge(self, history: History, trial: TrialRecord) -> Verdict:
        """Train a repetition to its end; of the others the search's scheduler says."""
        rule, view, limits = self._of(history, trial, history.limits)
        verdict = rule.judge(view, trial)
        if verdict.fate is Fate.GO_ON and not holds(rule, view, trial, limits):
            what = "another one of it" if trial.to_step is None else "its next rung"
            reason = f"{limits.epochs} epochs do not hold {what}"
            return Verdict(Fate.STOP, _said_of_share(reason, limits, history.limits))
        return verdict

    def holds(self, history: History, trial: TrialRecord, limits: Limits) -> bool:
        """Return whether the epochs, of a trial of the search its share of them, hold that *trial* goes on."""
        rule, view, share = self._of(history, trial, limits)
        return holds(rule, view, trial, share)

    def _of(
        self, history: History, trial: TrialRecord, limits: Limits
    ) -> tuple[Scheduler, History, Limits]:
        """Return who judges *trial*, what of the study it sees, and how much of the limits it has."""
        if trial.repeats >= 0:
            return Full(self.epochs), history, limits
        return self.inner, searched(history), self._for_search(history, limits)

    def dropped(self, history: History, limits: Limits) -> list[tuple[int, str]]:
        """Return the paused trials that the search leaves behind."""
        return self.inner.dropped(searched(history), self._for_search(history, limits))

    def _for_search(self, history: History, limits: Limits) -> Limits:
        """Return the limits without the epochs that are kept for the race."""
        rules = history.race
        if rules is None or limits.epochs is None:
            return limits
        each = self.epochs or 1
        wanted = rules.finalists * rules.repetitions * each
        most = max(0, limits.epochs - each)  # the search needs a training to have a finalist
        reserved = min(wanted, limits.epochs // _RESERVED, most)
        return Limits(limits.trials, limits.epochs - reserved)

    def _affordable(self, history: History, limits: Limits, move: Move) -> Move:
        """Return *move*, or an end where the epochs do not hold it. Trials are the search's to count."""
        known = history.repetitions or (isinstance(move, Start) and move.repeats >= 0)
        if limits.epochs is None or not known or not isinstance(move, Start | Resume):
            return move
        before = history.trials[move.trial].step if isinstance(move, Resume) else 0
        needed = (move.to_step or before + 1) - before
        if needed <= epochs_left(history, limits):
            return move
        what = (
            "repetition of a finalist" if isinstance(move, Start) and move.repeats >= 0 else "job"
        )
        return rest(history, f"{limits.epochs} epochs do not hold another {what}")


def epochs_for(history: History, count: int) -> int:
    """Return a limit of epochs of which a race of *count* finalists gets enough for its first judgement.

    The search gets its share of it as well, and may find others than those that were raced before.
    """
    needed = (count + len(_raced(history))) * FEWEST * _each(history)
    return max(_RESERVED * needed, history.epochs - history.repeated_epochs + needed)


def undecided(history: History) -> str:
    """Return why a race has nobody who leads, and will not have by itself; "" while that may still come."""
    state = standing(history)
    if state is None or history.active:
        return ""
    count, begun = len(state.order), len(history.repetitions)
    if count < _FEWEST_FINALISTS:
        tried = len(history.trials) - begun
        used_up = history.limits.trials is not None and tried >= history.limits.trials
        if not used_up and epochs_left(history, history.limits) >= _each(history):
            return ""
        return "there is one configuration with a finite value, and nobody to race it against"
    leads = state.rounds and finite(runs_of(history)[state.order[0]])
    if leads or not (state.over or epochs_left(history, history.limits) < _each(history)):
        return ""
    if state.rounds:
        kept = " that keeps to the bounds" * bool(history.goals.constraints)
        return f"no finalist has a finite value{kept}"
    enough = epochs_for(history, history.race.finalists if history.race else count)
    return (
        f"{history.limits.epochs} epochs held {begun} of the {count * FEWEST} trainings after which somebody "
        f"is judged; raise that with luthier budget STUDY --epochs {enough}, and go on"
    )


def _raced(history: History) -> dict[int, None]:
    """Return the trials that have been repeated, in the order in which that began."""
    return dict.fromkeys(t.repeats for t in history.repetitions.values())


def _each(history: History) -> int:
    """Return the epochs of one repetition, 1 where only the training code knows."""
    return history.header.scheduler.get("epochs") or 1


def standing(history: History) -> Contest | None:
    """Return how the race of a study stands; None without one, or without a finite trial."""
    if history.race is None:
        return None
    runs = runs_of(history)
    if not runs:
        return None
    breaches = breaches_of(history) if history.goals.constraints else None
    return contest(runs, history.race.repetitions, history.race.significance, breaches)


def runs_of(history: History) -> dict[int, list[float | None]]:
    """Return the losses of each finalist's repetitions, in the order in which they were begun."""
    runs: dict[int, list[float | None]] = {number: [] for number in finalists(history)}
    for trial in history.repetitions.values():
        runs[trial.repeats].append(_loss(history, trial))
    return runs


def breaches_of(history: History) -> dict[int, list[str]]:
    """Return for each repetition of each finalist which bounds it broke, "" for none: see ``runs_of``."""
    broken: dict[int, list[str]] = {number: [] for number in finalists(history)}
    for trial in history.repetitions.values():
        spoilt = _loss(history, trial) == math.inf
        broken[trial.repeats].append(_breach(history, trial) if spoilt else "")
    return broken


def finalists(history: History) -> list[int]:
    """Return who is raced: the best trials of the search, each of another configuration.

    Whoever was repeated before stays one of them, though the search may have gone on since.
    """
    rules = history.race
    if rules is None:
        return []
    best = followed(history, "best", _Best)
    chosen = [history.trials[number] for number in _raced(history)]
    count = 0
    for violation, _, number in best.ranked:
        if count == rules.finalists or (violation and not best.ranked[0][0]):
            break
        trial = history.trials[number]
        if trial in chosen:
            count += 1
        elif all(trial.configuration != other.configuration for other in chosen):
            chosen.append(trial)
            count += 1
    last = (math.inf, math.inf, 0)
    return sorted((t.number for t in chosen), key=lambda n: (best.known.get(n, last), n))


def _loss(history: History, trial: TrialRecord) -> float | None:
    """Return a repetition's loss as ``contest`` wants it: the best of its epochs, as everywhere."""
    if trial.state is TrialState.DIVERGED:
        return math.inf
    if not trial.state.ended:
        return None
    original = history.trials[trial.repeats]
    other = trial.configuration != original.configuration  # half the batch
    # By hand, or by the limit on epochs, before its end: where nobody knows that, before its original's.
    cut = trial.state is TrialState.STOPPED and (
        trial.to_step is not None or trial.step < original.step
    )
    failed = trial.state is TrialState.FAILED
    if failed or cut or other or not math.isfinite(trial.best_loss):
        return math.nan
    return math.inf if _breach(history, trial) else trial.best_loss


def _breach(history: History, trial: TrialRecord) -> str:
    """Return which bounds a repetition broke, "" where its finalist broke one in the search already."""
    kept_once = not history.trials[trial.repeats].violation
    if trial.state is TrialState.DIVERGED or not trial.violation or not kept_once:
        return ""
    goals = history.goals
    rules = zip(goals.constraints, goals.excesses(trial), strict=True)
    return " and ".join(str(rule) for rule, excess in rules if excess > 0)


def _said_of_share(reason: str, share: Limits, limits: Limits) -> str:
    """Return *reason* with the epochs named as what they are, where some are kept for the race."""
    said = f"{share.epochs} epochs"
    if share.epochs == limits.epochs or not reason.startswith(said):
        return reason
    return f"the search's {share.epochs} of {limits.epochs} epochs{reason.removeprefix(said)}"


@dataclass(eq=False)
class _Best:
    """The trials of the search in the order of ``History.ranking``, kept up to date."""

    ranked: list[tuple[float, float, int]] = field(default_factory=list[tuple[float, float, int]])
    known: dict[int, tuple[float, float, int]] = field(
        default_factory=dict[int, tuple[float, float, int]]
    )

    def take(self, trial: TrialRecord) -> None:
        """Replace what is known of *trial*."""
        if trial.repeats >= 0 or trial.parent >= 0:
            return
        if (old := self.known.pop(trial.number, None)) is not None:
            del self.ranked[bisect_left(self.ranked, old)]
        spoilt = trial.state in (TrialState.DIVERGED, TrialState.FAILED)
        if not spoilt and math.isfinite(trial.best_loss):
            self.known[trial.number] = new = (trial.violation, trial.best_loss, trial.number)
            insort(self.ranked, new)
