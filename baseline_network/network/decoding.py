"""From the network's heatmaps and depths to joints in pixels of the picture and in millimetres.

docs/reference.md, "Baseline network", Evaluation. TensorFlow graph code on batches, as it goes into the SavedModel.
"""

from __future__ import annotations

from typing import Callable

import tensorflow as tf

from baseline_network.images import crop
from baseline_network.network import targets

# Sum of the lengths of the published 14 bones, to which every predicted pose is scaled.
BONES_SUM_MM = 4296.99233013
_QUARTER = 0.25
# How the place of a peak between pixels is found: as published, or by a parabola through the logarithms.
QUARTER, FIT = "quarter", "fit"
_MIN_HEAT = 1e-3


def peaks(heatmaps: tf.Tensor, refine: str = QUARTER) -> tuple[tf.Tensor, tf.Tensor]:
    """Where the heatmaps are highest.

    'quarter', as published: the highest pixel, moved by a quarter towards the higher of its neighbours on either axis
    (not at the border), plus a half for the pixel's middle. Equal neighbours count as the right or lower one being
    higher. 'fit': moved to the top of the Gaussian through it and its neighbours on either axis, by half a pixel at
    most; exact for the Gaussians of `targets.heatmaps(exact=True)`.

    Args:
      heatmaps: [B, h, w, J].
      refine: 'quarter' or 'fit'.

    Returns:
      points [B, J, 2] x, y in pixels of the heatmap; confidence [B, J], the heatmap's value there.
    """
    height, width, joints = heatmaps.shape[1:]
    flat = tf.transpose(tf.reshape(tf.cast(heatmaps, tf.float32), [-1, height * width, joints]), [0, 2, 1])
    highest = tf.argmax(flat, -1, output_type=tf.int32)
    x, y = highest % width, highest // width
    inside = (x > 0) & (x < width - 1) & (y > 0) & (y < height - 1)

    def value(step: int) -> tf.Tensor:
        index = tf.clip_by_value(highest + step, 0, height * width - 1)
        return tf.gather(flat, index[..., None], batch_dims=2)[..., 0]

    def quarter(step: int) -> tf.Tensor:
        towards = tf.where(value(step) >= value(-step), _QUARTER, -_QUARTER)
        return tf.where(inside, towards, 0.0)

    def fit(step: int) -> tf.Tensor:
        before, top, after = (tf.math.log(tf.maximum(value(place), _MIN_HEAT)) for place in (-step, 0, step))
        moved = 0.5 * tf.math.divide_no_nan(after - before, 2.0 * top - after - before)
        return tf.where(inside, tf.clip_by_value(moved, -0.5, 0.5), 0.0)

    shift = fit if refine == FIT else quarter
    points = tf.stack([tf.cast(x, tf.float32) + shift(1), tf.cast(y, tf.float32) + shift(width)], -1)
    return points + 0.5, value(0)


def bones_sum(poses: tf.Tensor) -> tf.Tensor:
    """[B]: sum of the lengths of the published 14 bones of poses [B, 16, D], in their unit."""
    bones = tf.gather(poses, targets.BONES[:, 0], axis=1) - tf.gather(poses, targets.BONES[:, 1], axis=1)
    return tf.reduce_sum(tf.norm(bones, axis=-1), -1)


def predictions_to_pose(
    heatmaps: tf.Tensor,
    depths: tf.Tensor,
    transforms: tf.Tensor,
    resolution: int,
    mm_per_pixel: tf.Tensor | None = None,
    refine: str = QUARTER,
) -> dict[str, tf.Tensor]:
    """Joints in the picture and in space.

    The pose in space is orthographic, as the published network's: x and y are the picture's, z is the depth in the same
    pixels, and one factor makes them millimetres.

    Args:
      heatmaps: [B, h, w, 16] of the last stack. depths: [B, 16] in units of half the crop's side.
      transforms: [B, 2, 3] from the picture to the crop (`crop.crop_transforms`), not mirroring.
      resolution: side of the crop in pixels.
      mm_per_pixel: [B], millimetres at the person for a pixel of the picture; None: such that the 14 bones sum to
        `BONES_SUM_MM`, the published way.
      refine: see `peaks`.

    Returns:
      points [B, 16, 2] px of the picture; confidence [B, 16]; pose_3d [B, 16, 3] mm relative to the pelvis, x right,
      y down, z away.
    """
    places, confidence = peaks(heatmaps, refine)
    points = crop.move(places * (resolution / heatmaps.shape[1]), crop.invert(transforms))
    half_side = resolution / (2.0 * crop.magnification(transforms))
    space = tf.concat([points, (tf.cast(depths, tf.float32) * half_side[:, None])[..., None]], -1)
    space -= space[:, targets.PELVIS : targets.PELVIS + 1]
    if mm_per_pixel is None:
        # All joints of a pose may coincide with an untrained network; such a pose has no size.
        mm_per_pixel = BONES_SUM_MM / tf.maximum(bones_sum(space), 1e-3)
    return {"points": points, "confidence": confidence, "pose_3d": space * mm_per_pixel[:, None, None]}


def with_published_thorax(poses: tf.Tensor) -> tf.Tensor:
    """Poses [B, 16, D] with joint 7 halfway from pelvis to upper neck, as the published evaluation has it.

    In Human3.6M's files joint 7 is the Spine, and the network's own joint 7 is the shoulders' midpoint.
    """
    middle = (poses[:, targets.PELVIS] + poses[:, targets.UPPER_NECK]) / 2.0
    chosen = tf.one_hot(targets.THORAX, poses.shape[1], dtype=poses.dtype)[None, :, None]
    return poses * (1.0 - chosen) + middle[:, None] * chosen


def mirrored_average(outputs: dict[str, tf.Tensor], of_mirrored: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """The outputs for images averaged with those for the mirrored images, mirrored back.

    Args:
      outputs, of_mirrored: heatmaps [B, S, h, w, 16] (or [B, h, w, 16]) and depths [B, 16].
    """
    order = targets.MPII16.mirror
    heatmaps = tf.gather(tf.reverse(of_mirrored["heatmaps"], [-2]), order, axis=-1)
    depths = tf.gather(of_mirrored["depths"], order, axis=-1)
    return {"heatmaps": (outputs["heatmaps"] + heatmaps) / 2.0, "depths": (outputs["depths"] + depths) / 2.0}


def predict_both_ways(network: Callable[[tf.Tensor], dict[str, tf.Tensor]], images: tf.Tensor) -> dict[str, tf.Tensor]:
    """Flip test-time averaging: the network's mean output for images [B, r, r, 3] and for the mirrored images."""
    return mirrored_average(network(images), network(tf.reverse(images, [2])))
