"""Tunes a script, or the training function that a study file names: what ``luthier tune`` does with them."""

from __future__ import annotations

import shlex
import shutil
import sys
import warnings
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from luthier.app.functions import function_of
from luthier.app.kept_command import is_python
from luthier.app.raised import users_program
from luthier.app.result import Result
from luthier.app.stores import store_to_make
from luthier.app.study_file import StudyFile
from luthier.app.tune import tune
from luthier.errors import LuthierWarning, StudyError
from luthier.run.places import working_folder
from luthier.space import Space
from luthier.study.goals import goals_from
from luthier.train.script import Script
from luthier.train.script.command import program, read_command
from luthier.train.script.sources import Patterns

_FOR_SCRIPTS = ("metrics", "metrics_file", "tensorboard", "grace", "environment")
_LAUNCHERS = ("torchrun", "accelerate")  # that take -m MODULE, as Python does
_RUNNERS = (  # modules that launch a script, whose name is the study's
    "torch.distributed.run",
    "torch.distributed.launch",
    "accelerate.commands.launch",
    "accelerate.commands.accelerate_cli",
)
_NOT_FOR_TUNE = ("study", "run", "function", "space", "constraints", *_FOR_SCRIPTS)


def tune_script(
    study: StudyFile, space: Space | None, arguments: Sequence[str] = (), progress: Any = None
) -> Result:
    """Tune the command or the function that *study* names.

    Args:
        study: all settings.
        space: what is searched, besides the ranges in the command; the study's constraints are over both.
        arguments: the command, in place of ``study.run``.
        progress: see ``luthier.tune``.

    Raises:
        StudyError: nothing to run, or a setting that cannot be.
        SpaceError: a range that cannot be, or none at all.
        Raised: what the function raises.
    """
    settings: dict[str, Any] = {
        name: value
        for name, value in msgspec.structs.asdict(study).items()
        if name not in _NOT_FOR_TUNE
    }
    if study.function:
        return _tune_function(study, space, settings, progress)
    run = arguments or ([study.run] if isinstance(study.run, str) else study.run)
    if len(run) == 1 and not arguments:
        run = shlex.split(run[0])
    if not run:
        raise StudyError(
            "There is nothing to run: give run: python train.py --lr {lr}, or function: module:train."
        )
    if run[0] in ("python", "python3") and shutil.which(run[0]) is None:
        run = [sys.executable, *run[1:]]
    command, whole = read_command(run, space)
    if not whole.searched:
        raise StudyError(
            f"There is nothing to search in {shlex.join(run)!r}: give --space FILE, or ranges such as "
            "--lr '{log:1e-5:1e-1}'."
        )
    whole = _constrained(whole, study.constraints)
    if left_out := command.without_place(whole.searched):
        warnings.warn(
            f"{', '.join(left_out)}: searched, but nowhere in {shlex.join(run)!r}. The script finds the "
            f"values in the file that LUTHIER_CONFIGURATION names; to pass them, write "
            f"--{left_out[0]} {{{left_out[0]}}}.",
            LuthierWarning,
            stacklevel=2,
        )
    if command.asks_for_epochs and study.epochs is None:
        raise StudyError("The command asks for {trial.epochs}: say how many with --epochs N.")
    for name in ("metrics_file", "tensorboard"):
        path = getattr(study, name)
        if path and (study.workers or 1) > 1 and "{trial." not in path:
            raise StudyError(
                f"{name}={path!r}: {study.workers} trials at the same time would write there. Have the "
                f"command write into {{trial.folder}}, and say so: '{{trial.folder}}/{path}'."
            )
    name = study.study or _named_after(run)
    Patterns(study.metrics)  # refuses what cannot be before there is a study
    goals = goals_from(study.maximize, study.minimize, study.subject_to)
    settings["storage"] = store = store_to_make(study.storage)
    script = Script(
        command=command,
        metrics=goals.metrics,
        place=str(working_folder(store).absolute() / "scripts" / quote(name, safe=" ")),
        patterns=study.metrics,
        metrics_file=study.metrics_file,
        tensorboard=study.tensorboard,
        grace=study.grace,
        environment={key: str(value) for key, value in study.environment.items()},
    )
    return tune(script, whole, name=name, progress=progress, **settings)


def _tune_function(
    study: StudyFile, space: Space | None, settings: dict[str, Any], progress: Any
) -> Result:
    module, _, function = study.function.partition(":")
    if not function:
        raise StudyError(
            f"function: {study.function!r}: expected module:function, such as train:main."
        )
    if study.run:
        raise StudyError("The study has both run and function: give one of them.")
    plain = StudyFile()
    for name in _FOR_SCRIPTS:
        if (given := getattr(study, name)) != getattr(plain, name):
            raise StudyError(
                f"{name}: {given!r} is for scripts, and this study has function: {study.function!r}: leave "
                f"{name} out, or give run: in place of function:."
            )
    if space is None and study.constraints:
        raise StudyError(
            f"constraints: {study.constraints!r} are over a space, and this study has none: give space:, too."
        )
    space = None if space is None else _constrained(space, study.constraints)
    name = study.study or module.rpartition(".")[2]
    with users_program():
        try:
            train = function_of(module, function)
        except StudyError as error:
            raise StudyError(f"function: {study.function!r}: {error}") from None
        return tune(train, space, name=name, progress=progress, **settings)


def _constrained(space: Space, constraints: Sequence[str]) -> Space:
    if not constraints:
        return space
    texts = dict.fromkeys([*(known.text for known in space.constraints), *constraints])
    return Space(dict(space.domains), constraints=list(texts))


def _named_after(run: Sequence[str]) -> str:
    """Return the script's name without its suffix, or its module's, the interpreter before it passed over."""
    if (module := _module(run)) is not None:
        return module.removesuffix(".__main__").rpartition(".")[2]
    words = run[1:] if is_python(run[0]) else run
    files = [word for word in words if Path(word).is_file() and not word.startswith("-")]
    own = next((file for file in files if Path(file).suffix), None)
    return Path(own or [*files, run[0]][0]).stem


def _module(run: Sequence[str]) -> str | None:
    """Return the module that the command runs by -m; None where it does not."""
    if not (is_python(run[0]) or Path(run[0]).name in _LAUNCHERS):
        return None
    for word, after in pairwise(run[1:]):
        if word == "-m" and after not in _RUNNERS:
            return after
        if Path(word).is_file():  # from here on they are the script's own
            return None
    return None


__all__ = ["program", "tune_script"]
