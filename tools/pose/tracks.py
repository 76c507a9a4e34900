"""Identities of people in a video, and which frames make one clip: functions on arrays."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from tools.pose.joints import POSE17

# The same person is seen this near, as a share of their height in the picture, and farther as frames go by.
_GATE, _GATE_PER_FRAME = 0.4, 0.05
_NEVER = 1e6
# From the root-mean-square distance of joints to their middle to a standing person's height, roughly.
_HEIGHT = 3.5
LEAST_FRAMES = 5  # shorter pieces say little about how a person moves


def identities(frames: np.ndarray, poses_2d: np.ndarray, most_gap: int = 30) -> np.ndarray:
    """Numbers the people of a video so that the same person keeps their number: Hungarian matching frame by frame.

    Args:
      frames: [N] ascending frame numbers; several rows may be of one frame. poses_2d: [N, 17, 2] px, NaN where missing.
      most_gap: a person who was missing for more frames gets a new number.

    Returns:
      [N] int64 numbers from 0 on in the order of appearance; -1 where no joint was seen.
    """
    numbers = np.full(len(frames), -1, np.int64)
    visible = np.isfinite(poses_2d).all(-1).any(1)
    known: dict[int, tuple[int, np.ndarray]] = {}  # number -> frame and pose of the last time
    count = 0
    starts = np.flatnonzero(np.r_[True, frames[1:] != frames[:-1]][: len(frames)])
    for start, stop in zip(starts, [*starts[1:], len(frames)]):
        frame = int(frames[start])
        rows = start + np.flatnonzero(visible[start:stop])
        known = {number: last for number, last in known.items() if frame - last[0] <= most_gap}
        candidates = list(known)
        cost = np.full((len(rows), len(candidates)), _NEVER)
        for i, row in enumerate(rows):
            for k, number in enumerate(candidates):
                before, pose = known[number]
                apart = _apart(poses_2d[row], pose)
                if apart <= _GATE + _GATE_PER_FRAME * (frame - before - 1):
                    cost[i, k] = apart
        for i, k in zip(*linear_sum_assignment(cost)):
            if cost[i, k] < _NEVER:
                numbers[rows[i]] = candidates[k]
        for row in rows:
            if numbers[row] < 0:
                numbers[row], count = count, count + 1
            known[int(numbers[row])] = frame, poses_2d[row]
    return numbers


def _apart(one: np.ndarray, other: np.ndarray) -> float:
    """Mean distance of the joints that both have, as a share of the larger one's height."""
    both = np.isfinite(one).all(-1) & np.isfinite(other).all(-1)
    if both.any():
        distance = np.linalg.norm(one[both] - other[both], axis=-1).mean()
    else:
        distance = np.linalg.norm(np.nanmean(one, 0) - np.nanmean(other, 0))
    return float(distance / max(_HEIGHT * spread(one), _HEIGHT * spread(other), 1.0))


def spread(pose_2d: np.ndarray) -> float:
    """Root-mean-square distance of a pose's joints [17, 2] from their middle, px."""
    visible = pose_2d[np.isfinite(pose_2d).all(-1)]
    return float(np.sqrt(((visible - visible.mean(0)) ** 2).sum(-1).mean())) if len(visible) else 0.0


def frame_step(frames: np.ndarray) -> int:
    """The commonest distance of neighbouring frame numbers [N]; 1 where there is but one frame."""
    steps = np.diff(np.unique(frames))
    if not len(steps):
        return 1
    values, counts = np.unique(steps, return_counts=True)
    return int(values[np.argmax(counts)])


def pieces(frames: np.ndarray, usable: np.ndarray, step: int, most_gap: int) -> list[np.ndarray]:
    """The rows of one person cut where they were away for more than `most_gap` steps.

    Args:
      frames: [N] ascending. usable: [N] bool, the frame has a label.

    Returns:
      for each piece its rows, the first and the last of them usable; of a frame that is there twice the first row.
    """
    rows = np.flatnonzero(usable)
    rows = rows[np.r_[True, frames[rows][1:] != frames[rows][:-1]]] if len(rows) else rows
    if not len(rows):
        return []
    cuts = np.flatnonzero(np.diff(frames[rows]) > most_gap * step) + 1
    return list(np.split(rows, cuts))


def nominal_camera(
    poses_2d: np.ndarray, image_size: tuple[int, int] | None, body_mm: float, distance_mm: float
) -> np.ndarray:
    """A camera for a clip without intrinsics: its people are at the nominal distance in the median.

    Args:
      poses_2d: [N, 17, 2] px, NaN where missing. image_size: width and height, px, or None: then the axis passes
        through the middle of all that is seen.
      body_mm: root-mean-square distance of joints from their middle, across the view.

    Returns:
      [4] fx, fy, cx, cy px.
    """
    sizes = [size for size in map(spread, poses_2d) if size > 0]
    focal = distance_mm / body_mm * (float(np.median(sizes)) if sizes else 1.0)
    if image_size is not None:
        middle = np.array(image_size, np.float64) / 2.0
    else:
        visible = poses_2d[np.isfinite(poses_2d).all(-1)]
        middle = (visible.min(0) + visible.max(0)) / 2.0 if len(visible) else np.zeros(2)
    return np.array([focal, focal, *middle])


def placed_by_nominal_camera(
    poses_3d: np.ndarray, roots: np.ndarray, poses_2d: np.ndarray, camera: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Labels that were made without intrinsics, each as if the person stood on the camera's axis, put where they are.

    Args:
      poses_3d: [N, 17, 3] mm, roots: [N, 3] mm of the labels. poses_2d: [N, 17, 2] px. camera: of `nominal_camera`.

    Returns:
      (poses [N, 17, 3] in the axes of that camera, roots [N, 3]): turned by the angle under which it sees the root, and
      as far away as their size in the picture says.
    """
    hips = [POSE17.index("RHip"), POSE17.index("LHip")]
    root_2d = poses_2d[:, POSE17.root]
    for other in (
        poses_2d[:, hips].mean(1),
        np.array([np.nanmean(p, 0) if np.isfinite(p).any() else p[0] for p in poses_2d]),
    ):
        root_2d = np.where(np.isfinite(root_2d), root_2d, other)
    ray = np.concatenate([(root_2d - camera[2:]) / camera[:2], np.ones((len(root_2d), 1))], -1)
    ray /= np.linalg.norm(ray, axis=-1, keepdims=True)
    turned = np.einsum("nab,njb->nja", _from_axis(ray), poses_3d)
    # Every person was scaled to one size before lifting; in one camera for all frames the smaller one is farther away.
    sizes = np.array([max(spread(pose), 1e-6) for pose in poses_2d])
    distance = (
        np.linalg.norm(roots, axis=-1) * np.median(sizes[sizes > 1e-6] if (sizes > 1e-6).any() else sizes) / sizes
    )
    return turned, ray * distance[:, None]


def _from_axis(ray: np.ndarray) -> np.ndarray:
    """[N, 3, 3] the smallest rotations that turn (0, 0, 1) onto unit vectors [N, 3] with positive z."""
    x, y, z = ray.T
    k = 1.0 / (1.0 + z)
    return np.stack(
        [
            np.stack([1.0 - k * x * x, -k * x * y, x], -1),
            np.stack([-k * x * y, 1.0 - k * y * y, y], -1),
            np.stack([-x, -y, z], -1),
        ],
        -2,
    )
