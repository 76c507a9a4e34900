"""A person of a picture, and whether two readings are of one person."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tools.detection import beside
from tools.detection.mediapipe_models import JOINT_SET
from tools.detection.regions import Region
from tools.detection.settings import Settings
from tools.pose import joints

_SET = joints.joint_set(JOINT_SET)
# Joints by which people are compared and measured: those of the face are too near to each other.
LIMBS = beside.LIMBS
TORSO = [_SET.index(name) for name in ("LShoulder", "RShoulder", "LHip", "RHip")]
# For `Settings.same_torso`: of the smaller person's size to the larger's, and of their boxes' overlap.
_LIKE_SIZE, _TOUCHING = 0.6, 0.1


class Person(NamedTuple):
    """One person.

    Attributes:
      points: [33, 2] px. visibility, inside: [33] 0..1, see `mediapipe_models.Landmarks`.
      world: [33, 3] metres from the middle of the hips, x right, y down, z away.
      presence, sureness, score: 0..1: of a person being there, of how distinct the landmarks are, and the detector's
      score.
      following: where to look for them in the next frame.
    """

    points: np.ndarray
    visibility: np.ndarray
    inside: np.ndarray
    world: np.ndarray
    presence: float
    sureness: float
    score: float
    following: Region

    @property
    def box(self) -> np.ndarray:
        """[4] px: x, y of the upper left corner, width, height of a box around all landmarks and the crown."""
        crown = joints.convert(self.points, JOINT_SET)[0][joints.POSE17.index("Head")]
        points = np.concatenate([self.points, crown[None]])
        low, high = points.min(0), points.max(0)
        return np.concatenate([low, high - low])

    @property
    def size(self) -> float:
        """The longer side of the box around the limbs, px."""
        return float(max(np.ptp(self.points[LIMBS], axis=0).max(), 1e-6))


def same_person(one: Person, other: Person, settings: Settings) -> bool:
    """Whether two are readings of one person: limbs at the same places, or bodies."""
    size = max(one.size, other.size)
    apart = np.linalg.norm(one.points[LIMBS] - other.points[LIMBS], axis=-1).mean()
    if apart < settings.same_pose * size:
        return True
    boxes = [
        np.concatenate([limbs.min(0), np.ptp(limbs, axis=0)]) for limbs in (one.points[LIMBS], other.points[LIMBS])
    ]
    overlap = overlap_of(*boxes)
    if overlap >= settings.same_box:
        return True
    torsos = one.points[TORSO].mean(0) - other.points[TORSO].mean(0)
    similar = min(one.size, other.size) > _LIKE_SIZE * size and overlap > _TOUCHING
    return bool(similar and np.hypot(*torsos) < settings.same_torso * size)


def overlap_of(one: np.ndarray, other: np.ndarray) -> float:
    """Intersection over union of boxes [4] (x, y, width, height)."""
    low, high = np.maximum(one[:2], other[:2]), np.minimum(one[:2] + one[2:], other[:2] + other[2:])
    common = np.prod(np.maximum(high - low, 0.0))
    return float(common / max(np.prod(one[2:]) + np.prod(other[2:]) - common, 1e-9))


def joint_mask(person: Person, least: float) -> np.ndarray:
    """[33] bool: landmarks inside of the picture's region that are visible by `least` or more."""
    return (person.inside >= 0.5) & (person.visibility >= least)
