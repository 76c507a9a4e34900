"""CSV tables: labels_wide.csv, a line for each label, and labels_long.csv, a line for each joint of each label."""

from __future__ import annotations

import contextlib
import csv
import pathlib

import numpy as np

from tfrecords import schema
from tfrecords.exports.rows import CONFIDENCE, labelled_rows, present
from tools.files.columns import LabelFiles
from tools.pose import joints
from tools.pose.joints import POSE17

WIDE, LONG = "labels_wide.csv", "labels_long.csv"
_IDS = ("row", "file", "sequence", "frame", "person", "track")
_NAMES = (
    "frame", "person", "track", "poses_2d", "poses_3d", "roots", "quality", "expected_error_mm", "joint_quality",
    "provenance", "interpolated", "camera_kind",
)  # fmt: skip
_WIDE_HEAD = (
    *_IDS, "camera_kind", "quality", "expected_error_mm", "root_x_mm", "root_y_mm", "root_z_mm",
    *(f"{joint}_{axis}_mm" for joint in POSE17.joints for axis in "xyz"),
    *(f"{joint}_{axis}_px" for joint in POSE17.joints for axis in "xy"),
    *(f"{joint}_provenance_2d" for joint in POSE17.joints),
)  # fmt: skip
_LONG_HEAD = (
    *_IDS, "joint", "x_mm", "y_mm", "z_mm", "x_px", "y_px", "provenance_2d", "interpolated", "joint_quality",
)  # fmt: skip


def write_csv(files: LabelFiles, folder: pathlib.Path, wide_name: str = WIDE, long_name: str = LONG) -> int:
    """Writes both tables: mm relative to the root in camera axes, px; empty where there is no number.

    Returns:
      the number of labels.
    """
    count = 0
    with contextlib.ExitStack() as stack:
        wide_file, long_file = (
            stack.enter_context(open(folder / name, "w", encoding="utf-8", newline=""))
            for name in (wide_name, long_name)
        )
        wide, long = csv.writer(wide_file), csv.writer(long_file)
        wide.writerow(_WIDE_HEAD)
        names = present(files, (*_NAMES, CONFIDENCE))
        long.writerow([*_LONG_HEAD, *names[len(_NAMES) :]])
        for piece in labelled_rows(files, names, ("file", "sequence")):
            for i in range(len(piece["row"])):
                ids = [piece[name][i] for name in _IDS]
                kind = schema.CAMERA_KINDS[piece["camera_kind"][i]]
                scores = _numbers([piece["quality"][i]], 4) + _numbers([piece["expected_error_mm"][i]], 2)
                places = _numbers(piece["poses_3d"][i], 3)
                pixels = _numbers(piece["poses_2d"][i], 3)
                codes = [joints.PROVENANCE_NAMES[code] for code in piece["provenance"][i]]
                wide.writerow([*ids, kind, *scores, *_numbers(piece["roots"][i], 3), *places, *pixels, *codes])
                quality = _numbers(piece["joint_quality"][i], 4)
                confidence = _numbers(piece[CONFIDENCE][i], 4) if CONFIDENCE in piece else []
                for k, joint in enumerate(POSE17.joints):
                    marks = (codes[k], int(piece["interpolated"][i][k]), quality[k], *confidence[k : k + 1])
                    long.writerow([*ids, joint, *places[3 * k : 3 * k + 3], *pixels[2 * k : 2 * k + 2], *marks])
                count += 1
    return count


def _numbers(values: np.ndarray | list[float], decimals: int) -> list[str]:
    return [f"{value:.{decimals}f}" if np.isfinite(value) else "" for value in np.ravel(values)]
