"""Whether a study that is opened again is the one that it was: the same space, goals, parts and seed."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Callable, Mapping
from typing import Any, cast

from luthier.errors import StudyError
from luthier.schedule import SCHEDULERS
from luthier.search import SEARCHERS
from luthier.space import Space
from luthier.study import events as ev
from luthier.study.objective import Objective

_STEER = " What it searches is changed by `luthier space {} NAME=LOW..HIGH`; what was tried stays."


def check_same(
    stored: ev.StudyCreated, wanted: ev.StudyCreated, present: Callable[[], Space]
) -> None:
    """Refuse to go on with a study under other conditions.

    Its space may be given as it was when the study was made, or as it is at *present*. (That of code which
    says what it asks for while it runs is no condition: see ``beginning``.)

    Raises:
        StudyError: naming every difference.
    """
    differences: list[str] = []
    spaces: list[str] = []
    if stored.space != wanted.space and (space := present()).to_dict() != wanted.space:
        spaces = _space_differences(space, wanted)
    differences += spaces
    old, new = (Objective(h.metric, h.direction) for h in (stored, wanted))  # type: ignore[arg-type]
    for what, before, now in (
        ("objective", str(old), str(new)),
        ("other objectives", stored.also, wanted.also),
        ("subject_to", stored.subject_to, wanted.subject_to),
        ("noisy", stored.noisy, wanted.noisy),
        ("searcher", *(_settled(part.searcher, SEARCHERS) for part in (stored, wanted))),
        ("scheduler", *(_settled(part.scheduler, SCHEDULERS) for part in (stored, wanted))),
        ("seed", stored.seed, wanted.seed),
        ("halve", stored.halve, wanted.halve),
        ("checkpoints", stored.checkpoints, wanted.checkpoints or stored.checkpoints),
    ):
        if before != now:
            differences.append(f"{what} was {_in_words(before)}, is now {_in_words(now)}")
    if differences:
        raise StudyError(
            f"Study {stored.name!r} exists with other settings: {'; '.join(differences)}. "
            "Use the same ones to go on with it, or give this study another name."
            + (_STEER.format(shlex.quote(stored.name)) if spaces else "")
        )


def _settled(spec: dict[str, Any], registry: Mapping[str, type]) -> dict[str, Any]:
    """Return a searcher or scheduler with the settings that did not exist yet when its study was made."""
    kind: Any = registry.get(spec["name"])
    if kind is None:
        return spec
    fields = [f for f in dataclasses.fields(kind) if f.init and f.name not in spec]
    return {**spec, **{f.name: f.default for f in fields if f.default is not dataclasses.MISSING}}


def _in_words(setting: Any) -> str:
    """Return a setting as it would be written in a call."""
    if not isinstance(setting, dict) or "name" not in setting:
        return repr(setting)
    name, *others = cast("dict[str, Any]", setting).items()
    return f"{name[1]!r}" + "".join(f", {key}={value!r}" for key, value in others)


def _space_differences(before: Space, wanted: ev.StudyCreated) -> list[str]:
    now = Space.from_dict(wanted.space)
    words = [
        f"{key} was {before.domains[key]!r}, is now {now.domains[key]!r}"
        for key in before.domains
        if key in now.domains and before.domains[key] != now.domains[key]
    ]
    words += [f"{key} is gone" for key in before.domains if key not in now.domains]
    words += [f"{key} is new" for key in now.domains if key not in before.domains]
    return words or ["the order or the constraints of the space changed"]
