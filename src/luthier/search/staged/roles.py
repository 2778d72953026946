"""What a hyperparameter is, by its name, and the order in which an experienced tuner sets them.

The order of ``"one by one"`` goes by how much each usually matters; ``"ng"`` is Andrew Ng's, as Yu & Zhu
2020 report it (arXiv 2003.05689, section 2, table 1): the learning rate; momentum, hidden units and batch
size; layers and decay.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from luthier.errors import StudyError, nearest
from luthier.space import Space

RATE, BETA, BATCH, UNITS, LAYERS, DECAY, LAMBDA, OTHERS = (
    *("learning rate", "momentum", "batch size", "units"),
    *("layers", "decay", "regularisation", "others"),
)
ROLES = (RATE, BETA, BATCH, UNITS, LAYERS, DECAY, LAMBDA, OTHERS)

Order = tuple[tuple[str, ...], ...]
Given = TypeVar("Given")

ORDERS: dict[str, Order] = {
    "one by one": tuple((role,) for role in ROLES),
    "ng": ((RATE,), (BETA, UNITS, BATCH), (LAYERS, DECAY), (LAMBDA,), (OTHERS,)),
}

# The first that is found in a name, its words joined by "_", decides: weight decay is no decay.
_WORDS = (
    (LAMBDA, "weight_decay wd lambda l1 l2 dropout drop_rate regulari smoothing mixup augment"),
    (DECAY, "decay schedule anneal gamma warmup warm_up final_ratio final_lr min_lr cycle power"),
    (BETA, "momentum nesterov beta beta1 beta2 rho"),
    (BATCH, "batch bs"),
    (RATE, "learning_rate lr step_size eta optimizer optimiser solver peak"),
    (LAYERS, "layers depth blocks stages"),
    (
        UNITS,
        "units width hidden neurons filters channels heads embed dim nodes features kernel "
        "layer_size",
    ),
)
_OWN = re.compile(r"_?\d+$")  # units_1, units_2
_NAMES = re.compile(r"(^|_)(l|beta_?)\d$")  # a number that is part of the word
_NORM = re.compile(r"(^|_)(batch|layer|group)_norm[a-z]*")  # has no size and no number of layers
# In which layer, not how many there are.
_WHERE = re.compile(r"(^|_)(per_(layer|block|stage)|(layer|block|stage)_?\d+)(?=_|$)")


def role_of(name: str, among: Iterable[str] = ()) -> str:
    """Return which of ``ROLES`` the hyperparameter called *name* has.

    Args:
        name: full or short.
        among: all names; "alpha" is the learning rate, unless another hyperparameter is.
    """
    words = _words(name)
    if words == "rate":  # alone; there are drop rates and decay rates
        return RATE
    if words in ("alpha", "learning_alpha"):
        taken = any(_matched(_words(n)) == RATE and not _picks(n) for n in among)
        return LAMBDA if taken else RATE
    return _matched(words) or OTHERS


def role_in(name: str, space: Space, roles: Mapping[str, str]) -> str:
    """Return the role of the hyperparameter *name*: that in *roles*, by full names, or what it is called."""
    return roles.get(name) or role_of(name, space.searched)


def by_full_name(space: Space, given: Mapping[str, Given]) -> dict[str, Given]:
    """Return *given* under full names; a short one means all of what is searched and called so."""
    return {key: given[n] for key in space.searched for n in (space.short(key), key) if n in given}


def _words(name: str) -> str:
    short = Space.short(name).replace("-", "_")
    split = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", short).lower()
    split = _NORM.sub(r"\1norm", split)
    split = _WHERE.sub("", split).strip("_") or split
    return split if _NAMES.search(split) else _OWN.sub("", split)


def _matched(words: str) -> str:
    parts = words.split("_")
    for role, known in _WORDS:
        for word in known.split():
            if words == word or word in parts or (("_" in word or len(word) > 5) and word in words):
                return role
            one = word[:-1] if len(word) > 4 and word.endswith("s") else ""
            # A layer's units are units; n_layer and layer_count are how many layers there are.
            if one and one in parts and (role != LAYERS or parts[-1] in (one, "count")):
                return role
    return ""


def is_rate(name: str, space: Space, roles: Mapping[str, str]) -> bool:
    """Return True for the learning rate itself, which other hyperparameters shift the best value of."""
    return role_in(name, space, roles) == RATE and not _picks(name)


def _picks(name: str) -> bool:
    """Return True for the choice between optimizers."""
    return any(word in _words(name) for word in ("optim", "solver"))


def checked_order(order: str | Sequence[str | Sequence[str]]) -> Order:
    """Return groups of roles or of hyperparameters' names, in their order.

    Raises:
        StudyError: no such order, or something that is none.
    """
    if isinstance(order, str):
        if order not in ORDERS:
            raise StudyError(
                f"Stages: order must be one of {', '.join(map(repr, ORDERS))}, or a list of roles "
                f"({', '.join(map(repr, ROLES))}) and hyperparameters' names, got {order!r}."
                f"{nearest(order, ORDERS)}"
            )
        return ORDERS[order]
    groups = tuple((group,) if isinstance(group, str) else tuple(group) for group in order)
    once = [name for group in groups for name in group]
    if not once or not all(isinstance(n, str) and n for n in once) or len({*once}) < len(once):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise StudyError(
            f"Stages: order must name every role or hyperparameter once, in groups, got {order!r}."
        )
    return groups


def grouped(
    space: Space, order: Order, roles: Mapping[str, str]
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return the stages of *space*: each one's name and its hyperparameters, none of them empty.

    What the order does not name comes last, in a stage called "others".

    Raises:
        StudyError: *roles* or *order* has a hyperparameter or a role that there is not.
    """
    names = space.searched
    for name, role in roles.items():
        if role not in ROLES and role not in {r for group in order for r in group}:
            raise StudyError(
                f"Stages: {name!r} cannot be {role!r}: expected one of "
                f"{', '.join(map(repr, ROLES))}.{nearest(role, ROLES)}"
            )
    given = by_full_name(space, roles)
    found: list[tuple[str, tuple[str, ...]]] = []
    placed: set[str] = set()
    named = {word for group in order for word in group}
    for word in sorted(named - set(ROLES) - {*given.values()}):
        if all(word not in (key, space.short(key)) for key in space.domains):
            raise StudyError(
                f"Stages: the order has {word!r}, which is neither a role nor a hyperparameter of "
                f"the space.{nearest(word, [*ROLES, *space.domains])}"
            )
    for group in order:
        members = tuple(
            key
            for word in group
            for key in names
            if key not in placed
            and (
                word in (key, space.short(key))
                or (
                    not named & {key, space.short(key)}
                    and given.get(key, role_of(key, names)) == word
                )
            )
        )
        if members:
            found.append(
                (" and ".join(w for w in group if _any(w, members, given, space)), members)
            )
            placed |= set(members)
    if rest := tuple(key for key in names if key not in placed):
        found.append((OTHERS, rest))
    return tuple(found)


def _any(word: str, members: Sequence[str], given: Mapping[str, str], space: Space) -> bool:
    return any(
        word in (key, space.short(key), given.get(key, role_of(key, space.searched)))
        for key in members
    )
