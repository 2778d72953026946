"""What a study has come to, as its log tells it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from luthier.errors import StudyError
from luthier.space import Domain, HyperParameters, Space
from luthier.study.events import StudyCreated
from luthier.study.goals import Goals
from luthier.study.history import History
from luthier.study.objective import Objective
from luthier.study.protocols import Store
from luthier.study.records import TrialRecord
from luthier.study.snapshot import follow


class Reading:
    """The study called *name* in *store*, folded as far as it was read."""

    def __init__(self, store: Store, name: str) -> None:
        self.store = store
        self.name = name
        self._history = History()
        self._began: StudyCreated | None = None  # the event that what works here was made by

    @property
    def history(self) -> History:
        """Return the fold of the log as far as it was read."""
        return self._history

    def _repr_html_(self) -> str:
        from luthier.study.notebook import study_html

        return study_html(self.name, self.refresh())

    @property
    def seed(self) -> int:
        """Return the seed that every draw of the study derives from."""
        return self._history.header.seed

    @property
    def objective(self) -> Objective:
        """Return the metric that the study is judged by, and its direction."""
        return self._history.objective

    @property
    def goals(self) -> Goals:
        """Return all that the study is judged by: every objective, and bounds on other metrics."""
        return self._history.goals

    @property
    def space(self) -> Space:
        """Return the search space as it stands now."""
        return self._history.space

    @property
    def trials(self) -> Sequence[TrialRecord]:
        """Return every trial, at the index of its number."""
        return self.refresh().trials

    @property
    def best(self) -> TrialRecord:
        """Return the trial with the best objective at any of its steps.

        Raises:
            StudyError: when no trial has reported a finite value yet.
        """
        best = self.refresh().best
        if best is None:
            raise StudyError(
                f"Study {self.name!r} has no trial with a finite {self.objective} yet."
            )
        return best

    @property
    def front(self) -> list[TrialRecord]:
        """Return the trials that no other one beats in every objective, within the constraints.

        The best by the first objective comes first; with one objective it is that trial alone.
        """
        return self.refresh().front()

    @property
    def best_value(self) -> float:
        """Return the best value of the objective, as it was reported."""
        return self._history.value(self.best.best_loss)

    def hyperparameters(
        self,
        configuration: Mapping[str, Any],
        draw: Callable[[str, Domain], Any] | None = None,
    ) -> HyperParameters:
        """Return the define-by-run view of a configuration, for the function that was tuned.

        ``model = build(study.hyperparameters(study.best.configuration))``

        Its ``horizon`` and ``to_step`` are the most epochs that a trial of the study trains.

        Args:
            configuration: by full names.
            draw: ``(full name, domain) -> value`` for what the space does not have; None refuses it.
        """
        history = self._history
        declared: dict[str, Any] = {}
        if not history.header.define_by_run:
            space = Space.from_dict(history.header.space)
            declared = {key: value for key, value in configuration.items() if key in space}
        hp = HyperParameters(history.space, configuration, draw, history.formerly, declared)
        hp.horizon = hp.to_step = history.header.scheduler.get("epochs") or 1
        return hp

    def refresh(self) -> History:
        """Fold in what other processes have appended, and return the history."""
        self._take(follow(self.store, self.name, self._history))
        return self._history

    def _take(self, history: History) -> None:
        """Go on with *history*.

        Raises:
            StudyError: another program had the study begin anew, with other settings.
        """
        self._history = history
        if self._began is None:
            self._began = history.created
        if history.created != self._began:
            raise StudyError(
                f"Study {self.name!r} was begun anew, with other settings: open it again."
            )

    def wait(self, seconds: float) -> None:
        """Block until something new is in the log, at most *seconds*."""
        self.store.wait(self.name, self._history.cursor, seconds)

    def close(self) -> None:
        """Let go of the store."""
        self.store.close()
