"""Where each of the 17 joints lies: one stated definition, and how poses of other skeletons are brought to it.

Motion capture, annotators and detectors give the same names to places that lie centimetres apart: the Thorax of the CMU
data base is 50 mm below the line of the shoulders, Human3.6M's 55 mm above it, whose hips are 70 mm farther apart.
A network that is trained on one of them reads the lean of the trunk out of such differences on all others.

The stated definition is Human3.6M's, from medians over five of its subjects, in the frames of `body_frames`:

* Hip: the middle of the hips. RHip, LHip: 130 mm beside it, at the height of the upper rim of the hip joint.
* RKnee, LKnee, RFoot, LFoot: the middle of knee and ankle. RElbow, LElbow, RWrist, LWrist: of elbow and wrist.
* RShoulder, LShoulder: the middle of the head of the humerus, 155 mm aside; people differ by 40 mm, so that sources
  keep half of the difference.
* Spine: half-way from Hip to Thorax along the spine, 21 mm behind their line when upright.
* Thorax: the base of the neck, 55 mm above the middle of the shoulders.
* Neck/Nose: the nose, 87 mm above Thorax and 72 mm in front of it. Head: the middle of the skull's top, 186 and 42 mm.

Lengths are those of a person whose legs (thigh and shin) are 914 mm long, and are scaled with the legs. How tall a
retargeted skeleton is says little, so that people are brought most of the way to that size.

NumPy only; `drawn_skeletons` draws other definitions around this one for training.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from tools.pose.joints import POSE17

LEGS_MM = 914.0
THORAX_UP_MM = 55.0


@dataclasses.dataclass(frozen=True)
class Definition:
    """Where a data set's joints lie, of a person whose legs are `legs_mm` long; mm as (right, up, forward).

    Attributes:
      hips_aside_mm: from the middle of the hips to each. root_up_mm: from that middle up to Hip.
      spine_share, spine_forward_mm: how far Spine is on the way from Hip to Thorax, and before that line.
      shoulders_aside_mm: from their middle to each. shoulders_kept: how much of theirs people keep.
      thorax_mm, nose_mm, head_mm: from the middle of the shoulders to Thorax; from Thorax to the others.
      trunk_share: from the hips up to the line of the shoulders, as a share of the legs.
      forearm_share: of the upper arm. shin_share: of the thigh; 0 leaves legs as they are.
      lacks: joints that the data set does not have.
    """

    legs_mm: float = LEGS_MM
    hips_aside_mm: float = 130.0
    root_up_mm: float = 0.0
    spine_share: float = 0.49
    spine_forward_mm: float = -21.0
    shoulders_aside_mm: float = 155.0
    thorax_mm: tuple[float, float, float] = (0.0, THORAX_UP_MM, 0.0)
    nose_mm: tuple[float, float, float] = (0.0, 87.0, 72.0)
    head_mm: tuple[float, float, float] = (0.0, 186.0, 42.0)
    trunk_share: float = 0.475
    forearm_share: float = 0.87
    shin_share: float = 0.0
    lacks: tuple[str, ...] = ()
    shoulders_kept: float = 0.0


STATED = Definition(shoulders_kept=0.5)
# What other data sets call the 17 joints. MPI-INF-3DHP from medians over four of its poses; SMPL from the joints of its
# mean body, whose Head is the base of the skull; COCO, whose annotators mark hips and shoulders on the picture, as the
# hips of bodies (lower and closer than the stated ones) with what it lacks left out.
DEFINITIONS = {
    "h36m": STATED,
    "3dhp": Definition(
        864.0, 134.0, 0.0, 0.49, -61.0, 145.0, (0.0, 30.0, 17.0), (1.0, 92.0, 35.0), (-7.0, 269.0, 11.0), 0.531, 0.76
    ),
    "smpl": Definition(
        775.0, 69.0, 90.0, 0.48, -25.0, 172.0, (0.0, 62.0, 0.0), (0.0, 33.0, 25.0), (0.0, 65.0, 51.0), 0.697, 0.96,
        0.0, ("Neck/Nose",),
    ),
    "coco": Definition(
        914.0, 110.0, 0.0, 0.49, -10.0, 160.0, (0.0, 30.0, 0.0), (0.0, 110.0, 95.0), (0.0, 200.0, 30.0), 0.54, 0.87,
        0.0, ("Head", "Neck/Nose", "Thorax", "Spine", "Hip"),
    ),
}  # fmt: skip
# Which of them training lends to all people, the stated one first. COCO's is kept out, so that protocol f measures one
# skeleton that no network has met.
LENT = ("h36m", "3dhp", "smpl")
# Skeletons of motion capture, which training lends to all people (`library`): the CMU data base's own; two avatars and
# a humanoid of physics engines that its motion is retargeted to.
_CAPTURED = (
    Definition(
        849.0, 88.0, 0.0, 0.485, -30.0, 196.0, (0.0, -50.0, 12.0), (-5.0, 139.0, 1.0), (-5.0, 277.0, 17.0), 0.591, 1.02
    ),
    Definition(
        974.0, 97.0, 0.0, 0.46, 38.0, 184.0, (0.0, 62.0, 15.0), (0.0, 112.0, 42.0), (0.0, 225.0, 90.0), 0.503, 1.02
    ),
    Definition(
        822.0, 88.0, 0.0, 0.573, 24.0, 115.0, (0.0, 49.0, 12.0), (0.0, 116.0, 23.0), (0.0, 233.0, 15.0), 0.567, 0.84,
        1.23,
    ),
    Definition(
        830.0, 85.0, 0.0, 0.515, -12.0, 183.0, (0.0, -20.0, 24.0), (5.0, 117.0, 12.0), (5.0, 229.0, 20.0), 0.576, 0.94
    ),
)  # fmt: skip
_LENT = (*(DEFINITIONS[name] for name in LENT), *_CAPTURED)
LENT_SKELETONS = len(_LENT)
# Their lengths are those of one skeleton, whoever of its data set's people it is.
_TELLING_BONES = (
    ("Hip", "RHip"), ("RHip", "RKnee"), ("RKnee", "RFoot"), ("RShoulder", "RElbow"), ("RElbow", "RWrist"),
    ("Neck/Nose", "Head"),
)  # fmt: skip
BONES = len(_TELLING_BONES)
# A source's trunk that is longer than a definition's is shortened at both ends: so much of it at the hips.
_AT_THE_HIPS = 0.6
_RESIZED = 0.7  # how far, as a power of the ratio of their legs to `LEGS_MM`
_LEGS_FOLLOW = 0.5  # how far the legs go along when hips move apart

_I = {name: POSE17.index(name) for name in POSE17.joints}
LEG_JOINTS = {side: [_I[side + joint] for joint in ("Knee", "Foot")] for side in "RL"}
# Joints whose definitions go together when a skeleton is blended, each with a share of its own.
GROUPS = (
    ("Hip", "RHip", "LHip", "RKnee", "LKnee", "RFoot", "LFoot"),
    ("Spine",),
    ("Thorax", "Neck/Nose", "Head"),
    ("RShoulder", "LShoulder", "RElbow", "LElbow", "RWrist", "LWrist"),
)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)


def _frame(across: np.ndarray, up: np.ndarray) -> np.ndarray:
    x = _unit(across)
    y = _unit(up - (up * x).sum(-1, keepdims=True) * x)
    return np.stack([x, y, np.cross(y, x)], axis=-2)


def body_frames(poses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The frames of pelvis and shoulders, [N, 3, 3] each; rows: to the person's right, up the trunk, forward.

    Args:
      poses: [N, 17, 3] in right-handed axes, whichever way they point.
    """
    up = poses[:, _I["Thorax"]] - poses[:, _I["Hip"]]
    pelvis = _frame(poses[:, _I["RHip"]] - poses[:, _I["LHip"]], up)
    return pelvis, _frame(poses[:, _I["RShoulder"]] - poses[:, _I["LShoulder"]], up)


@dataclasses.dataclass(frozen=True)
class Places:
    """Where joints of a skeleton lie, medians over its poses in mm (right, up, forward).

    Attributes:
      hips_apart, shoulders_apart: distances. legs: thigh and shin. upper_arm, forearm: lengths.
      spine, thorax: from Hip, in the pelvis' frame.
      shoulder_line: from Thorax to the middle of the shoulders, in the frame of the shoulders. nose, head: likewise.
    """

    hips_apart: float
    shoulders_apart: float
    legs: float
    upper_arm: float
    forearm: float
    spine: np.ndarray
    thorax: np.ndarray
    shoulder_line: np.ndarray
    nose: np.ndarray
    head: np.ndarray


def measure(poses: np.ndarray) -> Places:
    """The places of one skeleton's joints from its poses [N, 17, 3] mm."""
    poses = np.asarray(poses, np.float64)
    pelvis, shoulders = body_frames(poses)

    def in_frame(frame: np.ndarray, vectors: np.ndarray) -> np.ndarray:
        return np.median(np.einsum("nij,nj->ni", frame, vectors), axis=0)

    def length(a: str, b: str) -> float:
        return float(np.median([np.linalg.norm(poses[:, _I[s + a]] - poses[:, _I[s + b]], axis=-1) for s in "RL"]))

    def apart(joint: str) -> float:
        return float(np.median(np.linalg.norm(poses[:, _I["R" + joint]] - poses[:, _I["L" + joint]], axis=-1)))

    hip, thorax = poses[:, _I["Hip"]], poses[:, _I["Thorax"]]
    middle = (poses[:, _I["RShoulder"]] + poses[:, _I["LShoulder"]]) / 2
    return Places(
        hips_apart=apart("Hip"),
        shoulders_apart=apart("Shoulder"),
        legs=length("Hip", "Knee") + length("Knee", "Foot"),
        upper_arm=length("Shoulder", "Elbow"),
        forearm=length("Elbow", "Wrist"),
        spine=in_frame(pelvis, poses[:, _I["Spine"]] - hip),
        thorax=in_frame(pelvis, thorax - hip),
        shoulder_line=in_frame(shoulders, middle - thorax),
        nose=in_frame(shoulders, poses[:, _I["Neck/Nose"]] - thorax),
        head=in_frame(shoulders, poses[:, _I["Head"]] - thorax),
    )


def _smallest_rotation(start: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """[N, 3, 3] that turn the direction `start` [3] to the directions `ends` [N, 3]."""
    start, ends = _unit(start), _unit(ends)
    axis, cosine = np.cross(start[None], ends), ends @ start
    zero = np.zeros(len(ends))
    cross = np.stack([zero, -axis[:, 2], axis[:, 1], axis[:, 2], zero, -axis[:, 0], -axis[:, 1], axis[:, 0], zero], -1)
    cross = cross.reshape(-1, 3, 3)
    return np.eye(3) + cross + cross @ cross / np.maximum(1.0 + cosine, 1e-3)[:, None, None]


def moved_to(poses: np.ndarray, definition: Definition, places: Places | None = None) -> np.ndarray:
    """Poses of one skeleton with their joints where a definition has them, the person's size and place kept.

    Directions of limbs, trunk and head are the source's. Where its skeleton leans its spine or head differently at
    rest, that lean is taken out: what is kept is how far a pose departs from the medians.

    Args:
      poses: [N, 17, 3] mm of one skeleton, right-handed axes.
      places: of that skeleton; None: measured on these poses.

    Returns:
      [N, 17, 3] mm.
    """
    poses = np.asarray(poses, np.float64)
    places = places or measure(poses)
    pelvis, shoulders = body_frames(poses)
    scale = places.legs / definition.legs_mm
    joints = {name: poses[:, i] for name, i in _I.items()}

    def to_world(frame: np.ndarray, vector: npt.ArrayLike) -> np.ndarray:
        return np.einsum("nij,ni->nj", frame, np.broadcast_to(np.asarray(vector, np.float64), (len(poses), 3)))

    raised, lowered = _surplus(places, definition)
    hips = joints["Hip"] + to_world(pelvis, [0.0, raised, 0.0])
    new = {"Hip": hips + to_world(pelvis, [0.0, definition.root_up_mm * scale, 0.0])}
    aside = definition.hips_aside_mm * scale
    for side, sign in (("R", 1.0), ("L", -1.0)):
        new[side + "Hip"] = hips + to_world(pelvis, [sign * aside, 0.0, 0.0])
        moved = to_world(pelvis, [sign * _LEGS_FOLLOW * (aside - places.hips_apart / 2), 0.0, 0.0])
        for joint in ("Knee", "Foot"):
            new[side + joint] = joints[side + joint] + moved
        wider = definition.shoulders_aside_mm * scale - places.shoulders_apart / 2
        wider *= 1.0 - definition.shoulders_kept
        new[side + "Shoulder"] = joints[side + "Shoulder"] + to_world(shoulders, [sign * wider, -lowered, 0.0])
        new[side + "Elbow"] = joints[side + "Elbow"]
        upper = np.linalg.norm(new[side + "Elbow"] - new[side + "Shoulder"], axis=-1, keepdims=True)
        upper = np.maximum(upper, 0.8 * places.upper_arm)
        forearm = _unit(joints[side + "Wrist"] - joints[side + "Elbow"])
        new[side + "Wrist"] = new[side + "Elbow"] + definition.forearm_share * upper * forearm
        if definition.shin_share:
            thigh, shin = (new[side + a] - new[side + b] for a, b in (("Knee", "Hip"), ("Foot", "Knee")))
            leg = np.linalg.norm(thigh, axis=-1, keepdims=True) + np.linalg.norm(shin, axis=-1, keepdims=True)
            new[side + "Knee"] = new[side + "Hip"] + _unit(thigh) * leg / (1 + definition.shin_share)
            new[side + "Foot"] = new[side + "Knee"] + _unit(shin) * leg / (1 + 1 / definition.shin_share)
    middle = (new["RShoulder"] + new["LShoulder"]) / 2
    new["Thorax"] = middle + to_world(shoulders, np.multiply(definition.thorax_mm, scale))
    # The head turns as the source's line from Thorax to Head does, from where that line is at rest.
    local = np.einsum("nij,nj->ni", shoulders, joints["Head"] - joints["Thorax"])
    turn = _smallest_rotation(places.head, local)
    for name, place in (("Neck/Nose", definition.nose_mm), ("Head", definition.head_mm)):
        new[name] = new["Thorax"] + to_world(shoulders, np.einsum("nij,j->ni", turn, np.multiply(place, scale)))
    trunk = new["Thorax"] - new["Hip"]
    departs = np.einsum("nij,nj->ni", pelvis, joints["Spine"] - joints["Hip"]) - places.spine
    forward = to_world(pelvis, [0.0, 0.0, definition.spine_forward_mm * scale])
    new["Spine"] = new["Hip"] + definition.spine_share * trunk + forward + to_world(pelvis, departs * [1.0, 0.0, 1.0])
    return np.stack([new[name] for name in POSE17.joints], axis=1)


def _surplus(places: Places, definition: Definition) -> tuple[float, float]:
    """By how much hips are raised and shoulders lowered, mm, for a trunk that is as long as the definition's."""
    trunk = places.thorax[1] + places.shoulder_line[1]
    surplus = (trunk - definition.trunk_share * places.legs) / (1.0 + definition.trunk_share * _AT_THE_HIPS)
    return _AT_THE_HIPS * surplus, (1.0 - _AT_THE_HIPS) * surplus


def to_definition(poses: np.ndarray, places: Places | None = None, definition: Definition = STATED) -> np.ndarray:
    """Poses of one skeleton with their joints at a definition's places, the stated one's, and of about its size.

    Args:
      poses: [N, 17, 3] mm of one skeleton, right-handed axes.
      places: of that skeleton; None: measured on these poses.

    Returns:
      [N, 17, 3] mm relative to the new root.
    """
    places = places or measure(poses)
    result = moved_to(poses, definition, places)
    result -= result[:, _I["Hip"], None]
    return result * (definition.legs_mm / (places.legs + _surplus(places, definition)[0])) ** _RESIZED


def bone_lengths(poses: np.ndarray) -> np.ndarray:
    """[N, BONES] mm: lengths of the bones that tell skeletons apart, of poses [N, 17, 3]."""
    return np.stack([np.linalg.norm(poses[:, _I[a]] - poses[:, _I[b]], axis=-1) for a, b in _TELLING_BONES], axis=1)


def skeleton_groups(poses: np.ndarray, sequences: np.ndarray) -> np.ndarray:
    """[N] integers, the same for sequences whose bones are equally long within 6 mm: one person, one skeleton.

    Args:
      poses: [N, 17, 3] mm. sequences: [N] integers.
    """
    return groups_of_lengths(bone_lengths(poses), sequences)


def groups_of_lengths(lengths: np.ndarray, sequences: np.ndarray) -> np.ndarray:
    """`skeleton_groups` of poses whose bones [N, BONES] are so long."""
    groups = np.zeros(len(lengths), np.int32)
    known: list[np.ndarray] = []
    order = np.argsort(sequences, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(sequences[order])) + 1):
        bones_mm = np.median(lengths[rows], axis=0)
        match = next((i for i, other in enumerate(known) if np.abs(bones_mm - other).max() < 6.0), None)
        if match is None:
            match = len(known)
            known.append(bones_mm)
        groups[rows] = match
    return groups


def library(poses: np.ndarray, sequences: np.ndarray) -> np.ndarray:
    """Poses [N, 17, 3] of many people in every skeleton that training lends, the stated one first: [N, K, 17, 3].

    Each person's own skeleton is measured on all of their poses.
    """
    groups = skeleton_groups(poses, sequences)
    return lent(poses, groups, {group: measure(poses[groups == group]) for group in np.unique(groups).tolist()})


def lent(poses: np.ndarray, groups: np.ndarray, places: Mapping[int, Places]) -> np.ndarray:
    """`library` of poses whose groups [N] of skeletons are known, and each group's places."""
    result = np.empty((len(poses), LENT_SKELETONS, POSE17.size, 3), np.float32)
    for group in np.unique(groups).tolist():
        rows = groups == group
        for k, definition in enumerate(_LENT):
            result[rows, k] = to_definition(poses[rows], places[group], definition)
    return result
