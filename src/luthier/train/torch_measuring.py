"""PyTorch: loss and accuracy of a model, over the batches of an epoch or all examples of a set."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from luthier.run.recording import out_of_memory

Loss = Callable[[Tensor, Tensor], Tensor]
Pair = tuple[Tensor, Tensor]
_EVALUATED_AT_ONCE = 512  # rows, unless steps have more


class Evaluation:
    """Measures a model on all examples of a set.

    Args:
        size: rows of a training step; so many fit into memory, with all that is kept for the gradient.
    """

    def __init__(self, size: int) -> None:
        self._size, self._at_once = size, max(size, _EVALUATED_AT_ONCE)

    def __call__(self, model: nn.Module, loss: Loss, data: Pair) -> dict[str, float]:
        """Return loss and accuracy; once memory has run out, by as many rows at once as a step has."""
        model.eval()
        try:
            return _measured(model, loss, data, self._at_once)
        except Exception as error:
            if self._at_once <= self._size or not out_of_memory(error):
                raise
        self._at_once = self._size
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        return _measured(model, loss, data, self._at_once)


@torch.no_grad()
def _measured(model: nn.Module, loss: Loss, data: Pair, at_once: int) -> dict[str, float]:
    sums = Sums()
    for inputs, targets in zip(data[0].split(at_once), data[1].split(at_once), strict=True):
        outputs = model(inputs)
        sums.add(loss(outputs, targets), outputs, targets)
    return sums.means()


class Sums:
    """Loss and accuracy over the batches seen; waits for the device only when asked for means.

    Of several numbers for an example the largest is the class. A single one is class 1 where it is positive;
    or, if all of them lie from 0 to 1 as what a sigmoid returns, where it is over one half.
    """

    def __init__(self) -> None:
        self._sizes: list[int] = []
        self._losses: list[Tensor] = []
        self._hits: list[Tensor] = []  # of the largest; or of a logit, and of a probability
        self._ends: list[Tensor] = []  # of single numbers: the least and the largest
        self._guesses = 0

    def add(self, loss: Tensor, outputs: Tensor, targets: Tensor) -> None:
        """Add a batch, whose mean loss is *loss*; classes are told by whole-number *targets*."""
        self._sizes.append(len(targets))
        self._losses.append(loss.detach())
        if not targets.is_floating_point() and outputs.ndim == targets.ndim + 1:
            self._guesses += targets.numel()
            if outputs.shape[1] > 1:
                self._hits.append((outputs.argmax(1) == targets).sum())
                return
            single, ones = outputs.detach().squeeze(1), targets == 1
            self._hits.append(torch.stack([((single > cut) == ones).sum() for cut in (0.0, 0.5)]))
            self._ends.append(torch.stack(single.aminmax()))

    def means(self) -> dict[str, float]:
        """Return the mean loss of an example and, for classes, the share that was told right."""
        losses = torch.stack(self._losses).cpu().double().numpy()
        found = {"loss": float(np.average(losses, weights=self._sizes))}
        if self._hits:
            hits = torch.stack(self._hits).sum(0)
            if self._ends:
                ends = torch.stack(self._ends)
                hits = hits[1 if ends.min() >= 0 and ends.max() <= 1 else 0]
            found["accuracy"] = int(hits) / self._guesses
        return found


__all__ = ["Evaluation", "Loss", "Pair", "Sums"]
