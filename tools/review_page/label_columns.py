"""The output folder of generate.py, as the page needs it: columns read piece by piece, checked as they are read."""

from __future__ import annotations

import hashlib
import pathlib
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from label_generator.labelling import array_rows
from tools.cli.errors import InputError
from tools.files import decisions, inputs
from tools.pose.joints import POSE17

LABELS, SUMMARY = "labels.npz", "summary.json"
_EXPECTED = "expected the output folder of label_generator/generate.py"
# Columns that every labels.npz has: kind of number, shape of a row.
_COLUMNS = {
    "poses_2d": ("f", (POSE17.size, 2)),
    "poses_3d": ("f", (POSE17.size, 3)),
    "roots": ("f", (3,)),
    "provenance": ("iu", (POSE17.size,)),
    "quality": ("f", ()),
    "joint_quality": ("f", (POSE17.size,)),
    "expected_error_mm": ("f", ()),
    "residual_mm": ("f", ()),
    "at_range_end": ("b", ()),
    "depth_nominal": ("b", ()),
    "reason": ("iu", ()),
    "camera_kind": ("iu", ()),
    "frame": ("iu", ()),
    "person": ("iu", ()),
    "file": ("iu", ()),
    "sequence": ("iu", ()),
}
# Number column -> table of texts that it counts through.
TABLES = {"reason": "reasons", "camera_kind": "camera_kinds", "file": "files", "sequence": "sequences"}
_OPTIONAL_TABLES = {"action": "actions"}
DECISION_CODES, SWAPPED = {"": 0, decisions.KEEP: 1, decisions.DROP: 2, decisions.UNSURE: 3}, 4
_PIECE_BYTES, _PIECE_ROWS = 1 << 22, 4096


class LabelColumns:
    """Rows `first` to `first + count` of a labels.npz.

    Attributes:
      path: of the archive. title: what the user named. total: rows of the archive. first, count: of those shown.
      tables: number column -> name of its table of texts.
      summary: content of summary.json, {} when it is not there.
    """

    def __init__(self, place: str | pathlib.Path, first: int = 0, limit: int = 0):
        """Raises `InputError` when there are no labels at `place`, or damaged ones."""
        place = pathlib.Path(place)
        self.path = place / LABELS if place.is_dir() else place
        if not self.path.is_file():
            found = f"no {LABELS} in it" if place.is_dir() else "no such folder"
            raise InputError(f"{place}: {found}; {_EXPECTED}")
        self.title = place.name or str(place.resolve().name)
        _check_sums(self.path)
        self._rows = array_rows.open_npz(self.path)
        self.tables = dict(TABLES)
        for column, table in _OPTIONAL_TABLES.items():
            if column in self._rows and table in self._rows:
                self.tables[column] = table
        self._check()
        self.total = len(self._rows["quality"])
        if not self.total:
            raise InputError(f"{self.path}: holds no pose")
        if first >= self.total:
            raise InputError(f"--first={first}: {self.path} has {self.total:,} rows, 0 to {self.total - 1:,}")
        self.first = first
        self.count = min(self.total - first, limit or self.total)
        self.summary = _read_summary(self.path.parent / SUMMARY)

    def _check(self) -> None:
        columns = {**_COLUMNS, **dict.fromkeys(self.tables, ("iu", ()))}
        missing = [name for name in (*columns, *self.tables.values()) if name not in self._rows]
        if missing:
            raise InputError(f"{self.path}: no array {', '.join(missing)}; {_EXPECTED}")
        count = len(self._rows["quality"])
        for name, (kinds, shape) in columns.items():
            rows = self._rows[name]
            if rows.shape != (count, *shape) or rows.dtype.kind not in kinds:
                raise InputError(
                    f"{rows.place}: {rows.dtype} {list(rows.shape)}, expected {[count, *shape]} of kind {kinds}"
                )
        for name in self.tables.values():
            rows = self._rows[name]
            if len(rows.shape) != 1 or rows.dtype.kind != "U":
                raise InputError(f"{rows.place}: {rows.dtype} {list(rows.shape)}, expected texts")
        for column, name in self.tables.items():
            size = len(self._rows[name])
            for start in range(0, count, _PIECE_ROWS):
                numbers = self._rows[column].read(start, min(start + _PIECE_ROWS, count))
                wrong = (numbers < 0) | (numbers >= size)
                if wrong.any():
                    row = int(np.argmax(wrong))
                    raise InputError(
                        f"{self.path}: {column}: row {start + row} is {numbers[row]}, there are {size} {name}"
                    )

    def pieces(self, name: str) -> Iterator[np.ndarray]:
        """The shown rows of a column, piece by piece."""
        stop = self.first + self.count
        for start in range(self.first, stop, _PIECE_ROWS):
            yield self._rows[name].read(start, min(start + _PIECE_ROWS, stop))

    def texts(self, name: str) -> Iterator[str]:
        """The texts of a table; one long text makes all of them wide, so pieces are counted in bytes."""
        rows = self._rows[name]
        step = max(1, _PIECE_BYTES // max(rows.dtype.itemsize, 1))
        for start in range(0, len(rows), step):
            for text in rows.read(start, start + step).tolist():
                # NumPy makes letters of any number, also of those that are none, which no page could hold.
                yield text if max(text, default="") <= "\U0010ffff" else ascii(text)[1:-1]

    def identities(self) -> np.ndarray:
        """[count] uint64 that are equal where file, sequence, frame and person are, by hash, of the shown rows."""
        marks = {name: self._text_marks(self.tables[name]) for name in ("file", "sequence")}
        result = np.empty(self.count, np.uint64)
        at = 0
        columns = ("file", "sequence", "frame", "person")
        for file, sequence, frame, person in zip(*(self.pieces(name) for name in columns)):
            mixed = marks["file"][file]
            for values in (marks["sequence"][sequence], frame.astype(np.uint64), person.astype(np.uint64)):
                # The multiplier of the 64-bit FNV hash, and a fold of the high bits that it leaves unmixed.
                mixed = (mixed ^ values) * np.uint64(0x100000001B3)
                mixed ^= mixed >> np.uint64(29)
            result[at : at + len(mixed)] = mixed
            at += len(mixed)
        return result

    def decided(self) -> Iterator[np.ndarray]:
        """[n] uint8 of the shown rows, piece by piece: the decisions that the labels were made with.

        0 none, 1 keep, 2 drop, 3 unsure; 4 more where left and right were swapped before lifting.
        """
        place = self.path.parent / decisions.NAME
        given = self.summary.get("decisions")
        known = decisions.Decisions(place) if given and place.is_file() else None
        if known is None or known.sha256 != given:
            for piece in self.pieces("quality"):
                yield np.zeros(len(piece), np.uint8)
            return
        texts = {name: list(self.texts(self.tables[name])) for name in ("file", "sequence")}
        at = self.first
        for columns in zip(*(self.pieces(name) for name in ("file", "sequence", "frame", "person"))):
            codes = np.zeros(len(columns[0]), np.uint8)
            for i, (file, sequence, frame, person) in enumerate(zip(*(column.tolist() for column in columns))):
                fate = known.fate(texts["file"][file], texts["sequence"][sequence], frame, person, at + i)
                codes[i] = DECISION_CODES[fate.decision] + SWAPPED * fate.swap
            at += len(codes)
            yield codes

    def _text_marks(self, table: str) -> np.ndarray:
        marks = np.empty(len(self._rows[table]), np.uint64)
        for number, text in enumerate(self.texts(table)):
            digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
            marks[number] = int.from_bytes(digest, "little")
        return marks


def shared(identities: np.ndarray) -> np.ndarray:
    """[n] uint8, 1 where another row has the same identity."""
    _, inverse, counts = np.unique(identities, return_inverse=True, return_counts=True)
    return (counts[inverse] > 1).astype(np.uint8)


def fingerprint(identities: np.ndarray) -> str:
    """Names a set of records by what they are, not by their labels: labels made anew find their decisions again."""
    return hashlib.blake2b(identities.astype("<u8").tobytes(), digest_size=12).hexdigest()


def _check_sums(path: pathlib.Path) -> None:
    """Raises `InputError` unless every member of the archive is whole."""
    try:
        with zipfile.ZipFile(path) as archive:
            bad = archive.testzip()
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError) as error:
        raise InputError(f"{path}: no .npz archive, or damaged ({error})") from None
    if bad is not None:
        raise InputError(f"{path}: damaged: the checksum of {bad[:100]} is wrong")


def _read_summary(path: pathlib.Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    content = inputs.read_json(path)
    return content if isinstance(content, dict) else {}
