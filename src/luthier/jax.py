"""Tuning JAX models: ``tune`` for data in memory, ``State`` for a loop of your own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from luthier.app.result import Result
from luthier.app.tune import tune as tune_training
from luthier.craft.range_finder import RangeTest, read, sweep_rates
from luthier.run.recording import out_of_memory
from luthier.space import Space, discover
from luthier.train.fused.choice import Fused, checked_fused
from luthier.train.horizons import most_epochs

try:
    from luthier.train.data import check_end
    from luthier.train.jax import Build, Training, arrays, checked_size
    from luthier.train.jax_range import RatedStep
    from luthier.train.jax_range import sweeps as jax_sweeps
    from luthier.train.jax_state import State
except ModuleNotFoundError as error:
    if error.name != "jax":
        raise
    raise ModuleNotFoundError(
        "luthier.jax needs JAX: pip install 'luthier[jax]'", name="jax"
    ) from error

__all__ = ["State", "find_learning_rate", "tune"]


def tune(
    build: Build,
    data: Any,
    *,
    maximize: str | Sequence[str] | None = None,
    minimize: str | Sequence[str] | None = None,
    epochs: int | None = None,
    batch_size: int = 64,
    space: Space | Mapping[str, Any] | None = None,
    fused: Fused = "auto",
    **options: Any,
) -> Result:
    """Find good hyperparameters of a JAX model, whichever library it is written with.

    ::

        def build(hp, key):
            rate = hp.float("learning_rate", 1e-4, 1e-1, scale="log")
            params = make_params(key, hp.int("units", 32, 512))

            def step(params, batch):
                loss, gradient = jax.value_and_grad(loss_of)(params, batch)
                return jax.tree.map(lambda p, g: p - rate * g, params, gradient), {"loss": loss}

            def evaluate(params, batch):
                return {"loss": loss_of(params, batch), "accuracy": accuracy_of(params, batch)}

            return params, step, evaluate

        result = luthier.jax.tune(build, data, epochs=10, max_trials=20)

    *step* and *evaluate* are compiled here: a whole epoch is one ``jax.lax.scan``, and trials that
    differ only in numbers share one program. Each epoch sees the training examples once, in an order of
    its own, in batches of equal size; the few
    that are left over are other ones in the next epoch. Evaluation sees each example exactly once.
    Reported after each epoch: the mean of *step*'s metrics under their own names, and of
    *evaluate*'s as ``val_...``. On the CPU, a trial that was paused and went on has the same
    numbers, bit for bit, as one that was not.

    Args:
        build: ``build(hp, key)`` returns (state, step, evaluate): a tree of arrays;
            ``step(state, (x, y))`` that returns the next state and a dictionary of the batch's mean
            metrics; and ``evaluate(state, (x, y))`` that returns such a dictionary. *key* is made
            from the trial's seed.
        data: a ``luthier.datasets.Dataset``, or ((x, y), (x_val, y_val)) of arrays, examples along
            the first axis.
        maximize: the metric to make large, by default ``"val_accuracy"``; or
        minimize: the metric to make small.
        epochs: the most epochs one trial trains; a scheduler such as ``Hyperband(epochs=27)`` holds
            its own.
        batch_size: examples a step; a hyperparameter called ``batch_size`` wins over it.
        space: what is searched; by default what ``build`` asks ``hp`` for.
        fused: "auto" lets trials of the same shapes share one compiled program, and trains several at a
            time where that is faster and no proposal is the worse for it; a number says how many,
            False lets each compile its own. See ``docs/fused.md``.
        **options: as in ``luthier.tune``: name, searcher, scheduler, workers, max_trials,
            max_epochs, max_time, seed, storage, progress.

    Returns:
        The result; ``result.model()`` is the best trial's state at its best epoch.

    Raises:
        StudyError: data, a batch size or a setting that cannot be; no *epochs*.
        Exception: whatever ``build`` raises.
    """
    check_end(epochs, options.get("scheduler"))
    train, validation = arrays(data)
    training = Training(build, train, validation, checked_size(batch_size), checked_fused(fused))
    if found := space is None:
        horizon = most_epochs(epochs, options.get("scheduler"))
        space = discover(training.ask, unfit=out_of_memory, horizon=horizon)
    return tune_training(
        training,
        space,
        maximize="val_accuracy" if maximize is None and minimize is None else maximize,
        minimize=minimize,
        epochs=epochs,
        load=training.load,
        data_size=len(train[0]),
        define_by_run=found,
        **options,
    )


def find_learning_rate(
    step: RatedStep,
    state: Any,
    data: Any,
    *,
    batch_size: int = 64,
    low: float = 1e-6,
    high: float = 100.0,
    steps: int = 160,
    sweeps: int = 3,
    seed: int = 0,
) -> RangeTest:
    """Find a learning rate, and the range to search, by a range test.

    ::

        def step(state, batch, rate):
            params, moments = state
            loss, gradient = jax.value_and_grad(loss_of)(params, batch)
            update, moments = adam.update(gradient, moments)  # optax.scale_by_adam()
            params = jax.tree.map(lambda p, u: p - rate * u, params, update)
            return (params, moments), loss

        found = luthier.jax.find_learning_rate(step, (params, adam.init(params)), (x, y))
        print(found.explain())

    The state is a value, so it stays as it is; no global random generator is drawn from.

    Args:
        step: ``step(state, (x, y), rate)`` returns the next state, and the batch's mean loss or a
            dictionary with it as ``"loss"``. It is compiled here.
        state: a tree of arrays; or a function of a key that makes one, and each sweep begins anew.
        data: ``(x, y)`` arrays, or what ``tune`` takes.
        batch_size: examples a step: the one you will train with, since the rate depends on it.
        low: the first rate.
        high: the last one, unless the sweep stops at divergence before it.
        steps: rates a sweep tries, a batch each; 20 a decade are good.
        sweeps: how many are averaged, each over other batches.
        seed: of the order of the batches, and of the keys.

    Returns:
        The ``RangeTest``: ``.suggestion``, ``.domain()``, ``.explain()``, ``.picture()``.

    Raises:
        StudyError: rates, sizes or data that cannot be.
    """
    rates = sweep_rates(low, high, steps, sweeps)
    losses = jax_sweeps(step, state, data, rates, batch_size=batch_size, count=sweeps, seed=seed)
    return read(rates, losses)
