"""One epoch as one compiled program: every batch of training in a scan, then the whole validation.

The same program trains one trial, or K of them side by side (``vmap``), each with its own weights,
numbers and order of the data; the data themselves are there once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax

from luthier.train.fused.numbers import Lifted, fingerprint

# Of JAX's own settings those that a trace does not show, but a compiled program follows.
_SETTINGS = (
    "jax_threefry_partitionable",
    "jax_default_matmul_precision",
    "jax_enable_x64",
    "jax_debug_nans",
    "jax_debug_infs",
)

Batch = tuple[Any, ...]
Numbers = list[list[Any]]
Step = Callable[[Any, Any], tuple[Any, Any]]


@dataclass(frozen=True)
class Steps:
    """What an epoch is made of, traced; a trial's own numbers are in it.

    Each is a function ``((weights, meters), batch) -> ((weights, meters), metrics)``. *weights* is all
    that a trial carries from epoch to epoch, *meters* what sums up metrics within one.

    Attributes:
        train: for a whole batch of training.
        rest: for the examples that fill no batch; None when there are none.
        test: for a whole batch of validation; None without validation.
        test_rest: for what is left over of it, or None.
        batch_size: examples in a batch of training, and
        test_size: in one of validation.
    """

    train: Lifted
    rest: Lifted | None
    test: Lifted | None
    test_rest: Lifted | None
    batch_size: int
    test_size: int

    @property
    def parts(self) -> tuple[Lifted | None, ...]:
        """Return the traces, always in the same order."""
        return (self.train, self.rest, self.test, self.test_rest)

    @property
    def numbers(self) -> Numbers:
        """Return this trial's numbers, part by part."""
        return [[] if part is None else part.numbers for part in self.parts]


class Epoch(NamedTuple):
    """What comes out of one epoch; metrics are stacked, one entry a whole batch, then the rest's."""

    weights: Any
    meters: Any
    trained: list[Any]
    tested: list[Any]


def key(steps: Steps, arguments: Sequence[Any]) -> str:
    """Return what names the program that *steps* need, for *arguments* (trees) of these shapes."""
    text = f"{steps.batch_size} {steps.test_size} {described(steps.parts, arguments)}"
    return hashlib.sha256(text.encode()).hexdigest()


def described(parts: Sequence[Lifted | None], arguments: Sequence[Any]) -> str:
    """Return all that a program made of *parts* hangs on, as text: them, JAX's settings, the shapes."""
    settings = [getattr(jax.config, name, None) for name in _SETTINGS]
    traces = ["-" if part is None else fingerprint(part) for part in parts]
    shapes = [f"{leaf.shape}{leaf.dtype}" for leaf in jax.tree.leaves(arguments)]
    return f"{settings} {traces} {jax.tree.structure(arguments)} {shapes}"


def epoch(
    steps: Steps,
    weights: Any,
    meters: Any,
    numbers: Numbers,
    order: Any,
    train: Batch,
    test: Batch | None,
) -> Epoch:
    """Train one trial for an epoch and measure it; to be compiled.

    Args:
        steps: as traced; only their structure is used.
        weights: of the trial.
        meters: at zero.
        numbers: of the trial.
        order: numbers of rows, shape (examples,).
        train: arrays of all training examples.
        test: arrays of all validation examples, or None.
    """
    first, rest, test_first, test_rest = (
        None if part is None else partial(part, own)
        for part, own in zip(steps.parts, numbers, strict=True)
    )
    rows = _cut(order, steps.batch_size)
    state, trained = _through(
        (weights, meters), first, rest, rows, lambda rows: tuple(part[rows] for part in train)
    )
    if test is None:
        return Epoch(state[0], state[1], trained, [])
    cut = [_cut(part, steps.test_size) for part in test]
    batches = tuple(whole for whole, _ in cut), tuple(left for _, left in cut)
    state, tested = _through((state[0], meters), test_first, test_rest, batches, tuple)
    return Epoch(state[0], state[1], trained, tested)


def through(
    step: Lifted, size: int, state: Any, numbers: Sequence[Any], arrays: Batch
) -> tuple[Any, Any]:
    """Take *state* through arrays in batches of *size*, which leaves no rows over; to be compiled.

    Returns:
        The state, and the metrics, stacked.
    """
    whole = tuple(_cut(part, size)[0] for part in arrays)
    return jax.lax.scan(partial(step, numbers), state, whole)


def _through(
    state: Any, step: Step | None, rest: Step | None, items: Any, batch: Callable[[Any], Any]
) -> tuple[Any, list[Any]]:
    """Take *state* through all batches; *items* are those that are whole, and what is left over."""
    whole, left = items
    metrics: list[Any] = []

    def one(state: Any, item: Any) -> Any:
        assert step is not None
        return step(state, batch(item))

    if len(jax.tree.leaves(whole)[0]):
        state, stacked = jax.lax.scan(one, state, whole)
        metrics.append(stacked)
    if rest is not None:
        state, last = rest(state, batch(left))
        metrics.append(last)
    return state, metrics


def _cut(array: Any, size: int) -> tuple[Any, Any]:
    """Return *array* as (batches, size, ...), and the rows that are left over."""
    whole = len(array) // size * size
    return array[:whole].reshape(-1, size, *array.shape[1:]), array[whole:]
