"""Rows of big arrays read piece by piece: .npy, members of .npz archives, CSV.

Pieces are read from the file and not mapped into memory, so that what was read does not count as used.
"""

from __future__ import annotations

import abc
import csv
import io
import math
import os
import pathlib
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, Any

import numpy as np

from label_generator.labelling import csv_columns
from tfrecords.formats import arrays
from tools.cli.errors import InputError
from tools.files import archives, inputs

# Columns of a CSV file that say where a pose is from.
ID_COLUMNS = ("file", "sequence", "frame", "person")
_PROVENANCE = "_provenance_2d"
_ALIASES = {"filename": "file", "file_name": "file", "image": "file", "frame_id": "frame", "person_id": "person"}


class Rows(abc.ABC):
    """An array whose first axis is read piece by piece.

    Attributes:
      place: names it in messages.
      shape: of the whole array; dtype: of its numbers.
    """

    def __init__(self, place: str, shape: tuple[int, ...], dtype: np.dtype):
        if not shape:
            raise InputError(f"{place}: a single number, expected an array")
        self.place, self.shape, self.dtype = place, tuple(shape), np.dtype(dtype)
        self._row = self.dtype.itemsize * math.prod(self.shape[1:])

    def __len__(self) -> int:
        return self.shape[0]

    @abc.abstractmethod
    def read(self, start: int, stop: int) -> np.ndarray:
        """Rows start to stop; raises `InputError` when the file ends before or is damaged."""


class _ByteRows(Rows):
    """Rows that lie one behind the other in a stream of bytes."""

    def read(self, start: int, stop: int) -> np.ndarray:
        start, stop, _ = slice(start, stop).indices(len(self))
        data = self._bytes(start * self._row, (stop - start) * self._row)
        if len(data) != (stop - start) * self._row:
            raise InputError(f"{self.place}: cut short, row {start + len(data) // max(self._row, 1)} is not there")
        rows = np.frombuffer(data, self.dtype).reshape(stop - start, *self.shape[1:])
        inputs.check_texts(rows, f"{self.place}: a text")
        return rows

    @abc.abstractmethod
    def _bytes(self, start: int, size: int) -> bytes:
        """`size` bytes of the array from byte `start` on."""


class _Plain(_ByteRows):
    """Bytes that lie in a file as they are."""

    def __init__(self, path: pathlib.Path, offset: int, *described: Any):
        super().__init__(*described)
        self._file, self._offset = open(path, "rb", buffering=0), offset  # noqa: SIM115 (lives as long as the rows)

    def _bytes(self, start: int, size: int) -> bytes:
        parts, at = [], self._offset + start
        while size:
            part = os.pread(self._file.fileno(), min(size, 1 << 28), at)
            if not part:
                break
            parts.append(part)
            at, size = at + len(part), size - len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)


class _Member(_ByteRows):
    """Bytes of a member of an archive; zipfile seeks forwards by reading, and backwards by starting anew."""

    def __init__(self, path: pathlib.Path, member: str, offset: int, *described: Any):
        super().__init__(*described)
        self._path, self._member, self._offset = path, member, offset
        self._file: IO[bytes] | None = None

    def _bytes(self, start: int, size: int) -> bytes:
        try:
            if self._file is None:
                self._file = zipfile.ZipFile(self._path).open(self._member)  # noqa: SIM115 (lives as long as the rows)
            self._file.seek(self._offset + start)
            return self._file.read(size)
        except archives.DAMAGED as error:
            raise InputError(f"{self.place}: damaged ({error})") from None


class _Whole(Rows):
    """An array that has to be in memory, since its rows don't lie one behind the other."""

    def __init__(self, place: str, array: np.ndarray):
        super().__init__(place, array.shape, array.dtype)
        self._array = array

    def read(self, start: int, stop: int) -> np.ndarray:
        return np.ascontiguousarray(self._array[start:stop])


def open_npy(path: pathlib.Path) -> Rows:
    """The rows of an .npy file; raises `InputError` when it is none."""
    with inputs.open_file(path) as file:
        shape, fortran, dtype = arrays.read_header(file, str(path))
        offset = file.tell()
    arrays.check_length(path, offset, shape, dtype)
    if fortran and len(shape) > 1:
        return _Whole(str(path), arrays.read_fortran(path, offset, shape, dtype))
    return _Plain(path, offset, str(path), shape, dtype)


def open_npz(path: pathlib.Path) -> dict[str, Rows]:
    """The arrays of an .npz archive by name, those of objects left out; raises `InputError` when it is none."""
    arrays_by_name: dict[str, Rows] = {}
    with archives.open_zip(path) as archive:
        for member in archive.infolist():
            if not member.filename.endswith(".npy"):
                continue
            name = member.filename[: -len(".npy")]
            try:
                shape, fortran, dtype, header = arrays.member_header(archive, member, f"{path}: {name}")
            except arrays.ObjectArray:
                continue
            described = f"{path}: {name}", shape, dtype
            if not shape or (fortran and len(shape) > 1):
                with archive.open(member) as file:
                    array = np.lib.format.read_array(file, allow_pickle=False)
                arrays_by_name[name] = _Whole(described[0], np.atleast_1d(array))
            else:
                arrays_by_name[name] = _Member(path, member.filename, header, *described)
    return arrays_by_name


class CsvRows(Rows):
    """A CSV file of one pose a line, with or without a line of names.

    Attributes:
      names: the names of the number columns, [] when the file has none; '' for a column that only counts the lines.
      id_columns: name -> place of those of `ID_COLUMNS` that the file has.
    """

    def __init__(self, path: pathlib.Path):
        self._path = path
        inputs.check_regular(path)
        try:
            with open(path, encoding="utf-8-sig", newline="") as file:
                sample = file.read(65_536)
                self._separator = _separator(sample)
                first = next(self._rows_of(io.StringIO(sample, newline="")), [])
                file.seek(0)
                count = sum(1 for _ in self._rows_of(file))
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise InputError(f"{path}: cannot be read as CSV ({error})") from None
        numbered = csv_columns.are_numbered(first)
        self._header = numbered or any(not _is_number(cell) for cell in first)
        names = [cell.strip() for cell in first] if self._header else []
        self._width = len(first)
        known = [_ALIASES.get(name.lower(), name.lower()) for name in names]
        self.id_columns = {name: known.index(name) for name in ID_COLUMNS if name in known}
        self._columns = [
            i
            for i in range(len(first))
            if i not in self.id_columns.values() and not (numbered and not names[i]) and not _is_text(names[i : i + 1])
        ]
        self._made = _made_columns(names)
        self.names = [names[i] for i in self._columns] if self._header and not numbered else []
        self._lines: Iterator[list[str]] | None = None
        self._at = 0
        self.ids: dict[str, list[str]] = {}
        super().__init__(str(path), (count - self._header, len(self._columns)), np.dtype(np.float64))

    def read(self, start: int, stop: int) -> np.ndarray:
        """As `Rows.read`; `ids` then holds the cells of the id columns of the same rows."""
        start, stop, _ = slice(start, stop).indices(len(self))
        if self._lines is None or self._at > start:
            self._lines, self._at = self._open(), 0
        values = np.empty((stop - start, len(self._columns)))
        self.ids = {name: [] for name in self.id_columns}
        try:
            for line in self._lines:
                if self._at >= start:
                    self._take(line, values[self._at - start])
                self._at += 1
                if self._at >= stop:
                    break
        except (csv.Error, UnicodeDecodeError, OSError) as error:
            raise InputError(f"{self._path}: row {self._at}: cannot be read as CSV ({error})") from None
        if self._at < stop:
            raise InputError(f"{self._path}: row {self._at} is not there; the file was changed")
        return values

    def _open(self) -> Iterator[list[str]]:
        with open(self._path, encoding="utf-8-sig", newline="") as file:
            rows = self._rows_of(file)
            if self._header:
                next(rows)
            for count, cells in enumerate(rows):
                if len(cells) > self._width and any(cell.strip() for cell in cells[self._width :]):
                    raise InputError(f"{self._path}: row {count}: {len(cells)} cells, the first line has {self._width}")
                yield cells

    def _rows_of(self, file: Iterable[str]) -> Iterator[list[str]]:
        """The rows of a file, of which a quoted cell may hold line breaks, without empty ones."""
        for cells in csv.reader(file, delimiter=self._separator):
            if len(cells) > 1 or (cells and cells[0].strip()):
                yield cells

    def _take(self, cells: list[str], into: np.ndarray) -> None:
        try:
            comma = self._separator != ","
            made = {column for mark, columns in self._made if cells[mark].strip() == "made" for column in columns}
            into[:] = [
                number(cells[i], comma) if cells[i].strip() and i not in made else math.nan for i in self._columns
            ]
            for name, column in self.id_columns.items():
                self.ids[name].append(cells[column].strip())
        except (ValueError, IndexError) as error:
            what = "too few cells" if isinstance(error, IndexError) else str(error)
            raise InputError(f"{self._path}: row {self._at}: {what}") from None


def _is_text(names: Sequence[str]) -> bool:
    """Whether a column is one of those texts that this project's own tables have beside numbers."""
    return any(name == "camera_kind" or name.endswith(_PROVENANCE) for name in names)


def _made_columns(names: Sequence[str]) -> list[tuple[int, list[int]]]:
    """(column of a joint's provenance, columns of its pixels) in this project's own tables of one pose a line.

    A joint that was made from others is no labelled one when the table is read again.
    """
    place = {name: column for column, name in enumerate(names)}
    return [
        (column, [place[pixel] for pixel in (f"{joint}_x_px", f"{joint}_y_px") if pixel in place])
        for name, column in place.items()
        if name.endswith(_PROVENANCE) and (joint := name[: -len(_PROVENANCE)])
    ]


def _separator(sample: str) -> str:
    """What stands between cells: a semicolon or tab where there is one, since commas may then be decimal marks."""
    first = sample.lstrip("\r\n").split("\n", 1)[0]
    return next((mark for mark in "\t;" if mark in first), ",")


def number(cell: str, decimal_comma: bool = False) -> float:
    """The number in a cell; ValueError for what is none, also for Python's '121_34', which no other program writes.

    Args:
      decimal_comma: '121,34' is 121.34.
    """
    text = cell.strip()
    if decimal_comma and "." not in text:
        text = text.replace(",", ".")
    if "_" in text:
        raise ValueError(f"could not convert string to float: {cell!r}")
    return float(text)


def _is_number(cell: str) -> bool:
    try:
        number(cell or "nan", decimal_comma=True)
    except ValueError:
        return False
    return True
