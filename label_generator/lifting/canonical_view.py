"""Any camera's view of a person, brought into the one view that the canonical recipe's networks know.

Not in the paper, whose networks see root-centred pixels of one assumed camera: there a person at the edge of a picture
or under a tilted camera looks like another pose. Here the rays of the joints are turned so that the root's ray is the
optical axis, and divided by their size; the size itself, a measure of distance, is one more input. The networks'
outputs are turned back, so their errors don't depend on where in the picture the person stands.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from tools.pose.cameras import BODY_MM, NOMINAL_MM
from tools.pose.joints import POSE17

ROOT = POSE17.root
_RIGHT_HIP, _LEFT_HIP = POSE17.index("RHip"), POSE17.index("LHip")
DEPTH_MM = 155.0  # standard deviation of the joints' depths, the scale of the outputs
CORRECTION_MM = 100.0
# The right view is predicted as its difference from the left view, in units of this share of the view's size.
DISPARITY_UNIT = 0.12
# Baseline between the views as a share of the distance that the view's size suggests: at the nominal 5 m the published
# 500 mm. In proportion to the distance, the disparity is as large for people far away as for near ones.
BASELINE_SHARE = 0.1
# The least logarithm of the size that networks are shown, that of an upright person 10 m away: hardly any view of
# training is farther, where networks answer at random, while perspective no longer changes.
LEAST_LOG_SIZE = -1.5
INPUTS = 3 * POSE17.size + 2
OUTPUTS = 5 * POSE17.size + 1


class CanonicalView(NamedTuple):
    """A batch of views with the root on the optical axis.

    Attributes:
      points: [B, 17, 2] x/z and y/z of the joints in the turned camera, 0 where masked.
      joint_mask: [B, 17] of 0 and 1.
      size: [B] root-mean-square distance of the joints from their middle, in the units of `points`.
      unknown: [B] of 0 and 1, whether the intrinsics are unknown; then `size` is the nominal one.
      rotation: [B, 3, 3] from camera to turned camera.
    """

    points: tf.Tensor
    joint_mask: tf.Tensor
    size: tf.Tensor
    unknown: tf.Tensor
    rotation: tf.Tensor


def rotation_to_axis(direction: tf.Tensor) -> tf.Tensor:
    """The smallest rotations [B, 3, 3] that turn directions [B, 3] with positive z onto (0, 0, 1)."""
    x, y, z = tf.unstack(tf.math.l2_normalize(direction, -1), axis=-1)
    k = 1.0 / (1.0 + z)
    rows = [[1.0 - k * x * x, -k * x * y, -x], [-k * x * y, 1.0 - k * y * y, -y], [x, y, z]]
    return tf.stack([tf.stack(row, -1) for row in rows], -2)


def rotated(rotation: tf.Tensor, points: tf.Tensor) -> tf.Tensor:
    """Points [B, N, 3] turned by rotations [B, 3, 3].

    No product of matrices: on GPUs that would round millimetres at 5 m to TensorFloat-32, which is to 2 mm.
    """
    columns = tf.unstack(rotation, axis=-1)
    parts = [points[..., axis, None] * column[:, None] for axis, column in enumerate(columns)]
    return parts[0] + parts[1] + parts[2]


def canonical_view(rays: tf.Tensor, joint_mask: tf.Tensor, unknown: tf.Tensor) -> CanonicalView:
    """Turns views so that the root, or the middle of the hips where the root is masked, is on the axis.

    Args:
      rays: [B, 17, 2] x/z and y/z of the joints. Of unknown intrinsics any pixels with square pixels will do, y down.
      joint_mask: [B, 17]; masked joints may be NaN.
      unknown: [B] bool. The view is then not turned (the axis is unknown) but moved, and scaled to the size
        that it would have on average at `NOMINAL_MM`.
    """
    mask = tf.cast(joint_mask, rays.dtype)
    rays = tf.where(mask[..., None] > 0, rays, 0.0)
    hips = (rays[:, _RIGHT_HIP] + rays[:, _LEFT_HIP]) / 2.0
    root = tf.where(mask[:, ROOT, None] > 0, rays[:, ROOT], hips)
    homogeneous = tf.concat([rays, tf.ones_like(rays[..., :1])], -1)
    axis = tf.where(unknown[:, None], [[0.0, 0.0, 1.0]], tf.concat([root, tf.ones_like(root[:, :1])], -1))
    rotation = rotation_to_axis(axis)
    turned = rotated(rotation, homogeneous)
    points = turned[..., :2] / tf.maximum(turned[..., 2:], 0.1)
    points = tf.where(unknown[:, None, None], rays - root[:, None], points) * mask[..., None]
    count = tf.maximum(tf.reduce_sum(mask, 1), 1.0)
    middle = tf.reduce_sum(points, 1) / count[:, None]
    spread = tf.reduce_sum(tf.square((points - middle[:, None]) * mask[..., None]), [1, 2]) / count
    size = tf.sqrt(tf.maximum(spread, 1e-12))
    nominal = tf.fill(tf.shape(size), tf.constant(BODY_MM / NOMINAL_MM, size.dtype))
    points = tf.where(unknown[:, None, None], points * (nominal / size)[:, None, None], points)
    size = tf.where(unknown, nominal, size)
    return CanonicalView(points, mask, size, tf.cast(unknown, rays.dtype), rotation)


def network_inputs(view: CanonicalView) -> tf.Tensor:
    """[B, 53]: joints in units of the size, the mask, the logarithm of the size (0 when unknown), whether unknown."""
    log_size = tf.math.log(view.size * (NOMINAL_MM / BODY_MM)) / 0.45
    log_size = tf.maximum(log_size, LEAST_LOG_SIZE) * (1.0 - view.unknown)
    flat = tf.reshape(view.points / view.size[:, None, None], [-1, 2 * POSE17.size])
    return tf.concat([flat, view.joint_mask, log_size[:, None], view.unknown[:, None]], -1)


def decode(outputs: tf.Tensor, view: CanonicalView) -> tuple[tf.Tensor, tf.Tensor]:
    """Network outputs as millimetres.

    Args:
      outputs: [B, 86] corrections of x and y for each joint (x0 y0 x1 y1 ...), depths, logarithm of the distance, and
        what `log_expected_error` and `ray_trust` read.

    Returns:
      coarse pose [B, 17, 3] mm, root-relative, in the turned camera; distance of the root [B] mm.
    """
    joints = POSE17.size
    across = view.points * (BODY_MM / view.size)[:, None, None]
    across += tf.reshape(outputs[:, : 2 * joints], [-1, joints, 2]) * CORRECTION_MM
    depths = outputs[:, 2 * joints : 3 * joints, None] * DEPTH_MM
    pose = tf.concat([across, depths], -1)
    distance = BODY_MM / view.size * tf.exp(0.1 * outputs[:, 3 * joints])
    return pose - pose[:, ROOT : ROOT + 1], distance


def decode_right(outputs: tf.Tensor, view: CanonicalView, baseline_mm: float) -> tf.Tensor:
    """The predicted right view of a given baseline, [B, 17, 2] relative to its root, in the units of `view.points`.

    Args:
      outputs: [B, 34] of the first network: disparities and corrections of y (x0 y0 x1 y1 ...).
    """
    answer = tf.reshape(outputs, [-1, POSE17.size, 2])
    share = baseline_mm / (BASELINE_SHARE * BODY_MM / view.size)
    disparity = answer[..., 0] * DISPARITY_UNIT * view.size[:, None] * share[:, None]
    left = view.points - view.points[:, ROOT, None]
    right = tf.stack([left[..., 0] + disparity, left[..., 1] + answer[..., 1] * view.size[:, None]], -1)
    return right - right[:, ROOT, None]


def log_expected_error(outputs: tf.Tensor) -> tf.Tensor:
    """[B, 17] natural logarithm of the error that the network expects of each coarse joint, in units of 100 mm."""
    return tf.clip_by_value(outputs[:, 3 * POSE17.size + 1 : 4 * POSE17.size + 1], -5.0, 3.0)


def ray_trust(outputs: tf.Tensor) -> tf.Tensor:
    """[B, 17] in (0, 1): how far each joint should move from the coarse pose to its ray.

    1 where the 2D pose looks exact, towards 0 where it looks noisy and the pose knows better than the pixel.
    """
    return tf.sigmoid(outputs[:, 4 * POSE17.size + 1 :])


def mirrored(view: CanonicalView) -> CanonicalView:
    """The views in a mirror: left is right. `rotation` is left alone."""
    order = POSE17.mirror
    return view._replace(
        points=tf.gather(view.points * tf.constant([-1.0, 1.0], view.points.dtype), order, axis=1),
        joint_mask=tf.gather(view.joint_mask, order, axis=1),
    )


def mirrored_pose(pose: tf.Tensor) -> tf.Tensor:
    """Poses [B, 17, 3] in a mirror."""
    return tf.gather(pose * tf.constant([-1.0, 1.0, 1.0], pose.dtype), POSE17.mirror, axis=1)
