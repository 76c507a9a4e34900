"""Sets of real pictures' poses with measured truth that a user brings as one .npz: Human3.6M's and the like.

Arrays of n views: poses_3d [n, 17, 3] mm, root-relative, camera axes; roots [n, 3] mm; poses_2d [n, 17, 2] px without
lens distortion; intrinsics [n, 4] px. Optional: joints [17], the names in the arrays' order (default: this project's
order); action [n] texts; labelled [n, 17]; poses_2d_detected [n, 17, 2] px, NaN where nothing was detected, with
detected [17], which of its joints mean what the truth means (the others are left out); subject [n], whose views they
are.
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterable

import numpy as np

from label_generator.evaluation.protocols import PoseSet
from tfrecords.formats import arrays as npy_files
from tools.cli.errors import InputError
from tools.pose.joints import POSE17

_SHAPES = {"poses_3d": (17, 3), "roots": (3,), "poses_2d": (17, 2), "intrinsics": (4,)}


def load(path: str | pathlib.Path, detected: str = "", step: int = 1) -> PoseSet:
    """The poses of such a file.

    Args:
      detected: '' for the exact joints; 'all' for all joints that were detected, 'same' for those that mean the same.
      step: every step-th view.

    Raises:
      InputError: no such file, or an array that is missing, of another shape or of other joints.
    """
    arrays = npy_files.read_npz(path)
    if "poses_3d" not in arrays:
        raise InputError(f"{path}: holds {', '.join(sorted(arrays)[:6]) or 'nothing'}, expected poses_3d")
    count = len(arrays["poses_3d"])
    wanted = {**_SHAPES, **({"poses_2d_detected": (17, 2)} if detected else {})}
    for name, shape in wanted.items():
        if name not in arrays:
            raise InputError(f"{path}: has no array {name}")
        if arrays[name].shape != (count, *shape):
            raise InputError(f"{path}: {name} is {list(arrays[name].shape)}, expected {[count, *shape]}")
    order = _order(path, arrays.get("joints"))
    poses_2d = arrays["poses_2d_detected" if detected else "poses_2d"][:, order].astype(np.float32)
    mask = np.isfinite(poses_2d).all(-1)
    if detected == "same" and "detected" in arrays:
        mask &= np.asarray(arrays["detected"], bool)[order]
    elif not detected and "labelled" in arrays:
        mask &= np.asarray(arrays["labelled"], bool)[:, order]
    truth = arrays["poses_3d"][:, order].astype(np.float32)
    whole = {
        "poses_2d": np.where(mask[..., None], poses_2d, np.float32(np.nan)),
        "joint_mask": mask,
        "intrinsics": arrays["intrinsics"].astype(np.float32),
        "poses_3d": truth - truth[:, POSE17.root, None],
        "roots": arrays["roots"].astype(np.float32),
        "right_2d": np.full((count, 17, 2), np.nan, np.float32),
        "actions": arrays.get("action", np.full(count, "")).astype(object),
        # Such sets take a frame now and then: no two are neighbours.
        "sequences": np.arange(count).astype(str).astype(object),
    }
    if "subject" in arrays:
        whole["people"] = arrays["subject"]
    name = pathlib.Path(path).stem + (f"_detected_{detected}" if detected else "")
    return PoseSet(name, **{field: values[::step] for field, values in whole.items()})


def _order(path: str | os.PathLike, names: Iterable[str] | None) -> list[int]:
    """Where each of this project's joints is in the file's order."""
    names = list(POSE17.joints) if names is None else [str(name) for name in names]
    if sorted(names) != sorted(POSE17.joints):
        raise InputError(f"{path}: joints are {', '.join(names)}; expected {', '.join(POSE17.joints)} in any order")
    return [names.index(joint) for joint in POSE17.joints]
