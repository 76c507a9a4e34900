"""The released in-the-wild labels: `wild.npy` (file name, 2D key points, 3D key points) and `images/`; MPII and LSP.

Nobody documents the layout of `wild.npy` beyond these three words, so everything that says them is accepted:
  rows         an array [N, 3] of objects (or [3, N]: three columns), a list or array of rows, or a dict of three
               columns
  a row        a tuple, list, array or dict; its parts are told apart by what they are: the text is the file name, 32 or
               34 numbers are the 2D pose, 48 or 51 the 3D pose
  a pose       [J, D], [D, J], or flat, planar unless --layout says interleaved; J = 16 is MPII's order, J = 17 this
               project's or the one that --permutation gives
Inferred as well: 2D is in px of the image; 3D is in mm (or in --unit_mm) and camera axes (x right, y down, z away), and
is made relative to the root here; where the root is in the file is kept when it is not the origin.

The file is an array of objects, which only unpickling reads: see `unpickle` for why that runs nothing of it.
"""

from __future__ import annotations

import functools
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tfrecords.conversion import labels
from tfrecords.conversion.people import with_image
from tfrecords.formats import images, unpickle
from tfrecords.schema import PoseRecord
from tfrecords.source import Info, Options, Skip, Source
from tools.cli.errors import InputError
from tools.pose import bounds, joints

BAD_ROW = "row without a file name, a 2D and a 3D pose"
NOT_MM = "3D pose not in mm"
_SETS = {16: "mpii16", 17: "pose17"}
# A root nearer than this to the origin is the origin: the file has relative poses.
_NO_PLACE_MM = 1.0


class MpiiLsp3D(Source):
    """Rows of wild.npy in their order. The file knows no split: one image in ten is 'val', chosen by its name."""

    info = Info(
        name="mpii_lsp",
        description="images of MPII and LSP with generated 2D and 3D labels, as released",
        input="wild.npy, or the folder it lies in; its pictures in images/ beside it or by --images",
        licence="that of MPII and LSP, for research; labels by Wang et al.",
        citation="Wang et al.: Generalizing Monocular 3D Human Pose Estimation in the Wild, ICCV Workshop 2019",
        splits=(labels.ALL, labels.TRAIN, labels.VAL),
        images=True,
    )

    def __init__(self, path: pathlib.Path, options: Options):
        """Raises `InputError` without wild.npy or its images."""
        super().__init__(path, options)
        if self.path.is_dir():
            self.path = self.path / "wild.npy"
        labels.check_file(self.path, self.info.input)
        self._pictures = images.open_pictures(options, [self.path.parent / "images", self.path.parent])

    @functools.cached_property
    def _rows(self) -> list[Any]:
        """(file, 2D [J, 2], 3D [J, 3], more) of each row of the split, or its `Skip`."""
        rows = [self._row(number, row) for number, row in enumerate(_split_rows(unpickle.load_objects(self.path)))]
        if not rows:
            raise InputError(f"{self.path}: no row in it")
        bad = [row for row in rows if isinstance(row, Skip)]
        if len(bad) == len(rows):
            raise InputError(f"{bad[0].detail}: {bad[0].reason}; none of its {len(rows)} rows can be used")
        if self.split == labels.ALL:
            return rows
        # Rows that can't be read have no name to go by; they are counted with the training split.
        parts = [labels.TRAIN if isinstance(row, Skip) else labels.hashed_part(_title(row[0])) for row in rows]
        return [row for row, part in zip(rows, parts) if part == self.split]

    def __len__(self) -> int:
        return len(self._rows)

    def records(self, numbers: Sequence[int] | np.ndarray) -> Iterator[PoseRecord | Skip]:
        """Yields one item for each of the ascending record numbers, in that order."""
        for number in np.asarray(numbers, np.int64).tolist():
            row = self._rows[number]
            yield row if isinstance(row, Skip) else self._record(*row)

    def _record(self, file: str, flat: np.ndarray, deep: np.ndarray, more: dict[str, Any]) -> PoseRecord | Skip:
        pose_2d, provenance_2d = joints.convert(flat, _SETS[len(flat)], provenance=more.get("provenance"))
        pose_3d, provenance_3d = joints.convert(deep, _SETS[len(deep)])
        root = pose_3d[joints.POSE17.root].copy()
        record = PoseRecord(
            dataset=self.info.name,
            split=labels.hashed_part(_title(file)),
            subject=_title(file),
            file=file,
            pose_2d=pose_2d,
            provenance_2d=provenance_2d,
            pose_3d=pose_3d - root,
            provenance_3d=provenance_3d,
            root_3d=root if np.linalg.norm(root) >= _NO_PLACE_MM else None,
            box=labels.box_around(pose_2d),
            quality=float(more.get("quality", np.nan)),
            joint_quality=more.get("joint_quality"),
        )
        return with_image(record, self._pictures)

    def _row(self, number: int, row: Any) -> Any:
        """The row's parts by what they are."""
        if isinstance(row, np.void) and {"filename", "2D", "3D"} <= set(row.dtype.names or ()):
            return self._own_row(number, row)
        parts = list(row.values()) if isinstance(row, dict) else row
        if isinstance(parts, np.void) and parts.dtype.names:  # of a table with named columns
            parts = [parts[name] for name in parts.dtype.names]
        elif isinstance(parts, np.ndarray):
            parts = list(parts) if parts.ndim == 1 else []
        found: dict[str, Any] = {}
        for part in parts if isinstance(parts, (list, tuple)) else []:
            name = _name(part)
            if name:
                found["name"] = name
            elif not isinstance(part, (str, bytes)):
                for size in (2, 3):
                    pose = self._pose(part, size)
                    if pose is not None:
                        found[f"{size}D"] = pose
        where = f"{self.path}: row {number}"
        if len(found) < 3:
            return Skip(BAD_ROW, f"{where} has {', '.join(found) or 'none of them'}")
        found["3D"] = found["3D"] * np.float32(self.options.unit_mm or 1)
        if np.abs(found["3D"] - found["3D"].mean(0)).max() < bounds.SMALLEST_EXTENT_MM:
            return Skip(NOT_MM, f"{where}: --unit_mm tells how many mm one unit is")
        return found["name"], found["2D"], found["3D"], {}

    def _own_row(self, number: int, row: np.void) -> Any:
        """A row as this project writes it: NaN at missing 2D joints, and quality and provenance beside the poses."""
        where, flat, deep = f"{self.path}: row {number}", row["2D"], row["3D"]
        if flat.shape != (17, 2) or deep.shape != (17, 3) or not np.isfinite(deep).all():
            return Skip(BAD_ROW, f"{where} has poses {list(flat.shape)} and {list(deep.shape)}, or no 3D pose")
        if not np.isfinite(flat).all(-1).any():
            return Skip(BAD_ROW, f"{where} has no 2D joint")
        more = {
            name: row[name] for name in ("quality", "joint_quality", "provenance") if name in (row.dtype.names or ())
        }
        return str(row["filename"]), np.float32(flat), np.float32(deep), more

    def _pose(self, part: Any, size: int) -> np.ndarray | None:
        """[J, size] float32, or None when the numbers are no pose of that many dimensions."""
        try:
            array = np.asarray(part)
            if array.dtype == object:  # lists of lists or of arrays
                array = np.array(array.tolist())
        except (ValueError, TypeError, OverflowError, RecursionError):
            return None
        count = array.size // size
        if count not in _SETS or count * size != array.size:
            return None
        array = array.squeeze()
        if array.shape == (array.size,):
            array = array.reshape(count, size) if self.options.layout == "interleaved" else array.reshape(size, count).T
        elif array.shape == (size, count):
            array = array.T
        pose = labels.number_array(array, count, size)
        if pose is not None and count == joints.POSE17.size and self.options.permutation is not None:
            pose = pose[np.asarray(self.options.permutation)]
        return pose


def _name(part: Any) -> str:
    """The file name when that is what the part is, also as bytes or as an array of one text; else ''."""
    if isinstance(part, np.ndarray) and part.size == 1:
        part = part.reshape(-1)[0]
    if isinstance(part, bytes):
        part = part.decode("utf-8", "replace")
    return str(part) if isinstance(part, str) else ""


def _title(file: str) -> str:
    """The image's own name: the folders before it are those of another machine."""
    return file.replace("\\", "/").rsplit("/", 1)[-1]


def _split_rows(content: Any) -> list[Any]:
    """The rows, whichever way the file holds them; [] when it holds nothing of the kind."""
    if isinstance(content, np.ndarray) and content.ndim == 0:
        content = content.item()
    if isinstance(content, dict):
        columns = list(content.values())
        return _transpose(columns) if len(columns) == 3 else []
    if not isinstance(content, (list, tuple, np.ndarray)):
        return []
    if len(content) == 3:
        # Three columns or three rows? A row has one name, the column of names has nothing else.
        rows = _transpose(list(content))
        if rows and sum(bool(_name(part)) for part in rows[0]) == 1:
            return rows
    return list(content)


def _transpose(columns: list[Any]) -> list[tuple]:
    """Rows from columns of one length; [] when they are something else."""
    for column in columns:
        if not isinstance(column, (list, tuple)) and not (isinstance(column, np.ndarray) and column.ndim):
            return []
    return list(zip(*columns)) if len({len(column) for column in columns}) == 1 else []
