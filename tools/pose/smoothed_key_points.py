"""Key points of a clip without the part of their errors that changes from frame to frame.

A lifter looks at one picture at a time and can't tell a detector's error from a pose: with 5 px of noise its labels are
wrong by twice what they are without. A clip shows the noise: fourth differences of neighbouring frames have much of
it and little of a movement. What is measured decides how much is smoothed, down to nothing where key points are exact.

Whittaker's smoother: the most probable path for white noise and white accelerations of the measured sizes; it has no
phase delay. Not in the paper, which labels single images.
"""

from __future__ import annotations

import numpy as np
from scipy import linalg

LEAST_FRAMES = 12  # of which the fourth differences say something
# Of white noise of unit variance: variances of second and fourth differences. Accelerations that change from frame to
# frame as they like have as much of the former in the latter.
_SECOND, _FOURTH = 6.0, 70.0
_SQUARED_MEDIAN = 0.4549  # of a squared normal variable of unit variance
_LEAST_MOTION = 0.02  # of the second differences' variance, so that no clip is smoothed without limit
# Labels are smoothed too, so key points are by half of what would make them best by themselves. Chosen on subjects 6
# and 144, left out of training (of 0.5, 1, 2), as was the next line (of 1.5, 2.5, none).
_SHARE = 0.5
_HUBER, _ROUNDS = 2.5, 3  # standard deviations from which on a key point counts less than its square


def noise_and_motion(points: np.ndarray) -> tuple[float, float]:
    """Standard deviations in px of a clip's noise and of its accelerations per frame squared, over all joints.

    Args:
      points: [T, J, 2] px in frames at equal distances, NaN where a joint was not seen.

    Returns:
      (noise, acceleration), each of one coordinate; noise is 0 where movement alone explains the differences, and where
      there are too few frames.
    """
    if len(points) < LEAST_FRAMES:
        return 0.0, 0.0
    second, fourth = (_variance(np.diff(points, order, axis=0)) for order in (2, 4))
    noise = max(fourth - _SECOND * second, 0.0) / (_FOURTH - _SECOND**2)
    return float(np.sqrt(noise)), float(np.sqrt(max(second - _SECOND * noise, _LEAST_MOTION * second)))


def smoothed(points: np.ndarray) -> tuple[np.ndarray, float]:
    """The clip's key points smoothed by as much as its noise asks for.

    Args:
      points: [T, J, 2] px in frames at equal distances, NaN where a joint was not seen.

    Returns:
      (points [T, J, 2], NaN where they were; the noise in px, and if it is 0 the points as they were).
    """
    noise, motion = noise_and_motion(points)
    if not noise or not motion:
        return points, 0.0
    result = np.array(points, np.float64)
    for joint in range(points.shape[1]):
        given = points[:, joint].astype(np.float64)
        visible = np.isfinite(given).all(-1)
        if visible.sum() > 2:
            result[visible, joint] = _path(given, visible, noise, motion)[visible]
    return result, noise


def _path(given: np.ndarray, visible: np.ndarray, noise: float, motion: float) -> np.ndarray:
    """[T, 2] the most probable path; points far from it count less (Huber)."""
    frames, stiffness = len(given), _SHARE * (noise / motion) ** 2
    band = np.zeros((3, frames))  # of D'D, D the second difference: the upper diagonals as SciPy stores them
    band[2, :-2] += stiffness
    band[2, 1:-1] += 4.0 * stiffness
    band[2, 2:] += stiffness
    band[1, 1:-1] -= 2.0 * stiffness
    band[1, 2:] -= 2.0 * stiffness
    band[0, 2:] += stiffness
    weights, filled = visible.astype(np.float64), np.where(visible[:, None], given, 0.0)
    for _ in range(_ROUNDS):
        matrix = band.copy()
        matrix[2] += weights + 1e-9
        path = linalg.solveh_banded(matrix, weights[:, None] * filled, check_finite=False)
        off = np.linalg.norm(filled - path, axis=-1) / noise
        weights = visible * np.minimum(1.0, _HUBER / np.maximum(off, 1e-9))
    return path


def _variance(differences: np.ndarray) -> float:
    """The mean over joints of a robust variance of their differences [T, J, 2]; 0 where no joint has any."""
    values = [d[np.isfinite(d)] for d in np.moveaxis(differences, 1, 0)]
    values = [np.median(d**2) / _SQUARED_MEDIAN for d in values if len(d)]
    return float(np.mean(values)) if values else 0.0
