"""Labels on their way to disk: columns that grow piece by piece, survive a kill, and become one .npz at the end.

Every column is a file of raw numbers in the folder `.partial` of the output; a journal says how many rows are whole.
A run that was killed cuts the files to what the journal says and goes on. Memory does not depend on the number of rows.
"""

from __future__ import annotations

import io
import json
import os
import pathlib
import shutil
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import IO, Any

import numpy as np

from tools.cli.errors import InputError
from tools.files import atomic

FOLDER = ".partial"
_JOURNAL = "journal.json"
# Texts repeat; so many of them are remembered, then the memory starts anew.
_REMEMBERED = 65_536
_COPIED_AT_ONCE = 1 << 22
_EPOCH = (1980, 1, 1, 0, 0, 0)


class _Texts:
    """A column of texts: a growing table of them and their numbers."""

    def __init__(self, path: pathlib.Path, state: Mapping[str, int] | None):
        self.path = path
        self.count, self.bytes, self.width = (state["count"], state["bytes"], state["width"]) if state else (0, 0, 1)
        self._known: dict[str, int] = {}
        path.touch()
        with open(path, "r+b") as file:
            file.truncate(self.bytes)
        # What was remembered depends on the table alone, so that a resumed run makes the same one.
        for number, text in enumerate(self):
            if number >= self.count - self.count % _REMEMBERED:
                self._known[text] = number
        self._file = open(path, "ab")  # noqa: SIM115 (closed with the labels)

    def numbers(self, texts: Sequence[str]) -> np.ndarray:
        """[n] int32 places of the texts in the table, which takes up those it does not know."""
        return np.fromiter((self._number(text) for text in texts), np.int32, len(texts))

    def _number(self, text: str) -> int:
        number = self._known.get(text)
        if number is None:
            number = self._known[text] = self.count
            line = json.dumps(text).encode() + b"\n"
            self._file.write(line)
            self.count, self.bytes, self.width = self.count + 1, self.bytes + len(line), max(self.width, len(text))
            if self.count % _REMEMBERED == 0:
                self._known.clear()
        return number

    def __iter__(self) -> Iterator[str]:
        with open(self.path, "rb") as file:
            for line in file:
                yield json.loads(line)

    def state(self) -> dict[str, int]:
        return {"count": self.count, "bytes": self.bytes, "width": self.width}

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()


class Overlay:
    """A column on disk whose rows are written anew.

    Written and not mapped into memory: writing into a mapped file on a full disk ends the process without a word.
    """

    def __init__(self, path: pathlib.Path, kind: str, shape: tuple[int, ...]):
        """kind, shape: NumPy type and shape of a row."""
        self._path, self._kind, self._shape = path, np.dtype(kind), tuple(shape)
        self._row_bytes = self._kind.itemsize * int(np.prod(shape, dtype=int))
        self._file = open(path, "r+b", buffering=0)  # noqa: SIM115 (closed by `close`)

    def write(self, rows: np.ndarray, values: Any) -> None:
        """Writes `values`, of each row or the same for all, into the rows of these numbers.

        Raises:
          InputError: the disk is full.
        """
        array = np.ascontiguousarray(np.broadcast_to(np.asarray(values, self._kind), (len(rows), *self._shape)))
        ends = [*(np.flatnonzero(np.diff(rows) != 1) + 1).tolist(), len(rows)]
        first = 0
        try:
            for end in ends:  # one write for each run of rows
                self._file.seek(int(rows[first]) * self._row_bytes)
                view = memoryview(array[first:end].tobytes())
                while view:
                    view = view[self._file.write(view) :]
                first = end
        except OSError as error:
            raise InputError(f"{self._path.parent}: can't be written: {error.strerror}") from error

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


class LabelFiles:
    """Columns of labels being written into `.partial` of an output folder.

    Attributes:
      rows: how many are whole.
      reasons: texts that the column 'reason' counts through.
    """

    def __init__(
        self,
        output: pathlib.Path,
        columns: Mapping[str, tuple[str, tuple[int, ...]]],
        texts: Sequence[str],
        header: Mapping[str, Any],
        reasons: Sequence[str],
    ):
        """Goes on with what lies there, or begins.

        Args:
          columns: name -> NumPy type and shape of a row. texts: names of the columns of texts.
          header: what is labelled and how; only labels with the same header are gone on with.

        Raises:
          InputError: another run's labels lie there unfinished.
        """
        self.folder, self.columns = output / FOLDER, dict(columns)
        self._header = json.loads(json.dumps(dict(header)))
        journal = self._read_journal()
        self.rows = journal.get("rows", 0)
        self.reasons = list(journal.get("reasons", reasons))
        self.folder.mkdir(parents=True, exist_ok=True)
        self._files = {name: self._open(name) for name in self.columns}
        self._overlays: dict[str, pathlib.Path] = {}
        self._in_use = False
        self._texts = {
            name: _Texts(self.folder / f"{name}.texts", journal.get("texts", {}).get(name)) for name in texts
        }
        self.checkpoint()

    def _read_journal(self) -> dict[str, Any]:
        path = self.folder / _JOURNAL
        try:
            journal = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(journal, dict):
                raise ValueError("no object")
        except FileNotFoundError:
            return {}
        except (ValueError, RecursionError):
            raise InputError(f"{path}: damaged; --overwrite starts anew") from None
        if journal.get("header") != self._header:
            there = journal.get("header", {})
            differing = [name for name in self._header if there.get(name) != self._header[name]]
            raise InputError(
                f"{self.folder.parent}: holds unfinished labels that differ in {', '.join(differing) or 'version'}; "
                "go on with those, or --overwrite starts anew"
            )
        return journal

    def _row_bytes(self, name: str) -> int:
        kind, shape = self.columns[name]
        return np.dtype(kind).itemsize * int(np.prod(shape, dtype=int))

    def _path(self, name: str) -> pathlib.Path:
        return self.folder / f"{name}.raw"

    def _shown(self, name: str) -> pathlib.Path:
        """Where a column is read from."""
        return self._overlays[name] if self._in_use and name in self._overlays else self._path(name)

    def mapped(self, name: str) -> np.ndarray:
        """A whole column as it is on disk, read where it is looked at."""
        kind, shape = self.columns[name]
        if not self.rows:
            return np.empty((0, *shape), kind)
        return np.memmap(self._shown(name), kind, "r", shape=(self.rows, *shape))

    def overlay(self, name: str) -> Overlay:
        """A copy of a column on disk to be changed, which `use_overlays` puts in its place; the column stays.

        Raises:
          InputError: the disk is full.
        """
        kind, shape = self.columns[name]
        path = self.folder / f"{name}.changed.raw"
        try:
            shutil.copyfile(self._path(name), path)
        except OSError as error:
            raise InputError(f"{self.folder}: can't be written: {error.strerror}") from error
        self._overlays[name] = path
        return Overlay(path, kind, shape)

    def use_overlays(self) -> None:
        """From now on changed columns are read."""
        self._in_use = True

    def _open(self, name: str) -> io.FileIO:
        path, size = self._path(name), self.rows * self._row_bytes(name)
        path.touch()
        if path.stat().st_size < size:
            raise InputError(f"{path}: shorter than its journal says; --overwrite starts anew")
        os.truncate(path, size)
        return open(path, "ab", buffering=0)

    def reason(self, text: str) -> int:
        """The number of a reason, which is taken up when it is new."""
        if text not in self.reasons:
            self.reasons.append(text)
        return self.reasons.index(text)

    def append(self, values: Mapping[str, Any]) -> None:
        """Adds rows: an array [n, ...] for every column, texts [n] for every column of texts."""
        count = len(next(iter(values.values())))
        try:
            for name, (kind, shape) in self.columns.items():
                if name in self._texts:
                    continue
                array = np.ascontiguousarray(values[name], kind)
                if array.shape != (count, *shape):
                    raise ValueError(f"{name} is {array.shape}, expected {(count, *shape)}")
                view = array.reshape(-1).data.cast("B")
                while view:
                    view = view[self._files[name].write(view) :]
            for name, table in self._texts.items():
                view = table.numbers(values[name]).data.cast("B")
                while view:
                    view = view[self._files[name].write(view) :]
                table.flush()
        except OSError as error:
            raise InputError(f"{self.folder}: can't be written: {error.strerror}") from error
        self.rows += count

    def checkpoint(self) -> None:
        """Says in the journal that all rows so far are whole."""
        content = {
            "header": self._header,
            "rows": self.rows,
            "reasons": self.reasons,
            "texts": {name: table.state() for name, table in self._texts.items()},
        }
        atomic.write_text(self.folder / _JOURNAL, json.dumps(content))

    def read(self, name: str, start: int, stop: int) -> np.ndarray:
        """Rows start to stop of a column; a column of texts has their numbers."""
        kind, shape = self.columns[name]
        count = min(stop, self.rows) - start
        items = count * int(np.prod(shape, dtype=int))
        values = np.fromfile(self._shown(name), kind, items, offset=start * self._row_bytes(name))
        return values.reshape(count, *shape)

    def texts(self, name: str) -> Iterator[str]:
        """The table of a column of texts."""
        return iter(self._texts[name])

    def text_width(self, name: str) -> int:
        """The length of the longest text of a column."""
        return self._texts[name].width

    def write_npz(self, path: pathlib.Path, extra: Mapping[str, Any]) -> None:
        """Writes all columns, the tables of the texts (their column's name and an s) and `extra` arrays as one .npz."""
        try:
            with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
                for name, (kind, shape) in self.columns.items():
                    if name.startswith("_"):  # of use during the run only
                        continue
                    with _member(archive, name, kind, (self.rows, *shape)) as member:
                        self._copy(name, member)
                for name, table in self._texts.items():
                    kind = f"<U{table.width}"
                    with _member(archive, f"{name}s", kind, (table.count,)) as member:
                        for part in _parts(table, _REMEMBERED):
                            member.write(np.array(part, kind).tobytes())
                for name, value in extra.items():
                    array = np.asarray(value)
                    with _member(archive, name, array.dtype.str, array.shape) as member:
                        member.write(np.ascontiguousarray(array).tobytes())
        except OSError as error:
            raise InputError(f"{path}: can't be written: {error.strerror}") from error

    def _copy(self, name: str, member: IO[bytes]) -> None:
        with open(self._shown(name), "rb", buffering=0) as file:
            while data := file.read(_COPIED_AT_ONCE):
                member.write(data)

    def close(self) -> None:
        """Closes the files; what was written stays."""
        for file in self._files.values():
            file.close()
        for table in self._texts.values():
            table.close()

    def discard(self) -> None:
        """Closes and removes the folder."""
        self.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def _member(archive: zipfile.ZipFile, name: str, kind: str, shape: tuple[int, ...]) -> IO[bytes]:
    """An open .npy member whose header is written."""
    # A fixed time: the same labels are the same bytes.
    info = zipfile.ZipInfo(f"{name}.npy", _EPOCH)
    info.external_attr = 0o644 << 16
    member = archive.open(info, "w", force_zip64=True)
    described = {"descr": np.dtype(kind).str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(member, described)
    return member


def _parts(values: Iterable[Any], size: int) -> Iterator[list]:
    part = []
    for value in values:
        part.append(value)
        if len(part) == size:
            yield part
            part = []
    if part:
        yield part
