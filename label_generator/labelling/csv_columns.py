"""Which column of a CSV file is which joint's x, y or confidence, by the names of its first line."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

import numpy as np

from tools.cli.errors import InputError
from tools.pose import joints, keypoint_names

_AXES = {
    "x": 0, "y": 1, "c": 2, "conf": 2, "confidence": 2, "score": 2, "likelihood": 2, "prob": 2, "p": 2, "s": 2, "v": 2,
    "visibility": 2,
}  # fmt: skip
_WORDS = "|".join(sorted(_AXES, key=len, reverse=True))
# nose_x, nose.x, nose_x_px, x_nose, x0, 0_x; and noseX, where the case shows that the letter stands for itself.
_LAST = re.compile(rf"(?P<joint>.*?)[_.\-:/\[ ]+(?P<axis>{_WORDS})\]?(?:[_. ]px)?", re.IGNORECASE)
_FIRST = re.compile(rf"(?P<axis>{_WORDS})[_.\-:/\[ ]+(?P<joint>.*?)\]?(?:[_. ]px)?", re.IGNORECASE)
_JOINED = re.compile(r"(?P<joint>.*[a-z0-9])(?P<axis>[XY])|(?P<axis2>[xyc])(?P<joint2>\d+)")
_NUMBER = re.compile(r"(?:kpt|kp|keypoint|joint|point|j)?[_\- ]*(\d{1,3})", re.IGNORECASE)
# What this project's own tables say beside the joints' pixels.
_OWN = {"row", "track", "camera_kind", "quality", "expected_error_mm"}
_SHOWN = 4


@dataclasses.dataclass(frozen=True)
class Columns:
    """Where the joints are.

    Attributes:
      joint_set: whose joints; '' where the columns are numbered.
      places: [J, 2 or 3] the column of each joint's x, y and confidence.
    """

    joint_set: str
    places: np.ndarray


def find(names: Sequence[str], joint_set: str, place: str) -> Columns:
    """The joints' columns by their names, in any order.

    Args:
      names: of the columns that say nothing else, as the file has them; '' for a column without a name.
      joint_set: what the user says that the joints are ('': nothing).
      place: of the file, for messages.

    Raises:
      InputError: a column that is no joint's x, y or confidence, one that is there twice, or joints that are no set.
    """
    own = any(name.lower().endswith("_px") for name in names)
    found: dict[str, dict[int, int]] = {}
    strange = []
    for column, name in enumerate(names):
        if not name or (own and (name in _OWN or name.endswith("_mm"))):
            continue
        joint, axis = _split(name)
        if axis < 0:
            strange.append(name)
        elif axis in found.setdefault(joint, {}):
            raise InputError(f"{place}: the column '{name}' is there twice")
        else:
            found[joint][axis] = column
    if strange:
        shown = ", ".join(f"'{name[:40]}'" for name in strange[:_SHOWN])
        raise InputError(
            f"{place}: {shown}: no names of columns that are known; expected file, sequence, frame, person and "
            "names such as nose_x, nose_y, nose_confidence, or x0, y0"
        )
    sizes = {len(axes) for axes in found.values()}
    whole = all({0, 1} <= set(axes) for axes in found.values())
    if not whole or len(sizes) != 1:
        joint = next(name for name, axes in found.items() if not {0, 1} <= set(axes) or len(axes) != max(sizes))
        raise InputError(
            f"{place}: the joint '{joint[:40]}' has not the columns x and y (and confidence) of the others"
        )
    table = np.array([[found[name][axis] for axis in sorted(found[name])] for name in found])
    numbers = [_NUMBER.fullmatch(name) for name in found]
    if all(numbers):
        order = [int(number[1]) for number in numbers if number]
        if sorted(order) != list(range(min(order), min(order) + len(order))) or min(order) > 1:
            raise InputError(f"{place}: its columns number the joints {min(order)} to {max(order)} with gaps")
        return Columns("", table[np.argsort(order)])
    match = keypoint_names.match_names(list(found), f"{place}: its columns", joint_set)
    unknown = [name for name in match.ignored if not keypoint_names.canonical_name(name)]
    if unknown:
        shown = ", ".join(f"'{name[:40]}'" for name in unknown[:_SHOWN])
        meant = keypoint_names.did_you_mean(unknown)
        raise InputError(f"{place}: its columns name {shown}, which is no joint of a person{meant}")
    return Columns(match.joint_set, table[match.columns])


def _split(name: str) -> tuple[str, int]:
    """Joint and axis of a column's name; axis -1 for a name that tells none."""
    for pattern in (_LAST, _FIRST):
        match = pattern.fullmatch(name)
        if match and match["joint"]:
            return match["joint"], _AXES[match["axis"].lower()]
    match = _JOINED.fullmatch(name)
    if match:
        return match["joint"] or match["joint2"], _AXES[(match["axis"] or match["axis2"]).lower()]
    return name, -1


def are_numbered(cells: Sequence[str]) -> bool:
    """Whether a first line of numbers is one of names: 0, 1, 2, ..., as some programs number unnamed columns."""
    words = [cell.strip() for cell in cells]
    words = words[1:] if words and not words[0] else words
    return len(words) >= 2 * min(one.size for one in joints.JOINT_SETS.values()) and words == [
        str(i) for i in range(len(words))
    ]
