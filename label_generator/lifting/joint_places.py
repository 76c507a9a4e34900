"""2D joints that another data set puts elsewhere, brought to the reference skeleton's places before lifting.

MPII's HeadTop is the crown and its hips are the anatomical joint centres (docs/joints.md), so that a network takes the
longer head and the shorter trunk for a lean. Joint sets are corrected for which two kinds of data agree: proportions of
upright annotated people (15,168 of MPII) against the reference skeleton's, and a detector's joints against measured 3D.
LSP's proportions are close to the reference skeleton's: its joints are left alone.

Not in the paper, which copies MPII's joints by name.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from tools.pose.joints import POSE17

_I = {name: POSE17.index(name) for name in POSE17.joints}
_HIPS = [_I["RHip"], _I["LHip"]]
_SHOULDERS = [_I["RShoulder"], _I["LShoulder"]]


@dataclasses.dataclass(frozen=True)
class Correction:
    """How far joints move: the hips and Hip towards the middle of the shoulders, as a share of the way from the middle
    of the hips; Head towards Thorax, as a share of the way."""

    hips_up: float
    head_down: float


CORRECTIONS = {"mpii16": Correction(hips_up=0.07, head_down=0.28)}


def corrected(poses_2d: np.ndarray, labelled: np.ndarray, joint_set: str) -> np.ndarray:
    """Poses made from `joint_set` with their joints at the reference skeleton's places.

    Args:
      poses_2d: [N, 17, 2] px, labelled: [N, 17] bool. A joint is moved where all that its way depends on is labelled.

    Returns:
      [N, 17, 2]; the same array where the set needs no correction.
    """
    correction = CORRECTIONS.get(joint_set)
    if correction is None:
        return poses_2d
    result = poses_2d.copy()
    trunk = labelled[:, _HIPS + _SHOULDERS].all(1)
    up = poses_2d[:, _SHOULDERS].mean(1) - poses_2d[:, _HIPS].mean(1)
    for joint in (*_HIPS, POSE17.root):
        result[trunk, joint] += correction.hips_up * up[trunk]
    neck, head = _I["Thorax"], _I["Head"]
    both = labelled[:, neck] & labelled[:, head]
    result[both, head] += correction.head_down * (poses_2d[both, neck] - poses_2d[both, head])
    return result
