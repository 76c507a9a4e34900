"""Key points by their names: which joint set a file's names are, in whatever order they stand.

Files name their key points in many ways: "left_ankle", "LAnkle", "L_Ankle", "ankle.l". `match_names` brings each name
to the vocabulary of this project's joint sets and finds the largest set of which all joints are named, so that a file
is read by its names and never by the number or order of its key points.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Sequence

import numpy as np

from tools.cli.errors import InputError
from tools.pose import joints

# Joint sets that may be recognised by names. pose17 and h36m17 have the same joints; either conversion is right.
_SETS = ("h36m17", "mpii16", "aichallenger14", "coco17", "halpe26", "body25", "openpose18", "mediapipe33")
# Fewer joints than this are no person that could be lifted.
_FEWEST = 8
_SHOWN = 6

# The part of a name without its side, in lower case without separators -> the joint sets' word.
_PARTS = {
    "nose": "Nose",
    "eye": "Eye",
    "eyeinner": "EyeInner",
    "eyeouter": "EyeOuter",
    "ear": "Ear",
    "mouth": "Mouth",
    "shoulder": "Shoulder",
    "sho": "Shoulder",
    "elbow": "Elbow",
    "elb": "Elbow",
    "wrist": "Wrist",
    "wri": "Wrist",
    "hand": "Wrist",
    "hip": "Hip",
    "knee": "Knee",
    "ankle": "Ankle",
    "ank": "Ankle",
    "foot": "Ankle",
    "bigtoe": "BigToe",
    "smalltoe": "SmallToe",
    "heel": "Heel",
    "footindex": "FootIndex",
    "pinky": "Pinky",
    "index": "Index",
    "thumb": "Thumb",
    # without a side
    "head": "Head",
    "headtop": "HeadTop",
    "tophead": "HeadTop",
    "topofhead": "HeadTop",
    "headbottom": "Neck",
    "neck": "Neck",
    "upperneck": "Neck",
    "neckbase": "NeckBase",
    "necknose": "NeckBase",
    "thorax": "Thorax",
    "spine": "Spine",
    "torso": "Spine",
    "belly": "Spine",
    "pelvis": "Pelvis",
    "root": "Pelvis",
    "rootpelvis": "Pelvis",
    "midhip": "Pelvis",
    "hipcenter": "Pelvis",
    "hipcentre": "Pelvis",
}
_SIDES = {"left": "L", "l": "L", "right": "R", "r": "R"}
_TWO_SIDED = {"Eye", "EyeInner", "EyeOuter", "Ear", "Mouth", "Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Ankle"} | {
    "BigToe",
    "SmallToe",
    "Heel",
    "FootIndex",
    "Pinky",
    "Index",
    "Thumb",
}
# MMPose calls Human3.6M's key points 1 to 3 the left leg and 4 to 6 the right one, in its configuration
# (configs/_base_/datasets/h36m.py) and in what its converter writes (preprocess_h36m.py, which takes Human3.6M's joints
# 1 to 3, the right leg, first); the arms' names are right.
_MMPOSE_LEGS = ["left_hip", "left_knee", "left_foot", "right_hip", "right_knee", "right_foot"]
_MMPOSE_ABOVE = ["spine", "thorax", "neck_base", "head"] + [
    f"{side}_{part}" for side in ("left", "right") for part in ("shoulder", "elbow", "wrist")
]
_MMPOSE_ROOTS = ("root", "root (pelvis)")
# Whole names to compare misspelt ones with, how alike they must be, and how long they may be.
_SPELT = [
    spelt
    for part, word in _PARTS.items()
    for spelt in ([f"left_{part}", f"right_{part}"] if word in _TWO_SIDED else [part])
]
_NEAR, _LONGEST = 0.75, 40
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


@dataclasses.dataclass(frozen=True)
class Match:
    """Which key points make which joint set.

    Attributes:
      joint_set: name of the set.
      columns: [J] place of each joint of the set among the key points.
      ignored: names of key points that the set has no place for.
      count: how many key points were named.
    """

    joint_set: str
    columns: np.ndarray
    ignored: tuple[str, ...]
    count: int

    def select(self, keypoints: np.ndarray) -> np.ndarray:
        """Key points [..., K, D] in the order of the joint set, [..., J, D]."""
        return np.asarray(keypoints)[..., self.columns, :]


def canonical_name(name: str) -> str:
    """'RAnkle' for 'right_ankle', 'R.Ankle', 'ankle_r', ...; '' for a name that is no joint of a person."""
    words = [word.lower() for word in _WORDS.findall(str(name))]
    # "LAnkle" and "LHip": one capital before a word is the side.
    if words and len(words) == 1 and len(words[0]) > 1 and words[0][0] in "lr" and words[0][1:] in _PARTS:
        words = [words[0][0], words[0][1:]]
    sides = {_SIDES[word] for word in words if word in _SIDES}
    rest = "".join(word for word in words if word not in _SIDES)
    for prefix in ("keypoint", "joint", "kpt", "body"):
        rest = rest.removeprefix(prefix)
    part = _PARTS.get(rest, "")
    if not part or len(sides) > 1:
        return ""
    if sides:
        return f"{sides.pop()}{part}" if part in _TWO_SIDED else ""
    if part == "Hip":  # Human3.6M's and Halpe's middle of the hips has no side
        return "Pelvis"
    return part if part not in _TWO_SIDED else ""


def did_you_mean(names: Sequence[str]) -> str:
    """What misspelt names of joints are likely to mean, as the end of a message; '' where nothing is near."""
    known = {name.lower(): name for name in _SPELT}
    near = [(name, difflib.get_close_matches(str(name)[:_LONGEST].lower(), known, 1, _NEAR)) for name in names[:_SHOWN]]
    texts = [f"'{name[:_LONGEST]}': did you mean {known[words[0]]}?" for name, words in near if words]
    return f" ({' '.join(texts)})" if texts else ""


def _true_names(names: Sequence[str]) -> list[str]:
    """The names, with those of the legs exchanged where it is MMPose's list for Human3.6M."""
    named = list(names)
    if len(named) == 17 and named[0] in _MMPOSE_ROOTS and named[1:] == _MMPOSE_LEGS + _MMPOSE_ABOVE:
        named[1:7] = [*named[4:7], *named[1:4]]
    return named


def _own_names(joint_set: joints.JointSet) -> list[str]:
    """The canonical names of a set's joints; what sets call alike but mean otherwise is told apart here."""
    table = {
        "h36m17": {"Head": "Head", "Thorax": "Thorax", "Neck/Nose": "NeckBase"},
        "pose17": {"Head": "Head", "Thorax": "Thorax", "Neck/Nose": "NeckBase"},
        "halpe26": {"Head": "Head", "Hip": "Pelvis"},
        "mpii16": {"UpperNeck": "Neck"},
    }.get(joint_set.name, {})
    return [table.get(name) or canonical_name(name) for name in joint_set.joints]


def match_names(names: Sequence[str], where: str = "key points", joint_set: str = "") -> Match:
    """The largest joint set of which all joints are among the names, in any order.

    MMPose's list for Human3.6M is read as what its files hold, which is not what it says of the legs.

    Args:
      names: one for each key point, as the file has them.
      where: what to call them in the error line.
      joint_set: the only set that is looked for ('': any).

    Raises:
      InputError: no set is whole among them, or two key points have one name.
    """
    places: dict[str, int] = {}
    unknown = []
    names = _true_names(names)
    for place, name in enumerate(names):
        word = canonical_name(name)
        if not word:
            unknown.append(str(name))
        elif word in places:
            raise InputError(f"{where}: '{name}' and '{names[places[word]]}' both name the joint {word}")
        else:
            places[word] = place
    for alias, word in (("Head", "HeadTop"), ("HeadTop", "Head")):
        if alias in places and word not in places:
            places[word] = places[alias]
    best: Match | None = None
    sets = (joints.joint_set(joint_set).name,) if joint_set else _SETS
    for name in sets:
        own = _own_names(joints.JOINT_SETS[name])
        if (
            len(own) >= _FEWEST
            and all(word in places for word in own)
            and (best is None or len(own) > best.columns.size)
        ):
            columns = np.array([places[word] for word in own])
            rest = tuple(str(names[i]) for i in range(len(names)) if i not in set(columns.tolist()))
            best = Match(name, columns, rest, len(names))
    if best is None:
        shown = ", ".join(unknown[:_SHOWN]) or ", ".join(map(str, names[:_SHOWN]))
        problem = "not joints of a person" if unknown else "no whole joint set"
        known = f"expected all of {joint_set}" if joint_set else f"joint sets are {', '.join(joints.JOINT_SETS)}"
        raise InputError(f"{where}: {shown}: {problem}{did_you_mean(unknown)}; {known} (docs/joints.md)")
    return best
