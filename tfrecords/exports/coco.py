"""labels_coco.json: COCO's layout with `keypoints_3d`, joined to the source by its own image and annotation ids."""

from __future__ import annotations

import json
import pathlib

import numpy as np

from tfrecords.exports.rows import CONFIDENCE, MM_DECIMALS, QUALITY_DECIMALS, labelled_rows, present, rounded
from tools.files.columns import LabelFiles
from tools.pose import joints
from tools.pose.joints import POSE17

_PX_DECIMALS = 3
# COCO's visibility. A joint made from others is no label of a hidden joint, which COCO's 1 stands for.
_NOT_LABELLED, _VISIBLE = 0, 2
_NAMES = (
    "poses_2d", "poses_3d", "roots", "provenance", "quality", "joint_quality", "intrinsics", "image_size", "frame",
    "track", "own_numbers",
)  # fmt: skip
CATEGORY = {
    "id": 1,
    "name": "person",
    "supercategory": "person",
    "keypoints": list(POSE17.joints),
    # COCO counts the ends of bones from 1.
    "skeleton": [[joint + 1, parent + 1] for joint, parent in enumerate(POSE17.parents) if parent >= 0],
}
_ABOUT = {
    "keypoints": "x, y in px and COCO's visibility for each joint: 2 labelled, 0 not labelled; of a joint made from"
    " others x, y are where it was made",
    "keypoints_3d": "x, y, z in mm relative to the root (x right, y down, z away) and the joint's number in"
    " provenance_2d; a joint that is not labelled in 2D has a position predicted by the network",
    "provenance_2d": "0 missing, 1 made from other joints, 2 labelled, for each joint",
    "root_3d": "mm in camera axes; nominal where the annotation has no camera_param",
    "score": "quality of the label, 0 to 1; mean confidence of the joints where there is no quality",
}


def write_coco(files: LabelFiles, path: pathlib.Path, weights: str, fps: float = 0.0) -> int:
    """Writes images, annotations and categories; returns the number of annotations.

    Ids are the source's own where it has any; otherwise images are numbered in their order, annotations by their row.
    """
    images: dict[tuple, dict] = {}
    count = 0
    info = {"description": "3D labels generated from 2D poses", "weights": weights, "units": _ABOUT, "fps": fps or None}
    with open(path, "w", encoding="utf-8") as file:
        head = {"info": info, "categories": [CATEGORY]}
        file.write(json.dumps(head)[:-1] + ',\n"annotations": [')
        for piece in labelled_rows(files, present(files, (*_NAMES, CONFIDENCE)), ("file", "sequence")):
            for i in range(len(piece["row"])):
                number = int(piece["own_numbers"][i, 0])
                frame = int(piece["frame"][i])
                key = (number,) if number >= 0 else (piece["file"][i], piece["sequence"][i], frame)
                if key not in images:
                    images[key] = _image(piece, i, number if number >= 0 else len(images) + 1)
                label = _annotation(piece, i, images[key]["id"])
                file.write((",\n" if count else "\n") + json.dumps(label, allow_nan=False))
                count += 1
        file.write('\n],\n"images": [\n' + ",\n".join(map(json.dumps, images.values())) + "\n]}\n")
    return count


def _image(piece: dict, i: int, number: int) -> dict:
    width, height = (int(size) for size in piece["image_size"][i])
    entry: dict = {"id": number, "file_name": piece["file"][i]}
    if width > 0:
        entry |= {"width": width, "height": height}
    if piece["sequence"][i]:
        entry |= {"sequence": piece["sequence"][i], "frame_id": int(piece["frame"][i])}
    return entry


def _annotation(piece: dict, i: int, image: int) -> dict:
    codes = piece["provenance"][i]
    points = np.where((codes == joints.MISSING)[:, None], 0.0, piece["poses_2d"][i])
    known = points[codes != joints.MISSING]
    low, size = known.min(0), np.ptp(known, axis=0)
    visibility = np.where(codes == joints.LABELLED, _VISIBLE, _NOT_LABELLED)
    record_id = int(piece["own_numbers"][i, 1])
    label = {
        "id": record_id if record_id >= 0 else int(piece["row"][i]) + 1,
        "image_id": image,
        "category_id": 1,
        "row": int(piece["row"][i]),
        "iscrowd": 0,
        "num_keypoints": int((codes == joints.LABELLED).sum()),
        "keypoints": rounded(np.c_[points, visibility].ravel(), _PX_DECIMALS),
        "provenance_2d": codes.tolist(),
        "keypoints_3d": rounded(np.c_[piece["poses_3d"][i], codes].ravel(), MM_DECIMALS),
        "root_3d": rounded(piece["roots"][i], MM_DECIMALS),
        "bbox": rounded([*low, *size], _PX_DECIMALS),
        "area": round(float(size[0] * size[1]), _PX_DECIMALS),
        "score": _score(piece, i),
        "joint_quality": rounded(piece["joint_quality"][i], QUALITY_DECIMALS),
    }
    if CONFIDENCE in piece:
        label[CONFIDENCE] = rounded(piece[CONFIDENCE][i], QUALITY_DECIMALS)
    camera = piece["intrinsics"][i]
    if np.isfinite(camera).all():
        numbers = rounded(camera, _PX_DECIMALS)
        label["camera_param"] = {"focal": numbers[:2], "princpt": numbers[2:]}
    if piece["track"][i] >= 0:
        label["track_id"] = int(piece["track"][i])
    return label


def _score(piece: dict, i: int) -> float | None:
    quality = float(piece["quality"][i])
    if not np.isfinite(quality) and CONFIDENCE in piece:
        quality = float(piece[CONFIDENCE][i].mean())
    return round(quality, QUALITY_DECIMALS) if np.isfinite(quality) else None
