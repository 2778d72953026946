"""BOHB: Hyperband's brackets, configurations from a model of the largest budget that has enough trials.

Falkner, Klein & Hutter 2018, "BOHB: Robust and efficient hyperparameter optimization at scale",
section 4. The model is the searcher ``"bohb"``; the brackets are Hyperband's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from luthier.schedule.hyperband import Hyperband


@dataclass(frozen=True)
class BOHB(Hyperband):
    """Hyperband with the searcher ``"bohb"``; settings as for ``Hyperband``."""

    searcher: ClassVar[str] = "bohb"
