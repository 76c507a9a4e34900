"""Bones of a person: their tree, their lengths over many labels, and poses brought to given lengths."""

from __future__ import annotations

import numpy as np

from tools.pose.joints import POSE17

ROOT = POSE17.root
PARENTS = np.array(POSE17.parents)


def _depth(joint: int) -> int:
    steps = 0
    while POSE17.parents[joint] >= 0:
        joint, steps = POSE17.parents[joint], steps + 1
    return steps


# Joints with their parents before them, the root first.
ORDER = tuple(sorted(range(POSE17.size), key=_depth))
ENDS = np.array([j for j in ORDER if j != ROOT])
STARTS = PARENTS[ENDS]
_HIPS = (POSE17.index("RHip"), POSE17.index("LHip"))
_PAIRED = ("Hip", "Knee", "Foot", "Shoulder", "Elbow", "Wrist")
_PAIRS = tuple((POSE17.index("R" + name), POSE17.index("L" + name)) for name in _PAIRED)
# Standard deviation of log(left / right) of one person's bones.
_SIDE_SPREAD = 0.02
# A clip's mean length is as good as that of so many frames with independent errors, and no better.
_INDEPENDENT = 10
_OFF_THE_LINE = 0.4  # of the length from the root to a hip, that their middle may lie off the root


def ray_directions(rays: np.ndarray) -> np.ndarray:
    """[..., 3] unit vectors towards x/z, y/z [..., 2]; straight ahead where NaN."""
    full = np.concatenate([np.nan_to_num(rays), np.ones_like(rays[..., :1])], -1)
    return full / np.linalg.norm(full, axis=-1, keepdims=True)


def bone_lengths(poses_3d: np.ndarray, rays: np.ndarray, expected_mm: np.ndarray, labelled: np.ndarray) -> np.ndarray:
    """The lengths of a person's bones over the frames of a clip: weighted medians, left and right nearly alike.

    Args:
      poses_3d: [T, 17, 3] mm; frames with NaN are left out. rays: [T, 17, 2] x/z and y/z of the joints.
      expected_mm: [T, 17] errors expected. labelled: [T, 17] bool.

    Returns:
      [17] mm, each joint's distance from its parent; 0 for the root.
    """
    used = np.isfinite(poses_3d).all((1, 2))
    poses_3d, rays, expected_mm, labelled = (x[used] for x in (poses_3d, rays, expected_mm, labelled))
    bones = poses_3d[:, ENDS] - poses_3d[:, STARTS]
    length = np.maximum(np.linalg.norm(bones, axis=-1), 1.0)
    along = np.abs((bones * ray_directions(rays)[:, ENDS]).sum(-1)) / length
    variance = (expected_mm[:, ENDS] ** 2 + expected_mm[:, STARTS] ** 2) * (0.1 + along**2) / length**2
    visible = labelled[:, ENDS] & (labelled[:, STARTS] | (STARTS == ROOT))
    weight = np.where(visible, 1.0, 1e-2) / np.maximum(variance, 1e-6)
    logs, spread = np.zeros(POSE17.size), np.ones(POSE17.size)
    for k, joint in enumerate(ENDS):
        logs[joint] = _weighted_median(np.log(length[:, k]), weight[:, k])
        # The errors of a clip's frames are alike: the mean is not as good as their number promises.
        spread[joint] = 1.0 / np.sqrt(weight[:, k].mean() * min(len(length), _INDEPENDENT))
    for right, left in _PAIRS:
        share = spread[left] ** 2 / (spread[right] ** 2 + spread[left] ** 2)
        mean = share * logs[right] + (1.0 - share) * logs[left]
        for joint in (right, left):
            keep = _SIDE_SPREAD**2 / (_SIDE_SPREAD**2 + spread[joint] ** 2)
            logs[joint] = mean + keep * (logs[joint] - mean)
    lengths = np.exp(logs)
    lengths[ROOT] = 0.0
    return lengths


def _weighted_median(values: np.ndarray, weights: np.ndarray) -> float:
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    middle = total - weights[order] / 2.0
    return float(np.interp(total[-1] / 2.0, middle, values[order]))


def with_bone_lengths(poses_3d: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Poses [..., 17, 3] mm relative to the root whose bones point the same way and have exactly these lengths [17].

    The pelvis is one bone: both hips lie on one line through the root, unless in most poses they do not, as SMPL's,
    whose root is above them.
    """
    result = np.zeros_like(poses_3d)
    middle = np.linalg.norm(poses_3d[..., _HIPS, :].mean(-2) - poses_3d[..., ROOT, :], axis=-1)
    one_bone = not np.nanmedian(middle) > _OFF_THE_LINE * lengths[_HIPS[0]]
    for joint in ORDER[1:]:
        bone = poses_3d[..., joint, :] - poses_3d[..., POSE17.parents[joint], :]
        if joint in _HIPS and one_bone:
            bone = poses_3d[..., joint, :] - poses_3d[..., _HIPS[1 - _HIPS.index(joint)], :]
        size = np.maximum(np.linalg.norm(bone, axis=-1, keepdims=True), 1e-9)
        result[..., joint, :] = result[..., POSE17.parents[joint], :] + bone / size * lengths[joint]
    return result
