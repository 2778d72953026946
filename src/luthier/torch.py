"""Tuning PyTorch models: ``tune`` for data in memory, ``State`` for a loop of your own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from luthier.app.result import Result
from luthier.app.tune import tune as tune_training
from luthier.craft.range_finder import RangeTest, read, sweep_rates
from luthier.run.recording import out_of_memory
from luthier.space import Space, discover
from luthier.train.horizons import most_epochs

try:
    from luthier.train.data import check_end
    from luthier.train.torch import Build, Loss, Training, checked_size, tensors
    from luthier.train.torch_range import sweeps as torch_sweeps
    from luthier.train.torch_state import State
except ModuleNotFoundError as error:
    if error.name != "torch":
        raise
    raise ModuleNotFoundError(
        "luthier.torch needs PyTorch: pip install 'luthier[torch]'", name="torch"
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
    loss: Loss | None = None,
    device: str | None = None,
    space: Space | Mapping[str, Any] | None = None,
    **options: Any,
) -> Result:
    """Find good hyperparameters of a PyTorch model.

    ::

        def build(hp):
            model = nn.Sequential(nn.Flatten(), nn.Linear(784, hp.int("units", 32, 512)), ...)
            rate = hp.float("learning_rate", 1e-4, 1e-1, scale="log")
            return model, torch.optim.Adam(model.parameters(), rate)

        result = luthier.torch.tune(build, data, epochs=10, max_trials=20)
        model = result.model()

    Each epoch sees the training examples once, in an order of its own, in batches of equal size;
    the few that are left over are other ones in the next epoch. Reported after each epoch: ``loss``
    and ``val_loss``, and for class numbers ``accuracy`` and ``val_accuracy`` (0 to 1); a model that
    ends in one number says class 1 where it is positive, or, if all of them lie from 0 to 1 as after a
    sigmoid, where it is over one half. Evaluation goes on in batches of a training step's size where
    larger ones do not fit into memory. On the CPU, a trial that was paused and went on has the same
    numbers, bit for bit, as one that was not; on a GPU, as far as PyTorch itself repeats them
    (``torch.use_deterministic_algorithms``).

    Args:
        build: ``build(hp)`` returns (model, optimizer) or (model, optimizer, learning-rate
            scheduler); the scheduler steps once an epoch, a ``ReduceLROnPlateau`` on ``val_loss``, one of
            ``luthier.craft.schedules.as_torch`` after every batch.
        data: a ``luthier.datasets.Dataset``, or ((x, y), (x_val, y_val)) of numpy arrays or
            tensors, examples along the first axis. Whole-number targets are classes, others are
            regressed.
        maximize: the metric to make large; by default ``"val_accuracy"`` for classes. Or
        minimize: the metric to make small; by default ``"val_loss"`` for other targets.
        epochs: the most epochs one trial trains; a scheduler such as ``Hyperband(epochs=27)`` holds
            its own.
        batch_size: examples a step; a hyperparameter called ``batch_size`` wins over it.
        loss: ``loss(outputs, targets)``, the mean over a batch; by default the cross-entropy of
            logits (n, classes) for classes, else the squared error.
        device: such as ``"cuda:1"`` or ``"mps"``; by default the GPU if there is one, else the CPU.
        space: what is searched; by default what ``build`` asks ``hp`` for.
        **options: as in ``luthier.tune``: name, searcher, scheduler, workers, max_trials,
            max_epochs, max_time, seed, storage, progress.

    Returns:
        The result; ``result.model()`` is the best trial's model, on the CPU, in eval mode.

    Raises:
        StudyError: data, a batch size or a setting that cannot be; no *epochs*; an optimizer whose steps
            need a closure (LBFGS).
        Exception: whatever ``build`` raises.
    """
    check_end(epochs, options.get("scheduler"))
    train, validation = tensors(data)
    training = Training(build, train, validation, checked_size(batch_size), loss, device)
    if maximize is None and minimize is None:
        maximize, minimize = ("val_accuracy", None) if training.classifies else (None, "val_loss")
    if found := space is None:
        horizon = most_epochs(epochs, options.get("scheduler"))
        space = discover(build, unfit=out_of_memory, horizon=horizon)
    return tune_training(
        training,
        space,
        maximize=maximize,
        minimize=minimize,
        epochs=epochs,
        load=training.load,
        data_size=len(train[0]),
        define_by_run=found,
        **options,
    )


def find_learning_rate(
    model: Any,
    optimizer: Any,
    data: Any,
    *,
    loss: Loss | None = None,
    batch_size: int = 64,
    low: float = 1e-6,
    high: float = 100.0,
    steps: int = 160,
    sweeps: int = 3,
    seed: int = 0,
) -> RangeTest:
    """Find a learning rate, and the range to search, by a range test.

    ::

        found = luthier.torch.find_learning_rate(model, optimizer, (x, y))
        print(found.explain())
        space = luthier.Space(learning_rate=found.domain())

    Afterwards weights, buffers, gradients, the optimizer and every random generator, a loader's own
    among them, are as before, bit for bit.

    Args:
        model: on the device where it trains.
        optimizer: of its parameters; groups of other rates keep their ratio to the first group's.
        data: ``(x, y)``, what ``tune`` takes, or anything that gives (x, y) batches and can be iterated
            over again, such as a ``DataLoader`` (the batches are its own then).
        loss: as for ``tune``.
        batch_size: examples a step: the one you will train with, since the rate depends on it.
        low: the first rate.
        high: the last one, unless the sweep stops at divergence before it.
        steps: rates a sweep tries, a batch each; 20 a decade are good.
        sweeps: how many are averaged, each over other batches.
        seed: of the order of the batches, and of dropout.

    Returns:
        The ``RangeTest``: ``.suggestion``, ``.domain()``, ``.explain()``, ``.picture()``.

    Raises:
        StudyError: rates, sizes or data that cannot be; an optimizer whose steps need a closure (LBFGS).
    """
    rates = sweep_rates(low, high, steps, sweeps)
    losses = torch_sweeps(
        model, optimizer, data, rates, loss=loss, batch_size=batch_size, count=sweeps, seed=seed
    )
    return read(rates, losses)
