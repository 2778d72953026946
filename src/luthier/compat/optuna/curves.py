"""The intermediate values of a study as a history of their own, which Luthier's rules can read.

In Optuna what an objective reports on its way need not be what it returns: another metric, another scale,
one value for each instance of a problem. So it is no report of the study's objective, but notes, of which
this makes the curves that pruners compare.
"""

from __future__ import annotations

from luthier.study import events as ev
from luthier.study.history import History

_NOBODY = ev.Holder("", "", "", 0, "", 0)


class Curves:
    """Follows the notes of a study."""

    def __init__(self) -> None:
        self.history = History()
        self._read: dict[int, int] = {}  # trial -> notes that were read
        self._running: set[int] = set()

    def follow(self, of: History) -> History:
        """Return the curves with what is new in *of* taken in."""
        if self.history.cursor == 0:
            self._apply(of.header)
        for number in range(len(self.history.trials), len(of.trials)):
            begun = of.trials[number].proposed_at
            self._apply(ev.TrialProposed(time=begun, trial=number, configuration={}, seen=0))
            self._apply(
                ev.JobLeased(
                    time=begun,
                    trial=number,
                    lease=number + 1,
                    holder=_NOBODY,
                    from_step=0,
                    to_step=None,
                )
            )
            self._running.add(number)
        for number in sorted(self._running):
            self._follow_trial(of, number)
        return self.history

    def _follow_trial(self, of: History, number: int) -> None:
        notes, known = of.attributes.get(number, {}), self._read.get(number, 0)
        for name, value in list(notes.items())[known:]:
            if name.startswith("step "):
                self._apply(
                    ev.Reported(
                        time=0.0,
                        trial=number,
                        lease=number + 1,
                        step=int(name.removeprefix("step ")) + 1,  # steps may begin at 0
                        metrics={of.objective.metric: value},
                    )
                )
        self._read[number] = len(notes)
        if of.trials[number].state.ended:
            step = self.history.trials[number].step
            self._apply(ev.TrialCompleted(time=0.0, trial=number, lease=number + 1, step=step))
            self._running.discard(number)

    def _apply(self, event: ev.AnyEvent) -> None:
        self.history.apply(self.history.cursor + 1, event)
