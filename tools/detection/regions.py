"""Turned squares of a picture: cut out for a network, and its answers brought back.

Coordinates are OpenCV's: the centre of the first pixel is (0, 0). A network's input is a square of cells; the middle of
cell i lies (i + 0.5) / side of the way through the region, so that no half pixel is lost between the two.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

# Pictures are shrunk by averaging before they are sampled with more than so many of their pixels in a step.
_LARGEST_STEP = 2.0
_GREY = 128


class Region(NamedTuple):
    """A square: centre x, y px, side px, and the angle in radians by which its right edge's normal points downwards."""

    x: float
    y: float
    side: float
    angle: float = 0.0

    @property
    def turn(self) -> np.ndarray:
        """[2, 2]: from the square's axes (right, down) to the picture's."""
        cosine, sine = np.cos(self.angle), np.sin(self.angle)
        return np.array([[cosine, -sine], [sine, cosine]])

    def to_picture(self, places: np.ndarray) -> np.ndarray:
        """Places [..., 2] in 0..1 of the square -> px of the picture."""
        return (np.asarray(places, np.float64) - 0.5) * self.side @ self.turn.T + [self.x, self.y]

    def from_picture(self, points: np.ndarray) -> np.ndarray:
        """Points [..., 2] px of the picture -> 0..1 of the square."""
        return (np.asarray(points, np.float64) - [self.x, self.y]) @ self.turn / self.side + 0.5


class Likeness(NamedTuple):
    """Of two regions: largest distance of their centres as a share of the larger side, smallest ratio of their sides,
    and smallest cosine of the angle between them."""

    apart: float
    sides: float
    cosine: float


def alike(one: Region, other: Region, limits: Likeness) -> bool:
    """Whether two regions are as like as these limits ask."""
    if min(one.side, other.side) <= 0.0:
        return False
    near = np.hypot(one.x - other.x, one.y - other.y) < limits.apart * max(one.side, other.side)
    sides = limits.sides < one.side / other.side < 1 / limits.sides
    return bool(near and sides and np.cos(one.angle - other.angle) > limits.cosine)


def whole(width: int, height: int, angle: float = 0.0) -> Region:
    """The smallest upright square around a picture, centred (letter-boxing); `angle` by quarter turns."""
    return Region((width - 1) / 2, (height - 1) / 2, float(max(width, height)), angle)


def upright_person(centre: np.ndarray, rim: np.ndarray, larger: float) -> Region:
    """The square in which a person's body stands upright.

    Args:
      centre: [2] px, the middle of the hips. rim: [2] px, the point of the circle around the body above the head.
      larger: by how much the square is larger than the circle.
    """
    way = np.asarray(rim, np.float64) - centre
    # The rim is to be straight above the centre, that is at -90 degrees with y down.
    angle = np.arctan2(way[1], way[0]) + np.pi / 2
    angle -= 2 * np.pi * np.floor((angle + np.pi) / (2 * np.pi))
    return Region(float(centre[0]), float(centre[1]), float(2 * np.hypot(*way) * larger), float(angle))


def cut(picture: np.ndarray, region: Region, side: int, border: int = 0) -> np.ndarray:
    """The square as [side, side, C]: bilinear samples of the picture, averaged first where it is much larger.

    border: the value of what lies outside the picture, whose outermost pixels blend into it.
    """
    import cv2

    # Cell (i, j) -> picture: its middle is at ((i + 0.5) / side - 0.5) * region.side from the centre.
    turn = region.turn * (region.side / side)
    matrix = np.column_stack([turn, np.array([region.x, region.y]) + turn @ np.full(2, 0.5 - side / 2)])
    if region.side / side > _LARGEST_STEP:
        picture, matrix = _shrunk(picture, matrix, side, region.side / side)
    return cv2.warpAffine(
        picture,
        matrix,
        (side, side),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(border,) * 4,
    )


def cut_within(picture: np.ndarray, region: Region, side: int, within: np.ndarray) -> np.ndarray:
    """As `cut`, with everything covered in grey but a box [4] px (left, top, right, bottom)."""
    size = picture.shape[1::-1]
    left, top = np.clip(np.floor(within[:2]), 0, np.array(size) - 1).astype(int)
    right, bottom = np.clip(np.ceil(within[2:]), [left + 1, top + 1], size).astype(int)
    moved = region._replace(x=region.x - left, y=region.y - top)
    return cut(picture[top:bottom, left:right], moved, side, border=_GREY)


def _shrunk(picture: np.ndarray, matrix: np.ndarray, side: int, step: float) -> tuple[np.ndarray, np.ndarray]:
    """The part of a picture that the cells of a square see, shrunk `step` times, and their matrix [2, 3] into it."""
    import cv2

    height, width = picture.shape[:2]
    corners = np.array([[0, 0], [0, side], [side, 0], [side, side]]) @ matrix[:, :2].T + matrix[:, 2]
    margin = 2 * np.ceil(step)
    grain = _grain(width, height, step)
    low = np.clip(np.floor(corners.min(0)) - margin, 0, [width - 1, height - 1]).astype(int) // grain * grain
    high = np.clip(np.ceil(corners.max(0)) + margin, low + 1, [width, height]).astype(int)
    high = -(-high // grain) * grain
    size = np.maximum(np.rint((high - low) / step), 1).astype(int)
    small = picture[low[1] : high[1], low[0] : high[0]]
    while grain > 1:
        # Averages of four pixels are several times as fast as those of parts of pixels, and these are of few then.
        small = cv2.resize(small, (small.shape[1] // 2, small.shape[0] // 2), interpolation=cv2.INTER_AREA)
        grain //= 2
    small = cv2.resize(small, tuple(map(int, size)), interpolation=cv2.INTER_AREA)
    # The edges of the part are half a pixel before the middles of its outermost pixels, before and after.
    zoom = size / (high - low)
    shift = (matrix[:, 2] - low + 0.5) * zoom - 0.5
    return small, np.column_stack([matrix[:, :2] * zoom[:, None], shift])


def _grain(width: int, height: int, step: float) -> int:
    """The largest power of two that divides a picture's sides and is not above a step."""
    grain = 1
    while 2 * grain <= step and width % (2 * grain) == 0 and height % (2 * grain) == 0:
        grain *= 2
    return grain
