"""The rows of finished labels, piece by piece, for files that list labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tools.files.columns import LabelFiles

# Columns of labels: name -> NumPy type and shape of a row; docs/label_your_data.md describes them.
COLUMNS = {
    "poses_3d": ("<f4", (17, 3)),
    "roots": ("<f4", (3,)),
    "coarse_3d": ("<f4", (17, 3)),
    "poses_2d": ("<f4", (17, 2)),
    "provenance": ("|u1", (17,)),
    "quality": ("<f4", ()),
    "expected_error_mm": ("<f4", ()),
    "joint_quality": ("<f4", (17,)),
    "residual_mm": ("<f4", ()),
    "at_range_end": ("|b1", ()),
    "depth_nominal": ("|b1", ()),
    "reason": ("<i4", ()),
    "intrinsics": ("<f4", (4,)),
    "camera_kind": ("|u1", ()),
    "frame": ("<i8", ()),
    "person": ("<i8", ()),
    "file": ("<i4", ()),
    "sequence": ("<i4", ()),
    "action": ("<i4", ()),
    "track": ("<i4", ()),
    "interpolated": ("|b1", (17,)),
    "nominal_camera": ("<f4", (4,)),
    "image_size": ("<i4", (2,)),
    "own_numbers": ("<i8", (2,)),
    # The 2D joints without lens distortion, which clips need.
    "_points": ("<f4", (17, 2)),
}
# Those of texts.
TEXTS = ("file", "sequence", "action")
ROWS = 4096
MM_DECIMALS, QUALITY_DECIMALS = 2, 4
# A column [17] that tables of predictions have and those of labels have not.
CONFIDENCE = "confidence"


def labelled_rows(files: LabelFiles, names: Sequence[str], texts: Sequence[str] = ()) -> Iterator[dict]:
    """Yields the rows that have a label, piece by piece: name -> array; texts as lists."""
    tables = {name: list(files.texts(name)) for name in texts}
    for start in range(0, files.rows, ROWS):
        stop = min(start + ROWS, files.rows)
        good = np.flatnonzero(files.read("reason", start, stop) == 0)
        piece: dict[str, Any] = {name: files.read(name, start, stop)[good] for name in names}
        for name, table in tables.items():
            piece[name] = [table[i] for i in files.read(name, start, stop)[good]]
        yield {"row": start + good, **piece}


def present(files: LabelFiles, names: Sequence[str]) -> list[str]:
    """Those of the names that are columns."""
    return [name for name in names if name in files.columns]


def rounded(array: np.ndarray | Sequence[float], decimals: int) -> list:
    """Nested lists of floats with so many decimals; None where there is no number, which JSON can say."""
    values = np.round(np.asarray(array, np.float64), decimals)
    if np.isfinite(values).all():
        return values.tolist()
    objects = values.astype(object)
    objects[~np.isfinite(values)] = None
    return objects.tolist()


def label_count(files: LabelFiles) -> int:
    """How many rows have a label."""
    starts = range(0, files.rows, ROWS)
    return sum(int((files.read("reason", start, start + ROWS) == 0).sum()) for start in starts)
