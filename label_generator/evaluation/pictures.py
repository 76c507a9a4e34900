"""Protocol h: people in pictures by cameras that nobody calibrated, of which the size alone is known.

Where people are in the picture and how large has the statistics of 20,512 annotated people of MPII, whose pictures are
frames of videos; focal lengths are those of usual lenses, from a phone's 24 mm to 105 mm (equivalents on 35 mm film),
uniform in their logarithm.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

SIZE_PX = (1280, 720)
FOCAL_MM = (24.0, 105.0)
FILM_MM = 43.27  # diagonal of 36 mm x 24 mm
# Shares of the picture's diagonal: where the middle of the hips is, from the picture's middle (mean and standard
# deviation to the right and down), and the root-mean-square distance of the joints from their middle (its logarithm).
_ASIDE, _DOWN, _LOG_SIZE = (0.0, 0.168), (0.021, 0.07), (-2.46, 0.417)


class Pictures(NamedTuple):
    """People: poses_3d [n, 17, 3] and roots [n, 3] mm in camera axes, poses_2d [n, 17, 2] and intrinsics [n, 4] px."""

    poses_3d: np.ndarray
    roots: np.ndarray
    poses_2d: np.ndarray
    intrinsics: np.ndarray


def placed_in_pictures(poses_3d: np.ndarray, roots: np.ndarray, rng: np.random.Generator) -> Pictures:
    """Each person as seen by another camera, from the same side: elsewhere in its picture, at another distance.

    Args:
      poses_3d: [n, 17, 3] mm relative to the root, roots: [n, 3] mm, in the axes of any camera.
    """
    count = len(poses_3d)
    diagonal = float(np.hypot(*SIZE_PX))
    shortest, longest = FOCAL_MM
    focal = diagonal / FILM_MM * shortest * (longest / shortest) ** rng.uniform(0.0, 1.0, count)
    offset = diagonal * np.stack([rng.normal(*_ASIDE, count), rng.normal(*_DOWN, count)], 1)
    offset = np.clip(offset, -0.48 * np.array(SIZE_PX), 0.48 * np.array(SIZE_PX))
    size_px = diagonal * np.exp(rng.normal(*_LOG_SIZE, count).clip(_LOG_SIZE[0] - 0.85, _LOG_SIZE[0] + 0.85))
    ray = np.concatenate([offset / focal[:, None], np.ones((count, 1))], 1)
    on_axis = np.einsum("nab,njb->nja", _to_axis(roots), poses_3d)
    across = on_axis[..., :2] - on_axis[..., :2].mean(1, keepdims=True)
    distance = np.sqrt((across**2).sum(-1).mean(1)) * focal / size_px
    poses = np.einsum("nba,njb->nja", _to_axis(ray), on_axis)
    places = ray / np.linalg.norm(ray, axis=1, keepdims=True) * distance[:, None]
    points = poses + places[:, None]
    middle = np.array(SIZE_PX) / 2.0
    depth = np.maximum(points[..., 2:], 1.0)
    poses_2d = points[..., :2] / depth * focal[:, None, None] + middle
    intrinsics = np.stack([focal, focal, np.full(count, middle[0]), np.full(count, middle[1])], 1)
    result = Pictures(poses, places, poses_2d, intrinsics)
    return Pictures(*(values.astype(np.float32) for values in result))


def nearest_mm(pictures: Pictures) -> np.ndarray:
    """[n] depth of each person's nearest joint."""
    return (pictures.poses_3d[..., 2] + pictures.roots[:, None, 2]).min(1)


def _to_axis(directions: np.ndarray) -> np.ndarray:
    """[n, 3, 3] the smallest rotations that turn directions [n, 3] with positive z onto (0, 0, 1)."""
    x, y, z = (directions / np.linalg.norm(directions, axis=1, keepdims=True)).T
    k = 1.0 / (1.0 + z)
    rows = ([1.0 - k * x * x, -k * x * y, -x], [-k * x * y, 1.0 - k * y * y, -y], [x, y, z])
    return np.stack([np.stack(row, -1) for row in rows], -2)
