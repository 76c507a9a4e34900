"""Recall, precision and PCKh of detected people, against loops written from the formulas and a scripted detector."""

import json
import math
import types

import cv2
import numpy as np
import pytest

from label_generator.evaluation import photographs
from tools.cli.errors import InputError
from tools.detection.mediapipe_models import JOINT_SET
from tools.pose import joints

COCO, LANDMARKS, LSP = (joints.joint_set(name) for name in ("coco17", JOINT_SET, "lsp14"))


def annotation(seed, labelled=17, number=1, **more):
    """An annotated person: key points [17, 3] in a box of 200 x 300 px."""
    points = np.random.default_rng(seed).uniform([100, 100], [300, 400], (17, 2)).round(1)
    visibility = np.array([2] * labelled + [0] * (17 - labelled))
    keypoints = np.concatenate([points, visibility[:, None]], 1)
    keypoints[visibility == 0] = 0
    return {
        "image_id": number,
        "keypoints": keypoints.reshape(-1).tolist(),
        "area": 200.0 * 300.0,
        "bbox": [100.0, 100.0, 200.0, 300.0],
        "iscrowd": 0,
        **more,
    }


def person(entry, moved=0.0):
    """A detected person whose landmarks lie on the annotation's key points, moved by so many px along x."""
    truth = np.array(entry["keypoints"]).reshape(17, 3)[:, :2]
    points = np.full((33, 2), 200.0)
    for place, name in enumerate(LANDMARKS.joints):
        if name in COCO.joints:
            points[place] = truth[COCO.index(name)]
    return types.SimpleNamespace(points=points + [moved, 0.0])


@pytest.mark.parametrize("moved", [0.0, 5.0, 40.0])
@pytest.mark.parametrize("labelled", [17, 11])
def test_similarity_is_the_formula(moved, labelled):
    entry = annotation(0, labelled)
    expected = []
    for joint, spread in enumerate(photographs.SIGMAS[:labelled]):
        assert COCO.joints[joint]
        expected.append(math.exp(-(moved**2) / (2 * entry["area"] * (2 * spread) ** 2)))
    assert photographs.similarity(person(entry, moved).points, entry) == pytest.approx(np.mean(expected), abs=1e-6)


def test_each_annotated_person_is_found_once_and_others_are_false():
    first, second = annotation(1), annotation(2)
    found = [person(first, 1.0), person(first, 2.0), person(second, 3.0), person(annotation(3), 900.0)]
    assert photographs.match(found, [first, second]) == ([True, True], 2, 2)
    assert photographs.match([], [first]) == ([False], 0, 0)


def test_people_in_a_crowd_or_without_key_points_count_neither_way():
    stranger = person(annotation(5), 2.0)
    for entry in (annotation(4, iscrowd=1), annotation(4, labelled=0)):
        assert photographs.match([stranger], [entry]) == ([False], 0, 0)


def test_a_joint_is_right_within_half_a_head():
    truth = np.random.default_rng(6).uniform(0, 300, (LSP.size, 2))
    truth[LSP.index("Neck")], truth[LSP.index("HeadTop")] = (100, 100), (100, 60)
    points = np.full((33, 2), 1e4)
    for place, name in enumerate(LANDMARKS.joints):
        if name in LSP.joints:
            points[place] = truth[LSP.index(name)] + [19.0 if name[0] == "R" else 21.0, 0.0]
    right = photographs.correct_joints(points, truth)
    for name, value in zip(LSP.joints, right):
        if name[0] in "RL" and name[1:] in ("Ankle", "Knee", "Hip", "Wrist", "Elbow", "Shoulder"):
            assert value == (name[0] == "R"), name


def test_recall_by_group_and_precision_over_files(tmp_path):
    alone, pair = annotation(7, number=1), [annotation(8, number=2), annotation(9, number=2)]
    content = {
        "images": [{"id": 1, "file_name": "1.png"}, {"id": 2, "file_name": "2.png"}],
        "annotations": [alone, *pair],
    }
    (tmp_path / "people_keypoints.json").write_text(json.dumps(content))
    (tmp_path / "people").mkdir()
    for value, name in ((10, "1.png"), (20, "2.png")):
        cv2.imwrite(str(tmp_path / "people" / name), np.full((450, 400, 3), value, np.uint8))
    answers = {10: [person(alone)], 20: [person(pair[1]), person(annotation(3), 900.0)]}
    result = photographs.coco(lambda pixels: answers[int(pixels[0, 0, 0])], tmp_path / "people_keypoints.json")
    assert (result.figures["found alone"], result.figures["people alone"]) == (1, 1)
    assert (result.figures["found in twos"], result.figures["people in twos"]) == (1, 2)
    assert result.figures["precision"] == pytest.approx(2 / 3)
    empty = photographs.without_people(lambda pixels: answers[int(pixels[0, 0, 0])], tmp_path / "people")
    assert empty.figures == {"invented": 3, "photographs": 2}


def test_what_is_not_there_is_one_line(tmp_path):
    with pytest.raises(InputError, match="no such file or folder"):
        list(photographs.measure([str(tmp_path / "nothing.json")]))
    with pytest.raises(InputError, match="no picture in it"):
        photographs.without_people(lambda pixels: [], tmp_path)
