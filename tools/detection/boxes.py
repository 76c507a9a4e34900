"""The detector's numbers as people: anchors, decoding, non-maximum suppression. Arrays in, arrays out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# The graph of `pose_detection.tflite` (its calculator options in MediaPipe 0.10): square input of this side, one anchor
# kind a layer and one between it and the next, so two a cell; layers of one stride share their cells.
SIDE = 224
STRIDES = (8, 16, 32, 32, 32)
_ANCHORS_A_LAYER = 2
# Logits are cut there before the sigmoid, as in that graph.
_LARGEST_LOGIT = 100.0
# Boxes come as y, x, ... in some of MediaPipe's graphs; in this one x is first. Then the key points follow.
_NUMBERS_OF_BOX = 4

Detections = tuple[np.ndarray, np.ndarray, np.ndarray]  # boxes [n, 4], points [n, K, 2], scores [n]


def anchors(side: int = SIDE, strides: Sequence[int] = STRIDES) -> np.ndarray:
    """[A, 2] float32 centres x, y in 0..1: row by row over the cells of each stride, all anchors of a cell together."""
    layers = []
    for stride in dict.fromkeys(strides):
        cells = -(-side // stride)
        centres = (np.arange(cells, dtype=np.float32) + np.float32(0.5)) / np.float32(cells)
        y, x = np.meshgrid(centres, centres, indexing="ij")
        repeats = _ANCHORS_A_LAYER * list(strides).count(stride)
        layers.append(np.repeat(np.stack([x, y], -1).reshape(-1, 2), repeats, axis=0))
    return np.concatenate(layers)


def decode(raw: np.ndarray, logits: np.ndarray, centres: np.ndarray, threshold: float, side: int = SIDE) -> Detections:
    """The anchors whose score reaches a threshold.

    Args:
      raw: [A, 4 + 2 K] centre x, y, width, height, then K points x, y, in px of the input relative to the anchor.
      logits: [A] or [A, 1]. centres: [A, 2] of `anchors`.

    Returns:
      boxes [n, 4] (left, top, right, bottom), points [n, K, 2], both in 0..1 of the input, and scores [n]; the surest
      first.
    """
    scores = 1.0 / (1.0 + np.exp(-np.clip(np.asarray(logits, np.float64).ravel(), -_LARGEST_LOGIT, _LARGEST_LOGIT)))
    chosen = np.flatnonzero(scores >= threshold)
    chosen = chosen[np.argsort(-scores[chosen], kind="stable")]
    numbers = np.asarray(raw, np.float64)[chosen] / side
    places = numbers.reshape(len(chosen), raw.shape[1] // 2, 2)
    middle = places[:, 0] + centres[chosen]
    half = places[:, 1] / 2
    points = places[:, _NUMBERS_OF_BOX // 2 :] + centres[chosen, None]
    return np.concatenate([middle - half, middle + half], 1), points, scores[chosen]


def overlap(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union [n] of a box [4] (left, top, right, bottom) with others [n, 4]."""
    box, others = np.asarray(box, np.float64), np.asarray(others, np.float64)
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    common = np.prod(np.maximum(high - low, 0.0), axis=1)
    area = np.prod(np.maximum(box[2:] - box[:2], 0.0))
    areas = np.prod(np.maximum(others[:, 2:] - others[:, :2], 0.0), axis=1)
    return common / np.maximum(area + areas - common, 1e-12)


def suppress(boxes: np.ndarray, points: np.ndarray, scores: np.ndarray, most_overlap: float) -> Detections:
    """Weighted non-maximum suppression, as in the graph of MediaPipe: a box and all that overlap it become one.

    Args:
      boxes: [n, 4]. points: [n, K, 2]. scores: [n], descending.
      most_overlap: boxes of a larger intersection over union with a surer one are merged into it.

    Returns:
      boxes [m, 4], points [m, K, 2] as means weighted by the scores, and scores [m] of the surest of each.
    """
    left, kept = np.arange(len(scores)), []
    while len(left):
        same = overlap(boxes[left[0]], boxes[left]) > most_overlap
        same[0] = True
        group = left[same]
        weights = scores[group] / scores[group].sum()
        kept.append((weights @ boxes[group], np.tensordot(weights, points[group], 1), scores[group[0]]))
        left = left[~same]
    if not kept:
        return boxes[:0], points[:0], scores[:0]
    together, places, surest = zip(*kept)
    return np.array(together), np.array(places), np.array(surest)
