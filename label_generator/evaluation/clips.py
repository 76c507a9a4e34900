"""Labels of a pose set after its sequences were made to agree (`tools.pose.sequences`), for the same measures."""

from __future__ import annotations

import dataclasses
from typing import Callable

import numpy as np

from label_generator.evaluation.protocols import PoseSet
from tfrecords.schema import QUALITY_SCALE_MM, expected_error_mm
from tools.pose import sequences, smoothed_key_points, tracks
from tools.pose.cameras import BODY_MM, NOMINAL_MM

Lift = Callable[[PoseSet], dict[str, np.ndarray]]


def refined(
    poses: PoseSet, lifted: dict[str, np.ndarray], fps: float, lift: Lift | None = None
) -> dict[str, np.ndarray]:
    """The same labels with poses and roots of whole sequences; sequences of few frames are left as they are.

    Args:
      lifted: arrays by the names of `Lifted`'s fields. fps: frames per second of all sequences.
      lift: labels the smoothed key points of noisy sequences (`smoothed_key_points`); None: that is left out.
    """
    seen = poses.poses_2d
    if lift is not None:
        seen, lifted = _lifted_smoothed(poses, lifted, lift)
    pose_3d, root_3d = lifted["pose_3d"].copy(), lifted["root_3d"].copy()
    expected_mm = lifted["expected_error_mm"].copy()
    expected = expected_error_mm(lifted["joint_quality"])
    for start, stop in _clips(poses.sequences):
        rows = slice(start, stop)
        labelled = np.isfinite(pose_3d[rows]).all((1, 2))
        if labelled.sum() < tracks.LEAST_FRAMES:
            continue
        points, camera = poses.poses_2d[rows].astype(np.float64), poses.intrinsics[start].astype(np.float64)
        points[~poses.joint_mask[rows]] = np.nan
        one, root = pose_3d[rows], root_3d[rows]
        if not np.isfinite(camera).all():
            camera = tracks.nominal_camera(points, None, BODY_MM, NOMINAL_MM)
            given = np.where(poses.joint_mask[rows][..., None], seen[rows], np.nan)
            one, root = tracks.placed_by_nominal_camera(one, root, given, camera)
        rays = (points - camera[2:]) / camera[:2]
        clip = sequences.Clip(one, root, rays, poses.joint_mask[rows], expected[rows], fps)
        result = sequences.refine(clip)
        pose_3d[rows], root_3d[rows] = result.poses_3d, result.roots
        expected_mm[rows] *= sequences.ERROR_SHARE
    changed = {"pose_3d": pose_3d, "root_3d": root_3d, "expected_error_mm": expected_mm}
    return {**lifted, **changed, "quality": np.exp(-expected_mm / QUALITY_SCALE_MM)}


def _clips(names: np.ndarray) -> list[tuple[int, int]]:
    """Where each run of equal names [n] starts and stops."""
    starts = np.flatnonzero(np.r_[True, names[1:] != names[:-1]])
    return list(zip(starts.tolist(), [*starts[1:].tolist(), len(names)]))


def _lifted_smoothed(
    poses: PoseSet, lifted: dict[str, np.ndarray], lift: Lift
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """2D poses and labels, those of noisy sequences smoothed and lifted once more."""
    seen, noisy = poses.poses_2d.copy(), np.zeros(len(poses), bool)
    for start, stop in _clips(poses.sequences):
        if stop - start >= tracks.LEAST_FRAMES:
            smoothed, noise = smoothed_key_points.smoothed(poses.poses_2d[start:stop].astype(np.float64))
            if noise:
                seen[start:stop], noisy[start:stop] = smoothed, True
    rows = np.flatnonzero(noisy)
    if not len(rows):
        return seen, lifted
    fields = {name: values[rows] for name, values in vars(poses).items() if name != "name" and values is not None}
    again = lift(dataclasses.replace(poses, **{**fields, "poses_2d": seen[rows]}))
    good = rows[np.isfinite(again["pose_3d"]).all((1, 2))]
    lifted = {name: values.copy() for name, values in lifted.items()}
    for name, values in lifted.items():
        values[good] = again[name][np.isin(rows, good)]
    return seen, lifted
