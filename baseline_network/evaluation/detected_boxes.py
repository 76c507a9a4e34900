"""Boxes of a detector in place of the records' own, for measuring what a user gets who gives no box."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from baseline_network.evaluation import pose_errors
from baseline_network.images import detection
from tfrecords.formats import images
from tfrecords.source import Skip

# Of the boxes in a picture the record's person has the one that overlaps theirs most; below this intersection over
# union the person counts as not detected.
LEAST_OVERLAP = 0.1

People = Callable[[np.ndarray], "list[detection.Box] | Skip"]


def boxes_of(encoded: Sequence[bytes], truth: np.ndarray, people: People) -> tuple[np.ndarray, np.ndarray]:
    """The detected box of each record's person.

    Args:
      encoded: pictures, JPEG or PNG; their pixels count as stored.
      truth: [N, 4] x, y, width, height px, which identifies the person among others in the picture.
      people: picture [H, W, 3] uint8 BGR -> boxes, such as `detection.Chooser.people`.

    Returns:
      boxes [N, 4] px, the truth's where the person was not detected, and found [N] bool: detected.
    """
    boxes, found = np.array(truth, np.float32), np.zeros(len(truth), bool)
    for number, data in enumerate(encoded):
        picture = images.pixels(data)
        detected_boxes = people(picture) if picture is not None else []
        if isinstance(detected_boxes, Skip) or not detected_boxes:
            continue
        candidates = np.array([box[:4] for box in detected_boxes], np.float64)
        shares = _overlaps(boxes[number].astype(np.float64), candidates)
        if shares.max() >= LEAST_OVERLAP:
            boxes[number], found[number] = candidates[shares.argmax()], True
    return boxes, found


def _overlaps(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union [n] of a box [4] with others [n, 4]."""
    low = np.maximum(box[:2], others[:, :2])
    high = np.minimum(box[:2] + box[2:], others[:, :2] + others[:, 2:])
    common = np.prod(np.maximum(high - low, 0.0), axis=1)
    return common / np.maximum(np.prod(box[2:]) + np.prod(others[:, 2:], axis=1) - common, 1e-9)


def count_as_missed(errors: Mapping[str, np.ndarray], found: np.ndarray) -> dict[str, np.ndarray]:
    """The errors [N, 16] of `pose_errors.errors` with people who were not detected counted as missed.

    In shares of joints all their joints are missed; means of distances leave them out. found: [N] bool, detected.
    """
    result = {}
    for name, values in errors.items():
        missed = np.where(np.isfinite(values), 0.0, np.nan) if name in pose_errors.SHARES else np.nan
        result[name] = np.where(found[:, None], values, missed)
    return result
