"""Skeletons of motion files: names, hierarchy and rest pose, so that a pose of the 17 is a rotation of each bone.

Rest pose: a T, y up, the person looks along +z, their left is +x. Every bone of the 17 has a node whose rotation alone
points it, so that any pose is met exactly. Where several bones start at one joint (hip, thorax), nodes without length
lie between, which are those that these skeletons have anyway: cgspeed's LHipJoint, LowerBack and LeftShoulder, Mixamo's
Spine, Neck and LeftShoulder.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from tools.cli.errors import InputError
from tools.pose.joints import POSE17

NAMES = ("cgspeed", "mixamo", "h36m")
_UP, _DOWN, _LEFT, _RIGHT = (0.0, 1.0, 0.0), (0.0, -1.0, 0.0), (1.0, 0.0, 0.0), (-1.0, 0.0, 0.0)


@dataclasses.dataclass(frozen=True)
class Node:
    """A joint of the file.

    Attributes:
      key: what it is here. parent: key of its parent, '' for the root.
      joint: of the 17 whose place the node has.
      rest: unit vector from the parent to it, in the rest pose; its length is the bone's that ends in `bone`.
      bone: joint of the 17 that ends the bone from the parent to it, '' for a node without length.
      drives: joint of the 17 that its rotation points at, '' for a node that keeps its parent's direction.
      end: length in mm and direction of the End Site, for nodes without children.
    """

    key: str
    parent: str
    joint: str
    rest: tuple[float, float, float] = _UP
    bone: str = ""
    drives: str = ""
    end: tuple[float, tuple[float, float, float]] | None = None


def _limbs() -> list[Node]:
    nodes = []
    for side, out in (("L", _LEFT), ("R", _RIGHT)):
        nodes += [
            Node(f"{side}hip", "hips", "Hip", drives=f"{side}Hip"),
            Node(f"{side}thigh", f"{side}hip", f"{side}Hip", out, f"{side}Hip", f"{side}Knee"),
            Node(f"{side}shin", f"{side}thigh", f"{side}Knee", _DOWN, f"{side}Knee", f"{side}Foot"),
            Node(f"{side}foot", f"{side}shin", f"{side}Foot", _DOWN, f"{side}Foot", end=(150.0, (0.0, -0.3, 0.95))),
        ]
    return nodes


def _arms() -> list[Node]:
    nodes = []
    for side, out in (("L", _LEFT), ("R", _RIGHT)):
        nodes += [
            Node(f"{side}collar", "chest", "Thorax", drives=f"{side}Shoulder"),
            Node(f"{side}arm", f"{side}collar", f"{side}Shoulder", out, f"{side}Shoulder", f"{side}Elbow"),
            Node(f"{side}forearm", f"{side}arm", f"{side}Elbow", out, f"{side}Elbow", f"{side}Wrist"),
            Node(f"{side}hand", f"{side}forearm", f"{side}Wrist", out, f"{side}Wrist", end=(100.0, out)),
        ]
    return nodes


_TRUNK = [
    Node("back", "hips", "Hip", drives="Spine"),
    Node("spine", "back", "Spine", _UP, "Spine", "Thorax"),
    Node("chest", "spine", "Thorax", _UP, "Thorax"),
    Node("neck", "chest", "Thorax", drives="Neck/Nose"),
    Node("head", "neck", "Neck/Nose", _UP, "Neck/Nose", "Head"),
    Node("top", "head", "Head", _UP, "Head", end=(10.0, _UP)),
]
NODES = (Node("hips", "", "Hip"), *_limbs(), *_TRUNK, *_arms())

_CGSPEED = {
    "hips": "Hips", "back": "LowerBack", "spine": "Spine", "chest": "Spine1", "neck": "Neck", "head": "Head",
    "hip": "{side}HipJoint", "thigh": "{word}UpLeg", "shin": "{word}Leg", "foot": "{word}Foot",
    "collar": "{word}Shoulder", "arm": "{word}Arm", "forearm": "{word}ForeArm", "hand": "{word}Hand",
}  # fmt: skip
_MIXAMO = {
    **_CGSPEED, "back": "Spine", "spine": "Spine1", "chest": "Spine2", "top": "HeadTop_End",
}  # fmt: skip
_H36M = {
    "hips": "Hip", "back": "LowerBack", "spine": "Spine", "chest": "Thorax", "neck": "NeckBase", "head": "Neck/Nose",
    "top": "Head", "hip": "{side}HipJoint", "thigh": "{side}Hip", "shin": "{side}Knee", "foot": "{side}Foot",
    "collar": "{side}Collar", "arm": "{side}Shoulder", "forearm": "{side}Elbow", "hand": "{side}Wrist",
}  # fmt: skip
_TABLES = {"cgspeed": _CGSPEED, "mixamo": _MIXAMO, "h36m": _H36M}


def nodes_of(names: str) -> dict[str, Node]:
    """The nodes of a naming, by the names in the file, parents before children; `parent` is a name too.

    cgspeed: of the CMU motion capture as cgspeed published it, what most tools retarget from. mixamo: Mixamo's, with
    its prefix; the thighs hang on the hips directly. h36m: this project's names of the 17.

    Raises:
      InputError: another naming.
    """
    if names not in NAMES:
        raise InputError(f"--names={names}: there are {', '.join(NAMES)}")
    table, called, result = _TABLES[names], {"": ""}, {}
    for node in NODES:
        part, side = (node.key, "") if node.key in table else (node.key[1:], node.key[0])
        if node.key == "top" and "top" not in table:
            continue  # the head's End Site
        if names == "mixamo" and part == "hip":
            called[node.key] = called[node.parent]
            continue
        name = table[part].format(side=side, word={"L": "Left", "R": "Right", "": ""}[side])
        called[node.key] = f"mixamorig:{name}" if names == "mixamo" else name
        result[called[node.key]] = dataclasses.replace(node, parent=called[node.parent])
    if "top" not in table:
        head = called["head"]
        result[head] = dataclasses.replace(result[head], end=(-1.0, _UP))  # -1: the bone to Head
    return result


def offset_mm(node: Node, lengths: np.ndarray) -> np.ndarray:
    """[3] mm from the parent in the rest pose, for bones of these lengths [17]."""
    return np.array(node.rest) * lengths[POSE17.index(node.bone)] if node.bone else np.zeros(3)


def end_mm(node: Node, lengths: np.ndarray) -> np.ndarray | None:
    """[3] mm from the node to its End Site in the rest pose; None where it has children."""
    if node.end is None:
        return None
    length, direction = node.end
    return np.array(direction) * (lengths[POSE17.index("Head")] if length < 0 else length)
