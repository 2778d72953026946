"""Opens studies: makes a new one, or finds the one of that name and checks that it is the same."""

from __future__ import annotations

import dataclasses
import inspect
import re
import time
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from luthier.errors import LuthierWarning, SpaceError, StorageError, StudyError, nearest
from luthier.run.beginning import begun, found_header
from luthier.run.earlier import earlier_trials
from luthier.run.places import check_place, checkpoints_of, default_place
from luthier.run.renewal import keep_renewing
from luthier.schedule import SCHEDULERS
from luthier.schedule.race import Race
from luthier.search import SEARCHERS
from luthier.search.novelty import AMONG, TAKE_FIRST_ALONE
from luthier.search.transfer import FEWEST
from luthier.search.widening import due
from luthier.space import Space
from luthier.storage import is_replaced, open_store
from luthier.study import events as ev
from luthier.study.goals import Goals, goals_from
from luthier.study.protocols import Conflict, Fits, Limits, Scheduler, Searcher, Store
from luthier.study.searched import searched
from luthier.study.study import Study
from luthier.version import __version__

_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*(s|min|m|h|d)")
_UNITS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


def open_study(
    name: str,
    space: Space | Mapping[str, Any] | None = None,
    *,
    maximize: str | Sequence[str] | None = None,
    minimize: str | Sequence[str] | None = None,
    subject_to: str | Sequence[str] | None = None,
    noisy: bool = False,
    learn_from: str | Study | Sequence[str | Study] = (),
    searcher: str | Searcher | None = None,
    scheduler: str | Scheduler | None = "auto",
    epochs: int | None = None,
    seed: int = 0,
    max_trials: int | None = None,
    max_epochs: int | None = None,
    max_time: float | str | None = None,
    storage: str | Path | Store | None = None,
    checkpoints: str | Path | None = None,
    halve: str | None = None,
    define_by_run: bool = False,
    renews: bool = True,
) -> Study:
    """Open the study called *name*, making it when it does not exist.

    Args:
        name: found again under this name; any text but an empty one.
        space: what is searched. None opens an existing study as it is, with other limits where some are
            given.
        maximize: the metric to make large, and
        minimize: the metric to make small; one of them, or several objectives: ``maximize="accuracy",
            minimize=["latency", "size"]`` looks for the front between them. Schedulers and ``best`` go
            by the first one, those to maximize before those to minimize.
        subject_to: bounds on other reported metrics, such as ``"latency <= 20"``; a trial that breaks
            one is ranked after all that do not.
        noisy: training the same configuration twice gives different values: promising ones may be
            tried again, and ``Result.recommended`` does not fall for a lucky one.
        learn_from: earlier studies of the same or a similar space, by name (in the same storage) or
            opened. What they found is written into this study, once they have 5 trials with a result; one
            that misleads loses its weight.
        searcher: ``"auto"`` (default), ``"gaussian_process"``, ``"tpe"``, ``"random"``, ``"sobol"``,
            ``"grid"``, another of ``luthier.search.SEARCHERS``, or a searcher.
        scheduler: ``"auto"`` (default: asynchronous halving where it saves something), None (every
            trial trains to its end), another of ``luthier.schedule.SCHEDULERS``, or a scheduler such as
            ``Hyperband(epochs=27, factor=2)``.
        epochs: the most epochs one trial trains; without it every trial trains to its end, and only
            "auto" and None can be the scheduler.
        seed: decides every configuration, and each trial's own seed; a whole number of 64 bits at most.
        max_trials: stop after so many trials, those of earlier sessions included.
        max_epochs: stop before the trials together train more epochs than this; without *epochs* that stops
            the trials that are running then, wherever they are.
        max_time: seconds, or a text such as ``"90s"``, ``"45m"``, ``"2h"``; counted from this call.
        storage: see ``luthier.storage.open_store``; by default ``luthier.db`` in the working directory.
        checkpoints: a folder or a URL (``"s3://bucket/runs"``) where every worker keeps its checkpoints;
            by default beside the SQLite file, in ``luthier-checkpoints`` in the working directory for
            PostgreSQL, and on the server for HTTP. A new study writes a small file to the URL and
            deletes it, to find out whether that works.
        halve: the hyperparameter (usually the batch size) to halve, once, when a trial runs out of
            memory; None lets such a trial fail.
        define_by_run: the space was found by running a build function, and may grow.
        renews: this process renews its own leases, from a thread; False when a supervisor does.

    Raises:
        StudyError: the study exists with another space, objective, searcher, scheduler or seed; one of
            these without a space; no objective; an unknown searcher or scheduler; a limit that is no
            positive number.
        StorageError: the store cannot be opened.
        CheckpointError: nothing can be written to the URL of a new study's checkpoints.
    """
    if not isinstance(name, str) or not name.strip():  # pyright: ignore[reportUnnecessaryIsInstance]
        raise StudyError(f"A study's name must be a non-empty text, got {name!r}.")
    limits = Limits(_positive("max_trials", max_trials), _positive("max_epochs", max_epochs))
    deadline = None if max_time is None else time.monotonic() + seconds_from(max_time)
    store = open_store(storage)
    existing = found_header(store, name)
    if space is None and existing is None and (own := _own_store(name, storage)) is not None:
        store.close()
        store, existing = own, found_header(own, name)
    if space is None and existing is None:
        known = nearest(name, store.names())
        raise StudyError(
            f"There is no study {name!r} here to open.{known} A new one needs its space: "
            f"luthier.open({name!r}, space, ...)."
        )
    if space is None:
        _check_as_it_is(
            name, maximize=maximize, minimize=minimize, subject_to=subject_to, noisy=noisy,
            searcher=searcher, scheduler=scheduler, epochs=epochs, seed=seed, checkpoints=checkpoints,
            halve=halve, define_by_run=define_by_run,
        )  # fmt: skip
    else:
        opening = Opening(
            name,
            space,
            goals_from(maximize, minimize, subject_to),
            searcher,
            scheduler,
            epochs,
            seed,
            define_by_run,
            noisy,
        )
        check_fit(opening, limits)
        place = None if checkpoints is None else _place(checkpoints)
        now = time.time()
        if existing is None:
            first = default_place(store) if place is None else place
            wanted = header_for(opening, now, first, halve)
            check_place(checkpoints_of(store, wanted))
            existing = _first(store, wanted)
        # Where nobody says, they go where they went. The place of a study made in PostgreSQL is in the working
        # directory of who made it, which is not that of all its workers.
        place = existing.checkpoints if place is None else place
        existing = begun(store, header_for(opening, now, place, halve), existing)
    assert existing is not None
    study = Study(
        store,
        name,
        *made_parts(existing),
        checkpoints_of(store, existing),
        deadline,
        on_lease=keep_renewing if renews and store.address != "memory" else None,
        widens=due,
    )
    if study.history.created != existing:
        raise StudyError(f"Study {name!r} was begun anew at this moment: open it again.")
    _ = study.limits  # a searcher that cannot search this space says so
    earlier = [learn_from] if isinstance(learn_from, str | Study) else learn_from
    if earlier and getattr(study.searcher, "proposes_alone", False):
        warnings.warn(
            f"learn_from: the searcher {existing.searcher['name']!r} learns from no trials, this study's or "
            "others'. Leave learn_from out, or take another searcher, such as 'auto'.",
            LuthierWarning,
            stacklevel=3,
        )
    for other in earlier:
        found = earlier_trials(store, other, study)
        if len(found.losses) >= FEWEST:
            known = len(study.refresh().earlier)
            study.steer.learn_from(found)
            if len(study.history.earlier) > known:
                _warn_if_late(study, found.study)
        else:  # what is written once stays: of a study that has just begun, a later start learns more
            warnings.warn(
                f"learn_from: study {found.study!r} has {len(found.losses)} trials with a result so far, and "
                f"nothing is learned from fewer than {FEWEST}: start again when it has more.",
                LuthierWarning,
                stacklevel=3,
            )
    _limit(study, limits, whole=space is not None)
    return study


def _warn_if_late(study: Study, source: str) -> None:
    """Say that nothing comes of the study *source* where it only gives first trials, and these are over."""
    searcher, trials = study.history.header.searcher["name"], len(searched(study.history).trials)
    if searcher in TAKE_FIRST_ALONE and trials >= AMONG:
        warnings.warn(
            f"learn_from: the searcher {searcher!r} tries the best of an earlier study among its first {AMONG} "
            f"trials and learns nothing else of it; this study has {trials} trials, so nothing comes of "
            f"{source!r}. Enqueue its best configurations, or begin another study.",
            LuthierWarning,
            stacklevel=4,
        )


def _own_store(name: str, storage: str | Path | Store | None) -> Store | None:
    """Return the store in which a script of ``luthier worker`` has an earlier study to read; None without.

    It need not be where the worker's studies are: ``learn_from=luthier.open("old", storage="old.db")``.
    """
    if not is_replaced(storage):
        return None
    with suppress(StorageError):
        open_store(storage, read_only=True, as_said=True).close()  # makes no file that is not there
        own = open_store(storage, as_said=True)
        if name in own.names():
            return own
        own.close()
    return None


def _check_as_it_is(name: str, **given: Any) -> None:
    """Refuse what decides a study, where it is opened without its space."""
    known = inspect.signature(open_study).parameters
    for what, value in given.items():
        if value != known[what].default:
            raise StudyError(
                f"{what}={value!r} was given to open study {name!r} as it is, where it would be ignored: give "
                f"the space as well, luthier.open({name!r}, space, ...), or leave {what} out."
            )


def _limit(study: Study, limits: Limits, *, whole: bool) -> None:
    """Give the study the limits that the program asks for; those that it leaves out are none if *whole*."""
    history, until = study.history, None
    if not whole:
        if limits == Limits():
            return
        before = history.limits
        limits = Limits(limits.trials or before.trials, limits.epochs or before.epochs)
        until = history.until
    # What somebody set by hand since stands, until the program asks for something else.
    steered = history.budgeted and history.opened_for == limits
    if not steered and (not history.budgeted or history.limits != limits):
        for what, given, known in (
            ("max_trials", limits.trials, history.limits.trials),
            ("max_epochs", limits.epochs, history.limits.epochs),
        ):
            if given is not None and known is not None and given < known:
                warnings.warn(
                    f"{what}={given} takes the place of the {known} that study {study.name!r} was given since",
                    LuthierWarning,
                    stacklevel=4,
                )
        study.steer.budget(trials=limits.trials, epochs=limits.epochs, until=until, opened=True)


@dataclass(frozen=True)
class Opening:
    """What decides a study; see ``open_study`` for each."""

    name: str
    space: Space | Mapping[str, Any]
    goals: Goals
    searcher: str | Searcher | None
    scheduler: str | Scheduler | None
    epochs: int | None
    seed: int
    define_by_run: bool = False
    noisy: bool = False


def check_fit(opening: Opening, limits: Limits) -> None:
    """Refuse a scheduler to which the space or the limits leave nothing to do.

    Raises:
        StudyError: it could not do there what it is for.
    """
    scheduler = _scheduler(opening.scheduler, opening.epochs)
    if not isinstance(scheduler, Fits):
        return
    space = opening.space if isinstance(opening.space, Space) else Space(opening.space)
    scheduler.fit(None if opening.define_by_run else space, limits)


def _first(store: Store, wanted: ev.StudyCreated) -> ev.StudyCreated:
    """Begin the study, and return the event with which it begins: another process may have been faster."""
    try:
        store.append(wanted.name, [ev.encode(wanted)], expect=0)
        return wanted
    except Conflict:
        found = found_header(store, wanted.name)
        assert found is not None
        return found


def header_for(
    opening: Opening, now: float, checkpoints: str = "", halve: str | None = None
) -> ev.StudyCreated:
    """Return the first event of the study that *opening* describes.

    Raises:
        StudyError: no objective, an unknown searcher or scheduler, a seed that is no whole number.
        SpaceError: *halve* names no hyperparameter.
    """
    space = opening.space if isinstance(opening.space, Space) else Space(opening.space)
    if halve and not opening.define_by_run and halve not in space.domains:
        raise SpaceError(
            f"halve={halve!r} is no hyperparameter of the space: it has "
            f"{', '.join(map(repr, space.domains))}.{nearest(halve, space.domains)}"
        )
    objective, *also = opening.goals.objectives
    scheduler = _scheduler(opening.scheduler, opening.epochs)
    header = ev.StudyCreated(
        time=now,
        format=ev.FORMAT,
        name=opening.name,
        metric=objective.metric,
        direction=objective.direction,
        space=space.to_dict(),
        seed=_seed(opening.seed),
        searcher=_spec(_searcher(opening.searcher, scheduler), SEARCHERS),
        scheduler=_spec(scheduler, SCHEDULERS),
        luthier=__version__,
        define_by_run=opening.define_by_run,
        checkpoints=checkpoints,
        halve=halve or "",
        also=[(goal.metric, goal.direction) for goal in also],
        subject_to=list(map(str, opening.goals.constraints)),
        noisy=opening.noisy,
    )
    again = ev.decode(ev.encode(header))  # as it comes back: lists where there were tuples
    assert isinstance(again, ev.StudyCreated)
    return again


def made_parts(header: ev.StudyCreated) -> tuple[Searcher, Race]:
    """Return the searcher and the scheduler that a study's first event describes.

    The scheduler is one that also runs the race of the finalists, when the log asks for it.

    Raises:
        StudyError: this version does not know them.
    """
    return (
        _made("searcher", SEARCHERS, header.searcher),
        Race(_made("scheduler", SCHEDULERS, header.scheduler)),
    )


def seconds_from(text: float | str) -> float:
    """Return a duration in seconds: a number, or a text such as ``"2h"``, ``"1h30m"``, ``"45 min"``.

    Raises:
        StudyError: no positive duration.
    """
    if isinstance(text, int | float) and not isinstance(text, bool) and text > 0:
        return float(text)
    parts = _DURATION.findall(str(text))
    if parts and not _DURATION.sub("", str(text)).strip():
        total = sum(float(number) * _UNITS[unit] for number, unit in parts)
        if total > 0:
            return total
    raise StudyError(
        f"A time must be seconds above 0 or a text such as '90s', '45m', '2h', got {text!r}."
    )


def _positive(name: str, value: int | None) -> int | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise StudyError(f"{name} must be a whole number above 0, or None, got {value!r}.")
    return value


def _seed(seed: int) -> int:
    if isinstance(seed, bool) or not isinstance(seed, int):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise StudyError(f"seed must be a whole number (0 is one), got {seed!r}.")
    if not -(2**63) <= seed < 2**64:
        raise StudyError(f"seed must fit into 64 bits, got {seed!r}: {seed % 2**64} would.")
    return seed


def _searcher(searcher: str | Searcher | None, scheduler: Scheduler) -> Searcher:
    own: str = getattr(scheduler, "searcher", "")
    if searcher is None:
        searcher = own or "auto"
    elif own and searcher != own and not isinstance(searcher, SEARCHERS[own]):
        raise StudyError(
            f"searcher={searcher!r} was given beside the scheduler {type(scheduler).__name__}, which "
            f"brings its own, {own!r}: leave the searcher out, or take another scheduler, such as "
            "'hyperband' or 'asha'."
        )
    if not isinstance(searcher, str):
        return searcher
    if searcher not in SEARCHERS:
        raise StudyError(
            f"Unknown searcher {searcher!r}: expected one of {', '.join(map(repr, SEARCHERS))}."
            f"{nearest(searcher, SEARCHERS)}"
        )
    return SEARCHERS[searcher]()


def _scheduler(scheduler: str | Scheduler | None, epochs: int | None) -> Scheduler:
    _positive("epochs", epochs)
    if scheduler is None:
        scheduler = "none"
    if not isinstance(scheduler, str):
        own = getattr(scheduler, "epochs", epochs)
        if epochs is not None and own != epochs:
            raise StudyError(
                f"epochs={epochs} was given beside a scheduler with epochs={own}: give one of them."
            )
        return scheduler
    name = scheduler.replace("_", " ").lower()
    if name not in SCHEDULERS:
        raise StudyError(
            f"Unknown scheduler {scheduler!r}: expected None or one of "
            f"{', '.join(map(repr, SCHEDULERS))}.{nearest(name, SCHEDULERS)}"
        )
    if epochs is None and name == "auto":
        name = "none"  # nobody knows how long a training is
    if epochs is None and name != "none":
        raise StudyError(
            f"Scheduler {name!r} must know how long a full training is: give epochs=, "
            "the most epochs one trial may train."
        )
    return SCHEDULERS[name](epochs=epochs)  # type: ignore[call-arg]


def _place(checkpoints: str | Path) -> str:
    if "://" in str(checkpoints):
        return str(checkpoints)
    return str(Path(checkpoints).expanduser().absolute())


def _spec(part: object, registry: Mapping[str, type]) -> dict[str, Any]:
    """Return a searcher or scheduler as plain data: its registered name and its settings."""
    for name, kind in registry.items():
        if type(part) is kind:
            fields = [f for f in dataclasses.fields(kind) if f.init]
            return {"name": name, **{f.name: getattr(part, f.name) for f in fields}}
    raise StudyError(
        f"{part!r} is not registered, so a worker could not make it again; expected one of "
        f"{', '.join(map(repr, registry))} or their classes."
    )


def _made(what: str, registry: Mapping[str, type[Any]], spec: dict[str, Any]) -> Any:
    settings = {key: value for key, value in spec.items() if key != "name"}
    kind = registry.get(spec["name"])
    known = inspect.signature(kind).parameters if kind else {}
    if kind is None or not settings.keys() <= known.keys():
        raise StudyError(
            f"This study's {what} is {spec!r}, which luthier {__version__} does not know: "
            "it was made by another version."
        )
    return kind(**settings)
