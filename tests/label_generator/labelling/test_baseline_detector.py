"""The baseline network as the detector of `generate.py`, in the boxes of both people detectors."""

import json

import cv2
import numpy as np
import pytest

from label_generator.labelling import photographs
from tools.detection import mediapipe_models
from tools.pose import joints

NAME = "coco_000000000785.jpg"


@pytest.fixture
def skier(pose3d_data):
    """(picture, key points [17, 3], box [4]) of a person who stands, from COCO."""
    folder = pose3d_data / "images"
    (entry,) = json.loads((folder / "coco_person_keypoints.json").read_text())["annotations"]
    return cv2.imread(str(folder / NAME)), np.array(entry["keypoints"], float).reshape(17, 3), entry["bbox"]


@pytest.mark.slow  # each starts TensorFlow anew
@pytest.mark.parametrize("detector", ["baseline", "hog"])
def test_its_key_points_are_on_the_person(skier, tmp_path, detector):
    if detector == "baseline" and not mediapipe_models.available():
        pytest.skip(f"models not found: {mediapipe_models.HOW_TO_GET_IT}")
    picture, annotated, (x, _y, width, height) = skier
    source = tmp_path / "in"
    source.mkdir()
    cv2.imwrite(str(source / "a.png"), np.full((60, 80, 3), 128, np.uint8))
    cv2.imwrite(str(source / "b.png"), picture)
    output = tmp_path / "out"
    output.mkdir()
    request = photographs.Request(str(source), output, detector)
    content = np.load(photographs.find_people(request))
    assert str(content["joint_set"][0]) == "mpii16"
    files = content["files"][content["file"]].tolist()
    assert files[0] == "a.png"
    assert np.isnan(content["joints"][0]).all()
    rows = [row for row, file in enumerate(files) if file == "b.png"]
    points = joints.convert(content["joints"][rows][..., :2], "mpii16", "coco17")[0]
    limbs = [i for i, name in enumerate(joints.joint_set("coco17").joints) if name[1:] not in ("Eye", "Ear", "ose")]
    wrong = np.linalg.norm(points[:, limbs] - annotated[limbs, :2], axis=-1)
    best = wrong[np.argmin(np.nanmedian(wrong, axis=1))]
    assert np.nanmedian(best) < 0.06 * height
    middle = np.nanmean(content["boxes"][rows][:, :2] + content["boxes"][rows][:, 2:] / 2, axis=0)
    assert x - width / 2 < middle[0] < x + 1.5 * width
