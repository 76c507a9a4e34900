"""Labels as the joints of another set: in its order, by its rules, and where its joints lie.

Labels have their joints where the input has them, so that they project onto it. Where a data set's own places are known
(`training.skeletons.DEFINITIONS`) the labels' joints are brought there: how the input's joints lie is measured on the
labels themselves, which takes some of them.
"""

from __future__ import annotations

import pathlib

import numpy as np

from label_generator.training import skeletons
from tfrecords.formats import arrays
from tools.files.columns import LabelFiles
from tools.pose import joints

# Sets whose joints' places are known, and by which definition; how many labels it takes to measure those of the input.
PLACES = {"h36m17": "h36m", "coco17": "coco", "smpl24": "smpl"}
_FEWEST, _MEASURED = 50, 20_000
_ROWS = 65_536


def write(files: LabelFiles, path: pathlib.Path, name: str) -> dict:
    """Writes the labels as joint set `name`: float32 mm [rows, J, 3] relative to Hip, NaN where there is none.

    Returns:
      what was done, for the summary: the set, its joints, which of them no rule makes, and whose places they have.
    """
    target = joints.joint_set(name)
    definition, places = _measured(files, name)
    missing = np.ones(target.size, bool)
    with arrays.NpyWriter(path, (files.rows, target.size, 3), np.float32) as out:
        for start in range(0, files.rows, _ROWS):
            poses = files.read("poses_3d", start, start + _ROWS)
            good = np.isfinite(poses).all((1, 2))
            if places is not None and good.any():
                poses = poses.copy()
                moved = skeletons.moved_to(poses[good], skeletons.DEFINITIONS[definition], places)
                poses[good] = moved - moved[:, joints.POSE17.root, None]
            converted, provenance = joints.convert(poses, "pose17", name)
            out.append(converted)
            missing &= (provenance == joints.MISSING).all(0)
    return {
        "set": name,
        "joints": list(target.joints),
        "without_a_rule": [joint for joint, lost in zip(target.joints, missing) if lost],
        "places": f"as {definition} has them" if places is not None else "as the input has them",
    }


def _measured(files: LabelFiles, name: str) -> tuple[str, skeletons.Places | None]:
    """The set's definition, and where the labels' joints lie; None where either is not known."""
    definition = PLACES.get(name, "")
    if not definition or not files.rows:
        return definition, None
    step = max(1, files.rows // _MEASURED)
    parts = (files.read("poses_3d", start, start + _ROWS)[::step] for start in range(0, files.rows, _ROWS))
    poses = np.concatenate([part[np.isfinite(part).all((1, 2))] for part in parts])
    return definition, skeletons.measure(poses) if len(poses) >= _FEWEST else None
