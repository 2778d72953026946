"""Constraints: inequalities between hyperparameters, as text that is parsed and never executed."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from luthier.errors import SpaceError, nearest

_BINARY: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
}
_UNARY: dict[type[ast.AST], Callable[[Any], Any]] = {
    ast.Not: operator.not_,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}
_TOGETHER: dict[type[ast.AST], Callable[[Iterable[bool]], bool]] = {ast.And: all, ast.Or: any}
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": abs,
    "log10": math.log10,
    "max": max,
    "min": min,
    "sqrt": math.sqrt,
}
_ONE_ARGUMENT = ("abs", "log10", "sqrt")
_LONGEST = 1000
_DEEPEST = 100


class Constraint:
    """One condition on a configuration, such as ``"units * layers <= 4096"``.

    Names, numbers, strings, arithmetic, comparisons, ``and``, ``or``, ``not``, ``in``, and the
    functions abs, log10, max, min, sqrt. One that speaks of an inactive hyperparameter is satisfied.

    Raises:
        SpaceError: text that is none of this, or a name that the space does not have.
    """

    def __init__(self, text: str, names: Iterable[str]) -> None:
        self.text = text
        if not isinstance(text, str) or len(text) > _LONGEST:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise SpaceError(
                f"A constraint is a text such as 'units * layers <= 4096', not {text!r}."
            )
        try:
            tree = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise SpaceError(f"Constraint {text!r} cannot be read: {error}.") from None
        self.names = sorted(self._names(tree))
        known = list(names)
        for name in self.names:
            if name not in known:
                raise SpaceError(
                    f"Constraint {text!r} speaks of {name!r}, which the space does not have."
                    f"{nearest(name, known)}"
                )
        self._evaluate = _evaluator(tree)

    def __call__(self, values: Mapping[str, Any]) -> bool:
        """Return True when the values satisfy it; a value that it cannot compute breaks it."""
        if any(name not in values for name in self.names):
            return True
        try:
            return bool(self._evaluate(values))
        except (ArithmeticError, ValueError, TypeError):
            return False

    def __repr__(self) -> str:
        return self.text

    def _names(self, node: ast.AST, depth: int = 0) -> set[str]:
        """Return the names in the tree, having refused whatever is not allowed in it."""
        if depth > _DEEPEST:
            raise SpaceError(
                f"Constraint {self.text!r} is nested more than {_DEEPEST} deep: split it."
            )
        match node:
            case ast.Name():
                return {node.id}
            case ast.Attribute():  # a qualified name: optimizer.sgd.momentum
                return {_dotted(node, self.text)}
            case ast.Constant(value=bool() | int() | float() | str() | None):
                return set()
            case ast.Call(func=ast.Name(id=name), args=parts, keywords=[]) if name in _FUNCTIONS:
                if len(parts) != 1 if name in _ONE_ARGUMENT else not parts:
                    number = "one argument" if name in _ONE_ARGUMENT else "at least one argument"
                    raise SpaceError(
                        f"Constraint {self.text!r}: {name} takes {number}, got {len(parts)}."
                    )
            case ast.BinOp(op=op) if type(op) in _BINARY:
                parts = [node.left, node.right]
            case ast.UnaryOp(op=ast.Not() | ast.USub() | ast.UAdd()):
                parts = [node.operand]
            case ast.BoolOp():
                parts = node.values
            case ast.Compare() if all(type(op) in _BINARY for op in node.ops):
                parts = [node.left, *node.comparators]
            case ast.Tuple() | ast.List():
                parts = node.elts
            case _:
                raise SpaceError(
                    f"Constraint {self.text!r} holds {ast.unparse(node)!r}, which is not allowed: "
                    "use names, numbers, + - * / // %, comparisons, and, or, not, in, and "
                    f"{', '.join(_FUNCTIONS)}."
                )
        return set().union(*(self._names(part, depth + 1) for part in parts)) if parts else set()


def _dotted(node: ast.expr, text: str) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value, text)}.{node.attr}"
    if isinstance(node, ast.Name):
        return node.id
    raise SpaceError(f"Constraint {text!r} cannot be read at {ast.unparse(node)!r}.")


def _evaluator(node: ast.AST) -> Callable[[Mapping[str, Any]], Any]:
    """Return what computes *node* from values: a searcher asks it of hundreds of places a proposal."""
    match node:
        case ast.Name(id=name):
            return operator.itemgetter(name)
        case ast.Attribute():
            return operator.itemgetter(_dotted(node, ""))
        case ast.Constant(value=value):
            return lambda values: value
        case ast.Call(func=ast.Name(id=name), args=nodes):
            function, arguments = _FUNCTIONS[name], [_evaluator(part) for part in nodes]
            return lambda values: function(*(argument(values) for argument in arguments))
        case ast.BinOp(left=left, op=op, right=right):
            return _arithmetic(_BINARY[type(op)], _evaluator(left), _evaluator(right))
        case ast.UnaryOp(op=op, operand=inner):
            change, operand = _UNARY[type(op)], _evaluator(inner)
            return lambda values: change(operand(values))
        case ast.BoolOp(op=op, values=nodes):
            parts, together = [_evaluator(part) for part in nodes], _TOGETHER[type(op)]
            return lambda values: together(bool(part(values)) for part in parts)
        case ast.Compare(left=left, ops=ops, comparators=nodes):
            steps = [(_BINARY[type(o)], _evaluator(n)) for o, n in zip(ops, nodes, strict=True)]
            return _comparison(_evaluator(left), steps)
        case ast.Tuple(elts=nodes) | ast.List(elts=nodes):
            elements = [_evaluator(part) for part in nodes]
            return lambda values: tuple(element(values) for element in elements)
        case _:
            raise TypeError(ast.dump(node))


def _arithmetic(
    operation: Callable[[Any, Any], Any],
    left: Callable[[Mapping[str, Any]], Any],
    right: Callable[[Mapping[str, Any]], Any],
) -> Callable[[Mapping[str, Any]], Any]:
    def compute(values: Mapping[str, Any]) -> Any:
        first, second = left(values), right(values)
        if isinstance(first, str | tuple | list) or isinstance(second, str | tuple | list):
            raise TypeError("arithmetic is for numbers")
        return operation(first, second)

    return compute


def _comparison(
    first: Callable[[Mapping[str, Any]], Any],
    steps: list[tuple[Callable[[Any, Any], Any], Callable[[Mapping[str, Any]], Any]]],
) -> Callable[[Mapping[str, Any]], bool]:
    """Return whether all of a chain holds, such as ``1 <= layers <= 3``."""

    def compute(values: Mapping[str, Any]) -> bool:
        left = first(values)
        for holds, part in steps:
            right = part(values)
            if not holds(left, right):
                return False
            left = right
        return True

    return compute
