"""Biovision Hierarchy files (.bvh): the skeleton, its motion, and where the joints are.

Own reader: PyPI's `bvh` 0.3 gives channels, but no positions, and names no line of a damaged file. The format has no
standard. Read here: one ROOT; any order and number of channels for each joint; End Sites; names with
blanks; braces on any line. Position channels stand in place of the joint's offset, as writers of six channels a joint
mean it. Rotations are degrees, multiplied in the order of the channels, each about the axes that the one before turned.
"""

from __future__ import annotations

import dataclasses
import io
import pathlib
import re
from collections.abc import Iterator
from typing import Any, TextIO

import numpy as np

from tools.cli.errors import InputError
from tools.files import inputs

_CHANNEL = re.compile(r"([xyz])(position|rotation)", re.IGNORECASE)


@dataclasses.dataclass(frozen=True)
class Skeleton:
    """The HIERARCHY of a file and the head of its MOTION.

    Attributes:
      names: of joints and End Sites, parents before children; an End Site is called '<parent> End'.
      parents: index of each one's parent, -1 for the root.
      offsets: [J, 3] in the file's unit.
      is_end: [J] whether it is an End Site.
      channels: for each joint its channels in order, such as ('position', 0) or ('rotation', 2): kind and axis.
      frames, frame_time_s: what MOTION announces.
    """

    names: tuple[str, ...]
    parents: tuple[int, ...]
    offsets: np.ndarray
    is_end: tuple[bool, ...]
    channels: tuple[tuple[tuple[str, int], ...], ...]
    frames: int
    frame_time_s: float

    @property
    def columns(self) -> int:
        """How many numbers a frame has."""
        return sum(map(len, self.channels))

    def children(self, joint: int) -> list[int]:
        """Indices of the joints and End Sites that hang on `joint`."""
        return [i for i, parent in enumerate(self.parents) if parent == joint]

    def rest(self) -> np.ndarray:
        """Where joints are when no rotation is applied: [J, 3] in the file's unit."""
        places = np.array(self.offsets)
        for i, parent in enumerate(self.parents):
            if parent >= 0:
                places[i] += places[parent]
        return places


def read_skeleton(path: pathlib.Path) -> Skeleton:
    """Reads the file up to its first frame. Raises `InputError` naming file, line and what was expected."""
    with _open(path) as file:
        return _read_head(_Lines(path, file))


def read(path: pathlib.Path) -> tuple[Skeleton, np.ndarray]:
    """The skeleton and the motion ``[frames, columns]`` float64.

    Raises:
      InputError: naming file, line and what was expected.
    """
    with _open(path) as file:
        lines = _Lines(path, file)
        skeleton = _read_head(lines)
        return skeleton, _read_motion(lines, skeleton)


def forward_kinematics(skeleton: Skeleton, motion: np.ndarray) -> np.ndarray:
    """Where joints and End Sites are in each frame: ``[F, J, 3]`` float64 in the file's unit and axes.

    Args:
      motion: [F, columns] as `read` gives it.
    """
    places = np.empty((len(motion), len(skeleton.names), 3))
    turns = np.empty((len(motion), len(skeleton.names), 3, 3))
    column = 0
    for i, parent in enumerate(skeleton.parents):
        move = np.broadcast_to(skeleton.offsets[i], (len(motion), 3)).copy()
        turn = np.broadcast_to(np.eye(3), (len(motion), 3, 3))
        for kind, axis in skeleton.channels[i]:
            if kind == "position":
                move[:, axis] = motion[:, column]
            else:
                turn = turn @ _rotation(axis, motion[:, column])
            column += 1
        if parent < 0:
            places[:, i], turns[:, i] = move, turn
        else:
            places[:, i] = places[:, parent] + np.einsum("fij,fj->fi", turns[:, parent], move)
            turns[:, i] = turns[:, parent] @ turn
    return places


def _rotation(axis: int, degrees: np.ndarray) -> np.ndarray:
    """[F, 3, 3] rotations about one axis."""
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    first, second = (axis + 1) % 3, (axis + 2) % 3
    turn = np.zeros((len(degrees), 3, 3))
    turn[:, axis, axis] = 1.0
    turn[:, first, first], turn[:, first, second] = cos, -sin
    turn[:, second, first], turn[:, second, second] = sin, cos
    return turn


def _open(path: pathlib.Path) -> TextIO:
    return io.TextIOWrapper(inputs.open_file(path), encoding="utf-8-sig", errors="replace")


class _Lines:
    """The file's lines that are not empty, with their numbers, and errors that name them."""

    def __init__(self, path: pathlib.Path, file: TextIO) -> None:
        self.path, self.number = path, 0
        self._file = file
        self._words: list[str] = []

    def lines(self) -> Iterator[str]:
        for line in self._file:
            self.number += 1
            if line.strip():
                yield line.strip()

    def error(self, expected: str, found: str) -> InputError:
        found = found if len(found) < 60 else found[:57] + "..."
        return InputError(f"{self.path}: line {self.number}: expected {expected}, found {found}")

    def word(self, expected: str) -> str:
        """The next word; braces are words of their own."""
        if not self._words:
            line = next(self.lines(), None)
            if line is None:
                raise self.error(expected, "the end of the file")
            self._words = re.sub(r"([{}])", r" \1 ", line).split()
        return self._words.pop(0)

    def expect(self, wanted: str, expected: str = "") -> None:
        """Takes the next word, which must be `wanted` in any case of letters."""
        found = self.word(expected or wanted)
        if found.upper() != wanted.upper():
            raise self.error(expected or wanted, f"'{found}'")

    def name(self, required: bool = True) -> str:
        """The words up to the brace or the line's end."""
        words = []
        while self._words and self._words[0] != "{":
            words.append(self._words.pop(0))
        if not words and required:
            raise self.error("a joint's name", "none")
        return " ".join(words)

    def numbers(self, count: int, expected: str) -> list[float]:
        """The next words as finite numbers."""
        values = []
        for _ in range(count):
            word = self.word(expected)
            try:
                values.append(float(word))
            except ValueError:
                raise self.error(expected, f"'{word}'") from None
            if not np.isfinite(values[-1]):
                raise self.error(expected, f"'{word}'")
        return values


def _read_head(lines: _Lines) -> Skeleton:
    lines.expect("HIERARCHY")
    lines.expect("ROOT")
    names, parents, is_end = [lines.name()], [-1], [False]
    offsets: list[Any] = [None]
    channels: list[Any] = [None]
    lines.expect("{")
    open_joints = [0]
    while open_joints:
        joint = open_joints[-1]
        word = lines.word("OFFSET, CHANNELS, JOINT, End Site or }").upper()
        if word == "OFFSET":
            offsets[joint] = lines.numbers(3, "three numbers of OFFSET")
        elif word == "CHANNELS" and not is_end[joint]:
            channels[joint] = _read_channels(lines)
        elif word in ("JOINT", "END") and not is_end[joint]:
            if offsets[joint] is None:
                raise lines.error(f"OFFSET of {names[joint]}", f"'{word}'")
            if word == "JOINT":
                names.append(lines.name())
            else:
                lines.expect("Site", "End Site")
                lines.name(required=False)
                names.append(f"{names[joint]} End")
            parents.append(joint)
            offsets.append(None)
            channels.append(None)
            is_end.append(word == "END")
            lines.expect("{")
            open_joints.append(len(names) - 1)
        elif word == "}":
            if offsets[joint] is None:
                raise lines.error(f"OFFSET of {names[joint]}", "'}'")
            open_joints.pop()
        else:
            raise lines.error("OFFSET or }" if is_end[joint] else "OFFSET, CHANNELS, JOINT, End Site or }", f"'{word}'")
    lines.expect("MOTION", "MOTION (one skeleton a file)")
    if not any(channels):
        raise lines.error("a joint with channels before MOTION", "none")
    frames = _read_field(lines, r"frames\s*:\s*(\d{1,9})", "Frames: <number>")
    time = _read_field(lines, r"frame\s*time\s*:\s*([-+.\deE]+)", "Frame Time: <seconds>")
    try:
        frame_time = float(time)
    except ValueError:
        raise lines.error("Frame Time: <seconds>", f"'{time}'") from None
    return Skeleton(
        tuple(names),
        tuple(parents),
        np.array(offsets),
        tuple(is_end),
        tuple(tuple(channel or ()) for channel in channels),
        int(frames),
        frame_time,
    )


def _read_channels(lines: _Lines) -> list[tuple[str, int]]:
    (count,) = lines.numbers(1, "the number of channels")
    if count != int(count) or not 0 <= count <= 6:
        raise lines.error("0 to 6 channels", f"{count:g}")
    channels = []
    for _ in range(int(count)):
        word = lines.word("a channel such as Xposition or Zrotation")
        match = _CHANNEL.fullmatch(word)
        if not match:
            raise lines.error("a channel such as Xposition or Zrotation", f"'{word}'")
        channels.append((match[2].lower(), "xyz".index(match[1].lower())))
    return channels


def _read_field(lines: _Lines, pattern: str, expected: str) -> str:
    line = next(lines.lines(), None)
    match = re.fullmatch(pattern, line, re.IGNORECASE) if line is not None else None
    if not match:
        raise lines.error(expected, "the end of the file" if line is None else f"'{line}'")
    return match[1]


def _read_motion(lines: _Lines, skeleton: Skeleton) -> np.ndarray:
    # Grown row by row: the number of frames is only what the file says of itself.
    rows: list[np.ndarray] = []
    for line in lines.lines():
        if len(rows) == skeleton.frames:
            raise lines.error(f"the end after {skeleton.frames} frames", f"'{line}'")
        words = line.split()
        if len(words) != skeleton.columns:
            raise lines.error(f"a frame of {skeleton.columns} numbers", f"{len(words)}")
        try:
            rows.append(np.array([float(word) for word in words]))
        except ValueError:
            raise lines.error(f"a frame of {skeleton.columns} numbers", f"'{line}'") from None
    if len(rows) != skeleton.frames:
        raise lines.error(f"{skeleton.frames} frames", f"the end of the file after {len(rows)}")
    return np.array(rows).reshape(-1, skeleton.columns)
