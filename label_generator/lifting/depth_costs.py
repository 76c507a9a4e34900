"""The cost of the geometric search along the root's depth, and where it is least.

TensorFlow graph code for a whole batch, which `geometric_search` compiles; float32 or float64. Every value of a joint
lies beside those of the other poses, [17, B], so that loops run along the batch.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from tools.pose.joints import POSE17

ROOT = POSE17.root

# The least normal numbers.
_TINY = {tf.float32: 2.0**-126, tf.float64: 2.0**-1022}

# The depth from which a joint that tells nothing of depth is taken to be seen: so far off that no depth changes its
# distance, and a power of two, so that nothing is rounded.
_FAR = 2.0**50


class Joints(NamedTuple):
    """What the search reads of a batch: x, y, z, u, v and weight, each [17, B], 0 where `usable` [17, B] is False."""

    x: tf.Tensor
    y: tf.Tensor
    z: tf.Tensor
    u: tf.Tensor
    v: tf.Tensor
    weight: tf.Tensor
    usable: tf.Tensor


class Terms(NamedTuple):
    """The cost's terms w |a d + b| by their vertex, steepness sqrt((d - turn)^2 + width), each field [17, B].

    turn = -a.b / |a|^2, width = (a x b)^2 / |a|^4, steepness = w |a|. Neither the cost nor its slope has sums that
    cancel in this form, and both read three numbers of a joint.
    """

    turn: tf.Tensor
    width: tf.Tensor
    steepness: tf.Tensor


def joints_of(rows_3d: tf.Tensor, rows_2d: tf.Tensor, weights: tf.Tensor) -> Joints:
    """The joints of transposed inputs [51, B], [34, B] and [17, B].

    Usable are those whose coordinates are finite and whose weight is finite and above 0.
    """
    values = (*(rows_3d[i::3] for i in range(3)), rows_2d[0::2], rows_2d[1::2], weights)
    # Products with 0 are 0, or not a number: one comparison instead of one for each.
    usable = tf.equal(functools.reduce(tf.add, [value * 0 for value in values]), 0) & (weights > 0)
    x, y, z, u, v, weight = (tf.where(usable, value, 0) for value in values)
    return Joints(x, y, z, u, v, weight, usable)


def terms(joints: Joints, intrinsics: Sequence[tf.Tensor], root_centred: bool, squared: bool) -> Terms:
    """The `Terms` of all joints and poses; intrinsics fx, fy, cx, cy: scalars or [B] each.

    squared: of the cost w |a d + b|^2, steepness ((d - turn)^2 + width), where steepness is w |a|^2.
    """
    x, y, z, u, v, weight, _ = joints
    fx, fy, cx, cy = intrinsics
    if root_centred:
        cx, cy = u[ROOT], v[ROOT]
    # A division costs as much as ten products.
    per_x, per_y = 1 / fx, 1 / fy
    ray_x, ray_y = (u - cx) * per_x, (v - cy) * per_y
    ax, ay = (u - u[ROOT]) * per_x, (v - v[ROOT]) * per_y
    bx = ray_x * z - ray_x[ROOT] * z[ROOT] - x
    by = ray_y * z - ray_y[ROOT] * z[ROOT] - y
    steep2 = ax * ax + ay * ay
    # Joints on the root's own pixel tell nothing of depth; the bound keeps the quotients' squares finite.
    sloped = steep2 > (1e-30 if ax.dtype == tf.float32 else 1e-60)
    per_steep2 = 1 / tf.where(sloped, steep2, 1)
    turn = tf.where(sloped, -(ax * bx + ay * by) * per_steep2, 0)
    width = tf.where(sloped, tf.square((ax * by - ay * bx) * per_steep2), _FAR**2)
    steep2 = tf.where(sloped, steep2, (bx * bx + by * by) * _FAR**-2)
    return Terms(turn, width, weight * (steep2 if squared else tf.sqrt(steep2)))


def first_rising(terms: Terms, count: tf.Tensor, min_mm: tf.Tensor, step_mm: tf.Tensor) -> tf.Tensor:
    """[B] int32: the first of `count` grid indices where the distance cost does not fall, or the last.

    The least cost on the grid is at this index or at the one before it.
    """

    def body(length: tf.Tensor, index: tf.Tensor) -> tuple[tf.Tensor, ...]:
        half = length // 2
        falls = _slope(terms, min_mm + tf.cast(index + (half - 1), min_mm.dtype) * step_mm) < 0
        return length - half, tf.where(falls, index + half, index)

    first = tf.zeros([tf.shape(terms.turn)[1]], tf.int32)
    return tf.while_loop(lambda length, _: length > 1, body, (count, first))[1]


def first_above_vertex(terms: Terms, count: tf.Tensor, min_mm: tf.Tensor, step_mm: tf.Tensor) -> tf.Tensor:
    """`first_rising` of the squared cost, a parabola."""
    index = tf.math.ceil((parabola_vertex(terms, min_mm) - min_mm) / step_mm)
    return tf.cast(tf.clip_by_value(index, 0, tf.cast(count - 1, index.dtype)), tf.int32)


def cost_at(terms: Terms, depth: tf.Tensor, squared: bool) -> tf.Tensor:
    """[B] the cost at depths [B]: the one place and order in which it is computed."""
    total = tf.zeros_like(depth)
    for joint in range(17):
        away = depth - terms.turn[joint]
        length = away * away + terms.width[joint]
        total += terms.steepness[joint] * (length if squared else tf.sqrt(length))
    return total


def first_least(
    terms: Terms, count: tf.Tensor, min_mm: tf.Tensor, step_mm: tf.Tensor, squared: bool
) -> tuple[tf.Tensor, tf.Tensor]:
    """The first of all `count` indices with the least cost, [B] int32, and that cost."""

    def body(i: tf.Tensor, best: tf.Tensor, lowest: tf.Tensor) -> tuple[tf.Tensor, ...]:
        depth = min_mm + tf.cast(tf.fill(tf.shape(best), i), min_mm.dtype) * step_mm
        cost = cost_at(terms, depth, squared)
        lower = cost < lowest
        return i + 1, tf.where(lower, i, best), tf.where(lower, cost, lowest)

    best = tf.zeros([tf.shape(terms.turn)[1]], tf.int32)
    lowest = tf.fill(tf.shape(best), tf.cast(math.inf, min_mm.dtype))
    return tf.while_loop(lambda i, *_: i < count, body, (0, best, lowest))[1:]


def parabola_vertex(terms: Terms, flat: tf.Tensor) -> tf.Tensor:
    """[B] where the squared cost is least; `flat` where it does not depend on depth."""
    slopes = tf.where(terms.width < _FAR**2, terms.steepness, 0)
    curve = tf.reduce_sum(slopes, axis=0)
    weighted = tf.reduce_sum(slopes * terms.turn, axis=0)
    return tf.where(curve > 0, weighted / tf.where(curve > 0, curve, 1), flat)


def turning(terms: Terms, low: tf.Tensor, high: tf.Tensor) -> tf.Tensor:
    """[B] where the slope changes sign between depths `low` and `high`, by halving to the last bit of a millimetre."""
    halvings = 20 if low.dtype == tf.float32 else 44

    def body(i: tf.Tensor, low: tf.Tensor, high: tf.Tensor) -> tuple[tf.Tensor, ...]:
        middle = low + (high - low) / 2
        falls = _slope(terms, middle) < 0
        return i + 1, tf.where(falls, middle, low), tf.where(falls, high, middle)

    return tf.while_loop(lambda i, *_: i < halvings, body, (0, low, high))[2]


def _slope(terms: Terms, depth: tf.Tensor) -> tf.Tensor:
    """[B] a subgradient of the distance cost at depths [B]."""
    total = tf.zeros_like(depth)
    for joint in range(17):
        away = depth - terms.turn[joint]
        # The least normal number, lost in any other sum, makes 0 / 0 at a kink into 0.
        length = tf.sqrt(away * away + terms.width[joint] + _TINY[depth.dtype])
        total += terms.steepness[joint] * (away / length)
    return total
