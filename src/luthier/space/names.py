"""Names: what the user calls a hyperparameter, and its full name in the space."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from luthier.errors import SpaceError, nearest
from luthier.space.options import Constant

if TYPE_CHECKING:
    from luthier.space.space import Space


def qualified(space: Space, configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Return *configuration* under full names; a short one means its active namesake.

    Raises:
        SpaceError: a name that means none, or several; a hyperparameter that is given twice.
    """
    if not isinstance(configuration, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise SpaceError(
            f"A configuration is values by name, {{name: value}}, not {configuration!r}."
        )
    given = {k: v for k, v in configuration.items() if k in space.domains}
    called: dict[Any, list[str]] = {k: [] for k in configuration if k not in space.domains}
    active: dict[Any, list[str]] = {name: [] for name in called}
    known: dict[str, Any] = {}  # so far, in the parents' own types: parents come first
    for key, domain in space.domains.items():
        name = space.short(key)
        if name in called:
            called[name].append(key)
        if space.is_active(key, known):
            if name in active:
                active[name].append(key)
            if isinstance(domain, Constant):
                known[key] = domain.value
            elif key in given or name in called:
                value = given[key] if key in given else configuration[name]
                if domain.contains(value):
                    known[key] = domain.check(key, value)
    for name, keys in called.items():
        meant = active[name] or keys
        if not meant:
            hint = nearest(str(name), [*space.domains, *map(space.short, space.domains)])
            raise SpaceError(f"The space has no hyperparameter {name!r}.{hint}")
        if len(meant) > 1:
            raise SpaceError(
                f"{name!r} could be any of {', '.join(meant)}: give it by its full name."
            )
        if meant[0] in given:
            raise SpaceError(f"The configuration gives {meant[0]} twice.")
        given[meant[0]] = configuration[name]
    return given
