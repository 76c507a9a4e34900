"""Plain NumPy files of poses: what their headers say, and rows as joints."""

from __future__ import annotations

import math
import os
import pathlib
import warnings
import zipfile
from collections.abc import Sequence
from typing import IO, Any, NamedTuple, Union

import numpy as np

from tools.cli.errors import InputError, first_line
from tools.files import archives, inputs, limits
from tools.pose.joints import POSE17

PLANAR, INTERLEAVED = "planar", "interleaved"
# Rows whose bones would together be this much shorter in the other layout are in the other layout.
_CLEARLY_SHORTER = 0.6
_LAYOUT_ROWS = 64
_MOST_DIMENSIONS, _LONGEST = 32, 1 << 62
_READ_BYTES = 16 << 20


class ObjectArray(InputError):
    """An array of Python objects, which only a pickle can hold and which is not read."""


def read_header(file: IO[bytes], place: str) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, Fortran order and type that the .npy header at the file's start tells.

    Raises:
      InputError: no .npy header. ObjectArray: an array of Python objects.
    """
    try:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # headers that Python 2 wrote
            shape, fortran, dtype = read(file)
    except Exception as error:  # NumPy evaluates the header as Python text, which can fail in any way
        reason = first_line(error)
        raise InputError(f"{place}: no .npy array: {reason}") from None
    if dtype.hasobject:
        raise ObjectArray(f"{place}: an array of Python objects, expected floating numbers")
    if len(shape) > _MOST_DIMENSIONS or not all(isinstance(side, int) and 0 <= side < _LONGEST for side in shape):
        raise InputError(f"{place}: no .npy array: shape {str(shape)[:100]}")
    if math.prod(shape) * dtype.itemsize >= _LONGEST:
        raise InputError(f"{place}: no .npy array: shape {str(shape)[:100]} of {dtype} is larger than memory can be")
    inputs.check_items(shape, dtype.itemsize, place)
    return shape, fortran, dtype


class MemberHeader(NamedTuple):
    """What the .npy header of an archive's member tells, and how many bytes it takes."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype
    bytes: int


def member_header(archive: zipfile.ZipFile, member: zipfile.ZipInfo, place: str) -> MemberHeader:
    """The header of an .npz archive's member, without reading what follows.

    Raises:
      InputError: as of `archives.check_member` and `read_header`, or the member holds less than its header announces.
    """
    archives.check_member(member, place)
    with archive.open(member) as file:
        header = MemberHeader(*read_header(file, place), file.tell())
    _check_announced(place, member.file_size, header.bytes + math.prod(header.shape) * header.dtype.itemsize)
    return header


def _check_announced(place: str, size: int, wanted: int) -> None:
    if size < wanted:
        raise InputError(f"{place}: cut short: {size:,} bytes of the {wanted:,} that its header announces")


def check_floating(dtype: np.dtype, place: str) -> None:
    """Raises `InputError` when the array does not hold floating numbers."""
    if not np.issubdtype(dtype, np.floating):
        raise InputError(f"{place}: holds {dtype}, expected floating numbers")


def open_npy(path: pathlib.Path) -> ArrayRows:
    """The floating array of an .npy file, read row by row when asked for.

    Raises:
      InputError: no .npy file, cut short, or not floating numbers.
    """
    with inputs.open_file(path) as file:
        shape, fortran, dtype = read_header(file, str(path))
        start = file.tell()
    check_floating(dtype, str(path))
    check_length(path, start, shape, dtype)
    if fortran and len(shape) > 1:
        return read_fortran(path, start, shape, dtype)
    return NpyRows(path, start, shape, dtype)


def read_fortran(path: pathlib.Path, start: int, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """An array in Fortran's order that begins at byte `start` of a file, in memory: its rows don't lie together.

    Raises:
      InputError: larger than the limits, or the file has become shorter.
    """
    size, limit = math.prod(shape) * dtype.itemsize, limits.current().array_bytes
    if size > limit:
        raise inputs.too_large(f"{path}: in Fortran's order, so it has to be in memory", limit)
    with inputs.open_file(path) as file:
        file.seek(start)
        return np.frombuffer(_read(file, size, path), dtype).reshape(shape, order="F")


class NpyRows:
    """The array of an .npy file whose rows are read when they are asked for.

    Read and not mapped into memory: a mapped file that is cut while it is used ends the process without a word.

    Attributes:
      shape, dtype, ndim: as of an array.
    """

    def __init__(self, path: pathlib.Path, start: int, shape: tuple[int, ...], dtype: np.dtype):
        self._path, self._start = path, start
        self.shape, self.dtype, self.ndim = shape, dtype, len(shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        """The rows of a slice, or of an array of row numbers. Raises `InputError` when the file has become shorter."""
        numbers = np.arange(len(self))[rows]
        if not len(numbers):
            return np.zeros((0, *self.shape[1:]), self.dtype)
        first, size = int(numbers.min()), math.prod(self.shape[1:]) * self.dtype.itemsize
        out = np.empty((len(numbers), *self.shape[1:]), self.dtype)
        with inputs.open_file(self._path) as file:
            at_once = max(1, _READ_BYTES // max(size, 1))
            for low in range(first, int(numbers.max()) + 1, at_once):
                wanted = np.flatnonzero((numbers >= low) & (numbers < low + at_once))
                if not len(wanted):
                    continue
                count = int(numbers[wanted].max()) + 1 - low
                file.seek(self._start + low * size)
                part = np.frombuffer(_read(file, count * size, self._path), self.dtype)
                out[wanted] = part.reshape(count, *self.shape[1:])[numbers[wanted] - low]
        return out

    def __array__(self, dtype: Any = None) -> np.ndarray:
        return np.asarray(self[:], dtype)


# What `open_npy` returns: shape, dtype, ndim, len, and rows by slices or row numbers.
ArrayRows = Union[np.ndarray, NpyRows]


def _read(file: IO[bytes], size: int, path: pathlib.Path) -> bytes:
    data = file.read(size)
    if len(data) != size:
        raise InputError(f"{path}: became shorter while it was read")
    return data


class NpyWriter:
    """An .npy file that is written row by row; as a context manager it is closed, and complete, at the end.

    Written and not mapped into memory: writing into a mapped file on a full disk ends the process without a word.
    """

    def __init__(self, path: str | os.PathLike, shape: tuple[int, ...], dtype: Any):
        """shape: of the whole array. Raises OSError."""
        self._shape, self._dtype, self._rows = shape, np.dtype(dtype), 0
        self._file = open(path, "wb")  # noqa: SIM115 (closed by __exit__)
        header = {"descr": np.lib.format.dtype_to_descr(self._dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._file, header)

    def append(self, rows: np.ndarray) -> None:
        """Writes the next rows. Raises OSError when the disk is full."""
        rows = np.ascontiguousarray(rows, self._dtype)
        if rows.shape[1:] != self._shape[1:]:
            raise ValueError(f"rows are {list(rows.shape[1:])}, the array has {list(self._shape[1:])}")
        self._file.write(rows.tobytes())
        self._rows += len(rows)

    def __enter__(self) -> NpyWriter:
        return self

    def __exit__(self, kind: Any, *_: Any) -> None:
        self._file.close()
        if kind is None and self._rows != self._shape[0]:
            raise ValueError(f"{self._rows} rows were written of {self._shape[0]}")


def check_length(path: pathlib.Path, start: int, shape: tuple[int, ...], dtype: np.dtype) -> None:
    """Raises `InputError` when the file is shorter than the array that its header announces from byte `start` on, or
    when another array follows (as `np.save` into an open file writes it), which would not be read."""
    wanted = start + math.prod(shape) * dtype.itemsize
    size = path.stat().st_size
    _check_announced(str(path), size, wanted)
    if size > wanted:
        with inputs.open_file(path) as file:
            file.seek(wanted)
            if file.read(len(np.lib.format.MAGIC_PREFIX)) == np.lib.format.MAGIC_PREFIX:
                raise InputError(f"{path}: several arrays one behind the other, expected one; save them together")


def dimensions(shape: Sequence[int], place: str) -> int:
    """2 or 3 for arrays ``[N, 34]`` or ``[N, 17, 2]``, ``[N, 51]`` or ``[N, 17, 3]``; `InputError` for others."""
    joints = POSE17.size
    for size in (2, 3):
        if tuple(shape[1:]) in ((joints * size,), (joints, size)):
            return size
    raise InputError(
        f"{place}: shape {list(shape)}, expected [N, {joints * 2}] or [N, {joints}, 2] for 2D, "
        f"[N, {joints * 3}] or [N, {joints}, 3] for 3D"
    )


def split_rows(rows: np.ndarray, size: int, layout: str, permutation: Sequence[int] | None) -> np.ndarray:
    """Rows ``[n, 17 * size]`` (or already ``[n, 17, size]``) as joints ``[n, 17, size]`` in this project's order."""
    if rows.ndim == 2:
        count = rows.shape[1] // size
        if layout == INTERLEAVED:
            rows = rows.reshape(-1, count, size)
        else:
            rows = rows.reshape(-1, size, count).transpose(0, 2, 1)
    return rows if permutation is None else rows[:, list(permutation)]


def check_layout(array: ArrayRows, size: int, layout: str, permutation: Sequence[int] | None, place: str) -> None:
    """Raises `InputError` when the rows are clearly in the other layout: read so, the bones are far shorter."""
    if array.ndim != 2 or not len(array):
        return
    # Some rows from the whole length.
    rows = np.asarray(array[:: max(1, len(array) // _LAYOUT_ROWS)], np.float64)
    child = [i for i, parent in enumerate(POSE17.parents) if parent >= 0]
    parent = [POSE17.parents[i] for i in child]

    def bones(name: str) -> float:
        poses = split_rows(rows, size, name, permutation)
        lengths = np.linalg.norm(poses[:, child] - poses[:, parent], axis=-1).sum(-1)
        lengths = lengths[np.isfinite(lengths)]
        return float(np.median(lengths)) if len(lengths) else 0.0

    other = PLANAR if layout == INTERLEAVED else INTERLEAVED
    if bones(other) < _CLEARLY_SHORTER * bones(layout):
        raise InputError(
            f"{place}: rows are {other}, not {layout} as they are read; give --layout={other}, or {layout} rows"
        )


def read_npz(path: str | os.PathLike, names: Sequence[str] | None = None) -> dict[str, np.ndarray]:
    """Those of the named arrays that an .npz archive has (None: all), of plain numbers and texts.

    Raises:
      InputError: no such archive, damaged, arrays of Python objects, or beyond the limits.
    """
    largest = limits.current()
    with archives.open_zip(path) as archive:
        for member in archive.infolist():
            archives.check_member(member, f"{path}: {member.filename}")
            if member.file_size > largest.array_bytes:
                raise inputs.too_large(f"{path}: {member.filename}", largest.array_bytes)
    try:
        with np.load(path, allow_pickle=False) as content:
            wanted = content.files if names is None else names
            arrays = {name: content[name] for name in wanted if name in content}
        for name, array in arrays.items():
            inputs.check_items(array.shape, array.itemsize, f"{path}: {name}")
            inputs.check_texts(array, f"{path}: {name}")
        return arrays
    except InputError:
        raise
    except Exception as error:  # NumPy evaluates headers as Python text, which can fail in any way
        reason = first_line(error)
        raise InputError(f"{path}: not an .npz of plain arrays ({reason})") from None


class Archive:
    """An .npz file of floating arrays: shapes from the headers, arrays when asked for.

    Raises:
      InputError: no such file, no zip archive, cut short, or an array that is not of floating numbers.
    """

    def __init__(self, path: pathlib.Path):
        self.path = path
        self.shapes: dict[str, tuple[int, ...]] = {}
        with archives.open_zip(path) as archive:
            for member in archive.infolist():
                name = member.filename
                if name.endswith(".npy"):
                    header = member_header(archive, member, f"{path}: {name[:-4]}")
                    check_floating(header.dtype, f"{path}: {name[:-4]}")
                    self.shapes[name[:-4]] = header.shape
        self._arrays: Any = None

    def read(self, name: str) -> np.ndarray:
        """One array; raises `InputError` when its bytes are damaged."""
        if self._arrays is None:
            self._arrays = np.load(self.path, allow_pickle=False)
        try:
            return self._arrays[name]
        except Exception as error:  # as in `read_npz`
            reason = first_line(error)
            raise InputError(f"{self.path}: {name} is damaged: {reason}") from None
