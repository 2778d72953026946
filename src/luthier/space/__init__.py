"""Search spaces: domains, scales, conditions, constraints, define-by-run, and the linter."""

from luthier.space.define_by_run import HyperParameters
from luthier.space.discovery import discover
from luthier.space.domains import Domain
from luthier.space.linter import lint
from luthier.space.options import Bool, Choice, Constant
from luthier.space.ranges import Float, Int
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
