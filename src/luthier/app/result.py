"""What a search leaves behind: the best trial, its model, the one read of the test set, the report."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from luthier.app.fence import read_test
from luthier.app.refit import Keep, Refits, best_epoch, refit
from luthier.errors import CheckpointError, StudyError
from luthier.insight.race import RaceResult, race
from luthier.run.places import place
from luthier.study.records import StageRecord, TrialRecord
from luthier.study.study import Study
from luthier.study.words import rules_broken, tried

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

    def __repr__(self) -> str:
        history = self.study.refresh()
        best = history.best
        found = "no finite value" if best is None else f"best {history.objective.metric} "
        if best is not None:
            found += f"{history.value(best.best_loss):.6g} of {best!r}"
            if rules := rules_broken(history):
                found += f", which breaks {rules}"
        return f"<Result of study {self.study.name!r}: {tried(history)}, {found}>"

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

        Every read is an event in the study's log, with who, when, of which trial and what; a second one
        warns. Where it is not of ``Result.best``, or not of the recommended trial, a line on standard error
        says so.

        Args:
            evaluate: called with the trained model; with the trial where the training loop is your own.
                Returns a number, or metrics by name.
            trial: by default ``Result.recommended``, the one that ``Result.fit`` trains and the report
                names; the best where the model of that one was not kept.

        Raises:
            StudyError: *evaluate* returned no number, or no trial has a finite value.
            CheckpointError: the trial's checkpoint was not kept, or is damaged.
        """
        chosen = trial or self._tested()
        of = chosen if self.load is None else self.model(chosen)
        return read_test(self.study, chosen, evaluate, of)

    def _tested(self) -> TrialRecord:
        """Return the trial to read the test set for, and say which where that is not obvious."""
        chosen, best = self.recommended, self.best
        if chosen is best:
            return best
        known = f"trial {chosen.number} is recommended (result.recommended)"
        if self.load is None or self._has_checkpoint(chosen):
            luck = "whose better value is more likely a lucky one"
            _say(f"{known}: the test set is read for it, not for trial {best.number}, {luck}")
            return chosen
        _say(
            f"{known}, but its model was not kept: the test set is read for trial {best.number}, the best; "
            "test the recommended configuration by training it once more, result.fit()"
        )
        return best

    def _has_checkpoint(self, trial: TrialRecord) -> bool:
        try:
            self.checkpoint(trial)
        except CheckpointError:
            return False
        return True

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
        return "" if store.address == "memory" else place(store)

    def checkpoint(self, trial: TrialRecord | None = None) -> Path:
        """Return the folder of a trial's best checkpoint; by default of the best trial.

        Where not every epoch has one (``trial.epochs(state, every=5)``), a line on standard error says which
        epoch it is of, once for each trial.

        Raises:
            CheckpointError: it was not kept (only the best three trials keep theirs, and 16 on the front of
                several objectives), or is damaged.
        """
        chosen = trial or self.best
        best, kept = chosen.best_step, chosen.best_checkpoint
        folder = self.study.checkpoints.path(chosen.number, kept or best)
        said = f"checkpoint of trial {chosen.number}"
        if kept != best and said not in self.study.warned:
            self.study.warned.add(said)
            _say(f"the {said} is of epoch {kept}: its best epoch, {best}, has none")
        return folder

    def model(self, trial: TrialRecord | None = None) -> Any:
        """Return the trained model of a trial, as it was in ``checkpoint``; by default of the best trial.

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


def _say(text: str) -> None:
    print(f"luthier: {text}", file=sys.stderr)
