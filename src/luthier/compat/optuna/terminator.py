"""Optuna's rules for when to stop, which this door has not: it says so, and what there is instead."""

from luthier.compat.optuna.missing import module_absent

raise module_absent("terminator")
