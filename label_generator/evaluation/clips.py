"""Labels of a pose set after its sequences were made to agree (`tools.pose.sequences`), for the same measures."""

from __future__ import annotations

import numpy as np

from label_generator.evaluation.protocols import PoseSet
from tfrecords.schema import QUALITY_SCALE_MM, expected_error_mm
from tools.pose import sequences, tracks
from tools.pose.cameras import BODY_MM, NOMINAL_MM


def refined(poses: PoseSet, lifted: dict[str, np.ndarray], fps: float) -> dict[str, np.ndarray]:
    """The same labels with poses and roots of whole sequences; sequences of few frames are left as they are.

    Args:
      lifted: arrays by the names of `Lifted`'s fields. fps: frames per second of all sequences.
    """
    pose_3d, root_3d = lifted["pose_3d"].copy(), lifted["root_3d"].copy()
    expected_mm = lifted["expected_error_mm"].copy()
    expected = expected_error_mm(lifted["joint_quality"])
    names = poses.sequences
    starts = np.flatnonzero(np.r_[True, names[1:] != names[:-1]])
    for start, stop in zip(starts, [*starts[1:], len(names)]):
        rows = slice(start, stop)
        labelled = np.isfinite(pose_3d[rows]).all((1, 2))
        if labelled.sum() < tracks.LEAST_FRAMES:
            continue
        points, camera = poses.poses_2d[rows].astype(np.float64), poses.intrinsics[start].astype(np.float64)
        points[~poses.joint_mask[rows]] = np.nan
        one, root = pose_3d[rows], root_3d[rows]
        if not np.isfinite(camera).all():
            camera = tracks.nominal_camera(points, None, BODY_MM, NOMINAL_MM)
            one, root = tracks.placed_by_nominal_camera(one, root, points, camera)
        rays = (points - camera[2:]) / camera[:2]
        clip = sequences.Clip(one, root, rays, poses.joint_mask[rows], expected[rows], fps)
        result = sequences.refine(clip)
        pose_3d[rows], root_3d[rows] = result.poses_3d, result.roots
        expected_mm[rows] *= sequences.ERROR_SHARE
    changed = {"pose_3d": pose_3d, "root_3d": root_3d, "expected_error_mm": expected_mm}
    return {**lifted, **changed, "quality": np.exp(-expected_mm / QUALITY_SCALE_MM)}
