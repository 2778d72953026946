"""Optuna's calls about what it prints; here they concern the logger ``luthier.optuna``."""

from __future__ import annotations

import logging
import sys

from luthier.compat.optuna.missing import absent

CRITICAL, FATAL = logging.CRITICAL, logging.FATAL
ERROR, WARNING, WARN = logging.ERROR, logging.WARNING, logging.WARNING
INFO, DEBUG = logging.INFO, logging.DEBUG

_logger = logging.getLogger("luthier.optuna")
_handler = logging.StreamHandler(sys.stderr)
_handler.setFormatter(logging.Formatter("[%(levelname).1s %(asctime)s] %(message)s"))
_logger.addHandler(_handler)
_logger.setLevel(logging.INFO)
_logger.propagate = False


def get_logger(name: str = "") -> logging.Logger:
    """Return the logger, or one under it."""
    return _logger.getChild(name) if name and name != "optuna" else _logger


def get_verbosity() -> int:
    """Return the level from which on lines are printed."""
    return _logger.level


def set_verbosity(verbosity: int) -> None:
    """Print lines from this level on: ``set_verbosity(WARNING)`` leaves out those of each trial."""
    _logger.setLevel(verbosity)


def enable_propagation() -> None:
    """Have the root logger's handlers see the lines, too."""
    _logger.propagate = True


def disable_propagation() -> None:
    """End that."""
    _logger.propagate = False


def enable_default_handler() -> None:
    """Print to standard error."""
    if _handler not in _logger.handlers:
        _logger.addHandler(_handler)


def disable_default_handler() -> None:
    """Print nothing."""
    _logger.removeHandler(_handler)


__all__ = [
    "CRITICAL",
    "DEBUG",
    "ERROR",
    "FATAL",
    "INFO",
    "WARN",
    "WARNING",
    "disable_default_handler",
    "disable_propagation",
    "enable_default_handler",
    "enable_propagation",
    "get_logger",
    "get_verbosity",
    "set_verbosity",
]
__getattr__ = absent("logging", lambda: __all__)
