"""Optuna's integrations of frameworks, which this door has not: it says so, and what there is instead."""

from luthier.compat.optuna.missing import module_absent

raise module_absent("integration")
