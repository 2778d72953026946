"""Completion in the shell: ``luthier completion bash``, and the names that commands complete."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import click
from click.shell_completion import CompletionItem, get_completion_class

from luthier.space import Bool, Choice

_VARIABLE = "_LUTHIER_COMPLETE"
_SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(_SHELLS))
def completion(shell: str) -> None:
    """Print the script that has SHELL complete commands, options, studies and hyperparameters.

    \b
    bash: eval "$(luthier completion bash)"            # in ~/.bashrc; bash 4.4 or newer
    zsh:  eval "$(luthier completion zsh)"             # in ~/.zshrc, after compinit
    fish: luthier completion fish > ~/.config/fish/completions/luthier.fish
    """
    made = get_completion_class(shell)
    assert made is not None  # click has these three
    instance = made(click.Group(), {}, "luthier", _VARIABLE)
    click.echo(instance.source_template % instance.source_vars())


def study_argument(**settings: Any) -> Callable[[Any], Any]:
    """Return the argument STUDY, which completes to the names of the storage that the command reads."""
    return click.argument("study", shell_complete=_studies, **settings)


def complete_hyperparameters(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Return the hyperparameters of the study that stands before, with their ranges for help."""
    return [
        CompletionItem(name, help=repr(domain))
        for name, domain in _domains(context)
        if name.startswith(incomplete)
    ]


def complete_assignments(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Return ``name=`` for each hyperparameter, and the options of a choice after it."""
    name, equals, value = incomplete.partition("=")
    found: list[CompletionItem] = []
    for known, domain in _domains(context):
        if not equals and known.startswith(name):
            found.append(CompletionItem(f"{known}=", help=repr(domain)))
        elif known == name and isinstance(domain, Choice | Bool):
            options = map(str, domain.options if isinstance(domain, Choice) else (True, False))
            found += [CompletionItem(f"{known}={o}") for o in options if o.startswith(value)]
    return found


def _studies(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    from luthier.app.stores import store_to_read

    try:
        names = store_to_read(_storage(context)).names()
    except Exception:  # completing must never write into the line that is being typed
        return []
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def _domains(context: click.Context) -> list[tuple[str, Any]]:
    from luthier.app.reading import read
    from luthier.app.stores import store_to_read

    try:
        history = read(store_to_read(_storage(context)), context.params["study"])
        return list(history.space.domains.items())
    except Exception:
        return []


def _storage(context: click.Context) -> str | None:
    return context.params.get("storage") or os.environ.get("LUTHIER_STORAGE")
