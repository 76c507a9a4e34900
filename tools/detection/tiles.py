"""Squares that cover a picture, for people who are small in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tools.detection.regions import Region

# Squares of a level share this much of their side with the next, so that every person is whole in one of them.
OVERLAP = 0.3
# Squares of a picture's whole height share less: who lies across the edge of one is seen in the whole picture too.
_OVERLAP_ACROSS = 0.2
# How many squares lie along the shorter side, level by level; the last level is for people beside others alone.
LEVELS = (2, 3, 4)
USUAL = 2
# People who fill this much of the picture's height leave no room for others of the same distance to be too small.
_LARGE = 0.5
# A picture is wide when its longer side is so many times the shorter one.
_WIDE = 1.2
# A person whose square is so many times a tile is seen in larger ones; what looks like one in the tile is none.
_LARGEST = 2.5
# Hips may lie outside of a tile that shows head and shoulders, but not farther from its middle than this share of it.
_REACH = 0.65
# Below this side in px a square holds no person whom the landmark network could read.
_LEAST_SIDE = 96


def squares(width: int, height: int, along: int) -> list[Region]:
    """Equal squares that cover a picture: `along` of them along its shorter side, in rows."""
    side = min(width, height) / (1 + (along - 1) * (1 - OVERLAP))
    return _covering(width, height, side, OVERLAP)


def _covering(width: int, height: int, side: float, overlap: float) -> list[Region]:
    return [Region(x, y, side) for y in _centres(height, side, overlap) for x in _centres(width, side, overlap)]


def _centres(length: int, side: float, overlap: float) -> np.ndarray:
    """Centres of squares that cover a length, evenly; the outermost end where the picture does."""
    step = side * (1 - overlap)
    # A hair less, so that a length of a whole number of steps needs no square more.
    count = 1 + max(0, int(np.ceil((length - side) / step - 1e-6)))
    first, last = side / 2 - 0.5, length - side / 2 - 0.5
    return np.linspace(first, last, count) if count > 1 else np.array([(length - 1) / 2])


def across(width: int, height: int) -> list[Region]:
    """The squares of the whole height of a picture that is wider than high (width, where it is higher), else none."""
    side = min(width, height)
    if side < _LEAST_SIDE or max(width, height) <= _WIDE * side:
        return []
    return _covering(width, height, float(side), _OVERLAP_ACROSS)


def levels(width: int, height: int) -> Iterator[list[Region]]:
    """The squares of each level, the largest first."""
    for along in LEVELS:
        level = squares(width, height, along)
        if level[0].side >= _LEAST_SIDE:
            yield level


def shows(square: Region, person: Region) -> bool:
    """Whether an upright square shows a person whose middle is that of their hips, or enough of them."""
    inside = max(abs(person.x - square.x), abs(person.y - square.y)) <= _REACH * square.side
    return inside and person.side <= _LARGEST * square.side


def worthwhile(width: int, height: int, sizes: Sequence[float]) -> bool:
    """Whether people may have been missed: unless exactly one was found, who fills the picture."""
    return not (len(sizes) == 1 and sizes[0] >= _LARGE * min(width, height))
