"""How much each parameter matters; measured by Luthier's own ``insight.importance``."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from luthier.compat.optuna import checking
from luthier.compat.optuna.frozen import name_of
from luthier.compat.optuna.frozen_trial import FrozenTrial, TrialState
from luthier.compat.optuna.missing import absent
from luthier.errors import LuthierWarning, StudyError, nearest
from luthier.insight import importance
from luthier.insight.importances import FEWEST
from luthier.study import events as ev
from luthier.study.history import History

if TYPE_CHECKING:
    from luthier.compat.optuna.study import Study

Target = Callable[[FrozenTrial], float]
_NOBODY = ev.Holder("", "", "", 0, "", 0)


@dataclass(frozen=True)
class BaseImportanceEvaluator:
    """How importance is measured; one of your own defines ``evaluate``.

    Attributes:
        method: of ``luthier.insight.importance``.
    """

    method: Literal["fanova", "ped_anova"] = "fanova"

    def evaluate(
        self, study: Study, params: Sequence[str] | None = None, *, target: Target | None = None
    ) -> dict[str, float]:
        """Return each parameter's importance, the largest first."""
        found = importance(_history(study, target), self.method)
        of = study.own.history
        shares: dict[str, float] = {}
        for one in found:  # other choices under one name are one parameter to the script
            shares[name_of(of, one.name)] = shares.get(name_of(of, one.name), 0.0) + one.share
        kept = {name: s for name, s in shares.items() if params is None or name in params}
        return dict(sorted(kept.items(), key=lambda pair: -pair[1]))


class FanovaImportanceEvaluator(BaseImportanceEvaluator):
    """Luthier's fANOVA (Hutter, Hoos & Leyton-Brown 2014); the number of trees is its own."""

    def __init__(self, *, n_trees: int = 64, max_depth: int = 64, seed: int | None = None) -> None:
        super().__init__("fanova")


class MeanDecreaseImpurityImportanceEvaluator(BaseImportanceEvaluator):
    """Luthier's fANOVA, too: both share the variance that a forest explains among the parameters."""

    def __init__(self, *, n_trees: int = 64, max_depth: int = 64, seed: int | None = None) -> None:
        super().__init__("fanova")


class PedAnovaImportanceEvaluator(BaseImportanceEvaluator):
    """Luthier's PED-ANOVA (Watanabe, Bansal & Hutter 2023); the share of good trials is its own."""

    def __init__(self, **settings: Any) -> None:
        checking.known(
            "PedAnovaImportanceEvaluator",
            settings,
            ("target_quantile", "region_quantile", "baseline_quantile", "evaluate_on_local"),
        )
        super().__init__("ped_anova")


def get_param_importances(
    study: Study,
    *,
    evaluator: BaseImportanceEvaluator | None = None,
    params: Sequence[str] | None = None,
    target: Target | None = None,
    normalize: bool = True,
) -> dict[str, float]:
    """Return how much each parameter matters, the largest first.

    Args:
        study: with completed trials.
        evaluator: see this module's classes; by default fANOVA, the share of the variance.
        params: names to look at; None for all.
        target: what a trial is measured by, such as ``lambda t: t.duration.total_seconds()``; None for the
            objective's value, the first one of several.
        normalize: have the numbers add up to 1.

    Raises:
        StudyError: no trial has completed with a finite value; an unknown name in *params*.
        TypeError: no evaluator, or one's class.
    """
    used = evaluator if evaluator is not None else FanovaImportanceEvaluator()
    if isinstance(used, type) or not hasattr(used, "evaluate"):
        checking.one_of_kind(
            "get_param_importances: evaluator",
            used,
            BaseImportanceEvaluator,
            "FanovaImportanceEvaluator()",
        )
    if params is not None:
        known = {name for trial in _completed(study) for name in trial.params}
        for name in params:
            if name not in known:
                raise StudyError(
                    f"get_param_importances: params has {name!r}, which no completed trial has: expected "
                    f"{', '.join(map(repr, sorted(known))) or 'none'}.{nearest(name, known)}"
                )
        if not len(params):
            return {}
    found = used.evaluate(study, params, target=target)
    total = sum(found.values())
    if not normalize or not found:
        return found
    if not total:
        return dict.fromkeys(found, 1.0 / len(found))
    return {name: share / total for name, share in found.items()}


def _completed(study: Study) -> list[FrozenTrial]:
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))


def _history(study: Study, target: Target | None) -> History:
    """Return the completed trials as a study of its own, whose one objective is *target*.

    A few trials are taken several times over, as many as Luthier looks at.
    """
    own, goal = study.own.refresh(), study.own.objective
    measured: list[tuple[FrozenTrial, float]] = []
    for trial in _completed(study):
        value = float(target(trial)) if target is not None else (trial.values or [math.nan])[0]
        if math.isfinite(value):
            measured.append((trial, value))
    if not measured:
        raise StudyError(
            "get_param_importances: no trial has completed with a finite value, which it is measured by."
        )
    if len(measured) < FEWEST:
        warnings.warn(
            f"Importance from {len(measured)} trial(s) says little: {FEWEST} are the fewest to go by.",
            LuthierWarning,
            stacklevel=4,
        )
    minimized = target is not None or study.directions[0].name == "MINIMIZE"
    history = History()
    events: list[ev.AnyEvent] = [
        msgspec.structs.replace(
            own.header,
            metric=goal.metric,
            direction="minimize" if minimized else "maximize",
            space=own.space.to_dict(),
            also=[],
            subject_to=[],
        )
    ]
    for number in range(len(measured) * math.ceil(FEWEST / len(measured))):
        trial, value = measured[number % len(measured)]
        configuration = own.trials[trial.number].configuration
        events += _ended(number, configuration, {goal.metric: value})
    for at, event in enumerate(events):
        history.apply(at + 1, event)
    return history


def _ended(
    number: int, configuration: dict[str, Any], metrics: dict[str, float]
) -> list[ev.AnyEvent]:
    lease = number + 1
    return [
        ev.TrialProposed(time=0.0, trial=number, configuration=configuration, seen=0),
        ev.JobLeased(
            time=0.0, trial=number, lease=lease, holder=_NOBODY, from_step=0, to_step=None
        ),
        ev.Reported(time=0.0, trial=number, lease=lease, step=1, metrics=metrics),
        ev.TrialCompleted(time=0.0, trial=number, lease=lease, step=1),
    ]


__all__ = [
    "BaseImportanceEvaluator",
    "FanovaImportanceEvaluator",
    "MeanDecreaseImpurityImportanceEvaluator",
    "PedAnovaImportanceEvaluator",
    "get_param_importances",
]
__getattr__ = absent("importance", lambda: __all__)
