"""MATLAB files of version 5 to 7, as LSP and MPII come in.

Own reader instead of SciPy's, which a damaged file can crash: of 400 copies of a file with one flipped bit, 9 ended the
process with a segmentation fault. This reader checks every length and type before it uses it. It knows
numbers, texts, cells and structs; that is what annotations consist of.

The layout is MathWorks' "MAT-File Format": a header of 128 bytes, then elements of a tag (type, bytes) and data, padded
to 8 bytes; matrices are elements that hold elements.
"""

from __future__ import annotations

import os
import struct
import zlib
from typing import Any

import numpy as np

from tools.cli.errors import InputError
from tools.files import inputs, limits

_HEADER = 128
_MATRIX, _COMPRESSED = 14, 15
_NUMBER_TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_TEXT_TYPES = {1: "latin1", 2: "latin1", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
_CELL, _STRUCT, _TEXT = 1, 2, 4
_NUMBER_CLASSES = range(6, 16)
_COMPLEX = 0x0800
_LARGEST = 2**31  # bytes of one variable: MATLAB's own limit for these versions
_DEEPEST = 50  # structs within structs; MPII has five
_NOTHING = np.zeros((0, 0))


class _Damaged(Exception):
    """What is wrong with the file."""


def _shaped(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Values in MATLAB's order as an array; a shape without elements may still have sides that no array can have."""
    try:
        return values.reshape(shape, order="F")
    except ValueError as error:
        raise _Damaged("sides that no array can have") from error


def load_mat(path: str | os.PathLike, variable: str) -> Any:
    """A variable of a ``.mat`` file.

    Returns:
      For numbers an array; for a text a str; for cells an array of objects; for structs an array of dicts from field to
      value. Arrays have the shape that MATLAB shows.

    Raises:
      InputError: no such file or variable, a damaged file, or a version other than 5 to 7.
    """
    with inputs.open_file(path) as file:
        data = file.read(limits.current().array_bytes)
    if data[:19] == b"MATLAB 7.3 MAT-file":
        raise InputError(f"{path}: a MATLAB 7.3 file; save it with -v7")
    try:
        return _find(data, variable)
    except KeyError:
        raise InputError(f"{path}: no variable '{variable}' in it") from None
    except (_Damaged, zlib.error, UnicodeError, MemoryError) as error:
        raise InputError(f"{path}: not a MATLAB 5 to 7 file, or a damaged one ({error})") from None


def _find(data: bytes, variable: str) -> Any:
    """Walks the variables; raises `KeyError` when there is none of that name."""
    order = {b"IM": "<", b"MI": ">"}.get(data[126:128])
    if order is None:
        raise _Damaged("no MATLAB header")
    reader = _Reader(data, order)
    position = _HEADER
    while position < len(data):
        kind, start, end, position = reader.tag(position, len(data))
        if kind == _COMPRESSED:
            # Compressed elements are not padded.
            position = end
            unpacker = zlib.decompressobj()
            inner = _Reader(unpacker.decompress(data[start:end], min(_LARGEST, _expanded(end - start))), order)
            if not unpacker.eof:
                raise _Damaged("cut, or too large")
            kind, start, end, _ = inner.tag(0, len(inner.data))
        else:
            inner = reader
        if kind == _MATRIX and inner.name(start, end) == variable:
            return inner.matrix(start, end, 0)
    raise KeyError(variable)


def _expanded(size: int) -> int:
    """How many bytes a compressed element of `size` bytes may have."""
    largest = limits.current()
    return max(largest.small_bytes, largest.expansion * size)


class _Reader:
    """Elements of a run of bytes."""

    def __init__(self, data: bytes, order: str):
        self.data = data
        self._two = struct.Struct(order + "II").unpack_from
        self._types = {kind: np.dtype(order + letters) for kind, letters in _NUMBER_TYPES.items()}
        ending = "-le" if order == "<" else "-be"
        self._utf = {name: name + ending for name in ("utf-16", "utf-32")}

    def tag(self, position: int, stop: int) -> tuple[int, int, int, int]:
        """(type, start of the data, its end, position of the next element) of the element at `position`."""
        if position + 8 > stop:
            raise _Damaged("cut")
        kind, size = self._two(self.data, position)
        if kind >> 16:  # small: type, bytes and up to four bytes of data in eight
            kind, size, start = kind & 0xFFFF, kind >> 16, position + 4
            if size > 4:
                raise _Damaged("a length that can't be")
            return kind, start, start + size, position + 8
        start = position + 8
        end = start + size
        if end > stop:
            raise _Damaged("cut")
        return kind, start, end, min(end + -size % 8, stop)

    def numbers(self, kind: int, start: int, end: int) -> np.ndarray:
        """The numbers of an element."""
        dtype = self._types.get(kind)
        if dtype is None or (end - start) % dtype.itemsize:
            raise _Damaged("numbers of an unknown type")
        return np.frombuffer(self.data, dtype, (end - start) // dtype.itemsize, start)

    def _head(self, position: int, stop: int) -> tuple[int, int, tuple[int, ...], str, int]:
        """(class, flags, shape, name, position of the content) of a matrix."""
        kind, start, end, position = self.tag(position, stop)
        if kind != 6 or end - start != 8:
            raise _Damaged("matrix without flags")
        flags = self._two(self.data, start)[0]
        kind, start, end, position = self.tag(position, stop)
        shape = tuple(self.numbers(kind, start, end).tolist())
        if kind != 5 or not 2 <= len(shape) <= 32 or min(shape) < 0:
            raise _Damaged("matrix without a shape")
        if inputs.is_of_nothing(shape, 1):
            raise _Damaged("sides that no array can have")
        _, start, end, position = self.tag(position, stop)
        return flags & 0xFF, flags, shape, self.data[start:end].decode("latin1"), position

    def name(self, position: int, stop: int) -> str:
        """The name of the matrix whose content is at `position`."""
        return self._head(position, stop)[3]

    def matrix(self, position: int, stop: int, depth: int) -> Any:
        """The value of the matrix whose content is at `position`."""
        if position == stop:
            return _NOTHING
        if depth > _DEEPEST:
            raise _Damaged("structs nested too deeply")
        kind, flags, shape, _, position = self._head(position, stop)
        count = 1
        for side in shape:
            count *= side
        if kind in _NUMBER_CLASSES:
            if flags & _COMPLEX:
                raise _Damaged("complex numbers")
            return _shaped(self._fitting(self.numbers(*self.tag(position, stop)[:3]), count), shape)
        if kind == _TEXT:
            return self._text(position, stop, count)
        if kind not in (_CELL, _STRUCT):
            raise _Damaged(f"values of class {kind}")
        fields = [""]
        if kind == _STRUCT:
            fields, position = self._fields(position, stop)
        # Each value takes eight bytes at least: a count beyond that is wrong, and would take all the memory.
        if count * max(len(fields), 1) * 8 > stop - position or (not fields and count > 1):
            raise _Damaged("more elements than bytes")
        cells = np.empty(count, object)
        for i in range(count):
            values = []
            for _ in fields:
                inner, start, end, position = self.tag(position, stop)
                if inner != _MATRIX:
                    raise _Damaged("element that is no matrix")
                values.append(self.matrix(start, end, depth + 1))
            cells[i] = dict(zip(fields, values)) if kind == _STRUCT else values[0]
        return _shaped(cells, shape)

    def _fields(self, position: int, stop: int) -> tuple[list[str], int]:
        """(field names of a struct, position behind them)."""
        kind, start, end, position = self.tag(position, stop)
        width = self.numbers(kind, start, end).tolist()
        _, start, end, position = self.tag(position, stop)
        if len(width) != 1 or width[0] < 1 or (end - start) % width[0]:
            raise _Damaged("struct without field names")
        names = [self.data[i : i + width[0]] for i in range(start, end, width[0])]
        return [name.split(b"\0")[0].decode("latin1") for name in names], position

    def _text(self, position: int, stop: int, count: int) -> str:
        kind, start, end, _ = self.tag(position, stop)
        encoding = _TEXT_TYPES.get(kind)
        if encoding is None:
            raise _Damaged("text of an unknown type")
        text = self.data[start:end].decode(self._utf.get(encoding, encoding))
        if len(text) < count:
            raise _Damaged("text shorter than it says")
        return text[:count]

    @staticmethod
    def _fitting(numbers: np.ndarray, count: int) -> np.ndarray:
        if len(numbers) != count:
            raise _Damaged("another number of values than the shape says")
        return numbers
