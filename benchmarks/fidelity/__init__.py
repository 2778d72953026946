"""The multi-fidelity tuners that are compared: they also decide for how long a configuration trains.

Luthier's run through its own simulation; all others answer to ``ask() -> Job, "wait" or "done"`` and
``report(trial, step, loss or None) -> whether to go on`` and are driven by ``workers.drive``. A peer
runs in its own environment (``peers.install``) through ``worker.py``, which imports this file, too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

RANDOM = "random"
OWN = "luthier-"
AUTO = OWN + "auto"
BEYOND = ("population", "replay")  # they change hyperparameters in mid-training: no curve has that
BEYOND_SEARCHERS = ("grid",)

PEERS = {  # tuner: environment and adapter, and which of the adapter's kinds it is
    "optuna-tpe": ("optuna", "tpe"),
    "optuna-tpe+median": ("optuna", "tpe median"),
    "optuna-tpe+halving": ("optuna", "tpe halving"),
    "optuna-tpe+hyperband": ("optuna", "tpe hyperband"),
    "smac-hyperband": ("smac", "hyperband"),
    "dehb": ("dehb", "dehb"),
    "syne-asha": ("syne", "asha"),
    "syne-bohb": ("syne", "bohb"),
    "neps-hyperband": ("neps", "hyperband"),
    "neps-priorband": ("neps", "priorband"),
    "neps-ifbo": ("neps", "ifbo"),
}
NOT_HERE = {
    "neps-ifbo": "its transformer's weights come from figshare on first use and are in no package on PyPI"
}
USUAL_PAIRS = (
    "none+auto",
    "hyperband+random",
    "asha+random",
    "asha+auto",
    "median+auto",
    "freeze_thaw+random",
    "bohb+bohb",
    "dehb+random",
)


class Job(NamedTuple):
    """Train *trial* from the end of epoch *from_step* to the end of *to_step*, unless told otherwise."""

    trial: int
    configuration: dict[str, Any]
    from_step: int
    to_step: int


class Setting(NamedTuple):
    """What a tuner is told at its beginning; *budget* is in epochs of all trials together."""

    space: list[dict[str, Any]]
    epochs: int
    budget: int
    workers: int
    seed: int


class Tuner(Protocol):
    """What is driven: *version* is which program, *seconds* what its answers took so far."""

    version: str
    seconds: float

    def ask(self) -> Job | Literal["wait", "done"]: ...
    def report(self, trial: int, step: int, loss: float | None) -> bool: ...
    def close(self) -> None: ...


def pairs() -> list[str]:
    """Return Luthier's pairs ``scheduler+searcher``."""
    from luthier.schedule import SCHEDULERS
    from luthier.search import SEARCHERS

    found: list[str] = []
    for scheduler, kind in SCHEDULERS.items():
        own = getattr(kind, "searcher", "")
        searchers = [own] if isinstance(own, str) and own else list(SEARCHERS)
        if scheduler not in (*BEYOND, "auto"):
            named = scheduler.replace(" ", "_")
            found += [f"{named}+{s}" for s in searchers if s not in BEYOND_SEARCHERS]
    return found


def tuner_names() -> list[str]:
    """Return every tuner that could run, installed or not."""
    return [AUTO, *(OWN + pair for pair in pairs()), RANDOM, *PEERS]


def usual_names() -> list[str]:
    """Return those that run when none is named."""
    own = [OWN + pair for pair in USUAL_PAIRS if pair in pairs()]
    return [AUTO, *own, RANDOM, *PEERS]


def lacking(name: str, venvs: Path) -> str | None:
    """Return why a tuner cannot run here, None when it can."""
    if name not in PEERS:
        return None
    if name in NOT_HERE:
        return NOT_HERE[name]
    from peers.install import installed

    venv = PEERS[name][0]
    return None if installed(venvs, venv) else f"no environment {venvs / venv}"


def open_tuner(name: str, setting: Setting, *, venvs: Path, patience: float) -> Tuner:
    """Return a tuner other than Luthier's; *patience* is how long one answer may take, in seconds."""
    if name == RANDOM:
        from fidelity.full_random import FullRandom

        return FullRandom(setting)
    from fidelity.process import FidelityProcess

    return FidelityProcess(*PEERS[name], setting, venvs, patience)
