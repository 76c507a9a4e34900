"""labels.json: one object a label, with names and units at its head."""

from __future__ import annotations

import json
import pathlib
from typing import Any

from tfrecords import schema
from tfrecords.exports.rows import CONFIDENCE, MM_DECIMALS, QUALITY_DECIMALS, labelled_rows, present, rounded
from tools.files.columns import LabelFiles
from tools.pose import joints
from tools.pose.joints import POSE17

_PX_DECIMALS = 3
_NAMES = (
    "frame", "person", "track", "poses_2d", "poses_3d", "roots", "quality", "expected_error_mm", "joint_quality",
    "provenance", "interpolated", "camera_kind", "intrinsics", "nominal_camera", "own_numbers",
)  # fmt: skip
_UNITS = {
    "pose_2d": "px, x right, y down; null where missing",
    "pose_3d": "mm relative to the root; camera axes: x right, y down, z away",
    "root_3d": "mm, camera axes; nominal where the camera's intrinsics are unknown",
    "quality": "0 to 1: exp(-expected_error_mm / 100)",
    "joint_quality": "0 to 1, for each joint",
    "confidence": "0 to 1, of each joint in the picture, where the network states it",
    "provenance_2d": "for each joint 0 missing, 1 made, 2 labelled",
    "interpolated": "joints that were not seen in this frame of a sequence",
    "intrinsics": "fx, fy, cx, cy in px; null where unknown",
    "nominal_camera": "fx, fy, cx, cy in px by which the root of a sequence of unknown intrinsics was placed",
    "track": "number of the clip, -1 outside sequences",
    "image_id": "of the source, -1 where it has none",
    "annotation_id": "of the source, -1 where it has none",
}


def write_json(files: LabelFiles, path: pathlib.Path, weights: str, fps: float = 0.0) -> int:
    """Writes the labels as one JSON object, a label a line; returns how many."""
    units = {name: unit for name, unit in _UNITS.items() if name != CONFIDENCE or CONFIDENCE in files.columns}
    head: dict[str, Any] = {"unit": "mm", "axes": "x right, y down, z away; relative to the root", "weights": weights}
    head |= {"joints": list(POSE17.joints), "parents": list(POSE17.parents), "root": POSE17.root}
    head |= {"provenance": list(joints.PROVENANCE_NAMES), "units": units, "fps": fps or None}
    count = 0
    with open(path, "w", encoding="utf-8") as file:
        file.write(json.dumps(head)[:-1] + ', "labels": [')
        for piece in labelled_rows(files, present(files, (*_NAMES, CONFIDENCE)), ("file", "sequence")):
            for i in range(len(piece["row"])):
                file.write((",\n" if count else "\n") + json.dumps(_label(piece, i), allow_nan=False))
                count += 1
        file.write("\n]}\n")
    return count


def _label(piece: dict, i: int) -> dict:
    camera = {name: rounded(piece[name][i], _PX_DECIMALS) for name in ("intrinsics", "nominal_camera")}
    return {
        "row": int(piece["row"][i]),
        "file": piece["file"][i],
        "image_id": int(piece["own_numbers"][i, 0]),
        "annotation_id": int(piece["own_numbers"][i, 1]),
        "sequence": piece["sequence"][i],
        "frame": int(piece["frame"][i]),
        "person": int(piece["person"][i]),
        "track": int(piece["track"][i]),
        "pose_2d": rounded(piece["poses_2d"][i], _PX_DECIMALS),
        "pose_3d": rounded(piece["poses_3d"][i], MM_DECIMALS),
        "root_3d": rounded(piece["roots"][i], MM_DECIMALS),
        "camera_kind": schema.CAMERA_KINDS[piece["camera_kind"][i]],
        **{name: None if value[0] is None else value for name, value in camera.items()},
        "quality": rounded(piece["quality"][i : i + 1], QUALITY_DECIMALS)[0],
        "expected_error_mm": rounded(piece["expected_error_mm"][i : i + 1], MM_DECIMALS)[0],
        "joint_quality": rounded(piece["joint_quality"][i], QUALITY_DECIMALS),
        "provenance_2d": piece["provenance"][i].tolist(),
        "interpolated": piece["interpolated"][i].astype(int).tolist(),
        **({CONFIDENCE: rounded(piece[CONFIDENCE][i], QUALITY_DECIMALS)} if CONFIDENCE in piece else {}),
    }
