"""A refinement after the geometric search: bones of left and right made equally long, joints kept near their rays.

Not in the paper. A pose that a network reconstructs from one picture is wrong in depth above all, by more in one limb
than in the other, though a person's left and right bones are equally long. Where one thigh lies across the view and the
other points away, the one says how long the other is, and so how far its knee is away.

The pose sought is the most probable one, for joints that are wrong by what the network expects of each and for pairs
of bones that are alike but for a few per cent:

    sum_j (o_j / lateral_j)^2 + (s_j / depth_j)^2  +  sum_pairs (log(|left| / |right|) / spread)^2  ->  min

where joint j slides by s_j along its ray, as far as the ray is trusted, and leaves it by o_j across. The Gauss-Newton
steps are taken in the dual, with a 6 x 6 system for a pose instead of one of 51 x 51: there are six pairs of bones.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tools.pose.joints import POSE17

ROOT = POSE17.root
_PAIRED = ("Hip", "Knee", "Foot", "Shoulder", "Elbow", "Wrist")
# The bones that end in these joints, right and left, by their (end, start).
BONES = tuple(
    tuple((POSE17.index(side + name), POSE17.parents[POSE17.index(side + name)]) for side in "RL") for name in _PAIRED
)
# Standard deviation of log(left / right). People's is less, but then poses from noisy pixels suffered.
SPREAD = 0.05
# A joint's standard deviations as shares of the error that the network expects of it: along the ray; across it where
# rays are trusted fully, and what is added where not at all. Measured on people held out of training.
DEPTH_SHARE = 0.85
LATERAL_SHARE = (0.15, 0.25)
# What is expected of networks that expect nothing of themselves; only its being the same for all joints matters much.
TYPICAL_MM = 60.0
ITERATIONS = 3
_SHORTEST_MM = 20.0  # bones are never taken to be shorter: their direction, and so the step, would be arbitrary
# These keep the 6 x 6 systems well within what float32 solves, whatever the poses: one failure would stop a batch.
_LARGEST_MM = 300.0
_RIDGE = 1e-5


def refine_bones(
    poses_3d: tf.Tensor,
    rays: tf.Tensor,
    trust: tf.Tensor,
    expected_error_mm: tf.Tensor,
    joint_mask: tf.Tensor | None = None,
    spread: float = SPREAD,
    iterations: int = ITERATIONS,
) -> tf.Tensor:
    """Makes the bones of left and right as alike as the joints' expected errors allow.

    Args:
      poses_3d: [B, 17, 3] mm, relative to the root: after the search, near the rays or on them.
      rays: [B, 17, 2] x/z and y/z of the joints in the camera of the poses.
      trust: [B, 17] from 0 to 1: how closely each joint follows its ray when its depth changes, and stays on it.
      expected_error_mm: [B, 17], or NaN for joints of which nothing is known.
      joint_mask: [B, 17] of 0 and 1, which joints are labelled; None: all. A missing limb says nothing about the length
        of the other, so pairs of bones with a missing limb joint are left as they are.
      spread: standard deviation of log(left / right), above 0.
      iterations: Gauss-Newton steps. The best of the poses that they pass through is taken, be it the first.

    Returns:
      [B, 17, 3] mm, relative to the root, which has not moved. Poses that are not finite stay so.
    """
    expected = tf.where(tf.math.is_finite(expected_error_mm), expected_error_mm, TYPICAL_MM)
    expected = tf.minimum(expected, _LARGEST_MM)
    moving = tf.constant([float(joint != ROOT) for joint in range(POSE17.size)], poses_3d.dtype)
    lateral = (LATERAL_SHARE[0] + LATERAL_SHARE[1] * (1.0 - trust)) * expected * moving
    variances = tf.concat([tf.tile((tf.square(lateral) * (1.0 - trust))[..., None], [1, 1, 2]),
                           tf.square(DEPTH_SHARE * expected * moving)[..., None]], -1)  # fmt: skip
    slide = tf.concat([rays * trust[..., None], tf.ones_like(trust)[..., None]], -1)
    # Moves [B, 17, 3]: x and y across the ray, then along it. None at first: of zeros XLA would work out every step in
    # which they take part, slowly and for every size of batch, when it compiles.
    moves: tf.Tensor | None = None
    diagonal = tf.eye(len(BONES), dtype=poses_3d.dtype)
    pair_mask = None if joint_mask is None else _pair_mask(tf.cast(joint_mask, poses_3d.dtype))
    best = lowest_cost = None
    for step in range(iterations + 1):
        unlike, gradient = _unlikeness(poses_3d if moves is None else _moved(poses_3d, moves, slide))
        if pair_mask is not None:
            unlike, gradient = unlike * pair_mask, gradient * pair_mask[..., None, None]
        cost = tf.reduce_sum(tf.square(unlike), 1) / spread**2
        if moves is None:
            lowest_cost = cost
        else:
            cost += tf.reduce_sum(tf.math.divide_no_nan(tf.square(moves), variances), [1, 2])
            better = (cost < lowest_cost)[:, None, None]
            best = tf.where(better, moves, tf.zeros_like(moves) if best is None else best)
            lowest_cost = tf.minimum(cost, lowest_cost)
        if step == iterations:
            break
        along = tf.einsum("bqjx,bjx->bqj", gradient, slide)
        gradient = tf.concat([gradient[..., :2], along[..., None]], -1)
        spread_of = gradient * variances[:, None]
        system = tf.einsum("bpjx,bqjx->bpq", gradient, spread_of) + spread**2 * diagonal
        system += _RIDGE * tf.reduce_sum(system * diagonal, [1, 2], keepdims=True) * diagonal
        wanted = -unlike if moves is None else tf.reduce_sum(gradient * moves[:, None], [2, 3]) - unlike
        moves = tf.einsum("bqjx,bq->bjx", spread_of, solve_positive(system, wanted))
    return poses_3d if best is None else _moved(poses_3d, best, slide)


def solve_positive(system: tf.Tensor, wanted: tf.Tensor) -> tf.Tensor:
    """x [B, n] with system [B, n, n] x = wanted [B, n]; symmetric, positive definite, n small and known.

    Cholesky's method by its own sums, products and roots, number by number: XLA makes elementwise loops of them, where
    TensorFlow's factorisation takes several times as long on processors, needs cuSOLVER on GPUs, and is unknown to
    TFLite and ONNX. A system that is not positive definite gives NaN for its pose alone.
    """
    size = system.shape[-1]
    lower: dict[tuple[int, int], tf.Tensor] = {}
    for i in range(size):
        for j in range(i + 1):
            rest = system[:, i, j]
            for k in range(j):
                rest = rest - lower[i, k] * lower[j, k]
            lower[i, j] = tf.sqrt(rest) if i == j else rest / lower[j, j]
    forward: list[tf.Tensor] = []
    for i in range(size):
        rest = wanted[:, i]
        for k in range(i):
            rest = rest - lower[i, k] * forward[k]
        forward.append(rest / lower[i, i])
    solution: dict[int, tf.Tensor] = {}
    for i in reversed(range(size)):
        rest = forward[i]
        for k in range(i + 1, size):
            rest = rest - lower[k, i] * solution[k]
        solution[i] = rest / lower[i, i]
    return tf.stack([solution[i] for i in range(size)], -1)


def _pair_mask(mask: tf.Tensor) -> tf.Tensor:
    """[B, 6] of 0 and 1: pairs of which all joints of arms and legs are in the mask [B, 17]."""
    limbs = {end for pair in BONES for end, _ in pair}
    columns = [
        tf.reduce_min(tf.gather(mask, sorted({j for bone in pair for j in bone} & limbs), axis=1), 1) for pair in BONES
    ]
    return tf.stack(columns, 1)


def _moved(poses_3d: tf.Tensor, moves: tf.Tensor, slide: tf.Tensor) -> tf.Tensor:
    across = tf.concat([moves[..., :2], tf.zeros_like(moves[..., :1])], -1)
    return poses_3d + across + moves[..., 2:] * slide


def _unlikeness(poses_3d: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """log(right / left) [B, 6] of the pairs of bones, and its gradient by the joints [B, 6, 17, 3]."""
    signs_of, ends, starts = zip(*((sign, *bone) for pair in BONES for sign, bone in zip((1.0, -1.0), pair)))
    bones = tf.gather(poses_3d, ends, axis=1) - tf.gather(poses_3d, starts, axis=1)
    lengths = tf.maximum(tf.norm(bones, axis=-1), _SHORTEST_MM)
    signs = tf.constant(signs_of, poses_3d.dtype)
    # With all three axes, XLA broadcasts these in one go instead of making them out for the whole batch.
    by_axis = tf.constant([[sign] * 3 for sign in signs_of], poses_3d.dtype)
    unlike = tf.reduce_sum(tf.reshape(signs * tf.math.log(lengths), [-1, len(BONES), 2]), -1)
    steep = by_axis * bones / tf.square(lengths)[..., None]
    joints = np.eye(POSE17.size)
    reach = np.repeat((joints[list(ends)] - joints[list(starts)])[..., None], 3, -1)
    gradient = steep[:, :, None] * tf.constant(reach, steep.dtype)
    return unlike, tf.reduce_sum(tf.reshape(gradient, [-1, len(BONES), 2, POSE17.size, 3]), 2)
