"""What the chains of both recipes have in common: the view that goes into the networks, and the coarse pose that comes
out for the geometric search."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from label_generator.lifting import canonical_view
from label_generator.lifting.canonical_view import CanonicalView
from tools.pose.joints import POSE17

ROOT = POSE17.root
# The published distance between the left and the right view.
RIGHT_BASELINE_MM = 500.0


class SearchView(NamedTuple):
    """Joints in the camera of the networks and the search, for B poses.

    Attributes:
      points: [B, 17, 2] joints in the search's camera; finite.
      intrinsics: [4] of the search's camera.
      weights: [B, 17] 1 for joints that take part in the search, 0 for others; the root always does.
      rotation: [B, 3, 3] from the user's camera to the search's.
      usable: [B] bool, the networks have what they need.
      canonical: the view of the canonical recipe, None otherwise.
    """

    points: tf.Tensor
    intrinsics: tf.Tensor
    weights: tf.Tensor
    rotation: tf.Tensor
    usable: tf.Tensor
    canonical: CanonicalView | None


class Coarse(NamedTuple):
    """The networks' predictions, for B poses.

    Attributes:
      pose_3d: [B, 17, 3] mm, root-relative, in the search's camera.
      right_2d: [B, 17, 2] predicted right view relative to its root, in the search camera's units; NaN where the stage
        has none.
      joint_error_mm: [B, 17] the error that the network expects of each joint; NaN where it predicts none.
      ray_trust: [B, 17] how far to move from the coarse pose to the ray; 1 where the network predicts none.
    """

    pose_3d: tf.Tensor
    right_2d: tf.Tensor
    joint_error_mm: tf.Tensor
    ray_trust: tf.Tensor


def unmirrored(coarse: Coarse) -> Coarse:
    """Predictions for a mirror image, in the unmirrored view; `right_2d` is left as it is."""
    order = POSE17.mirror
    return coarse._replace(
        pose_3d=canonical_view.mirrored_pose(coarse.pose_3d),
        joint_error_mm=tf.gather(coarse.joint_error_mm, order, axis=1),
        ray_trust=tf.gather(coarse.ray_trust, order, axis=1),
    )


def halves(both: Coarse) -> tuple[Coarse, Coarse]:
    """The predictions for the first and for the second half of a batch."""
    first, second = zip(*(tf.split(value, 2) for value in both))
    return Coarse(*first), Coarse(*second)
