"""What ``tune`` tells while it begins and when it has ended."""

from __future__ import annotations

import shlex
import sys

from luthier.app import words
from luthier.craft.stages import story
from luthier.insight import boundary
from luthier.insight.race import race
from luthier.run.places import storage_option
from luthier.schedule.race import Race
from luthier.study.choosing import TIME_WAS_GIVEN
from luthier.study.goals import outcome
from luthier.study.history import History
from luthier.study.protocols import Explains, Plan, SchedulerExplains, Store
from luthier.study.study import Study
from luthier.study.words import counted, rules_broken, tried

_MOST_TOLD = 10  # trials of a front


class Say:
    """Prints to standard error, which leaves standard output to the user's program."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet

    def __call__(self, text: str) -> None:
        """Print *text* as a line of Luthier's."""
        if not self._quiet:
            print(f"luthier: {text}", file=sys.stderr)


def introduce(study: Study, plan: Plan | None, say: Say) -> None:
    """Tell what is searched, how, what is there already, and the plan."""
    kind = study.history.header
    searched = ", ".join(study.space.domains) or "what the code asks for"
    say(f"study {study.name!r}: {study.history.goals} over {searched}")
    say(f"{kind.searcher['name']} search, scheduler {kind.scheduler['name']}, seed {study.seed}")
    if isinstance(study.searcher, Explains):
        say(study.searcher.explain(study.history, study.space))
    scheduler = study.scheduler
    if isinstance(scheduler, SchedulerExplains) and (
        line := scheduler.explain(study.history, study.limits)
    ):
        say(line)
    done = study.history
    if done.trials:
        say(f"going on: {tried(done)} and {counted(done.epochs, 'epoch')} are there already")
    if plan is None:
        say("plan: new trials until the time is up")
        return
    first, *others = words.plan_lines(plan)
    say(f"plan: {first}")
    for line in others:
        say(line)


def too_short(plan: Plan | None, epochs: int | None) -> str:
    """Return a sentence where the limits let no trial train to its end, '' where they do."""
    if plan is None or plan.about or plan.at_most or plan.to_end or not epochs:
        return ""
    searched = (bracket for bracket in plan.brackets if bracket.index >= 0)  # not of a race
    longest = max((rung.step for bracket in searched for rung in bracket.rungs), default=0)
    if not 0 < longest < epochs:
        return ""
    return (
        f"No trial trains longer than {longest} of {epochs} epochs: the limits cut off the scheduler's later "
        "rungs. Give more trials or epochs, fewer epochs a trial, or scheduler='auto', which trains the best "
        "to its end."
    )


def short_race(study: Study) -> str:
    """Return a sentence where the epochs do not hold what the study's race needs, '' where they may."""
    scheduler, history = study.scheduler, study.refresh()
    return scheduler.doubt(history, history.limits) if isinstance(scheduler, Race) else ""


def conclude(study: Study, store: Store, reason: str, say: Say) -> None:
    """Tell why the search ended, what it found, and where to look further."""
    history = study.refresh()
    counts = ", ".join(f"{count} {state}" for state, count in history.counts().items())
    say(f"{reason}: {tried(history)} ({counts}), {counted(history.epochs, 'epoch')}")
    if reason == TIME_WAS_GIVEN:
        say(
            f"to take that back: luthier budget {shlex.quote(study.name)} --time none{storage_option(store)}"
        )
    for paragraph in story(history):
        say(paragraph)
    if history.best is not None:
        best = history.best
        if rules := rules_broken(history):
            say(f"no trial keeps to {rules}; the one that comes closest:")
        say(
            f"best {study.objective.metric} {words.number(history.value(best.best_loss))} by trial "
            f"{best.number} at epoch {best.best_step}: {words.configuration(best.configuration)}"
        )
        if len(history.goals.objectives) > 1:
            _tell_front(history, say)
        if (raced := race(history)) is not None:
            for line in words.race_lines(raced, study.objective.metric):
                say(line)
    else:
        say(f"no trial has a finite {study.objective.metric}")
    for line in _crowded(study, store):
        say(line)
    if store.address != "memory":
        say(f"look further: luthier show {shlex.quote(study.name)}{storage_option(store)}")


def _crowded(study: Study, store: Store) -> list[str]:
    """Return where the best trials crowd an edge of the space, and how to widen it."""
    try:
        found = [f for f in boundary.check(study.history) if f.to is not None]
    except ImportError:  # scipy, which a plain install does not have
        return []
    lines = [f"the optimum may lie outside: {finding}" for finding in found]
    if lines and store.address != "memory":
        option = storage_option(store)
        lines.append(
            f"to widen it: luthier boundary {shlex.quote(study.name)} --act{option}, then run again with "
            "a larger budget; what was tried counts. widen=True lets a study do so by itself"
        )
    return lines


def _tell_front(history: History, say: Say) -> None:
    front, names = history.front(), [goal.metric for goal in history.goals.objectives]
    say(f"{counted(len(front), 'trial')} that no other one beats in all of {', '.join(names)}:")
    for trial in front[:_MOST_TOLD]:
        values = ", ".join(f"{name} {words.number(outcome(trial, name))}" for name in names)
        say(f"  trial {trial.number}: {values} ({words.configuration(trial.configuration)})")
    if len(front) > _MOST_TOLD:
        say(f"  ... and {len(front) - _MOST_TOLD} more")
