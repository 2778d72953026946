"""The numbers in a traced function, taken out of it: what two trials that differ only in them share.

A trace (a jaxpr) of one training step holds a trial's learning rate, decay and dropout rate as
constants. ``lift`` makes them arguments, and ``fingerprint`` names what remains: equal fingerprints,
equal programs. A branch in Python (``if rate > 0``) leaves another trace and so another program; two
trials can share one only where every operation is the same.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

from luthier.train.fused.convolutions import as_products
from luthier.train.fused.pooling import pooled_by_slices

# Compilers simplify these away (x + 0, x * 1, relu's maximum), and hardly anyone searches over them.
_STAY = {0.0, 1.0, -1.0}
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


@dataclass(frozen=True)
class Lifted:
    """A function of arrays, as a trace whose numbers are arguments.

    Attributes:
        jaxpr: the trace; its ``constvars`` stand for the numbers.
        numbers: this trial's, in the order of the ``constvars``: scalars, and whatever arrays the
            traced function had closed over.
        result: the tree of its results.
    """

    jaxpr: Any
    numbers: list[Any]
    result: Any

    def __call__(self, numbers: Sequence[Any], *arguments: Any) -> Any:
        """Return what the function returns for *arguments* (trees) with *numbers* in it."""
        closed = core.ClosedJaxpr(self.jaxpr, list(numbers))
        leaves = jax.tree.leaves(arguments)
        return jax.tree.unflatten(self.result, core.jaxpr_as_fun(closed)(*leaves))


def lift(function: Callable[..., Any], *arguments: Any) -> Lifted:
    """Trace *function* on *arguments* (trees of arrays or of their shapes) and take its numbers out.

    Raises:
        Exception: whatever *function* raises when it is traced.
    """
    with as_products(), pooled_by_slices():
        closed, shape = jax.make_jaxpr(function, return_shape=True)(*arguments)
    jaxpr, variables, numbers = _taken_out(closed.jaxpr)
    jaxpr = jaxpr.replace(constvars=[*jaxpr.constvars, *variables])
    return Lifted(jaxpr, [*closed.consts, *numbers], jax.tree.structure(shape))


def fingerprint(lifted: Lifted) -> str:
    """Return a digest of all that is in the trace but its numbers."""
    digest = hashlib.sha256()
    for part in _described(lifted.jaxpr):
        digest.update(part.encode() + b"\0")
    digest.update(str(lifted.result).encode())
    return digest.hexdigest()


def calls_python(jaxpr: Any) -> bool:
    """Return True when the trace calls back into Python while it runs."""
    return any(
        "callback" in equation.primitive.name or any(map(calls_python, _inner(equation.params)))
        for equation in jaxpr.eqns
    )


# -- taking them out -------------------------------------------------------------------------------


def _taken_out(jaxpr: Any) -> tuple[Any, list[Any], list[np.ndarray]]:
    """Return the trace with unbound variables in the numbers' places, those variables, and the numbers."""
    variables: list[Any] = []
    numbers: list[np.ndarray] = []

    def replaced(atoms: Sequence[Any]) -> list[Any]:
        kept: list[Any] = []
        for atom in atoms:
            if _is_number(atom):
                numbers.append(np.asarray(atom.val, atom.aval.dtype))
                atom = core.Var(atom.aval)
                variables.append(atom)
            kept.append(atom)
        return kept

    equations: list[Any] = []
    for equation in jaxpr.eqns:
        equation = equation.replace(invars=replaced(equation.invars))
        if equation.primitive.name == "cond":
            equation, more, values = _out_of_branches(equation)
            variables += more
            numbers += values
        equations.append(equation)
    outvars = replaced(jaxpr.outvars)
    return jaxpr.replace(eqns=equations, outvars=outvars), variables, numbers


def _out_of_branches(equation: Any) -> tuple[Any, list[Any], list[np.ndarray]]:
    """Take the numbers out of a conditional's branches (a schedule's warm-up, say): as operands."""
    parts = [_taken_out(branch.jaxpr) for branch in equation.params["branches"]]
    numbers = [number for _, _, values in parts for number in values]
    if not numbers:
        return equation, [], []
    branches: list[Any] = []
    for index, (jaxpr, own, _) in enumerate(parts):
        added = [
            own if index == other else [core.Var(v.aval) for v in variables]
            for other, (_, variables, _) in enumerate(parts)
        ]
        jaxpr = jaxpr.replace(
            invars=[*jaxpr.invars, *(v for some in added for v in some)],
            debug_info=jaxpr.debug_info.with_unknown_names(),
        )
        branches.append(core.ClosedJaxpr(jaxpr, equation.params["branches"][index].consts))
    outer = [core.Var(v.aval) for _, variables, _ in parts for v in variables]
    equation = equation.replace(
        invars=[*equation.invars, *outer],
        params={**equation.params, "branches": tuple(branches)},
    )
    return equation, outer, numbers


def _is_number(atom: Any) -> bool:
    if not isinstance(atom, core.Literal) or np.shape(atom.val) != ():
        return False
    if not jnp.issubdtype(cast(Any, atom.aval).dtype, jnp.floating):
        return False  # whole numbers index, count and shift: the compiler should know them
    value = float(atom.val)
    return np.isfinite(value) and value not in _STAY


# -- naming what remains ---------------------------------------------------------------------------


def _described(jaxpr: Any) -> Iterator[str]:
    """Yield every operation, its settings, and where its operands come from."""
    names: dict[Any, str] = {}
    for variable in (*jaxpr.constvars, *jaxpr.invars):
        names[variable] = f"{len(names)}"
        yield str(variable.aval)
    yield "->"
    for equation in jaxpr.eqns:
        yield equation.primitive.name
        for key in sorted(equation.params):
            yield key
            yield from _setting(equation.params[key])
        for atom in equation.invars:
            yield _operand(atom, names)
        for variable in equation.outvars:
            names[variable] = f"{len(names)}"
            yield str(variable.aval)
    yield "->"
    for atom in jaxpr.outvars:
        yield _operand(atom, names)


def _operand(atom: Any, names: Mapping[Any, str]) -> str:
    if isinstance(atom, core.Literal):
        value = np.asarray(atom.val)
        return f"{atom.aval}={value.tobytes().hex()}"
    return names[atom]


def _setting(value: Any) -> Iterator[str]:
    if isinstance(value, core.ClosedJaxpr):
        yield from _described(value.jaxpr)
        for constant in value.consts:
            array = np.asarray(constant)
            yield f"{array.dtype}{array.shape}{array.tobytes().hex()}"
    elif isinstance(value, core.Jaxpr):
        yield from _described(value)
    elif isinstance(value, tuple | list):
        for part in cast(Sequence[Any], value):
            yield from _setting(part)
        yield ";"
    elif callable(value):
        # What it computes is in the jaxpr beside it; this one is for derivatives yet to be taken.
        yield f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', '')}"
    else:
        yield _ADDRESS.sub("", repr(value))


def _inner(params: Mapping[str, Any]) -> Iterator[Any]:
    for value in params.values():
        parts: tuple[Any, ...] = value if isinstance(value, tuple) else (value,)
        for part in parts:
            if isinstance(part, core.ClosedJaxpr):
                yield part.jaxpr
            elif isinstance(part, core.Jaxpr):
                yield part
