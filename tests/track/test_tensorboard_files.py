"""What stands in TensorBoard's files when things go otherwise than once and from beginning to end."""

from __future__ import annotations

import resource
import tempfile

import pytest
from tests.track.told_trackers import opened, write, write_by_turns

from luthier.errors import LuthierWarning, StudyError
from luthier.run.worker import work
from luthier.track import catch_up, tensorboard


def train(trial):
    for epoch in trial.epochs(save=lambda f: None, restore=lambda f: None):
        trial.report(loss=trial["x"] + 1 / (epoch + 1))


def files(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("events*")}


def whole(study, folder):
    """Return the files that a tracker that sees the study for the first time writes."""
    catch_up(study.store, study.name, tensorboard(folder))
    return files(folder)


def read(folder):
    """Return the losses by step, and the messages for the HParams page, as TensorBoard reads them."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams import plugin_data_pb2

    events = EventAccumulator(str(folder))
    events.Reload()
    found = events.summary_metadata
    data = {
        tag.removeprefix("_hparams_/"): plugin_data_pb2.HParamsPluginData.FromString(
            found[tag].plugin_data.content
        )
        for tag in found
        if tag.startswith("_hparams_/")
    }
    scalars = events.Scalars("loss") if "loss" in events.Tags()["scalars"] else []
    return [(p.step, p.value) for p in scalars], data


def curve(trial):
    return [
        (step, pytest.approx(loss)) for step, loss in zip(trial.steps, trial.losses, strict=True)
    ]


def test_one_tracker_writes_several_studies_each_in_full(tmp_path):
    studies = [opened(tmp_path, name) for name in ("a", "b")]
    tracker = tensorboard(tmp_path / "runs")
    write_by_turns(tracker, studies, train)
    for study in studies:
        wanted = whole(study, tmp_path / f"whole-{study.name}")
        written = files(tmp_path / "runs")
        assert {k: v for k, v in written.items() if k.startswith(study.name)} == wanted
        assert len(wanted) == 4


def test_a_study_that_begins_anew_is_written_anew(tmp_path):
    tracker = tensorboard(tmp_path / "runs")
    first = opened(tmp_path, minimize="los")
    with pytest.raises(StudyError, match="Did you mean"):
        work(first, train)
    write(tracker, first)
    with pytest.warns(LuthierWarning, match="begins anew"):
        study = opened(tmp_path)
    work(study, train)
    write(tracker, study)
    place = tmp_path / "runs" / "s"
    experiment = read(place)[1]["experiment"].experiment
    assert [m.name.tag for m in experiment.metric_infos] == ["loss"]
    for trial in study.trials:
        scalars, data = read(place / f"trial_{trial.number:04d}")
        assert scalars == curve(trial)
        assert data["session_end_info"].session_end_info.status == 1


def test_what_an_earlier_study_of_the_name_left_is_gone(tmp_path):
    earlier = opened(tmp_path, store="earlier.db", max_trials=5)
    work(earlier, train)
    folder = tmp_path / "runs"
    whole(earlier, folder)
    other = folder / "s" / "trial_0004" / "events.out.tfevents.0000000001.somebody"
    other.write_bytes(b"")
    # As if the earlier one had been made an hour before.
    for path in folder.rglob("*.luthier"):
        time = int(path.name.split(".")[3]) - 3600
        path.rename(path.with_name(f"events.out.tfevents.{time:010d}.luthier"))
    study = opened(tmp_path)
    work(study, train)
    wanted = whole(study, tmp_path / "whole")
    whole(study, folder)
    assert other.exists()
    other.unlink()
    assert files(folder) == wanted


@pytest.mark.parametrize("name", ["..", ".", "a/../../b"])
def test_no_name_of_a_study_leads_out_of_the_folder(tmp_path, name):
    study = opened(tmp_path, name)
    study.tell(study.ask(), loss=1.0)
    catch_up(study.store, name, tensorboard(tmp_path / "in" / "runs"))
    (place,) = (tmp_path / "in" / "runs").iterdir()
    assert [p.name for p in (tmp_path / "in").iterdir()] == ["runs"]
    assert {p.parent.parent.name for p in place.rglob("trial*/events*")} == {place.name}


def test_a_write_that_failed_half_way_is_made_good(tmp_path):
    study = opened(tmp_path, max_trials=1)
    tracker = tensorboard(tmp_path / "runs")
    trial = study.ask()
    trial.report(loss=3.0)
    write(tracker, study)
    (path,) = (tmp_path / "runs" / "s" / "trial_0000").iterdir()
    trial.report(loss=2.0)
    study.tell(trial)
    torn = path.stat().st_size + 20
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    history = study.refresh()
    resource.setrlimit(resource.RLIMIT_FSIZE, (torn, limits[1]))  # the disk is full, so to speak
    try:
        with pytest.raises(OSError, match="File too large"):
            tracker.write(history, list(history.trials))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.stat().st_size == torn
    write(tracker, study)
    scalars, data = read(path.parent)
    assert scalars == [(1, 3.0), (2, 2.0)]
    assert data["session_end_info"].session_end_info.status == 1
    tracker.close()
    assert files(tmp_path / "runs") == whole(study, tmp_path / "whole")


def test_a_folder_that_was_deleted_is_written_again(tmp_path):
    import shutil

    study = opened(tmp_path, max_trials=1)
    tracker = tensorboard(tmp_path / "runs")
    trial = study.ask()
    trial.report(loss=3.0)
    write(tracker, study)
    shutil.rmtree(tmp_path / "runs" / "s" / "trial_0000")
    trial.report(loss=2.0)
    write(tracker, study)
    assert read(tmp_path / "runs" / "s" / "trial_0000")[0] == [(1, 3.0), (2, 2.0)]


def test_a_trial_that_failed_and_was_mended_has_not_failed(tmp_path):
    study = opened(tmp_path, max_trials=1)

    def broken(trial):
        for epoch in trial.epochs():
            if epoch == 1:
                raise ValueError("a bug")
            trial.report(loss=9.0)

    with pytest.raises(ValueError, match="a bug"):
        work(study, broken)
    tracker = tensorboard(tmp_path / "runs")
    write(tracker, study)
    place = tmp_path / "runs" / "s" / "trial_0000"
    assert read(place)[1]["session_end_info"].session_end_info.status == 2
    assert study.retry_errors() == 1
    write(tracker, study)  # in the queue: it stands as it stood
    assert read(place)[1]["session_end_info"].session_end_info.status == 2
    work(study, train)
    write(tracker, study)
    scalars, data = read(place)
    assert scalars == curve(study.trials[0])
    assert len(scalars) == 3
    assert data["session_end_info"].session_end_info.status == 1
    kept = {name: data for name, data in files(tmp_path / "runs").items() if data}
    assert kept == whole(study, tmp_path / "whole")


def test_half_the_batch_is_what_the_hyperparameters_show(tmp_path):
    study = opened(tmp_path, max_trials=1, halve="batch")
    study.enqueue({"x": 0.5, "batch": 64})
    tracker = tensorboard(tmp_path / "runs")

    def large(trial):
        for epoch in trial.epochs():
            if trial["batch"] == 64 and epoch == 1:
                write(tracker, study)
                raise MemoryError("out of memory, in earnest")
            trial.report(loss=trial["batch"] + epoch)

    work(study, large)
    write(tracker, study)
    scalars, data = read(tmp_path / "runs" / "s" / "trial_0000")
    assert data["session_start_info"].session_start_info.hparams["batch"].number_value == 32
    assert scalars == [(1, 32.0), (2, 33.0), (3, 34.0)]


def test_two_machines_may_write_into_one_shared_folder(tmp_path, monkeypatch):
    study = opened(tmp_path, max_trials=2)
    here, there = (tensorboard(tmp_path / "runs") for _ in range(2))

    def both():
        for tracker, machine in ((here, "here"), (there, "there")):
            (tmp_path / machine).mkdir(exist_ok=True)
            monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / machine))  # where locks are
            write(tracker, study)

    def seen(trial):
        for epoch in trial.epochs():
            trial.report(loss=trial["x"] + epoch)
            both()

    work(study, seen)
    both()
    assert files(tmp_path / "runs") == whole(study, tmp_path / "whole")
    assert read(tmp_path / "runs" / "s" / "trial_0001")[0] == curve(study.trials[1])
