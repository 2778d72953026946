"""PyTorch: all that a paused trial must remember, and a loop for data that fits in memory."""

from __future__ import annotations

import pickle
import random
from collections import Counter, OrderedDict
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from luthier.errors import CheckpointError, StudyError
from luthier.run.ranks import rank_here
from luthier.space import HyperParameters
from luthier.study.records import TrialRecord
from luthier.study.study import Study
from luthier.study.trial import Trial
from luthier.train.data import check_lengths, checked_size, in_memory, joined, one_pair
from luthier.train.horizons import length_of, warn_if_half_finished

Build = Callable[[HyperParameters], Any]
Loss = Callable[[Tensor, Tensor], Tensor]
Pair = tuple[Tensor, Tensor]

_FILE = "state.pt"
_PLAIN = {type(None), bool, int, float, complex, str, bytes, torch.Size, torch.dtype, torch.device}
_EVALUATED_AT_ONCE = 512
_LENGTHS = ("T_max", "total_iters", "total_steps", "_schedule_phases")


class State:
    """All that training must remember between two epochs, for ``trial.epochs(State(...))``.

    Holds every part that has ``state_dict()`` and ``load_state_dict()`` (modules, optimizers,
    learning-rate schedulers, gradient scalers, averaged models) and every ``torch.Generator``; and,
    unasked, the random state of Python, of numpy's global generator, of PyTorch on the CPU and on
    each CUDA device. So dropout and the order of a shuffling ``DataLoader`` go on as if training
    had not paused.

    ::

        for epoch in trial.epochs(State(model=model, optimizer=optimizer)):
            ...

    A checkpoint is one file of tensors and plain containers. It is read without executing pickled
    code (``weights_only=True``), and on any device, whichever one it was written on. Where several
    processes train the trial (DDP), rank 0 writes it, and each other rank a file of its random state.
    """

    every_rank = True

    def __init__(self, **parts: Any) -> None:
        """Name the parts; the same names must be given when a trial goes on.

        Raises:
            StudyError: no part, or one whose state cannot be read and set.
        """
        if not parts:
            raise StudyError(
                "State() holds nothing: expected its parts by name, such as "
                "State(model=model, optimizer=optimizer)."
            )
        for name, part in parts.items():
            if not isinstance(part, torch.Generator) and not (
                hasattr(part, "state_dict") and hasattr(part, "load_state_dict")
            ):
                raise StudyError(
                    f"State({name}=...) is a {type(part).__name__}, which has no state_dict() and "
                    "load_state_dict(): expected a module, an optimizer, a learning-rate "
                    "scheduler, a gradient scaler or a torch.Generator. Give a part of your own "
                    "both methods."
                )
        self.parts = parts

    def save(self, folder: Path, /) -> None:
        """Write every part and the random state into *folder*.

        Raises:
            StudyError: a part's state holds something else than tensors, numbers, text and plain
                containers of them.
            OSError: the file cannot be written.
        """
        rank = rank_here()
        content: dict[str, Any] = {"random": _random_state()}
        if not rank:
            content["parts"] = {n: _plain(_state_of(part), n) for n, part in self.parts.items()}
        try:
            torch.save(content, Path(folder) / (f"random-{rank}.pt" if rank else _FILE))
        except RuntimeError as error:  # how torch says that the disk is full
            raise OSError(f"torch.save failed: {error}") from error

    def restore(self, folder: Path, /) -> None:
        """Set every part and the random state to what *folder* holds.

        A learning-rate scheduler that was built with another length than the saved one keeps its own,
        and goes on at the same step: a schedule tied to the rung becomes that of the next rung.

        Raises:
            CheckpointError: no such file, other parts than these, or a part that does not fit, such
                as a layer of another size.
        """
        content = _read(Path(folder) / _FILE)
        saved: dict[str, Any] = content["parts"]
        if saved.keys() != self.parts.keys():
            raise CheckpointError(
                f"The checkpoint {Path(folder) / _FILE} holds the parts {_listed(saved)}, but "
                f"State() was given {_listed(self.parts)}. Give it the parts that it was saved "
                "with, or start the study anew under another name."
            )
        lengths = {name: _lengths(part) for name, part in self.parts.items()}
        for name, part in self.parts.items():
            _fill(name, part, saved[name])
        for name, part in self.parts.items():
            _tie(part, lengths[name])
        own = Path(folder) / f"random-{rank_here()}.pt"
        _set_random_state((_read(own) if own.is_file() else content)["random"])

    def looks_at(self, trial: Trial, /) -> None:
        """Warn when *trial* is compared long before a schedule that is as long as its full budget ends.

        Whether a loop of your own calls ``schedule.step()`` after batches or epochs cannot be seen, so
        other lengths are left alone.
        """
        for part in self.parts.values():
            if trial.horizon is not None and length_of(part) == trial.horizon:
                warn_if_half_finished(trial, part, per_epoch=1)

    def inherit(self, folder: Path, /) -> None:
        """Restore another trial's state, but for the optimizers' hyperparameters.

        Learning rate, momentum, weight decay and so on stay as they were built. Where a learning-rate
        scheduler has changed the rate, it goes on from its new peak, by the same share of it.

        Raises:
            CheckpointError: as for ``restore``.
        """
        optimizers = [part for part in self.parts.values() if isinstance(part, Optimizer)]
        built = [[_options(group) for group in each.param_groups] for each in optimizers]
        self.restore(folder)
        for optimizer, options in zip(optimizers, built, strict=True):
            for group, own in zip(optimizer.param_groups, options, strict=True):
                peak = own.get("initial_lr", own.get("lr"))
                if group.get("initial_lr"):
                    own["lr"] = peak * group["lr"] / group["initial_lr"]
                    own["initial_lr"] = peak
                group.update(own)
        for part in self.parts.values():
            if isinstance(optimizer := getattr(part, "optimizer", None), Optimizer) and hasattr(
                part, "base_lrs"
            ):
                part.base_lrs = [g.get("initial_lr", g["lr"]) for g in optimizer.param_groups]


def _lengths(part: Any) -> dict[str, Any]:
    """Return what a learning-rate scheduler has for its length."""
    return {n: getattr(part, n) for n in _LENGTHS if hasattr(part, n)}


def _tie(part: Any, built: Mapping[str, Any]) -> None:
    """Give a restored learning-rate scheduler the length back with which it was built."""
    if not isinstance(part, LRScheduler) or _lengths(part) == built:
        return
    vars(part).update(built)
    # PyTorch computes most rates from the one before, which belongs to the old length.
    if (closed := getattr(part, "_get_closed_form_lr", None)) is not None:
        for group, rate in zip(part.optimizer.param_groups, closed(), strict=True):
            group["lr"] = rate
        vars(part)["_last_lr"] = [group["lr"] for group in part.optimizer.param_groups]


def _options(group: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in group.items() if name != "params"}


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
        model.to(device)  # keeps the Parameter objects that the optimizer holds
        loss = self.loss or loss_for(self.train[1])
        train, validation = _to(self.train, device), _to(self.validation, device)
        size = min(checked_size(trial.get("batch_size", self.batch_size)), len(train[0]))
        parts = {"model": model, "optimizer": optimizer}
        state = State(**parts) if schedule is None else State(**parts, schedule=schedule)
        if schedule is not None:
            batches = len(train[0]) // size
            warn_if_half_finished(trial, schedule, per_epoch=batches if each_batch else 1)
        for epoch in trial.epochs(state):
            order = _order(len(train[0]), size, trial.seed_of(epoch)).to(device)
            metrics = _train_epoch(model, optimizer, loss, train, order, each_batch)
            metrics |= {f"val_{k}": v for k, v in _evaluate(model, loss, validation, size).items()}
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
        hp = study.hyperparameters(record.configuration, _never)
        model, _, _ = _built(self.build(hp))
        model.cpu()
        _fill("model", model, _read(folder / _FILE)["parts"]["model"])
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
    sums = _Sums()
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


@torch.no_grad()
def _evaluate(model: nn.Module, loss: Loss, data: Pair, size: int) -> dict[str, float]:
    model.eval()
    sums, at_once = _Sums(), max(size, _EVALUATED_AT_ONCE)
    for inputs, targets in zip(data[0].split(at_once), data[1].split(at_once), strict=True):
        outputs = model(inputs)
        sums.add(loss(outputs, targets), outputs, targets)
    return sums.means()


class _Sums:
    """Loss and accuracy over the batches seen; waits for the device only when asked for means."""

    def __init__(self) -> None:
        self._sizes: list[int] = []
        self._losses: list[Tensor] = []
        self._hits: list[Tensor] = []
        self._guesses = 0

    def add(self, loss: Tensor, outputs: Tensor, targets: Tensor) -> None:
        self._sizes.append(len(targets))
        self._losses.append(loss.detach())
        if not targets.is_floating_point() and outputs.ndim == targets.ndim + 1:
            self._hits.append((outputs.argmax(1) == targets).sum())
            self._guesses += targets.numel()

    def means(self) -> dict[str, float]:
        losses = torch.stack(self._losses).cpu().double().numpy()
        found = {"loss": float(np.average(losses, weights=self._sizes))}
        if self._hits:
            found["accuracy"] = int(torch.stack(self._hits).sum()) / self._guesses
        return found


def loss_for(targets: Tensor) -> Loss:
    """Return the cross-entropy of logits for class numbers, else the squared error."""
    return _squared_error if targets.is_floating_point() else nn.functional.cross_entropy


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


# -- checkpoints -----------------------------------------------------------------------------------


def _state_of(part: Any) -> Any:
    return part.get_state() if isinstance(part, torch.Generator) else part.state_dict()


def _fill(name: str, part: Any, saved: Any) -> None:
    try:
        if isinstance(part, torch.Generator):
            part.set_state(saved)
        else:
            part.load_state_dict(saved)
    except (RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"The checkpoint's {name!r} does not fit the {type(part).__name__} that is there now. "
            "Build it exactly as when it was saved, or start the study anew under another name. "
            f"PyTorch says: {error}"
        ) from error


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise CheckpointError(
            f"{path} is missing: this checkpoint was not written by luthier.torch.State."
        )
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise CheckpointError(
            f"{path} is no checkpoint of luthier.torch.State, or it is damaged: {error}"
        ) from error


def _plain(value: Any, place: str) -> Any:
    """Return *value* as what ``weights_only=True`` reads; *place* says where it was found.

    Raises:
        StudyError: it is, or holds, an object of some other class.
    """
    if isinstance(value, Tensor) or type(value) in _PLAIN:
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        items = cast(Mapping[Any, Any], value)
        plain = {key: _plain(item, f"{place}[{key!r}]") for key, item in items.items()}
        if isinstance(value, Counter):
            return Counter(plain)
        if isinstance(value, OrderedDict):
            ordered = OrderedDict(plain)
            vars(ordered).update(vars(value))  # a module's keeps the versions of its layers there
            return ordered
        return plain
    if type(value) in (list, tuple, set):
        return type(value)(_plain(item, f"{place}[{i}]") for i, item in enumerate(value))
    raise StudyError(
        f"The state of {place} is a {type(value).__name__}, which cannot be written safely: "
        "expected tensors, numbers, text, and lists or dictionaries of them. Return those from "
        "state_dict()."
    )


def _random_state() -> dict[str, Any]:
    kind, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)
    numbers = torch.from_numpy(np.asarray(keys, np.int64))
    used_cuda = torch.cuda.is_available() and torch.cuda.is_initialized()
    return {
        "python": random.getstate(),
        "numpy": (str(kind), numbers, int(position), int(has_gauss), float(gauss)),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if used_cuda else [],
    }


@contextmanager
def keeping_random_state() -> Generator[None]:
    """Put every random generator's state back at the end: Python's, numpy's, PyTorch's."""
    before = _random_state()
    try:
        yield
    finally:
        _set_random_state(before)


def _set_random_state(saved: dict[str, Any]) -> None:
    random.setstate(saved["python"])
    kind, numbers, *rest = saved["numpy"]
    np.random.set_state((kind, numbers.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(saved["torch"])
    if torch.cuda.is_available():
        for index, state in enumerate(saved["cuda"][: torch.cuda.device_count()]):
            torch.cuda.set_rng_state(state, index)


def _listed(names: Mapping[str, Any]) -> str:
    return ", ".join(map(repr, sorted(names)))
