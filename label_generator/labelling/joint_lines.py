"""CSV files of one joint a line, such as this project's labels_long.csv: read as rows of one pose each."""

from __future__ import annotations

import csv
import math
import pathlib
from collections.abc import Iterator

import numpy as np

from label_generator.labelling.array_rows import CsvRows, number
from tools.cli.errors import InputError

# Columns that name the joint of a line, and those of its numbers, by what the names end up as.
_JOINT = ("joint", "keypoint", "landmark", "bodypart", "body_part")
_AXES = {
    "x": ("x_px", "x"),
    "y": ("y_px", "y"),
    "confidence": ("confidence", "conf", "score", "likelihood", "visibility"),
}
# What labels_long.csv says besides: 'row' belongs to a pose, the others are not read.
_ROW = "row"
_PROVENANCE = "provenance_2d"
_OTHER = ("track", "x_mm", "y_mm", "z_mm", "interpolated", "joint_quality")
_MOST_JOINTS = 1000


def is_long(rows: CsvRows) -> bool:
    """Whether a CSV file has a column that names the joint of each line."""
    return any(name.lower() in _JOINT for name in rows.names)


class JointLines(CsvRows):
    """Lines of the same file, sequence, frame, person (and row), one behind the other, are the joints of one pose.

    `names` are those of a table of one pose a line: nose_x, nose_y, ... A joint without a line is missing, and one that
    'provenance_2d' calls made is made again from those that are labelled.
    """

    def __init__(self, path: pathlib.Path):
        """Raises `InputError` for columns or lines that are no joints of poses."""
        super().__init__(path)
        lower = [name.lower() for name in self.names]
        where = dict(zip(lower, self._columns))
        self._joint = next(where[name] for name in _JOINT if name in where)
        self._axes = {}
        for axis, names in _AXES.items():
            chosen = next((name for name in names if name in where), "")
            if chosen:
                self._axes[axis] = where[chosen]
            elif axis != "confidence":
                raise InputError(f"{path}: a table of one joint a line needs a column '{axis}' (or '{axis}_px')")
        self._provenance = where.get(_PROVENANCE, -1)
        known = {*_JOINT, *(name for names in _AXES.values() for name in names), _ROW, _PROVENANCE, *_OTHER}
        strange = [name for name in self.names if name and name.lower() not in known]
        if strange:
            shown = ", ".join(f"'{name[:40]}'" for name in strange[:4])
            raise InputError(f"{path}: {shown}: no names of columns that are known in a table of one joint a line")
        self._keys = [*self.id_columns.values(), *([where[_ROW]] if _ROW in where else [])]
        joints: dict[str, int] = {}
        poses = 0
        for cells in self._poses():
            poses += 1
            for line in cells:
                joints.setdefault(line[self._joint].strip(), len(joints))
            if len(joints) > _MOST_JOINTS:
                raise InputError(f"{path}: names more than {_MOST_JOINTS} joints")
        self._place_of = joints
        self.names = [f"{joint}_{axis}" for joint in joints for axis in self._axes]
        self.shape = (poses, len(self.names))
        self._iterator: Iterator[list[list[str]]] | None = None
        self._next = 0

    def read(self, start: int, stop: int) -> np.ndarray:
        """As `CsvRows.read`, a pose a row."""
        start, stop, _ = slice(start, stop).indices(len(self))
        if self._iterator is None or self._next > start:
            self._iterator, self._next = self._poses(), 0
        values = np.full((stop - start, self.shape[1]), math.nan)
        self.ids = {name: [] for name in self.id_columns}
        while self._next < stop:
            lines = next(self._iterator, None)
            if lines is None:
                raise InputError(f"{self._path}: pose {self._next} is not there; the file was changed")
            if self._next >= start:
                self._take_pose(lines, values[self._next - start])
            self._next += 1
        return values

    def _take_pose(self, lines: list[list[str]], into: np.ndarray) -> None:
        comma, width = self._separator != ",", len(self._axes)
        for cells in lines:
            joint = cells[self._joint].strip()
            first = self._place_of.get(joint, -1) * width
            if first < 0:
                raise InputError(
                    f"{self._path}: pose {self._next}: another joint, '{joint[:40]}'; the file was changed"
                )
            if self._provenance >= 0 and cells[self._provenance].strip() == "made":
                continue
            try:
                into[first : first + width] = [
                    number(cells[column], comma) if cells[column].strip() else math.nan
                    for column in self._axes.values()
                ]
            except ValueError as error:
                raise InputError(f"{self._path}: pose {self._next}, joint '{joint[:40]}': {error}") from None
        for name, column in self.id_columns.items():
            self.ids[name].append(lines[0][column].strip())

    def _poses(self) -> Iterator[list[list[str]]]:
        """The lines of each pose."""
        last = max([self._joint, self._provenance, *self._axes.values(), *self._keys])
        lines: list[list[str]] = []
        key: list[str] | None = None
        joints: set[str] = set()
        try:
            for count, cells in enumerate(self._open()):
                if len(cells) <= last:
                    raise InputError(f"{self._path}: row {count}: too few cells")
                joint, own = cells[self._joint].strip(), [cells[column] for column in self._keys]
                if key is not None and own != key:
                    yield lines
                    lines, joints = [], set()
                if joint in joints:
                    raise InputError(
                        f"{self._path}: row {count}: the joint '{joint[:40]}' is there twice in one pose; poses are "
                        "told apart by the columns file, sequence, frame, person and row"
                    )
                key = own
                joints.add(joint)
                if len(joints) > _MOST_JOINTS:
                    raise InputError(f"{self._path}: row {count}: a pose of more than {_MOST_JOINTS} joints")
                lines.append(cells)
        except (csv.Error, UnicodeDecodeError, OSError) as error:
            raise InputError(f"{self._path}: cannot be read as CSV ({error})") from None
        if lines:
            yield lines
