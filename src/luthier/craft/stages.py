"""Stages: tune in the order in which hyperparameters matter, and be told what each stage has shown.

``luthier.tune(..., staged=True)``, or ``staged=Stages(order="ng")``, in every door of Luthier; the searcher
itself is in ``search/staged``. This is where the plan is made to be read, and the story told.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from luthier.craft.changes import differences
from luthier.errors import StudyError
from luthier.search.staged import Stages, grouped
from luthier.search.staged.planning import least
from luthier.search.staged.roles import ORDERS, ROLES, checked_order, role_of
from luthier.search.staged.settings import JOINT
from luthier.search.staged.starting import check_names, check_start
from luthier.space import Space
from luthier.study.history import History
from luthier.study.protocols import Searcher
from luthier.study.records import SpaceRecord, StageRecord

WIDEN = "LUTHIER_WIDEN"  # set by ``luthier tune --widen`` (yes) and ``--no-widen`` (no)
VARIABLE = "LUTHIER_STAGED"  # set by ``luthier tune --staged``: the order, by its name


def planned(
    space: Space | Mapping[str, Any], stages: Stages | None = None, *, max_trials: int | None = None
) -> list[tuple[str, tuple[str, ...], int]]:
    """Return the stages that a study would begin with: name, hyperparameters, the fewest trials.

    What the trials show may change their order, or leave some out. Those at the end that *max_trials*
    does not hold are left out here; the last, "all together", has what is kept for it.

    Args:
        space: what is searched.
        stages: how it is divided; by default ``Stages()``.
        max_trials: of the whole study; None for no limit.

    Raises:
        StudyError: the order, the roles or the start name what the space does not have.
    """
    stages = stages or Stages()
    whole = space if isinstance(space, Space) else Space(space)
    check_names(stages.roles, "roles", whole)
    check_names(stages.start, "start", whole)
    check_start(stages.start, whole)
    left = None if max_trials is None else max_trials - -(-max_trials * stages.joint // 1)
    found: list[tuple[str, tuple[str, ...], int]] = []
    for name, members in grouped(whole, checked_order(stages.order), stages.roles):
        need = least(len(members))
        if left is not None and need > left:
            break
        left = None if left is None else left - need
        found.append((name, members, need))
    rest = 0 if max_trials is None else max_trials - sum(need for *_, need in found)
    return [*found, (JOINT, tuple(whole.searched), rest)]


def story(history: History) -> list[str]:
    """Return the study in paragraphs: each stage, why it came, what it showed; changes of the space."""
    told = [
        (
            stage.first,
            f"{stage.begun.stage + 1}. {stage.name} ({_about(stage)}): {stage.begun.reason}. "
            f"{stage.conclusion or f'{stage.trials} trials so far.'}",
        )
        for stage in history.stages
    ]
    # A change between two stages comes before the one that began with it.
    changes: list[tuple[float, str]] = []
    for index, record in enumerate(history.changes):
        before = history.changes[index - 1].change.space if index else history.header.space
        grew = history.header.define_by_run
        changes.append((record.first - 0.5, _changed(record, Space.from_dict(before), grew=grew)))
    return [paragraph for _, paragraph in sorted([*told, *changes], key=lambda pair: pair[0])]


def _changed(record: SpaceRecord, before: Space, *, grew: bool) -> str:
    """Return a change of the space in words.

    *before* is the space until then, but for what it *grew* by meanwhile: what its code had asked for.
    """
    change = record.change
    how = "widened by itself" if change.itself else "changed by hand"
    who = f", by {change.who}" if change.who else ""
    said = f"After {record.first} trials the space was {how}{who}"
    if change.itself:  # its reason says what it did
        return f"{said}: {change.reason}."
    after = Space.from_dict(change.space)
    if grew:
        after = Space({name: d for name, d in after.domains.items() if name in before.domains})
    moved = "; ".join(differences(before, after))
    if not moved:
        return f"{said}: {change.reason or 'no reason given'}."
    return f"{said}: {moved}" + (f" ({change.reason})." if change.reason else ".")


def may_widen(widen: bool | None, environment: Mapping[str, str]) -> bool | None:
    """Return whether ``tune``'s argument, or the ``luthier tune`` command, lets a study widen its space.

    Args:
        widen: the argument; None where it was left out.
        environment: the process's.
    """
    said = environment.get(WIDEN, "")
    return said == "yes" if widen is None and said else widen


def _about(stage: StageRecord) -> str:
    names = ", ".join(map(Space.short, stage.hyperparameters))
    live = ", ".join(map(Space.short, stage.begun.live))
    return f"{names}; {live} live" if live else names


def searcher_for(
    staged: bool | Stages, searcher: str | Searcher | None, environment: Mapping[str, str]
) -> str | Searcher | None:
    """Return the searcher that ``tune``'s arguments, or the ``luthier tune`` command, ask for.

    Args:
        staged: True for ``Stages()``.
        searcher: the one that was asked for besides; None for none.
        environment: the process's.

    Raises:
        StudyError: both were asked for.
    """
    order = environment.get(VARIABLE, "")
    if staged is False and not order:
        return searcher
    chosen = staged if isinstance(staged, Stages) else Stages(order=order or "one by one")
    if searcher is not None and searcher != chosen and searcher != "stages":
        raise StudyError(
            f"searcher={searcher!r} was given beside stages, which search themselves: give one of them."
        )
    return chosen


__all__ = [
    "ORDERS",
    "ROLES",
    "VARIABLE",
    "WIDEN",
    "StageRecord",
    "Stages",
    "checked_order",
    "may_widen",
    "planned",
    "role_of",
    "searcher_for",
    "story",
]
