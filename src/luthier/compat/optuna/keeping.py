"""A study keeps the sampler that it was made with, whatever it is given later on.

Every process that works on a study, and a replay of its log, has to know who proposes: the first event says so.
"""

from __future__ import annotations

import warnings
from typing import Any

from luthier.compat.optuna import checking
from luthier.compat.optuna.samplers import SAMPLERS, BaseSampler, sampler_of
from luthier.errors import LuthierWarning
from luthier.space import Space
from luthier.study.study import Study


def kept_sampler(own: Study, sampler: BaseSampler, *, depth: int) -> BaseSampler:
    """Return the sampler that is used where *sampler* is asked for; warn where it is another one.

    Args:
        own: the study.
        sampler: what was asked for.
        depth: calls between the script and this one.
    """
    header = own.history.header
    another = type(sampler.searcher()) is not type(own.searcher)
    if header.searcher["name"] == "grid":
        another |= sampler.space() != Space.from_dict(header.space)
    if not another and sampler.seed in (None, header.seed):
        return sampler
    kept = sampler_of(header)
    warnings.warn(
        f"Study {own.name!r} keeps the sampler it was made with, {kept!r}: {sampler!r} is not used. "
        "Give a new study_name for another one.",
        LuthierWarning,
        stacklevel=2 + depth,
    )
    # What PartialFixedSampler fixes is no part of a study, and holds for this process.
    return sampler if sampler.fixed else kept


def check_sampler(what: str, sampler: Any) -> None:
    """Refuse what is no sampler; *what* says where it was given.

    Raises:
        TypeError: it is none.
    """
    checking.one_of_kind(what, sampler, BaseSampler, checking.example(sampler, SAMPLERS))


__all__ = ["check_sampler", "kept_sampler"]
