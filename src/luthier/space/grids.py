"""Grids: every combination of a few values of each hyperparameter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from luthier.errors import SpaceError, nearest
from luthier.space.options import Bool, Choice

if TYPE_CHECKING:
    from luthier.space.space import Space

_LARGEST = 1_000_000
Count = Mapping[str, int] | int | None


def grid_points(space: Space, values: Mapping[str, list[Any]]) -> Iterator[dict[str, Any]]:
    """Iterate over the combinations that are active together and satisfy the constraints."""
    keys = list(space)

    def fill(index: int, configuration: dict[str, Any]) -> Iterator[dict[str, Any]]:
        if index == len(keys):
            if space.satisfies(configuration):
                yield dict(configuration)
            return
        key = keys[index]
        if not space.is_active(key, configuration):
            yield from fill(index + 1, configuration)
            return
        for value in values[key]:
            yield from fill(index + 1, {**configuration, key: value})

    return fill(0, {})


def grid_values(space: Space, count: Count) -> dict[str, list[Any]]:
    """Return the values that each hyperparameter takes in the grid.

    Raises:
        SpaceError: a continuous hyperparameter without a count, a count that is none, or more than a
            million points.
    """
    by_name = _checked_count(space, count)
    values: dict[str, list[Any]] = {}
    for key, domain in space.domains.items():
        wanted = by_name.get(key, count if isinstance(count, int) else None)
        if isinstance(domain, Choice | Bool):
            wanted = None
        if wanted is None and domain.cardinality is None:
            raise SpaceError(
                f"A grid over {key}={domain.free!r} has no end: give it a step, or say how many "
                f"values it takes, Grid(count={{{key!r}: 3}})."
            )
        if min(n for n in (wanted, domain.cardinality) if n is not None) > _LARGEST:
            raise _too_large(f"{key} alone has more than {_LARGEST:,} points")
        values[key] = domain.values(wanted)
    _check_size(space, values)
    return values


def _checked_count(space: Space, count: Count) -> Mapping[str, int]:
    by_name: Mapping[str, int] = count if isinstance(count, Mapping) else {}
    for name, number in by_name.items() if isinstance(count, Mapping) else [("", count)]:
        if name and name not in space:
            raise SpaceError(
                f"The grid's count names {name!r}, which the space does not have."
                f"{nearest(str(name), space)}"
            )
        whole = isinstance(number, int) and not isinstance(number, bool) and number >= 1
        if not whole and number is not None:
            raise SpaceError(
                f"The grid's count must be a whole number above 0, got {number!r}"
                + (f" for {name!r}." if name else ".")
            )
    return by_name


def _check_size(space: Space, values: Mapping[str, list[Any]]) -> None:
    """Refuse too large a grid before it is made: only parents are gone through one by one."""
    keys = list(space)
    parents = {parent for domain in space.domains.values() for parent, _ in domain.condition}
    total = 0

    def count(index: int, configuration: dict[str, Any], points: int) -> None:
        nonlocal total
        for i in range(index, len(keys)):
            key = keys[i]
            if not space.is_active(key, configuration):
                continue
            if key in parents:
                for value in values[key]:
                    count(i + 1, {**configuration, key: value}, points)
                return
            points *= len(values[key])
        total += points
        if total > _LARGEST:
            raise _too_large(f"it has more than {_LARGEST:,} points")

    count(0, {}, 1)


def _too_large(why: str) -> SpaceError:
    return SpaceError(
        f"The grid is too large, {why}: grids are for two or three hyperparameters with a few "
        "values; use searcher='random'."
    )
