"""Search spaces: domains, scales, conditions, constraints, define-by-run, and the linter."""

from luthier.space.define_by_run import HyperParameters
from luthier.space.discovery import discover
from luthier.space.domains import Bool, Choice, Constant, Domain, Float, Int
from luthier.space.linter import lint
from luthier.space.space import Space

__all__ = [
    "Bool",
    "Choice",
    "Constant",
    "Domain",
    "Float",
    "HyperParameters",
    "Int",
    "Space",
    "discover",
    "lint",
]
