"""Optuna's figures, which this door has not: it says so, and what there is instead."""

from luthier.compat.optuna.missing import module_absent

raise module_absent("visualization")
