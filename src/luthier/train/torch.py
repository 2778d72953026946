"""PyTorch: a loop for data that fits in memory."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from luthier.errors import CheckpointError, StudyError
from luthier.space import HyperParameters
from luthier.study.records import TrialRecord
from luthier.study.study import Study
from luthier.study.trial import Trial
from luthier.train.data import check_lengths, checked_size, in_memory, joined, one_pair
from luthier.train.horizons import asked_again, warn_if_half_finished
from luthier.train.torch_measuring import Evaluation, Loss, Pair, Sums
from luthier.train.torch_state import FILE, State, fill, read

Build = Callable[[HyperParameters], Any]


@dataclass(frozen=True, eq=False)
class Training:
    """Trains what ``build(hp)`` returns on tensors in memory; called with each trial.

    Attributes:
        build: returns (model, optimizer) or (model, optimizer, learning-rate scheduler).
        train: inputs (n, ...) and targets (n,) or (n, ...), on the CPU.
        validation: the same, of other examples.
        batch_size: rows a step, unless there is a hyperparameter of that name.
        loss: mean loss of a batch, ``loss(outputs, targets)``; None chooses by the targets.
        device: where to train; None is the GPU if there is one.
    """

    build: Build
    train: Pair
    validation: Pair
    batch_size: int = 64
    loss: Loss | None = None
    device: str | None = None

    @property
    def classifies(self) -> bool:
        """True when the targets are class numbers."""
        return not self.train[1].is_floating_point()

    def __call__(self, trial: Trial) -> None:
        """Train one job of *trial*: from its checkpoint to the end of its rung."""
        device = torch.device(self.device or ("cuda" if torch.cuda.is_available() else "cpu"))
        torch.manual_seed(trial.seed)
        model, optimizer, schedule = _built(self.build(trial.hp))
        each_batch = schedule.step if getattr(schedule, "every_batch", False) else None
        on_metric = isinstance(schedule, ReduceLROnPlateau) or hasattr(schedule, "reads_metric")
        _place(model, optimizer, device)
        loss = self.loss or loss_for(self.train[1])
        train, validation = _to(self.train, device), _to(self.validation, device)
        size = min(checked_size(trial.get("batch_size", self.batch_size)), len(train[0]))
        parts = {"model": model, "optimizer": optimizer}
        state = State(**parts) if schedule is None else State(**parts, schedule=schedule)
        if schedule is not None:
            batches = len(train[0]) // size
            warn_if_half_finished(trial, schedule, per_epoch=batches if each_batch else 1)
        evaluate = Evaluation(size)
        for epoch in trial.epochs(state):
            order = _order(len(train[0]), size, trial.seed_of(epoch)).to(device)
            metrics = _train_epoch(model, optimizer, loss, train, order, each_batch)
            metrics |= {f"val_{k}": v for k, v in evaluate(model, loss, validation).items()}
            if on_metric:
                cast(Any, schedule).step(metrics["val_loss"])
            elif schedule is not None and each_batch is None:
                cast(Any, schedule).step()
            trial.report(metrics)

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
        return replace(self, train=tensor_pair(*one_pair(data)))

    def load(self, record: TrialRecord, folder: Path, study: Study) -> nn.Module:
        """Return the model of a trial's checkpoint, on the CPU and in eval mode.

        Raises:
            CheckpointError: the file is missing, or ``build`` makes another model now.
        """
        hp = asked_again(study, record, _never)
        model, _, _ = _built(self.build(hp))
        model.cpu()
        fill("model", model, read(folder / FILE)["parts"]["model"])
        return model.eval()


def tensors(data: Any) -> tuple[Pair, Pair]:
    """Return training and validation data as tensors on the CPU.

    Args:
        data: a ``luthier.datasets.Dataset``, or ((x, y), (x_val, y_val)) of numpy arrays or
            tensors, examples along the first axis.

    Returns:
        (x, y), (x_val, y_val): floating-point numbers in torch's default precision, whole-number
        targets as int64.

    Raises:
        StudyError: another form, no example, or inputs and targets of different lengths.
    """
    (x, y), (x_val, y_val) = in_memory(data)
    return tensor_pair(x, y), tensor_pair(x_val, y_val, "validation")


# -- training --------------------------------------------------------------------------------------


def _built(parts: Any) -> tuple[nn.Module, Optimizer, Any]:
    if isinstance(parts, tuple) and len(cast(tuple[Any, ...], parts)) in (2, 3):
        model, optimizer, *schedule = cast(tuple[Any, ...], parts)
        if isinstance(model, nn.Module) and isinstance(optimizer, Optimizer):
            check_steps(optimizer)
            return model, optimizer, schedule[0] if schedule else None
    raise StudyError(
        "build(hp) must return (model, optimizer) or (model, optimizer, learning-rate scheduler), "
        f"got {_kinds(parts)}."
    )


def _order(examples: int, size: int, seed: int) -> Tensor:
    """Return the rows of each batch, (batches, size): a permutation without its ragged tail."""
    shuffled = torch.randperm(examples, generator=torch.Generator().manual_seed(seed))
    batches = examples // size
    return shuffled[: batches * size].view(batches, size)


def _train_epoch(
    model: nn.Module,
    optimizer: Optimizer,
    loss: Loss,
    data: Pair,
    order: Tensor,
    each_batch: Callable[[], None] | None,
) -> dict[str, float]:
    model.train()
    sums = Sums()
    for rows in order:
        inputs, targets = (part.index_select(0, rows) for part in data)
        optimizer.zero_grad(set_to_none=True)
        outputs = model(inputs)
        value = loss(outputs, targets)
        value.backward()
        optimizer.step()
        if each_batch is not None:
            each_batch()
        sums.add(value, outputs, targets)
    return sums.means()


def loss_for(targets: Tensor) -> Loss:
    """Return the cross-entropy of logits for class numbers, else the squared error."""
    return _squared_error if targets.is_floating_point() else _cross_entropy


def _cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    if targets.ndim > 1 and targets.shape[1:] == (1,) and outputs.ndim == 2:
        raise StudyError(
            f"The targets are class numbers of shape {tuple(targets.shape)}: the cross-entropy needs one "
            "axis, (n,). Give y.squeeze(1), or a loss= of your own."
        )
    if outputs.ndim == targets.ndim + 1 and outputs.shape[1] == 1:
        raise StudyError(
            f"The model's outputs have shape {tuple(outputs.shape)}: the cross-entropy needs a number for "
            "each class. End the model with as many, or for two classes and one number give a loss= such as "
            "lambda outputs, targets: F.binary_cross_entropy_with_logits(outputs.squeeze(1), "
            "targets.float())."
        )
    return nn.functional.cross_entropy(outputs, targets)


def _squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    if outputs.shape != targets.shape:
        raise StudyError(
            f"The model's outputs have shape {tuple(outputs.shape)}, the targets "
            f"{tuple(targets.shape)}: the mean squared error needs the same shape. Reshape the "
            "targets, or end the model with nn.Flatten(0) for one number per example."
        )
    return nn.functional.mse_loss(outputs, targets)


def tensor_pair(x: Any, y: Any, name: str = "training") -> Pair:
    """Return inputs and targets as tensors on the CPU, class numbers as int64.

    Raises:
        StudyError: no example, or inputs and targets of different lengths.
    """
    inputs, targets = _tensor(x), _tensor(y)
    if not targets.is_floating_point():
        targets = targets.long()
    check_lengths(name, inputs, targets)
    return inputs, targets


def _tensor(values: Any) -> Tensor:
    tensor = torch.as_tensor(values).detach().cpu()
    return tensor.to(torch.get_default_dtype()) if tensor.is_floating_point() else tensor


def _place(model: nn.Module, optimizer: Optimizer, device: torch.device) -> None:
    """Move a model, and what its optimizer may have made for it (Adagrad's sums), to *device*."""
    model.to(device)  # keeps the Parameter objects that the optimizer holds
    if optimizer.state:
        optimizer.load_state_dict(optimizer.state_dict())  # to where each parameter is


def check_steps(optimizer: Optimizer) -> None:
    """Refuse an optimizer whose steps evaluate the loss themselves.

    Raises:
        StudyError: it is one, such as LBFGS.
    """
    closure = inspect.signature(type(optimizer).step).parameters.get("closure")
    if closure is not None and closure.default is inspect.Parameter.empty:
        raise StudyError(
            f"{type(optimizer).__name__} evaluates the loss several times a step, by a closure: expected an "
            "optimizer whose step() needs none, such as Adam or SGD. Train with it in a loop of your own, "
            "with luthier.tune and luthier.torch.State."
        )


def _to(pair: Pair, device: torch.device) -> Pair:
    return pair[0].to(device), pair[1].to(device)


def _never(key: str, domain: object) -> Any:
    raise CheckpointError(
        f"build(hp) now asks for {key!r}, which the trial did not have: it is not the build "
        "function that the study was made with."
    )


def _kinds(value: Any) -> str:
    if isinstance(value, tuple):
        return f"({', '.join(type(part).__name__ for part in cast(tuple[Any, ...], value))})"
    return type(value).__name__
