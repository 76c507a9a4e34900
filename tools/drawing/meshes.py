"""3D skeletons as meshes, for viewers that take triangles, such as TensorBoard's mesh tab."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from tools.drawing import drawing

_APART_M, _ABOVE_M = 1.6, 2.4  # between people who stand beside each other, and between rows of people
_RADIUS = 0.12  # of a bone, as a share of its length
_WIDEST_M = 0.03
_TRUTH = (150, 150, 150)  # RGB
# A bone is two pyramids on one square: from its start, over a square near it, to its end.
_FACES = np.array([[0, 2, 1], [0, 3, 2], [0, 4, 3], [0, 1, 4], [5, 1, 2], [5, 2, 3], [5, 3, 4], [5, 4, 1]])


class Mesh(NamedTuple):
    """Triangles.

    vertices: [V, 3] float32 m, x right, y up, z towards the viewer. faces: [F, 3] int32 numbers of vertices.
    colours: [V, 3] uint8 RGB.
    """

    vertices: np.ndarray
    faces: np.ndarray
    colours: np.ndarray


def skeletons(poses_3d: np.ndarray, truth_3d: np.ndarray | None = None, joint_set: drawing.JointSetLike = None) -> Mesh:
    """People beside each other in as many rows as columns or one less, the true poses in grey in the same places.

    Args:
      poses_3d: [P, J, 3] mm, x right, y down, z away. Bones with joints that are not finite are left out.
      truth_3d: the same, or None.
    """
    skeleton = drawing.skeleton_of(joint_set)
    parts = [_bones(np.asarray(poses_3d, np.float64), skeleton, None)]
    if truth_3d is not None:
        parts.append(_bones(np.asarray(truth_3d, np.float64), skeleton, _TRUTH))
    starts = np.concatenate([part[0] for part in parts])
    ends = np.concatenate([part[1] for part in parts])
    colours = np.concatenate([part[2] for part in parts])
    along = ends - starts
    lengths = np.linalg.norm(along, axis=-1, keepdims=True)
    good = np.isfinite(lengths[:, 0]) & (lengths[:, 0] > 1e-6)
    starts, ends, along, lengths, colours = (x[good] for x in (starts, ends, along, lengths, colours))
    along = along / lengths
    # Any direction that is not the bone's gives one across it.
    other = np.where(np.abs(along[:, :1]) < 0.9, [[1.0, 0.0, 0.0]], [[0.0, 1.0, 0.0]])
    across = np.cross(along, other)
    across /= np.linalg.norm(across, axis=-1, keepdims=True)
    radius = np.minimum(_RADIUS * lengths, _WIDEST_M)
    sides = [across * radius, np.cross(along, across) * radius]
    middle = starts + 0.2 * lengths * along
    square = [middle + sides[0], middle + sides[1], middle - sides[0], middle - sides[1]]
    vertices = np.stack([starts, *square, ends], 1)
    faces = _FACES[None] + 6 * np.arange(len(vertices))[:, None, None]
    return Mesh(
        vertices.reshape(-1, 3).astype(np.float32),
        faces.reshape(-1, 3).astype(np.int32),
        np.repeat(colours, 6, axis=0).astype(np.uint8),
    )


def _bones(
    poses: np.ndarray, skeleton: drawing.Skeleton, colour: tuple[int, int, int] | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Starts and ends [P * bones, 3] m, and colours [P * bones, 3] RGB, by side where `colour` is None."""
    placed = poses * [0.001, -0.001, -0.001]
    row, column = np.divmod(np.arange(len(poses)), max(math.ceil(math.sqrt(len(poses))), 1))
    placed = placed + np.stack([_APART_M * column, -_ABOVE_M * row, 0.0 * row], 1)[:, None]
    pairs, colours = np.array(skeleton.limbs), skeleton.colours()
    by_side = [colours[end][::-1] if colour is None else colour for _, end in pairs]
    return (
        placed[:, pairs[:, 0]].reshape(-1, 3),
        placed[:, pairs[:, 1]].reshape(-1, 3),
        np.tile(np.array(by_side, np.float64), (len(poses), 1)),
    )
