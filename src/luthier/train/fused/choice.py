"""Whether to fuse: what the user may say, and what is said when it cannot be."""

from __future__ import annotations

import sys
from typing import Literal

from luthier.errors import StudyError
from luthier.study.trial import Trial

Fused = Literal["auto"] | bool | int


def checked_fused(fused: Fused) -> Fused:
    """Return what was given for ``fused=``.

    Raises:
        StudyError: it is neither "auto", True, False, nor a whole number above 0.
    """
    if fused == "auto" or isinstance(fused, bool) or (isinstance(fused, int) and fused > 0):  # pyright: ignore[reportUnnecessaryIsInstance]
        return fused
    raise StudyError(
        'fused must be "auto", True, False, or how many trials to train side by side; '
        f"got {fused!r}."
    )


def tell(trial: Trial, reason: str, fused: Fused) -> None:
    """Say, once a study and process, why trials take the ordinary path.

    Raises:
        StudyError: the user insisted.
    """
    if fused != "auto":
        raise StudyError(
            f'fused={fused!r} cannot be: {reason}. With fused="auto" such a training takes the '
            "ordinary path."
        )
    if "fused" not in trial.said:
        trial.said.add("fused")
        print(f"luthier: trials train one batch at a time: {reason}", file=sys.stderr)
