"""Files of metrics that are written anew, and what belongs to which run."""

from __future__ import annotations

import json
import os

from luthier.train.script.sources import Growing


def values(readings):
    return [reading.metrics["loss"] for reading in readings]


def test_one_object_that_is_written_anew_in_the_same_length(tmp_path):
    path = tmp_path / "metrics.json"
    path.write_text(json.dumps({"loss": 0.25}))
    file = Growing(path)
    file.pass_over()
    assert file.new() == []
    path.write_text(json.dumps({"loss": 0.75}))  # of the next trial
    assert file.new() == []  # it may grow
    assert values(file.new(ended=True)) == [0.75]


def test_the_same_numbers_of_another_run(tmp_path):
    path = tmp_path / "metrics.json"
    path.write_text(json.dumps({"loss": 0.25}))
    file = Growing(path)
    file.pass_over()
    assert file.new(ended=True) == []  # nobody has written it
    path.write_text(json.dumps({"loss": 0.25}))
    os.utime(path, ns=(1, 1))
    assert file.new() == []
    assert values(file.new(ended=True)) == [0.25]
    assert file.new(ended=True) == []


def test_a_file_that_is_longer_and_another_is_read_from_its_beginning(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("epoch,loss\n0,0.5\n1,0.4\n")
    file = Growing(path)
    file.pass_over()
    path.write_text("epoch,loss\n0,0.9\n1,0.8\n2,0.7\n")
    assert values(file.new()) == [0.9, 0.8, 0.7]


def test_who_begins_anew_and_says_the_same_again_is_heard(tmp_path):
    """As a script without checkpoints that is trained again, from the same seed."""
    path = tmp_path / "log.csv"
    path.write_text("epoch,loss\n0,0.5\n1,0.4\n2,0.3\n")
    file = Growing(path)
    file.pass_over()
    found = []
    for end in (
        "0,0.5\n",
        "0,0.5\n1,0.4\n",
        "0,0.5\n1,0.4\n2,0.3\n",
        "0,0.5\n1,0.4\n2,0.3\n3,0.2\n",
    ):
        path.write_text("epoch,loss\n" + end)
        os.utime(path, ns=(len(end), len(end)))
        found += values(file.new())
    assert found == [0.5, 0.4, 0.3, 0.2]


def test_who_writes_the_curve_so_far_again_and_goes_on_says_only_what_is_new(tmp_path):
    """As pandas does, and scripts that go on from a checkpoint, in a folder of the trial's own."""
    path = tmp_path / "log.csv"
    whole = "epoch,loss\n0,0.5\n1,0.4\n"
    path.write_text(whole)
    file = Growing(path)
    file.pass_over(goes_on=True)
    for end in (0, 5, len(whole)):  # as far as it was written when it was looked at
        path.write_text(whole[:end])
        assert file.new() == []
    other = tmp_path / "new"
    other.write_text(whole + "2,0.3\n")
    other.replace(path)
    assert values(file.new()) == [0.3]
    path.write_text(whole + "2,0.3\n")
    assert file.new() == []
    assert file.new(ended=True) == []


def test_who_appends_says_what_is_new(tmp_path):
    path = tmp_path / "m.jsonl"
    path.write_text('{"loss": 0.5}\n')
    file = Growing(path)
    file.pass_over()
    with path.open("a") as out:
        out.write('{"loss": 0.4}\n{"loss"')
    assert values(file.new()) == [0.4]
