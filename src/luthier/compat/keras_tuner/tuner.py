"""KerasTuner's tuner: a study of Luthier's in the project's folder."""

from __future__ import annotations

import copy
import shutil
import traceback
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

from luthier.compat.keras_tuner import errors
from luthier.compat.keras_tuner.executions import BEST, run_executions
from luthier.compat.keras_tuner.hypermodel import hypermodel_of
from luthier.compat.keras_tuner.hyperparameters import HyperParameters
from luthier.compat.keras_tuner.objective import meant
from luthier.compat.keras_tuner.oracles import Oracle
from luthier.compat.keras_tuner.outcomes import metrics_of
from luthier.compat.keras_tuner.training import Reporter, Running, copied, restored
from luthier.compat.keras_tuner.trial import Trial, seen
from luthier.errors import CheckpointError, LuthierWarning, StudyError, TrialEnded
from luthier.run.opening import open_study
from luthier.run.seeding import seed_keras
from luthier.run.worker import out_of_memory, work
from luthier.search import SEARCHERS
from luthier.space import Space, discover
from luthier.space.asking import Asking
from luthier.study.records import TrialRecord, TrialState
from luthier.study.study import Study
from luthier.study.trial import Trial as OwnTrial
from luthier.train.memory import give_back

_STORE = "luthier.db"


class Tuner:
    """Searches the hyperparameters of a hypermodel; see the subclasses in ``tuners``.

    Args:
        oracle: what decides, and the objective.
        hypermodel: a function ``build(hp)``, or a ``HyperModel``; None where ``run_trial`` is overridden.
        max_model_size: models with more weights fail.
        optimizer: in place of the one that the model was compiled with; likewise
        loss: and
        metrics: .
        directory: where the project's folder is.
        project_name: the folder, and the study's name.
        overwrite: begin anew; by default the search goes on where it was left.
        executions_per_trial: models trained for each configuration; the score is the mean of each one's
            best epoch, the model that is kept the best epoch's of all.
        **_: accepted for the sake of scripts that give it: tuner_id, logger, distribution_strategy.
    """

    def __init__(
        self,
        oracle: Oracle,
        hypermodel: Any = None,
        max_model_size: int | None = None,
        optimizer: Any = None,
        loss: Any = None,
        metrics: Any = None,
        directory: str | Path | None = None,
        project_name: str | None = None,
        overwrite: bool = False,
        executions_per_trial: int = 1,
        **_: Any,
    ) -> None:
        if not isinstance(oracle, Oracle):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise StudyError(
                f"oracle={oracle!r}: expected one of luthier.compat.keras_tuner.oracles."
            )
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
            self._forget()
        self.study = self._opened()

    # -- the search ------------------------------------------------------------------------------

    def search(self, *args: Any, **kwargs: Any) -> None:
        """Run trials until *max_trials* of the oracle, or its brackets, are done.

        All arguments go to ``run_trial``, which gives them to the model's ``fit``.

        Raises:
            Exception: what the hypermodel raises, if no trial has completed yet, or after
                ``max_consecutive_failed_trials`` in a row.
        """
        self.study.retry_errors()
        self.study.steer.go_on("the search was started again")
        self._failures = 0

        def train(own: OwnTrial) -> None:
            self._run(own, args, kwargs)
            if kwargs.get("verbose", True):
                self._say(own.number)

        work(self.study, train)

    def run_trial(self, trial: Trial, *args: Any, **kwargs: Any) -> Any:
        """Train one trial: override it for loops of your own, and return its score or metrics."""
        running = self._running
        assert running is not None
        own, hp = running.own, trial.hyperparameters
        hypermodel = self.hypermodel
        if hypermodel is None:
            raise StudyError("There is no hypermodel: give one, or override run_trial.")
        kwargs["epochs"] = own.to_step or kwargs.get("epochs", 1)
        if own.from_step:
            kwargs["initial_epoch"] = own.from_step

        def build() -> Any:
            return self._built(hp)

        if self.executions_per_trial > 1:
            return run_executions(
                running,
                self.executions_per_trial,
                build,
                lambda model, **given: hypermodel.fit(hp, model, *args, **given),
                kwargs,
                self.oracle.objectives,
            )
        seed_keras(keras, own.seed)
        model = build()
        callbacks = copied(kwargs.pop("callbacks", None) or [], own.number, 0)
        reporter = Reporter(running, callbacks)
        return hypermodel.fit(hp, model, *args, callbacks=[*callbacks, reporter], **kwargs)

    def _run(self, own: OwnTrial, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        for attempt in range(self.oracle.max_retries_per_trial + 1):
            hp = HyperParameters(asking=own.hp, policy=self.oracle.policy)
            trial = Trial(f"{own.number:04d}", hp)
            self._running = Running(own, [o.name for o in self.oracle.objectives])
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
                    self._failed(own, error)
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
        if running.own.step or running.over:
            return
        overridden = type(self).run_trial is not Tuner.run_trial
        where = "Tuner.run_trial()" if overridden else "HyperModel.fit()"
        found = metrics_of(outcome, self.oracle.objectives, where)
        if lacking := [n for n in running.wanted if n not in found]:
            raise StudyError(
                f"{where} has no metric {lacking[0]!r}, which is the objective: it has {sorted(found)}."
                f"{meant(lacking[0], found)}"
            )
        running.report(found)

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

    # -- hooks for loops of one's own ------------------------------------------------------------

    def on_epoch_begin(self, trial: Trial, model: Any, epoch: int, logs: Any = None) -> None:
        """Do nothing."""

    def on_batch_begin(self, trial: Trial, model: Any, batch: int, logs: Any = None) -> None:
        """Do nothing."""

    def on_batch_end(self, trial: Trial, model: Any, batch: int, logs: Any = None) -> None:
        """Do nothing."""

    def on_epoch_end(self, trial: Trial, model: Any, epoch: int, logs: Any = None) -> None:
        """Report the metrics in *logs*, and keep the model."""
        if self._running is not None:
            self._running.report(logs, model)

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
            CheckpointError: only the best three keep theirs.
        """
        found: list[Any] = []
        for record in self.study.refresh().ranking()[:num_models]:
            hp = seen(self.study.history, record, self._asked).hyperparameters
            found.append(restored(self._built(hp), self._folder(record)))
        return found

    def load_model(self, trial: Trial) -> Any:
        """Return a trial's trained model."""
        record = self.study.refresh().trials[int(trial.trial_id)]
        return restored(self._built(trial.hyperparameters), self._folder(record))

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
        return [seen(history, record, self._asked) for record in history.ranking()[:num_trials]]

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

    def save(self) -> None:
        """Do nothing: everything is written as it happens."""

    def reload(self) -> None:
        """Read what other processes have added."""
        self.study.refresh()

    # -- parts -----------------------------------------------------------------------------------

    def _built(self, hp: HyperParameters) -> Any:
        assert self.hypermodel is not None
        model: Any = self.hypermodel.build(hp)
        if not isinstance(model, keras.Model):
            raise errors.FatalTypeError(
                f"build(hp) must return a compiled keras.Model, got {model!r}; for anything else "
                "override run_trial."
            )
        given = {"optimizer": self.optimizer, "loss": self.loss, "metrics": self.metrics}
        own = {name: value for name, value in given.items() if value is not None}
        if own:
            made = own.get("optimizer", model.optimizer)
            if isinstance(made, keras.optimizers.Optimizer):
                made = type(made).from_config(made.get_config())
            model.compile(
                optimizer=made,
                loss=own.get("loss", model.loss),
                metrics=copy.deepcopy(own["metrics"]) if "metrics" in own else None,
            )
        if self.max_model_size is not None and model.built:
            size = model.count_params()
            if size > self.max_model_size:
                raise errors.FailedTrialError(
                    f"Oversized model: {size} weights, and max_model_size={self.max_model_size}."
                )
        return model

    def _folder(self, record: TrialRecord) -> Path:
        checkpoints = self.study.checkpoints
        try:
            folder = checkpoints.path(record.number, record.best_step)
        except CheckpointError:
            folder = checkpoints.path(record.number, checkpoints.newest(record.number)[0])
        best = folder / BEST  # of several executions
        return best if best.is_dir() else folder

    def _opened(self) -> Study:
        """Open the project's study, or make it; a space that the script has changed is taken over."""
        place = Path(self.project_dir)
        place.mkdir(parents=True, exist_ok=True)
        space, oracle = self._space(), self.oracle
        store = place / _STORE
        if store.exists():
            study = open_study(self.project_name, storage=store)
            kept = study.history.header.searcher["name"]
            if type(oracle.searcher(space)) is not SEARCHERS[kept]:
                raise errors.AnotherSearch(
                    f"{place} has trials that the searcher {kept!r} proposed, not {type(oracle).__name__}: "
                    "pass overwrite=True to begin anew, or another project_name."
                )
            print(f"Reloading Tuner from {store}")
            if space != study.space and len(space):
                study.steer.space(space, reason="the script's space has changed")
        else:
            if (place / "oracle.json").exists():
                print(
                    f"{place} has trials of KerasTuner's own: luthier import keras-tuner {place} "
                    "takes them over."
                )
            study = open_study(
                self.project_name,
                space,
                maximize=[o.name for o in oracle.objectives if o.direction == "max"] or None,
                minimize=[o.name for o in oracle.objectives if o.direction == "min"] or None,
                searcher=oracle.searcher(space),
                scheduler=oracle.scheduler(),
                seed=oracle.seed or 0,
                storage=store,
                define_by_run=True,
            )
        if study.history.limits.trials != oracle.max_trials:
            study.steer.budget(trials=oracle.max_trials)
        return study

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
        keras.backend.clear_session()
        return space

    def _forget(self) -> None:
        place = Path(self.project_dir)
        for path in (*place.glob(f"{_STORE}*"), place / "luthier-checkpoints"):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)

    def _say(self, number: int) -> None:
        history = self.study.refresh()
        record, best = history.trials[number], history.best
        name = self.study.objective.metric
        own = seen(history, record, self._asked).score
        so_far = "" if best is None else f", best so far {history.value(best.best_loss):.5g}"
        print(f"Trial {number} after epoch {record.step}: best {name} {own}{so_far}")
