"""Left and right of a clip's key points where a detector exchanged them for some frames.

A detector that looks at one picture at a time reads a back as a front now and then, or exchanges the legs alone. In the
next frame they are right again, so that joints jump to the other side and back: accelerations that nobody has. The
sides of arms and of legs are those of the path with the smallest accelerations (Viterbi's algorithm over the sides of
two frames), where every frame that is exchanged must be worth it: key points of a clip that moves as people do stay as
they are. Not in the paper, which labels single images.
"""

from __future__ import annotations

import itertools

import numpy as np

from tools.pose.joints import POSE17

_PARTS = (("Shoulder", "Elbow", "Wrist"), ("Hip", "Knee", "Foot"))
_LEFT = [[POSE17.index("L" + name) for name in part] for part in _PARTS]
_RIGHT = [[POSE17.index("R" + name) for name in part] for part in _PARTS]
# Costs are accelerations as shares of the body's size, on the mean over a part's joints: of a frame that is exchanged,
# of a change of sides, and the most that a frame costs. Chosen on motion capture of training subjects
# (docs/video_to_animation.md).
_EXCHANGED, _CHANGE, _MOST = 0.01, 0.05, 0.5
_LEAST_JOINTS = 3  # of a part's six, seen in three frames in a row


def exchanged(points: np.ndarray) -> np.ndarray:
    """Which frames have left and right exchanged.

    Args:
      points: [T, 17, 2] px in frames at equal distances, NaN where a joint was not seen.

    Returns:
      [T, 2] bool: of the arms (shoulders, elbows, wrists), of the legs (hips, knees, feet).
    """
    found = np.zeros((len(points), 2), bool)
    if len(points) < 3:
        return found
    seen = np.isfinite(points).all(-1)
    there = seen.any(1)
    low = np.where(seen[..., None], points, np.inf)[there].min(1)
    high = np.where(seen[..., None], points, -np.inf)[there].max(1)
    size = float(np.median((high - low).max(-1))) if there.any() else 0.0
    if size <= 0.0:
        return found
    for part, (left, right) in enumerate(zip(_LEFT, _RIGHT)):
        found[:, part] = _path(np.stack([points[:, left + right], points[:, right + left]]) / size)
    return found


def put_right(values: np.ndarray, swapped: np.ndarray) -> np.ndarray:
    """Values [T, 17, ...] with left and right of the parts exchanged where `exchanged` says so, as a copy."""
    result = np.array(values)
    for part, (left, right) in enumerate(zip(_LEFT, _RIGHT)):
        frames = np.flatnonzero(swapped[:, part])
        result[frames[:, None], left + right] = values[frames[:, None], right + left]
    return result


def _path(both: np.ndarray) -> np.ndarray:
    """[T] bool, the sides of the cheapest path through both readings [2, T, 6, 2] of a part of the body."""
    count = both.shape[1]
    pairs = list(itertools.product((0, 1), repeat=2))  # of the sides of a frame and of the next one
    bends = np.stack([_bend(both[a, :-2], both[b, 1:-1], both[c, 2:]) for a, b in pairs for c in (0, 1)], -1)
    steps = [_EXCHANGED * c + _CHANGE * (b != c) for _, b in pairs for c in (0, 1)]
    totals = (bends + steps).reshape(-1, 2, 2, 2)  # [frame, a, b, c]: of the sides of three frames in a row
    costs = np.array([_EXCHANGED * (a + b) + _CHANGE * (a != b) for a, b in pairs])
    came: list[np.ndarray] = []
    for total in totals:
        options = costs.reshape(2, 2, 1) + total  # to sides b, c from a, b
        came.append(options.argmin(0).reshape(-1))
        costs = options.min(0).reshape(-1)
    state = int(costs.argmin())
    sides = np.zeros(count, bool)
    for frame in range(count - 1, 1, -1):
        b, c = pairs[state]
        sides[frame] = c
        state = 2 * int(came[frame - 2][state]) + b
    sides[:2] = pairs[state]
    return sides


def _bend(first: np.ndarray, second: np.ndarray, third: np.ndarray) -> np.ndarray:
    """[n], the mean acceleration of joints [n, 6, 2] in three frames in a row, 0 where too few were seen."""
    lengths = np.linalg.norm(third - 2 * second + first, axis=-1)
    seen = np.isfinite(lengths)
    number = seen.sum(-1)
    mean = np.where(seen, lengths, 0.0).sum(-1) / np.maximum(number, 1)
    return np.where(number >= _LEAST_JOINTS, np.minimum(mean, _MOST), 0.0)
