"""Neighbours for the crops of the body head: other people of the set, cut out and pasted around the annotated one.

People are cut out by the landmark network's own mask, where it agrees with their joints. A neighbour stands beside the
annotated person, behind them (whose own cut-out stays on top) or in front of them. Some pictures end in the middle of
the person, as pictures of groups do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from tools.detection import body_head
from tools.detection.person_mask import PersonMask
from tools.detection.regions import Region
from tools.pose import joints

_BODY = joints.joint_set(body_head.JOINT_SET)
_BONES = np.array(
    [
        (_BODY.index(side + one), _BODY.index(side + other))
        for side in "LR"
        for one, other in (
            ("Shoulder", "Elbow"),
            ("Elbow", "Wrist"),
            ("Shoulder", "Hip"),
            ("Hip", "Knee"),
            ("Knee", "Ankle"),
        )
    ]
)
HIPS = [_BODY.index("RHip"), _BODY.index("LHip")]
_TORSO = [*HIPS, _BODY.index("RShoulder"), _BODY.index("LShoulder")]
# A mask is taken where it covers so many of the joints and of the bones' middles, by half or more.
_COVERED = 0.75
_MASKED = 0.5
_LONG = 0.8  # quantile
# How many neighbours: probabilities of one, two and three.
_NUMBER = (0.45, 0.35, 0.2)
# Standard deviation of the logarithm of their sizes; long bones (about a quarter of a standing person) between torsos.
_SIZES, _NEAREST, _FARTHEST = 0.2, 0.75, 2.2
# Of neighbours in the direction of the torso's side, within this angle; shares in front, and at most hidden by them.
_BESIDE, _WITHIN, _IN_FRONT, _HIDDEN = 0.8, np.deg2rad(30), 0.45, 0.35
# Share of pictures without anything beside the annotated picture; of ones cut through the person, how many joints stay.
_UNPADDED, _CUT, _LEFT = 0.35, 0.2, 0.65


class CutOut(NamedTuple):
    """A person: [h, w, 3] uint8 BGR, [h, w] 0..1 how much of a pixel is theirs, [14, 2] px, NaN where unknown."""

    pixels: np.ndarray
    mask: np.ndarray
    points: np.ndarray


def size(points: np.ndarray) -> float:
    """Length of the long bones of joints [14, 2] px, of which some point at the camera; NaN without any."""
    lengths = np.linalg.norm(points[_BONES[:, 0]] - points[_BONES[:, 1]], axis=-1)
    lengths = lengths[np.isfinite(lengths)]
    return float(np.quantile(lengths, _LONG)) if len(lengths) and lengths.any() else float("nan")


def middle(points: np.ndarray) -> np.ndarray:
    """[2] px: mean of the torso's known joints, or of all where none is."""
    known = points[_TORSO][np.isfinite(points[_TORSO]).all(-1)]
    return known.mean(0) if len(known) else points[np.isfinite(points).all(-1)].mean(0)


def hips(points: np.ndarray) -> np.ndarray:
    """[2] px: the middle of the known hips, or of the torso where none is known."""
    known = points[HIPS][np.isfinite(points[HIPS]).all(-1)]
    return known.mean(0) if len(known) else middle(points)


class CutOuts:
    """The people of a set cut out, each once."""

    def __init__(
        self, pixels: Callable[[int], np.ndarray | None], points: np.ndarray, region: Callable[[np.ndarray], Region]
    ) -> None:
        """pixels: of a row's picture. points: [N, 14, 2] px. region: around the joints of a person."""
        self._pixels, self._points, self._region = pixels, points, region
        self._network = PersonMask()
        self._masks: dict[int, bytes] = {}

    def of(self, row: int) -> CutOut | None:
        """A person cut out; None where their picture cannot be read, or the mask does not agree with the joints."""
        import cv2

        pixels = self._pixels(row)
        if pixels is None:
            return None
        if row not in self._masks:
            self._masks[row] = self._compressed(pixels, self._points[row])
        if not self._masks[row]:
            return None
        mask = cv2.imdecode(np.frombuffer(self._masks[row], np.uint8), cv2.IMREAD_GRAYSCALE)
        return CutOut(pixels, mask.astype(np.float32) / 255, self._points[row])

    def _compressed(self, pixels: np.ndarray, points: np.ndarray) -> bytes:
        import cv2

        mask = self._network.of(pixels, self._region(points)).astype(np.float32)
        ends = points[_BONES]
        places = np.concatenate([points, ends.mean(1)])
        places = places[np.isfinite(places).all(-1)]
        if not np.isfinite(size(points)) or (_at(mask, places) >= _MASKED).mean() < _COVERED:
            return b""
        return cv2.imencode(".png", np.rint(255 * mask).astype(np.uint8))[1].tobytes()


def _at(mask: np.ndarray, places: np.ndarray) -> np.ndarray:
    """[n] values of a mask [H, W] at places [n, 2] px, 0 outside."""
    columns, rows = np.rint(places).astype(int).T
    inside = (columns >= 0) & (rows >= 0) & (columns < mask.shape[1]) & (rows < mask.shape[0])
    return np.where(inside, mask[np.where(inside, rows, 0), np.where(inside, columns, 0)], 0.0)


def crowd(person: CutOut, choose: Callable[[], CutOut | None], rng: np.random.Generator) -> tuple[CutOut, np.ndarray]:
    """A person among neighbours.

    Args:
      person: with a mask of their own. choose: another one, None where that one is of no use.

    Returns:
      the picture with its joints and the mask of what is still seen of the person, and the neighbours' joints
      [k, 14, 2].
    """
    canvas, corner = _canvas(person.pixels, person.points, rng)
    height, width = person.mask.shape
    own = np.zeros(canvas.shape[:2], np.float32)
    own[corner[1] : corner[1] + height, corner[0] : corner[0] + width] = person.mask
    points = person.points + corner
    others: list[np.ndarray] = []
    for _ in range(rng.choice(len(_NUMBER), p=_NUMBER) + 1):
        neighbour = choose()
        if neighbour is None:
            continue
        pixels, mask, theirs = _placed(neighbour, canvas.shape, points, rng)
        known = points[np.isfinite(points).all(-1)]
        hidden = (_at(mask, known) >= _MASKED).mean()
        if rng.random() < _IN_FRONT and hidden <= _HIDDEN:
            own = own * (1 - mask)
        else:
            mask = mask * (1 - own)
        canvas = (canvas + (pixels - canvas) * mask[..., None]).astype(np.float32)
        others.append(theirs)
    canvas = np.clip(np.rint(canvas), 0, 255).astype(np.uint8)
    around = np.array(others).reshape(-1, _BODY.size, 2)
    if rng.random() < _CUT:
        return _cut(CutOut(canvas, own, points), around, rng)
    return CutOut(canvas, own, points), around


def _canvas(pixels: np.ndarray, points: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A picture as floats with room around it in most cases, and where its upper left corner [2] px is."""
    import cv2

    kind = rng.random()
    if kind < _UNPADDED:
        return pixels.astype(np.float32), np.zeros(2, int)
    room = int(np.ceil(_FARTHEST * size(points)))
    edges = (room, room, room, room)
    if kind < (1 + _UNPADDED) / 2:
        padded = cv2.copyMakeBorder(pixels, *edges, cv2.BORDER_REFLECT_101)
        blurred = cv2.GaussianBlur(padded, (0, 0), max(room / 6, 1.0))
    else:
        # The picture itself, enlarged: something is there that is not the person.
        small = cv2.GaussianBlur(pixels, (0, 0), 3.0)
        blurred = cv2.resize(small, (pixels.shape[1] + 2 * room, pixels.shape[0] + 2 * room))
    blurred[room : room + pixels.shape[0], room : room + pixels.shape[1]] = pixels
    return blurred.astype(np.float32), np.array([room, room])


def _placed(
    neighbour: CutOut, shape: tuple[int, ...], points: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A neighbour near joints [14, 2] px, on a canvas [H, W, 3]: picture, mask [H, W], joints [14, 2] px."""
    import cv2

    unit = size(points)
    zoom = unit / size(neighbour.points) * np.exp(rng.normal(0, _SIZES))
    axis = _across(points)
    angle = rng.uniform(-_WITHIN, _WITHIN) if rng.random() < _BESIDE else rng.uniform(-np.pi, np.pi)
    cosine, sine = np.cos(angle), np.sin(angle)
    way = np.array([cosine * axis[0] - sine * axis[1], sine * axis[0] + cosine * axis[1]]) * rng.choice([-1, 1])
    target = middle(points) + way * rng.uniform(_NEAREST, _FARTHEST) * unit
    flip = -1.0 if rng.random() < 0.5 else 1.0
    turn = np.diag([flip * zoom, zoom])
    matrix = np.column_stack([turn, target - turn @ middle(neighbour.points)])
    pixels, mask = neighbour.pixels, neighbour.mask
    if zoom < 0.6:
        blur = 0.4 / zoom
        pixels, mask = cv2.GaussianBlur(pixels, (0, 0), blur), cv2.GaussianBlur(mask, (0, 0), blur)
    values = pixels.astype(np.float32) * rng.uniform(0.75, 1.25) + rng.uniform(-15, 15)
    canvas_size = shape[1], shape[0]
    placed = cv2.warpAffine(np.clip(values, 0, 255), matrix, canvas_size, borderMode=cv2.BORDER_REPLICATE)
    theirs = neighbour.points @ turn.T + matrix[:, 2]
    return placed, cv2.warpAffine(mask, matrix, canvas_size), theirs[_BODY.mirror] if flip < 0 else theirs


def _across(points: np.ndarray) -> np.ndarray:
    """[2] of length 1: across the direction from hips to shoulders."""
    way = middle(points) - hips(points)
    length = np.hypot(*way)
    return np.array([-way[1], way[0]]) / length if length > 1e-6 else np.array([1.0, 0.0])


def _cut(person: CutOut, others: np.ndarray, rng: np.random.Generator) -> tuple[CutOut, np.ndarray]:
    """The picture ended at a line through the person, on one side."""
    axis, after = int(rng.random() < 0.7), bool(rng.random() < 0.6)
    values = person.points[np.isfinite(person.points).all(-1), axis]
    share = rng.uniform(_LEFT, 1.0)
    line = int(np.clip(np.quantile(values, share if after else 1 - share), 8, person.mask.shape[1 - axis] - 8))
    kept = slice(0, line) if after else slice(line, None)
    place = (kept, slice(None)) if axis else (slice(None), kept)
    moved = np.zeros(2)
    moved[axis] = 0 if after else line
    cut = CutOut(
        np.ascontiguousarray(person.pixels[place]), np.ascontiguousarray(person.mask[place]), person.points - moved
    )
    return cut, others - moved
