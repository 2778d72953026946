"""Optuna's own studies at the place that a script names, which must not be passed over without a word.

A journal stands beside the SQLite file that is written here, and Optuna's tables beside Luthier's in one
PostgreSQL database: a script that meant to go on with a study of Optuna's would begin an empty one.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from luthier.compat.optuna.journals import names_in
from luthier.compat.optuna.reading import postgres
from luthier.compat.optuna.storages import BaseStorage, JournalStorage, without_driver
from luthier.errors import StorageError
from luthier.storage import without_secrets


def refuse_optunas(storage: Any, name: str | None = None) -> None:
    """Refuse to begin study *name*, or to find none at all, where Optuna itself has some.

    Args:
        storage: what the script gave as ``storage=``.
        name: a study that Luthier has not; None where it has none at all.

    Raises:
        StorageError: Optuna has that study there; it says how to take it over.
    """
    address = storage.address if isinstance(storage, BaseStorage) else storage
    address = without_driver(address) if isinstance(address, str) else ""
    if isinstance(storage, JournalStorage):
        where, what = storage.journal, "a journal of Optuna's own"
        names = _in_journal(Path(where))
    elif address.startswith("postgresql"):
        where, what = without_secrets(address), "a database with tables of Optuna's own"
        names = _in_tables(address)
    else:
        return
    if not names or (name is not None and name not in names):
        return
    which = "" if name is None else f" --study {shlex.quote(name)}"
    raise StorageError(
        f"{where} is {what}: take its studies over with\n"
        f"    luthier import optuna {shlex.quote(where)}{which} --storage "
        f"{shlex.quote(without_secrets(address))}\n"
        "and this script goes on with them; or give it another storage, or study_name."
    )


def _in_journal(path: Path) -> Sequence[str]:
    try:
        return names_in(path.read_text().splitlines())
    except (OSError, ValueError, KeyError, TypeError):
        return ()  # there is none, or it is something else


def _in_tables(url: str) -> Sequence[str]:
    with postgres(url) as query:
        ((studies, params),) = query("SELECT to_regclass('studies'), to_regclass('trial_params')")
        if studies is None or params is None:
            return ()
        return [name for (name,) in query("SELECT study_name FROM studies")]


__all__ = ["refuse_optunas"]
