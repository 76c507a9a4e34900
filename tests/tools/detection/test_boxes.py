"""Anchors, decoding and non-maximum suppression against loops written from their definitions."""

import numpy as np
import pytest

from tools.detection import boxes


def test_anchors_are_those_of_a_plain_loop():
    expected = []
    for cells, a_cell in ((28, 2), (14, 2), (7, 6)):
        for row in range(cells):
            for column in range(cells):
                for _ in range(a_cell):
                    expected.append(((column + 0.5) / cells, (row + 0.5) / cells))
    assert len(expected) == 2254
    np.testing.assert_allclose(boxes.anchors(), expected, atol=1e-6)


def test_decoded_candidates_are_those_of_a_plain_loop():
    rng = np.random.default_rng(0)
    centres = boxes.anchors()
    raw, logits = rng.normal(0, 60, (len(centres), 12)), rng.normal(-4, 3, (len(centres), 1))
    expected = []
    for number, (x, y) in enumerate(centres):
        score = 1 / (1 + np.exp(-logits[number, 0]))
        if score >= 0.5:
            cx, cy, w, h = (
                raw[number, 0] / 224 + x,
                raw[number, 1] / 224 + y,
                raw[number, 2] / 224,
                raw[number, 3] / 224,
            )
            points = [(raw[number, 4 + 2 * k] / 224 + x, raw[number, 5 + 2 * k] / 224 + y) for k in range(4)]
            expected.append((score, (cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2), points))
    expected.sort(key=lambda item: -item[0])
    found, points, scores = boxes.decode(raw, logits, centres, 0.5)
    assert 0 < len(expected) < len(centres)
    np.testing.assert_allclose(scores, [item[0] for item in expected], atol=1e-9)
    np.testing.assert_allclose(found, [item[1] for item in expected], atol=1e-5)
    np.testing.assert_allclose(points, [item[2] for item in expected], atol=1e-5)


def test_nothing_above_the_threshold_decodes_to_nothing():
    found, points, scores = boxes.decode(np.zeros((5, 12)), np.full((5, 1), -90.0), np.zeros((5, 2)), 0.5)
    assert found.shape == (0, 4)
    assert points.shape == (0, 4, 2)
    assert scores.shape == (0,)
    assert all(len(values) == 0 for values in boxes.suppress(found, points, scores, 0.3))


def overlap_by_counting(one, other, cells=400):
    """Intersection over union of boxes within 0..1, by counting the cells of a fine grid."""
    places = (np.arange(cells) + 0.5) / cells
    x, y = np.meshgrid(places, places)
    inside = [(x > b[0]) & (x < b[2]) & (y > b[1]) & (y < b[3]) for b in (one, other)]
    return (inside[0] & inside[1]).sum() / max((inside[0] | inside[1]).sum(), 1)


def random_boxes(rng, count):
    low = rng.uniform(0, 0.7, (count, 2))
    return np.concatenate([low, low + rng.uniform(0.05, 0.3, (count, 2))], 1)


def test_overlap_by_counting_cells():
    rng = np.random.default_rng(1)
    for _ in range(20):
        several = random_boxes(rng, 4)
        counted = [overlap_by_counting(several[0], other) for other in several]
        np.testing.assert_allclose(boxes.overlap(several[0], several), counted, atol=0.02)


@pytest.mark.parametrize("seed", range(5))
def test_suppression_is_that_of_a_plain_loop(seed):
    rng = np.random.default_rng(seed)
    count = 40
    several, points = random_boxes(rng, count), rng.uniform(0, 1, (count, 4, 2))
    scores = np.sort(rng.uniform(0.2, 1, count))[::-1]
    left, expected = list(range(count)), []
    while left:
        first = left[0]
        group = [i for i in left if i == first or boxes.overlap(several[first], several[i : i + 1])[0] > 0.3]
        total = sum(scores[i] for i in group)
        box = sum(scores[i] * several[i] for i in group) / total
        place = sum(scores[i] * points[i] for i in group) / total
        expected.append((box, place, scores[first]))
        left = [i for i in left if i not in group]
    assert len(expected) < count
    found = boxes.suppress(several, points, scores, 0.3)
    for place, values in enumerate(found):
        np.testing.assert_allclose(values, [item[place] for item in expected], atol=1e-9)
