"""Commands that say what a study taught: importance, isolation, edges, whether to go on, report and card."""

from __future__ import annotations

import dataclasses
from typing import Any

import click

from luthier.app import options
from luthier.app.completing import complete_hyperparameters, study_argument
from luthier.app.strict_json import strict_json
from luthier.errors import LuthierError

_to = click.option("--to", "file", metavar="FILE", help="Draw the picture: .png, .pdf, .svg.")
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.command("importance")
@study_argument()
@click.option(
    "--method", type=click.Choice(["fanova", "ped_anova"]), default="fanova", show_default=True
)
@click.option("--good", type=float, help="Ask what matters among this share of the best trials.")
@click.option("--pairs", is_flag=True, help="Which act together, in place of each by itself.")
@options.storage
@_to
@_json
def importance(
    study: str, method: Any, good: float | None, pairs: bool, storage: str | None,
    file: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Print which hyperparameters of STUDY matter, the most important first."""
    from luthier import insight
    from luthier.app.command import history_for

    if pairs and method == "ped_anova":
        raise click.UsageError(
            "--pairs is told by fANOVA, so --method ped_anova would be ignored: leave one of them out."
        )
    history = history_for(study, storage)
    if pairs:
        found: Any = insight.interactions(history, good)
        lines = [f"{p.share:6.1%}  {' x '.join(p.names)}" for p in found]
        lines = lines or ["no two hyperparameters are searched, so none act together"]
    else:
        found = insight.importance(history, method, good)
        lines = [f"{i.share:6.1%}  ({i.low:.1%} to {i.high:.1%})  {i.name}" for i in found]
    _give(found, lines, file, as_json)


@click.command("isolate")
@study_argument()
@click.argument("scientific", shell_complete=complete_hyperparameters)
@click.option(
    "--nuisance",
    multiple=True,
    shell_complete=complete_hyperparameters,
    help="Tuned for each value; by default all others.",
)
@click.option("--bins", type=click.IntRange(2), default=6, show_default=True)
@options.storage
@_to
@_json
def isolate(
    study: str, scientific: str, nuisance: tuple[str, ...], bins: int, storage: str | None,
    file: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Print the best of STUDY at each value of SCIENTIFIC, the others tuned, at equal budgets."""
    from luthier import insight
    from luthier.app.command import history_for

    found = insight.isolation(history_for(study, storage), scientific, nuisance or None, bins=bins)
    lines = [
        f"{v.label:>20}  "
        + ("too few" if v.too_few else f"{v.median:.4g} ({v.low:.4g} to {v.high:.4g})")
        + f"  {v.trials} trial{'s' * (v.trials != 1)}"
        for v in found.values
    ]
    _give(found, [*lines, str(found)], file, as_json)


@click.command("enough")
@study_argument()
@click.option(
    "--more", type=click.IntRange(1), help="Trials asked about; by default as many again."
)
@options.storage
@_to
@_json
def enough(
    study: str, more: int | None, storage: str | None, file: str | None, as_json: bool
) -> None:
    """Say whether more trials of STUDY would help by more than its seed noise."""
    from luthier import insight
    from luthier.app.command import history_for

    found = insight.enough(history_for(study, storage), more)
    _give(found, [str(found)], file, as_json)


@click.command("boundary")
@study_argument()
@click.option("--act", is_flag=True, help="Widen the space where it is crowded.")
@options.storage
@_json
def boundary(study: str, act: bool, storage: str | None, as_json: bool) -> None:
    """Say at which edges of its space the best trials of STUDY crowd."""
    from luthier.app.command import history_for
    from luthier.insight import boundary as edges

    history = history_for(study, storage)
    found = edges.check(history)
    none = edges.too_few(history) or "no edge is crowded"
    _give(found, [str(f) for f in found] or [none], None, as_json)
    if act and found:
        from luthier.app.stores import store_to_steer
        from luthier.run.opening import open_study

        opened = open_study(study, storage=store_to_steer(storage), renews=False)
        moved = edges.act(opened, found)
        ends = (
            ", ".join(f"{f.name} to {f.to:g}" for f in moved) or "nothing: these are natural ends"
        )
        click.echo(f"luthier: {study}: widened {ends}", err=True)


@click.command("report")
@study_argument()
@click.option(
    "--to", "file", metavar="FILE", help="A name that ends in .html or .md; by default STUDY.html."
)
@options.storage
def report(study: str, file: str | None, storage: str | None) -> None:
    """Write all that STUDY taught on one page: the answer, the story, the pictures, what to do next."""
    from luthier.app.command import history_for
    from luthier.app.report import contents, write

    history = history_for(study, storage)
    path = write(
        contents(history, _shown_place(storage)), file or f"{study.replace('/', '_')}.html"
    )
    click.echo(f"wrote {path}", err=True)


@click.command("card")
@study_argument()
@click.option("--to", "file", default="MODEL_CARD.md", show_default=True, metavar="FILE")
@click.option("--name", default="", help="The model's name; by default the study's.")
@click.option("--library", default="", help="What trained it: keras, pytorch, jax, ...")
@click.option("--dataset", default="", help="What it was trained on.")
@click.option("--task", default="", help="Such as image-classification.")
@click.option("--license", "licence", default="", help="Such as apache-2.0.")
@click.option("--text", default="", help="What the model is for; how its data were divided.")
@options.storage
def card(study: str, file: str, storage: str | None, **about: str) -> None:
    """Write a model card for the answer of STUDY, with the front matter that Hugging Face reads."""
    from luthier.app.command import history_for
    from luthier.app.report import About, write_card

    history = history_for(study, storage)
    path = write_card(history, About(**about), file, _shown_place(storage))
    click.echo(f"wrote {path}", err=True)


def _shown_place(storage: str | None) -> str:
    """Return where the studies are, without password or token: others will read it. "" for the default."""
    from luthier.run.places import place, storage_option
    from luthier.storage import open_store

    store = open_store(storage, read_only=True)
    try:
        return place(store) if storage_option(store) else ""
    finally:
        store.close()


def _give(found: Any, lines: list[str], file: str | None, as_json: bool) -> None:
    if as_json:
        asdict: Any = dataclasses.asdict
        plain = [asdict(f) for f in found] if isinstance(found, tuple) else asdict(found)
        click.echo(strict_json(plain))
    else:
        for line in lines:
            click.echo(line)
    if file is not None:
        from luthier.insight import picture

        figure = picture(found).figure
        try:
            figure.savefig(file, dpi=150)
        except (OSError, ValueError) as error:  # no such folder, or no such kind of picture
            raise LuthierError(f"Cannot write {file}: {error}.") from error
        click.echo(f"wrote {file}", err=True)


COMMANDS = (importance, isolate, enough, boundary, report, card)
