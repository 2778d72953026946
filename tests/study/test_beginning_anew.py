"""A study in which nothing was reported yet begins anew with other settings; any other one does not."""

from __future__ import annotations

import msgspec
import pytest

import luthier as lt
from luthier.errors import LuthierWarning, StudyError
from luthier.insight.chronicle import chronicle
from luthier.run.beginning import header_of
from luthier.run.worker import work
from luthier.schedule import ASHA
from luthier.study import events as ev
from luthier.study.log import read_log

SPACE = {"x": lt.Float(0, 1)}


@pytest.fixture(params=["sqlite", "memory"])
def open_it(tmp_path, request):
    from luthier.storage import MemoryStore

    store = MemoryStore() if request.param == "memory" else None

    def opened(metric="loss", space=SPACE, **options):
        options = {"minimize": metric, "max_trials": 4, **options}
        return lt.open("s", space, storage=store or tmp_path / "s.db", **options)

    return opened


def misspelled(trial):
    trial.report(val_loss=trial["x"])


def test_a_metric_that_was_misspelled_does_not_cost_the_name(open_it):
    with pytest.raises(StudyError, match=r"'val_los'.*Did you mean"):
        work(open_it("val_los"), misspelled)
    with pytest.warns(LuthierWarning, match="nothing was reported in it: it begins anew"):
        study = open_it("val_loss", {"x": lt.Float(0, 2)}, searcher="random")
    work(study, misspelled)
    assert [trial.number for trial in study.trials] == [0, 1, 2, 3]
    assert study.space["x"].high == 2
    assert study.limits.trials == 4
    again = open_it("val_loss", {"x": lt.Float(0, 2)}, searcher="random")
    assert [t.configuration for t in again.trials] == [t.configuration for t in study.trials]
    told = chronicle(study)
    assert sorted(told.finished) == [0, 1, 2, 3]
    assert told.epochs == 4


def test_it_can_be_derived_again(open_it):
    with pytest.raises(StudyError):
        work(open_it("val_los", searcher="sobol"), misspelled)
    with pytest.warns(LuthierWarning):
        study = open_it("val_loss", searcher="random")
    work(study, misspelled)
    from luthier.run.opening import made_parts
    from luthier.study.replay import replay

    found = replay(read_log(study.store, "s"), *made_parts(study.history.header))
    assert found.difference == ""
    assert (found.proposals, found.verdicts) == (4, 4)


def test_who_had_it_open_is_told(open_it):
    before = open_it("val_los")
    with pytest.warns(LuthierWarning):
        open_it("val_loss")
    with pytest.raises(StudyError, match="'s' was begun anew, with other settings: open it again"):
        before.ask()


@pytest.mark.parametrize(
    "happened",
    [
        lambda study: study.tell(study.ask(), val_los=1.0),
        lambda study: study.ask(),  # somebody may be training it
        lambda study: study.enqueue({"x": 0.5}),
        lambda study: study.steer.space({"x": lt.Float(0, 3)}),
        lambda study: study.steer.note("do not touch"),
        lambda study: study.set_attribute("data", "fashion"),
        lambda study: study.steer.pause("lunch"),
        lambda study: study.steer.budget(trials=9),
        lambda study: (study.ask(), study.steer.prune(0)),  # whose worker may still report
    ],
)
def test_nothing_is_lost(open_it, happened):
    happened(open_it("val_los"))
    with pytest.raises(StudyError, match="exists with other settings"):
        open_it("val_loss")


def test_reports_that_were_taken_back_are_reports(open_it):
    """Without checkpoints a trial that goes on begins again, and has none for a while."""
    for epochs in (2, 1):

        def train(trial, last=epochs):
            for epoch in trial.epochs():
                if epoch + 1 == last:
                    raise KeyboardInterrupt
                trial.report(val_loss=1.0)

        with pytest.raises(KeyboardInterrupt):
            work(open_it("val_loss", epochs=4, scheduler=None), train)
    with pytest.raises(StudyError, match="exists with other settings"):
        open_it("val_loss", epochs=4, scheduler=None, seed=5)


def test_late_events_of_before_are_passed_over(open_it):
    with pytest.raises(StudyError):
        work(open_it("val_los"), misspelled)
    with pytest.warns(LuthierWarning):
        study = open_it("val_loss")
    late = [ev.LeaseRenewed(time=1.0, lease=1, trial=0), ev.NoteTaken(time=1.0, trial=3, text="x")]
    study.store.append("s", [ev.encode(event) for event in late])
    again = open_it("val_loss")
    assert again.history.late_reports == 2
    work(again, misspelled)
    assert len(again.trials) == 4


def test_who_had_it_open_is_told_each_time(open_it):
    before = open_it("val_los")
    with pytest.warns(LuthierWarning):
        open_it("val_loss")
    for _ in range(2):
        with pytest.raises(StudyError, match="begun anew"):
            before.ask()


def test_the_same_settings_go_on(open_it):
    open_it("val_loss")
    assert len(list(read_log(open_it("val_loss").store, "s"))) == 2


def test_a_study_from_before_a_setting_existed_goes_on(open_it):
    options = {"minimize": "loss", "epochs": 9, "searcher": "random"}
    store = open_it(scheduler=ASHA(9, stops=True), epochs=9).store
    header = header_of(store, "s")
    older = {key: value for key, value in header.scheduler.items() if key != "minimum"}
    first = msgspec.structs.replace(
        header, name="older", searcher={"name": "random"}, scheduler=older
    )
    store.append("older", [ev.encode(first)])
    study = lt.open("older", SPACE, storage=store, scheduler=ASHA(9, stops=True), **options)
    trial = study.ask()
    trial.report(loss=1.0)
    with pytest.raises(
        StudyError, match=r"scheduler was 'asha'.* minimum=1.*, is now .* minimum=3"
    ):
        lt.open("older", SPACE, storage=store, scheduler=ASHA(9, minimum=3, stops=True), **options)


def test_code_that_was_edited_goes_on_with_what_it_asked_for_before(open_it):
    def found(high):
        def train(trial):
            trial.report(loss=trial.hp.float("x", 0, high))

        space = {"x": lt.Float(0, high)}  # as a build function is run for it before the first trial
        study = open_it(space=space, define_by_run=True, searcher="random", max_trials=2 * high)
        work(study, train)
        return study

    found(1)
    study = found(3)
    assert len(study.trials) == 6
    assert study.space["x"] == lt.Float(0, 3)
    assert max(t.configuration["x"] for t in study.trials) > 1
    with pytest.raises(StudyError, match="seed was 0, is now 1"):
        open_it(space={"x": lt.Float(0, 3)}, define_by_run=True, searcher="random", seed=1)
