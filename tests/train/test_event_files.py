"""TensorBoard's event files: read as TensorFlow wrote them, and written as it would read them."""

from __future__ import annotations

import base64
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luthier.train.event_files import (
    EventFiles,
    Scalar,
    event,
    first_event,
    masked_sum,
    record,
    records,
    scalars,
    simple_value,
)

# Written by TensorFlow 2.21: tf.summary.write of float tensors, and FileWriter with simple values.
TENSORS = base64.b64decode(
    "PgAAAAAAAADZ0kDnCQAAwGOgwdpBGg1icmFpbi5FdmVudDoyUiQKInRlbnNvcmZsb3cuY29yZS51dGlsLmV2ZW50"
    "c193cml0ZXLtZ+tzMgAAAAAAAAAkGVbsCelI3mOgwdpBKicKJQoKZXBvY2hfbG9zc0IKCAESACIEAACAP0oLCgkK"
    "B3NjYWxhcnMEn7G3OgAAAAAAAAASleriCfRR3mOgwdpBKi8KLQoSZXBvY2hfdmFsX2FjY3VyYWN5QgoIARIAIgQA"
    "AAA/SgsKCQoHc2NhbGFyc5CTELY0AAAAAAAAAF4zF1wJm1XeY6DB2kEQASonCiUKCmVwb2NoX2xvc3NCCggBEgAi"
    "BAAAAD9KCwoJCgdzY2FsYXJz12BVnDwAAAAAAAAAyLejUgk8bOVjoMHaQRABKi8KLQoSZXBvY2hfdmFsX2FjY3Vy"
    "YWN5QgoIARIAIgSamRk/SgsKCQoHc2NhbGFyc9kylBg0AAAAAAAAAF4zF1wJR5HlY6DB2kEQAionCiUKCmVwb2No"
    "X2xvc3NCCggBEgAiBKuqqj5KCwoJCgdzY2FsYXJzEseUSTwAAAAAAAAAyLejUgkUluVjoMHaQRACKi8KLQoSZXBv"
    "Y2hfdmFsX2FjY3VyYWN5QgoIARIAIgQzMzM/SgsKCQoHc2NhbGFyc7iOd6s="
)
SIMPLE = base64.b64decode(
    "PgAAAAAAAADZ0kDnCQAAwGOgwdpBGg1icmFpbi5FdmVudDoyUiQKInRlbnNvcmZsb3cuY29yZS51dGlsLmV2ZW50"
    "c193cml0ZXLtZ+tzGgAAAAAAAAASm9gtCc7M5WOgwdpBEAcqDQoLCgRsb3NzFQAAgD5zWwAs"
)


def test_tensorflows_own_files(tmp_path):
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "events.out.tfevents.1.host").write_bytes(TENSORS)
    (tmp_path / "events.out.tfevents.2.host").write_bytes(SIMPLE)
    files = EventFiles(tmp_path)
    found = files.new()
    assert found[0] == Scalar("loss", 7, 0.25)
    assert [(s.tag, s.step) for s in found[1:]] == [
        (tag, step) for step in range(3) for tag in ("epoch_loss", "epoch_val_accuracy")
    ]
    assert [s.value for s in found[1::2]] == pytest.approx([1.0, 0.5, 1 / 3])
    assert files.new() == []


def test_a_record_that_is_being_written_is_read_when_it_is_whole(tmp_path):
    path = tmp_path / "events.out.tfevents.3.host"
    files = EventFiles(tmp_path)
    seen = []
    for end in range(0, len(TENSORS) + 1, 37):
        path.write_bytes(TENSORS[:end])
        seen += files.new()
    path.write_bytes(TENSORS)
    seen += files.new()
    assert len(seen) == 6
    assert [s.step for s in seen] == [0, 0, 1, 1, 2, 2]


def test_only_what_is_new_is_read_and_a_file_that_cannot_be_is_left_for_later(
    tmp_path, monkeypatch
):
    first, second = (tmp_path / f"events.out.tfevents.{n}" for n in (1, 2))
    first.write_bytes(TENSORS)
    second.mkdir()  # which nobody can read as a file
    files = EventFiles(tmp_path)
    assert len(files.new()) == 6  # those of the first are not lost
    second.rmdir()
    second.write_bytes(SIMPLE)
    assert [s.step for s in files.new()] == [7]
    monkeypatch.setattr(Path, "read_bytes", lambda _: pytest.fail("all of it is read again"))
    with first.open("ab") as out:
        out.write(record(event(3, simple_value("loss", 0.5))))
    assert files.new() == [Scalar("loss", 3, 0.5)]
    first.write_bytes(SIMPLE)  # begun anew
    assert [s.step for s in files.new()] == [7]


def test_a_damaged_record_ends_the_reading():
    whole = len(list(records(TENSORS)))
    for at in range(0, len(TENSORS), 11):
        damaged = bytearray(TENSORS)
        damaged[at] ^= 0x40
        assert len(list(records(bytes(damaged)))) < whole


def test_the_checksum_is_castagnolis():
    # RFC 3720, B.4: 32 bytes of zeros have the CRC-32C 0x8A9136AA, of ones 0x62A8AB43.
    for data, crc in ((b"\0" * 32, 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43)):
        assert masked_sum(data) == ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


@given(
    st.integers(-(2**40), 2**40),
    st.lists(st.tuples(st.text(min_size=1), st.floats(width=32, allow_nan=False)), max_size=4),
)
def test_what_is_written_is_read(step, values):
    body = event(step, *(simple_value(tag, number) for tag, number in values))
    ((back, end),) = records(record(body))
    assert end == len(body) + 16
    assert scalars(back) == [Scalar(tag, step, number) for tag, number in values]


def test_a_file_begins_with_its_version():
    assert scalars(first_event(0.0)) == []
    assert first_event(1.5)[1:9] == struct.pack("<d", 1.5)
    assert TENSORS.find(b"brain.Event:2") == first_event(0.0).find(b"brain.Event:2") + 12
