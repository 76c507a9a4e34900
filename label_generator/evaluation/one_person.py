"""Labels of a pose set after each person's bones got the same lengths in all poses (`generate.py --one_person`)."""

from __future__ import annotations

import numpy as np

from label_generator.evaluation.protocols import PoseSet
from tfrecords.schema import QUALITY_SCALE_MM
from tools.pose import sequences, tracks


def with_own_lengths(poses: PoseSet, lifted: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same labels with poses and roots of each person; where people are not known all poses are of one.

    Args:
      lifted: arrays by the names of `Lifted`'s fields.
    """
    pose_3d, root_3d = lifted["pose_3d"].copy(), lifted["root_3d"].copy()
    expected = -QUALITY_SCALE_MM * np.log(lifted["joint_quality"].astype(np.float64))
    rays = (poses.poses_2d - poses.intrinsics[:, None, 2:]) / poses.intrinsics[:, None, :2]
    unknown = np.isnan(poses.intrinsics).any(1)
    places = (pose_3d + root_3d[:, None])[unknown]
    rays[unknown] = places[..., :2] / np.maximum(places[..., 2:], 1.0)
    people = np.zeros(len(poses)) if poses.people is None else poses.people
    labelled = np.isfinite(pose_3d).all((1, 2))
    for person in np.unique(people):
        rows = np.flatnonzero((people == person) & labelled)
        if len(rows) >= tracks.LEAST_FRAMES:
            clip = sequences.Clip(pose_3d[rows], root_3d[rows], rays[rows], poses.joint_mask[rows], expected[rows])
            lengths = sequences.bone_lengths(clip.poses_3d, clip.rays, clip.expected_mm, clip.labelled)
            pose_3d[rows], root_3d[rows] = sequences.with_lengths_of_person(clip, lengths)
    return {**lifted, "pose_3d": pose_3d, "root_3d": root_3d}
