"""How trials end that this study has begun."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from luthier.compat.optuna.exceptions import AlreadyTold
from luthier.compat.optuna.frozen import names_of
from luthier.compat.optuna.trial import FrozenTrial, Trial, TrialState, Wanting
from luthier.errors import LuthierWarning, StudyError
from luthier.study import events as ev
from luthier.study.deciding import Job

if TYPE_CHECKING:
    from luthier.compat.optuna.study import Study


def tell(
    study: Study,
    trial: Trial | int,
    values: float | Sequence[float] | None,
    state: TrialState | None,
    *,
    skip_if_finished: bool,
) -> FrozenTrial:
    """End a trial; see ``Study.tell``."""
    if not isinstance(trial, Trial | int):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"study.tell({trial!r}, ...): expected a trial or its number.")
    number = trial if isinstance(trial, int) else trial.number
    records = study.own.refresh().trials
    if not 0 <= number < len(records):
        raise StudyError(f"There is no trial {number}: expected 0 to {len(records) - 1}.")
    if records[number].state.ended:
        if skip_if_finished:
            return study.frozen(number)
        raise AlreadyTold(f"Trial {number} has ended already: it is {records[number].state}.")
    numbers, state = _checked(study, number, values, state)
    own = trial.own if isinstance(trial, Trial) else own_trial(study, number)
    own.settle()
    if state is TrialState.COMPLETE:
        assert numbers is not None
        study.own.tell(own, dict(zip(names_of(study.own.history), numbers, strict=True)))
    elif state is TrialState.PRUNED:
        _prune(study, own, numbers)
    elif numbers is not None and any(map(math.isnan, numbers)):
        _diverge(study, own, numbers)
    else:
        study.own.fail(own, "failed", "the objective failed")
    study.own.refresh()
    study.end(number)
    return study.frozen(number)


def _checked(
    study: Study, number: int, values: Any, state: TrialState | None
) -> tuple[list[float] | None, TrialState]:
    """Return the values and the state that a trial ends with."""
    if state not in (None, TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL):
        raise StudyError(f"A trial cannot end as {state!r}: expected COMPLETE, PRUNED or FAIL.")
    if state is TrialState.PRUNED or state is TrialState.FAIL:
        if values is not None:
            raise StudyError(
                f"tell({number}, {values!r}, {state.name}): only a trial that completes is told of with "
                "values; a pruned one has its last report."
            )
        steps = study.frozen(number).intermediate_values
        last = steps[max(steps)] if steps else math.nan
        return ([last] if math.isfinite(last) else None), state
    if values is None:
        if state is TrialState.COMPLETE:
            raise StudyError(f"Trial {number} completed without a value: give tell(trial, value).")
        return None, _failed(number, values)
    several = isinstance(values, Sequence) and not isinstance(values, str)
    given: list[Any] = list(values) if several else [values]
    expected = len(study.directions)
    if len(given) != expected:
        raise StudyError(f"Trial {number}: expected {expected} value(s), got {values!r}.")
    if None in given and state is None:
        return None, _failed(number, values)
    try:
        numbers = [float(value) for value in given]
    except (TypeError, ValueError):
        raise StudyError(f"Trial {number}: expected numbers, got {values!r}.") from None
    if any(map(math.isnan, numbers)):
        if state is TrialState.COMPLETE:
            raise StudyError(f"Trial {number} cannot complete with {values!r}: expected numbers.")
        return numbers, _failed(number, values)
    return numbers, TrialState.COMPLETE


def _failed(number: int, values: Any) -> TrialState:
    """Return FAIL, and say why."""
    warnings.warn(
        f"Trial {number} failed: its value is {values!r}, which is no number.",
        LuthierWarning,
        stacklevel=5,
    )
    return TrialState.FAIL


def own_trial(study: Study, number: int) -> Wanting:
    """Return Luthier's trial for one that somebody else asked for."""
    if number in study.live:
        return study.live[number].own
    record = study.own.history.trials[number]
    return Wanting(study.own, Job(number, record.lease, record.configuration, 0, None))


def _diverge(study: Study, own: Wanting, values: list[float]) -> None:
    """End a trial with NaN: a failed one to the script, and to the searcher as bad as the worst."""
    metrics = zip(names_of(study.own.history), values, strict=True)
    metric = next(name for name, value in metrics if math.isnan(value))
    own.closed = True
    study.own.leased.pop(own.lease, None)
    now, step = study.own.clock.time(), own.step
    study.own.append(
        [ev.TrialDiverged(time=now, trial=own.number, lease=own.lease, step=step, metric=metric)]
    )


def _prune(study: Study, own: Wanting, values: list[float] | None) -> None:
    if values is not None:
        metric, own.step = study.own.objective.metric, own.step + 1
        study.own.record(own, {metric: values[0]}, 0.0, checkpointed=False)
    own.closed = True
    study.own.leased.pop(own.lease, None)
    study.own.append(
        [
            ev.TrialStopped(
                time=study.own.clock.time(),
                trial=own.number,
                step=own.step,
                reason="pruned by the objective",
                lease=0,  # no verdict of Luthier's scheduler
            )
        ]
    )
