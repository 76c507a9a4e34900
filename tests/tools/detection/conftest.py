"""Pictures of people with annotated key points, and the finder that looks at them."""

import json

import pytest

from tools.detection import mediapipe_models


@pytest.fixture(scope="session")
def finder():
    """A `PeopleFinder`; tests that need it skip without MediaPipe's wheel."""
    if not mediapipe_models.available():
        pytest.skip(f"models not found: {mediapipe_models.HOW_TO_GET_IT}")
    from tools.detection.people import PeopleFinder

    return PeopleFinder()


@pytest.fixture(scope="session")
def lspet_val(pose3d_data):
    """The file of LSP extended's held-out people; tests that look at them skip without it or MediaPipe's wheel."""
    if not mediapipe_models.available():
        pytest.skip(f"models not found: {mediapipe_models.HOW_TO_GET_IT}")
    path = pose3d_data / "photos" / "lspet_val_joints.npz"
    if not path.is_file():
        pytest.skip("needs photos/lspet_val_joints.npz of the shared data")
    return path


@pytest.fixture(scope="session")
def annotated(pose3d_data):
    """[(picture, key points [17, 2], visible [17], area)] of single people, COCO's annotation."""
    import cv2
    import numpy as np

    folder = pose3d_data / "images"
    content = json.loads((folder / "coco_person_keypoints.json").read_text())
    names = {image["id"]: image["file_name"] for image in content["images"]}
    people = []
    for annotation in content["annotations"]:
        points = np.array(annotation["keypoints"], float).reshape(17, 3)
        path = folder / f"coco_{names[annotation['image_id']]}"
        if path.is_file() and (points[:, 2] > 0).sum() >= 10:
            people.append((cv2.imread(str(path)), points[:, :2], points[:, 2] > 0, annotation["area"]))
    assert people
    return people
