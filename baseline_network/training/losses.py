"""The losses of the baseline network, each for each sample, masked by joint.

docs/reference.md, "Baseline network", after Zhou et al. All return [B] float32; their mean over the *global* batch
(samples
without depth included) is the published loss. Under tf.distribute divide each replica's sum by the global batch size.
"""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from baseline_network.network import landmark_encoder

# Groups of bones that should be of one length, as (joint, joint, factor): the lower legs and arms are shorter than the
# upper ones by these factors in Human3.6M.
_SHIN, _FOREARM = 1.0085885098415446, 1.1375361376887123
BONE_GROUPS = (
    ((0, 1, _SHIN), (1, 2, 1.0), (3, 4, 1.0), (4, 5, _SHIN)),
    ((10, 11, _FOREARM), (11, 12, 1.0), (13, 14, 1.0), (14, 15, _FOREARM)),
    ((2, 6, 1.0), (3, 6, 1.0)),
    ((12, 8, 1.0), (13, 8, 1.0)),
)
# Squared lengths are clipped to this from below: the gradient of a square root is infinite at zero.
_MIN_SQUARE = 1e-10
# Half crops, up to which an error of a depth counts by its square.
_ROBUST = 0.05


@dataclasses.dataclass(frozen=True)
class Weights:
    """Factors of the parts of the loss: reg_weight of the depths, var_weight of the bones' lengths."""

    reg_weight: float = 0.1
    var_weight: float = 0.0


def heatmap_loss(predicted: tf.Tensor, target: tf.Tensor, joint_mask: tf.Tensor) -> tf.Tensor:
    """Mean squared error of every stack's heatmaps, summed over the stacks.

    Args:
      predicted: [B, S, h, w, J]. target: [B, h, w, J].
      joint_mask: [B, J] bool or float; what is not usable adds nothing, the mean stays one over all joints.
    """
    squares = tf.square(tf.cast(predicted, tf.float32) - target[:, None])
    by_joint = tf.reduce_sum(tf.reduce_mean(squares, [2, 3]), 1)
    return tf.reduce_mean(by_joint * tf.cast(joint_mask, tf.float32), -1)


def depth_loss(predicted: tf.Tensor, target: tf.Tensor, depth_mask: tf.Tensor) -> tf.Tensor:
    """Sum of the squared errors of the depths over the number of joints; predicted, target, depth_mask: [B, J]."""
    squares = tf.square(tf.cast(predicted, tf.float32) - target) * tf.cast(depth_mask, tf.float32)
    return tf.reduce_mean(squares, -1)


def place_loss(heat: tf.Tensor, points: tf.Tensor, joint_mask: tf.Tensor) -> tf.Tensor:
    """Cross entropy of each joint's probabilities with a Gaussian around its place, mean over all joints.

    Args:
      heat: [B, S, h, w, J] of `landmark_encoder.Heat`. points: [B, J, 2] in 0..1 of the crop.
      joint_mask: [B, J] bool or float; neither these nor joints outside of the crop add anything.
    """
    cells = heat.shape[2]
    inside = tf.reduce_all((points > 0.0) & (points < 1.0), -1)
    middles = tf.range(cells, dtype=tf.float32) + 0.5
    apart = middles - tf.clip_by_value(points, 0.0, 1.0)[..., None] * cells  # [B, J, 2, cells]
    shares = tf.exp(-tf.square(apart) / (2.0 * landmark_encoder.SIGMA**2))
    shares /= tf.reduce_sum(shares, -1, keepdims=True)
    logs = tf.math.log(tf.cast(heat[:, -1], tf.float32) / landmark_encoder.PEAK + 1e-12)
    by_joint = -tf.einsum("byxj,bjx,bjy->bj", logs, shares[:, :, 0], shares[:, :, 1])
    return tf.reduce_mean(by_joint * tf.cast(inside, tf.float32) * tf.cast(joint_mask, tf.float32), -1)


def robust_depth_loss(predicted: tf.Tensor, target: tf.Tensor, depth_mask: tf.Tensor) -> tf.Tensor:
    """Sum of the errors of the depths, squared below `_ROBUST` (Huber), over the number of joints; as `depth_loss`."""
    apart = tf.abs(tf.cast(predicted, tf.float32) - target)
    errors = tf.where(apart < _ROBUST, tf.square(apart) / (2.0 * _ROBUST), apart - _ROBUST / 2.0)
    return tf.reduce_mean(errors * tf.cast(depth_mask, tf.float32), -1)


def geometric_loss(depths: tf.Tensor, points: tf.Tensor, joint_mask: tf.Tensor) -> tf.Tensor:
    """Sum over the groups of bones of the variance of their lengths within the group.

    Args:
      depths: [B, 16] predicted. points: [B, 16, 2] the 2D truth; both in units of half the crop's side.
      joint_mask: [B, 16] bool or float; bones with an unusable end are left out.
    """
    total = 0.0
    usable = tf.cast(joint_mask, tf.float32)
    places = tf.concat([tf.cast(points, tf.float32), tf.cast(depths, tf.float32)[..., None]], -1)
    for group in BONE_GROUPS:
        first, second, factors = (list(column) for column in zip(*group))
        bones = tf.gather(places, first, axis=1) - tf.gather(places, second, axis=1)
        squares = tf.maximum(tf.reduce_sum(tf.square(bones), -1), _MIN_SQUARE)
        lengths = tf.sqrt(squares) * tf.constant(factors)
        counted = tf.gather(usable, first, axis=1) * tf.gather(usable, second, axis=1)
        number = tf.maximum(tf.reduce_sum(counted, 1, keepdims=True), 1.0)
        mean = tf.reduce_sum(lengths * counted, 1, keepdims=True) / number
        total += tf.reduce_sum(tf.square(lengths - mean) * counted / number, 1)
    return total


def losses(
    outputs: dict[str, tf.Tensor],
    targets: dict[str, tf.Tensor],
    resolution: int,
    weights: Weights,
    depth_weights: tf.Tensor | None = None,
    probabilities: bool = False,
) -> dict[str, tf.Tensor]:
    """All parts of the loss, each [B] float32, unweighted by `weights` but for 'loss', their weighted sum.

    Args:
      outputs: of the network (`hourglass.build`). targets: of `targets.make_targets`.
      resolution: side of the crop in pixels.
      depth_weights: [B], such as the quality of generated labels; they weigh the depths alone, since the 2D joints are
        annotations and not estimates. None: all 1.
      probabilities: heatmaps are those of `landmark_encoder`, and compared by `place_loss`; depths by
        `robust_depth_loss`.

    Returns:
      'loss', 'heatmap_loss', 'depth_loss' and, with var_weight, 'geometric_loss', which counts on samples without depth
      alone.
    """
    if probabilities:
        of_maps = place_loss(outputs["heatmaps"], targets["points"] / resolution, targets["joint_mask"])
    else:
        of_maps = heatmap_loss(outputs["heatmaps"], targets["heatmaps"], targets["joint_mask"])
    of_depths = robust_depth_loss if probabilities else depth_loss
    parts = {
        "heatmap_loss": of_maps,
        "depth_loss": of_depths(outputs["depths"], targets["depths"], targets["depth_mask"]),
    }
    if depth_weights is not None:
        parts["depth_loss"] *= tf.cast(depth_weights, tf.float32)
    factors = {"heatmap_loss": 1.0, "depth_loss": weights.reg_weight}
    if weights.var_weight:
        points = targets["points"] / (resolution / 2.0) - 1.0
        flat = ~tf.reduce_any(tf.cast(targets["depth_mask"], tf.bool), -1)
        usable = tf.cast(targets["joint_mask"], tf.float32) * tf.cast(flat, tf.float32)[:, None]
        parts["geometric_loss"] = geometric_loss(outputs["depths"], points, usable)
        factors["geometric_loss"] = weights.var_weight
    return {"loss": sum(factors[name] * part for name, part in parts.items()), **parts}
