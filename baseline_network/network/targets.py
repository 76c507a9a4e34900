"""Training targets of the baseline network: heatmaps and depths of 16 MPII joints from records' 17 joints.

docs/reference.md, "Baseline network" and "Pose layout". All functions are TensorFlow graph code on batches. A
picture's pixel i
covers i to i + 1 in all coordinates here, so a picture's middle is at half its width, and coordinates change from one
resolution to another by a factor alone.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from baseline_network.images import crop
from tools.pose import joints

MPII16 = joints.joint_set("mpii16")
POSE17 = joints.POSE17
PELVIS, THORAX, UPPER_NECK = (MPII16.index(name) for name in ("Pelvis", "Thorax", "UpperNeck"))
# The published 14 bones. The thorax has none: in Human3.6M's files its number holds another joint.
BONES = np.array(
    [
        *((0, 1), (1, 2), (2, 6), (6, 3), (3, 4), (4, 5)),
        *((10, 11), (11, 12), (12, 8), (8, 13), (13, 14), (14, 15)),
        *((6, 8), (8, 9)),
    ]
)
# Heatmaps, in their own pixels: a square patch of 7 with a Gaussian of this sigma around the joint's pixel.
PATCH_RADIUS, PATCH_SIGMA = 3, 1.75
# Depths are relative to what the published files call joint 7, which is Human3.6M's Spine.
DEPTH_ORIGIN = POSE17.index("Spine")

# Joints of one set are weighted sums of the other's, the same in 2D and 3D: the rules of `joints.convert` as matrices.
MPII16_FROM_POSE17 = np.nan_to_num(joints.convert(np.eye(17), "pose17", "mpii16")[0])  # [16, 17]
POSE17_FROM_MPII16 = np.nan_to_num(joints.convert(np.eye(16), "mpii16", "pose17")[0])  # [17, 16]


def to_mpii16(
    poses: tf.Tensor, provenance: tf.Tensor, min_provenance: int = joints.MADE
) -> tuple[tf.Tensor, tf.Tensor]:
    """Poses of 17 joints as MPII's 16, as `joints.convert` does it.

    Args:
      poses: [B, 17, D] px or mm; NaN where missing.
      provenance: [B, 17] codes of `tools.pose.joints`.
      min_provenance: a joint is usable when all joints that it is computed from have at least this code: `joints.MADE`
        for everything that has a place, `joints.LABELLED` for annotated joints and midpoints of those.

    Returns:
      (poses [B, 16, D] float32 with 0 where not usable, usable [B, 16] bool).
    """
    known = (tf.cast(provenance, tf.int32) >= min_provenance) & tf.reduce_all(tf.math.is_finite(poses), -1)
    matrix = tf.constant(MPII16_FROM_POSE17)
    lacking = tf.einsum(
        "ij,bj->bi", tf.constant((MPII16_FROM_POSE17 != 0).astype(np.float32)), tf.cast(~known, tf.float32)
    )
    usable = lacking < 0.5
    filled = tf.where(known[..., None], tf.cast(poses, tf.float32), 0.0)
    converted = tf.einsum("ij,bjd->bid", matrix, filled)
    return tf.where(usable[..., None], converted, 0.0), usable


def to_pose17(poses: tf.Tensor) -> tf.Tensor:
    """Poses of MPII's 16 joints [B, 16, D] as this project's 17 [B, 17, D]; Neck/Nose and Spine are made."""
    return tf.einsum("ij,bjd->bid", tf.constant(POSE17_FROM_MPII16), poses)


def heatmaps(points: tf.Tensor, usable: tf.Tensor, size: int, exact: bool = False) -> tf.Tensor:
    """Gaussian patches, 1 at the pixel that a joint lies in.

    Args:
      points: [B, J, 2] x, y in pixels of the heatmap.
      usable: [B, J] bool; other joints get an empty map.
      size: side of the maps in pixels.
      exact: the Gaussian's middle is the joint itself, which `decoding.peaks` can find again by 'fit'; not as
        published, where it is the middle of the joint's pixel.

    Returns:
      [B, size, size, J] float32. Patches are cut at the border; a joint outside leaves what of its patch lies inside.
    """
    # Far outside is outside; a float beyond the integers would not be anywhere.
    points = tf.clip_by_value(points, -1e6, 1e6)
    cell = tf.floor(points)
    pixels = tf.range(size, dtype=tf.float32)
    # A pixel's middle lies half a pixel on from its number.
    beside = pixels + 0.5 - (points if exact else cell + 0.5)[..., None]  # [B, J, 2, size]
    profile = tf.exp(-tf.square(beside) / (2.0 * PATCH_SIGMA**2))
    profile = tf.where(tf.abs(pixels - cell[..., None]) <= PATCH_RADIUS, profile, 0.0)
    profile *= tf.cast(usable, tf.float32)[..., None, None]
    columns = tf.transpose(profile[:, :, 0], [0, 2, 1])[:, None]  # [B, 1, x, J]
    rows = tf.transpose(profile[:, :, 1], [0, 2, 1])[:, :, None]  # [B, y, 1, J]
    return rows * columns


def pixels_per_mm(points: tf.Tensor, poses_3d: tf.Tensor, usable: tf.Tensor) -> tf.Tensor:
    """The published scale of a picture: sum of the 2D bones' lengths over that of the 3D bones' lengths in x and y.

    Args:
      points: [B, 16, 2] px. poses_3d: [B, 16, 3] mm, camera axes.
      usable: [B, 16] bool, in both; a bone counts when both its ends do.

    Returns:
      [B]; 0 where no bone counts or all lie along the view.
    """
    counted = tf.cast(tf.gather(usable, BONES[:, 0], axis=1) & tf.gather(usable, BONES[:, 1], axis=1), tf.float32)

    def total(values: tf.Tensor) -> tf.Tensor:
        bones = tf.gather(values, BONES[:, 0], axis=1) - tf.gather(values, BONES[:, 1], axis=1)
        return tf.reduce_sum(tf.norm(bones, axis=-1) * counted, axis=1)

    lengths = total(poses_3d[..., :2])
    return tf.where(lengths > 1.0, total(points) / tf.maximum(lengths, 1.0), 0.0)


def swap_sides(values: tf.Tensor, mirrored: tf.Tensor) -> tf.Tensor:
    """Values of 16 joints [B, 16, ...], left and right exchanged where mirrored [B] (bool)."""
    condition = tf.reshape(mirrored, tf.concat([[-1], tf.ones(values.shape.rank - 1, tf.int32)], 0))
    return tf.where(condition, tf.gather(values, MPII16.mirror, axis=1), values)


def make_targets(
    record: dict[str, tf.Tensor],
    transforms: tf.Tensor,
    mirrored: tf.Tensor,
    resolution: int,
    *,
    min_provenance: int = joints.MADE,
    scaled_3d: bool = False,
    exact: bool = False,
) -> dict[str, tf.Tensor]:
    """Everything the losses compare with, for pictures moved by `transforms`.

    The depth of a joint is z relative to the Spine, in mm, times the picture's scale (`pixels_per_mm`), over half the
    crop's side in pixels of the picture. A scaled crop changes the depths with x and y, mirroring exchanges the sides,
    turning in the picture's plane leaves them.

    Args:
      record: fields of `tfrecords.schema`: pose_2d [B, 17, 2] px, provenance_2d [B, 17], pose_3d [B, 17, 3] mm in
        camera axes, provenance_3d [B, 17].
      transforms: [B, 2, 3] from pixels of the picture to pixels of the crop (`crop.crop_transforms`), mirroring
        included. mirrored: [B] bool, which of them mirror.
      resolution: side of the crop in pixels.
      min_provenance: see `to_mpii16`; for 2D and 3D.
      scaled_3d: take x and y of samples with 3D from the scaled 3D pose (the published way on Human3.6M; a weak
        perspective), hung at the Spine's place in 2D.
      exact: see `heatmaps`.

    Returns:
      heatmaps [B, r/4, r/4, 16]; joint_mask [B, 16] bool; points [B, 16, 2] px of the crop; depths [B, 16];
      depth_mask [B, 16] bool, all False for a sample without 3D or scale.
    """
    points, joint_mask_2d = to_mpii16(record["pose_2d"], record["provenance_2d"], min_provenance)
    poses_3d, joint_mask_3d = to_mpii16(record["pose_3d"], record["provenance_3d"], min_provenance)
    origin = record["pose_3d"][:, DEPTH_ORIGIN]
    scale = pixels_per_mm(points, poses_3d, joint_mask_2d & joint_mask_3d)
    has_depth = tf.reduce_all(tf.math.is_finite(origin), -1) & (scale > 0.0)
    relative = poses_3d - tf.where(has_depth[:, None], origin, 0.0)[:, None]

    if scaled_3d:
        anchor = record["pose_2d"][:, DEPTH_ORIGIN]
        projected = anchor[:, None] + relative[..., :2] * scale[:, None, None]
        replaced = (has_depth & tf.reduce_all(tf.math.is_finite(anchor), -1))[:, None] & joint_mask_3d & joint_mask_2d
        points = tf.where(replaced[..., None], projected, points)

    half_side = resolution / (2.0 * crop.magnification(transforms))  # in pixels of the picture
    depths = relative[..., 2] * (scale / half_side)[:, None]
    depth_mask = joint_mask_3d & has_depth[:, None]

    moved = swap_sides(crop.move(points, transforms), mirrored)
    joint_mask_2d, depth_mask = swap_sides(joint_mask_2d, mirrored), swap_sides(depth_mask, mirrored)
    size = resolution // 4
    return {
        "heatmaps": heatmaps(moved * (size / resolution), joint_mask_2d, size, exact),
        "joint_mask": joint_mask_2d,
        "points": moved,
        "depths": tf.where(depth_mask, swap_sides(depths, mirrored), 0.0),
        "depth_mask": depth_mask,
    }
