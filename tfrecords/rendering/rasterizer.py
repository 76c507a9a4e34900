"""Triangles into pixels with a depth buffer: NumPy over all rows of all triangles at once, no loop over triangles.

Pixels are at integer coordinates, x right, y down. Depth is kept as its inverse, which is affine over a triangle.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

# Rows and columns that miss a pixel by less than this are taken in, so that neighbours leave no gap between them.
_SLACK = 1e-3
# Triangles that come nearer to the camera are left out.
_NEAREST_MM = 1.0


class Raster(NamedTuple):
    """What is seen at each of the `n` covered pixels of a picture.

    Attributes:
      pixel: [n] int64 index into the flattened picture, ascending.
      face: [n] int64, the nearest triangle there.
      weights: [n, 3] float32 barycentric weights of its corners, in the picture (not corrected for perspective).
      inverse_depth: [height * width] float32 1/mm of the nearest triangle, 0 where there is none.
    """

    pixel: np.ndarray
    face: np.ndarray
    weights: np.ndarray
    inverse_depth: np.ndarray


def rasterise(points: np.ndarray, depth: np.ndarray, faces: np.ndarray, width: int, height: int) -> Raster:
    """Draws triangles whose corners run anticlockwise as one sees them; the others face away and are left out.

    Args:
      points: [v, 2] px.
      depth: [v] mm; triangles that reach behind the camera are left out.
      faces: [f, 3] corners.
    """
    points = np.asarray(points, np.float64)
    depth = np.asarray(depth, np.float64)
    corner = faces.T[::-1]  # [3, f]; clockwise on paper is what has a positive area where y runs down
    px, py = np.ascontiguousarray(points[:, 0]), np.ascontiguousarray(points[:, 1])
    x0, y0 = px[corner[0]], py[corner[0]]
    area = (px[corner[1]] - x0) * (py[corner[2]] - y0) - (py[corner[1]] - y0) * (px[corner[2]] - x0)
    kept = np.flatnonzero(area > 1e-6)
    corner, area = corner[:, kept], area[kept]
    x, y = px[corner], py[corner]
    top = np.maximum(np.ceil(y.min(0) - _SLACK), 0)
    bottom = np.minimum(np.floor(y.max(0) + _SLACK), height - 1)
    seen = (top <= bottom) & (x.max(0) > -1) & (x.min(0) < width)
    if depth.min() <= _NEAREST_MM:
        seen &= depth[corner].min(0) > _NEAREST_MM
    if not seen.all():
        some = np.flatnonzero(seen)
        kept, corner, area, top, bottom = kept[some], corner[:, some], area[some], top[some], bottom[some]
        x, y = x[:, some], y[:, some]
    top, bottom = top.astype(np.int32), bottom.astype(np.int32)

    # edge functions a x + b y + c [3, k], at least 0 inside; divided by the area they are the opposite corner's weight
    following, last = [1, 2, 0], [2, 0, 1]
    a = (y[following] - y[last]) / area
    b = (x[last] - x[following]) / area
    c = -(a * x[following] + b * y[following])

    # one entry for each row of each triangle, with its first and last pixel
    rows = bottom - top + 1
    triangle = np.repeat(np.arange(len(kept), dtype=np.int32), rows)
    row = np.arange(len(triangle), dtype=np.int32) + np.repeat(top - (np.cumsum(rows, dtype=np.int32) - rows), rows)
    first = np.full(len(row), -1.0, np.float32)
    final = np.full(len(row), width + 1.0, np.float32)
    for i in range(3):
        # where the edge crosses the row, as a line; it bounds the row from the left or from the right, a level edge
        # not at all or altogether
        level = np.abs(a[i]) < 1e-9
        steep = np.where(level, 1.0, a[i])
        bound = (-c[i] / steep).astype(np.float32)[triangle] + (-b[i] / steep).astype(np.float32)[triangle] * row
        left = ((a[i] > 0) & ~level)[triangle]
        np.maximum(first, bound, out=first, where=left)
        np.minimum(final, bound, out=final, where=~(left | level[triangle]))
    first = np.maximum(np.ceil(first - np.float32(_SLACK)), 0)
    counts = (np.minimum(np.floor(final + np.float32(_SLACK)), width - 1) - first + 1).astype(np.int32)
    filled = np.flatnonzero(counts > 0)
    triangle, row, first, counts = triangle[filled], row[filled], first[filled], counts[filled]

    # inverse depth is affine: its value at the first pixel of each row, and its step
    plane = 1.0 / depth[corner]
    step = (plane * a).sum(0).astype(np.float32)
    down, offset = (plane * b).sum(0), (plane * c).sum(0)
    start = (step[triangle] * first + down[triangle] * row + offset[triangle]).astype(np.float32)
    entry = np.repeat(np.arange(len(row), dtype=np.int32), counts)
    along = np.arange(len(entry), dtype=np.int32) - np.repeat(np.cumsum(counts) - counts, counts).astype(np.int32)
    value = start[entry] + step[triangle][entry] * along.astype(np.float32)
    pixel = (row * width + first.astype(np.int32))[entry] + along

    buffer = np.zeros(width * height, np.float32)
    np.maximum.at(buffer, pixel, value)
    front = np.flatnonzero(value >= buffer[pixel])
    nearest = np.full(width * height, -1, np.int32)
    nearest[pixel[front]] = triangle[entry[front]]
    covered = np.flatnonzero(nearest >= 0)
    winner = nearest[covered]
    across, downwards = (covered % width).astype(np.float32), (covered // width).astype(np.float32)
    weights = np.empty((len(covered), 3), np.float32)
    for i in range(3):
        weight = a[i].astype(np.float32)[winner] * across
        weight += b[i].astype(np.float32)[winner] * downwards
        weight += c[i].astype(np.float32)[winner]
        weights[:, 2 - i] = weight
    return Raster(covered, kept[winner], np.clip(weights, 0, 1, out=weights), buffer)
