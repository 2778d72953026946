"""What is wrong, and what would make it faster: a function of the facts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from luthier.app.doctor.looking import Facts

_LITTLE_DISK = 5 << 30
_LITTLE_MEMORY = 2 << 30


@dataclass(frozen=True)
class Advice:
    """One finding.

    Attributes:
        kind: ``problem`` keeps something from working; ``faster`` and ``careful`` do not.
        words: what is so, and what to do.
    """

    kind: Literal["problem", "faster", "careful"]
    words: str


def advise(facts: Facts) -> list[Advice]:
    """Return the findings, problems first."""
    found = [*_packages(facts), *_frameworks(facts), *_devices(facts), *_room(facts)]
    order = ("problem", "careful", "faster")
    return sorted(found, key=lambda advice: order.index(advice.kind))


def _packages(facts: Facts) -> Iterator[Advice]:
    for name, version in facts.packages.items():
        if not version:
            yield Advice("problem", f"{name} is missing: pip install --force-reinstall luthier")


def _frameworks(facts: Facts) -> Iterator[Advice]:
    by_name = {f.name: f for f in facts.frameworks}
    for one in facts.frameworks:
        if one.state == "broken":
            yield Advice("problem", f"{one.name} {one.version} cannot be imported: {one.error}")
    if all(f.state == "absent" for f in facts.frameworks):
        yield Advice(
            "careful",
            "No deep-learning framework is here: fine for scripts and your own functions; else "
            "pip install 'luthier[keras,jax]' or 'luthier[torch]'",
        )
    backends = [n for n in ("jax", "tensorflow", "torch") if by_name[n].state != "absent"]
    keras = by_name["keras"]
    if keras.state != "absent" and not backends:
        yield Advice("problem", "Keras is here without a backend: pip install 'luthier[keras,jax]'")
    runs_on = keras.backend or facts.backend
    if keras.state == "works" and runs_on and runs_on != "jax" and "jax" in backends:
        yield Advice(
            "faster",
            f"Keras runs on {runs_on} while JAX is installed: with KERAS_BACKEND=jax trials of the "
            "same shapes share one compiled program of whole epochs, several times faster for small nets",
        )
    if facts.programs == "" and "jax" in backends:
        yield Advice(
            "faster",
            "LUTHIER_PROGRAMS is empty, so compiled programs are not kept: unset it, and workers that "
            "start anew read them from the disk",
        )


def _devices(facts: Facts) -> Iterator[Advice]:
    blind = [
        f.name
        for f in facts.frameworks
        if f.state == "works" and f.name != "keras" and not f.devices
    ]
    if facts.cards and blind:
        yield Advice(
            "faster",
            f"{len(facts.cards)} GPU(s) are here, but {' and '.join(blind)} see none: the package may be "
            "the one for CPUs, or CUDA_VISIBLE_DEVICES hides them",
        )
    usable = facts.cores if facts.quota is None else min(facts.cores, max(1, round(facts.quota)))
    if usable < facts.cores:
        yield Advice(
            "careful",
            f"The container may use {facts.quota:g} cores, but {facts.cores} are seen: libraries start "
            f"that many threads. Set OMP_NUM_THREADS={usable}, and at most workers={usable}",
        )
    for name, value in facts.threads.items():
        if value.isdigit() and int(value) > usable:
            yield Advice(
                "faster",
                f"{name}={value}, but {usable} cores may be used: more threads than cores wait for one "
                "another. Leave it unset: Luthier divides the cores among its workers",
            )


def _room(facts: Facts) -> Iterator[Advice]:
    storage = facts.storage
    if storage.state == "unreachable":
        yield Advice("problem", f"The storage {storage.place} cannot be used: {storage.error}")
    if storage.free is not None and storage.free < _LITTLE_DISK:
        yield Advice(
            "careful",
            f"{_size(storage.free)} are free beside {storage.place}, where checkpoints go too: say "
            "checkpoints= for another disk, or s3://...",
        )
    if facts.temporary_free < _LITTLE_DISK // 5:
        yield Advice("careful", f"{_size(facts.temporary_free)} are free in the temporary folder")
    if facts.memory_free < _LITTLE_MEMORY:
        yield Advice(
            "careful",
            f"{_size(facts.memory_free)} of memory are free: a worker with a framework takes 0.5 to 1 GB",
        )


def _size(number: float) -> str:
    return f"{number / 2**30:.1f} GiB"
