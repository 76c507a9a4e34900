"""Labels of a stream made smooth as they come: causal, one person, one frame at a time.

Files have better, see `sequences`: it knows the frames to come, so it neither lags nor has to learn the bones first.
"""

from __future__ import annotations

import math

import numpy as np

from tools.pose import bones
from tools.pose.joints import POSE17


class OneEuroFilter:
    """The One-Euro filter of Casiez, Roussel and Vogel (CHI 2012): a low pass that opens when the signal moves fast.

    Every number of an array is filtered on its own.
    """

    def __init__(self, min_cutoff_hz: float = 1.0, beta: float = 0.007, derivative_cutoff_hz: float = 1.0):
        """min_cutoff_hz: of a signal at rest; lower is smoother. beta: Hz by which the cutoff rises for each unit a
        second; higher lags less. derivative_cutoff_hz: of the speed. Raises ValueError unless cutoffs are above 0."""
        if not (min_cutoff_hz > 0 and derivative_cutoff_hz > 0 and beta >= 0):
            raise ValueError(f"cutoffs above 0 and beta >= 0, got {min_cutoff_hz}, {derivative_cutoff_hz}, {beta}")
        self._min_cutoff, self._beta, self._derivative_cutoff = min_cutoff_hz, beta, derivative_cutoff_hz
        self._value: np.ndarray | None = None
        self._speed: np.ndarray | None = None
        self._time_s = 0.0

    def __call__(self, value: np.ndarray, time_s: float) -> np.ndarray:
        """The filtered value at a time, which must be later than the one before.

        NaN is not taken in: the last filtered number stands there.
        """
        value = np.asarray(value, np.float64)
        if self._value is None:
            self._value, self._speed, self._time_s = value.copy(), np.zeros_like(value), time_s
            return self._value.copy()
        step = time_s - self._time_s
        if not step > 0:
            raise ValueError(f"times must rise, got {time_s} after {self._time_s}")
        last = np.where(np.isnan(self._value), value, self._value)
        speed = np.where(np.isnan(value), 0.0, (value - last) / step)
        self._speed += _share(self._derivative_cutoff, step) * (speed - self._speed)
        share = _share(self._min_cutoff + self._beta * np.abs(self._speed), step)
        self._value = np.where(np.isnan(value), last, last + share * (value - last))
        self._time_s = time_s
        return self._value.copy()


def _share(cutoff_hz: float | np.ndarray, step_s: float) -> float | np.ndarray:
    """How much of the new value a first-order low pass takes."""
    turn = 2.0 * math.pi * cutoff_hz * step_s
    return turn / (turn + 1.0)


class LabelStream:
    """The labels of one person, smoothed as they come: constant bones, learnt on the way, and One-Euro filters.

    The bones' lengths are running means, so they settle in the first second or so; poses then have exactly these.
    """

    def __init__(self, min_cutoff_hz: float = 1.5, beta: float = 0.003, bone_frames: int = 300):
        """min_cutoff_hz, beta: of the filters, for mm. bone_frames: the lengths follow the last so many frames."""
        self._pose = OneEuroFilter(min_cutoff_hz, beta)
        self._root = OneEuroFilter(min_cutoff_hz, beta)
        self._log_lengths, self._weight, self._most = np.zeros(POSE17.size), np.zeros(POSE17.size), bone_frames
        self.lengths = np.zeros(POSE17.size)

    def __call__(
        self, pose_3d: np.ndarray, root: np.ndarray, time_s: float, expected_mm: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Takes one label and returns what is to be shown.

        Args:
          pose_3d: [17, 3] mm relative to the root. root: [3] mm. NaN where there is no label.
          time_s: of the frame; times must rise.
          expected_mm: [17] errors to be expected of the joints; None: all alike.

        Returns:
          pose [17, 3] mm and root [3] mm; NaN before the first label.
        """
        pose_3d, root = np.asarray(pose_3d, np.float64), np.asarray(root, np.float64)
        if np.isfinite(pose_3d).all():
            self._learn(pose_3d, expected_mm)
        pose, root = self._pose(pose_3d, time_s), self._root(root, time_s)
        if not np.isfinite(pose).all():
            return np.full_like(pose, np.nan), np.full_like(root, np.nan)
        return bones.with_bone_lengths(pose, self.lengths), root

    def _learn(self, pose_3d: np.ndarray, expected_mm: np.ndarray | None) -> None:
        ends, starts = bones.ENDS, bones.STARTS
        logs = np.log(np.maximum(np.linalg.norm(pose_3d[ends] - pose_3d[starts], axis=-1), 1.0))
        errors = np.ones(POSE17.size) if expected_mm is None else np.asarray(expected_mm, np.float64)
        weight = 1.0 / np.maximum(errors[ends] ** 2 + errors[starts] ** 2, 1e-6)
        self._weight[ends] = self._weight[ends] * (1.0 - 1.0 / self._most) + weight
        self._log_lengths[ends] += weight / self._weight[ends] * (logs - self._log_lengths[ends])
        self.lengths[ends] = np.exp(self._log_lengths[ends])
