"""JAX: all that a paused trial must remember, and its files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from luthier.errors import CheckpointError, StudyError
from luthier.train.random_state import random_state, set_random_state

Tree = Any

_ARRAYS, _LEAVES = "state.npz", "state.json"
_LOOKED_FOR = {
    "save",
    "restore",
    "inherit",
    "looks_at",
    "ready",
    "every_rank",
}  # by ``trial.epochs``


class State:
    """All that training must remember between two epochs, for ``trial.epochs(state)``.

    JAX's states are values that each step replaces, so put the newest ones back before the epoch
    ends; and when a trial goes on, read them from here::

        state = State(params=params, opt_state=opt_state, key=key)
        for epoch in trial.epochs(state):
            state.params, state.opt_state, state.key = train_epoch(
                state.params, state.opt_state, state.key
            )
            trial.report(val_loss=...)

    Each part is any tree of arrays, numbers and keys. A checkpoint is an npz file of the leaves, in
    the order of the tree, and a JSON file that names them; reading it executes no pickled code. The
    random state of Python and of numpy's global generator is kept too.
    """

    def __init__(self, **parts: Tree) -> None:
        """Name the parts; the same names must be given when a trial goes on.

        Raises:
            StudyError: no part, or one called as what ``trial.epochs`` looks for.
        """
        if not parts:
            raise StudyError(
                "State() holds nothing: expected its parts by name, such as "
                "State(params=params, opt_state=opt_state)."
            )
        if taken := parts.keys() & _LOOKED_FOR:
            raise StudyError(
                f"A part of State() cannot be called {min(taken)!r}, which trial.epochs() takes for something "
                "else: rename it."
            )
        vars(self).update(parts)

    def __getattr__(self, name: str) -> Tree:
        raise AttributeError(f"This state has no part {name!r}; it has {', '.join(vars(self))}.")

    def __setattr__(self, name: str, value: Tree) -> None:
        if name not in vars(self):
            self.__getattr__(name)
        vars(self)[name] = value

    def save(self, folder: Path, /) -> None:
        """Write every leaf and the random state into *folder*.

        Raises:
            StudyError: a leaf that is no array, number or key, such as a function.
            OSError: the files cannot be written.
        """
        paths, leaves = _flat(vars(self))
        notes = [_note(path, leaf) for path, leaf in zip(paths, leaves, strict=True)]
        arrays = {str(i): _bits(leaf) for i, leaf in enumerate(leaves)}
        np.savez(Path(folder) / _ARRAYS, **arrays)  # pyright: ignore[reportArgumentType]
        content = {"leaves": notes, "random": random_state()}
        (Path(folder) / _LEAVES).write_text(json.dumps(content))

    def restore(self, folder: Path, /) -> None:
        """Replace every leaf by the saved one, on the default device; set the random state.

        Raises:
            CheckpointError: no such files, a tree of another structure, or a leaf of another shape,
                dtype or kind of key.
        """
        paths, leaves = _flat(vars(self))
        notes, arrays, drawn = _read(Path(folder))
        _check_structure([note["path"] for note in notes], paths)
        read = [_leaf(n, a, leaf) for n, a, leaf in zip(notes, arrays, leaves, strict=True)]
        vars(self).update(jax.tree.unflatten(jax.tree.structure(vars(self)), read))
        set_random_state(drawn)

    def inherit(self, folder: Path, /) -> None:
        """Restore another trial's state, but for what optax's ``inject_hyperparams`` keeps in it.

        Raises:
            CheckpointError: as for ``restore``.
        """
        before = _flat(vars(self))
        self.restore(folder)
        _, leaves = _flat(vars(self))
        own = [
            old if ".hyperparams[" in path else new
            for path, old, new in zip(*before, leaves, strict=True)
        ]
        vars(self).update(jax.tree.unflatten(jax.tree.structure(vars(self)), own))


def _flat(tree: Tree) -> tuple[list[str], list[Any]]:
    found = jax.tree_util.tree_flatten_with_path(tree)[0]
    return [jax.tree_util.keystr(path) for path, _ in found], [leaf for _, leaf in found]


def is_key(leaf: Any) -> bool:
    """Return whether *leaf* holds keys of JAX's random numbers."""
    return isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _note(path: str, leaf: Any) -> dict[str, Any]:
    """Return what a leaf is, as JSON: enough to make it again from its bits, and to compare."""
    if is_key(leaf):
        kind = "key"
    elif isinstance(leaf, jax.Array):
        kind = "weak" if leaf.weak_type and leaf.ndim == 0 else "array"
    elif isinstance(leaf, np.ndarray | np.generic) and leaf.dtype.kind not in "OSUMm":
        kind = "numpy"
    elif type(leaf) in (bool, int, float, complex):
        kind = "number"
    else:
        raise StudyError(
            f"The state's leaf {path} is a {type(leaf).__name__}: expected arrays, numbers and "
            "keys. Keep functions and settings out of State(), such as with equinox.partition."
        )
    return {"path": path, "kind": kind, "dtype": _dtype(leaf), "shape": list(np.shape(leaf))}


def _dtype(leaf: Any) -> str:
    """Return the leaf's own dtype; for a number the one JAX computes with, for a key how its bits are made."""
    if is_key(leaf):
        return f"key<{jax.random.key_impl(leaf)}>"
    return str(leaf.dtype if hasattr(leaf, "dtype") else jnp.result_type(leaf))


def _computed(dtype: str, *, numpy: bool) -> str:
    """Return the dtype JAX computes with: numpy's float64 and a float32 that a step returned are one."""
    return str(jax.dtypes.canonicalize_dtype(jnp.dtype(dtype))) if numpy else dtype


def _bits(leaf: Any) -> np.ndarray:
    """Return a leaf as an array that npz can hold: bfloat16 and its like as unsigned integers."""
    array = np.asarray(jax.random.key_data(leaf) if is_key(leaf) else leaf)
    return array.view(f"u{array.itemsize}") if array.dtype.kind == "V" else array


def _leaf(note: dict[str, Any], bits: np.ndarray, now: Any) -> Any:
    """Return the saved leaf, after checking that it can take the place of *now*.

    Raises:
        CheckpointError: another shape or dtype.
    """
    is_numpy = isinstance(now, np.ndarray | np.generic)
    saved = _computed(note["dtype"], numpy=note["kind"] == "numpy"), tuple(note["shape"])
    there = _computed(_dtype(now), numpy=is_numpy), np.shape(now)
    if saved != there:
        raise CheckpointError(
            f"The checkpoint's {note['path']} is {saved[0]}{list(saved[1])}, the one that is there "
            f"now is {there[0]}{list(there[1])}. Build the state exactly as when it was saved, or "
            "start the study anew under another name."
        )
    if note["kind"] == "key":
        return jax.random.wrap_key_data(jnp.asarray(bits), impl=jax.random.key_impl(now))
    if note["kind"] == "number":
        return bits.item()
    array = bits.view(jnp.dtype(note["dtype"])) if bits.dtype != jnp.dtype(note["dtype"]) else bits
    if note["kind"] == "numpy":
        return array
    return jnp.asarray(array.item()) if note["kind"] == "weak" else jnp.asarray(array)


def _read(folder: Path) -> tuple[list[dict[str, Any]], list[np.ndarray], dict[str, Any]]:
    try:
        content = json.loads((folder / _LEAVES).read_text())
        with np.load(folder / _ARRAYS, allow_pickle=False) as file:
            found = [file[str(i)] for i in range(len(content["leaves"]))]
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{error.filename} is missing: this checkpoint was not written by luthier.jax.State."
        ) from error
    return content["leaves"], found, content["random"]


def _check_structure(saved: list[str], now: list[str]) -> None:
    if saved == now:
        return
    gone = [path for path in saved if path not in now]
    new = [path for path in now if path not in saved]
    lacks = [f"lacks {', '.join(gone[:5])}"] if gone else []
    adds = [f"adds {', '.join(new[:5])}"] if new else []
    raise CheckpointError(
        "The state's tree is not the one that was saved: it "
        f"{' and '.join(lacks + adds) or 'has its leaves in another order'}. Build it exactly as "
        "when it was saved, or start the study anew under another name."
    )
