"""One configuration in the languages of others: YAML, JSON, TOML, Python and argparse, Hydra, a command line.

What a language has no word for is said: TOML has no null, so such a hyperparameter is left out with a comment.
"""

from __future__ import annotations

import json
import math
import re
import shlex
from collections.abc import Callable, Mapping
from io import StringIO
from typing import Any, cast

from luthier.app.strict_json import strict_json
from luthier.app.words import shortened
from luthier.errors import LuthierError
from luthier.space import Space
from luthier.train.script.command import Command

_FOR_YAML_1_1 = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}
_PLAIN_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_HYDRA_KEY = re.compile(r"[A-Za-z_][\w-]*")
_HYDRA_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_/.@-]*")
_NOT_WORDS = {"true", "false", "null", "nan", "inf"}


def as_yaml(configuration: Mapping[str, Any]) -> str:
    """Return YAML that readers of YAML 1.1 and 1.2 take for the same values.

    PyYAML reads ``1e-05`` as a string, ``no`` as False and ``12:30`` as 750.
    """
    from ruamel.yaml import YAML, RoundTripRepresenter

    class Representer(RoundTripRepresenter):
        """Of our own: registering with ruamel's would change it for the whole process."""

    def number(representer: Any, value: float) -> Any:
        text = repr(value)
        if not math.isfinite(value):
            text = text.replace("inf", ".inf").replace("nan", ".nan")
        elif "." not in text:
            text = text.replace("e", ".0e")
        return representer.represent_scalar("tag:yaml.org,2002:float", text)

    def string(representer: Any, value: str) -> Any:
        plain = _PLAIN_WORD.fullmatch(value) and value.lower() not in _FOR_YAML_1_1
        style = None if plain else ("'" if value.isprintable() else '"')
        return representer.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    Representer.add_representer(float, number)
    Representer.add_representer(str, string)
    Representer.add_representer(tuple, Representer.represent_list)
    writer = YAML()
    writer.Representer = Representer
    writer.default_flow_style = False
    writer.width = 4096
    out = StringIO()
    writer.dump(dict(configuration), out)
    return out.getvalue()


def as_json(configuration: Mapping[str, Any]) -> str:
    """Return the configuration as JSON, which has no NaN and no infinity: these become null."""
    return strict_json(configuration, indent=2) + "\n"


def as_toml(configuration: Mapping[str, Any]) -> str:
    """Return the configuration as TOML 1.0, the names as they are; what is None is left out.

    Raises:
        LuthierError: a tuple with None in it.
    """
    lines = [
        f"# {_toml(name)} is None, which TOML cannot say"
        if value is None
        else f"{name if _BARE_KEY.fullmatch(name) else _toml(name)} = {_toml(value)}"
        for name, value in configuration.items()
    ]
    return "".join(f"{line}\n" for line in lines)


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return repr(value)  # inf and nan are written so, too
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_toml, cast(tuple[Any, ...], value)))}]"
    if value is None:
        raise LuthierError("TOML cannot say None within a list: export to .yaml, .json or .py.")
    return str(value)


def as_python(configuration: Mapping[str, Any]) -> str:
    """Return a module with ``configuration`` and ``set_defaults(parser)`` for argparse.

    argparse calls an option by its name without the branch before it, and with ``_`` for ``-``: so does
    ``set_defaults``. A name that two hyperparameters share keeps its branch.
    """
    lines = "".join(f"    {name!r}: {_python(v)},\n" for name, v in configuration.items())
    defaults = "".join(
        f"        {json.dumps(name.replace('-', '_'))}: configuration[{full!r}],\n"
        for name, full in _short_names(configuration).items()
    )
    return (
        '"""The best configuration of a study, by luthier export."""\n\n'
        f"configuration = {{\n{lines}}}\n\n\n"
        "def set_defaults(parser):\n"
        '    """Make the configuration the defaults of an argparse parser: call it before parse_args()."""\n'
        f"    parser.set_defaults(**{{\n{defaults}    }})\n"
    )


def _python(value: Any) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value!r}")'
    if isinstance(value, tuple):
        return f"({''.join(f'{_python(v)}, ' for v in cast(tuple[Any, ...], value))})"
    return repr(value)


def as_arguments(configuration: Mapping[str, Any]) -> str:
    """Return options for a shell: ``--lr 0.01 --units 64``. True is a bare option, False and None none."""
    short = {name: configuration[full] for name, full in _short_names(configuration).items()}
    return shlex.join(Command((), appended=True).filled(short, {})) + "\n"


def as_hydra(configuration: Mapping[str, Any]) -> str:
    """Return an option of a Hydra config group that overrides the values where they stand.

    Put it into ``conf/best/`` and say ``python train.py +best=NAME``, or ``- best: NAME`` last in the
    defaults list. A name with dots is a place in the configuration, ``model.units``; one within a branch of
    a choice is called by its own name.

    Raises:
        LuthierError: two hyperparameters have the same place.
    """
    tree: dict[str, Any] = {}
    for place, value in _places(configuration).items():
        *branches, leaf = place
        node: Any = tree
        for branch in branches:
            node = node.setdefault(branch, {})
            if not isinstance(node, dict):
                raise _two_places(".".join(place))
        if leaf in node:
            raise _two_places(".".join(place))
        node[leaf] = value
    return f"# @package _global_\n{as_yaml(tree)}"


def as_overrides(configuration: Mapping[str, Any]) -> str:
    """Return Hydra's overrides for a shell: ``learning_rate=0.01 optimizer=sgd``.

    Raises:
        LuthierError: a name that Hydra cannot read.
    """
    words: list[str] = []
    for place, value in _places(configuration).items():
        if odd := [part for part in place if not _HYDRA_KEY.fullmatch(part)]:
            raise LuthierError(
                f"Hydra reads no override of {odd[0]!r}: it wants letters, digits, _ and -. "
                "Take --as hydra, which writes a file."
            )
        words.append(f"{'.'.join(place)}={_override(value)}")
    return shlex.join(words) + "\n"


def _override(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, tuple | list):
        return f"[{','.join(map(_override, cast(tuple[Any, ...], value)))}]"
    if not isinstance(value, str):
        return str(value)
    if _HYDRA_WORD.fullmatch(value) and value.lower() not in _NOT_WORDS:
        return value
    # Hydra's grammar: within quotes only \' is an escape, and backslashes count double before a quote.
    escaped = re.sub(r"(\\*)('|$)", lambda m: m[1] * 2 + ("\\'" if m[2] else ""), value)
    return f"'{escaped}'"


def _short_names(configuration: Mapping[str, Any]) -> dict[str, str]:
    return shortened({full: full for full in configuration})


def _places(configuration: Mapping[str, Any]) -> dict[tuple[str, ...], Any]:
    """Return the values by their places: names split at dots, but for those in a branch of a choice."""
    short = {full: name for name, full in _short_names(configuration).items()}
    found: dict[tuple[str, ...], Any] = {}
    for full, value in configuration.items():
        parts = full.split(".")
        owners = {".".join(parts[:i]) for i in range(1, len(parts))}
        place = (short[full],) if owners & configuration.keys() else tuple(parts)
        if place in found or "." in place[-1]:  # the latter kept its branch beside a namesake
            raise _two_places(Space.short(full))
        found[place] = value
    return found


def _two_places(name: str) -> LuthierError:
    return LuthierError(
        f"Two hyperparameters have the place {name!r} in a Hydra configuration: export to .yaml, whose "
        "names are the full ones."
    )


FORMS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "yaml": as_yaml,
    "json": as_json,
    "toml": as_toml,
    "python": as_python,
    "arguments": as_arguments,
    "hydra": as_hydra,
    "overrides": as_overrides,
}
"""How a configuration can be written, by the names that ``luthier export --as`` knows."""

SUFFIXES = {".yaml": "yaml", ".yml": "yaml", ".json": "json", ".toml": "toml", ".py": "python"}
"""The form that a file's name asks for."""
