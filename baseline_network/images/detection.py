"""Boxes of the people in a photograph: given by the user, by a detector, or the whole picture.

The detector is MediaPipe's (`tools/detection`), whose boxes go around people's joints; or OpenCV's (histograms of
oriented gradients, Dalal and Triggs, CVPR 2005), which knows people who stand or walk upright and misses most others:
measured on 12 people in 9 photographs it finds 7, on 67 photographs of sports 15. Every box states its origin.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tfrecords.conversion import labels
from tfrecords.source import Skip
from tools.cli.command import Flags
from tools.cli.errors import InputError
from tools.pose import joints

if TYPE_CHECKING:
    from tools.detection.people import PeopleFinder

GIVEN, DETECTED, LANDMARKS, WHOLE = "given", "detector", "mediapipe", "whole picture"
DETECTORS = ("mediapipe", "hog")
NOBODY, OUTSIDE = "nobody found", "box outside the picture"

# Chosen on those pictures among sides of 400 to 960 px, strides of 4 and 8 px and thresholds of -0.2 to 0.6: larger
# pictures find as many people, more of what is none, and take longer.
SIDE_PX, STRIDE_PX, PYRAMID_STEP, WINDOW_THRESHOLD = 480, 8, 1.05, 0.0
# The detector's window has room around the person. The picture is continued by this share, so that people who fill it
# have that room too.
BORDER = 0.15
# Width and height of a person over the window's.
PERSON_IN_WINDOW = (0.6, 0.78)
# Windows of one person overlap by this intersection over union; of two boxes one inside the other by this share of the
# smaller, the weaker goes.
SAME_PERSON, INSIDE = 0.4, 0.5
# Sum of the scores of a person's windows.
THRESHOLD = 1.0
# A box may reach past the picture, but so much of it must be in it.
_LEAST_INSIDE = 0.3


class Box(NamedTuple):
    """A person's box: x, y of the upper left corner, width, height in px; its origin; the detector's score or None."""

    x: float
    y: float
    width: float
    height: float
    source: str
    score: float | None = None


def detect_people(picture: np.ndarray, threshold: float = THRESHOLD) -> list[Box]:
    """Upright people in a picture.

    Args:
      picture: [H, W, 3] uint8 BGR.
      threshold: lowest score; lower values detect more people and more false positives.

    Returns:
      Boxes inside the picture, the surest first.
    """
    import cv2

    height, width = picture.shape[:2]
    zoom = SIDE_PX / max(height, width)
    size = max(1, round(width * zoom)), max(1, round(height * zoom))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if zoom < 1 else cv2.INTER_LINEAR)
    border = round(BORDER * SIDE_PX)
    small = cv2.copyMakeBorder(small, border, border, border, border, cv2.BORDER_REPLICATE)
    detector = cv2.HOGDescriptor()
    detector.setSVMDetector(cv2.HOGDescriptor.getDefaultPeopleDetector())
    found, strengths = detector.detectMultiScale(
        small,
        hitThreshold=WINDOW_THRESHOLD,
        winStride=(STRIDE_PX, STRIDE_PX),
        padding=(0, 0),
        scale=PYRAMID_STEP,
        groupThreshold=0,
    )
    windows = np.asarray(found, np.float64).reshape(-1, 4)
    scores = np.asarray(strengths, np.float64).ravel()[: len(windows)]
    sizes = windows[:, 2:] * PERSON_IN_WINDOW
    corners = windows[:, :2] + (windows[:, 2:] - sizes) / 2 - border
    boxes = np.concatenate([corners, sizes], 1) * np.tile([width / size[0], height / size[1]], 2)
    people = []
    for box, score in _people_of_windows(boxes, scores):
        low, high = np.maximum(box[:2], 0.0), np.minimum(box[:2] + box[2:], [width, height])
        if score >= threshold and (high > low).all() and np.prod(high - low) >= _LEAST_INSIDE * np.prod(box[2:]):
            x, y, width_px, height_px = (round(float(v), 2) for v in (*low, *(high - low)))
            people.append(Box(x, y, width_px, height_px, DETECTED, round(float(score), 3)))
    return people


def people_boxes(finder: PeopleFinder, picture: np.ndarray) -> list[Box]:
    """Boxes of the people in a picture [H, W, 3] uint8 BGR, the surest first.

    As the boxes of records: around the joints in the picture, from the crown of the head on, with their margin. So they
    reach a little past people who fill the picture, and the network sees what it was trained on.
    """
    from tools.detection.mediapipe_models import JOINT_SET

    height, width = picture.shape[:2]
    found = []
    for person in finder.find(picture):
        # Pixel centres are whole numbers there, and halves here.
        points = np.clip(person.points + 0.5, 0.0, [width, height]).astype(np.float32)
        pose, _ = joints.convert(points, JOINT_SET)
        x, y, width_px, height_px = (round(float(value), 2) for value in labels.box_around(pose))
        if min(width_px, height_px) > 1.0:
            found.append(Box(x, y, width_px, height_px, LANDMARKS, round(float(person.sureness), 3)))
    return found


def _people_of_windows(boxes: np.ndarray, scores: np.ndarray) -> list[tuple[np.ndarray, float]]:
    """(box [4], score) of each person, surest first: windows that overlap much are one, their weighted mean."""
    left, people = np.argsort(-scores, kind="stable"), []
    while len(left):
        common, areas = _overlaps(boxes[left[0]], boxes[left])
        same = common / (areas[0] + areas - common) > SAME_PERSON
        weights = np.maximum(scores[left[same]] - WINDOW_THRESHOLD, 1e-3)
        people.append(((boxes[left[same]] * weights[:, None]).sum(0) / weights.sum(), float(weights.sum())))
        left = left[~same & (common / np.minimum(areas[0], areas) <= 0.6)]
    kept: list[tuple[np.ndarray, float]] = []
    for box, score in sorted(people, key=lambda person: -person[1]):
        if kept:
            common, areas = _overlaps(box, np.array([other for other, _ in kept]))
            if (common / np.minimum(np.prod(box[2:]), areas) >= INSIDE).any():
                continue
        kept.append((box, score))
    return kept


def _overlaps(box: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Areas [n] that a box has in common with others [n, 4], and the others' areas [n]."""
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[:2] + box[2:], others[:, :2] + others[:, 2:])
    return np.prod(np.maximum(high - low, 0.0), axis=1), np.prod(others[:, 2:], axis=1)


def parse_box(text: str) -> Box:
    """The box written as 'x,y,width,height'; raises `InputError` when it is none."""
    try:
        numbers = [float(word) for word in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != 4 or not np.isfinite(numbers).all() or min(numbers[2:]) <= 0 or np.abs(numbers).max() > 1e6:
        raise InputError(f"--box={text}: expected x,y,width,height in px, width and height above 0")
    x, y, width, height = numbers
    return Box(x, y, width, height, GIVEN)


class Chooser:
    """What one run does to find people: the same for all its pictures."""

    def __init__(
        self,
        boxes: Sequence[str] = (),
        detect: bool = True,
        largest: bool = False,
        nobody_is_whole: bool = False,
        threshold: float = THRESHOLD,
        detector: str = "hog",
    ):
        """How boxes are found.

        Args:
          boxes: the user's, as 'x,y,width,height', which every picture has.
          detect: ask the detector; otherwise the whole picture is one person.
          largest: of the detected people only the one with the largest box.
          nobody_is_whole: where no person is detected the whole picture is one person.
          threshold: of OpenCV's detector.
          detector: of `DETECTORS`.

        Raises:
          InputError: a box that is none, or no models.
        """
        self._given = [parse_box(text) for text in boxes or ()]
        self._detect, self._largest, self._whole, self._threshold = detect, largest, nobody_is_whole, threshold
        self._finder: PeopleFinder | None = None
        if self.detects and detector == "mediapipe":
            from tools.detection.people import PeopleFinder

            self._finder = PeopleFinder(threads=len(os.sched_getaffinity(0)))

    @property
    def detects(self) -> bool:
        """Whether pictures are searched for people, which takes time."""
        return self._detect and not self._given

    def people(self, picture: np.ndarray, name: str = "") -> list[Box] | Skip:
        """The boxes in a picture [H, W, 3] uint8 BGR, at least one; or why there is none."""
        height, width = picture.shape[:2]
        if self._given:
            for box in self._given:
                if min(box.x + box.width, width) <= max(box.x, 0) or min(box.y + box.height, height) <= max(box.y, 0):
                    numbers = ",".join(f"{number:g}" for number in box[:4])
                    return Skip(OUTSIDE, f"{name}: box {numbers}, picture {width} x {height}")
            return list(self._given)
        whole = Box(0.0, 0.0, float(width), float(height), WHOLE)
        if not self._detect:
            return [whole]
        if self._finder is None:
            found = detect_people(picture, self._threshold)
        else:
            found = people_boxes(self._finder, picture)
        if found:
            return [max(found, key=lambda box: box.width * box.height)] if self._largest else found
        return [whole] if self._whole else Skip(NOBODY, name)


def declare(flags: Flags, nobody: str) -> None:
    """Declares the flags of which `chooser` makes a `Chooser`; `nobody`: default of the flag of that name."""
    flags.multi_string(
        "box", [], "x,y,width,height px of a person in every picture; may be repeated; the detector is not used"
    )
    flags.enum(
        "boxes",
        "detect",
        ["detect", "whole"],
        "without --box: detect: by --detector; whole: each picture is one person",
    )
    flags.enum(
        "detector",
        "mediapipe",
        DETECTORS,
        "mediapipe: boxes around the landmarks of MediaPipe's pose models; hog: OpenCV's "
        "people detector, for people who "
        "stand or walk",
    )
    flags.boolean("largest", False, "use only the detected person with the largest box")
    flags.float(
        "threshold",
        THRESHOLD,
        "lowest score of a person with --detector=hog; lower detects more people and more false positives",
    )
    flags.enum(
        "nobody",
        nobody,
        ["skip", "whole"],
        "pictures in which no person is detected: skip them, or use the whole picture as the box",
    )


def chooser(flags: Flags) -> Chooser:
    """The `Chooser` of parsed flags; raises `InputError` for a box that is none."""
    if flags.given("threshold") and flags.detector != "hog":
        raise InputError("--threshold: goes with --detector=hog")
    return Chooser(
        flags.box, flags.boxes == "detect", flags.largest, flags.nobody == "whole", flags.threshold, flags.detector
    )
