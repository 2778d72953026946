"""The one object that training code sees."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from luthier.errors import LuthierWarning, StorageError, StudyError, TrialEnded, nearest
from luthier.space import Domain, HyperParameters, Space
from luthier.study.chance import Chance
from luthier.study.goals import checked_report, diverged_metric
from luthier.study.objective import named_metrics
from luthier.study.protocols import GO_ON, Fate, Verdict

if TYPE_CHECKING:
    from luthier.study.deciding import Job
    from luthier.study.history import History
    from luthier.study.study import Study


_MANY = 100  # epochs after which a loop without an end is warned of


class Resumable(Protocol):
    """All that training must remember between two epochs, written to and read from a folder."""

    def save(self, folder: Path, /) -> object:
        """Write the whole state into *folder*, which exists and is empty."""
        ...

    def restore(self, folder: Path, /) -> object:
        """Read the state back, exactly."""
        ...


class Ranks(Protocol):
    """The other processes that train the same trial, and hear from this one what becomes of it.

    Attributes:
        raised: whether the training code raised in one of them that had not been told to end.
    """

    raised: bool

    def begin(self, study: Study, job: Job, folder: Path | None) -> None:
        """Have them train *job*, which goes on from the checkpoint in *folder*."""
        ...

    def together(self, save: Callable[[Path], object], /) -> Callable[[Path], object]:
        """Return *save* done by all of them, into the same folder."""
        ...

    def tell(self, step: int, verdict: Verdict) -> None:
        """Tell the verdict on what was reported after *step*."""
        ...

    def turned(self) -> None:
        """Tell that an epoch of ``Trial.epochs`` is over."""
        ...

    def end(self) -> None:
        """Tell that the training code has returned, and wait until theirs has."""
        ...


class Trial:
    """One configuration on its way through training.

    Attributes:
        number: the trial's number in its study, from 0.
        seed: 31-bit seed that depends on the study's seed and the number only.
        from_step: epochs that the checkpoint already holds; 0 for a fresh trial.
        to_step: epoch at which this job ends (its rung), whatever comes after it; None when only the
            training code knows. A learning-rate schedule that ends here is finished when it is compared.
        ranks: the other processes that train this trial; None where this one does alone.
    """

    def __init__(self, study: Study, job: Job) -> None:
        self.number = job.trial
        self.lease = job.lease
        self.from_step = job.from_step
        self.to_step = job.to_step
        self._job = job
        self.ranks: Ranks | None = None
        self._start = study.history.trials[job.trial].start
        self.step = job.from_step
        self.verdict: Verdict = GO_ON
        self.closed = False
        self._study = study
        self._chance = Chance(study.seed, ("trial", self.number))
        self._parameters: HyperParameters | None = None
        self._configuration: dict[str, Any] = dict(job.configuration)
        self._beside: dict[str, Any] = {}  # of these, beside what is asked for by ``hp``
        self._pending: dict[str, float] | None = None
        self._defers = False
        self._looping = False  # inside trial.epochs()
        self._reported = False  # in this turn of it
        self._ready: Callable[[], bool] | None = None
        self._every_rank = False
        # In a loop over epochs: by what, and how often, its state is saved.
        self._saving: tuple[Callable[[Path], object] | None, int] | None = None
        self._lost: BaseException | None = None  # raised where Python passes errors over
        self._clock = self._study.clock.monotonic()

    def __repr__(self) -> str:
        return f"<Trial {self.number}: {self._said()}, {self.configuration}>"

    def _said(self) -> str:
        upto = f" of {self.to_step}" if self.to_step is not None else ""
        return f"epoch {self.step}{upto}{', over' if self.closed else ''}"

    def _repr_html_(self) -> str:
        from luthier.study.notebook import trial_html

        return trial_html(self.number, self._said(), self.configuration)

    @property
    def seed(self) -> int:
        """Return the seed for weights, dropout and data order."""
        return self._chance.of("training").integer()

    def seed_of(self, epoch: int) -> int:
        """Return a seed for one epoch: training that reseeds with it can resume at any epoch."""
        return self._chance.of("epoch", epoch).integer()

    @property
    def horizon(self) -> int | None:
        """Return the most epochs a trial of this study trains; None when only the training code knows."""
        return getattr(self._study.scheduler, "epochs", None)

    @property
    def compared_at(self) -> int | None:
        """Return the epoch at which this trial is first compared with others that may go on beyond it.

        None when the scheduler lets it train to its horizon first.
        """
        compares = getattr(self._study.scheduler, "compares_at", None)
        return None if compares is None else compares(self.to_step, self._study.limits)

    @property
    def in_rungs(self) -> bool:
        """Return whether jobs end at rungs: there a schedule over ``to_step`` is finished when it counts."""
        return getattr(self._study.scheduler, "in_rungs", False)

    @property
    def study(self) -> Study:
        """Return the study that the trial is part of."""
        return self._study

    @property
    def history(self) -> History:
        """Return what this process knows of the study so far, for code that compares trials itself."""
        return self._study.history

    def set_attribute(self, name: str, value: Any) -> None:
        """Write down *value* under *name* about this trial; it decides nothing."""
        self._study.set_attribute(name, value, self.number)

    @property
    def said(self) -> set[str]:
        """Return the subjects that this process has warned or told of in this study; to be added to."""
        return self._study.warned

    def warn_once(self, subject: str, text: str) -> None:
        """Warn of something, the first time that this process meets *subject* in this study."""
        if subject not in self._study.warned:
            self._study.warned.add(subject)
            warnings.warn(text, LuthierWarning, stacklevel=3)

    def lead(self, ranks: Ranks) -> None:
        """Have *ranks* train this trial in step with this process.

        Raises:
            CheckpointError: the checkpoint to go on from is missing or damaged.
        """
        ranks.begin(self._study, self._job, self._checkpoint())
        self.ranks = ranks

    # -- the configuration -----------------------------------------------------------------------

    @property
    def configuration(self) -> dict[str, Any]:
        """Return a copy of the values, by the hyperparameters' full names.

        Where the code asks by ``hp``, these are the values that it asked for so far, those that it read
        before (``trial["x"]``), and those of a space that was declared.
        """
        if self._parameters is None:
            return dict(self._configuration)
        return {**self._beside, **self._parameters.configuration}

    def __getitem__(self, name: str) -> Any:
        """Return the value of one hyperparameter, by its full name or its name within its branch.

        Raises:
            StudyError: when this trial has no such hyperparameter, or several active ones of that name.
        """
        values = self.configuration
        key = self._key(name, values)
        if key is None:
            known = [*values, *map(Space.short, values)]
            raise StudyError(
                f"Trial {self.number} has no hyperparameter {name!r}; it has "
                f"{', '.join(map(repr, values)) or 'none'}.{nearest(name, known)}"
            )
        if self._parameters is None:
            self._beside[key] = values[key]
        return values[key]

    def get(self, name: str, default: Any = None) -> Any:
        """Return ``trial[name]``, or *default* when the hyperparameter is not active here.

        Raises:
            StudyError: when several active ones have that name.
        """
        return default if self._key(name, self.configuration) is None else self[name]

    def _key(self, name: str, values: Mapping[str, Any]) -> str | None:
        """Return the full name of the hyperparameter that *name* means among *values*."""
        if name in values:
            return name
        keys = [key for key in values if Space.short(key) == name]
        if len(keys) > 1:
            full = ", ".join(map(repr, keys))
            raise StudyError(
                f"{name!r} could be any of {full} in trial {self.number}: ask for it by its full name."
            )
        return keys[0] if keys else None

    @property
    def hp(self) -> HyperParameters:
        """Return the define-by-run view: ``trial.hp.float("learning_rate", 1e-4, 1e-1)``."""
        if self._parameters is None:
            self._parameters = self._study.hyperparameters(self._configuration, self._draw)
            header = self._study.history.header
            if not header.define_by_run:
                declared = Space.from_dict(header.space)
                given = self._configuration.items()
                self._beside |= {key: value for key, value in given if key in declared}
            self._parameters.horizon = self.horizon or self.to_step or 1
            self._parameters.to_step = self.to_step or self._parameters.horizon
        return self._parameters

    def _draw(self, key: str, domain: Domain) -> Any:
        return domain.quantile(self._chance.of("configuration", 0).uniform(key))

    def settle(self) -> None:
        """Record what the define-by-run code asked for, once it has been built."""
        if self._parameters is not None and not self.closed:
            self._study.settle(self, self.configuration, self._parameters)
            for key, value in self._parameters.redrawn.items():
                self._warn_of_redrawn(key, value)

    def _warn_of_redrawn(self, key: str, value: Any) -> None:
        # What a searcher proposed lies in the space; this somebody asked for.
        if not self.hp.space[key].contains(value):
            asked = self.hp.asked_for[key]
            self.warn_once(
                f"redrawn {key}",
                f"Trial {self.number} was to have {key}={value!r}, but the code asks for {asked!r}: it has "
                f"{self.configuration[key]!r}.",
            )

    # -- reporting -------------------------------------------------------------------------------

    @property
    def should_stop(self) -> bool:
        """True when training should end now: rung reached, abandoned, diverged or interrupted."""
        return self.verdict.fate is not Fate.GO_ON

    @property
    def has_reported(self) -> bool:
        """True once the trial has reported anything, also when it was trained elsewhere before."""
        return self.step > self._start

    def report(
        self, metrics: Mapping[str, Any] | None = None, /, *, step: int | None = None, **named: Any
    ) -> None:
        """Report the metrics after an epoch.

        Inside ``trial.epochs(...)`` with a state to save, the report is written together with the
        epoch's checkpoint, when the loop turns. Elsewhere it is written at once.

        Args:
            metrics: metrics whose names are no Python identifiers, such as ``{"val/loss": 0.4}``.
            step: epochs trained so far, counted from 1; by default one more than the last report.
            **named: metrics by name.

        Raises:
            StudyError: no objective among the metrics, a value that is no number, a step that does
                not go forward.
            TrialEnded: the trial has ended already.
            StorageError: it could not be written; the same report may be tried again.
        """
        if self.closed or self.should_stop:
            told = "it was told, or given back"
            why = self.verdict.reason or (self.verdict.fate.value if self.should_stop else told)
            raise TrialEnded(
                f"Trial {self.number} ended at step {self.step} ({why}); leave the loop when "
                "trial.should_stop is True, or iterate over trial.epochs(), which ends by itself."
            )
        given = named_metrics(metrics, named, "trial.report({}=...)", self._study.objective)
        numbers = checked_report(given, self._study.goals)
        after = self.step + 1 if step is None else step
        if isinstance(after, bool) or not isinstance(after, int):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise StudyError(f"step must be a whole number of epochs, got {step!r}.")
        if self._pending is not None or after <= self.step:
            raise StudyError(
                f"Trial {self.number} reported step {after} after step {self.step}: steps go "
                f"forward. Report each epoch once; the next one is {self.step + 1}."
            )
        if step is None and self._reported:
            raise StudyError(
                f"Trial {self.number} reported twice in epoch {after - 1}: report once in each turn of "
                "trial.epochs(), at the end of the epoch; the mean over its batches, for instance."
            )
        before = self.step, self._reported
        self.step, self._reported = after, self._looping
        try:
            self.settle()
            if self._defers:
                self._pending = numbers
                return
            self._write(numbers, checkpointed=False)
        except StorageError:
            self.step, self._reported = before
            raise
        if (
            self.verdict.fate is Fate.PAUSE
            and not self._study.history.trials[self.number].checkpoint
        ):
            self.warn_once(
                "paused without a checkpoint",
                f"Trial {self.number} is paused at epoch {self.step}, and its reports come from outside of "
                "trial.epochs(state), which writes checkpoints: if it is promoted, it trains again from the "
                "beginning. Loop over trial.epochs(state), or use a scheduler that never pauses: 'median' or "
                "None.",
            )

    def _write(self, metrics: dict[str, float], *, checkpointed: bool) -> None:
        now = self._study.clock.monotonic()
        seconds = now - self._clock
        self.verdict = self._study.record(self, metrics, seconds, checkpointed=checkpointed)
        self._clock = now
        if self.ranks is not None:
            self.ranks.tell(self.step, self.verdict)

    # -- the loop --------------------------------------------------------------------------------

    def epochs(
        self,
        state: Resumable | None = None,
        *,
        save: Callable[[Path], object] | None = None,
        restore: Callable[[Path], object] | None = None,
        every: int = 1,
    ) -> Iterator[int]:
        """Iterate over the epochs of this job, counted from 0 over the trial's whole life.

        Restores the checkpoint first when the trial goes on, writes one after each epoch, and ends
        when the scheduler says so. Report once in each epoch. A trial that goes on from another one's
        checkpoint with other hyperparameters (population-based training) restores it by
        ``state.inherit(folder)`` where there is such a method: everything but the hyperparameters.

        Args:
            state: an object with ``save(folder)`` and ``restore(folder)``; instead of the next two. If
                it has ``looks_at(trial)``, that is called first; if it has ``ready()``, no checkpoint
                is written while that returns False. Where several processes train the trial, rank 0
                alone saves; with ``every_rank = True`` all do, into the same folder.
            save: writes the whole training state into the folder it is given.
            restore: reads it back.
            every: write a checkpoint every so many epochs (and always at the end of a rung).

        Raises:
            StudyError: only one of *save* and *restore* is given; the scheduler promotes trials from
                checkpoints and there is nothing to write them with; the last epoch was not reported.
            CheckpointError: the checkpoint to go on from is missing or damaged.
        """
        if state is not None:
            if isinstance(state, int):
                raise StudyError(
                    f"trial.epochs() takes what a checkpoint saves, got {state!r}: how many epochs a "
                    "trial trains is epochs= of tune or open."
                )
            save, restore = state.save, state.restore
            if (looks := getattr(state, "looks_at", None)) is not None:
                looks(self)
        if (save is None) != (restore is None):
            missing = "restore" if restore is None else "save"
            raise StudyError(
                f"trial.epochs() needs both save= and restore=; {missing}= is missing."
            )
        if save is None and self._study.scheduler.promotes:
            raise StudyError(
                "This study's scheduler pauses trials and lets the best go on from their "
                "checkpoints, but trial.epochs() was given nothing to save. Pass "
                "trial.epochs(state) with save(folder) and restore(folder), for instance "
                "luthier.torch.State(model=model, optimizer=optimizer); or use a scheduler that "
                "never pauses: None or 'median'."
            )
        if restore is not None and (folder := self._checkpoint()) is not None:
            inherits = self._job.source is not None
            read = getattr(state, "inherit", restore) if inherits else restore
            read(folder)
        self._ready = getattr(state, "ready", None)
        self._every_rank = getattr(state, "every_rank", False)
        return self._loop(save, every)

    def _checkpoint(self) -> Path | None:
        """Return the checkpoint to go on from; None for a fresh trial."""
        if self._job.source is not None:
            return self._study.checkpoints.path(*self._job.source)
        return self._study.checkpoints.path(self.number, self.from_step) if self.from_step else None

    def _loop(self, save: Callable[[Path], object] | None, every: int) -> Iterator[int]:
        self.settle()
        self._defers = save is not None
        self._saving = (save, every)
        self._clock = self._study.clock.monotonic()
        last = itertools.count() if self.to_step is None else range(self.to_step)
        try:
            for epoch in itertools.islice(last, self.from_step, None):
                if self.should_stop:
                    return
                if self.to_step is None and epoch == _MANY:
                    self._endless()
                self._looping, self._reported = True, False
                yield epoch
                self._turned(save, every)
            if self.to_step is not None and not self.closed and not self.should_stop:
                self._unreported()
        except GeneratorExit:  # the training code left the loop by itself
            if not self.closed:
                try:
                    self._left(save, every)
                except BaseException as error:
                    self._lost = error  # Python would print and forget it: see ``flush``
            raise
        finally:
            self._defers = self._looping = self._reported = False
            self._saving = None

    def flush(self) -> None:
        """Write what was reported last, for training code that left its loop before the end.

        Leaving the loop does so already, but where something else still holds the loop's iterator; and what
        goes wrong there, no code sees.

        Raises:
            CheckpointError, StorageError: it cannot be written, or could not when the loop was left.
        """
        lost, self._lost = self._lost, None
        if lost is not None:
            raise lost
        saving, self._saving = self._saving, None
        if saving is not None and not self.closed:
            self._turned(*saving)
        self._defers = self._looping = self._reported = False

    def _endless(self) -> None:
        self.warn_once(
            "endless",
            f"Trial {self.number} has trained {_MANY} epochs, and nothing says how many there are: "
            "trial.epochs() goes on until the training code leaves its loop. Give epochs=, the most "
            "that a trial trains, to have it end.",
        )

    def _unreported(self) -> None:
        raise StudyError(
            f"Trial {self.number} trained {self.to_step} epochs but its last report is for "
            f"epoch {self.step}. Call trial.report(...) at the end of every epoch."
        )

    def _left(self, save: Callable[[Path], object] | None, every: int) -> None:
        self._turned(save, every)

    def _turned(self, save: Callable[[Path], object] | None, every: int) -> None:
        self._turn(save, every)
        if self.ranks is not None:
            self.ranks.turned()

    def _turn(self, save: Callable[[Path], object] | None, every: int) -> None:
        if self._pending is None or self.closed:
            return
        metrics, self._pending = self._pending, None
        due = self.step % every == 0 or self.step == self.to_step
        due = due or (save is not None and self._study.interrupted)
        sound = diverged_metric(metrics, self._study.goals) is None
        checkpointed = save is not None and due and sound
        checkpointed = checkpointed and (self._ready is None or self._ready())
        if save is not None and checkpointed:
            seconds = self._study.clock.monotonic() - self._clock
            if self.ranks is not None and self._every_rank:
                save = self.ranks.together(save)
            self._study.checkpoints.save(self.number, self.step, save, metrics, seconds)
        self._write(metrics, checkpointed=checkpointed)
