"""Which trial to take home: the one that is expected to be best, not the one that was luckiest."""

from __future__ import annotations

from luthier.errors import StudyError
from luthier.search.columns import columns_of
from luthier.search.models import Models
from luthier.search.observations import observe
from luthier.search.surrogate.threads import one_thread
from luthier.study.history import History
from luthier.study.records import TrialRecord, TrialState
from luthier.study.steering import inherits

_FEWEST = 5  # trials below which there is nothing to smooth


def recommended(history: History) -> TrialRecord:
    """Return the trial with the best expected first objective, within the constraints on outcomes.

    The expectation is a Gaussian process's, which has learned how much of the differences is noise and
    sees repeats and neighbours together. Where there is none it is the best trial, or nearly so. A trial
    that a scheduler ended before the best one's last epoch is expected to be something, but was not trained:
    it is left out, and all others count with what they have really come to. In population-based training it
    is the best trial.

    Raises:
        StudyError: no trial has a finite value.
    """
    import numpy as np

    best = history.best
    if best is None:
        raise StudyError(
            f"Study {history.header.name!r} has no trial with a finite {history.objective} yet."
        )
    if best.violation:  # nobody keeps the constraints: it comes closest to that
        return best
    if inherits(history):  # a value is that of a whole schedule, and a model sees its end alone
        return best
    space = history.space
    seen = observe(history, space)
    if len(seen.losses) < _FEWEST or not seen.dimension:
        return best
    known = [history.trials[int(number)] for number in seen.numbers]
    trained = {t.number for t in known if t.state is TrialState.COMPLETED or t.step >= best.step}
    if len(trained) < _FEWEST:
        return best
    losses = np.array([trial.best_loss for trial in known])
    with one_thread():
        found = Models(seen, columns_of(space)).best(trained, losses)
    return best if found is None else history.trials[found]
