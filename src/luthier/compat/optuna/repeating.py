"""A grid that is used up, and asked for one more trial: one of its points again."""

from __future__ import annotations

import warnings

from luthier.compat.optuna.proceeding import hold
from luthier.errors import LuthierWarning
from luthier.study import events as ev
from luthier.study.chance import Chance
from luthier.study.deciding import Job
from luthier.study.protocols import Conflict
from luthier.study.study import Study


def repeated(study: Study) -> Job | None:
    """Return a trial of a point that was tried before, or is being tried, leased to this process.

    None where the study has no grid, or its grid is not used up. Luthier itself would end there, and a
    replay of the log says so.
    """
    while True:
        history = study.refresh()
        most = study.limits.trials
        number, lease, now = len(history.trials), history.last_lease + 1, study.clock.time()
        if (
            history.header.searcher["name"] != "grid"
            or most is None
            or number < most
            or history.held
        ):
            return None
        events: list[ev.AnyEvent] = []
        if history.queue:
            configuration = history.queue[0]
        else:
            chance = Chance(history.header.seed, ("trial", number, "configuration"))
            configuration = study.searcher.propose(history, history.space, number, chance)
            # It is asked for by hand: no proposal of the searcher's.
            events.append(ev.Enqueued(time=now, configuration=configuration))
        again = bool(events)
        events += [
            ev.TrialProposed(
                time=now,
                trial=number,
                configuration=configuration,
                seen=history.cursor + len(events),
                enqueued=True,
            ),
            ev.JobLeased(
                time=now,
                trial=number,
                lease=lease,
                holder=study.leases.holder,
                from_step=0,
                to_step=None,
                term=study.leases.term,
            ),
        ]
        try:
            study.append(events, expect=history.cursor)
        except Conflict:
            continue
        job = Job(number, lease, configuration, 0, None)
        hold(study, job)
        if again:
            warnings.warn(
                f"All {most} points of the grid are tried or being tried: trial {number} repeats "
                f"{configuration!r}. Ask for no more than {most} trials, or take another sampler.",
                LuthierWarning,
                stacklevel=4,
            )
        return job


__all__ = ["repeated"]
