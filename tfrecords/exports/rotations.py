"""Inverse kinematics of the 17 joints: the rotation of every node of a motion file, frame by frame, without jumps.

Where a bone points says nothing of its turn about itself. That is taken from the hips and the shoulders for the trunk,
and for thighs and upper arms from the plane in which knee and elbow bend, as far as they bend; else it is the smallest
rotation from the rest pose. The turn about a bone follows these slowly, so that it never jumps: not where a limb is
straight and its plane undefined, nor where a bone points against its rest pose, where the smallest rotation flips.
"""

from __future__ import annotations

import numpy as np

from tools.pose.joints import POSE17

# By at most so much, degrees a frame, does the turn of a bone about itself move towards what it should be.
_TWIST_PER_FRAME = 5.0
_GAIN = 0.3
# Sines of the bend from which on, and up to which, the plane of a bend counts for more than the smallest rotation.
_BENT = (0.15, 0.5)
_X, _Y = np.array([1.0, 0.0, 0.0]), np.array([0.0, 1.0, 0.0])


def unit(vectors: np.ndarray) -> np.ndarray:
    """[..., 3] of length one; zeros stay zeros."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def local_rotations(poses: np.ndarray) -> dict[str, np.ndarray]:
    """Rotations of the nodes of `skeletons.NODES` in their parents' axes.

    Args:
      poses: [T, 17, 3] in axes with y up, relative to anything.

    Returns:
      key of the node -> [T, 3, 3]; nodes that are not there turn nothing. 'hips' is the root's rotation in the world.
    """
    ends = [i for i in range(POSE17.size) if i != POSE17.root]
    bones = {POSE17.joints[i]: unit(poses[:, i] - poses[:, POSE17.parents[i]]) for i in ends}
    at = {joint: poses[:, i] for i, joint in enumerate(POSE17.joints)}
    hips = _frame(at["LHip"] - at["RHip"], bones["Spine"])
    trunk = _upright(bones["Thorax"], at["LShoulder"] - at["RShoulder"], hips[:, :, 0])
    result = {"hips": hips}
    result["back"], world = _pointed(hips, bones["Spine"], _Y, None)
    result["spine"] = world.transpose(0, 2, 1) @ trunk
    result["neck"], neck = _pointed(trunk, bones["Neck/Nose"], _Y, None)
    result["head"], _ = _pointed(neck, bones["Head"], _Y, None)
    for side, out in (("L", 1.0), ("R", -1.0)):
        rest = out * _X
        result[f"{side}hip"], hip = _pointed(hips, bones[f"{side}Hip"], rest, None)
        # Knees bend about the person's left, shins going back; elbows about the vertical, forearms coming forward.
        bend = np.cross(bones[f"{side}Knee"], bones[f"{side}Foot"])
        bend *= ((bend * hips[:, :, 0]).sum(-1) > 0)[:, None]  # a knee that bends forward is an error, not a turn
        result[f"{side}thigh"], thigh = _pointed(hip, bones[f"{side}Knee"], -_Y, (bend, _X))
        result[f"{side}shin"], _ = _pointed(thigh, bones[f"{side}Foot"], -_Y, None)
        result[f"{side}collar"], collar = _pointed(trunk, bones[f"{side}Shoulder"], rest, None)
        bend = np.cross(bones[f"{side}Elbow"], bones[f"{side}Wrist"])
        result[f"{side}arm"], arm = _pointed(collar, bones[f"{side}Elbow"], rest, (bend, -out * _Y))
        result[f"{side}forearm"], _ = _pointed(arm, bones[f"{side}Wrist"], rest, None)
    return result


def _frame(across: np.ndarray, up: np.ndarray) -> np.ndarray:
    """[T, 3, 3] axes as columns: x along `across`, y as near `up` as that leaves."""
    x = unit(across)
    y = up - (up * x).sum(-1, keepdims=True) * x
    y = unit(_continued(y))
    return np.stack([x, y, np.cross(x, y)], -1)


def _upright(up: np.ndarray, across: np.ndarray, otherwise: np.ndarray) -> np.ndarray:
    """[T, 3, 3] axes as columns: y along `up`, x as near `across` as that leaves, or as near `otherwise`."""
    y = unit(up)
    x = across - (across * y).sum(-1, keepdims=True) * y
    bad = np.linalg.norm(x, axis=-1) < 0.2 * np.maximum(np.linalg.norm(across, axis=-1), 1e-9)
    instead = otherwise - (otherwise * y).sum(-1, keepdims=True) * y
    x = unit(_continued(np.where(bad[:, None], instead, x)))
    return np.stack([x, y, np.cross(x, y)], -1)


def _continued(vectors: np.ndarray) -> np.ndarray:
    """The same; vectors that are next to nothing as in the frame before."""
    result = vectors.copy()
    for t in range(1, len(result)):
        if np.linalg.norm(result[t]) < 1e-6:
            result[t] = result[t - 1]
    return result


def smallest_rotation(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """[3, 3] the smallest rotation of one unit vector onto another; about any axis across where they are opposite."""
    axis, cosine = np.cross(start, end), float(start @ end)
    if cosine < -1.0 + 1e-9:
        across = np.eye(3)[int(np.argmin(np.abs(start)))]
        across = unit(across - (across @ start) * start)
        return 2.0 * np.outer(across, across) - np.eye(3)
    cross = np.array([[0.0, -axis[2], axis[1]], [axis[2], 0.0, -axis[0]], [-axis[1], axis[0], 0.0]])
    return np.eye(3) + cross + cross @ cross / (1.0 + cosine)


def about_axis(axis: np.ndarray, angle: float) -> np.ndarray:
    """[3, 3] rotation about a unit vector, radians."""
    cross = np.array([[0.0, -axis[2], axis[1]], [axis[2], 0.0, -axis[0]], [-axis[1], axis[0], 0.0]])
    return np.eye(3) + np.sin(angle) * cross + (1.0 - np.cos(angle)) * cross @ cross


def _pointed(
    parent: np.ndarray, direction: np.ndarray, rest: np.ndarray, hinge: tuple[np.ndarray, np.ndarray] | None
) -> tuple[np.ndarray, np.ndarray]:
    """Rotations that point a bone.

    Args:
      parent: [T, 3, 3] in the world. direction: [T, 3] unit vectors in the world. rest: [3] of the bone.
      hinge: ([T, 3] axis in the world about which the next bone bends, as long as the sine of the bend; that axis in
        the rest pose), or None.

    Returns:
      [T, 3, 3] in the parent's axes and in the world.
    """
    local = np.einsum("tba,tb->ta", parent, direction)
    mark = hinge[1] if hinge else (_X if abs(rest[1]) > 0.5 else _Y)
    bends = np.einsum("tba,tb->ta", parent, hinge[0]) if hinge else None
    turns = np.empty((len(local), 3, 3))
    before = None
    for t, bone in enumerate(local):
        swing = smallest_rotation(rest, bone)
        base = swing if before is None else smallest_rotation(local[t - 1], bone) @ before
        # Near the rest pose's opposite the smallest rotation says nothing.
        wishes = [(((1.0 + float(rest @ bone)) / 2.0) ** 2, swing @ mark)]
        if bends is not None:
            bent = float(np.linalg.norm(bends[t]))
            weight = float(np.clip((bent - _BENT[0]) / (_BENT[1] - _BENT[0]), 0.0, 1.0))
            wishes.append((4.0 * weight, unit(bends[t])))
        now = base @ mark
        wish = sum(w * (complex(now @ v, bone @ np.cross(now, v))) for w, v in wishes)
        angle = float(np.angle(wish)) if abs(wish) > 1e-9 else 0.0
        if before is not None:
            most = np.radians(_TWIST_PER_FRAME)
            angle = float(np.clip(_GAIN * angle, -most, most))
        before = turns[t] = about_axis(bone, angle) @ base
    return turns, parent @ turns


def euler_zxy(rotations: np.ndarray) -> np.ndarray:
    """[T, 3] degrees (z, x, y) with R = Rz Rx Ry, each as near the frame before as its equals allow."""
    x = np.arcsin(np.clip(rotations[:, 2, 1], -1.0, 1.0))
    z = np.arctan2(-rotations[:, 0, 1], rotations[:, 1, 1])
    y = np.arctan2(-rotations[:, 2, 0], rotations[:, 2, 2])
    # Where x is a right angle, z and y turn about the same axis: all of it is z.
    locked = np.abs(rotations[:, 2, 1]) > 1.0 - 1e-9
    z = np.where(locked, np.arctan2(rotations[:, 1, 0], rotations[:, 0, 0]), z)
    y = np.where(locked, 0.0, y)
    angles = np.degrees(np.stack([z, x, y], -1))
    for t in range(1, len(angles)):
        one = angles[t]
        equals = (one, np.array([one[0] + 180.0, 180.0 - one[1], one[2] + 180.0]))
        near = [e + 360.0 * np.round((angles[t - 1] - e) / 360.0) for e in equals]
        angles[t] = min(near, key=lambda e: float(np.abs(e - angles[t - 1]).sum()))
    return angles
