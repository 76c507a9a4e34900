"""What readers of detectors' output share.

The joint set of a file's key points, people from points with scores, who they are, frames by the names of pictures.
"""

from __future__ import annotations

import pathlib
import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from tfrecords import schema
from tfrecords.conversion.people import People
from tools.cli.errors import InputError
from tools.pose import bounds, joints
from tools.pose.keypoint_names import Match, match_names

BAD_KEYPOINTS = "key points that are no numbers, or not as many as the others"
NOT_PIXELS = bounds.NOT_PIXELS
# Where a file names no key points, their number tells the set. Halpe's 136 start with its 26 of the body,
# COCO-WholeBody's 133 with COCO's 17.
_BY_COUNT = {17: "coco17", 25: "body25", 26: "halpe26", 33: "mediapipe33", 133: "coco17", 136: "halpe26"}
KNOWN_COUNTS = frozenset(_BY_COUNT)
_NUMBERED = re.compile(r"(?:(.*?)[_\-. ]?(?<!\d))?(\d{1,18})", re.DOTALL)
_LARGEST_IDENTITY = 1 << 31


def identity(entry: Any, *names: str) -> int:
    """The number that a tracker gave to a person, under the first of `names` that `entry` has; -1 without.

    [3], [[3]] and 3.0 are 3, as AlphaPose writes them.
    """
    value = next((entry[name] for name in names if name in entry), None) if isinstance(entry, dict) else None
    for _ in range(2):
        value = value[0] if isinstance(value, list) and len(value) == 1 else value
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < _LARGEST_IDENTITY:
        return -1
    return int(value)


def clip_and_frame(file: str) -> tuple[str, int]:
    """(clip, frame) by a picture's name: 'a/walk_0031.jpg' is frame 31 of 'a/walk'; frame -1 where it has no number."""
    path = pathlib.PurePosixPath(file)
    found = _NUMBERED.fullmatch(path.stem)
    title, frame = (found[1] or "", int(found[2])) if found else (path.stem, -1)
    folder = "" if path.parent.as_posix() == "." else path.parent.as_posix()
    return "/".join(filter(None, (folder, title))), frame


class Persons:
    """Numbers of the people of each picture: those of a tracker, and others above them for whom it has none."""

    def __init__(self, identities: Iterable[int]):
        """identities: of all people of the file, -1 where there is none."""
        self._first = max(identities, default=-1) + 1
        self._untracked: dict[int, int] = {}

    def number(self, picture: int, known: int) -> int:
        """The person's number: `known`, or where it is -1 the next of the picture."""
        if known >= 0:
            return known
        count = self._untracked[picture] = self._untracked.get(picture, -1) + 1
        return self._first + count


def match_of(count: int, names: Sequence[str] | None, joint_set: str, where: str) -> Match:
    """Which joint set `count` key points are.

    Args:
      names: of the key points, where the file tells them. joint_set: what the user says ('': nothing).
      where: file, for the error line.

    Raises:
      InputError: the names are no person's, or nothing tells what the key points are.
    """
    if joint_set:
        size = joints.joint_set(joint_set).size
        if count < size:
            raise InputError(f"{where}: {count} key points a person, joint set {joint_set} has {size}")
        return Match(joint_set, np.arange(size), (), count)
    if names:
        if len(names) != count:
            raise InputError(f"{where}: {len(names)} names for {count} key points")
        return match_names(names, where)
    if count not in _BY_COUNT:
        raise InputError(f"{where}: {count} unnamed key points a person; name their joint set with --joints")
    return match_of(count, None, _BY_COUNT[count], where)


def add_detected(
    people: People,
    match: Match,
    picture: int,
    person: int,
    points: np.ndarray | None,
    scores: np.ndarray | None = None,
    box: np.ndarray | None = None,
    min_confidence: float = 0.0,
) -> None:
    """Adds a detected person, or counts them as skipped where the key points can't be used.

    Args:
      points: [K, 2] px of all key points of the file; None where they are no numbers. A point at exactly (0, 0) is
        missing. scores: [K]; a joint whose score is not above `min_confidence` is missing. box: x, y, width, height px.
    """
    if points is None or points.shape != (match.count, 2) or (scores is not None and scores.shape != (match.count,)):
        people.add_bad(picture, person, BAD_KEYPOINTS)
        return
    if scores is not None and (scores > bounds.LARGEST_CONFIDENCE).any():
        people.add_bad(picture, person, bounds.NO_CONFIDENCE)
        return
    known = (points != 0).any(-1) & np.isfinite(points).all(-1)
    if scores is not None:
        known &= scores > min_confidence
    chosen = match.select(np.where(known[:, None], points, np.nan))
    codes = np.full(len(chosen), schema.UNKNOWN)
    if box is not None and (box[2:] > 0).all():
        people.add(picture, person, chosen, codes, box)
    else:
        people.add(picture, person, chosen, codes)
