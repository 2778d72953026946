"""The largest batch that fits, and the smallest that is as fast: measured, without any framework.

The batch size decides how long training takes, and is then fixed (Deep Learning Tuning Playbook,
"Choosing the batch size"). ``luthier.train.batch_size`` has the steps to measure for Keras, PyTorch and
JAX::

    from luthier.train.batch_size import torch_steps

    found = find(torch_steps(build, (x, y)), most=4096)
    print(found)
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

from luthier.errors import StudyError

Measure = Callable[[int], float]
Steps = Callable[[int], Callable[[], object]]


@dataclass(frozen=True)
class Timing:
    """One batch size that was tried.

    Attributes:
        batch_size: examples a step.
        seconds: the time of a step; None when memory ran out.
    """

    batch_size: int
    seconds: float | None

    @property
    def per_second(self) -> float:
        """Return examples a second; 0 when memory ran out."""
        return self.batch_size / self.seconds if self.seconds else 0.0


@dataclass(frozen=True)
class Throughput:
    """What was measured, from the smallest batch to the largest.

    Attributes:
        timings: one for each batch size that was tried, in rising order.
        tolerance: how much slower than the fastest the knee may be, as a share.
    """

    timings: tuple[Timing, ...]
    tolerance: float

    @property
    def largest(self) -> int:
        """Return the largest batch size that fitted."""
        return max(t.batch_size for t in self.timings if t.seconds is not None)

    @property
    def out_of_memory(self) -> int | None:
        """Return the smallest batch size that did not fit; None when all did."""
        return min((t.batch_size for t in self.timings if t.seconds is None), default=None)

    @property
    def knee(self) -> int:
        """Return the smallest batch size within the tolerance of the fastest: the one to take."""
        fitting = [t for t in self.timings if t.seconds is not None]
        best = max(t.per_second for t in fitting)
        return next(t.batch_size for t in fitting if t.per_second >= (1 - self.tolerance) * best)

    def __str__(self) -> str:
        rows = [f"{'batch size':>10}  {'step':>10}  examples/s"]
        for t in self.timings:
            mark = "  <- take this" if t.batch_size == self.knee else ""
            took = "out of memory" if t.seconds is None else f"{_duration(t.seconds):>10}"
            rate = "" if t.seconds is None else f"  {t.per_second:>10,.0f}"
            rows.append(f"{t.batch_size:>10}  {took}{rate}{mark}")
        limit = (
            f"{self.out_of_memory} runs out of memory, {self.largest} fits."
            if self.out_of_memory
            else f"{self.largest} fits; nothing larger was tried."
        )
        why = (
            f"{self.knee} is the smallest batch within {self.tolerance:.0%} of the best "
            "examples per second: larger ones only mean fewer steps."
        )
        return "\n".join([*rows, limit, why])


def survey(
    measure: Measure,
    *,
    smallest: int = 8,
    most: int = 4096,
    tolerance: float = 0.1,
    granularity: int = 8,
) -> Throughput:
    """Double the batch size until memory runs out, then bisect between the last two.

    Args:
        measure: ``measure(batch_size)`` returns the seconds of a step, or raises what the framework
            raises when memory runs out.
        smallest: the first batch size. Where it does not fit, it is halved until one does.
        most: the largest batch size to try, say a tenth of the examples. On a CPU keep it to what
            surely fits: there the kernel kills the process instead of telling it.
        tolerance: how much slower than the fastest the knee may be, as a share.
        granularity: bisect until the largest batch is known to so many examples.

    Returns:
        All timings; ``.knee`` is the batch size to take.

    Raises:
        StudyError: not even one example fits, or arguments that cannot be.
        Exception: whatever else *measure* raises.
    """
    if not (1 <= smallest <= most and granularity >= 1 and 0 <= tolerance < 1):
        raise StudyError(
            f"smallest={smallest!r}, most={most!r}, granularity={granularity!r}, "
            f"tolerance={tolerance!r}: expected 1 <= smallest <= most, a granularity of 1 or more "
            "and a tolerance from 0 to below 1."
        )
    timings: dict[int, Timing] = {}

    def fits(size: int) -> bool:
        timings[size] = Timing(size, _seconds(measure, size))
        return timings[size].seconds is not None

    size, ran_out = smallest, 0
    while not fits(size):
        ran_out = size
        if size == 1:
            raise StudyError(
                "Memory runs out with a batch of one example: make the model smaller, or the "
                "examples."
            )
        size //= 2
    while not ran_out and size < most:
        larger = min(2 * size, most)
        size, ran_out = (larger, 0) if fits(larger) else (size, larger)
    if ran_out:
        _bisected(fits, size, ran_out, granularity)
    return Throughput(tuple(timings[size] for size in sorted(timings)), tolerance)


def find(
    steps: Steps,
    *,
    smallest: int = 8,
    most: int = 4096,
    tolerance: float = 0.1,
    granularity: int = 8,
    warm_up: int = 2,
    repeats: int = 5,
    clock: Callable[[], float] = time.perf_counter,
) -> Throughput:
    """Measure steps of growing batches; as ``survey``, with the timing done here.

    Args:
        steps: ``steps(batch_size)`` prepares a model and a batch and returns a function that takes
            one step and waits for it; see ``luthier.train.batch_size``.
        smallest: as for ``survey``; so are *most*, *tolerance* and *granularity*.
        most: see there.
        tolerance: see there.
        granularity: see there.
        warm_up: steps that are not timed: they compile, and fill caches.
        repeats: timed steps; their median counts.
        clock: returns seconds.

    Raises:
        StudyError: not even one example fits, or arguments that cannot be.
    """
    if repeats < 1 or warm_up < 0:
        raise StudyError(f"warm_up={warm_up!r}, repeats={repeats!r}: expected 0 and 1, or more.")

    def measure(size: int) -> float:
        step = steps(size)
        for _ in range(warm_up):
            step()
        return median(_timed(step, clock) for _ in range(repeats))

    return survey(
        measure, smallest=smallest, most=most, tolerance=tolerance, granularity=granularity
    )


def _bisected(fits: Callable[[int], bool], low: int, high: int, granularity: int) -> None:
    while high - low > granularity:
        middle = (low + high) // 2
        if middle - middle % granularity > low:
            middle -= middle % granularity
        low, high = (middle, high) if fits(middle) else (low, middle)


def _seconds(measure: Measure, size: int) -> float | None:
    from luthier.run.worker import out_of_memory

    try:
        return measure(size)
    except Exception as error:
        if not out_of_memory(error):
            raise
    return None  # out of the handler, whose traceback holds on to what filled the memory


def _timed(step: Callable[[], object], clock: Callable[[], float]) -> float:
    start = clock()
    step()
    return max(clock() - start, 1e-9)


def _duration(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1e3:.2f} ms"
