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

# Grid depths tried on either side of where the slope changes sign. In exact arithmetic the first minimum is that depth
# or the one before it; one more on each side absorbs a sign that rounding got wrong.
_MARGIN = 2

# The least normal numbers.
_TINY = {tf.float32: 2.0**-126, tf.float64: 2.0**-1022}


class Lines(NamedTuple):
    """The cost's terms w |a d + b|, each field [17, B]: a joint's values for all poses lie side by side."""

    ax: tf.Tensor
    ay: tf.Tensor
    bx: tf.Tensor
    by: tf.Tensor
    weight: tf.Tensor


class Slopes(NamedTuple):
    """The same terms by their vertex, w |a| sqrt((d - turn)^2 + width): turn [17, B], width, steepness = w |a|.

    The slope needs no cancelling sums in this form, so its sign is right in float32 too.
    """

    turn: tf.Tensor
    width: tf.Tensor
    steepness: tf.Tensor


def least(
    lines: Lines,
    slopes: Slopes,
    min_mm: tf.Tensor,
    step_mm: tf.Tensor,
    count: tf.Tensor,
    *,
    objective: str,
    method: str,
    subgrid: bool,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Depth [B], cost [B] and whether the best depth is at the range's end [B]."""
    squared = objective == "squared"
    if method == "exhaustive":
        start, tries = tf.zeros(tf.shape(lines.weight)[1:], tf.int32), count
    elif squared:
        start = tf.math.floor((_parabola_vertex(lines, min_mm) - min_mm) / step_mm)
        start = tf.cast(tf.clip_by_value(start, 0, tf.cast(count - 1, start.dtype)), tf.int32) - _MARGIN
        tries = 2 * _MARGIN + 1
    else:
        start, tries = _first_rising(slopes, count, min_mm, step_mm) - _MARGIN, 2 * _MARGIN + 1
    best, cost = _first_least(lines, start, tries, count, min_mm, step_mm, squared)
    depth = min_mm + tf.cast(best, min_mm.dtype) * step_mm
    if subgrid:
        last = min_mm + tf.cast(count - 1, min_mm.dtype) * step_mm
        low, high = tf.maximum(depth - step_mm, min_mm), tf.minimum(depth + step_mm, last)
        finer = tf.clip_by_value(_parabola_vertex(lines, min_mm), low, high) if squared else _turning(slopes, low, high)
        finer_cost = cost_at(lines, finer, squared)
        depth, cost = tf.where(finer_cost < cost, finer, depth), tf.minimum(finer_cost, cost)
    return depth, cost, tf.logical_or(tf.equal(best, 0), tf.equal(best, count - 1))


def terms(
    rows_3d: tf.Tensor, rows_2d: tf.Tensor, intrinsics: tf.Tensor, weights: tf.Tensor, root_centred: bool
) -> tuple[Lines, Slopes]:
    """The `Lines` and `Slopes` of all joints and poses, from transposed inputs."""
    x, y, z = (rows_3d[i::3] for i in range(3))
    u, v = rows_2d[0::2], rows_2d[1::2]
    usable = usable_joints([x, y, z, u, v], weights)
    x, y, z, u, v, weight = (tf.where(usable, value, 0) for value in (x, y, z, u, v, weights))
    fx, fy, cx, cy = (intrinsics[i] for i in range(4))
    if root_centred:
        cx, cy = u[ROOT], v[ROOT]
    ray_x, ray_y = (u - cx) / fx, (v - cy) / fy
    ax, ay = (u - u[ROOT]) / fx, (v - v[ROOT]) / fy
    bx = ray_x * z - ray_x[ROOT] * z[ROOT] - x
    by = ray_y * z - ray_y[ROOT] * z[ROOT] - y
    steep2 = ax * ax + ay * ay
    # Joints on the root's own pixel tell nothing of depth; the bound keeps the quotients' squares finite.
    sloped = steep2 > (1e-30 if ax.dtype == tf.float32 else 1e-60)
    divisor = tf.where(sloped, steep2, 1)
    turn = -(ax * bx + ay * by) / divisor
    width = tf.where(sloped, tf.square((ax * by - ay * bx) / divisor), 1)
    steepness = weight * tf.sqrt(tf.where(sloped, steep2, 0))
    return Lines(ax, ay, bx, by, weight), Slopes(turn, width, steepness)


def usable_joints(coordinates: Sequence[tf.Tensor], weights: tf.Tensor) -> tf.Tensor:
    """Which joints take part: all coordinates finite, weight finite and above 0."""
    finite = functools.reduce(tf.logical_and, [tf.math.is_finite(value) for value in coordinates])
    return finite & (weights > 0) & tf.math.is_finite(weights)


def cost_at(lines: Lines, depth: tf.Tensor, squared: bool) -> tf.Tensor:
    """[B] the cost at depths [B]: the one place and order in which it is computed."""
    total = tf.zeros_like(depth)
    for joint in range(17):
        across = lines.ax[joint] * depth + lines.bx[joint]
        down = lines.ay[joint] * depth + lines.by[joint]
        length = across * across + down * down
        total += lines.weight[joint] * (length if squared else tf.sqrt(length))
    return total


def _slope(slopes: Slopes, depth: tf.Tensor) -> tf.Tensor:
    """[B] a subgradient of the distance cost at depths [B]."""
    total = tf.zeros_like(depth)
    for joint in range(17):
        away = depth - slopes.turn[joint]
        # The least normal number, lost in any other sum, makes 0 / 0 at a kink into 0.
        length = tf.sqrt(away * away + slopes.width[joint] + _TINY[depth.dtype])
        total += slopes.steepness[joint] * (away / length)
    return total


def _first_rising(slopes: Slopes, count: tf.Tensor, min_mm: tf.Tensor, step_mm: tf.Tensor) -> tf.Tensor:
    """[B] int32: the first grid index where the slope is not negative, or the one before it."""

    def body(length: tf.Tensor, index: tf.Tensor) -> tuple[tf.Tensor, ...]:
        half = length // 2
        falls = _slope(slopes, min_mm + tf.cast(index + (half - 1), min_mm.dtype) * step_mm) < 0
        return length - half, tf.where(falls, index + half, index)

    first = tf.zeros([tf.shape(slopes.turn)[1]], tf.int32)
    return tf.while_loop(lambda length, _: length > 1, body, (count, first))[1]


def _first_least(
    lines: Lines,
    start: tf.Tensor,
    tries: tf.Tensor,
    count: tf.Tensor,
    min_mm: tf.Tensor,
    step_mm: tf.Tensor,
    squared: bool,
) -> tuple[tf.Tensor, tf.Tensor]:
    """The first index with the least cost among `tries` from `start` [B] on, kept in the grid, and that cost."""

    def body(i: tf.Tensor, best: tf.Tensor, lowest: tf.Tensor) -> tuple[tf.Tensor, ...]:
        index = tf.clip_by_value(start + i, 0, count - 1)
        cost = cost_at(lines, min_mm + tf.cast(index, min_mm.dtype) * step_mm, squared)
        lower = cost < lowest
        return i + 1, tf.where(lower, index, best), tf.where(lower, cost, lowest)

    lowest = tf.fill(tf.shape(start), tf.cast(math.inf, min_mm.dtype))
    return tf.while_loop(lambda i, *_: i < tries, body, (0, tf.zeros_like(start), lowest))[1:]


def _parabola_vertex(lines: Lines, flat: tf.Tensor) -> tf.Tensor:
    """[B] where the squared cost is least; `flat` where it does not depend on depth."""
    curve = tf.reduce_sum(lines.weight * (lines.ax * lines.ax + lines.ay * lines.ay), axis=0)
    slope = tf.reduce_sum(lines.weight * (lines.ax * lines.bx + lines.ay * lines.by), axis=0)
    return tf.where(curve > 0, -slope / tf.where(curve > 0, curve, 1), flat)


def _turning(slopes: Slopes, low: tf.Tensor, high: tf.Tensor) -> tf.Tensor:
    """[B] where the slope changes sign between depths `low` and `high`, by halving to the last bit of a millimetre."""
    halvings = 20 if low.dtype == tf.float32 else 44

    def body(i: tf.Tensor, low: tf.Tensor, high: tf.Tensor) -> tuple[tf.Tensor, ...]:
        middle = low + (high - low) / 2
        falls = _slope(slopes, middle) < 0
        return i + 1, tf.where(falls, middle, low), tf.where(falls, high, middle)

    return tf.while_loop(lambda i, *_: i < halvings, body, (0, low, high))[2]
