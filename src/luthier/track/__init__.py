"""Trackers: what happens in a study, written to MLflow, TensorBoard or Weights & Biases as it happens.

::

    luthier.tune(train, space, ..., track="mlflow:http://127.0.0.1:5000")
    luthier.tune(train, space, ..., track=[luthier.track.tensorboard("runs"), luthier.track.wandb("net")])

They read the log, from a thread of their own. One that fails never stops or slows the study: it says so once,
and catches up as soon as it can. What a finished study has is written by ``luthier track STUDY --to ...``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from luthier.errors import StudyError, nearest
from luthier.track.following import Tracker, Tracking, catch_up


def mlflow(uri: str, experiment: str = "luthier") -> Tracker:
    """Return a tracker that writes to an MLflow server, by its REST interface: needs no package.

    The study is a run, each trial a run below it: hyperparameters, metrics by epoch, state.

    Args:
        uri: the server's ``http://`` or ``https://`` address. Who you are is read from it
            (``http://user:password@host``), or from MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD,
            or MLFLOW_TRACKING_TOKEN.
        experiment: its name; made when there is none.

    Raises:
        StudyError: *uri* is no such address.
    """
    from luthier.track.mlflow_runs import MLflow

    return MLflow(uri, experiment)


def tensorboard(folder: str | Path) -> Tracker:
    """Return a tracker that writes TensorBoard's event files: scalars and hyperparameters; needs no package.

    Args:
        folder: what ``tensorboard --logdir`` is given. The study has a folder in it, each trial one below.
    """
    from luthier.track.tensorboard_files import TensorBoard

    return TensorBoard(Path(folder))


def wandb(project: str = "luthier", *, folder: str | Path = ".", mode: str = "offline") -> Tracker:
    """Return a tracker that writes a Weights & Biases run for each trial, once that has ended.

    Needs wandb: ``pip install "luthier[wandb]"``.

    Args:
        project: the runs' project; the study is their group.
        folder: where ``wandb`` has its own folder; ``wandb sync`` takes what is in there.
        mode: "offline", or "online" to send them at once.

    Raises:
        LuthierError: wandb is not installed.
    """
    from luthier.track.wandb_runs import WandB

    return WandB(project, Path(folder), mode)


_KINDS: dict[str, Callable[[str], Tracker]] = {
    "mlflow": mlflow,
    "tensorboard": tensorboard,
    "wandb": lambda project: wandb(project or "luthier"),
}


def trackers_from(given: str | Tracker | Sequence[str | Tracker] | None) -> list[Tracker]:
    """Return the trackers that *given* names: texts such as ``"mlflow:http://host:5000"``, or trackers.

    Raises:
        StudyError: an unknown kind, or one without its place.
    """
    several = [given] if isinstance(given, str) or not isinstance(given, Sequence) else list(given)
    return [_named(each) if isinstance(each, str) else each for each in several if each is not None]


def _named(text: str) -> Tracker:
    kind, _, place = text.partition(":")
    if kind not in _KINDS:
        known = ", ".join(map(repr, _KINDS))
        raise StudyError(
            f"track={text!r}: expected one of {known}, and where, such as "
            f"'mlflow:http://127.0.0.1:5000' or 'tensorboard:runs'.{nearest(kind, _KINDS)}"
        )
    if not place and kind != "wandb":
        example = "mlflow:http://127.0.0.1:5000" if kind == "mlflow" else "tensorboard:runs"
        raise StudyError(f"track={text!r} does not say where: expected {example!r}, for instance.")
    return _KINDS[kind](place)


__all__ = ["Tracker", "Tracking", "catch_up", "mlflow", "tensorboard", "trackers_from", "wandb"]
