"""Plain NumPy files of poses: what their headers say, and rows as joints."""

from __future__ import annotations

import pathlib
import warnings
import zipfile
import zlib
from collections.abc import Sequence
from typing import IO, Any

import numpy as np

from tools.cli.errors import InputError
from tools.pose.joints import POSE17

PLANAR, INTERLEAVED = "planar", "interleaved"
# Rows whose bones would together be this much shorter in the other layout are in the other layout.
_CLEARLY_SHORTER = 0.6
_LAYOUT_ROWS = 64


def read_header(file: IO[bytes], place: str) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, Fortran order and type that the .npy header at the file's start tells.

    Raises:
      InputError: no .npy header, or an array of Python objects (which only a pickle can hold).
    """
    try:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # headers that Python 2 wrote
            shape, fortran, dtype = read(file)
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{place}: no .npy array: {str(error).splitlines()[0]}") from None
    if dtype.hasobject:
        raise InputError(f"{place}: an array of Python objects, expected floating numbers")
    return shape, fortran, dtype


def check_floating(dtype: np.dtype, place: str) -> None:
    """Raises `InputError` when the array does not hold floating numbers."""
    if not np.issubdtype(dtype, np.floating):
        raise InputError(f"{place}: holds {dtype}, expected floating numbers")


def open_npy(path: pathlib.Path) -> np.ndarray:
    """The floating array of an .npy file, mapped and not read.

    Raises:
      InputError: no .npy file, cut short, or not floating numbers.
    """
    try:
        with open(path, "rb") as file:
            shape, fortran, dtype = read_header(file, str(path))
            start = file.tell()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    check_floating(dtype, str(path))
    wanted = start + int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    if path.stat().st_size < wanted:
        raise InputError(f"{path}: cut short: {path.stat().st_size} bytes of the {wanted} that its header announces")
    if 0 in shape:
        return np.zeros(shape, dtype)
    return np.memmap(path, dtype, "r", start, shape, "F" if fortran else "C")


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


def check_layout(array: np.ndarray, size: int, layout: str, permutation: Sequence[int] | None, place: str) -> None:
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
        raise InputError(f"{place}: rows are {other}, not {layout} as they are read; give --layout={other}")


class Archive:
    """An .npz file of floating arrays: shapes from the headers, arrays when asked for.

    Raises:
      InputError: no such file, no zip archive, cut short, or an array that is not of floating numbers.
    """

    def __init__(self, path: pathlib.Path):
        self.path = path
        self.shapes: dict[str, tuple[int, ...]] = {}
        try:
            with zipfile.ZipFile(path) as archive:
                for name in archive.namelist():
                    if name.endswith(".npy"):
                        with archive.open(name) as file:
                            shape, _, dtype = read_header(file, f"{path}: {name[:-4]}")
                        check_floating(dtype, f"{path}: {name[:-4]}")
                        self.shapes[name[:-4]] = shape
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror}") from None
        except zipfile.BadZipFile:
            raise InputError(f"{path}: no .npz archive, or cut short") from None
        self._arrays: Any = None

    def read(self, name: str) -> np.ndarray:
        """One array; raises `InputError` when its bytes are damaged."""
        if self._arrays is None:
            self._arrays = np.load(self.path, allow_pickle=False)
        try:
            return self._arrays[name]
        except (ValueError, EOFError, OSError, zipfile.BadZipFile, zlib.error) as error:
            raise InputError(f"{self.path}: {name} is damaged: {str(error).splitlines()[0]}") from None
