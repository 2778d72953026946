"""Studies for the tests of trackers, and what these are told of them."""

from __future__ import annotations

import luthier
from luthier.run.worker import work

SPACE = {"x": luthier.Float(0, 1), "batch": luthier.Choice(16, 32, 64)}


def opened(tmp_path, name="s", store="s.db", **options):
    options = {"minimize": "loss", "epochs": 3, "max_trials": 3, "scheduler": None, **options}
    return luthier.open(name, SPACE, storage=tmp_path / store, searcher="random", **options)


def write(tracker, study):
    history = study.refresh()
    tracker.write(history, list(history.trials))


def write_by_turns(tracker, studies, train):
    """Tell one tracker of several studies, in turns, while they are trained to their ends."""
    for study in studies:
        study.tell(study.ask(), loss=1.0)
    for study in (*studies, *studies):
        write(tracker, study)
    for study in studies:
        work(study, train)
        write(tracker, study)
