"""Labels of a pose set after each person's bones got the same lengths in all poses (`generate.py --one_person`)."""

from __future__ import annotations

import numpy as np

from label_generator.evaluation.protocols import PoseSet
from tfrecords.schema import expected_error_mm
from tools.pose import bones, sequences, tracks


def with_own_lengths(poses: PoseSet, lifted: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same labels with poses and roots of each person; where people are not known all poses are of one.

    Args:
      lifted: arrays by the names of `Lifted`'s fields.
    """
    pose_3d, root_3d = lifted["pose_3d"].copy(), lifted["root_3d"].copy()
    expected = expected_error_mm(lifted["joint_quality"])
    rays = sequences.rays_of_labels(poses.poses_2d, poses.intrinsics, pose_3d + root_3d[:, None])
    people = np.zeros(len(poses)) if poses.people is None else poses.people
    labelled = np.isfinite(pose_3d).all((1, 2))
    for person in np.unique(people):
        rows = np.flatnonzero((people == person) & labelled)
        if len(rows) >= tracks.LEAST_FRAMES:
            clip = sequences.Clip(pose_3d[rows], root_3d[rows], rays[rows], poses.joint_mask[rows], expected[rows])
            lengths = bones.bone_lengths(clip.poses_3d, clip.rays, clip.expected_mm, clip.labelled)
            pose_3d[rows], root_3d[rows] = sequences.with_lengths_of_person(clip, lengths)
    return {**lifted, "pose_3d": pose_3d, "root_3d": root_3d}
