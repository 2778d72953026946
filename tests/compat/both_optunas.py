"""What tests of the Optuna door have in common: they run on Optuna, too, and neither of them logs or warns."""

from __future__ import annotations

import warnings

import optuna as real
import pytest

import luthier.compat.optuna as door

BOTH = pytest.mark.parametrize("optuna", [door, real], ids=["door", "optuna"])


@pytest.fixture(autouse=True)
def quiet():
    """Have both log errors only; whoever imports it has it for each test."""
    before = real.logging.get_verbosity(), door.logging.get_verbosity()
    real.logging.set_verbosity(real.logging.ERROR)
    door.logging.set_verbosity(door.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        warnings.simplefilter("ignore", real.exceptions.ExperimentalWarning)
        yield
    real.logging.set_verbosity(before[0])
    door.logging.set_verbosity(before[1])
