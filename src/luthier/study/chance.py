"""Counter-based randomness: every draw is a function of the study's seed and of what it is for.

No generator is carried from one proposal to the next, so trial 17 gets the same numbers whichever
process proposes it and however many workers there are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def derive(seed: int, *purpose: int | str) -> int:
    """Return a 64-bit seed that depends on the study's *seed* and on every word of *purpose*."""
    return _number(_hashed(seed, *purpose))


def _hashed(seed: int, *purpose: int | str) -> blake2b:
    return blake2b("\x1f".join([str(seed), *map(str, purpose)]).encode(), digest_size=8)


def _number(hashed: blake2b) -> int:
    return int.from_bytes(hashed.digest(), "big")


def _fraction(number: int) -> float:
    """Return 53 of the 64 bits as a number in [0, 1)."""
    return (number >> 11) * 2.0**-53


@dataclass(frozen=True)
class Chance:
    """The randomness of one purpose (usually: one trial of one study)."""

    seed: int
    purpose: tuple[int | str, ...] = ()

    def of(self, *purpose: int | str) -> Chance:
        """Return independent randomness for a narrower purpose."""
        return Chance(self.seed, self.purpose + purpose)

    def uniforms(self) -> Callable[[str], float]:
        """Return ``uniform`` for many names of one word each: what they share is hashed once."""
        shared = _hashed(self.seed, *self.purpose, "")

        def uniform(name: str) -> float:
            whole = shared.copy()
            whole.update(name.encode())
            return _fraction(_number(whole))

        return uniform

    def uniform(self, *name: int | str) -> float:
        """Return a number in [0, 1) that belongs to *name*: 53 random bits."""
        return _fraction(derive(self.seed, *self.purpose, *name))

    def generator(self) -> np.random.Generator:
        """Return a numpy generator for draws that come in arrays."""
        import numpy as np

        return np.random.Generator(np.random.Philox(key=derive(self.seed, *self.purpose)))

    def integer(self) -> int:
        """Return a 31-bit seed for a framework."""
        return derive(self.seed, *self.purpose) >> 33
