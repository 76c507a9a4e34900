"""The geometric search: the absolute depth at which a root-relative 3D pose agrees best with its 2D pose.

For a root depth d the joints' pixels (u, v)_j become points on their rays, X_j = (u_j - cx) / fx (z_j + d) and likewise
Y_j; minus the root's own X, Y they are compared with the coarse (x, y)_j (Wang et al. 2019, geometric search):

    cost(d) = sum_j w_j |a_j d + b_j|,    a_j = ray_j - ray_root,    b_j = ray_j z_j - ray_root z_root - (x, y)_j

Every term is the length of a vector that is affine in d, so the cost is convex in d, and where it turns can be found by
bisection on the sign of its slope instead of trying every depth. Both methods compute the cost itself in the one form
of `depth_costs.Terms`, in the same order, so that rounding decides alike between nearly equal depths.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, Callable, NamedTuple

import numpy as np
import tensorflow as tf

from label_generator.lifting import depth_costs
from tools.cli.errors import InputError
from tools.pose.joints import POSE17
from tools.training import op_forms

ROOT = POSE17.root
# A tf.Tensor, or what becomes one: an array or a number.
Tensor = Any
OBJECTIVES = ("distance", "squared")
METHODS = ("convex", "exhaustive")
CAMERAS = ("perspective", "root_centred")

# The published grid, [min, max) in steps of one millimetre.
MIN_DEPTH_MM = 2800.0
MAX_DEPTH_MM = 7200.0
STEP_MM = 1.0

# What the release's two scripts start their search from. A pose whose least cost is not below it keeps depth 0 in the
# first, and the previous pose's depth in the second, which never resets it (`search_h36m.py`; here each pose is alone).
RELEASED_CAP = 10000.0
RELEASED_CAP_ROOT_CENTRED = 2000.0

# Poses that one program works on: enough that starting it costs little beside the work, few enough that a batch of
# some thousands occupies several cores. It also bounds the memory of a batch of any size. And how many such pieces may
# be under way at once.
CHUNK = {"convex": 4096, "exhaustive": 256}
_PIECES_AT_ONCE = 4
# Poses that the program takes from a piece at a time: what the search re-reads for every depth, three numbers of 17
# joints, stays in the cache that is next to a core.
BLOCK = 128
# GPUs have no such cache, and every piece costs them the start of its programs.
GPU_CHUNK = 65_536

# Depth counts are held as int32 and turned into float32 depths, which are exact up to here.
_MAX_DEPTHS = 2**24


class SearchResult(NamedTuple):
    """What `geometric_search` returns, for B poses.

    depth_mm: [B] depth of the root, added to every z (NaN where not valid).
    poses_3d: [B, 17, 3] refined pose in mm, relative to its root. Joints left out of the search keep their coarse
        position relative to the root (NaN where the pose is not valid).
    root_mm: [B, 3] root in camera coordinates, mm (NaN where not valid).
    cost: [B] least cost, in mm ('distance') or mm^2 ('squared') (NaN where not valid).
    at_range_end: [B] bool, the best grid depth is the first or the last of the range: the true one may lie outside.
    valid: [B] bool. False: no usable root, no other usable joint, a camera that is not a camera, or a released cap
        that no cost was below (depth 0 then, as released).
    """

    depth_mm: tf.Tensor
    poses_3d: tf.Tensor
    root_mm: tf.Tensor
    cost: tf.Tensor
    at_range_end: tf.Tensor
    valid: tf.Tensor


def geometric_search(
    poses_3d: Tensor,
    poses_2d: Tensor,
    intrinsics: Tensor,
    joint_weights: Tensor | None = None,
    min_depth_mm: Tensor = MIN_DEPTH_MM,
    max_depth_mm: Tensor = MAX_DEPTH_MM,
    step_mm: Tensor = STEP_MM,
    objective: str = "distance",
    method: str = "convex",
    subgrid: bool = False,
    camera: str = "perspective",
    released_cap: float | None = None,
    jit_compile: bool = True,
) -> SearchResult:
    """Finds each pose's depth on the grid [min, max) and returns a `SearchResult`.

    Works eagerly and inside other tf.functions; the three range arguments may be numbers or scalar tensors and changing
    them retraces nothing. Batches of any size take bounded memory beyond their own inputs and results.

    Args:
      poses_3d: [B, 17, 3] coarse root-relative poses, mm; float32 or float64, which all the arithmetic then has.
      poses_2d: [B, 17, 2] pixels without distortion.
      intrinsics: [4] or [B, 4], (fx, fy, cx, cy) in pixels.
      joint_weights: [B, 17], 0 leaves a joint out; None counts all alike. A joint with a weight or a coordinate that
        is not finite, or a negative weight, is left out.
      min_depth_mm: the first of the root depths.
      max_depth_mm: where they end, itself not tried.
      step_mm: from depth to depth.
      objective: 'distance', the released sum of distances, or 'squared', the paper's sum of squares.
      method: 'convex', or 'exhaustive' as released. Both return the first of the grid depths with the least cost; in
        float32 costs that differ by rounding count as equal.
      subgrid: return the least cost's depth between grid depths (at most a step away, inside the grid's ends).
      camera: 'perspective', or 'root_centred': the released second script, which subtracts the root's pixel and leaves
        the principal point out, so that the root stands on the optical axis.
      released_cap: None, or the cost the released scripts start from (RELEASED_CAP, RELEASED_CAP_ROOT_CENTRED): poses
        with no cost below it get depth 0.
      jit_compile: compile with XLA. Without it results may differ in rounding and exhaustive search is slow.

    Raises:
      InputError: an unknown option, a range that is empty or too fine, shapes that are not the above.
    """
    for value, known, name in (
        (objective, OBJECTIVES, "objective"),
        (method, METHODS, "method"),
        (camera, CAMERAS, "camera"),
    ):
        if value not in known:
            raise InputError(f"geometric search: {name} is one of {', '.join(known)}, got {value!r}")
    _check_range(min_depth_mm, max_depth_mm, step_mm)
    poses_3d = tf.convert_to_tensor(poses_3d)
    if poses_3d.dtype not in (tf.float32, tf.float64):
        poses_3d = tf.cast(poses_3d, tf.float32)
    dtype = poses_3d.dtype
    poses_2d, intrinsics = _as(poses_2d, dtype), _as(intrinsics, dtype)
    for tensor, tail, name in ((poses_3d, [17, 3], "poses_3d"), (poses_2d, [17, 2], "poses_2d")):
        if not tensor.shape.is_compatible_with([None, *tail]):
            raise InputError(f"geometric search: {name} must be [B, {tail[0]}, {tail[1]}], got {tensor.shape}")
    batch = tf.shape(poses_3d)[0] if poses_3d.shape[0] is None else poses_3d.shape[0]
    if intrinsics.shape.rank == 1:
        intrinsics = tf.broadcast_to(intrinsics, [batch, 4])
    weights = tf.ones([batch, 17], dtype) if joint_weights is None else _as(joint_weights, dtype)
    if not weights.shape.is_compatible_with([None, 17]):
        raise InputError(f"geometric search: joint_weights must be [B, 17], got {weights.shape}")
    on_cpu = op_forms.chosen() == op_forms.CPU
    chunk, block = (CHUNK[method], BLOCK) if on_cpu else (GPU_CHUNK, GPU_CHUNK)
    search = _compiled(objective, method, bool(subgrid), camera, bool(jit_compile), chunk, block)
    return search(
        poses_3d,
        poses_2d,
        intrinsics,
        weights,
        _as(min_depth_mm, tf.float64),
        _as(max_depth_mm, tf.float64),
        _as(step_mm, tf.float64),
        _as(math.inf if released_cap is None else released_cap, dtype),
    )


def _as(value: Tensor, dtype: tf.DType) -> tf.Tensor:
    """A tensor of `dtype`. tf.cast alone would round Python's numbers to float32 first."""
    return tf.cast(value if tf.is_tensor(value) else tf.constant(np.asarray(value)), dtype)


def _check_range(min_depth_mm: Tensor, max_depth_mm: Tensor, step_mm: Tensor) -> None:
    """Checks what is known before the graph runs: tensors are the caller's business."""
    if any(tf.is_tensor(value) for value in (min_depth_mm, max_depth_mm, step_mm)):
        return
    if not (step_mm > 0 and min_depth_mm < max_depth_mm < math.inf and min_depth_mm > -math.inf):
        raise InputError(
            "geometric search: needs min < max and a step above 0, "
            f"got [{min_depth_mm}, {max_depth_mm}) by {step_mm} mm"
        )
    if (max_depth_mm - min_depth_mm) / step_mm > _MAX_DEPTHS:
        raise InputError(f"geometric search: more than {_MAX_DEPTHS} depths, use a larger step than {step_mm} mm")


@functools.cache
def _compiled(
    objective: str, method: str, subgrid: bool, camera: str, jit_compile: bool, chunk: int, block: int
) -> Callable[..., SearchResult]:
    """The tf.function for one set of options: splits the batch and runs the search on each piece."""
    options = _Options(objective == "squared", method == "convex", subgrid, camera == "root_centred")
    found = tf.function(
        functools.partial(_in_blocks, options),
        autograph=False,
        jit_compile=jit_compile or None,
        reduce_retracing=True,
    )
    search = functools.partial(_transposed, found, block)
    return tf.function(functools.partial(_in_chunks, search, chunk), autograph=False, reduce_retracing=True)


def _in_chunks(
    search: Callable[..., SearchResult],
    chunk: int,
    poses_3d: tf.Tensor,
    poses_2d: tf.Tensor,
    intrinsics: tf.Tensor,
    weights: tf.Tensor,
    min_mm: tf.Tensor,
    max_mm: tf.Tensor,
    step_mm: tf.Tensor,
    cap: tf.Tensor,
) -> SearchResult:
    """Runs `search` on pieces of the batch that are all of one size.

    XLA compiles anew for every shape, so there are few: a batch below `chunk` is filled up to a power of two, and the
    last piece of a larger one reaches back over poses that the piece before it did already.
    """
    # As numpy.arange counts, save that 0.1 mm steps must not gain a depth by rounding.
    count = tf.cast(tf.math.ceil((max_mm - min_mm) / step_mm - 1e-6), tf.int32)
    grid = (tf.cast(min_mm, cap.dtype), tf.cast(step_mm, cap.dtype), count, cap)
    inputs: tuple[tf.Tensor, ...] = (poses_3d, poses_2d, intrinsics, weights)
    batch = tf.shape(poses_3d)[0]
    static = poses_3d.shape[0]
    if static is None or static < chunk:
        filler = tf.maximum(next_power_of_two(tf.minimum(batch, chunk)) - batch, 0)
        inputs = tuple(tf.pad(x, [[0, filler]] + [[0, 0]] * (x.shape.rank - 1)) for x in inputs)
    if static is not None and static <= chunk:
        return SearchResult(*(x[:batch] for x in search(*inputs, *grid)))

    filled = tf.shape(inputs[0])[0]
    size = tf.minimum(filled, chunk)
    pieces = -(-filled // size)

    def body(i: tf.Tensor, results: tuple[tf.TensorArray, ...]) -> tuple[tf.Tensor, ...]:
        start = tf.minimum(i * size, filled - size)
        piece = search(*(tf.slice(x, [start] + [0] * (x.shape.rank - 1), [size, *x.shape[1:]]) for x in inputs), *grid)
        return i + 1, tuple(array.write(i, value) for array, value in zip(results, piece))

    dtypes = (*[cap.dtype] * 4, tf.bool, tf.bool)
    arrays = tuple(tf.TensorArray(d, size=pieces, element_shape=s) for d, s in zip(dtypes, _result_shapes()))
    _, arrays = tf.while_loop(lambda i, _: i < pieces, body, (0, arrays), parallel_iterations=_PIECES_AT_ONCE)
    before, rest = (pieces - 1) * size, filled - (pieces - 1) * size
    flat = (tf.reshape(a.stack(), [pieces * size, *s[1:]]) for a, s in zip(arrays, _result_shapes()))
    joined = (tf.concat([x[:before], x[pieces * size - rest :]], axis=0)[:batch] for x in flat)
    return SearchResult(*(tf.ensure_shape(x, [static, *s[1:]]) for x, s in zip(joined, _result_shapes())))


def _result_shapes() -> SearchResult:
    return SearchResult([None], [None, 17, 3], [None, 3], [None], [None], [None])


def next_power_of_two(n: tf.Tensor) -> tf.Tensor:
    """The least power of two that is not below n, for 1 <= n <= 2^16 (1 for an empty batch)."""
    n = tf.maximum(n, 1) - 1
    for shift in (1, 2, 4, 8):
        n = tf.bitwise.bitwise_or(n, tf.bitwise.right_shift(n, shift))
    return n + 1


class _Options(NamedTuple):
    """What `_compiled` compiles for."""

    squared: bool
    convex: bool
    subgrid: bool
    root_centred: bool


def _transposed(
    found: Callable[..., SearchResult],
    block: int,
    poses_3d: tf.Tensor,
    poses_2d: tf.Tensor,
    intrinsics: tf.Tensor,
    weights: tf.Tensor,
    *grid: tf.Tensor,
) -> SearchResult:
    """Runs `found` on blocks of the piece, [blocks, values of a pose, poses of a block], for loops along the poses.

    TensorFlow transposes. XLA's loops take longer for it, and would transpose again for every reader.
    """
    size = poses_3d.shape[0] or tf.shape(poses_3d)[0]
    length = min(size, block) if isinstance(size, int) else tf.minimum(size, block)
    blocks = [
        tf.transpose(tf.reshape(x, [size // length, length, columns]), [0, 2, 1])
        for x, columns in ((poses_3d, 51), (poses_2d, 34), (intrinsics, 4), (weights, 17))
    ]
    depth, placed, root, cost, at_range_end, valid = found(*blocks, *grid)
    flat = (tf.reshape(x, [size]) for x in (depth, cost, at_range_end, valid))
    depth, cost, at_range_end, valid = flat
    placed, root = (tf.transpose(x, [0, 2, 1]) for x in (placed, root))
    return SearchResult(
        depth, tf.reshape(placed, [size, 17, 3]), tf.reshape(root, [size, 3]), cost, at_range_end, valid
    )


def _in_blocks(options: _Options, *arguments: tf.Tensor) -> SearchResult:
    """`_searched` block by block. arguments: blocks of rows as of `_transposed`, then grid and cap."""
    rows, grid = arguments[:4], arguments[4:]
    blocks, length = rows[0].shape[0] or tf.shape(rows[0])[0], rows[0].shape[2]
    if isinstance(blocks, int) and blocks == 1:
        return SearchResult(*(x[None] for x in _searched(options, *(x[0] for x in rows), *grid)))

    def body(i: tf.Tensor, results: tuple[tf.TensorArray, ...]) -> tuple[tf.Tensor, ...]:
        block = _searched(options, *(x[i] for x in rows), *grid)
        return i + 1, tuple(array.write(i, value) for array, value in zip(results, block))

    shapes = SearchResult([length], [51, length], [3, length], [length], [length], [length])
    dtypes = (*[rows[0].dtype] * 4, tf.bool, tf.bool)
    arrays = tuple(tf.TensorArray(d, size=blocks, element_shape=s) for d, s in zip(dtypes, shapes))
    _, arrays = tf.while_loop(lambda i, _: i < blocks, body, (0, arrays), parallel_iterations=1)
    return SearchResult(*(array.stack() for array in arrays))


def _searched(
    options: _Options,
    rows_3d: tf.Tensor,
    rows_2d: tf.Tensor,
    intrinsics: tf.Tensor,
    weights: tf.Tensor,
    min_mm: tf.Tensor,
    step_mm: tf.Tensor,
    count: tf.Tensor,
    cap: tf.Tensor,
) -> SearchResult:
    """The search for one block, of rows [51, B], [34, B], [4, B], [17, B]; `poses_3d` is [51, B], `root_mm` [3, B]."""
    squared = options.squared
    camera = tf.unstack(intrinsics)
    joints = depth_costs.joints_of(rows_3d, rows_2d, weights)
    terms = depth_costs.terms(joints, camera, options.root_centred, squared)
    if options.convex:
        first = depth_costs.first_above_vertex if squared else depth_costs.first_rising
        above = first(terms, count, min_mm, step_mm)
        # In exact arithmetic these two are enough: a slope whose sign is lost in rounding changes the cost by less.
        below = tf.maximum(above - 1, 0)
        cost_below, cost_above = (
            depth_costs.cost_at(terms, min_mm + tf.cast(index, min_mm.dtype) * step_mm, squared)
            for index in (below, above)
        )
        best, cost = tf.where(cost_above < cost_below, above, below), tf.minimum(cost_above, cost_below)
    else:
        best, cost = depth_costs.first_least(terms, count, min_mm, step_mm, squared)
    depth = min_mm + tf.cast(best, min_mm.dtype) * step_mm
    if options.subgrid:
        last = min_mm + tf.cast(count - 1, min_mm.dtype) * step_mm
        low, high = tf.maximum(depth - step_mm, min_mm), tf.minimum(depth + step_mm, last)
        if squared:
            finer = tf.clip_by_value(depth_costs.parabola_vertex(terms, min_mm), low, high)
        else:
            finer = depth_costs.turning(terms, low, high)
        finer_cost = depth_costs.cost_at(terms, finer, squared)
        depth, cost = tf.where(finer_cost < cost, finer, depth), tf.minimum(finer_cost, cost)
    at_range_end = tf.equal(best, 0) | tf.equal(best, count - 1)
    return _refined(options, rows_3d, rows_2d, camera, joints.usable, depth, cost, at_range_end, cap)


def _refined(
    options: _Options,
    rows_3d: tf.Tensor,
    rows_2d: tf.Tensor,
    camera: Sequence[tf.Tensor],
    usable: tf.Tensor,
    depth: tf.Tensor,
    cost: tf.Tensor,
    at_range_end: tf.Tensor,
    cap: tf.Tensor,
) -> SearchResult:
    """The result at the depths found: every usable joint on its ray, X, Y, Z = z + d. Fields as of `_searched`."""
    x, y, z = (rows_3d[i::3] for i in range(3))
    u, v = rows_2d[0::2], rows_2d[1::2]
    fx, fy, cx, cy = camera
    if options.root_centred:
        cx, cy = u[ROOT], v[ROOT]
    several = tf.reduce_sum(tf.cast(usable, tf.int32), axis=0) > 1
    valid = usable[ROOT] & several & tf.math.is_finite(cost)
    below_cap = cost < cap
    depth = tf.where(below_cap, depth, 0)
    far = z + depth
    nothing = tf.cast(math.nan, depth.dtype)
    placed = ((u - cx) * (1 / fx) * far, (v - cy) * (1 / fy) * far, far)
    # XLA rounds a product and a difference once, so that the root's own difference would not be 0.
    others = 1 - tf.one_hot(ROOT, 17, dtype=depth.dtype)[:, None]
    relative = [
        tf.where(valid, tf.where(usable, (on_ray - on_ray[ROOT]) * others, coarse - coarse[ROOT]), nothing)
        for on_ray, coarse in zip(placed, (x, y, z))
    ]
    return SearchResult(
        depth_mm=tf.where(valid, depth, nothing),
        poses_3d=tf.reshape(tf.stack(relative, 1), [51, -1]),
        root_mm=tf.stack([tf.where(valid, on_ray[ROOT], nothing) for on_ray in placed]),
        cost=tf.where(valid, cost, nothing),
        at_range_end=at_range_end & valid & below_cap,
        valid=valid & below_cap,
    )
