"""What is measured of lifted poses: the signals from which a label's quality is computed, and each joint's share.

TensorFlow graph code; B poses of 17 joints, mm.
"""

from __future__ import annotations

import tensorflow as tf

from label_generator.lifting import quality
from label_generator.lifting.geometric_search import SearchResult
from label_generator.lifting.views import RIGHT_BASELINE_MM, ROOT, Coarse, SearchView


def measure(
    view: SearchView,
    coarse: Coarse,
    search: SearchResult,
    refined: tf.Tensor,
    disagreement: tf.Tensor,
    labelled: tf.Tensor,
    known: tf.Tensor,
) -> quality.Measured:
    """The signals of B labels, each [B], lengths in mm (`quality.Measured`).

    Args:
      view, coarse, search: the left view in the search's camera, the pose before the search, and what that found.
      refined: [B, 17, 3] mm, relative to the root, after the search and before bones are made alike.
      disagreement: [B] mm between the poses of the picture and of its mirror image.
      labelled: [B, 17] bool, joints of the input. known: [B] bool, whether the intrinsics are.
    """
    weights = view.weights
    count = tf.maximum(tf.reduce_sum(weights, 1), 1.0)
    off = _ray_distances(coarse, search) * weights
    asymmetry, outside = quality.bone_signals(refined)
    # The right view that the final pose has, beside the one that the first network predicted.
    focal = view.intrinsics[:2]
    absolute = tf.where(search.valid[:, None, None], refined + search.root_mm[:, None], 1.0)
    depth = tf.maximum(absolute[..., 2], 1.0)
    right_x = (absolute[..., 0] + RIGHT_BASELINE_MM) / depth * focal[0]
    stereo = tf.abs(right_x - right_x[:, ROOT, None] - coarse.right_2d[..., 0]) / focal[0] * depth[:, ROOT, None]
    # Disparity is depth seen under the angle of the baseline: as a depth, so that it compares with the others.
    stereo *= depth[:, ROOT, None] / RIGHT_BASELINE_MM
    stereo = tf.where(tf.math.is_finite(stereo), stereo, 0.0)
    expected = tf.reduce_mean(coarse.joint_error_mm, 1)
    return quality.Measured(
        residual_mm=tf.reduce_sum(off, 1) / count,
        worst_residual_mm=tf.reduce_max(off, 1),
        disagreement_mm=disagreement,
        stereo_mm=tf.reduce_mean(stereo, 1),
        asymmetry=asymmetry,
        bone_range=outside,
        range_end=tf.cast(search.at_range_end, tf.float32),
        missing=1.0 - tf.reduce_mean(tf.cast(labelled, tf.float32), 1),
        unknown=1.0 - tf.cast(known, tf.float32),
        expected_mm=expected,
        joint_expected_mm=coarse.joint_error_mm,
    )


def _ray_distances(coarse: Coarse, search: SearchResult) -> tf.Tensor:
    """[B, 17] mm, how far each coarse joint is from its ray across the view."""
    off = tf.norm((search.poses_3d - coarse.pose_3d)[..., :2], axis=-1)
    return tf.where(tf.math.is_finite(off), off, 0.0)


def by_joint(expected: tf.Tensor, view: SearchView, coarse: Coarse, search: SearchResult) -> tf.Tensor:
    """[B, 17] expected error of each joint, mm, with the pose's expected error as their mean.

    A joint's share is what the network expects of it, or where it expects nothing how far it is from its ray.
    """
    joint_error = tf.where(tf.math.is_finite(coarse.joint_error_mm), coarse.joint_error_mm, 30.0)
    share = joint_error + _ray_distances(coarse, search) * view.weights
    return expected[:, None] * share / tf.reduce_mean(share, 1, keepdims=True)
