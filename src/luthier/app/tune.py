"""``tune``: from a training function to a good configuration, in one call."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import threading
import time
import warnings
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from luthier.app.kept_command import keep_command
from luthier.app.live import Progress
from luthier.app.notebook import in_kernel
from luthier.app.refit import Refits
from luthier.app.result import Load, Result
from luthier.app.saying import Say, conclude, introduce, short_race, too_short
from luthier.craft.stages import Stages, may_widen, searcher_for
from luthier.errors import LuthierWarning, StudyError
from luthier.run.devices import checked_share
from luthier.run.engines import GRACE, Engine, grace_seconds, wanted_workers
from luthier.run.opening import open_study, seconds_from
from luthier.run.places import check_place, logs_of, place, storage_option
from luthier.run.ranks import Group, Leader, follow, group_here, leader_here
from luthier.run.supervisor import check_forks, supervise
from luthier.run.worker import PREEMPTED_CODE, Train, preemptible, work
from luthier.schedule.race import REPETITIONS, Race, check_repetitions
from luthier.space import Space, lint
from luthier.storage import WORKER, open_store
from luthier.study.objective import doubt
from luthier.study.protocols import (
    Plan,
    Scheduler,
    Searcher,
    Store,
)
from luthier.study.study import Study
from luthier.track import Tracker, Tracking, trackers_from

_HANG_AFTER = "10m"
_LOOK_SECONDS = 0.2
_ECHO_SECONDS = 2.5  # a second SIGTERM sooner than that is taken for an echo of the first


def tune(
    train: Train,
    space: Space | Mapping[str, Any] | None = None,
    *,
    maximize: str | Sequence[str] | None = None,
    minimize: str | Sequence[str] | None = None,
    subject_to: str | Sequence[str] | None = None,
    noisy: bool = False,
    learn_from: str | Study | Sequence[str | Study] = (),
    name: str | None = None,
    epochs: int | None = None,
    searcher: str | Searcher | None = None,
    scheduler: str | Scheduler | None = "auto",
    staged: bool | Stages = False,
    widen: bool | None = None,
    workers: int | Engine | None = None,
    gpus_per_trial: float | None = None,
    hang_after: float | str = _HANG_AFTER,
    max_trials: int | None = None,
    max_epochs: int | None = None,
    max_time: float | str | None = None,
    finalists: int | None = None,
    repetitions: int = REPETITIONS,
    seed: int = 0,
    storage: str | Path | Store | None = None,
    checkpoints: str | Path | None = None,
    halve: str | None = None,
    track: str | Tracker | Sequence[str | Tracker] | None = None,
    load: Load | None = None,
    data_size: int | None = None,
    define_by_run: bool = False,
    progress: bool | None = None,
) -> Result:
    """Find a good configuration of *train*; go on where an earlier call of the same name ended.

    In a script that runs in several processes (``torchrun``, Lightning's ``ddp``), all of them train the
    same trial: rank 0 has the study, the others follow it.

    Args:
        train: called with a ``Trial``; reads ``trial["learning_rate"]``, loops over
            ``trial.epochs(...)``, and calls ``trial.report(val_accuracy=...)`` after each epoch.
        space: what is searched; None when *train* asks for it with ``trial.hp.float(...)``.
        maximize: the metric to make large, and
        minimize: the metric to make small: one of them, or several objectives (lists of names); then
            ``Result.front`` has the trials that no other one beats in all of them.
        subject_to: bounds on other reported metrics, such as ``"latency <= 20"``.
        noisy: training the same configuration twice gives different values; see ``luthier.open``.
        learn_from: earlier studies of the same or a similar space, by name or opened.
        name: the study's name; by default the script's.
        epochs: the most epochs one trial trains.
        searcher: ``"auto"`` (default), another of ``luthier.search.SEARCHERS``, or a searcher.
        scheduler: ``"auto"`` (default: asynchronous halving where it saves something), None (every
            trial trains to its end), another of ``luthier.schedule.SCHEDULERS``, or a scheduler.
        staged: True tunes in stages, the learning rate first, each with its conclusion; or
            ``luthier.craft.stages.Stages(order=..., ...)``. See ``Result.stages``.
        widen: True lets the study widen its space where the best trials crowd an edge, as far as makes
            sense for the hyperparameter; it looks after every ten trials, or at the end of each stage.
            Left out, only ``staged`` does so, for learning rates, momenta and regularisation, each side
            once and by a decade at most; any other study says at its end where it would. False forbids
            it. Every widening is in the log, with its reason; what was tried counts.
        workers: trials trained at the same time, each in a process of its own; 1 trains in this one;
            or an engine, such as ``luthier.run.ray(num_workers=8)``. By default 1.
        gpus_per_trial: 0.5 lets two trials share a GPU, 2 gives each trial two; by default each worker
            gets one GPU, in turn. An engine has its own ``gpus_per_worker=`` instead.
        hang_after: with several workers, how long a worker may use no processor time at all before it
            is killed and its trial goes on from its checkpoint. An engine has its own ``hang_after=``.
        max_trials: stop after so many trials in all.
        max_epochs: stop before all trials together train more epochs than this; without *epochs* that stops
            the trials that are running then, wherever they are.
        max_time: stop after so many seconds, or ``"45m"``, ``"2h"``, counted from this call.
        finalists: when the search is over, train so many of its best trials again on new seeds, and drop
            those that are worse than the leader beyond chance; ``Result.race`` has the outcome. Of
            *max_epochs*, up to a third is kept for it; *max_trials* counts the search's trials only. A
            study that was finished without it goes on with it; one that has used up its *max_epochs*
            needs more of them.
        repetitions: how often each finalist is trained again at most, at least 3.
        seed: decides every configuration and every trial's own seed; 0 is one.
        storage: a path, ``"memory"``, or a store; by default ``luthier.db`` in the working directory.
        checkpoints: a folder or URL (``"s3://bucket/runs"``) for checkpoints; see ``luthier.open``.
        halve: the hyperparameter, usually the batch size, to halve when a trial runs out of memory;
            it is then tried once more. None lets it fail.
        track: where else to write what happens: "mlflow:http://127.0.0.1:5000", "tensorboard:runs",
            "wandb", or trackers of ``luthier.track``; several in a list. One that fails never stops the study.
        load: makes a trained model for ``Result.model``: ``(trial, checkpoint folder, study)``.
        data_size: training examples, for the space's linter.
        define_by_run: the space was found by running a build function, and may grow.
        progress: True shows a live table, False nothing; by default live on a terminal and in a
            notebook, and elsewhere the plan, the warm-up's estimate and the result.

    Raises:
        StudyError: a setting that cannot be (see ``open_study``), or nothing that ends the study.
        CheckpointError: nothing can be written to the URL of its checkpoints.
        SpaceError: the searcher cannot search this space.
        TrialError: with several workers, the training code raised; with one it raises itself.
        KeyboardInterrupt: everything is kept; the same call goes on.
    """
    group = group_here()
    if group is not None and group.rank:
        return _followed(group, name or _script_name(), train, load)
    engine = wanted_workers(workers)
    if group is not None and (engine != 1 or gpus_per_trial is not None):
        raise StudyError(
            f"One trial trains over the {group.size} processes of this script: leave out workers= and "
            "gpus_per_trial=. For several trials at a time, start the script several times, on one storage."
        )
    # What this machine or this call cannot do is refused before there is a study.
    if isinstance(engine, int) and (engine > 1 or gpus_per_trial is not None):
        check_forks()
        checked_share(gpus_per_trial, engine)
    if not isinstance(engine, int):
        _check_engines_own(gpus_per_trial, hang_after)
    silence = seconds_from(hang_after)
    trackers = trackers_from(track)
    study_store = open_store(storage)
    study = open_study(
        name or _script_name(),
        Space() if space is None else space,
        maximize=maximize,
        minimize=minimize,
        subject_to=subject_to,
        noisy=noisy,
        learn_from=learn_from,
        searcher=searcher_for(staged, searcher, os.environ),
        scheduler=scheduler,
        epochs=epochs,
        seed=seed,
        max_trials=max_trials,
        max_epochs=max_epochs,
        max_time=max_time,
        storage=study_store,
        checkpoints=checkpoints,
        halve=halve,
        define_by_run=define_by_run or space is None,
    )
    keep_command(study, train, _users_level() + 1)
    check_repetitions(finalists, repetitions)
    if finalists is not None:
        _set_race(study, finalists, repetitions)
    widen = may_widen(widen, os.environ)
    if widen is not None:
        study.steer.widen(widen, reason=f"widen={widen} was given")
    plan = _planned(study)
    if plan is None and study.deadline is None:
        raise StudyError(
            f"Nothing would end study {study.name!r}: give max_trials=, max_epochs= or max_time= "
            "(--max-trials and so on, on the command line)."
        )
    doubts = [said for goal in study.goals.objectives if (said := doubt(goal))]
    doubts += [said for said in (too_short(plan, epochs), short_race(study)) if said]
    for sentence in [*doubts, *lint(study.space, data_size=data_size)]:
        warnings.warn(sentence, LuthierWarning, stacklevel=_users_level())
    say = Say(quiet=progress is False)
    # What a bug stopped goes on, as it may be mended. What kills its workers goes on when somebody asks for
    # it: of a cluster's workers each that starts would begin anew with it, and die of it.
    study.retry_errors(lost=not os.environ.get(WORKER))
    if not os.environ.get(WORKER):
        study.steer.go_on("the study was started again")
    elif told := held_by_hand(study):  # a worker joins, and whoever holds the study lets it go on
        say(told)
    # Where an engine starts workers elsewhere, these have rights of their own.
    if isinstance(engine, int) and not study.why_over():
        check_place(study.checkpoints)
    introduce(study, plan, say)
    if isinstance(engine, int) and (engine > 1 or gpus_per_trial is not None):
        say(f"workers write what they print to {logs_of(study_store)}")
    reason = "interrupted"
    try:
        with ExitStack() as watching:
            watching.enter_context(Tracking(_own(study.store), study.name, trackers))
            watching.enter_context(_progress(study, plan, engine, progress))
            if group is not None and leader_here() is None:
                Leader(group).lead()
            reason = _run(study, train, engine, gpus_per_trial, silence)
    except KeyboardInterrupt:
        say(f"interrupted; everything is kept in {place(study_store)}: run it again to go on")
        raise
    conclude(study, study_store, reason, say)
    if study.preempted:
        say("everything is kept: run it again to go on")
        sys.exit(PREEMPTED_CODE)
    return Result(study, reason, load, train if isinstance(train, Refits) else None)


def _check_engines_own(gpus_per_trial: float | None, hang_after: float | str) -> None:
    """Refuse beside an engine what it is told itself, and would ignore here."""
    for name, given, own in (
        ("gpus_per_trial", gpus_per_trial, "gpus_per_worker=0.5"),
        ("hang_after", None if hang_after == _HANG_AFTER else hang_after, "hang_after=600"),
    ):
        if given is not None:
            raise StudyError(
                f"{name}={given!r} is for the workers that this call starts itself; an engine is told by a "
                f"setting of its own, such as workers=luthier.run.ray(num_workers=8, {own})."
            )


@dataclass
class _Asked:
    preempted: str = ""


def _followed(group: Group, name: str, train: Train, load: Load | None) -> Result:
    """Train what rank 0 trains, and return what it found."""
    asked = _Asked()
    with preemptible(asked):  # rank 0 hears SIGTERM too, and decides when to go
        study, reason, preempted = follow(group, name, train, asked)
    if preempted:
        sys.exit(PREEMPTED_CODE)
    return Result(study, reason, load, train if isinstance(train, Refits) else None)


def _set_race(study: Study, finalists: int, repetitions: int) -> None:
    known = study.history.race
    if known is None or (known.finalists, known.repetitions) != (finalists, repetitions):
        study.steer.race(finalists, repetitions, reason="finalists= was given")


def _planned(study: Study) -> Plan | None:
    scheduler, limits = study.scheduler, study.limits
    if isinstance(scheduler, Race):
        return scheduler.planned(study.history, limits)
    return scheduler.plan(limits)


def _run(
    study: Study,
    train: Train,
    engine: int | Engine,
    gpus_per_trial: float | None,
    hang_after: float,
) -> str:
    if engine == 1 and gpus_per_trial is None:
        with _within_grace(study):
            return work(study, train)
    if study.store.address == "memory":
        raise StudyError(
            "Several workers need a store that processes share: leave storage out, or give a "
            "path or a URL; 'memory' works with workers=1."
        )
    if (kept := study.history.header.checkpoints).startswith("memory:"):
        raise StudyError(
            f"Several workers need checkpoints that processes share, not {kept!r}: "
            "leave checkpoints out, or give a path or a URL; memory:// works with workers=1."
        )
    if isinstance(engine, int):
        return supervise(
            study,
            train,
            engine,
            gpus_per_trial=gpus_per_trial,
            hang_after=hang_after,
            grace=grace_seconds(),
        )
    return engine.run(study, train)


def held_by_hand(study: Study) -> str:
    """Return in words how a study goes on that somebody has paused or stopped; "" for any other one."""
    if not (held := study.history.held):
        return ""
    command = f"luthier resume {shlex.quote(study.name)}{storage_option(study.store)}"
    return f"the study is {held} by hand; it goes on with `{command}`"


@contextmanager
def _within_grace(study: Study) -> Generator[None]:
    """End this process once ``luthier worker --grace`` has run out, where it was told to go.

    An epoch may be longer than a cluster's notice. A job that the cluster itself has to end is not put back
    into its queue, and its trial waits for the lease to lapse.
    """
    if GRACE not in os.environ:  # nobody who started this has set a limit
        yield
        return
    over = threading.Event()
    threading.Thread(target=_leave, args=(study, over, grace_seconds()), daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _leave(study: Study, over: threading.Event, grace: float) -> None:
    while not study.preempted:
        if over.wait(_LOOK_SECONDS):
            return
    if over.wait(max(grace, _ECHO_SECONDS)):
        return
    # As a second SIGTERM from outside: it leaves the training code by SystemExit, which gives the trial back.
    main = threading.main_thread().ident
    assert main is not None
    signal.pthread_kill(main, signal.SIGTERM)
    # Training code that is in a long call, or that catches SystemExit, is left without its leave, within
    # what a cluster's notice has beyond the grace (a fifth of it).
    time.sleep(max(1.0, grace / 10))
    os.write(
        2, b"luthier: the training code has not ended within the grace; this process leaves it\n"
    )
    os._exit(PREEMPTED_CODE)


def _progress(
    study: Study, plan: Plan | None, engine: int | Engine, progress: bool | None
) -> Progress | nullcontext[None]:
    if progress is False:
        return nullcontext()
    live = sys.stderr.isatty() or in_kernel() if progress is None else progress
    workers = engine if isinstance(engine, int) else engine.workers
    return Progress(_own(study.store), study.name, plan, workers, study.deadline, live=live)


def _own(store: Store) -> Store:
    """Return a connection of its own: a thread that reads must not wait for the one that trains."""
    return store if store.address == "memory" else open_store(store.address)


def _users_level() -> int:
    """Return the stack level of the first caller that is not Luthier, as seen from ``tune``."""
    frame, level = sys._getframe(1), 1  # pyright: ignore[reportPrivateUsage]
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("luthier."):
        frame, level = frame.f_back, level + 1
    return level


def _script_name() -> str:
    """Return the running script's name; 'study' in a notebook or a console."""
    main = sys.modules.get("__main__")
    script = getattr(main, "__file__", None)
    return Path(script).stem if script and Path(script).stem != "__main__" else "study"
