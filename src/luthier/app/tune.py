"""``tune``: from a training function to a good configuration, in one call."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from luthier.app import words
from luthier.app.extras import installed
from luthier.app.fence import read_test
from luthier.app.live import Progress
from luthier.app.notebook import in_kernel
from luthier.app.refit import Keep, Refits, best_epoch, refit
from luthier.craft.stages import Stages, may_widen, searcher_for, story
from luthier.errors import LuthierWarning, StudyError
from luthier.insight import boundary
from luthier.insight.race import RaceResult, race
from luthier.run.engines import Engine, wanted_workers
from luthier.run.opening import open_study, seconds_from
from luthier.run.ranks import Group, Leader, follow, group_here, leader_here
from luthier.run.supervisor import supervise
from luthier.run.worker import PREEMPTED_CODE, Train, preemptible, work
from luthier.schedule.race import Race
from luthier.space import Space, lint
from luthier.storage import SQLiteStore, open_store
from luthier.study.goals import outcome
from luthier.study.history import History
from luthier.study.protocols import (
    Explains,
    Plan,
    Scheduler,
    SchedulerExplains,
    Searcher,
    Store,
)
from luthier.study.records import StageRecord, TrialRecord
from luthier.study.study import Study
from luthier.track import Tracker, Tracking, trackers_from

_MOST_TOLD = 10  # trials of a front

Load = Callable[[TrialRecord, Path, Study], Any]


@dataclass(frozen=True)
class Result:
    """What a study found.

    Attributes:
        study: the study itself, for everything not listed here.
        reason: why it ended, in words.
        load: makes the model of a checkpoint; None where the training loop is your own.
        training: what trained, where it can train on other data too: the doors of the frameworks.
    """

    study: Study
    reason: str
    load: Load | None = None
    training: Refits | None = None

    def _repr_html_(self) -> str:
        from luthier.space.notebook import dim
        from luthier.study.notebook import study_html

        return study_html(self.study.name, self.study.refresh()) + dim(self.reason)

    @property
    def best(self) -> TrialRecord:
        """Return the best trial; raises StudyError when none has a finite value."""
        return self.study.best

    @property
    def best_value(self) -> float:
        """Return the objective's best value, as it was reported."""
        return self.study.best_value

    @property
    def front(self) -> list[TrialRecord]:
        """Return the trials that no other one beats in every objective, within the constraints."""
        return self.study.front

    @property
    def recommended(self) -> TrialRecord:
        """Return the trial whose expected value is the best; in a noisy study, not a merely lucky one.

        After a race of finalists it is the winner.

        Raises:
            StudyError: none has a finite value.
        """
        from luthier.search import recommended

        history = self.study.refresh()
        raced = race(history)
        if raced is not None and raced.winner is not None:
            return history.trials[raced.winner.trial]
        return recommended(history)

    @property
    def race(self) -> RaceResult | None:
        """Return how the race of the finalists on new seeds stands; None where there is none."""
        return race(self.study.refresh())

    @property
    def configuration(self) -> dict[str, Any]:
        """Return the best configuration, by the hyperparameters' full names."""
        return dict(self.best.configuration)

    @property
    def trials(self) -> Sequence[TrialRecord]:
        """Return every trial."""
        return self.study.trials

    @property
    def ranking(self) -> list[TrialRecord]:
        """Return the trials with a finite value, best first."""
        return self.study.refresh().ranking()

    @property
    def stages(self) -> list[StageRecord]:
        """Return the stages of a staged study in order, each with its conclusion; else none."""
        return list(self.study.refresh().stages)

    def test(
        self,
        evaluate: Callable[[Any], float | Mapping[str, float]],
        trial: TrialRecord | None = None,
    ) -> dict[str, float]:
        """Return what a trial's model is worth on data that no choice has seen; read it once.

        Every read is an event in the study's log, with who, when and what; a second one warns.

        Args:
            evaluate: called with the trained model; with the trial where the training loop is your own.
                Returns a number, or metrics by name.
            trial: by default the best.

        Raises:
            StudyError: *evaluate* returned no number.
            CheckpointError: the trial's checkpoint was not kept, or is damaged.
        """
        chosen = trial or self.best
        of = chosen if self.load is None else self.model(chosen)
        return read_test(self.study, chosen, evaluate, of)

    def report(self, file: str | Path) -> Path:
        """Write all that the study taught to *file*, and return its path.

        ``.html`` is one self-contained page, ``.md`` Markdown with its pictures in a folder beside it.
        Needs matplotlib (``pip install "luthier[plot]"``).

        Raises:
            LuthierError: another suffix, or the file cannot be written.
            StudyError: matplotlib is not installed.
        """
        from luthier.app.report import contents, write

        return write(contents(self.study.refresh(), self._shown_place()), file)

    def card(
        self,
        file: str | Path = "MODEL_CARD.md",
        *,
        name: str = "",
        library: str = "",
        dataset: str = "",
        task: str = "",
        licence: str = "",
        text: str = "",
    ) -> Path:
        """Write a model card to *file*, and return its path.

        It has the front matter that Hugging Face reads, the answer with its interval, what was searched,
        limitations, and versions. What the study's log cannot know is given here; nothing is made up.

        Args:
            file: a name that ends in ``.md``.
            name: the model's; by default the study's.
            library: what trained it: ``"keras"``, ``"pytorch"``, ``"jax"``.
            dataset: what it was trained on.
            task: such as ``"image-classification"``; with *dataset* the front matter has the results.
            licence: such as ``"apache-2.0"``.
            text: what the model is for, and how its data were divided.

        Raises:
            LuthierError: the file cannot be written.
        """
        from luthier.app.report import About, write_card

        about = About(name, library, dataset, task, licence, text)
        return write_card(self.study.refresh(), about, file, self._shown_place())

    def _shown_place(self) -> str:
        store = self.study.store
        return "" if store.address == "memory" else _place(store)

    def checkpoint(self, trial: TrialRecord | None = None) -> Path:
        """Return the folder of a trial's best checkpoint; by default of the best trial.

        Raises:
            CheckpointError: it was not kept (only the best three trials keep theirs), or is damaged.
        """
        chosen = trial or self.best
        return self.study.checkpoints.path(chosen.number, chosen.best_step)

    def model(self, trial: TrialRecord | None = None) -> Any:
        """Return the trained model of a trial, at its best epoch; by default of the best trial.

        Raises:
            StudyError: the training loop is your own, so only you know how to make the model.
            CheckpointError: the trial's checkpoint was not kept, or is damaged.
        """
        if self.load is None:
            raise StudyError(
                "This study's training loop is your own: make the model from result.configuration "
                "and restore it from result.checkpoint()."
            )
        chosen = trial or self.best
        return self.load(chosen, self.checkpoint(chosen), self.study)

    def fit(
        self,
        data: Any = None,
        *,
        trial: TrialRecord | None = None,
        epochs: int | None = None,
        keep: Keep = "epochs",
        seed: int | None = None,
    ) -> Any:
        """Train the recommended configuration once more, on all data, and return the model.

        The validation data have done their work once the choice is made, and a net learns from them too.
        Nothing is left to stop by, so the training is as long as was best in the search: the best epoch,
        or the median over seeds where there was a race. *keep* says what stays the same as the data grow:

        - ``"epochs"``: the passes over the data; updates grow in proportion to the examples. Stopping
          early acts like weight decay of strength 1 / (learning rate x updates), and for an unchanged
          belief about the weights that strength falls as 1 / examples (Goodfellow, Bengio & Courville
          2016, Deep Learning, section 7.8). So more examples deserve more updates, in proportion.
        - ``"updates"``: the number of updates, so fewer epochs: best x before / after. Choose it for a
          learning-rate schedule that is as long as the training in steps, such as ``OneCycleLR``.

        Which of them is better is not settled (the same section, algorithm 7.2). What the model is worth
        can no longer be read off the validation data: that takes a test set (``Result.test``).

        Args:
            data: all examples, ``(x, y)`` or for Keras whatever ``fit`` takes; by default the training
                and the validation data that were tuned on, together.
            trial: by default ``Result.recommended``.
            epochs: overrules the rule.
            keep: ``"epochs"`` or ``"updates"``, see above.
            seed: of weights and order; by default the study's own.

        Returns:
            What ``Result.model`` returns, after the last epoch. Keras callbacks that stop early are left
            out; a schedule that watches a validation metric sees one of examples that are trained on.

        Raises:
            StudyError: the training loop is your own; data that cannot be joined, or settings that
                cannot be.
            TrialError: the training diverged or ran out of memory.
        """
        chosen = trial or self.recommended
        if self.training is None:
            raise StudyError(
                "This study's training loop is your own, so only it can train on all data: call it with "
                f"{dict(chosen.configuration)!r} for {best_epoch(self.study.history, chosen)} epochs, "
                "the best in the search."
            )
        return refit(self.study, self.training, chosen, data, epochs=epochs, keep=keep, seed=seed)


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
    hang_after: float | str = "10m",
    max_trials: int | None = None,
    max_epochs: int | None = None,
    max_time: float | str | None = None,
    finalists: int | None = None,
    repetitions: int = 10,
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
            gets one GPU, in turn.
        hang_after: with several workers, how long a worker may use no processor time at all before it
            is killed and its trial goes on from its checkpoint.
        max_trials: stop after so many trials in all.
        max_epochs: stop before all trials together train more epochs than this.
        max_time: stop after so many seconds, or ``"45m"``, ``"2h"``, counted from this call.
        finalists: when the search is over, train so many of its best trials again on new seeds, and drop
            those that are worse than the leader beyond chance; ``Result.race`` has the outcome. Of
            *max_epochs*, up to a third is kept for it; *max_trials* counts the search's trials only. A
            study that was finished without it goes on with it.
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
    if finalists is not None:
        _set_race(study, finalists, repetitions)
    widen = may_widen(widen, os.environ)
    if widen is not None:
        _let_widen(study, widen)
    plan = _planned(study)
    if plan is None and study.deadline is None:
        raise StudyError(
            f"Nothing would end study {study.name!r}: give max_trials=, max_epochs= or max_time=."
        )
    for sentence in lint(study.space, data_size=data_size):
        warnings.warn(sentence, LuthierWarning, stacklevel=_users_level())
    study.retry_errors()
    study.steer.go_on("the study was started again")
    say = _Say(quiet=progress is False)
    _introduce(study, plan, say)
    reason = "interrupted"
    try:
        with ExitStack() as watching:
            watching.enter_context(Tracking(_own(study.store), study.name, trackers))
            watching.enter_context(_progress(study, plan, engine, progress))
            if group is not None and leader_here() is None:
                Leader(group).lead()
            reason = _run(study, train, engine, gpus_per_trial, seconds_from(hang_after))
    except KeyboardInterrupt:
        say(f"interrupted; everything is kept in {_place(study_store)}: run it again to go on")
        raise
    _conclude(study, study_store, reason, say)
    if study.preempted:
        say("everything is kept: run it again to go on")
        sys.exit(PREEMPTED_CODE)
    return Result(study, reason, load, train if isinstance(train, Refits) else None)


@dataclass
class _Asked:
    preempted: str = ""


def _followed(group: Group, name: str, train: Train, load: Load | None) -> Result:
    """Train what rank 0 trains, and return what it found."""
    with preemptible(_Asked()):  # rank 0 hears SIGTERM too, and decides when to go
        study, reason, preempted = follow(group, name, train)
    if preempted:
        sys.exit(PREEMPTED_CODE)
    return Result(study, reason, load, train if isinstance(train, Refits) else None)


def _set_race(study: Study, finalists: int, repetitions: int) -> None:
    known = study.history.race
    if known is None or (known.finalists, known.repetitions) != (finalists, repetitions):
        study.steer.race(finalists, repetitions, reason="finalists= was given")


def _let_widen(study: Study, widen: bool) -> None:
    if widen:
        with installed("widen=True", "search"):
            import scipy.stats  # noqa: F401 # pyright: ignore[reportUnusedImport]
    study.steer.widen(widen, reason=f"widen={widen} was given")


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
        return work(study, train)
    if study.store.address == "memory":
        raise StudyError(
            "Several workers need a store that processes share: leave storage out, or give a "
            "path or a URL; 'memory' works with workers=1."
        )
    if isinstance(engine, int):
        return supervise(study, train, engine, gpus_per_trial=gpus_per_trial, hang_after=hang_after)
    return engine.run(study, train)


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


class _Say:
    """Prints to standard error, which leaves standard output to the user's program."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet

    def __call__(self, text: str) -> None:
        if not self._quiet:
            print(f"luthier: {text}", file=sys.stderr)


def _introduce(study: Study, plan: Plan | None, say: _Say) -> None:
    kind = study.history.header
    searched = ", ".join(study.space.domains) or "what the code asks for"
    say(f"study {study.name!r}: {study.history.goals} over {searched}")
    say(f"{kind.searcher['name']} search, scheduler {kind.scheduler['name']}, seed {study.seed}")
    if isinstance(study.searcher, Explains):
        say(study.searcher.explain(study.history, study.space))
    scheduler = study.scheduler
    if isinstance(scheduler, SchedulerExplains) and (
        line := scheduler.explain(study.history, study.limits)
    ):
        say(line)
    done = study.history
    if done.trials:
        say(f"going on: {len(done.trials)} trials and {done.epochs} epochs are there already")
    if plan is None:
        say("plan: new trials until the time is up")
        return
    first, *others = words.plan_lines(plan)
    say(f"plan: {first}")
    for line in others:
        say(line)


def _conclude(study: Study, store: Store, reason: str, say: _Say) -> None:
    history = study.refresh()
    counts = ", ".join(f"{count} {state}" for state, count in history.counts().items())
    say(f"{reason}: {len(history.trials)} trials ({counts}), {history.epochs} epochs")
    for paragraph in story(history):
        say(paragraph)
    if history.best is not None:
        best = history.best
        if best.violation:
            rules = " and ".join(map(str, history.goals.constraints))
            say(f"no trial keeps to {rules}; the one that comes closest:")
        say(
            f"best {study.objective.metric} {words.number(history.value(best.best_loss))} by trial "
            f"{best.number} at epoch {best.best_step}: {words.configuration(best.configuration)}"
        )
        if len(history.goals.objectives) > 1:
            _tell_front(history, say)
        if (raced := race(history)) is not None:
            for line in words.race_lines(raced, study.objective.metric):
                say(line)
    else:
        say(f"no trial has a finite {study.objective.metric}")
    for line in _crowded(study, store):
        say(line)
    if store.address != "memory":
        say(f"look further: luthier show {_quoted(study.name)}{_storage_option(store)}")


def _crowded(study: Study, store: Store) -> list[str]:
    """Return where the best trials crowd an edge of the space, and how to widen it."""
    try:
        found = [f for f in boundary.check(study.history) if f.to is not None]
    except ImportError:  # scipy, which a plain install does not have
        return []
    lines = [f"the optimum may lie outside: {finding}" for finding in found]
    if lines and store.address != "memory":
        option = _storage_option(store)
        lines.append(
            f"to widen it: luthier boundary {_quoted(study.name)} --act{option}, then run again with "
            "a larger budget; what was tried counts. widen=True lets a study do so by itself"
        )
    return lines


def _tell_front(history: History, say: _Say) -> None:
    front, names = history.front(), [goal.metric for goal in history.goals.objectives]
    say(f"{len(front)} trials that no other one beats in all of {', '.join(names)}:")
    for trial in front[:_MOST_TOLD]:
        values = ", ".join(f"{name} {words.number(outcome(trial, name))}" for name in names)
        say(f"  trial {trial.number}: {values} ({words.configuration(trial.configuration)})")
    if len(front) > _MOST_TOLD:
        say(f"  ... and {len(front) - _MOST_TOLD} more")


def _quoted(name: str) -> str:
    import shlex

    return shlex.quote(name)


def _storage_option(store: Store) -> str:
    if isinstance(store, SQLiteStore) and store.path == Path("luthier.db").absolute():
        return ""
    return f" --storage {_quoted(_place(store))}"


def _place(store: Store) -> str:
    """Return where the studies are, without passwords or tokens."""
    if isinstance(store, SQLiteStore):
        return str(store.path)
    parts = urlsplit(store.address)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname}{port}{parts.path}" if parts.hostname else "memory"


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


__all__ = ["Result", "tune"]
