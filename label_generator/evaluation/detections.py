"""A detector's errors on 2D key points, as measured on a real one, for protocol g; NumPy.

The figures are of the stacked-hourglass detections that are published for Human3.6M, against the true joints, on a
quarter of subject 11's views, without each joint's mean offset (which is another definition of the joint, protocol f):
robust standard deviations in mm at the person's distance, the share of joints that are somewhere else, how much of its
parent's error a joint has, and how rarely sides are exchanged. They are not what the networks were trained on
(`training.detector_noise`), though of the same kind.
"""

from __future__ import annotations

import numpy as np

from tools.pose.joints import POSE17

# Standard deviation in each direction, mm; of the trunk's middle, which was not measured, a shoulder's.
DEVIATION_MM = {"Shoulder": 21.0, "Elbow": 27.0, "Wrist": 28.0, "Hip": 32.0, "Knee": 24.0, "Foot": 19.0}
_MIDDLE_MM = 21.0
# Joints farther than 200 mm off, and the median of how far these are.
ELSEWHERE = {"Shoulder": 0.0014, "Elbow": 0.005, "Wrist": 0.025, "Hip": 0.0, "Knee": 0.018, "Foot": 0.016}
_ELSEWHERE_MM = 300.0
_ALONG_LIMB = 0.3
_DIFFICULTY = 0.27  # standard deviation of the logarithm of a view's median error
_FREEDOM = 6  # of Student's t: a tenth of wrists and feet are farther off than 2.2 to 2.9 medians
_EXCHANGED = 0.001


def _of(table: dict[str, float], otherwise: float) -> np.ndarray:
    return np.array([table.get(name if name == "Hip" else name[1:], otherwise) for name in POSE17.joints])


def with_errors(poses_2d: np.ndarray, mm: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Key points as a detector would give them.

    Args:
      poses_2d: [n, 17, 2] px, exact.
      mm: [n, 2] a millimetre at the person's distance, in px.

    Returns:
      [n, 17, 2] px.
    """
    poses_2d = np.array(poses_2d, np.float64)
    for limb in (("Hip", "Knee", "Foot"), ("Shoulder", "Elbow", "Wrist")):
        right, left = ([POSE17.index(side + name) for name in limb] for side in "RL")
        rows = np.flatnonzero(rng.random(len(poses_2d)) < _EXCHANGED)
        poses_2d[rows[:, None], right + left] = poses_2d[rows[:, None], left + right]
    independent = rng.standard_t(_FREEDOM, poses_2d.shape) / np.sqrt(_FREEDOM / (_FREEDOM - 2))
    independent *= _of(DEVIATION_MM, _MIDDLE_MM)[:, None]
    independent *= np.exp(_DIFFICULTY * rng.normal(size=(len(poses_2d), 1, 1)))
    error, pending = np.zeros_like(independent), list(range(POSE17.size))
    done: set[int] = set()
    while pending:
        joint = pending.pop(0)
        parent = POSE17.parents[joint]
        if parent >= 0 and parent not in done:
            pending.append(joint)
            continue
        # In such shares that a joint's error is as large as its own, whatever its parent's is.
        error[:, joint] = independent[:, joint]
        if parent >= 0:
            ratio = _of(DEVIATION_MM, _MIDDLE_MM)[joint] / _of(DEVIATION_MM, _MIDDLE_MM)[parent]
            error[:, joint] *= np.sqrt(1.0 - _ALONG_LIMB**2)
            error[:, joint] += _ALONG_LIMB * ratio * error[:, parent]
        done.add(joint)
    far = rng.random(error.shape[:2]) < _of(ELSEWHERE, 0.0)
    way = rng.uniform(0.0, 2.0 * np.pi, error.shape[:2])
    error += (far * _ELSEWHERE_MM)[..., None] * np.stack([np.cos(way), np.sin(way)], -1)
    return poses_2d + error * np.asarray(mm)[:, None]
