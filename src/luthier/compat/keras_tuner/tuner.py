"""KerasTuner's tuner: a study of Luthier's in the project's folder."""

from __future__ import annotations

import math
import os
import traceback
import warnings
from collections.abc import Mapping, Sequence
from inspect import signature
from pathlib import Path
from typing import Any

import keras

from luthier.compat.keras_tuner import errors
from luthier.compat.keras_tuner.building import checked
from luthier.compat.keras_tuner.executions import run_executions
from luthier.compat.keras_tuner.hypermodel import HyperModel, hypermodel_of
from luthier.compat.keras_tuner.hyperparameters import HyperParameters
from luthier.compat.keras_tuner.oracles import Oracle
from luthier.compat.keras_tuner.outcomes import counts, scored
from luthier.compat.keras_tuner.projects import forgotten, model_folder, opened
from luthier.compat.keras_tuner.training import Hooks, Reporter, Running, copied, restored
from luthier.compat.keras_tuner.trial import FINAL, Trial, TrialStatus, ranked, seen
from luthier.errors import LuthierWarning, StudyError, TrialEnded, nearest
from luthier.run.seeding import seed_keras
from luthier.run.worker import out_of_memory, work
from luthier.space import Space, discover
from luthier.space.asking import Asking
from luthier.storage import WORKER
from luthier.study.records import TrialState
from luthier.study.trial import Trial as OwnTrial
from luthier.train.memory import cleared_session, give_back

_HOOKS = ("on_epoch_begin", "on_batch_begin", "on_batch_end", "on_epoch_end")


class Tuner:
    """Searches the hyperparameters of a hypermodel; see the subclasses in ``tuners``.

    Args:
        oracle: what decides, and the objective.
        hypermodel: a function ``build(hp)``, or a ``HyperModel``; None where ``run_trial`` is overridden.
        max_model_size: models with more weights fail.
        optimizer: in place of the one that the model was compiled with; likewise
        loss: and
        metrics: .
        distribution_strategy: has no effect; Luthier trains several trials at a time, each on one device.
        directory: where the project's folder is.
        project_name: the folder, and the study's name.
        overwrite: begin anew; by default the search goes on where it was left.
        executions_per_trial: models trained for each configuration; the score is the mean of each one's
            best epoch, the model that is kept the best epoch's of all.
        logger: accepted for the sake of scripts that give it, and
        tuner_id: likewise.
        **unknown: refused.

    Raises:
        StudyError: no oracle, no hypermodel, an argument that is none.
        AnotherSearch: the project's folder has trials of another searcher, scheduler or objective.
    """

    def __init__(
        self,
        oracle: Oracle,
        hypermodel: Any = None,
        max_model_size: int | None = None,
        optimizer: Any = None,
        loss: Any = None,
        metrics: Any = None,
        distribution_strategy: Any = None,
        directory: str | Path | None = None,
        project_name: str | None = None,
        logger: Any = None,
        tuner_id: str | None = None,
        overwrite: bool = False,
        executions_per_trial: int = 1,
        **unknown: Any,
    ) -> None:
        for name in unknown:
            known = [
                *signature(type(self).__init__).parameters,
                *signature(Tuner.__init__).parameters,
            ]
            raise StudyError(
                f"{type(self).__name__} has no argument {name!r}.{nearest(name, known)}"
            )
        if distribution_strategy is not None:
            warnings.warn(
                "distribution_strategy= has no effect here: a trial is trained on one device, and several "
                "trials at a time by luthier worker --slots.",
                LuthierWarning,
                stacklevel=2,
            )
        if not isinstance(oracle, Oracle):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise StudyError(
                f"oracle={oracle!r}: expected one of luthier.compat.keras_tuner.oracles."
            )
        self.tuner_id, self.logger = tuner_id or "tuner0", logger
        self.oracle = oracle
        self.oracle.tuner = self
        self.hypermodel = hypermodel_of(hypermodel)
        if hypermodel is None and type(self).run_trial is Tuner.run_trial:
            raise StudyError("hypermodel=None: give a function build(hp), or override run_trial.")
        self.max_model_size = max_model_size
        self.executions_per_trial = executions_per_trial
        self.optimizer, self.loss, self.metrics = optimizer, loss, metrics
        self.directory = directory or "."
        self.project_name = project_name or "untitled_project"
        self._asked: dict[str, Any] = {}
        self._running: Running | None = None
        self._failures = 0
        if overwrite:
            forgotten(Path(self.project_dir))
        self.study = opened(Path(self.project_dir), self.project_name, self._space(), oracle)

    # -- the search ------------------------------------------------------------------------------

    def search(self, *args: Any, **kwargs: Any) -> None:
        """Run trials until *max_trials* of the oracle, or its brackets, are done.

        All arguments go to ``run_trial``, which gives them to the model's ``fit``.

        Raises:
            Exception: what the hypermodel raises, if no trial has completed yet, or after
                ``max_consecutive_failed_trials`` in a row.
        """
        self.study.retry_errors(lost=not os.environ.get(WORKER))
        self.study.steer.go_on("the search was started again")
        self._failures = 0

        def train(own: OwnTrial) -> None:
            self._run(own, args, kwargs)
            if kwargs.get("verbose", True):
                self._say(own.number)

        self.on_search_begin()
        work(self.study, train)
        self.on_search_end()

    def run_trial(self, trial: Trial, *args: Any, **kwargs: Any) -> Any:
        """Train one trial: override it for loops of your own, and return its score or metrics."""
        running = self._running
        assert running is not None
        own, hp = running.own, trial.hyperparameters
        hypermodel = self.hypermodel
        if hypermodel is None:
            raise StudyError("There is no hypermodel: give one, or override run_trial.")
        if own.to_step is not None:
            kwargs["epochs"] = own.to_step

        def build() -> Any:
            return self._built(hp)

        hooks = [Hooks(self, trial)] if self._has_hooks() else []
        running.by_callback = True
        try:
            if self.executions_per_trial > 1 or type(hypermodel).fit is not HyperModel.fit:
                return run_executions(
                    running,
                    self.executions_per_trial,
                    build,
                    lambda model, **given: hypermodel.fit(hp, model, *args, **given),
                    kwargs,
                    hooks,
                )
            if own.from_step:
                kwargs["initial_epoch"] = own.from_step
            seed_keras(keras, own.seed)
            model = build()
            callbacks = copied(kwargs.pop("callbacks", None) or [], own.number, 0)
            given = [*callbacks, *hooks, Reporter(running, callbacks)]
            return hypermodel.fit(hp, model, *args, callbacks=given, **kwargs)
        finally:
            running.by_callback = False

    def _run(self, own: OwnTrial, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Train a trial, with what a subclass has to do before and after it."""
        hp = HyperParameters(asking=own.hp, policy=self.oracle.policy)
        trial = Trial(f"{own.number:04d}", hp)
        self.on_trial_begin(trial)
        try:
            self._tried(own, trial, args, kwargs)
        except TrialEnded:
            if trial.status == TrialStatus.FAILED:
                self._ended(own, trial)
            raise
        trial.status = TrialStatus.COMPLETED
        self._ended(own, trial)

    def _ended(self, own: OwnTrial, trial: Trial) -> None:
        history = self.study.refresh()
        found = seen(history, history.trials[own.number], self._asked)
        trial.score, trial.best_step = found.score, found.best_step
        trial.metrics, trial.message = found.metrics, found.message
        self.on_trial_end(trial)

    def _tried(
        self, own: OwnTrial, trial: Trial, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> None:
        for attempt in range(self.oracle.max_retries_per_trial + 1):
            hp = trial.hyperparameters
            self._running = Running(own, self.oracle.objectives)
            try:
                self._take(self.run_trial(trial, *args, **kwargs))
                self._failures = 0
                return
            except (errors.FatalError, TrialEnded):
                raise
            except Exception as error:
                again = attempt < self.oracle.max_retries_per_trial and not own.step
                if out_of_memory(error):
                    raise
                if not again or isinstance(error, errors.FailedTrialError):
                    trial.status = TrialStatus.FAILED
                    self._failed(own, error)
                trial.hyperparameters = HyperParameters(asking=own.hp, policy=self.oracle.policy)
            finally:
                self._asked |= hp.space
                self._running.close()
                self._running = None
                if self.hypermodel is not None:
                    give_back()

    def _take(self, outcome: Any) -> None:
        """Report what ``run_trial`` returned, where nothing was reported on the way."""
        running = self._running
        assert running is not None
        own = running.own
        overridden = type(self).run_trial is not Tuner.run_trial
        if own.step > own.from_step or running.over:
            if overridden and counts(outcome) and len(running.objectives) == 1:
                self._compare(own, outcome)
            return
        # A job that goes on and had nothing left to train has reported before.
        if own.step and (own.to_step is None or not counts(outcome)):
            return
        where = "Tuner.run_trial()" if overridden else "HyperModel.fit()"
        running.report(scored(outcome, running.objectives, where), step=own.to_step)

    def _compare(self, own: OwnTrial, outcome: Any) -> None:
        """Write down a returned score that is not the best of what was reported on the way, and warn."""
        objective = self.oracle.objectives[0]
        returned = float(scored(outcome, [objective], "Tuner.run_trial()")[objective.name])
        history = self.study.refresh()
        best = history.value(history.trials[own.number].best_loss)
        if not math.isfinite(best):
            return  # it has diverged, whatever it returned
        if math.isclose(returned, best, rel_tol=1e-6):
            if FINAL in history.attributes.get(own.number, {}):  # of an earlier rung
                own.set_attribute(FINAL, None)
            return
        own.set_attribute(FINAL, returned)
        own.warn_once(
            "another score",
            f"Tuner.run_trial() returned {objective.name}={returned:.5g}, and its epochs reported {best:.5g} "
            "at best. The trial's score is what it returned, but the searcher goes by the epochs: train "
            "without on_epoch_end() and super().run_trial() where they are not what counts.",
        )

    def _failed(self, own: OwnTrial, error: Exception) -> None:
        """Count a trial as failed and go on; or raise, where that would hide a bug."""
        expected = isinstance(error, errors.FailedTrialError)
        self._failures += 1
        done = any(t.state is TrialState.COMPLETED for t in self.study.history.trials)
        if not expected and not done:
            raise error
        words = f"{type(error).__name__}: {error}"
        self.study.fail(own, "failed", words, traceback.format_exc())
        if self._failures >= self.oracle.max_consecutive_failed_trials:
            raise errors.TooManyFailures(
                f"{self._failures} trials in a row failed, as many as max_consecutive_failed_trials= "
                f"allows; the last by {words}"
            ) from error
        if not expected:
            warnings.warn(f"Trial {own.number} failed: {words}", LuthierWarning, stacklevel=2)
        raise TrialEnded(words)

    # -- hooks: for subclasses, and for loops of their own ---------------------------------------

    def on_search_begin(self) -> None:
        """Do nothing."""

    def on_search_end(self) -> None:
        """Do nothing."""

    def on_trial_begin(self, trial: Trial) -> None:
        """Do nothing."""

    def on_trial_end(self, trial: Trial) -> None:
        """Do nothing: *trial* has its score by now, and is written down."""

    def on_epoch_begin(self, trial: Trial, model: Any, epoch: int, logs: Any = None) -> None:
        """Do nothing."""

    def on_batch_begin(self, trial: Trial, model: Any, batch: int, logs: Any = None) -> None:
        """Do nothing."""

    def on_batch_end(self, trial: Trial, model: Any, batch: int, logs: Any = None) -> None:
        """Do nothing."""

    def on_epoch_end(self, trial: Trial, model: Any, epoch: int, logs: Any = None) -> None:
        """Report the metrics in *logs*, and keep the model; ``fit`` itself does where it trains."""
        if self._running is not None and not self._running.by_callback:
            self._running.report(logs, model)

    def _has_hooks(self) -> bool:
        return any(getattr(type(self), name) is not getattr(Tuner, name) for name in _HOOKS)

    def report(self, metrics: dict[str, Any]) -> None:
        """Report metrics of the running trial."""
        if self._running is not None:
            self._running.report(metrics)

    def save_model(self, trial_id: str, model: Any, step: int = 0) -> None:
        """Keep *model* with the running trial's next report."""
        if self._running is not None:
            self._running.state.model = model

    # -- results ---------------------------------------------------------------------------------

    def get_best_hyperparameters(self, num_trials: int = 1) -> list[HyperParameters]:
        """Return the best trials' hyperparameters, the best first."""
        return [trial.hyperparameters for trial in self.best_trials(num_trials)]

    def get_best_models(self, num_models: int = 1) -> list[Any]:
        """Return the best trials' trained models, each at its best epoch.

        Raises:
            CheckpointError: the trial is not of those that keep theirs: the best three, the front.
        """
        return [self.load_model(trial) for trial in self.best_trials(num_models)]

    def load_model(self, trial: Trial) -> Any:
        """Return a trial's trained model."""
        record = self.study.refresh().trials[int(trial.trial_id)]
        return restored(self._built(trial.hyperparameters), model_folder(self.study, record))

    def results_summary(self, num_trials: int = 10) -> None:
        """Print the best trials."""
        names = ", ".join(f"{o.name} ({o.direction})" for o in self.oracle.objectives)
        print(f"Results summary\nResults in {self.project_dir}")
        print(f"Showing {num_trials} best trials\nObjective: {names}")
        for trial in self.best_trials(num_trials):
            print()
            trial.summary()

    def search_space_summary(self, extended: bool = False) -> None:
        """Print what is searched."""
        space = self.study.refresh().space
        print(f"Search space summary\nDefault search space size: {len(space)}")
        for name, domain in space.domains.items():
            print(f"{name} ({type(domain).__name__})\n{domain!r}")

    def best_trials(self, num_trials: int = 1) -> list[Trial]:
        """Return the best trials with a finite score, the best first."""
        history = self.study.refresh()
        return [seen(history, record, self._asked) for record in ranked(history)[:num_trials]]

    def all_trials(self) -> list[Trial]:
        """Return every trial."""
        history = self.study.refresh()
        return [seen(history, record, self._asked) for record in history.trials]

    def get_hyperparameters(self) -> HyperParameters:
        """Return the whole space, at its defaults."""
        policy = self.oracle.policy
        asked = self._asked if policy.tune_new else policy.listed
        found = HyperParameters()
        for name, domain in asked.items():
            found.values[name] = domain.default  # type: ignore[attr-defined]
        found.space = dict(asked)
        return found

    @property
    def remaining_trials(self) -> int | None:
        """Return how many trials are left; None for no limit."""
        most = self.oracle.max_trials
        return None if most is None else max(0, most - len(self.study.refresh().trials))

    @property
    def project_dir(self) -> str:
        """Return the project's folder."""
        return str(Path(self.directory) / self.project_name)

    def get_trial_dir(self, trial_id: str) -> str:
        """Return a folder for what a subclass keeps of a trial; it is made."""
        folder = Path(self.project_dir) / f"trial_{trial_id}"
        folder.mkdir(parents=True, exist_ok=True)
        return str(folder)

    def save(self) -> None:
        """Do nothing: everything is written as it happens."""

    def reload(self) -> None:
        """Read what other processes have added."""
        self.study.refresh()

    # -- parts -----------------------------------------------------------------------------------

    def _built(self, hp: HyperParameters) -> Any:
        assert self.hypermodel is not None
        given = {"optimizer": self.optimizer, "loss": self.loss, "metrics": self.metrics}
        return checked(self.hypermodel.build(hp), given, self.max_model_size)

    def _space(self) -> Space:
        """Return what the build function asks for; one that refuses a configuration has asked by then."""
        runs = 0

        def build(asking: Asking) -> None:
            nonlocal runs
            runs += 1
            hp = HyperParameters(asking=asking, policy=self.oracle.policy)
            try:
                if self.hypermodel is not None:
                    self.hypermodel.declare_hyperparameters(hp)
                    self.hypermodel.build(hp)
            except errors.FatalError:
                raise
            except Exception as error:
                if runs == 1 and not isinstance(error, errors.FailedTrialError):
                    raise
            finally:
                self._asked |= hp.space

        space = discover(build)
        cleared_session(collects=True)
        return space

    def _say(self, number: int) -> None:
        history = self.study.refresh()
        record, best = history.trials[number], history.best
        name = self.study.objective.metric
        own = seen(history, record, self._asked).score
        so_far = "" if best is None else f", best so far {history.value(best.best_loss):.5g}"
        print(f"Trial {number} after epoch {record.step}: best {name} {own}{so_far}")
