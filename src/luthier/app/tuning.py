"""``luthier tune``: a script that calls luthier.tune, any other script, or a study file; and ``schema``."""

from __future__ import annotations

import json
import os
import re
import shutil
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import click

from luthier.app.times import SECONDS
from luthier.app.working import run_script
from luthier.errors import StudyError, nearest

_FILES = (".yaml", ".yml", ".toml", ".json")
_RANGE = re.compile(r"\{([\w.-]+=)?(\w+:[^{}\"']+|bool|[^{}\"':]+,[^{}\"':]*)\}")
_OWN = {"allow_interspersed_args": False, "ignore_unknown_options": True}


def _options(command: Any) -> Any:
    """Add the options of a study, each named as ``luthier.tune`` names it."""
    for option in reversed(
        (
            click.option("--space", metavar="FILE", help="The ranges to search, in YAML or TOML."),
            click.option("--study", metavar="NAME", help="By default the script's name."),
            click.option("--maximize", multiple=True, metavar="METRIC"),
            click.option("--minimize", multiple=True, metavar="METRIC"),
            click.option("--subject-to", multiple=True, metavar="'METRIC <= NUMBER'"),
            click.option("--epochs", type=int, help="The most epochs one trial trains."),
            click.option("--searcher", metavar="NAME"),
            click.option(
                "--scheduler", metavar="NAME", help="By default auto; none: full training."
            ),
            click.option("--max-trials", type=int),
            click.option("--max-epochs", type=int, help="Epochs of all trials together."),
            click.option(
                "--max-time",
                type=SECONDS,
                metavar="TIME",
                help="Such as 45m or 2h; a number is seconds.",
            ),
            click.option("--workers", type=int, help="Trials at the same time."),
            click.option("--gpus-per-trial", type=float),
            click.option("--finalists", type=int, help="Race so many of the best on new seeds."),
            click.option("--seed", type=int),
            click.option("--storage", metavar="URL", help="By default luthier.db."),
            click.option("--checkpoints", metavar="FOLDER"),
            click.option(
                "--track",
                multiple=True,
                metavar="KIND:PLACE",
                help="Write to mlflow:URL, tensorboard:FOLDER or wandb:PROJECT, too.",
            ),
            click.option(
                "--metric",
                multiple=True,
                metavar="NAME=REGEX",
                help=r"A metric in what is printed: val_loss='loss: (\S+)'.",
            ),
            click.option("--metrics-file", metavar="PATH", help="JSON lines or CSV."),
            click.option("--tensorboard", metavar="FOLDER", help="TensorBoard's event files."),
            click.option("--grace", type=float, help="Seconds between SIGTERM and SIGKILL."),
        )
    ):
        command = option(command)
    return command


@click.command(context_settings=_OWN)
@click.option("--staged", is_flag=True, help="Tune in stages: the learning rate first.")
@click.option(
    "--order",
    metavar="ORDER",
    help="Of the stages: one by one (the default), or ng.",
)
@click.option(
    "--widen/--no-widen",
    default=None,
    help="Let the study widen its space where the best trials crowd an edge, or forbid it.",
)
@_options
@click.argument("script")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def tune(
    context: click.Context,
    staged: bool,
    order: str | None,
    widen: bool | None,
    script: str,
    arguments: tuple[str, ...],
    **given: Any,
) -> None:
    """Tune SCRIPT, which need not know of Luthier, or what study.yaml describes.

    \b
      luthier tune study.yaml --max-trials 50
      luthier tune train.py --space space.yaml --minimize val_loss --max-trials 50
      luthier tune --minimize loss --max-trials 50 -- ./train --lr '{log:1e-5:1e-1}'
      luthier tune train.py              (which calls luthier.tune itself)

    Ranges are log:1e-5:1e-1, float:0:0.5, int:32:512:32, intlog:16:1024, one_minus_log:0.9:0.999, a
    choice sgd,adam, bool, and flag:--nesterov. The script prints a line of JSON after each epoch,
    {"val_loss": 0.41}, or says otherwise how it does (--metric, --metrics-file, --tensorboard).
    Behind SCRIPT, options are the script's own, but from --space on.
    """
    if script.startswith("-"):
        raise click.NoSuchOption(script, possibilities=_near(context, script), ctx=context)
    given = {name: value for name, value in given.items() if value not in (None, ())}
    known = {} if widen is None else {"widen": widen}
    known |= {"staged": True} if staged else {}
    order = _checked(order)
    is_file = Path(script).suffix in _FILES
    behind = 0 if is_file else _place_of_space(arguments)
    if behind is not None:
        given |= _read(context, arguments[behind:])
        arguments = arguments[:behind]
    if is_file:
        _tune_file(script, {**given, **known}, order)
        return
    if "space" not in given and not any(map(_RANGE.search, arguments)):
        _only_for_other_scripts(given)
        if staged:
            _in_stages(order or "one by one")
        elif order:
            raise _not_staged(order)
        if widen is not None:
            from luthier.craft.stages import WIDEN

            os.environ[WIDEN] = "yes" if widen else "no"
        run_script(script, arguments)
        return
    from luthier.app.kept_command import is_python
    from luthier.app.scripts import program, tune_script

    if not Path(script).is_file() and shutil.which(script) is None:
        names = [path.name for path in Path().iterdir()]
        raise StudyError(f"There is no script or program {script!r}.{nearest(script, names)}")
    command = [*(program(script) if Path(script).is_file() else [script]), *arguments]
    study, space = _settings({}, "the command line", {**given, **known})
    if Path(script).is_file() and not study.study and not is_python(script):
        study.study = Path(script).stem
    _ordered(study, order)
    tune_script(study, space, command)


def _checked(order: str | None) -> str | None:
    """Return the name of the stages' order, as it is known; None for none.

    Raises:
        StudyError: there is no such order.
    """
    if order is None:
        return None
    from luthier.craft.stages import ORDERS  # heavy, for this option alone

    name = order.replace("-", " ").replace("_", " ").lower()
    if name not in ORDERS:
        raise StudyError(
            f"--order must be one of {', '.join(map(repr, ORDERS))}, got {order!r}.{nearest(order, ORDERS)}"
        )
    return name


def _ordered(study: Any, order: str | None) -> None:
    """Have a study in stages go by *order*; one without stages has none."""
    if order and not study.staged:
        raise _not_staged(order)
    if order:
        _in_stages(order)


def _in_stages(order: str) -> None:
    from luthier.craft.stages import VARIABLE

    os.environ[VARIABLE] = order


def _not_staged(order: str) -> StudyError:
    return StudyError(
        f"--order {order!r} is the order of stages, and this study has none: give --staged with it."
    )


def _near(context: click.Context, option: str) -> list[str]:
    known = [name for p in context.command.params for name in p.opts if name.startswith("--")]
    return get_close_matches(option.partition("=")[0], known, n=2)


@click.command()
def schema() -> None:
    """Print the JSON Schema of study files, by which editors complete and check them."""
    from luthier.app.study_file import schema as schema_of_files

    click.echo(json.dumps(schema_of_files(), indent=2))


def _tune_file(path: str, given: dict[str, Any], order: str | None) -> None:
    """Tune what a study file describes, with options over it."""
    from luthier.app.scripts import tune_script
    from luthier.app.study_file import read_data

    study, space = _settings(read_data(path), path, given)
    study.study = study.study or Path(path).stem
    _ordered(study, order)
    tune_script(study, space)


_NOT_BEHIND = ("staged", "order", "widen", "script", "arguments")


def _place_of_space(arguments: tuple[str, ...]) -> int | None:
    """Return where, behind the script, our own options begin: at --space; None when they do not."""
    words = [word for word in arguments if word == "--space" or word.startswith("--space=")]
    return arguments.index(words[0]) if words else None


def _read(context: click.Context, words: tuple[str, ...]) -> dict[str, Any]:
    """Return our own options among *words*, which somebody wrote behind the script or the study file."""
    own = [p for p in context.command.params if p.name not in _NOT_BEHIND]
    parser = click.Command("tune", params=own, add_help_option=False)
    with parser.make_context("luthier tune", list(words), parent=context.parent) as found:
        return {name: value for name, value in found.params.items() if value not in (None, ())}


def _settings(data: dict[str, Any], where: str, given: dict[str, Any]) -> tuple[Any, Any]:
    """Return the study and its space: what the file says, and the options over it.

    An objective among the options takes the place of all of the file's.
    """
    from luthier.app.study_file import space_of, study_from

    data, given = dict(data), dict(given)
    if "maximize" in given or "minimize" in given:
        data = {k: v for k, v in data.items() if k not in ("maximize", "minimize")}
    for name in ("maximize", "minimize", "subject_to", "track"):
        if name in given:
            given[name] = list(given[name])
    if "metric" in given:
        given["metrics"] = dict(map(_pattern, given.pop("metric")))
    folder = Path() if "space" in given else Path(where).parent
    study = study_from({**data, **given}, where)
    return study, space_of(study, folder)


def _pattern(text: str) -> tuple[str, str]:
    name, equals, pattern = text.partition("=")
    if not equals:
        raise StudyError(
            f"--metric {text!r}: expected NAME=REGEX, such as --metric '{text}={text}: (\\S+)'."
        )
    return name, pattern


def _only_for_other_scripts(given: dict[str, Any]) -> None:
    if given:
        option = "--" + next(iter(given)).replace("_", "-")
        raise StudyError(
            f"{option} is for scripts that do not call luthier.tune: give --space FILE or ranges such as "
            f"--lr '{{log:1e-5:1e-1}}' with it; or set it in the script's own call."
        )


__all__ = ["schema", "tune"]
