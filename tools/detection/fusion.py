"""The landmarks of MediaPipe's network corrected by the head (`body_head`), joint by joint."""

from __future__ import annotations

import numpy as np

from tools.detection import body_head
from tools.detection.body_head import Body
from tools.pose import joints

_LANDMARKS = joints.joint_set("mediapipe33")
_BODY = joints.joint_set(body_head.JOINT_SET)
# Joints that both have, as places in the 33 landmarks and in the body's 14.
_PARTS = ("Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Ankle")
BOTH = np.array([(_LANDMARKS.index(side + part), _BODY.index(side + part)) for side in "LR" for part in _PARTS])
# What moves with a joint, and the face, which moves with the crown.
_WITH = {
    _LANDMARKS.index(side + joint): [_LANDMARKS.index(side + part) for part in parts]
    for side in "LR"
    for joint, parts in {"Wrist": ("Pinky", "Index", "Thumb"), "Ankle": ("Heel", "FootIndex")}.items()
}
_FACE = np.arange(_LANDMARKS.index("RMouth") + 1)
_NECK, _CROWN = _BODY.index("Neck"), _BODY.index("HeadTop")
# Within this share of a head's length of each other the middle of the two is nearer to the truth than either.
_NEAR, _MIDDLE = 0.6, 0.5
# Farther away the head's joint is taken where it is so many times as probable, and not where both joints of a pair come
# to lie where one landmark of the pair does: left and right would come from two readings that contradict each other.
_SURER, _SAME = 2.5, 0.9
# Below this confidence the head is no better than the landmark network.
_LEAST = 0.2
# Of joints that the landmark network takes for hidden (a lower visibility), the head names the place on a neighbour, or
# where a picture that is cut would go on: of 28 on COCO that were moved far, one was right.
_VISIBLE = 0.5


def corrected(points: np.ndarray, visibility: np.ndarray, body: Body) -> np.ndarray:
    """Landmarks where the body's joints are.

    A landmark of a joint that both name is moved there, half the way where the two are near. It is not moved where the
    body is unsure of it, and not moved far where it is hardly visible, or where the body finds the landmark's place
    nearly as probable or reads the other joint of the pair there too. Hands and feet move with wrists and ankles, the
    face with the crown.

    Args:
      points: [33, 2] px. visibility: [33] 0..1.

    Returns:
      the points.
    """
    before, points = points, points.copy()
    length = head_length(body.points)

    def share(joint: int, way: np.ndarray, visible: bool = True) -> float:
        """How much of the way to a joint a landmark is moved."""
        if body.confidence[joint] < _LEAST:
            return 0.0
        if np.hypot(*way) <= _NEAR * length:
            return _MIDDLE
        return float(visible and body.confidence[joint] >= _SURER * body.support[joint])

    def same(one: np.ndarray, other: np.ndarray) -> bool:
        return bool(np.hypot(*(one - other)) <= _SAME * length)

    for landmark, joint in BOTH:
        way = body.points[joint] - before[landmark]
        step = share(joint, way, visibility[landmark] >= _VISIBLE)
        if step == 1.0:
            opposite, pair = before[_LANDMARKS.mirror[landmark]], body.points[_BODY.mirror[joint]]
            step = float(not (same(body.points[joint], opposite) and same(body.points[joint], pair)))
        moved = [landmark, *_WITH.get(landmark, ())]
        points[moved] += step * way
    crown = joints.convert(points, _LANDMARKS.name, body_head.JOINT_SET)[0][_CROWN]
    way = body.points[_CROWN] - crown
    # The crown is made of the ears and the shoulders; the shoulders stay.
    points[_FACE] += share(_CROWN, way) * way / joints.EAR_REACH
    return points


def head_length(body: np.ndarray) -> float:
    """Length in px of the head of a body [14, 2]: from neck to crown, and not less than a third of the torso, for heads
    that point at the camera."""
    hips = body[[_BODY.index("RHip"), _BODY.index("LHip")]].mean(0)
    torso = np.linalg.norm(body[_NECK] - hips)
    return float(max(np.linalg.norm(body[_CROWN] - body[_NECK]), torso / 3))
