"""Takes over what earlier studies found."""

from __future__ import annotations

from luthier.errors import StudyError, nearest
from luthier.search.observations import observe
from luthier.study import events as ev
from luthier.study.history import History
from luthier.study.protocols import Store
from luthier.study.snapshot import follow
from luthier.study.study import Study

_MOST = 500  # trials of one study that are taken over


def earlier_trials(store: Store, source: str | Study, learner: Study) -> ev.EarlierTrials:
    """Return what *source*, an opened study or the name of one in *store*, found, for *learner*.

    The best half of the trials that are kept, and an even share of the others.

    Raises:
        StudyError: there is no such study, or it is the learner itself.
    """
    import numpy as np

    names = store.names()
    if isinstance(source, Study):
        name, history = source.name, source.refresh()
    elif isinstance(source, str) and source in names:  # pyright: ignore[reportUnnecessaryIsInstance]
        name, history = source, follow(store, source, History())
    else:
        hint = nearest(source, names) if isinstance(source, str) else ""  # pyright: ignore[reportUnnecessaryIsInstance]
        raise StudyError(
            f"learn_from={source!r} is no study here to learn from: expected a study or the name of one "
            f"in the same storage.{hint}"
        )
    began = history.header.time
    if (name, began) == (learner.name, learner.history.header.time):
        raise StudyError(f"Study {name!r} cannot learn from itself: name an earlier one.")
    seen = observe(history, history.space)
    order = np.argsort(seen.losses, kind="stable")
    if len(order) > _MOST:
        half = _MOST // 2
        rest = order[half:]
        order = np.r_[order[:half], rest[np.linspace(0, len(rest) - 1, half).astype(np.intp)]]
    numbers = seen.numbers[order]
    return ev.EarlierTrials(
        time=learner.clock.time(),
        study=name,
        configurations=[history.trials[int(number)].configuration for number in numbers],
        losses=[float(loss) for loss in seen.losses[order]],
        began=began,
    )
