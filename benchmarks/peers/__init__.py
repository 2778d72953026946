"""The tuners that are compared: one adapter each, all driven by ask and tell.

A peer runs in its own environment (see ``install``) through ``worker.py``; Luthier's searchers and plain
random search run in this process. All answer to ``ask() -> configuration``, ``tell(loss or None)`` for the
trial last asked for (None: it diverged), ``fill([(configuration, loss), ...])`` and ``close()``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple, Protocol

from peers.install import RECIPES, installed

VENVS = Path("~/.cache/luthier-peers").expanduser()


class Tuner(Protocol):
    """What is driven: *version* is which program, *seconds* and *told* what the last ask and tell took."""

    version: str
    seconds: float
    told: float

    def ask(self) -> dict[str, Any]: ...
    def tell(self, loss: float | None) -> None: ...
    def fill(self, trials: list[tuple[dict[str, Any], float | None]]) -> None: ...
    def close(self) -> None: ...


class Peer(NamedTuple):
    """Which environment and adapter run a tuner, and which of the adapter's kinds it is."""

    venv: str
    kind: str


PEERS = {
    "optuna-tpe": Peer("optuna", "tpe"),  # multivariate by default since 5.0
    "optuna-tpe-pruned": Peer("optuna", "tpe pruned"),  # how it is told of divergence
    "optuna-tpe-group": Peer("optuna", "tpe multivariate"),
    "optuna-tpe-univariate": Peer("optuna", "tpe univariate"),
    "optuna-gp": Peer("optuna", "gp"),
    "optuna-cma-es": Peer("optuna", "cma-es"),
    "hebo": Peer("hebo", "hebo"),
    "smac": Peer("smac", "forest"),
    "ax": Peer("ax", "default"),
    "hyperopt": Peer("hyperopt", "tpe"),
    "nevergrad": Peer("nevergrad", "NGOpt"),
}
RANDOM = "random"
OWN = "luthier-"
WANTED = (
    "auto",
    "gaussian_process",
    "tpe",
    "cma_es",
    "differential_evolution",
    "coarse_to_fine",
    "sobol",
)


def luthier_searchers() -> list[str]:
    """Return Luthier's searchers that these benchmarks know and this version has."""
    from luthier.search import SEARCHERS

    return [name for name in WANTED if name in SEARCHERS]


def tuner_names() -> list[str]:
    """Return every tuner that could run, installed or not."""
    return [*(OWN + name for name in luthier_searchers()), RANDOM, *PEERS]


def lacking(name: str, venvs: Path) -> str | None:
    """Return why a tuner cannot run here, None when it can."""
    if name in PEERS:
        venv = PEERS[name].venv
        return None if installed(venvs, venv) else f"no environment {venvs / venv}"
    if name == RANDOM or name.removeprefix(OWN) in luthier_searchers():
        return None
    return "this version of Luthier has no such searcher" if OWN in name else "unknown tuner"


def open_tuner(
    name: str,
    space: list[dict[str, Any]],
    *,
    seed: int,
    evaluations: int,
    venvs: Path = VENVS,
    patience: float = 600.0,
) -> Tuner:
    """Return a tuner that is about to search *space*.

    Args:
        name: one of ``tuner_names()``.
        space: see ``tasks``.
        seed: of the tuner's own draws.
        evaluations: how many there will be, for those that plan ahead.
        venvs: where the peers' environments are.
        patience: seconds after which one answer of a peer is given up.
    """
    if name == RANDOM:
        from peers.random_search import RandomSearch

        return RandomSearch(space, seed)
    if name.startswith(OWN):
        from peers.luthier_tuner import LuthierTuner

        return LuthierTuner(space, name.removeprefix(OWN), seed, evaluations)
    from peers.process import PeerProcess

    return PeerProcess(PEERS[name], space, seed, evaluations, venvs, patience)


__all__ = ["OWN", "PEERS", "RANDOM", "RECIPES", "VENVS", "Peer", "Tuner", "lacking", "open_tuner"]
