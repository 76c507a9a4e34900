"""Grids of surface points: tubes of varying elliptic section along a line, from which bodies are put together.

A grid is `[tubes, stations, around + 1, 3]`; its last column repeats the first, so that what runs around a tube has a
seam. Sections are spanned by `front` (angle 0) and `left` (a quarter turn on), right-handed with the tube's direction.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

# A rounded body: start [3], end [3], front [3] any vector, front and left radius at the start, the same two at the end
# (mm), sharpness.
Blob = tuple[np.ndarray, np.ndarray, np.ndarray, float, float, float, float, float]


class Mesh(NamedTuple):
    """A surface of triangles.

    Attributes:
      vertices, normals: [v, 3] float32, mm and unit length, world.
      uv: [v, 2] float32; what they mean is up to the part: along a tube, and the angle around it in radians.
      faces: [f, 3] corners, anticlockwise from outside.
      face_part: [f] number of the part each triangle belongs to.
    """

    vertices: np.ndarray
    normals: np.ndarray
    uv: np.ndarray
    faces: np.ndarray
    face_part: np.ndarray


def unit(vector: np.ndarray) -> np.ndarray:
    """`[..., 3]` at length 1; a zero vector stays one."""
    return vector / np.maximum(np.sqrt((vector * vector).sum(-1, keepdims=True)), 1e-9)


def cross(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The vector product of `[..., 3]` and `[..., 3]`; NumPy's own takes ten times as long for a few vectors."""
    a, b, c = first[..., 0], first[..., 1], first[..., 2]
    d, e, f = second[..., 0], second[..., 1], second[..., 2]
    return np.stack([b * f - c * e, c * d - a * f, a * e - b * d], -1)


def across(vector: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """The unit vector of what of `vector` is perpendicular to the unit vector `axis`, both `[..., 3]`."""
    return unit(vector - (vector * axis).sum(-1, keepdims=True) * axis)


def swing(vector: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """`vector` turned by the smallest rotation that takes unit vector `start` to unit vector `end`, all `[3]`."""
    closeness = 1.0 + start @ end
    if closeness < 1e-3:
        return vector
    middle = start + end
    return vector - middle * ((vector @ middle) / closeness) + 2 * end * (vector @ start)


@functools.cache
def angles(around: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The angles of a section's points, [around + 1] float32 from -pi to pi, their cosines and sines."""
    theta = np.linspace(-np.pi, np.pi, around + 1)
    return theta.astype(np.float32), np.cos(theta).astype(np.float32), np.sin(theta).astype(np.float32)


def tubes(
    centres: np.ndarray, front: np.ndarray, left: np.ndarray, front_radius: np.ndarray, left_radius: np.ndarray
) -> np.ndarray:
    """Grids [p, s, n + 1, 3] around centres [p, s, 3]; radii are [p, s, n + 1] mm, the axes [p, s, 3] unit vectors."""
    _, cos, sin = angles(front_radius.shape[-1] - 1)
    return (
        centres[..., None, :]
        + (front_radius * cos)[..., None] * front[..., None, :]
        + (left_radius * sin)[..., None] * left[..., None, :]
    ).astype(np.float32)


@functools.cache
def _blob_profile(stations: int, sharpness: float) -> tuple[np.ndarray, np.ndarray]:
    """Where the stations of a blob lie along it, 0-1, and how wide it is there."""
    along = 0.5 - 0.5 * np.cos(np.linspace(0.0, np.pi, stations))
    return along, np.maximum((1 - np.abs(2 * along - 1) ** sharpness) ** (1 / sharpness), 0.02)


def blobs(specs: Sequence[Blob], stations: int, around: int) -> np.ndarray:
    """Grids of rounded bodies between two end points.

    Args:
      specs: a list of (start [3], end [3], front [3] any vector, front radius and left radius at the start, the same
        two at the end, sharpness: 2 for an ellipsoid, more for blunter ends).
    """
    start, end, hint = (np.array([spec[i] for spec in specs], np.float64) for i in range(3))
    radii = np.array([spec[3:7] for spec in specs])
    profile = [_blob_profile(stations, spec[7]) for spec in specs]
    along, wide = (np.array([entry[i] for entry in profile]) for i in range(2))
    axis = unit(end - start)
    front = across(hint, axis)
    # a hint that lies along the axis says nothing: any direction will do then
    lost = (front * front).sum(-1) < 0.5
    if lost.any():
        front[lost] = across(np.eye(3)[np.abs(axis[lost]).argmin(-1)], axis[lost])
    left = cross(axis, front)
    centres = start[:, None] + along[..., None] * (end - start)[:, None]
    size = np.ones((1, 1, around + 1))
    radius = [((1 - along) * radii[:, None, i] + along * radii[:, None, i + 2]) * wide for i in range(2)]
    fronts, lefts = (np.broadcast_to(axes[:, None], centres.shape) for axes in (front, left))
    return tubes(centres, fronts, lefts, radius[0][..., None] * size, radius[1][..., None] * size)


def normals(grid: np.ndarray) -> np.ndarray:
    """Unit normals of a grid, pointing outwards, from differences between neighbours."""
    around = np.empty_like(grid)
    around[:, :, 1:-1] = grid[:, :, 2:] - grid[:, :, :-2]
    around[:, :, 0] = around[:, :, -1] = grid[:, :, 1] - grid[:, :, -2]
    along = np.empty_like(grid)
    along[:, 1:-1] = grid[:, 2:] - grid[:, :-2]
    along[:, 0], along[:, -1] = grid[:, 1] - grid[:, 0], grid[:, -1] - grid[:, -2]
    out = cross(around, along)
    out /= np.maximum(np.sqrt((out * out).sum(-1, keepdims=True)), 1e-6)
    return out


@functools.lru_cache(maxsize=64)
def _topology(shapes: tuple[tuple[int, ...], ...]) -> tuple[np.ndarray, np.ndarray]:
    """Faces and their parts of grids of the shapes [(tubes, stations, columns), ...] that follow one another."""
    faces, parts, first, part = [], [], 0, 0
    for count, stations, columns in shapes:
        index = first + np.arange(count * stations * columns).reshape(count, stations, columns)
        a, b, c, d = index[:, :-1, :-1], index[:, :-1, 1:], index[:, 1:, 1:], index[:, 1:, :-1]
        quads = np.stack([np.stack([a, b, c], -1), np.stack([a, c, d], -1)], -2)
        faces.append(quads.reshape(-1, 3))
        parts.append(np.repeat(part + np.arange(count), quads[0].size // 3))
        first, part = first + index.size, part + count
    return np.concatenate(faces), np.concatenate(parts)


def assemble(grids: Sequence[np.ndarray], along: Sequence[np.ndarray]) -> Mesh:
    """One mesh of several grids; parts are numbered in their order. along: for each grid [p, s], the first of uv."""
    faces, parts = _topology(tuple(grid.shape[:3] for grid in grids))
    uv = [
        np.stack(np.broadcast_arrays(value[..., None], angles(grid.shape[2] - 1)[0]), -1).reshape(-1, 2)
        for grid, value in zip(grids, along)
    ]
    return Mesh(
        np.concatenate([grid.reshape(-1, 3) for grid in grids]),
        np.concatenate([normals(grid).reshape(-1, 3) for grid in grids]),
        np.concatenate(uv).astype(np.float32),
        faces,
        parts,
    )


@functools.cache
def _unit_cube() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Corners [24, 3] at -1 and 1, four for each side, normals [24, 3], faces [12, 3], uv [24, 2] of a cube."""
    vertices: list[np.ndarray] = []
    outward: list[np.ndarray] = []
    faces: list[list[int]] = []
    for axis in range(3):
        for sign in (-1.0, 1.0):
            along, first, second = (np.eye(3)[(axis + i) % 3] for i in range(3))
            corners = [sign * along + s * first + t * second for s, t in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
            if sign < 0:
                corners.reverse()
            place = len(vertices)
            vertices += corners
            outward += [sign * along] * 4
            faces += [[place, place + 1, place + 2], [place, place + 2, place + 3]]
    uv = np.tile(np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32), (6, 1))
    return np.array(vertices), np.array(outward), np.array(faces), uv


def cuboid(low: Sequence[float] | np.ndarray, high: Sequence[float] | np.ndarray, turn: float) -> Mesh:
    """A box on the vertical axis through the middle of `low` and `high` [3] mm, turned about it by `turn` radians."""
    low, high = np.asarray(low, np.float64), np.asarray(high, np.float64)
    corners, outward, faces, uv = _unit_cube()
    cos, sin = np.cos(turn), np.sin(turn)
    rotation = np.array([[cos, sin, 0.0], [-sin, cos, 0.0], [0.0, 0.0, 1.0]])
    vertices = (low + high) / 2 + (corners * ((high - low) / 2)) @ rotation
    normal = (outward @ rotation).astype(np.float32)
    return Mesh(vertices.astype(np.float32), normal, uv, faces, np.zeros(len(faces), np.int64))


def join(first: Mesh, second: Mesh, part: int) -> Mesh:
    """Both meshes as one; all of the second is part number `part`."""
    return Mesh(
        np.concatenate([first.vertices, second.vertices]),
        np.concatenate([first.normals, second.normals]),
        np.concatenate([first.uv, second.uv]),
        np.concatenate([first.faces, second.faces + len(first.vertices)]),
        np.concatenate([first.face_part, np.full(len(second.faces), part)]),
    )
