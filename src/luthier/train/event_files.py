"""TensorBoard's event files, read and written without TensorFlow or a protobuf library.

A file is a sequence of records: the length (8 bytes, little endian), its masked CRC-32C, the bytes, their
masked CRC-32C (TensorFlow's ``record_writer.h``). The bytes are an ``Event`` message (``event.proto``):
field 1 the wall time, 2 the step, 3 the file's version, 5 a ``Summary``, whose values (field 1) have a tag
(1) and a number: ``simple_value`` (2), or a ``tensor`` (8) of one element.
"""

from __future__ import annotations

import contextlib
import os
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

_CHECKED_BYTES = 1 << 16  # larger records hold images; their checksum would take a second in Python
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FLOAT, _DOUBLE, _INT32, _INT64 = 1, 2, 3, 9
_CONTENT = {_FLOAT: "<f", _DOUBLE: "<d", _INT32: "<i", _INT64: "<q"}
_PACKED = {5: "<f", 6: "<d"}  # float_val, double_val
_WHOLE = (7, 10)  # int_val, int64_val
_MASK = 0xFFFFFFFF


@dataclass(frozen=True)
class Scalar:
    """One number of a run: its tag, the step that the script gave it, and its value."""

    tag: str
    step: int
    value: float


class EventFiles:
    """Reads what is new in the event files of a folder, its subfolders included."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[Path, int] = {}  # file -> bytes of it that were whole records

    def new(self) -> list[Scalar]:
        """Return the scalars that were written since the last call, file by file, in order.

        A file that cannot be read now is left for the next call.
        """
        found: list[Scalar] = []
        for path in sorted(self._folder.rglob("*tfevents*")):
            with contextlib.suppress(OSError):
                found += self._new_in(path)
        return found

    def _new_in(self, path: Path) -> list[Scalar]:
        begin = self._read.get(path, 0)
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size < begin:
                begin = 0  # begun anew
            file.seek(begin)
            data = file.read()
        found: list[Scalar] = []
        for record, end in records(data):
            self._read[path] = begin + end
            found += scalars(record)
        return found


def records(data: bytes, begin: int = 0) -> Iterator[tuple[bytes, int]]:
    """Iterate over the whole records from byte *begin* on, each with the byte after its end.

    A record that is cut off or damaged ends the iteration: it may be whole the next time.
    """
    while begin + 12 <= len(data):
        head = data[begin : begin + 8]
        length, sum_of_head = struct.unpack("<QI", data[begin : begin + 12])
        end = begin + 16 + length
        if sum_of_head != masked_sum(head) or end > len(data):
            return
        body = data[begin + 12 : end - 4]
        if length <= _CHECKED_BYTES and struct.unpack("<I", data[end - 4 : end])[0] != masked_sum(
            body
        ):
            return
        yield body, end
        begin = end


def scalars(event: bytes) -> list[Scalar]:
    """Return the numbers that an ``Event`` message holds; none for all other events."""
    step, found = 0, list[tuple[str, float]]()
    for number, value in fields(event):
        if number == 2 and isinstance(value, int):
            step = _signed(value)
        elif number == 5 and isinstance(value, bytes):
            for inner, entry in fields(value):
                scalar = _scalar(entry) if inner == 1 and isinstance(entry, bytes) else None
                if scalar is not None:
                    found.append(scalar)
    return [Scalar(tag, step, number) for tag, number in found]


def _scalar(entry: bytes) -> tuple[str, float] | None:
    tag, number = "", None
    for field, value in fields(entry):
        if field == 1 and isinstance(value, bytes):
            tag = value.decode("utf-8", "replace")
        elif field == 2 and isinstance(value, bytes):
            number = struct.unpack("<f", value)[0]
        elif field == 8 and isinstance(value, bytes):
            number = _of_tensor(value)
    return (tag, number) if tag and number is not None else None


def _of_tensor(tensor: bytes) -> float | None:
    """Return the element of a tensor of one number, None for what else it may be."""
    parts = dict(fields(tensor))
    kind, content = parts.get(1, _FLOAT), parts.get(4)
    form = _CONTENT.get(kind) if isinstance(kind, int) else None
    if form is None:
        return None
    if isinstance(content, bytes) and content:
        return float(struct.unpack(form, content)[0]) if len(content) == len(_zero(form)) else None
    for number, packed in _PACKED.items():
        value = parts.get(number)
        if isinstance(value, bytes) and len(value) == len(_zero(packed)):
            return float(struct.unpack(packed, value)[0])
    for number in _WHOLE:
        value = parts.get(number)
        if isinstance(value, int):
            return float(_signed(value))
        if isinstance(value, bytes) and value:
            return float(_signed(_varint(value, 0)[0]))
    return None


def _zero(form: str) -> bytes:
    return struct.pack(form, 0)


def fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Iterate over a protobuf message: field numbers with varints, or the bytes of all other kinds."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, at = _varint(message, at)
            yield number, value
            continue
        if kind == _BYTES:
            size, at = _varint(message, at)
        elif kind in (_FIXED64, _FIXED32):
            size = 8 if kind == _FIXED64 else 4
        else:
            return  # groups, which nobody writes any more
        yield number, message[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data):
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            break
    return value, at


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


# -- writing -------------------------------------------------------------------------------------


def record(body: bytes) -> bytes:
    """Return *body* as a record."""
    head = struct.pack("<Q", len(body))
    return b"".join(
        (head, struct.pack("<I", masked_sum(head)), body, struct.pack("<I", masked_sum(body)))
    )


def event(step: int, *values: bytes, wall_time: float | None = None) -> bytes:
    """Return an ``Event`` message with *values*, each made by ``simple_value`` or by hand."""
    summary = b"".join(tagged(1, value) for value in values)
    seconds = time.time() if wall_time is None else wall_time
    return b"\x09" + struct.pack("<d", seconds) + b"\x10" + varint(step) + tagged(5, summary)


def first_event(wall_time: float | None = None) -> bytes:
    """Return the message that every file begins with."""
    seconds = time.time() if wall_time is None else wall_time
    return b"\x09" + struct.pack("<d", seconds) + tagged(3, b"brain.Event:2")


def simple_value(tag: str, number: float) -> bytes:
    """Return a summary's value: a tag and a number in single precision."""
    return tagged(1, tag.encode()) + b"\x15" + struct.pack("<f", number)


def tagged(number: int, body: bytes) -> bytes:
    """Return a field of bytes: a text, or a message."""
    return varint(number << 3 | _BYTES) + varint(len(body)) + body


def varint(value: int) -> bytes:
    """Return a whole number in protobuf's variable length."""
    value &= (1 << 64) - 1
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def masked_sum(data: bytes) -> int:
    """Return the CRC-32C (Castagnoli) of *data*, rotated and shifted as records have it."""
    table, crc = _table(), _MASK
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= _MASK
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & _MASK


@lru_cache(maxsize=1)
def _table() -> tuple[int, ...]:
    table: list[int] = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
        table.append(crc)
    return tuple(table)
