"""``study.yaml``: everything about a study in one file, and the JSON Schema by which editors complete it.

::

    study: resnet
    run: python train.py --lr {lr} --units {units}
    maximize: val_accuracy
    space:
      lr: {log: [1e-5, 1e-1]}
      units: {int: [32, 512], step: 32}
    epochs: 30
    max_trials: 50
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, cast

import msgspec
from msgspec import Meta

from luthier.errors import LuthierError, SpaceError, StudyError, nearest
from luthier.schedule import SCHEDULERS
from luthier.search import SEARCHERS
from luthier.space import Space
from luthier.space.spelling import KINDS, space_from_data

SCHEMA_ID = "https://luthier.invalid/study-1.json"
_Count = Annotated[int, Meta(ge=1)]


def _known(names: Mapping[str, Any]) -> dict[str, Any]:
    return {"examples": list(names)}


class StudyFile(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """What a study file may say; the names are those of ``luthier.tune``."""

    study: Annotated[str, Meta(description="The study's name; by default the script's.")] = ""
    run: Annotated[
        str | list[str],
        Meta(
            description="The command of one trial, with places such as {learning_rate}. Without any, each "
            "hyperparameter is appended as --name value."
        ),
    ] = ""
    function: Annotated[
        str, Meta(description="In place of run: a training function, module:function.")
    ] = ""
    space: Annotated[
        dict[str, Any] | str,
        Meta(
            description="Hyperparameters by name, or the path of a file of them.",
            extra_json_schema={"additionalProperties": {"$ref": "#/$defs/domain"}},
        ),
    ] = {}
    constraints: Annotated[
        list[str], Meta(description="Such as 'units * layers <= 4096'.", examples=[["a < b"]])
    ] = []
    maximize: Annotated[
        str | list[str] | None, Meta(description="The metric to make large, or several.")
    ] = None
    minimize: Annotated[
        str | list[str] | None, Meta(description="The metric to make small, or several.")
    ] = None
    subject_to: Annotated[
        str | list[str] | None, Meta(description="Bounds on other metrics: 'latency <= 20'.")
    ] = None
    noisy: Annotated[bool, Meta(description="Training twice gives different values.")] = False
    learn_from: Annotated[str | list[str], Meta(description="Earlier studies, by name.")] = []
    epochs: Annotated[_Count | None, Meta(description="The most epochs one trial trains.")] = None
    searcher: Annotated[
        str | None, Meta(description="Who proposes.", extra_json_schema=_known(SEARCHERS))
    ] = None
    scheduler: Annotated[
        str | None,
        Meta(
            description="Who trains for how long; null: every trial to its end.",
            extra_json_schema=_known(SCHEDULERS),
        ),
    ] = "auto"
    staged: Annotated[bool, Meta(description="Tune in stages, the learning rate first.")] = False
    widen: Annotated[
        bool | None, Meta(description="May the study widen its space where the best crowd an edge?")
    ] = None
    workers: Annotated[_Count | None, Meta(description="Trials at the same time.")] = None
    gpus_per_trial: Annotated[float | None, Meta(description="0.5 lets two share a GPU.")] = None
    hang_after: Annotated[
        float | str, Meta(description="When a worker without any sign of life is killed.")
    ] = "10m"
    max_trials: Annotated[_Count | None, Meta(description="Trials in all.")] = None
    max_epochs: Annotated[_Count | None, Meta(description="Epochs of all trials together.")] = None
    max_time: Annotated[float | str | None, Meta(description="Seconds, or '45m', '2h'.")] = None
    finalists: Annotated[
        Annotated[int, Meta(ge=2)] | None,
        Meta(description="How many of the best are raced on new seeds."),
    ] = None
    repetitions: Annotated[int, Meta(ge=3, description="How often each finalist is trained.")] = 10
    seed: Annotated[int, Meta(description="Decides every configuration.")] = 0
    storage: Annotated[str | None, Meta(description="A path or URL; by default luthier.db.")] = None
    checkpoints: Annotated[str | None, Meta(description="A folder or URL.")] = None
    halve: Annotated[
        str | None, Meta(description="What to halve when a trial runs out of memory.")
    ] = None
    track: Annotated[
        str | list[str] | None,
        Meta(
            description="Where else to write: 'mlflow:http://host:5000', 'tensorboard:runs', 'wandb'."
        ),
    ] = None
    metrics: Annotated[
        dict[str, str],
        Meta(description=r"Regular expressions for what is printed: {val_loss: 'loss: (\S+)'}."),
    ] = {}
    metrics_file: Annotated[
        str, Meta(description="JSON lines or CSV that the script writes, by its path.")
    ] = ""
    tensorboard: Annotated[str, Meta(description="A folder of TensorBoard's event files.")] = ""
    grace: Annotated[
        float, Meta(ge=0, description="Seconds between SIGTERM and SIGKILL for a script.")
    ] = 10.0
    environment: Annotated[
        dict[str, str | int | float], Meta(description="Variables for the script.")
    ] = {}


FIELDS = StudyFile.__struct_fields__


def read_study_file(path: str | Path) -> StudyFile:
    """Return what a YAML, TOML or JSON study file says.

    Raises:
        StudyError: it cannot be read, or has a key or a value that cannot be; with the nearest fix.
    """
    return study_from(read_data(path), str(path))


def study_from(data: Mapping[str, Any], where: str) -> StudyFile:
    """Return the study that *data*, read from *where*, describes.

    Raises:
        StudyError: a key or a value that cannot be.
    """
    for key in data:
        if key not in FIELDS:
            raise StudyError(
                f"{where}: unknown key {key!r}.{nearest(str(key), FIELDS)} There are {', '.join(FIELDS)}."
            )
    try:
        return msgspec.convert(data, StudyFile)
    except msgspec.ValidationError as error:
        what, _, place = str(error).partition(" - at `$")
        key = place.strip("`.").partition("[")[0].partition(".")[0]
        said = f"{key}: {data[key]!r}: " if key in data else ""
        raise StudyError(f"{where}: {said}{what[:1].lower()}{what[1:]}.") from None


def space_of(study: StudyFile, where: Path) -> Space | None:
    """Return the file's space; None when it has none of its own.

    The file's constraints may be over ranges in its command, too, and are not in it.

    Raises:
        SpaceError: naming the hyperparameter and what is wrong with it.
    """
    data: Any = study.space
    if isinstance(data, str):
        data = read_data(where / data)
    if not data:
        return None
    return space_from_data(data)


def read_data(path: str | Path) -> dict[str, Any]:
    """Return the mapping in a YAML, TOML or JSON file.

    Raises:
        StudyError: there is no such file, or it is not what its name says.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise StudyError(f"Cannot read {str(path)!r}: {error.strerror}.{_beside(path)}") from None
    except UnicodeDecodeError as error:
        raise StudyError(
            f"{path} is no text in UTF-8 (byte {error.start}): save it in that encoding."
        ) from None
    try:
        data: Any = tomllib.loads(text) if path.suffix == ".toml" else _yaml(text)
    except Exception as error:
        words = " ".join(str(error).split())
        raise StudyError(f"{path} cannot be read: {words}.") from None
    if not isinstance(data, dict):
        raise StudyError(f"{path}: expected names and values, got {data!r}.")
    return cast("dict[str, Any]", data)


def schema() -> dict[str, Any]:
    """Return the JSON Schema of study files, draft 2020-12."""
    (found,), parts = msgspec.json.schema_components([StudyFile], ref_template="#/$defs/{name}")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        "title": "A Luthier study",
        **found,
        "$defs": {**parts, "domain": _domain_schema()},
    }


def _domain_schema() -> dict[str, Any]:
    number = {"type": "number"}
    settings = {
        "step": number,
        "default": {},
        "prior": {"description": "Where you believe a good value lies."},
        "confidence": {"enum": ["low", "medium", "high"]},
        "when": {"type": "object", "description": "Parents and values: {optimizer: sgd}."},
    }
    ranges = {
        kind: {"type": "array", "items": number, "minItems": 2, "maxItems": 2}
        for kind in KINDS
        if kind not in ("choice", "bool")
    }
    return {
        "description": "A range {log: [1e-5, 1e-1]}, options [sgd, adam], bool, or a constant.",
        "anyOf": [
            {
                "type": "object",
                "properties": {**ranges, "choice": {"type": "array"}, "bool": {}, **settings},
                "additionalProperties": False,
                "oneOf": [{"required": [kind]} for kind in KINDS],
            },
            {"type": "array", "minItems": 1},
            {"type": ["string", "number", "boolean", "null"]},
        ],
    }


def _yaml(text: str) -> Any:
    from ruamel.yaml import YAML

    return _plain(YAML(typ="safe", pure=True).load(text))


def _plain(data: Any) -> Any:
    if isinstance(data, dict):
        return {k: _plain(v) for k, v in cast("dict[Any, Any]", data).items()}
    if isinstance(data, list):
        return [_plain(v) for v in cast("list[Any]", data)]
    return data


def _beside(path: Path) -> str:
    try:
        names = [str(path.with_name(p.name)) for p in path.parent.iterdir()]
    except OSError:
        return ""
    return nearest(str(path), names)


__all__ = [
    "FIELDS",
    "LuthierError",
    "SpaceError",
    "StudyFile",
    "read_data",
    "read_study_file",
    "schema",
    "space_of",
    "study_from",
]
