"""Which joints of a motion file's skeleton are this project's 17.

Skeletons name their joints as their makers like. Known here: CMU's (LeftUpLeg, LeftArm), its version for DAZ (lThigh,
lShldr), Mixamo (CMU's with a prefix), Biovision (LeftHip, LeftKnee, LeftShoulder), Blender's Rigify (thigh.L,
spine.003), 3ds Max Biped, Unreal, SMPL, and this project's own names. Sides and parts are read from the names, the
trunk from the tree:

| of the 17 | from |
|---|---|
| RHip RKnee RFoot, L... | the starts of thigh, shin and foot (the ankle where it has its own name) |
| RShoulder RElbow RWrist, L... | the starts of upper arm, forearm and hand; not the collar bone |
| RWrist, LWrist of CMU's files | beyond the start of the hand, which they put at two thirds of the forearm |
| Hip | made: the middle of RHip and LHip, as in Human3.6M, since root bones start anywhere in the pelvis |
| Thorax | the first joint towards the head from where the arms part, or the neck if they part there: the neck's base |
| Spine | made: half of the way along the bones from Hip to Thorax |
| Neck/Nose | the start of the head bone; made in the middle of Thorax and Head where that is the Thorax |
| Head | the head bone's End Site, or its child 'HeadTop_End' and the like; else made: Neck/Nose - Thorax once more |
"""

from __future__ import annotations

import dataclasses
import pathlib
import re

import numpy as np

from tfrecords.formats.bvh import Skeleton
from tools.cli.errors import InputError
from tools.pose.joints import LABELLED, MADE, NECK_SHARE, POSE17

# What makers call the part whose start is the joint; the first that the skeleton has is meant, so that 'shoulder' is
# the collar bone where there is an 'arm', and 'foot' the toes where there is an 'ankle'.
_PARTS = {
    "Hip": ("upleg", "thigh", "upperleg", "hip"),
    "Knee": ("leg", "lowleg", "lowerleg", "shin", "calf", "knee"),
    "Foot": ("ankle", "foot"),
    "Shoulder": ("arm", "upperarm", "uparm", "shldr", "shoulder"),
    "Elbow": ("forearm", "lowerarm", "lowarm", "elbow"),
    "Wrist": ("wrist", "hand"),
}
_HEAD = ("head", "head01", "head1", "skull", "spine006")
_HEAD_TOP = re.compile(r"(head)?(top|end|nub|topend|site)", re.IGNORECASE)
_PREFIX = re.compile(r"^(.*[:|]|mixamorig\d*_?|bip0*\d*[ _]?)", re.IGNORECASE)
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
# CMU's skeletons have two bones in line from elbow to wrist, `radius` and `wrist`, the second half as long. Its public
# .bvh files leave out the second, so that their hand is 100 mm short of the wrist. These names tell them; other
# makers' files that take over the names have no thumbs.
_CMU = {"LHipJoint", "RHipJoint", "LeftHand", "RightHand", "LThumb"}
_CMU_FOREARM = 1.5
_SIDES = {"l": "L", "left": "L", "r": "R", "right": "R"}


@dataclasses.dataclass(frozen=True)
class Mapping:
    """Where the 17 are in one skeleton: each is a weighted sum of the skeleton's joints.

    Attributes:
      weights: [17, J]; the rows sum to one.
      provenance: [17] codes, labelled or made.
    """

    weights: np.ndarray
    provenance: np.ndarray

    def poses(self, places: np.ndarray) -> np.ndarray:
        """[F, J, 3] places of the skeleton's joints as poses [F, 17, 3]."""
        return np.einsum("kj,fjd->fkd", self.weights, places)


def side_and_part(name: str) -> tuple[str, str]:
    """('L', 'upleg') for 'mixamorig:LeftUpLeg', ('R', 'thigh') for 'thigh.R', ('', 'head') for 'Head'."""
    words = _WORDS.findall(_PREFIX.sub("", name))
    for i, word in enumerate(words):
        if word.lower() in _SIDES:
            return _SIDES[word.lower()], "".join(words[:i] + words[i + 1 :]).lower()
    part = "".join(words).lower()
    known = {known for parts in _PARTS.values() for known in parts}
    for side in sorted(_SIDES, key=len, reverse=True):
        if part.startswith(side) and part[len(side) :] in known:
            return _SIDES[side], part[len(side) :]
    return "", part


def map_joints(skeleton: Skeleton, path: pathlib.Path) -> Mapping:
    """Finds the 17 in a skeleton.

    Raises:
      InputError: naming the file and the joints that are not found under any known name.
    """
    ours = {name: i for i, name in enumerate(skeleton.names) if name in POSE17.joints}
    if len(ours) == POSE17.size:
        weights = np.zeros((POSE17.size, len(skeleton.names)))
        weights[np.arange(POSE17.size), [ours[name] for name in POSE17.joints]] = 1.0
        return Mapping(weights, np.full(POSE17.size, LABELLED, np.uint8))

    found: dict[tuple[str, str], int] = {}
    for i, name in enumerate(skeleton.names):
        if not skeleton.is_end[i]:
            found.setdefault(side_and_part(name), i)
    named = {
        side + joint: next((found[side, part] for part in parts if (side, part) in found), -1)
        for side in "RL"
        for joint, parts in _PARTS.items()
    }
    head = next((found["", part] for part in _HEAD if ("", part) in found), -1)
    missing = [joint for joint, i in named.items() if i < 0] + (["Head"] if head < 0 else [])
    if missing:
        raise InputError(
            f"{path}: no joint for {', '.join(missing)} under a known name; the skeleton has "
            f"{', '.join(name for name, is_end in zip(skeleton.names, skeleton.is_end) if not is_end)}"
        )
    for side in "RL":
        for limb in (("Hip", "Knee", "Foot"), ("Shoulder", "Elbow", "Wrist")):
            upper, middle, lower = (named[side + joint] for joint in limb)
            if upper not in _ancestors(skeleton, middle) or middle not in _ancestors(skeleton, lower):
                names = ", ".join(skeleton.names[i] for i in (upper, middle, lower))
                raise InputError(f"{path}: expected {names} to be one limb, {side}{limb[0]} to {side}{limb[2]}")
    return _mapping(skeleton, named, head, path)


def _ancestors(skeleton: Skeleton, joint: int) -> list[int]:
    """From the joint's parent up to the root."""
    line = []
    while skeleton.parents[joint] >= 0:
        joint = skeleton.parents[joint]
        line.append(joint)
    return line


def _mapping(skeleton: Skeleton, named: dict[str, int], head: int, path: pathlib.Path) -> Mapping:
    left_arm = [named["LShoulder"], *_ancestors(skeleton, named["LShoulder"])]
    to_head = [head, *_ancestors(skeleton, head)]
    parting = next(i for i in _ancestors(skeleton, named["RShoulder"]) if i in left_arm)
    if parting not in to_head[1:]:
        raise InputError(f"{path}: expected {skeleton.names[head]} to hang on the joint that carries the arms")
    # 3ds Max hangs the collar bones on the neck itself.
    arms_on_neck = side_and_part(skeleton.names[parting])[1].startswith("neck")
    thorax = parting if arms_on_neck else to_head[to_head.index(parting) - 1]

    one = np.eye(len(skeleton.names))
    rows = {joint: one[i] for joint, i in named.items()}
    if set(skeleton.names) >= _CMU:
        for side in "RL":
            elbow, hand = rows[side + "Elbow"], rows[side + "Wrist"]
            rows[side + "Wrist"] = elbow + _CMU_FOREARM * (hand - elbow)
    rows["Hip"] = (rows["RHip"] + rows["LHip"]) / 2
    rows["Thorax"] = one[thorax]
    derived = {"Hip", "Spine"}
    top = _head_top(skeleton, head)
    if top is None:
        # Without either, nothing says how long the head is: it is then as long as the neck below it.
        base = one[thorax] if thorax != head else one[skeleton.parents[head]]
        derived.add("Head")
        rows["Head"] = one[head] + (one[head] - base) * (1 - NECK_SHARE) / NECK_SHARE
    else:
        rows["Head"] = one[top]
    rows["Neck/Nose"] = one[head]
    if thorax == head:
        derived.add("Neck/Nose")
        rows["Neck/Nose"] = rows["Thorax"] * (1 - NECK_SHARE) + rows["Head"] * NECK_SHARE
    rows["Spine"] = _half_way(skeleton, rows, thorax, parting, one)
    provenance = [MADE if joint in derived else LABELLED for joint in POSE17.joints]
    return Mapping(np.stack([rows[joint] for joint in POSE17.joints]), np.array(provenance, np.uint8))


def _head_top(skeleton: Skeleton, head: int) -> int | None:
    """The End Site of the head bone or a child that says that it is the head's end, or None."""
    children = skeleton.children(head)
    for child in children:
        name = skeleton.names[child]
        _, part = side_and_part(name)
        if not skeleton.is_end[child] and _HEAD_TOP.fullmatch(part):
            return child
    ends = [child for child in children if skeleton.is_end[child] and np.linalg.norm(skeleton.offsets[child]) > 0]
    return ends[0] if ends else None


def _half_way(
    skeleton: Skeleton, rows: dict[str, np.ndarray], thorax: int, parting: int, one: np.ndarray
) -> np.ndarray:
    """Weights of the point half of the way from Hip to Thorax along the trunk's joints, by the lengths at rest."""
    legs = {*_ancestors(skeleton, int(rows["RHip"].argmax())), *_ancestors(skeleton, int(rows["LHip"].argmax()))}
    trunk = [i for i in [parting, *_ancestors(skeleton, parting)] if i not in legs][::-1]
    points = [rows["Hip"], *(one[i] for i in trunk), one[thorax]]
    rest = skeleton.rest()
    lengths = np.linalg.norm(np.diff([point @ rest for point in points], axis=0), axis=-1)
    left = lengths.sum() / 2
    for start, end, length in zip(points, points[1:], lengths):
        if left <= length and length > 0:
            return start + (end - start) * (left / length)
        left -= length
    return (rows["Hip"] + rows["Thorax"]) / 2
