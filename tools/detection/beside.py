"""People beside others: read once more with everything around them covered.

Somebody who stands close to others is read by the landmark network as a mixture of them. Where what lies outside of a
first reading is grey, the second is of one person. Such readings look distinct on other things too, so they count only
in pictures in which somebody was found without them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tools.detection import fusion, regions
from tools.detection.mediapipe_models import JOINT_SET, LandmarkNetwork, Landmarks
from tools.detection.regions import Likeness, Region
from tools.pose import joints

_SET = joints.joint_set(JOINT_SET)
LIMBS = [_SET.index(side + name) for side in "LR" for name in ("Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Ankle")]


class Limits(NamedTuple):
    """Which readings are people beside others. Chosen on the photographs of COCO with several people.

    Attributes:
      score: least of the detector's for a candidate, in the whole picture and in tiles.
      sureness: of the first look, in which others are seen too; less is not worth another.
      covered_presence: of the look at what is not covered.
      sureness_covered: least of that look, which the look without a cover has to agree with.
      apart: they agree where the limbs are on the mean nearer than this share of the person's size.
      sizes: somebody known is at most so many times as large or small as a candidate.
      margin: the part that is not covered is so much larger than the box around the first reading.
    """

    score: float = 0.2
    sureness: float = 0.36
    covered_presence: float = 0.5
    sureness_covered: float = 0.45
    apart: float = 0.2
    sizes: float = 2.5
    margin: float = 0.15


def look(
    network: LandmarkNetwork,
    picture: np.ndarray,
    region: Region,
    first: Landmarks | None,
    certain: Sequence[Region],
    same: Likeness,
    limits: Limits,
) -> Landmarks | None:
    """The person in a region of a picture [H, W, 3] uint8 BGR, or None.

    Args:
      network: with the body head. first: what it read there before, if it was asked.
      certain: where people are who are known; they are not read again. same: regions so alike show the same person.
    """
    first = first or network.look(picture, region)
    if first.sureness < limits.sureness or not first.following.side > 1.0:
        return None
    if any(regions.alike(first.following, known, same) for known in certain):
        return None
    covered = network.look(picture, first.following, within=around(_corrected(first), limits.margin))
    if covered.presence < limits.covered_presence or covered.sureness < limits.sureness_covered:
        return None
    return covered if agree(covered, network.look(picture, first.following), limits.apart) else None


def around(points: np.ndarray, margin: float) -> np.ndarray:
    """[4] px: left, top, right, bottom of a box around points [n, 2], larger by a share of its size and 2 px."""
    low, high = points.min(0), points.max(0)
    middle, half = (low + high) / 2, (high - low) / 2 * (1 + margin) + 2
    return np.concatenate([middle - half, middle + half])


def agree(one: Landmarks, other: Landmarks, apart: float) -> bool:
    """Whether the limbs of two readings are nearer to each other than a share of the first one's size."""
    limbs, others = _corrected(one)[LIMBS], _corrected(other)[LIMBS]
    return bool(np.linalg.norm(limbs - others, axis=-1).mean() <= apart * np.ptp(limbs, axis=0).max())


def _corrected(found: Landmarks) -> np.ndarray:
    if found.body is None:
        return found.points
    return fusion.corrected(found.points, found.visibility, found.body)
