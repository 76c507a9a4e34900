"""Pose records as serialized ``tf.train.Example`` messages, written and read without TensorFlow.

Own encoder instead of TensorFlow's protocol buffers: it writes the same messages about ten times as fast, and needs no
import of TensorFlow in each worker. `encode` writes the protocol buffer's bytes itself: all that is the same in every
record (tags, keys, the lengths of features of fixed size) is made once. What it writes is an ordinary
``tf.train.Example``; any TensorFlow reads it.

    Example {features = 1}   Features {map<string, Feature> feature = 1}   map entry {key = 1, value = 2}
    Feature {bytes_list = 1 | float_list = 2 | int64_list = 3}, and in each list `value = 1`, numbers packed
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np

from tfrecords import schema
from tfrecords.schema import PoseRecord
from tools.cli.errors import InputError

# Tag bytes: field number * 8 + wire type 2 (length-delimited).
_FIRST, _SECOND = b"\x0a", b"\x12"
_LIST_TAGS = {"float": b"\x12", "int": b"\x1a", "codes": b"\x0a", "text": b"\x0a", "bytes": b"\x0a"}
_KEPT_TEXTS = 4096  # how many distinct texts keep their encoding; names of data sets, subjects and actions repeat


def _varint(value: int) -> bytes:
    """A whole number as the protocol buffers write it; negative ones as their 64-bit two's complement (10 bytes)."""
    value &= 0xFFFFFFFFFFFFFFFF
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _delimited(tag: bytes, payload: bytes) -> bytes:
    return tag + _varint(len(payload)) + payload


def _prefix(feature: schema.Feature, length: int) -> bytes:
    """Everything of a feature's map entry that stands before its `length` bytes of values."""
    inner = _LIST_TAGS[feature.kind], _FIRST + _varint(length)
    value = inner[0] + _varint(len(inner[1]) + length) + inner[1]
    entry = _delimited(_FIRST, feature.key.encode()) + _SECOND + _varint(len(value) + length) + value
    return _FIRST + _varint(len(entry) + length) + entry


@functools.lru_cache(maxsize=_KEPT_TEXTS)
def _text_entry(field: str, text: str) -> bytes:
    # Names of files that are not UTF-8 keep their bytes.
    data = text.encode("utf-8", "surrogateescape")
    return _prefix(schema.BY_FIELD[field], len(data)) + data


@functools.lru_cache(maxsize=_KEPT_TEXTS)
def _int_entry(field: str, values: tuple[int, ...]) -> bytes:
    data = b"".join(map(_varint, values))
    return _prefix(schema.BY_FIELD[field], len(data)) + data


def _plan() -> Iterator[tuple[str, str, bytes, bytes]]:
    """(field, kind, prefix, bytes of the absent value) of every feature; arrays of numbers of fixed size are 'raw'."""
    for feature in schema.FEATURES:
        if feature.shape and feature.kind != "int":
            absent = feature.absent().tobytes()
            yield feature.field, "raw", _prefix(feature, len(absent)), absent
        elif feature.shape:
            yield feature.field, "ints", b"", feature.absent().tobytes()
        elif feature.kind == "float":
            yield feature.field, "float", _prefix(feature, 4), b""
        else:
            yield feature.field, feature.kind, b"", b""


_PLAN = tuple(_plan())


def encode(record: PoseRecord) -> bytes:
    """The record as a serialized ``tf.train.Example``; what the record does not have is left out.

    The same record always gives the same bytes. Raises `InputError` when an array's size or type was changed after the
    record was made.
    """
    values = record.__dict__
    parts: list[bytes] = []
    add = parts.append
    for field, kind, prefix, absent in _PLAN:
        value = values[field]
        if kind == "raw":
            data = value.tobytes()
            if data != absent:
                if len(data) != len(absent):
                    raise InputError(
                        f"{record.where()}: {field} is {value.dtype} {list(value.shape)}, not as in the schema"
                    )
                add(prefix)
                add(data)
        elif kind == "text":
            if value:
                add(_text_entry(field, value))
        elif kind == "int":
            if value != -1:
                add(_int_entry(field, (int(value),)))
        elif kind == "float":
            if value == value:  # not NaN
                add(prefix)
                add(struct.pack("<f", value))
        elif kind == "ints":
            if value.tobytes() != absent:
                add(_int_entry(field, tuple(value.tolist())))
        elif value:
            add(_prefix(schema.BY_FIELD[field], len(value)))
            add(value)
    length = sum(map(len, parts))
    parts.insert(0, _FIRST + _varint(length))
    return b"".join(parts)


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = data[at]
    at += 1
    if value < 0x80:
        return value, at
    value, shift = value & 0x7F, 7
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("number too long")


def _open(data: bytes, at: int, end: int, tag: int) -> tuple[int, int]:
    """Start and end of the length-delimited field at `at`, which must have this tag and lie before `end`."""
    if data[at] != tag:
        raise ValueError("unexpected field")
    length, start = _read_varint(data, at + 1)
    if start + length > end:
        raise ValueError("field runs over its end")
    return start, start + length


_BY_KEY = {feature.key.encode(): feature for feature in schema.FEATURES}


def decode_fields(data: bytes) -> dict[str, Any]:
    """What a serialized ``tf.train.Example`` holds, field -> value of the schema's type and shape; absent fields are
    left out, keys that the schema does not know are passed over.

    Raises `InputError` that names the key when the message is damaged or a feature has another size or type.
    """
    fields: dict[str, Any] = {}
    key = b""
    try:
        at, end = _open(data, 0, len(data), 0x0A)
        if end != len(data):
            raise ValueError("bytes behind the message")
        while at < end:
            entry, entry_end = _open(data, at, end, 0x0A)
            at = entry_end
            start, stop = _open(data, entry, entry_end, 0x0A)
            key = data[start:stop]
            feature = _BY_KEY.get(key)
            if feature is None:
                continue
            start, stop = _open(data, stop, entry_end, 0x12)
            start, stop = _open(data, start, stop, _LIST_TAGS[feature.kind][0])
            start, stop = _open(data, start, stop, 0x0A)
            fields[feature.field] = _value(feature, data, start, stop)
    except (ValueError, IndexError) as error:
        place = f" at {key.decode('utf-8', 'replace')}" if key else ""
        raise InputError(f"not a pose record{place}: {error if str(error) else 'cut short'}") from error
    return fields


def _value(feature: schema.Feature, data: bytes, start: int, stop: int) -> Any:
    if feature.kind == "text":
        return data[start:stop].decode("utf-8", "surrogateescape")
    if feature.kind == "bytes":
        return data[start:stop]
    if feature.kind == "int":
        numbers = []
        while start < stop:
            number, start = _read_varint(data, start)
            numbers.append(number - (1 << 64) if number >> 63 else number)
        values = np.array(numbers, np.int64)
    else:
        values = np.frombuffer(data[start:stop], "<f4" if feature.kind == "float" else "u1")
    if values.size != feature.size:
        raise ValueError(f"{feature.size} numbers expected, {values.size} found")
    return values.reshape(feature.shape) if feature.shape else values[0].item()


def decode(data: bytes) -> PoseRecord:
    """The record of a serialized ``tf.train.Example``; `InputError` as `decode_fields`."""
    return PoseRecord(**decode_fields(data))
