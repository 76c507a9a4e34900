"""Rows of numbers by their number, in memory or, when they are many, in a temporary file."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from typing import IO

import numpy as np

from tools.cli.errors import InputError


class RowStore:
    """N rows [N, D] float32: appended in blocks, then read in order or taken by number.

    A store that may outgrow its memory keeps its rows in a file without a name in the folder of temporary files
    (TMPDIR), which goes with the process. Rows are read from it one by one and not mapped into memory, so the process
    does not grow; how much of the file stays in free memory is the kernel's affair.
    """

    def __init__(self, width: int, capacity: int, memory_bytes: int):
        """
        Args:
          width: D. capacity: the most rows that there will be.
          memory_bytes: what may be kept in memory; when `capacity` rows need more, all of them lie in a file.

        Raises:
          InputError: the file can't be made.
        """
        self.width, self._count, self._row_bytes = width, 0, 4 * width
        self._rows = np.empty((0, width), np.float32)
        self._file: IO[bytes] | None = None
        if capacity * self._row_bytes <= memory_bytes:
            self._rows = np.empty((capacity, width), np.float32)
            return
        try:
            self._file = tempfile.TemporaryFile(prefix="pose3d-rows-", buffering=0)  # noqa: SIM115
        except OSError as error:
            raise self._refused(error) from error

    def __len__(self) -> int:
        return self._count

    @property
    def is_on_disk(self) -> bool:
        """Whether the rows lie in a file."""
        return self._file is not None

    @property
    def array(self) -> np.ndarray:
        """[N, D] of rows that are in memory."""
        assert not self.is_on_disk, "rows in a file are taken by number"
        return self._rows[: self._count]

    def append(self, rows: np.ndarray) -> None:
        """Adds rows [n, D]; raises `InputError` when there is no room for them on the disk."""
        if self._file is None:
            self._rows[self._count : self._count + len(rows)] = rows
        elif len(rows):
            data = np.ascontiguousarray(rows, np.float32).data.cast("B")
            try:
                while len(data):
                    data = data[self._file.write(data) :]
            except OSError as error:
                raise self._refused(error) from error
        self._count += len(rows)

    def blocks(self, size: int) -> Iterator[np.ndarray]:
        """The rows in order, [size, D] at a time; the last block may be shorter."""
        for start in range(0, self._count, size):
            count = min(size, self._count - start)
            if self._file is None:
                yield self._rows[start : start + count]
            else:
                block = np.empty((count, self.width), np.float32)
                self._read(block.data.cast("B"), start)
                yield block

    def take(self, numbers: np.ndarray) -> np.ndarray:
        """The rows [n, D] of these numbers [n]; may be called by several threads."""
        if self._file is None:
            return self._rows[numbers]
        taken = np.empty((len(numbers), self.width), np.float32)
        data, size = taken.data.cast("B"), self._row_bytes
        for place, number in enumerate(numbers.tolist()):
            self._read(data[place * size : (place + 1) * size], number)
        return taken

    def _read(self, data: memoryview, number: int) -> None:
        """Fills `data` with what begins at the row of that number."""
        assert self._file is not None
        handle, at = self._file.fileno(), number * self._row_bytes
        try:
            while len(data):
                got = os.preadv(handle, [data], at)
                if not got:
                    raise EOFError(f"the temporary file of rows ends at {at} bytes")
                data, at = data[got:], at + got
        except OSError as error:
            raise self._refused(error) from error

    @staticmethod
    def _refused(error: OSError) -> InputError:
        return InputError(
            f"{tempfile.gettempdir()}: rows that don't fit in memory can't be kept here: {error.strerror}; "
            "name another folder with TMPDIR"
        )
