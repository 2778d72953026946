"""JAX: a loop for data that fits in memory."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np

from luthier.errors import CheckpointError, StudyError
from luthier.space import HyperParameters
from luthier.study.records import TrialRecord
from luthier.study.study import Study
from luthier.study.trial import Trial
from luthier.train.data import (
    check_lengths,
    checked_size,
    even_size,
    in_memory,
    joined,
    one_pair,
    order_of,
)
from luthier.train.fused.choice import Fused
from luthier.train.fused.experience import runs_apart, wanted_width
from luthier.train.fused.jax_epochs import Epochs, traced
from luthier.train.fused.loaded import on_device, placed
from luthier.train.fused.side_by_side import run, started
from luthier.train.fused.turns import Turn
from luthier.train.horizons import asked_again
from luthier.train.jax_state import State, Tree, is_key
from luthier.train.random_state import same_random_state

Batch = tuple[jax.Array, jax.Array]
Metrics = Mapping[str, Any]
Build = Callable[[HyperParameters, jax.Array], Any]
Step = Callable[[Tree, Batch], tuple[Tree, Metrics]]
Evaluate = Callable[[Tree, Batch], Metrics]
Pair = tuple[np.ndarray, np.ndarray]

_EVALUATED_AT_ONCE = 512
_EVALUATED_BYTES = (
    2**25
)  # of inputs; of large ones fewer are evaluated at once, unless steps have more


@dataclass(frozen=True, eq=False)
class Training:
    """Trains what ``build(hp, key)`` returns on arrays in memory; called with each trial.

    Attributes:
        build: returns (state, step, evaluate).
        train: inputs (n, ...) and targets (n, ...).
        validation: the same, of other examples.
        batch_size: rows a step, unless there is a hyperparameter of that name.
        fused: whether trials share programs, and how many run side by side.
    """

    build: Build
    train: Pair
    validation: Pair
    batch_size: int = 64
    fused: Fused = "auto"

    def __call__(self, trial: Trial) -> None:
        """Train one job of *trial*: from its checkpoint to the end of its rung."""
        for turn in self.begin(trial):
            turn.run()

    def begin(self, trial: Trial) -> Generator[Turn]:
        """Train *trial*, but for its epochs: each is yielded for the caller to have it run."""
        tree, step, evaluate = _built(self.build(trial.hp, jax.random.key(trial.seed)))
        size = min(checked_size(trial.get("batch_size", self.batch_size)), len(self.train[0]))
        state = State(state=jax.tree.map(_settled, tree))
        epochs = self._epochs(state, partial(_step, step), partial(_measure, evaluate), size)
        for epoch in trial.epochs(state):
            yield Turn(epochs, epoch, trial.seed_of(epoch), None)
            trained, measured = map(_joined, epochs.metrics)
            metrics = _means(trained, [size] * (len(self.train[0]) // size))
            means = _means(measured, _sizes(len(self.validation[0]), self._at_once(size)))
            trial.report({**metrics, **{f"val_{name}": value for name, value in means.items()}})

    def abreast(self, study: Study, due: Sequence[Turn]) -> int:
        """Return how many trials to train side by side in one process, as far as is known by now.

        Args:
            study: whose trials they are.
            due: epochs of those that are under way.
        """
        return 1 if self.fused is False else wanted_width(self.fused, study, due)

    def started(self, turn: Turn) -> Callable[[], Exception | None] | None:
        """Have an epoch run beside others, and return what waits for it; None: run all that are due."""
        return started(turn) if runs_apart(self.fused) else None

    def together(self, several: Sequence[Turn]) -> list[Exception | None]:
        """Run an epoch of several trials, and return for each what went wrong with it alone."""
        return run(several)

    def _epochs(self, state: State, step: Step, evaluate: Evaluate, size: int) -> Epochs | _Plain:
        """Return what trains one epoch: in a program that trials share, or in one of its own."""
        order = partial(_order, len(self.train[0]), size)
        sizes = size, self._at_once(size)
        if self.fused is not False:
            places = placed(self.train, self.validation)
            steps = traced(step, evaluate, state.state, places.shapes, sizes)
            if steps is not None:
                return Epochs(state, steps, order, places)
        data = on_device(self.train), on_device(self.validation)
        return _Plain(state, step, evaluate, order, data, sizes)

    def _at_once(self, size: int) -> int:
        inputs = self.validation[0]
        few = max(1, _EVALUATED_BYTES // max(1, inputs[0].nbytes))
        return even_size(len(inputs), max(size, min(_EVALUATED_AT_ONCE, few)))

    def ask(self, hp: HyperParameters) -> None:
        """Build once, only to hear which hyperparameters ``build`` asks for."""
        _built(self.build(hp, jax.random.key(0)))

    @property
    def examples(self) -> int:
        """Return how many training examples there are."""
        return len(self.train[0])

    def on_all(self, data: Any = None) -> Training:
        """Return this training on *data* (x, y), by default on training and validation data together.

        Raises:
            StudyError: *data* of another form, or the two parts differ in their examples' shape.
        """
        if data is None:
            data = joined(self.train, self.validation)
        return replace(self, train=_pair(*one_pair(data), "training"))

    def load(self, record: TrialRecord, folder: Path, study: Study) -> Tree:
        """Return the state of a trial's checkpoint, on the default device.

        Raises:
            CheckpointError: the file is missing, or ``build`` makes another state now.
        """
        hp = asked_again(study, record, _never)
        tree, _, _ = _built(self.build(hp, jax.random.key(0)))
        state = State(state=jax.tree.map(_settled, tree))
        with same_random_state():
            state.restore(folder)
        return state.state


def arrays(data: Any) -> tuple[Pair, Pair]:
    """Return training and validation data as numpy arrays.

    Args:
        data: a ``luthier.datasets.Dataset``, or ((x, y), (x_val, y_val)) of arrays, examples along
            the first axis.

    Raises:
        StudyError: another form, no example, or inputs and targets of different lengths.
    """
    (x, y), (x_val, y_val) = in_memory(data)
    return _pair(x, y, "training"), _pair(x_val, y_val, "validation")


# -- training --------------------------------------------------------------------------------------


def _built(parts: Any) -> tuple[Tree, Step, Evaluate]:
    if isinstance(parts, tuple) and len(cast(tuple[Any, ...], parts)) == 3:
        state, step, evaluate = cast(tuple[Any, Any, Any], parts)
        if all(map(callable, (step, evaluate))):
            return state, step, evaluate
    raise StudyError(
        "build(hp, key) must return (state, step, evaluate), the last two functions of "
        f"(state, batch); got {type(parts).__name__}."
    )


class _Plain:
    """Trains a trial whose program nobody shares, because it calls Python or is not to be fused."""

    def __init__(
        self,
        state: State,
        step: Step,
        evaluate: Evaluate,
        order: Callable[[int], np.ndarray],
        data: tuple[Any, Any],
        sizes: tuple[int, int],
    ) -> None:
        self._state, self._order, self._data = state, order, data
        self._train = jax.jit(partial(_train_epoch, step, sizes[0]))
        self._measure = jax.jit(partial(_evaluate, evaluate, sizes[1]))
        self.metrics: tuple[list[Any], list[Any]] = [], []

    def __call__(self, epoch: int, seed: int, listeners: None) -> None:
        train, validation = self._data
        self._state.state, trained = self._train(self._state.state, train, self._order(seed))
        self.metrics = [trained], self._measure(self._state.state, validation)


def _order(examples: int, size: int, seed: int) -> np.ndarray:
    """Return the rows of all batches, (batches x size,): a permutation without its ragged tail."""
    return order_of(examples, seed)[: examples // size * size].astype(np.int32)


def _step(step: Step, state: Tree, batch: Batch) -> tuple[Tree, Metrics]:
    state, metrics = step(state, batch)
    return state, _named(metrics, "step(state, batch) must return (state, metrics)")


def _measure(evaluate: Evaluate, state: Tree, batch: Batch) -> Metrics:
    return _named(evaluate(state, batch), "evaluate(state, batch) must return metrics")


def _train_epoch(
    step: Step, size: int, state: Tree, data: Batch, order: jax.Array
) -> tuple[Tree, Metrics]:
    """Scan *step* over an epoch's batches; metrics come back stacked, one entry a step."""

    def one(state: Tree, rows: jax.Array) -> tuple[Tree, Metrics]:
        return step(state, (data[0][rows], data[1][rows]))

    return jax.lax.scan(one, state, order.reshape(-1, size))


def _evaluate(evaluate: Evaluate, size: int, state: Tree, data: Batch) -> list[Metrics]:
    """Measure every example once; metrics come back stacked, then those of what is left over."""
    examples = len(data[0])
    whole = examples // size * size

    def one(_: None, batch: Batch) -> tuple[None, Metrics]:
        return None, evaluate(state, batch)

    def batches(part: jax.Array) -> jax.Array:
        return part[:whole].reshape(-1, size, *part.shape[1:])

    metrics = [jax.lax.scan(one, None, (batches(data[0]), batches(data[1])))[1]]
    if whole < examples:
        metrics.append(evaluate(state, (data[0][whole:], data[1][whole:])))
    return metrics


def _joined(parts: list[Metrics]) -> Metrics:
    """Return one entry a batch for each metric."""
    found = jax.device_get(parts)
    return {name: np.concatenate([np.ravel(p[name]) for p in found]) for name in found[0]}


def _named(metrics: Any, expected: str) -> dict[str, Any]:
    if not isinstance(metrics, Mapping):
        raise StudyError(
            f"{expected}, a dictionary such as {{'loss': ..., 'accuracy': ...}}; got metrics that "
            f"are a {type(metrics).__name__}."
        )
    named = dict(cast(Mapping[str, Any], metrics))
    for name, value in named.items():
        if jnp.shape(value) != ():
            raise StudyError(
                f"Metric {name!r} has shape {jnp.shape(value)}: expected one number, the mean over "
                "the batch."
            )
    return named


def _sizes(examples: int, size: int) -> list[int]:
    whole, rest = divmod(examples, size)
    return [size] * whole + [rest] * (rest > 0)


def _means(stacked: Metrics, weights: list[int]) -> dict[str, float]:
    return {
        name: float(np.average(np.asarray(values, np.float64), weights=weights))
        for name, values in stacked.items()
    }


def _pair(x: Any, y: Any, name: str) -> Pair:
    inputs, targets = np.asarray(x), np.asarray(y)
    check_lengths(name, inputs, targets)
    return inputs, targets


def _settled(leaf: Any) -> jax.Array:
    """Return a leaf as an array whose dtype is its own, not one that yields to its partner's.

    A training that goes on from a checkpoint then computes in the same dtypes as one that does not.
    """
    array = jnp.asarray(leaf)
    return array if is_key(array) else jax.lax.convert_element_type(array, array.dtype)


def _never(key: str, domain: object) -> Any:
    raise CheckpointError(
        f"build(hp, key) now asks for {key!r}, which the trial did not have: it is not the build "
        "function that the study was made with."
    )
