"""The answer: the configuration to use, what it is worth and how sure that is, and how to train it."""

from __future__ import annotations

import math
import shlex

from luthier.app import words
from luthier.app.reading import finite_best
from luthier.app.refit import best_epoch
from luthier.app.report.parts import Code, Part, Table, Text
from luthier.insight.race import race
from luthier.insight.seed_noise import noise
from luthier.search import recommended
from luthier.study.goals import outcome
from luthier.study.history import History
from luthier.study.records import TrialRecord
from luthier.study.steering import inherits
from luthier.study.words import counted

_LEVEL = 0.975  # of Student's distribution: 95 % lie within its quantile on both sides
_MOST_NAMED = 20  # trials of a front
_NORMAL = 1.96  # the same of the normal distribution


def chosen(history: History) -> TrialRecord | None:
    """Return the trial to use: a race's winner, else the one whose expected value is the best."""
    raced = race(history)
    if raced is not None and raced.winner is not None:
        return history.trials[raced.winner.trial]
    return recommended(history) if finite_best(history) is not None else None


def answer(history: History) -> list[Part]:
    """Return what to use and what it is worth."""
    trial = chosen(history)
    metric = history.objective.metric
    if trial is None:
        return [Text(f"No trial has a finite {metric} yet.")]
    parts: list[Part] = [Text(_worth(history, trial))]
    best = finite_best(history)
    if best is not None and trial is not best:
        parts.append(Text(_not_the_best(history, best)))
    if len(history.goals.objectives) > 1 and len(front := history.front()) > 1:
        parts.append(Text(_others_on_the_front(history, front)))
    if trial.violation:
        rules = " and ".join(map(str, history.goals.constraints))
        parts.append(Text(f"No trial keeps to {rules}; this is the one that comes closest."))
    rows = [(name, words.readable(value)) for name, value in trial.configuration.items()]
    parts.append(Table(("hyperparameter", "value"), tuple(rows)))
    others = [(name, words.number(outcome(trial, name))) for name in history.goals.metrics[1:]]
    if others:
        parts.append(Table(("other metrics", "value"), tuple(others)))
    once = " once" * (len(history.test_reads) == 1)
    for read in history.test_reads:
        values = ", ".join(f"{name} {words.number(v)}" for name, v in read.values.items())
        parts.append(
            Text(f"On the test set, read{once} by {read.who}: trial {read.trial}, {values}.")
        )
    if len(history.test_reads) > 1:
        parts.append(
            Text(
                f"The test set was read {len(history.test_reads)} times: whoever chose by what it "
                "said has no test set any more."
            )
        )
    return parts


def _not_the_best(history: History, best: TrialRecord) -> str:
    """Return why the trial with the best value is not the answer."""
    value, raced = words.number(history.value(best.best_loss)), race(history)
    seen = (
        f"The best value seen, {value}, is that of trial {best.number} (result.best): one training, "
        "which may have been lucky."
    )
    if raced is None or raced.winner is None:
        return (
            f"{seen} By a model of the trials like it, which gives no interval here, this one "
            "(result.recommended) is expected to be better."
        )
    others = [one.trial for one in raced.finalists[1:]]
    against = dict(zip(others, raced.sentences, strict=True)).get(best.number)
    return f"{seen} On new seeds: {against}." if against else seen


def _others_on_the_front(history: History, front: list[TrialRecord]) -> str:
    named = ", ".join(str(trial.number) for trial in front[:_MOST_NAMED])
    more = f" and {len(front) - _MOST_NAMED} more" if len(front) > _MOST_NAMED else ""
    goals = ", ".join(goal.metric for goal in history.goals.objectives)
    return (
        f"It is chosen by {history.objective.metric} alone. No other trial beats one on the front in all of "
        f"{goals} ({counted(len(front), 'trial')}: {named}{more}): choose among those by what you need."
    )


def _worth(history: History, trial: TrialRecord) -> str:
    metric, raced = history.objective.metric, race(history)
    value = words.number(history.value(trial.best_loss))
    epochs = f"at epoch {trial.best_step} of {trial.step}"
    if raced is not None and raced.winner is not None and len(raced.winner.values) > 1:
        first = raced.winner
        return (
            f"Trial {first.trial}: {metric} {words.number(first.mean)}, 95 % interval "
            f"[{words.number(first.low)}, {words.number(first.high)}], from {len(first.values)} "
            f"trainings on new seeds; {value} {epochs} in the search."
        )
    spread = noise(history)
    text = f"Trial {trial.number}: {metric} {value} {epochs}, from a single training."
    if not spread.deviation or not math.isfinite(spread.deviation):
        return f"{text} How much of that is luck is not known: {_to_know(history)}."
    luckiest = trial is finite_best(history)
    lucky = f"; as the best of {len(history.ranking())} it is more likely a lucky one" * luckiest
    if spread.source != "repeats":
        reach = words.number(_NORMAL * spread.deviation)
        return (
            f"{text} Of trainings with other seeds 95 % lie within ±{reach} of it at best ({spread}: trainings "
            f"differ more than epochs of one do){lucky}. To know it, {_to_know(history)}."
        )
    from scipy.special import stdtrit

    reach = float(stdtrit(spread.freedom, _LEVEL)) * spread.deviation
    low, high = (history.value(trial.best_loss) + s * reach for s in (-1, 1))
    return (
        f"{text} Other seeds would give [{words.number(low)}, {words.number(high)}] in 95 % of "
        f"trainings if this one were typical ({spread}){lucky}."
    )


def _to_know(history: History) -> str:
    """Return what tells luck from skill."""
    if inherits(history):
        return "train its schedule again on other seeds"
    return "race the best trials on new seeds"


def code(history: History, storage: str) -> list[Part]:
    """Return how to train the answer again.

    Args:
        history: of the study.
        storage: where it is kept, without passwords: others will read this. "" for the default.
    """
    trial = chosen(history)
    if trial is None:
        return []
    name = history.header.name
    place = f", storage={storage!r}" if storage else ""
    option = f" --storage {shlex.quote(storage)}" if storage else ""
    if trial is not finite_best(history):
        option = f" --trial {trial.number}{option}"
    export = f"luthier export {shlex.quote(name)} --to yaml{option}\n"
    opened = f"import luthier\n\nstudy = luthier.open({name!r}{place})\n"
    if trial.parent >= 0:
        return [
            Text(
                "Its hyperparameters changed on the way (population-based training), so no one configuration "
                "trains it: its schedule does, from the first epoch to its best."
            ),
            Code(f"{opened}{_schedule(history, trial)}"),
            Text("The configuration it ended with, as a file:"),
            Code(export, "shell"),
        ]
    lines = ",\n".join(f"    {key!r}: {value!r}" for key, value in trial.configuration.items())
    text = (
        f"{opened}"
        f"configuration = {{\n{lines},\n}}\n"
        f"epochs = {best_epoch(history, trial)}\n"
        "hp = study.hyperparameters(configuration)\n"
        "# model = build(hp)                     # with the function that was tuned, and then train it\n"
        "# train(configuration, epochs)          # or with a training loop of your own\n"
    )
    return [
        Code(text),
        Text("The configuration as a file, for any language:"),
        Code(export, "shell"),
    ]


def _schedule(history: History, trial: TrialRecord) -> str:
    """Return the lines that train a population's member again, as it became what it is."""
    goal = history.objective
    return (
        f"schedule = luthier.schedule.Replay.of(study, study.trials[{trial.number}])\n"
        "# luthier.tune(train, study.space, scheduler=schedule,  # with the function that was tuned\n"
        f"#              {goal.direction}={goal.metric!r}, name={history.header.name + ' again'!r})\n"
    )
