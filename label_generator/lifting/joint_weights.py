"""The geometric search with a weight for each joint: those of which the network is surest count most.

Not in the paper, whose search takes every joint for equally good. The network of the canonical recipe says of each
joint by how much it expects to be wrong, and how far its ray can be trusted. The search asks at which depth coarse
joints and rays agree best, so a joint counts by how well both are known.
"""

from __future__ import annotations

import tensorflow as tf

from tools.pose.joints import POSE17

# No joint is taken to be better known than this, or one joint alone could set the depth.
_LEAST_MM = 5.0


def joint_weights(weights: tf.Tensor, trust: tf.Tensor, expected_error_mm: tf.Tensor) -> tf.Tensor:
    """Weights for `geometric_search`, in proportion to trust / expected error.

    Args:
      weights: [B, 17] 1 for joints that take part, 0 for others.
      trust: [B, 17] from 0 to 1, how far each ray is trusted.
      expected_error_mm: [B, 17]; NaN where nothing is known of a joint, which then counts by its trust alone.

    Returns:
      [B, 17], 0 for the joints that don't take part, on average 1 over the others, so that costs keep their meaning.
      The root, from which all are measured, keeps its weight and is left out of the average. Where nothing is trusted,
      the weights as they were.
    """
    known = tf.math.is_finite(expected_error_mm)
    others = weights * (1.0 - tf.one_hot(POSE17.root, POSE17.size, dtype=weights.dtype))
    certain = trust / tf.where(known, tf.maximum(expected_error_mm, _LEAST_MM), 1.0) * others
    mean = tf.math.divide_no_nan(tf.reduce_sum(certain, 1), tf.reduce_sum(others, 1))[:, None]
    return tf.where(mean > 0, weights - others + tf.math.divide_no_nan(certain, mean), weights)
