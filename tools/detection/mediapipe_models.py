"""The two pose models that MediaPipe's wheel carries, run by TensorFlow Lite: a detector and a landmark network.

Nothing of MediaPipe is imported: the wheel is found, and its model files are read where they lie.
Bazarevsky et al.: BlazePose: On-device Real-time Body Pose Tracking, CVPR workshop 2020. The files are Apache-2.0.
"""

from __future__ import annotations

import importlib.util
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tools.cli.errors import InputError
from tools.detection import body_head, boxes, inner_outputs, regions
from tools.detection.body_head import Body, BodyHead
from tools.detection.regions import Region
from tools.files import checksums
from tools.pose import joints

WHEEL = "mediapipe==0.10.21"
HOW_TO_GET_IT = f"pip install --no-deps {WHEEL}"
_FILES = {
    "detector": "modules/pose_detection/pose_detection.tflite",
    "landmarks": "modules/pose_landmark/pose_landmark_full.tflite",
}
# SHA-256 of the two: TensorFlow Lite ends the process on a damaged file, instead of saying so.
_CHECKSUMS = {
    "detector": "9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c",
    "landmarks": "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f",
}
JOINT_SET = "mediapipe33"
LANDMARKS = 33
# After the 33 come the middle of the hips and the rim of the circle around the body, which name the next region.
_CENTRE, _RIM = 33, 34
_ALL = 39
_MIRROR = np.concatenate([joints.joint_set(JOINT_SET).mirror, np.arange(LANDMARKS, _ALL)])
_LANDMARK_SIDE = 256
# Tensors of the landmark model: 39 x 5 numbers, presence, world, heat maps. Its mask of the person, which takes two
# fifths of its time, is not computed.
_OF_LANDMARKS = (337, 342, 339, body_head.INNER[0])
# A landmark is moved to the centre of mass of its heat map around it, where the map is sure enough (MediaPipe's graph).
_WINDOW, _SURE = 7, 0.5
# Of the region over the circle around the body (MediaPipe's graph).
LARGER = 1.25
# The landmarks and the head name the same region up to here.
_ANOTHER = regions.Likeness(0.2, 0.65, 0.8)


def model_file(name: str) -> pathlib.Path:
    """Where the 'detector' or the 'landmarks' model lies; raises `InputError` that says how to get the wheel."""
    spec = importlib.util.find_spec("mediapipe")
    folders = list(spec.submodule_search_locations or ()) if spec else []
    for folder in folders:
        path = pathlib.Path(folder) / _FILES[name]
        if path.is_file():
            return path
    missing = f"{folders[0]} has no {_FILES[name]}" if folders else "it is not installed"
    raise InputError(f"photographs need the models in MediaPipe's wheel, but {missing}: {HOW_TO_GET_IT}")


def checked_file(name: str) -> bytes:
    """The content of the 'detector' or the 'landmarks' model; raises `InputError` where it is missing or damaged."""
    path = model_file(name)
    if checksums.of_file(path) != _CHECKSUMS[name]:
        raise InputError(f"{path}: not the model of {WHEEL}, or damaged; install it again: {HOW_TO_GET_IT}")
    return path.read_bytes()


def available() -> bool:
    """Whether both model files are there."""
    try:
        return all(model_file(name) for name in _FILES)
    except InputError:
        return False


class _Graph:
    """A model file in an interpreter; `run(input)` returns its outputs by place. Not to be shared by threads."""

    def __init__(self, name: str, threads: int, outputs: Sequence[int] = ()):
        """outputs: numbers of the tensors that are to be its outputs, instead of the file's own."""
        import tensorflow as tf

        content = checked_file(name)
        content = inner_outputs.with_outputs(content, outputs) if outputs else content
        self._interpreter = tf.lite.Interpreter(model_content=content, num_threads=threads)
        self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._outputs = [output["index"] for output in self._interpreter.get_output_details()]

    def run(self, values: np.ndarray, wanted: tuple[int, ...]) -> list[np.ndarray]:
        self._interpreter.set_tensor(self._input, values)
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(self._outputs[place])[0] for place in wanted]


class Candidate(NamedTuple):
    """Where a person may be.

    Attributes:
      score: 0..1. box: [4] px, left, top, right, bottom of the head and shoulders.
      points: [4, 2] px: middle of the hips, rim of the circle around the body, middle of the shoulders, rim of the
        circle around the upper body.
    """

    score: float
    box: np.ndarray
    points: np.ndarray

    @property
    def region(self) -> Region:
        """Where to look for landmarks."""
        return regions.upright_person(self.points[0], self.points[1], LARGER)


class Detector:
    """Finds candidates in a square region of a picture."""

    def __init__(self, threads: int = 1):
        self._graph = _Graph("detector", threads)
        self._anchors = boxes.anchors()

    def candidates(
        self, picture: np.ndarray, region: Region, thresholds: Sequence[float], most_overlap: float, faint: float = 0.0
    ) -> list[list[Candidate]]:
        """People in a region of a picture [H, W, 3] uint8 BGR, the surest first; for each threshold, as if it were the
        only one.

        Args:
          thresholds: least scores, 0..1. most_overlap: see `boxes.suppress`.
          faint: where it is given, a list more: every anchor of that score, several for each person.
        """
        square = regions.cut(picture, region, boxes.SIDE, border=0)[..., ::-1]
        raw, logits = self._graph.run(square[None].astype(np.float32) * np.float32(2 / 255) - np.float32(1), (0, 1))
        least = min(*thresholds, faint) if faint else min(thresholds)
        around, points, scores = boxes.decode(raw, logits, self._anchors, least)
        several = []
        for threshold in thresholds:
            reached = scores >= threshold
            kept = boxes.suppress(around[reached], points[reached], scores[reached], most_overlap)
            several.append(self._in_picture(region, kept))
        if faint:
            several.append(self._in_picture(region, (around, points, scores)))
        return several

    def _in_picture(self, region: Region, found: boxes.Detections) -> list[Candidate]:
        candidates = []
        for box, points, score in zip(*found):
            corners = region.to_picture(box.reshape(2, 2)[[[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1]])
            around = np.concatenate([corners.min(0), corners.max(0)])
            candidates.append(Candidate(float(score), around, region.to_picture(points)))
        return candidates


class Landmarks(NamedTuple):
    """What the landmark network says of a region.

    Attributes:
      presence: 0..1, that a person is in the region.
      sureness: 0..1, the mean height of the landmarks' heat maps, with the head the mean of that and of its joints'
        confidence; of several readings of one person the right one has the highest more often than it has the highest
        presence, visibility or score.
      points: [33, 2] px of the picture. visibility, inside: [33] 0..1, that each is not hidden, and not outside.
      world: [33, 3] metres from the middle of the hips, x right, y down, z away from the camera.
      following: the region that these landmarks name, or the head's joints where they name another and are surer.
      heights: [33] 0..1, of the landmarks' heat maps.
      body: what the head reads in the same maps, where one is asked.
    """

    presence: float
    sureness: float
    points: np.ndarray
    visibility: np.ndarray
    inside: np.ndarray
    world: np.ndarray
    following: Region
    heights: np.ndarray
    body: Body | None = None


class LandmarkNetwork:
    """Key points of the one person in a region."""

    def __init__(self, threads: int = 1, head: bool = False, weights: str = ""):
        """head: ask the head (`body_head`) too. weights: of the head, see `body_head.weights_file`."""
        self._head = BodyHead(threads, weights) if head else None
        self._graph = _Graph("landmarks", threads, _OF_LANDMARKS + (body_head.INNER[1:] if head else ()))
        self.latest_inner: list[np.ndarray] = []  # of the latest look, as `inner`

    def inner(self, picture: np.ndarray, region: Region, within: np.ndarray | None = None) -> list[np.ndarray]:
        """The tensors `body_head.INNER` in a region of a picture [H, W, 3] uint8 BGR; needs the head; within: see
        `look`."""
        square = _square(picture, region, within)
        return self._graph.run(square[None].astype(np.float32) / np.float32(255), tuple(range(3, 8)))

    def look(
        self, picture: np.ndarray, region: Region, mirrored: bool = False, within: np.ndarray | None = None
    ) -> Landmarks:
        """The landmarks in a region of a picture [H, W, 3] uint8 BGR.

        mirrored: show the network the mirror image; what is returned is of the picture as it is.
        within: [4] px, left, top, right, bottom of a box; what lies outside of it is shown grey.
        """
        square = _square(picture, region, within)
        if mirrored:
            square = square[:, ::-1]
        numbers, presence, world, maps, *inner = self._graph.run(
            square[None].astype(np.float32) / np.float32(255), tuple(range(8 if self._head else 4))
        )
        self.latest_inner = [maps, *inner]
        numbers = numbers.reshape(_ALL, 5).astype(np.float64)
        places, heights = refined(numbers[:, :2] / _LANDMARK_SIDE, maps)
        body = None
        if self._head is not None:
            others = joints.convert(places[:LANDMARKS], JOINT_SET, body_head.JOINT_SET)[0]
            body = self._head.read([maps, *inner], others, region, mirrored)
        world = world.reshape(_ALL, 3).astype(np.float64)
        if mirrored:
            numbers, places, heights, world = (values[_MIRROR] for values in (numbers, places, heights, world))
            places[:, 0] = 1.0 - places[:, 0]
            world[:, 0] = -world[:, 0]
        points = region.to_picture(places)
        visibility, inside = 1.0 / (1.0 + np.exp(-np.clip(numbers[:LANDMARKS, 3:5].T, -50.0, 50.0)))
        world = world[:LANDMARKS]
        world[:, :2] = world[:, :2] @ region.turn.T
        sureness = float(heights[:LANDMARKS].mean())
        following = regions.upright_person(points[_CENTRE], points[_RIM], LARGER)
        if body is not None:
            confidence = float(body.confidence.mean())
            other = body_head.region_of(body.points)
            if confidence > sureness and not regions.alike(following, other, _ANOTHER):
                following = other
            sureness = (sureness + confidence) / 2
        return Landmarks(
            float(presence.ravel()[0]),
            sureness,
            points[:LANDMARKS],
            visibility,
            inside,
            world,
            following,
            heights[:LANDMARKS],
            body,
        )


def _square(picture: np.ndarray, region: Region, within: np.ndarray | None) -> np.ndarray:
    """[256, 256, 3] uint8 RGB of a region, with everything grey but a box, where one is given."""
    if within is None:
        return regions.cut(picture, region, _LANDMARK_SIDE, border=0)[..., ::-1]
    return regions.cut_within(picture, region, _LANDMARK_SIDE, within)[..., ::-1]


def joined(looks: Sequence[Landmarks]) -> Landmarks:
    """Several looks at one person as one: each landmark from the look in which its heat map is highest.

    Presence and sureness are the looks' means, which tell people from other things better than one look's do.
    The head's joints likewise by their confidence. The rest is of the surest look.
    """
    bodies = [look.body for look in looks if look.body is not None]
    best = np.argmax([look.heights for look in looks], axis=0), np.arange(LANDMARKS)
    return max(looks, key=lambda look: look.sureness)._replace(
        presence=float(np.mean([look.presence for look in looks])),
        sureness=float(np.mean([look.sureness for look in looks])),
        points=np.stack([look.points for look in looks])[best],
        visibility=np.stack([look.visibility for look in looks])[best],
        inside=np.stack([look.inside for look in looks])[best],
        heights=np.stack([look.heights for look in looks])[best],
        body=body_head.joined(bodies) if bodies else None,
    )


def refined(places: np.ndarray, maps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Landmarks moved to the centre of mass of their heat maps nearby, and how high those are there.

    Args:
      places: [K, 2] x, y in 0..1. maps: [h, w, K] logits.

    Returns:
      places [K, 2] in 0..1: the mean of the cells within 3 of the landmark's, weighted by their sigmoids, where one of
      them reaches 0.5; else, and for landmarks outside, as given. And [K] the largest sigmoid there, 0 outside.
    """
    height, width, count = maps.shape
    cells = np.floor(np.clip(places, -2.0, 3.0) * [width, height]).astype(int)
    within = ((cells >= 0) & (cells < [width, height])).all(-1)
    reach = np.arange(-(_WINDOW // 2), _WINDOW // 2 + 1)
    columns, rows = cells[:, :1] + reach, cells[:, 1:] + reach
    there = ((columns >= 0) & (columns < width))[:, None, :] & ((rows >= 0) & (rows < height))[:, :, None]
    picked = maps[
        np.clip(rows, 0, height - 1)[:, :, None],
        np.clip(columns, 0, width - 1)[:, None, :],
        np.arange(count)[:, None, None],
    ]
    weights = np.where(there, 1.0 / (1.0 + np.exp(-np.clip(picked.astype(np.float64), -50.0, 50.0))), 0.0)
    peaks = np.where(within, weights.max((1, 2)), 0.0)
    total = np.maximum(weights.sum((1, 2)), 1e-12)
    x = (weights.sum(1) * columns).sum(1) / total / width
    y = (weights.sum(2) * rows).sum(1) / total / height
    return np.where((peaks >= _SURE)[:, None], np.stack([x, y], -1), places), peaks
