"""One contract for every place of checkpoints."""

from __future__ import annotations

import json
import math
import random
import shutil
from pathlib import Path

import pytest
from checkpoint_places import KINDS, Log, Place, assert_whole, content, read, save
from hypothesis import given, settings
from hypothesis import strategies as st

from luthier.errors import CheckpointError
from luthier.run.checkpoints import KEPT
from luthier.run.retention import Leaders

ON_DISK = ["local", "file"]


@pytest.fixture
def place(request, tmp_path):
    return Place(request.param, tmp_path)


everywhere = pytest.mark.parametrize("place", KINDS, indirect=True)


@everywhere
def test_nothing_is_there_at_first(place):
    checkpoints = place.open()
    assert checkpoints.newest(0) == (0, {}, 0.0)
    checkpoints.keep(0, {1})
    checkpoints.collect(Log().history)
    with pytest.raises(CheckpointError, match="Trial 0 has no complete checkpoint of step 1"):
        checkpoints.path(0, 1)


@everywhere
def test_what_was_saved_comes_back(place):
    def write(folder):
        (folder / "deep" / "er").mkdir(parents=True)
        (folder / "deep" / "er" / "weights [0]*?.bin").write_bytes(bytes(range(256)))
        (folder / "größe #1 %20").write_text("π")
        (folder / "empty").write_bytes(b"")
        (folder / "no files" / "here").mkdir(parents=True)

    metrics = {"loss": 0.1 + 0.2, "worst": math.inf, "val/f1": -0.0}
    place.open().save(7, 3, write, metrics, 1.25)
    checkpoints = place.open()
    assert checkpoints.newest(7) == (3, metrics, 1.25)
    folder = checkpoints.path(7, 3)
    assert read(folder) == {
        "deep/er/weights [0]*?.bin": bytes(range(256)),
        "größe #1 %20": "π".encode(),
        "empty": b"",
    }
    assert (folder / "no files" / "here").is_dir()
    assert checkpoints.newest(8)[0] == 0


@everywhere
def test_metrics_that_are_nan_or_numpy_numbers_come_back(place):
    import numpy as np

    place.open().save(0, 1, lambda folder: None, {"a": math.nan, "b": np.float32(0.5)}, 0.0)
    _, metrics, _ = place.open().newest(0)
    assert math.isnan(metrics["a"])
    assert metrics["b"] == 0.5


@everywhere
def test_the_newest_is_the_one_of_the_highest_step(place):
    checkpoints = place.open()
    for step in (2, 10, 9):
        save(checkpoints, 0, step)
    save(checkpoints, 1, 11)
    assert_whole(place.open(), 0, 10)


@everywhere
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_in_the_training_code_is_its_own_and_leaves_nothing(place, error):
    checkpoints = place.open()
    save(checkpoints, 0, 1)
    before = place.all_files()

    def write(folder):
        (folder / "half").write_bytes(b"x")
        raise error("mine")

    with pytest.raises(error, match="mine"):
        checkpoints.save(0, 2, write, {}, 0.0)
    assert place.all_files() == before
    assert_whole(place.open(), 0, 1)


@everywhere
def test_a_file_of_the_manifests_name_is_refused(place):
    with pytest.raises(CheckpointError, match=r"named manifest\.json"):
        place.open().save(0, 1, lambda f: (f / "manifest.json").write_text("{}"), {}, 0.0)
    assert place.all_files() == {}


@everywhere
def test_a_step_saved_again_is_all_new(place):
    checkpoints = place.open()
    checkpoints.save(0, 1, lambda f: [(f / n).write_text("old") for n in "ab"], {"loss": 9}, 0.0)
    checkpoints.path(0, 1)
    checkpoints.save(0, 1, lambda f: (f / "b").write_text("new"), {"loss": 1}, 0.0)
    for some in (checkpoints, place.open()):
        assert some.newest(0) == (1, {"loss": 1.0}, 0.0)
        assert read(some.path(0, 1)) == {"b": b"new"}
    checkpoints.keep(0, {1})
    assert place.checkpoints(0) == [1]
    assert read(place.open().path(0, 1)) == {"b": b"new"}


@everywhere
def test_keep_deletes_the_others_of_this_trial_only(place):
    checkpoints = place.open()
    for step in (1, 2, 3, 4):
        save(checkpoints, 0, step)
    save(checkpoints, 1, 1)
    checkpoints.keep(0, {2, 4, 77})
    assert place.checkpoints(0) == [2, 4]
    assert place.checkpoints(1) == [1]
    assert_whole(place.open(), 0, 4)
    assert read(place.open().path(0, 2)) == content(0, 2)
    with pytest.raises(CheckpointError, match="no complete checkpoint"):
        place.open().path(0, 3)


@everywhere
def test_a_changed_byte_is_found_and_named(place):
    save(place.open(), 0, 1)
    place.open().path(0, 1)
    name = place.named(1, "weights.bin")
    data = bytearray(place.files.cat_file(name))
    data[len(data) // 2] ^= 1
    place.files.pipe_file(name, bytes(data))
    with pytest.raises(CheckpointError, match=r"weights\.bin is damaged.*goes on from an earlier"):
        place.open().path(0, 1)


@everywhere
@pytest.mark.parametrize("name", ["weights.bin", "manifest.json"])
@pytest.mark.parametrize("how", ["cut", "gone", "longer"])
def test_half_a_checkpoint_does_not_exist(place, name, how):
    checkpoints = place.open()
    save(checkpoints, 0, 1)
    save(checkpoints, 0, 2)
    file = place.named(2, name)
    data = place.files.cat_file(file)
    if how == "gone":
        place.files.rm_file(file)
    else:
        place.files.pipe_file(file, data[:-1] if how == "cut" else data + b"x")
    assert_whole(place.open(), 0, 1)
    with pytest.raises(CheckpointError, match="no complete checkpoint of step 2"):
        place.open().path(0, 2)


@everywhere
@pytest.mark.parametrize(
    "change",
    [
        {"files": {"../../stolen": [1, "00"]}},
        {"files": {"/etc/stolen": [1, "00"]}},
        {"files": {"weights.bin": "many"}},
        {"files": ["weights.bin"]},
        {"folders": [".."]},
        {"metrics": {"loss": "low"}},
        {"seconds": "nan"},
        {"step": None},
    ],
)
def test_a_manifest_of_something_else_is_none(place, change):
    save(place.open(), 0, 1)
    name = place.named(1, "manifest.json")
    manifest = json.loads(place.files.cat_file(name))
    place.files.pipe_file(name, json.dumps(manifest | change).encode())
    assert place.open().newest(0) == (0, {}, 0.0)


@everywhere
def test_collect_follows_the_rule(place):
    checkpoints, log = place.open(), Log()
    for loss in (5.0, 3.0, 4.0, 1.0, 2.0, 0.5, 0.1):
        number = log.propose()
        log.lease(number)
        for step in (1, 2):
            save(checkpoints, number, step)
            log.report(number, step, loss if step == 1 else loss + 1)
    save(checkpoints, 99, 1)  # of a trial that this reader of the log has not heard of yet
    log.diverge(6)
    for number in (0, 1, 2, 3):
        log.complete(number)
    checkpoints.collect(log.history)
    # Trials 4 and 5 still run, and may diverge: of those that have ended 3, 1 and 2 are the best.
    expected = {0: [], 1: [1], 2: [1], 3: [1], 4: [1, 2], 5: [1, 2], 6: [], 99: [1]}
    assert {n: place.checkpoints(n) for n in expected} == expected
    log.complete(4)
    log.fail(5)
    checkpoints.collect(log.history)
    expected = {1: [1], 2: [], 3: [1], 4: [1], 5: [], 99: [1]}
    assert {n: place.checkpoints(n) for n in expected} == expected


@everywhere
def test_a_trial_that_a_later_start_goes_on_with_keeps_its_checkpoints(place):
    checkpoints, log = place.open(), Log()
    kinds = ["error", "lost", "out of memory"]
    for kind in kinds:
        number = log.propose()
        log.lease(number)
        for step in (1, 2):
            save(checkpoints, number, step)
            log.report(number, step, 1.0 + step)
        log.fail(number, kind)
    checkpoints.collect(log.history)
    place.open().collect(log.history)
    assert [place.checkpoints(n) for n in range(3)] == [[1, 2], [1, 2], []]
    log.requeue(0)
    log.lease(0, 2)
    log.complete(0)
    checkpoints.collect(log.history)
    assert place.checkpoints(0) == [1]


def simulate(place, trials, seed):
    """Run a study of many trials, three at a time; check the disk after every change of it."""
    chance, log, checkpoints = random.Random(seed), Log(), place.open()
    running = []
    while log.history.ended < trials:
        if len(running) < 3 and len(log.trials) < trials:
            running.append(log.propose())
            log.lease(running[-1])
        trial = chance.choice(running)
        record = log.trials[trial]
        save(checkpoints, trial, record.step + 1)
        log.report(trial, record.step + 1, chance.random())
        checkpoints.keep(trial, {record.step, record.best_step})
        assert set(place.checkpoints(trial)) == {record.step, record.best_step}
        if chance.random() < 0.3:
            running.remove(trial)
            chance.choice([log.complete, log.complete, log.diverge, log.fail])(trial)
            checkpoints.collect(log.history)
            kept = Leaders().kept_steps(log.history, range(trials))
            expected = {n: sorted(steps) for n, steps in kept.items()}
            expected |= {
                n: sorted({log.trials[n].step, log.trials[n].best_step} - {0}) for n in running
            }
            names = {f.partition("/trial-")[2][:5] for f in place.all_files()}
            found = {int(name): place.checkpoints(int(name)) for name in names}
            assert found == {n: steps for n, steps in expected.items() if steps}
            assert len(place.all_files()) <= 5 * (KEPT + 2 * 3)


@pytest.mark.parametrize(
    ("place", "trials"),
    [("local", 300), ("file", 60), ("memory", 200), ("s3", 8)],
    indirect=["place"],
)
def test_disk_use_stays_within_the_rule_over_a_long_study(place, trials):
    simulate(place, trials, seed=3)


STEPS = st.integers(1, 6)
OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("save"), STEPS),
        st.tuples(st.just("keep"), st.sets(STEPS, max_size=3)),
        st.tuples(st.just("fail"), STEPS),
        st.tuples(st.just("open"), st.none()),
    ),
    max_size=12,
)


@pytest.mark.parametrize(
    ("kind", "examples"), [("local", 60), ("file", 30), ("memory", 60), ("s3", 4)]
)
def test_any_sequence_of_steps_is_what_a_dictionary_would_hold(kind, examples):
    @settings(max_examples=examples, deadline=None)
    @given(OPERATIONS)
    def check(operations):
        place, held = Place(kind), set()
        checkpoints = place.open()
        for name, value in operations:
            if name == "save":
                save(checkpoints, 0, value)
                held.add(value)
            elif name == "keep":
                checkpoints.keep(0, value)
                held &= value
            elif name == "fail":
                with pytest.raises(ZeroDivisionError):
                    checkpoints.save(0, value, lambda folder: 1 / 0, {}, 0.0)
            else:
                checkpoints = place.open()
            assert checkpoints.newest(0)[0] == max(held, default=0)
        for step in held:
            assert read(checkpoints.path(0, step)) == content(0, step)
        assert set(place.checkpoints(0)) == held
        if kind in ON_DISK:
            shutil.rmtree(Path(place.root).parent.parent)

    check()
