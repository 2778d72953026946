"""A script's command with places for hyperparameters: ``python train.py --lr {log:1e-5:1e-1}``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from luthier.errors import SpaceError, StudyError, nearest
from luthier.space import Bool, Domain, Space
from luthier.space.spelling import domain_from_text, is_range

FACTS = ("number", "seed", "epochs", "folder", "checkpoint", "configuration")
"""What a command may say of the trial: ``{trial.epochs}``, ``{trial.checkpoint}``, ..."""

_PLACE = re.compile(r"\{([^{}\"']+)\}")
_NAMED = re.compile(r"(?:--?)?([A-Za-z_][\w.-]*)=")
_LOOKS_MEANT = re.compile(r"(?:[\w.-]+=)?[\w.-]+(?::[^:]+)+")


@dataclass(frozen=True)
class Command:
    """The arguments of a process, some of them with places to fill.

    Attributes:
        arguments: the program first; ``{name}`` stands for a hyperparameter, ``{trial.seed}`` for a fact.
        appended: give each hyperparameter as ``--name value`` after the arguments.
    """

    arguments: tuple[str, ...]
    appended: bool = False

    def filled(self, configuration: Mapping[str, Any], facts: Mapping[str, Any]) -> list[str]:
        """Return the arguments of one trial.

        A hyperparameter that is not active takes its argument away, and the option before it.

        Args:
            configuration: the trial's values, by full names.
            facts: one for each of ``FACTS``.
        """
        done: list[str] = []
        for argument in self.arguments:
            if argument.startswith("{flag:") and argument.endswith("}"):
                flag = argument.removeprefix("{flag:").removesuffix("}")
                if configuration.get(_name_of(flag)):
                    done.append(flag)
                continue
            names = [match[1] for match in _PLACE.finditer(argument) if _is_name(match[1])]
            if any(n not in configuration and not n.startswith("trial.") for n in names):
                if done and done[-1].startswith("-") and _PLACE.fullmatch(argument):
                    done.pop()
                continue
            done.append(_PLACE.sub(lambda found: _told(found[1], configuration, facts), argument))
        for name, value in configuration.items() if self.appended else ():
            if value is True:
                done.append(f"--{name}")
            elif value is not False and value is not None:
                done += [f"--{name}", written(value)]
        return done

    def without_place(self, names: Iterable[str]) -> list[str]:
        """Return which of the hyperparameters *names* the command does not pass on."""
        if self.appended or any("{trial.configuration}" in a for a in self.arguments):
            return []
        given = [a.removeprefix("{flag:") for a in self.arguments if a.startswith("{flag:")]
        flags = [_name_of(flag.removesuffix("}")) for flag in given]
        places = {match[1] for a in self.arguments for match in _PLACE.finditer(a)}
        return [name for name in names if name not in places and name not in flags]

    @property
    def asks_for_epochs(self) -> bool:
        """Return whether the command says how long to train."""
        return any("{trial.epochs}" in argument for argument in self.arguments)


def read_command(arguments: Sequence[str], space: Space | None) -> tuple[Command, Space]:
    """Return the command and the whole space: the given one, and the ranges in the command.

    A range is called by its option (``--lr {log:1e-5:1e-1}`` is ``lr``, ``--batch-size=`` is
    ``batch_size``) or by a name of its own, ``{lr=log:1e-5:1e-1}``. Without any place in the command, all
    hyperparameters of *space* are appended as options.

    Raises:
        SpaceError: a range that is none, or that has no name.
        StudyError: a place for a hyperparameter that is not there.
    """
    known: dict[str, Domain] = dict(space.domains) if space is not None else {}
    filled: list[str] = []
    for at, argument in enumerate(arguments):
        flag = argument.removeprefix("{flag:").removesuffix("}")
        if argument.startswith("{flag:") and argument.endswith("}"):
            _add(known, _name_of(flag), Bool())
            filled.append(argument)
            continue
        before = arguments[at - 1] if at else ""
        filled.append(_PLACE.sub(lambda found: _place(found, before, known), argument))  # noqa: B023
    has_places = any("{flag:" in a or any(map(_is_name, _PLACE.findall(a))) for a in filled)
    constraints = [c.text for c in space.constraints] if space is not None else []
    return Command(tuple(filled), appended=not has_places), Space(known, constraints=constraints)


def written(value: Any) -> str:
    """Return a value as a command line gives it."""
    if isinstance(value, tuple):
        return ",".join(map(written, value))
    return repr(value) if isinstance(value, float) else str(value)


def program(path: str) -> list[str]:
    """Return how to run *path*: Python files by this Python, all others by themselves."""
    import sys

    return [sys.executable, path] if Path(path).suffix == ".py" else [path]


def _place(found: re.Match[str], before: str, known: dict[str, Domain]) -> str:
    """Return a place by its hyperparameter's name, and enter its range in *known*."""
    text = found[1]
    if text in known or (text.startswith("trial.") and text.removeprefix("trial.") in FACTS):
        return found[0]
    own, equals, spelled = text.partition("=")
    if not (equals and _is_name(own)):
        own, spelled = "", text
    if is_range(spelled) or ("," in spelled and ":" not in spelled):
        name = own or _called(found, before)
        if not name:
            raise SpaceError(
                f"{found[0]} has no name: put it after an option (--units {found[0]}), or name it: "
                f"{{units={spelled}}}."
            )
        _add(known, name, domain_from_text(spelled))
        return f"{{{name}}}"
    if _LOOKS_MEANT.fullmatch(text):
        domain_from_text(spelled)  # which says what is wrong with it
    if _is_name(text):
        facts = [f"trial.{fact}" for fact in FACTS]
        raise StudyError(
            f"{found[0]}: there is no hyperparameter {text!r}; there are "
            f"{', '.join(map(repr, known)) or 'none'}, and {', '.join(facts)}."
            f"{nearest(text, [*known, *facts])}"
        )
    return found[0]  # somebody's own braces


def _called(found: re.Match[str], before: str) -> str:
    """Return the name that the option before a range, or within its argument, gives it."""
    if inside := _NAMED.fullmatch(found.string[: found.start()]):
        return inside[1].replace("-", "_")
    return _name_of(before) if before.startswith("-") and "=" not in before else ""


def _add(known: dict[str, Domain], name: str, domain: Domain) -> None:
    if name in known and known[name] != domain:
        raise SpaceError(
            f"{name!r} is given twice, as {known[name]!r} and as {domain!r}: give one of them a name "
            f"of its own, {{{name}_2=...}}."
        )
    known[name] = domain


def _name_of(option: str) -> str:
    return option.lstrip("-").replace("-", "_")


def _is_name(text: str) -> bool:
    return re.fullmatch(r"[A-Za-z_][\w.#|-]*", text) is not None


def _told(text: str, configuration: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    if text.startswith("trial."):
        return written(facts[text.removeprefix("trial.")])
    return written(configuration[text]) if text in configuration else f"{{{text}}}"
