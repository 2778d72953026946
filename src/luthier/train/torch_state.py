"""PyTorch: all that a paused trial must remember, and its file."""

from __future__ import annotations

import pickle
from collections import Counter, OrderedDict
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from luthier.errors import CheckpointError, StudyError
from luthier.run.ranks import rank_here
from luthier.study.trial import Trial
from luthier.train.horizons import length_of, warn_if_half_finished
from luthier.train.random_state import random_state, set_random_state
from luthier.train.torch_schedules import Built, unwrapped

FILE = "state.pt"
_PLAIN = {type(None), bool, int, float, complex, str, bytes, torch.Size, torch.dtype, torch.device}


class State:
    """All that training must remember between two epochs, for ``trial.epochs(State(...))``.

    Holds every part that has ``state_dict()`` and ``load_state_dict()`` (modules, optimizers,
    learning-rate schedulers, gradient scalers, averaged models) and every ``torch.Generator``; and,
    unasked, the random state of Python, of numpy's global generator, of PyTorch on the CPU, on
    each CUDA device and on Apple's GPU. So dropout and the order of a shuffling ``DataLoader`` go on
    as if training had not paused. Not so with ``persistent_workers=True``: the loader then draws its
    workers' seed once and not in each epoch, so a trial that goes on has another order than one that
    was not paused.

    ::

        for epoch in trial.epochs(State(model=model, optimizer=optimizer)):
            ...

    A checkpoint is one file of tensors and plain containers. It is read without executing pickled
    code (``weights_only=True``), and on any device, whichever one it was written on. Where several
    processes train the trial (DDP), rank 0 writes it, and each other rank a file of its random state and
    of its own ``torch.Generator`` parts.
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
        self._peaks = Built(parts.values()).peaks

    def save(self, folder: Path, /) -> None:
        """Write every part and the random state into *folder*.

        Raises:
            StudyError: a part's state holds something else than tensors, numbers, text and plain
                containers of them.
            OSError: the file cannot be written.
        """
        rank = rank_here()
        content: dict[str, Any] = {"random": _random_state()}
        if rank:
            content["generators"] = {
                name: part.get_state()
                for name, part in self.parts.items()
                if isinstance(part, torch.Generator)
            }
        else:
            content["parts"] = {n: _plain(_state_of(part), n) for n, part in self.parts.items()}
            content["peaks"] = self._peaks
        try:
            torch.save(content, Path(folder) / (f"random-{rank}.pt" if rank else FILE))
        except RuntimeError as error:  # how torch says that the disk is full
            raise OSError(f"torch.save failed: {error}") from error

    def restore(self, folder: Path, /) -> None:
        """Set every part and the random state to what *folder* holds.

        A learning-rate scheduler that was built with another length than the saved one keeps its own,
        and goes on at the same step: a schedule tied to the rung becomes that of the next rung. So do those
        that a ``SequentialLR`` or ``ChainedScheduler`` is composed of, and functions of a ``LambdaLR``.

        Raises:
            CheckpointError: no such file, other parts than these, or a part that does not fit, such
                as a layer of another size.
        """
        self._restored(folder)

    def _restored(self, folder: Path) -> tuple[Built, Any]:
        """Restore; return what was built here, and the peaks of whoever wrote *folder*."""
        content = read(Path(folder) / FILE)
        saved: dict[str, Any] = content["parts"]
        if saved.keys() != self.parts.keys():
            raise CheckpointError(
                f"The checkpoint {Path(folder) / FILE} holds the parts {_listed(saved)}, but "
                f"State() was given {_listed(self.parts)}. Give it the parts that it was saved "
                "with, or start the study anew under another name."
            )
        built = Built(self.parts.values())
        for name, part in self.parts.items():
            fill(name, part, saved[name])
        built.tie()
        own = Path(folder) / f"random-{rank_here()}.pt"
        mine = read(own) if own.is_file() else content
        for name, state in mine.get("generators", {}).items():
            fill(name, self.parts[name], state)
        _set_random_state(mine["random"])
        return built, content.get("peaks")

    def looks_at(self, trial: Trial, /) -> None:
        """Warn when *trial* is compared long before a schedule that is as long as its full budget ends.

        Whether a loop of your own calls ``schedule.step()`` after batches or epochs cannot be seen, so
        other lengths are left alone.
        """
        for part in self.parts.values():
            schedule = unwrapped(part)
            if trial.horizon is not None and length_of(schedule) == trial.horizon:
                warn_if_half_finished(trial, schedule, per_epoch=1)

    def inherit(self, folder: Path, /) -> None:
        """Restore another trial's state, but for the optimizers' hyperparameters.

        Learning rate, momentum, weight decay and so on stay as they were built. Where a learning-rate
        scheduler has changed the rate (``ReduceLROnPlateau``, too), it goes on from its new peak, by the
        same share of it.

        Raises:
            CheckpointError: as for ``restore``.
        """
        built, peaks = self._restored(folder)
        built.keep_own(peaks)


def _state_of(part: Any) -> Any:
    return part.get_state() if isinstance(part, torch.Generator) else part.state_dict()


def fill(name: str, part: Any, saved: Any) -> None:
    """Put what was *saved* of the part called *name* into *part*.

    Raises:
        CheckpointError: it does not fit: the code makes another part now.
    """
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


def read(path: Path) -> dict[str, Any]:
    """Return what a checkpoint's file holds; no pickled code is executed.

    Raises:
        CheckpointError: the file is missing.
    """
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
    used_cuda = torch.cuda.is_available() and torch.cuda.is_initialized()
    return {
        **random_state(),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if used_cuda else [],
        "mps": torch.mps.get_rng_state() if torch.backends.mps.is_available() else None,
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
    set_random_state(saved)
    torch.set_rng_state(saved["torch"])
    if torch.cuda.is_available():
        for index, state in enumerate(saved["cuda"][: torch.cuda.device_count()]):
            torch.cuda.set_rng_state(state, index)
    mps = saved.get("mps")  # older checkpoints have none
    if mps is not None and torch.backends.mps.is_available():
        torch.mps.set_rng_state(mps)


def _listed(names: Mapping[str, Any]) -> str:
    return ", ".join(map(repr, sorted(names)))
