"""Asking: the calls by which code asks for hyperparameters while it builds a model.

Two objects answer them: a trial's ``HyperParameters``, and the recorder of ``discover``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from luthier.errors import SpaceError, nearest
from luthier.space.domains import Confidence, Domain
from luthier.space.keywords import told_by_name
from luthier.space.options import Bool, Choice, Constant
from luthier.space.plain import finite, sortable, whole
from luthier.space.ranges import Float, Int
from luthier.space.scales import Scale

# ``hp.float`` and its kin hide the builtins inside the class.
_Real: TypeAlias = float
_Whole: TypeAlias = int
_Truth: TypeAlias = bool

_OURS = os.path.join(os.path.dirname(os.path.dirname(__file__)), "")
_CALLS = ("float", "int", "choice", "bool", "constant", "when")
_CALLED = {"boolean": "bool", "fixed": "constant", "conditional_scope": "when"}  # by KerasTuner
Scope = tuple[tuple[str, tuple[Any, ...]], ...]


class Asking:
    """The calls by which code asks for hyperparameters; what they answer is up to ``_ask``.

    Attributes:
        to_step: epoch at which the trial's job ends (its rung), for learning-rate schedules tied to it;
            the *horizon* where no trial is being trained.
        horizon: the most epochs a trial of the study trains; 1 where nobody knows.
    """

    to_step: _Whole = 1
    horizon: _Whole = 1
    _scope: Scope = ()
    _single: Mapping[str, Any] = MappingProxyType({})  # by name, what ranges of one value came to

    if not TYPE_CHECKING:

        def __getattr__(self, name):
            called = _CALLED.get(name.lower(), name.lower())
            hint = f" Did you mean hp.{called}?" if called in _CALLS else nearest(name, _CALLS)
            calls = ", ".join(f"hp.{call}" for call in _CALLS)
            raise AttributeError(f"hp has no {name!r}: there are {calls}.{hint}")

    @told_by_name("hp.float")
    def float(
        self,
        name: str,
        low: _Real,
        high: _Real,
        *,
        scale: Scale = "linear",
        step: _Real | None = None,
        default: _Real | None = None,
        prior: _Real | None = None,
        confidence: Confidence = "medium",
    ) -> _Real:
        """Return this trial's value of a real hyperparameter; the arguments are ``Float``'s.

        Where *low* equals *high* that is the value, and nothing is searched.
        """
        with _named(name):
            if low == high:
                value = finite(f"hp.float({low!r}, {high!r})", "low", low)
                return self._only(name, value, _site())
            domain = Float(
                low,
                high,
                scale=scale,
                step=step,
                default=default,  # type: ignore[arg-type]
                prior=prior,
                confidence=confidence,
            )
        return self._ask(name, domain, _site())

    @told_by_name("hp.int")
    def int(
        self,
        name: str,
        low: _Whole,
        high: _Whole,
        *,
        scale: Scale = "linear",
        step: _Whole | None = None,
        default: _Whole | None = None,
        prior: _Whole | None = None,
        confidence: Confidence = "medium",
    ) -> _Whole:
        """Return this trial's value of a whole hyperparameter; the arguments are ``Int``'s.

        Where *low* equals *high* that is the value, and nothing is searched.
        """
        with _named(name):
            if low == high:
                value = whole(f"hp.int({low!r}, {high!r})", "low", low)
                return self._only(name, value, _site())
            domain = Int(
                low,
                high,
                scale=scale,
                step=step,
                default=default,  # type: ignore[arg-type]
                prior=prior,
                confidence=confidence,
            )
        return self._ask(name, domain, _site())

    @told_by_name("hp.choice")
    def choice(
        self,
        name: str,
        options: Any,
        *,
        default: Any = None,
        prior: Any = None,
        confidence: Confidence = "medium",
    ) -> Any:
        """Return this trial's option; the arguments are ``Choice``'s."""
        with _named(name):
            if isinstance(options, str | bytes | Mapping) or not isinstance(options, Iterable):
                raise SpaceError(
                    f"options={options!r}: expected a list of options such as ['sgd', 'adam']; for "
                    "what an option opens, ask inside an if."
                )
            listed = options if isinstance(options, set | frozenset) else list(options)
            domain = Choice(listed, default=default, prior=prior, confidence=confidence)
        return self._ask(name, domain, _site())

    @told_by_name("hp.bool")
    def bool(
        self,
        name: str,
        default: _Truth | None = None,
        *,
        prior: _Truth | None = None,
        confidence: Confidence = "medium",
    ) -> _Truth:
        """Return this trial's True or False."""
        with _named(name):
            domain = Bool(cast(_Truth, default), prior=prior, confidence=confidence)
        return self._ask(name, domain, _site())

    @told_by_name("hp.constant")
    def constant(self, name: str, value: Any) -> Any:
        """Record *value* under *name*, and return it."""
        with _named(name):
            domain = Constant(value)
        return self._ask(name, domain, _site())

    @contextmanager
    def when(self, parent: str, *values: Any) -> Generator[None]:
        """Name what is asked for inside by its branch: active only when *parent* has such a value.

        The code inside runs in any case; where the branch is not active, it gets defaults that are
        not recorded. With a plain ``if`` around it the two go together.

        Args:
            parent: the name of a hyperparameter that was asked for before.
            *values: those of its values with which the branch is taken, one after another or in a list.

        Raises:
            SpaceError: the parent never has any of these values.
        """
        outer = self._scope
        self._scope = (*outer, (parent, _branch(parent, values, self._domain_of(parent))))
        try:
            yield
        finally:
            self._scope = outer

    def _only(self, name: str, value: Any, site: str) -> Any:
        """Return the one value of a range that leaves nothing to search; it can be read back."""
        check_name(name)
        self._single = {**self._single, name: value}
        return value

    def _ask(self, name: str, domain: Domain, site: str) -> Any:
        raise TypeError(type(self))

    def _domain_of(self, name: str) -> Domain | None:
        """Return what was asked for under *name* in this run; None where it was not."""
        raise TypeError(type(self))


def _branch(parent: str, values: tuple[Any, ...], domain: Domain | None) -> tuple[Any, ...]:
    """Return the values of a branch, in the type of the parent's own where it was asked for."""
    if len(values) == 1 and isinstance(values[0], list | tuple | range | set | frozenset):
        among = cast("Iterable[Any]", values[0])
        if domain is None or not domain.contains(among):  # an option may be a tuple
            values = tuple(
                sorted(among, key=sortable) if isinstance(among, set | frozenset) else among
            )
    if domain is None:
        return values
    # A constant is somebody's decision, and the code may have branches for others.
    if not isinstance(domain, Constant) and not any(map(domain.contains, values)):
        raise SpaceError(
            f"hp.when({parent!r}, {', '.join(map(repr, values))}): {parent} never has "
            f"{'any of these values' if len(values) > 1 else 'this value'}: it is {domain.free!r}."
        )
    return tuple(domain.check(parent, v) if domain.contains(v) else v for v in values)


def scoped(scope: Scope, name: str) -> str:
    """Return the name that ``hp.when`` gives: 'optimizer.sgd.momentum'."""
    branches = [f"{parent}.{'|'.join(map(str, values))}" for parent, values in scope]
    return ".".join([*branches, name])


def check_name(name: object) -> None:
    """Refuse what is no name.

    Raises:
        SpaceError: it is no text, or an empty one.
    """
    if not isinstance(name, str) or not name.strip():
        raise SpaceError(f"A hyperparameter's name must be a non-empty text, got {name!r}.")


@contextmanager
def _named(name: object) -> Generator[None]:
    """Put the hyperparameter's name before what is wrong with its domain."""
    try:
        yield
    except SpaceError as error:
        raise SpaceError(f"{name}: {error}") from None


def _site() -> str:
    """Return where ``hp.float(...)`` or its kin was called, by ``told_by_name``: file and line.

    What called that function follows, up to the function that Luthier called: several places may ask
    through one function of their own.
    """
    frame = sys._getframe(3)  # pyright: ignore[reportPrivateUsage]
    calls: list[str] = []
    while frame is not None and not frame.f_code.co_filename.startswith(_OURS):
        calls.append(f"{frame.f_code.co_filename}:{frame.f_lineno}")
        frame = frame.f_back
    return " ".join(calls)
