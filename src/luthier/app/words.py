"""How numbers, durations and configurations are written for people."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from luthier.insight.race import RaceResult
from luthier.schedule.race import BRACKET
from luthier.space import Space
from luthier.study.history import History
from luthier.study.protocols import Bracket, Plan
from luthier.study.words import counted, rules_broken

_COUNTS = 1e7  # below it a whole number is written out


def number(value: float) -> str:
    """Return four significant digits, with a power of ten where that reads better.

    Whole numbers below ten million keep all of theirs: they are counts.
    """
    if not math.isfinite(value):
        return str(value)
    if abs(value) < _COUNTS and float(value).is_integer():
        return str(int(value))
    if 1e-3 <= abs(value) < 1e5:
        return f"{float(f'{value:.4g}'):g}"  # 12345.6 is 12350, not 1.235e+04
    digits, power = f"{value:.3e}".split("e")
    return f"{digits.rstrip('0').rstrip('.')}e{power}"


def duration(seconds: float) -> str:
    """Return a length of time: '42 s', '3 min 20 s', '2 h 05 min'."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        minutes, rest = divmod(whole, 60)
        return f"{minutes} min {rest:02d} s" if minutes < 10 else f"{minutes} min"
    hours, rest = divmod(whole, 3600)
    return f"{hours} h {rest // 60:02d} min"


def budget(history: History, now: float) -> str:
    """Return in words what ends a study; *now* is in seconds since 1970."""
    limits, until = history.limits, history.until
    counts = (limits.trials, "trials in all"), (limits.epochs, "epochs of all trials together")
    said = [f"{count} {what}" for count, what in counts if count]
    if until is not None:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(until))
        left = f"{duration(until - now)} from now" if until > now else "which is over"
        said.append(f"until {when}, {left}")
    return "; ".join(said) or "no limit"


def configuration(values: Mapping[str, Any]) -> str:
    """Return a configuration on one line, by short names where they tell it unambiguously."""
    return ", ".join(f"{name}={readable(v)}" for name, v in shortened(values).items())


def shortened(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values under their short names where no two of them share one."""
    short = [Space.short(key) for key in values]
    return {
        name if short.count(name) == 1 else key: value
        for name, (key, value) in zip(short, values.items(), strict=True)
    }


def readable(value: Any) -> str:
    """Return one hyperparameter's value as a person would write it."""
    return number(value) if isinstance(value, float) else str(value)


def best(history: History) -> str:
    """Return what the best value is one of: 'best val_loss', or that it breaks the constraints."""
    metric, rules = history.objective.metric, rules_broken(history)
    return f"no trial keeps to {rules}; closest: {metric}" if rules else f"best {metric}"


def plan_lines(plan: Plan) -> list[str]:
    """Return the plan in words: every bracket and rung with its trials and epochs."""
    if plan.brackets and plan.brackets[-1].index == BRACKET:
        *search, race = plan.brackets
        (rung,) = race.rungs
        return [
            *plan_lines(replace(plan, brackets=tuple(search))),
            f"  then a race of the finalists on new seeds: at most {rung.trials} trainings"
            + (
                ""
                if plan.to_end
                else f" x {counted(rung.step, 'epoch')} = {counted(race.epochs, 'epoch')}"
            ),
        ]
    if len(plan.brackets) == 1 and len(plan.brackets[0].rungs) == 1:
        (rung,) = plan.brackets[0].rungs
        if plan.to_end:
            return [counted(rung.trials, "trial")]
        return [
            f"{counted(rung.trials, 'trial')} x {counted(rung.step, 'epoch')} = "
            f"{plan.word}{counted(plan.epochs, 'epoch')}"
        ]
    many = len(plan.brackets) > 1
    lines = [
        f"{counted(plan.trials, 'trial')}, {plan.word}{counted(plan.epochs, 'epoch')}"
        + (f", in {len(plan.brackets)} brackets" if many else "")
    ]
    for bracket in plan.brackets:
        name = f"bracket {bracket.name}: " if many else ""
        lines.append(f"  {name}{ladder(bracket)} = {counted(bracket.epochs, 'epoch')}")
    return lines


def race_lines(race: RaceResult, metric: str) -> list[str]:
    """Return the outcome of a race: who leads, with its interval, and who it beat."""
    first = race.winner
    if first is None:
        said = f"undecided: {race.undecided}" if race.undecided else "too early to say who leads"
        return [f"race of {counted(len(race.finalists), 'finalist')} on new seeds: {said}"]
    seeds = len(first.values)
    return [
        f"race on new seeds: trial {first.trial} {'wins' if race.over else 'leads'}: mean {metric} "
        f"{number(first.mean)} [{number(first.low)}, {number(first.high)}] (95 %) on {seeds} seeds",
        *(f"  {sentence}" for sentence in (*race.sentences, race.caution) if sentence),
    ]


def ladder(bracket: Bracket) -> str:
    """Return the rungs: '27 trials to epoch 1, 9 to 3, 3 to 9, 1 to 27'."""
    first, *others = bracket.rungs
    words = [f"{counted(first.trials, 'trial')} to epoch {first.step}"]
    return ", ".join(words + [f"{rung.trials} to {rung.step}" for rung in others])
