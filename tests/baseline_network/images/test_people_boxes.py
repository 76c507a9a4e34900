"""Boxes by MediaPipe's models: where they lie, in which order, and on a real photograph."""

import types

import cv2
import numpy as np
import pytest

from baseline_network.images import detection
from tools.detection import mediapipe_models
from tools.pose import joints

SET = joints.joint_set("mediapipe33")


def person(corner, size, sureness):
    """Joints in a frame: shoulders at its top, ankles at its bottom, ears a tenth above; the face in its middle."""
    points = np.full((33, 2), 0.5)
    for side, x in (("L", 1.0), ("R", 0.0)):
        for name, y in (("Shoulder", 0.0), ("Elbow", 0.2), ("Wrist", 0.4), ("Hip", 0.5), ("Knee", 0.8), ("Ankle", 1.0)):
            points[SET.index(side + name)] = x, y
        points[SET.index(side + "Ear")] = x, -0.1
        # hands and feet reach further, and are no joints of records
        points[SET.index(side + "FootIndex")] = x, 1.1
    return types.SimpleNamespace(points=points * size + corner, sureness=sureness)


def boxes_of(people, width=200, height=200):
    finder = types.SimpleNamespace(find=lambda picture: people)
    return detection.people_boxes(finder, np.zeros((height, width, 3), np.uint8))


def test_boxes_lie_around_the_joints():
    boxes = boxes_of([person([59.5, 39.5], [40.0, 100.0], 0.9), person([10.0, 10.0], [50.0, 50.0], 0.5)])
    assert [(box.score, box.source) for box in boxes] == [(0.9, "mediapipe"), (0.5, "mediapipe")]
    # half a pixel on from OpenCV's corner; the crown is 1.6 times as far above the shoulders as the ears are
    left, top, height = 60.0, 40.0 - 16.0, 116.0
    margin = 0.1 * height
    np.testing.assert_allclose(
        boxes[0][:4], [left - margin, top - margin, 40 + 2 * margin, height + 2 * margin], atol=0.02
    )


def test_joints_outside_the_picture_do_not_count():
    # 100 px wide: the left side at 119.5 is seen at the border; ankles at 139.5 likewise
    (box,) = boxes_of([person([79.5, 39.5], [40.0, 100.0], 0.9)], width=100, height=120)
    margin = 0.1 * (120 - 24)
    np.testing.assert_allclose(box[:4], [80 - margin, 24 - margin, 20 + 2 * margin, 96 + 2 * margin], atol=0.02)


def test_people_without_extent_are_none():
    assert boxes_of([person([10.0, 10.0], [0.0, 0.0], 0.9)]) == []


def test_a_real_photograph(pose3d_data):
    if not mediapipe_models.available():
        pytest.skip("needs MediaPipe's wheel: " + mediapipe_models.HOW_TO_GET_IT)
    picture = cv2.imread(str(pose3d_data / "images" / "person.jpg"))
    (old,) = detection.Chooser(detector="hog", largest=True).people(picture)
    new = detection.Chooser(detector="mediapipe").people(picture)[0]
    corners = np.array([[box.x, box.y, box.x + box.width, box.y + box.height] for box in (old, new)])
    low, high = np.maximum(*corners[:, :2]), np.minimum(*corners[:, 2:])
    common = np.prod(np.maximum(high - low, 0))
    assert common / (old.width * old.height + new.width * new.height - common) > 0.5
