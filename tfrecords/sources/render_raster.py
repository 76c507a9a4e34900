"""Triangles into pixels with a depth buffer: NumPy over all rows of all triangles at once, no loop over triangles.

Pixels are at integer coordinates, x right, y down. Depth is kept as its inverse, which is affine over a triangle.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

# Rows and columns that miss a pixel by less than this are taken in, so that neighbours leave no gap between them.
_SLACK = 1e-3


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
      depth: [v] mm; triangles with a corner at or behind the camera are left out.
      faces: [f, 3] corners.
    """
    points = np.asarray(points, np.float64)
    corners, faces = faces, faces[:, ::-1]  # clockwise on paper is what has a positive area where y runs down
    inverse = 1.0 / np.maximum(np.asarray(depth, np.float64), 1e-6)
    x, y = points[:, 0][faces], points[:, 1][faces]
    area = (x[:, 1] - x[:, 0]) * (y[:, 2] - y[:, 0]) - (y[:, 1] - y[:, 0]) * (x[:, 2] - x[:, 0])
    top = np.maximum(np.ceil(y.min(1) - _SLACK), 0)
    bottom = np.minimum(np.floor(y.max(1) + _SLACK), height - 1)
    seen = (area > 1e-6) & (top <= bottom) & (x.max(1) > -1) & (x.min(1) < width) & (depth[corners].min(1) > 1e-3)
    kept = np.flatnonzero(seen)
    x, y, area, top, bottom = x[kept], y[kept], area[kept], top[kept], bottom[kept]

    # edge functions a x + b y + c, at least 0 inside; opposite to corner k, so divided by the area they are its weight
    following, last = [1, 2, 0], [2, 0, 1]
    a = -(y[:, last] - y[:, following])
    b = x[:, last] - x[:, following]
    c = -(a * x[:, following] + b * y[:, following])
    a, b, c = a / area[:, None], b / area[:, None], c / area[:, None]

    # one entry for each row of each triangle, with its first and last pixel
    rows = (bottom - top + 1).astype(np.int64)
    triangle = np.repeat(np.arange(len(kept)), rows)
    row = np.arange(len(triangle)) - np.repeat(np.cumsum(rows) - rows, rows) + top[triangle].astype(np.int64)
    slope, rest = a[triangle], b[triangle] * row[:, None] + c[triangle]
    with np.errstate(divide="ignore", invalid="ignore"):
        bound = -rest / slope
    first = np.where(slope > 1e-12, bound, -np.inf).max(1)
    final = np.where(slope < -1e-12, bound, np.inf).min(1)
    outside = ((np.abs(slope) <= 1e-12) & (rest < -_SLACK)).any(1)
    first = np.maximum(np.ceil(first - _SLACK), 0)
    final = np.where(outside, -1, np.minimum(np.floor(final + _SLACK), width - 1))
    filled = np.flatnonzero(final >= first)
    triangle, row, first = triangle[filled], row[filled], first[filled]
    counts = (final[filled] - first + 1).astype(np.int64)

    # inverse depth is affine: its value at the first pixel of each row, and its step
    plane = inverse[faces[kept]]
    step = (plane * a).sum(1)[triangle]
    start = (plane[triangle] * (a[triangle] * first[:, None] + b[triangle] * row[:, None] + c[triangle])).sum(1)
    entry = np.repeat(np.arange(len(row)), counts)
    along = (np.arange(len(entry)) - np.repeat(np.cumsum(counts) - counts, counts)).astype(np.float32)
    value = start.astype(np.float32)[entry] + step.astype(np.float32)[entry] * along
    pixel = (row * width + first.astype(np.int64))[entry] + along.astype(np.int64)

    buffer = np.zeros(width * height, np.float32)
    np.maximum.at(buffer, pixel, value)
    front = np.flatnonzero(value >= buffer[pixel])
    nearest = np.full(width * height, -1, np.int64)
    nearest[pixel[front]] = triangle[entry[front]]
    covered = np.flatnonzero(nearest >= 0)
    winner = nearest[covered]
    across, down = (covered % width).astype(np.float32), (covered // width).astype(np.float32)
    a, b, c = (coefficient.astype(np.float32)[winner] for coefficient in (a, b, c))
    weights = np.clip(a * across[:, None] + b * down[:, None] + c, 0, 1)
    return Raster(covered, kept[winner], weights[:, ::-1], buffer)
