"""Annotated key points completed by a detector: the rule on made readings, and the command on annotated photographs."""

import json
import math

import numpy as np
import pytest

from tfrecords.conversion import completion
from tools import complete_annotations
from tools.cli import command
from tools.detection import mediapipe_models, regions
from tools.pose import joints

COCO = joints.joint_set("coco17")
MEDIAPIPE = joints.joint_set("mediapipe33")
BOTH = ("LShoulder", "RShoulder", "LElbow", "RElbow", "LWrist", "RWrist", "LHip", "RHip", "LKnee", "RKnee")


def make_reading(sureness, hidden=()):
    """Landmarks of someone whose torso is 100 px long; all are visible but the hidden ones."""
    points = np.random.default_rng(0).uniform(0, 300, (33, 2))
    for name, place in {"LShoulder": (70, 0), "RShoulder": (30, 0), "LHip": (60, 100), "RHip": (40, 100)}.items():
        points[MEDIAPIPE.index(name)] = place
    visibility = np.ones(33)
    visibility[[MEDIAPIPE.index(name) for name in hidden]] = 0.3
    ones, none = np.ones(33), np.zeros((33, 3))
    return mediapipe_models.Landmarks(1.0, sureness, points, visibility, ones, none, regions.Region(0, 0, 9), ones)


def annotation_of(reading):
    points = np.full((17, 2), np.nan)
    for name in BOTH:
        points[COCO.index(name)] = reading.points[MEDIAPIPE.index(name)]
    return points


@pytest.mark.parametrize(
    ("sureness", "adds", "contradicts"), [(0.59, False, False), (0.65, True, False), (0.75, True, True)]
)
def test_missing_joints_are_added_and_contradicted_ones_taken_out(sureness, adds, contradicts):
    reading = make_reading(sureness, hidden=["RWrist"])
    annotated = annotation_of(reading)
    left, right, knee, hip = (COCO.index(name) for name in ("LWrist", "RWrist", "LKnee", "LHip"))
    annotated[[left, right]] = np.nan
    annotated[knee] += (0, 36)  # beyond 0.35 of the torso's 100 px
    annotated[hip] += (34, 0)
    before = annotated.copy()
    result = completion.complete(annotated, reading, "coco17")
    expected = before.copy()
    if adds:
        expected[left] = reading.points[MEDIAPIPE.index("LWrist")]
    if contradicts:
        expected[knee] = np.nan
    limbs = [COCO.index(name) for name in BOTH]
    np.testing.assert_allclose(result.points[limbs], expected[limbs], rtol=1e-6)
    assert not np.isfinite(result.points[right]).any()
    assert result.added[left] == adds
    assert not result.added[right]
    assert np.flatnonzero(result.contradicted).tolist() == ([knee] if contradicts else [])
    np.testing.assert_array_equal(annotated, before)


def test_the_region_stands_as_the_person_does():
    points = np.full((14, 2), np.nan)
    lsp = joints.joint_set("lsp14")
    for name, place in {"RHip": (100, 60), "LHip": (100, 40), "Neck": (200, 50), "LAnkle": (20, 50)}.items():
        points[lsp.index(name)] = place
    region = completion.region_of(points, "lsp14")
    assert (region.x, region.y, region.angle) == pytest.approx((100, 50, math.pi / 2))
    assert region.side == pytest.approx(2 * 100 * 1.05 * 1.25)
    points[:] = np.nan
    assert completion.region_of(points, "lsp14") is None
    points[0] = points[1] = 5.0
    assert completion.region_of(points, "lsp14") is None


def run(*arguments):
    with pytest.raises(SystemExit) as ended:
        command.run(complete_annotations.main, complete_annotations.declare, ["complete", *map(str, arguments)])
    return ended.value.code


def test_a_removed_joint_comes_back_and_a_wrong_one_goes(pose3d_data, tmp_path, capsys, assert_error):
    if not mediapipe_models.available():
        pytest.skip(f"models not found: {mediapipe_models.HOW_TO_GET_IT}")
    folder = pose3d_data / "images"
    content = json.loads((folder / "coco_person_keypoints.json").read_text())
    names = {image["id"]: f"coco_{image['file_name']}" for image in content["images"]}
    people, files = [], []
    for entry in content["annotations"]:
        points = np.array(entry["keypoints"], np.float64).reshape(17, 3)
        if (points[:, 2] > 0).sum() >= 15 and (folder / names[entry["image_id"]]).is_file():
            people.append(points)
            files.append(names[entry["image_id"]])
    people, files = np.array(people[:4]), files[:4]
    assert len(people)
    elbow, knee, hips = COCO.index("RElbow"), COCO.index("LKnee"), [COCO.index("LHip"), COCO.index("RHip")]
    spoilt = people.copy()
    spoilt[:, elbow, 2] = 0
    spoilt[:, knee, :2] = spoilt[:, [COCO.index("LShoulder")], :2][:, 0]
    source, output = tmp_path / "some_train.npz", tmp_path / "completed_train.npz"
    np.savez(source, files=np.array(files), joints=spoilt, joint_set="coco17")
    arguments = ["--input", source, "--output", output, "--images", folder]
    assert run(*arguments) == 0
    capsys.readouterr()
    result = np.load(output)
    assert result["files"].tolist() == files
    assert str(result["joint_set"]) == "coco17"
    back = result["joints"][:, elbow]
    torso = np.linalg.norm(people[:, hips, :2].mean(1) - people[:, 5:7, :2].mean(1), axis=-1)
    labelled = people[:, elbow, 2] > 0
    near = np.linalg.norm(back[:, :2] - people[:, elbow, :2], axis=-1) < 0.25 * torso
    assert near[labelled].mean() >= 0.5
    assert (result["joints"][:, knee, 2] == 0).mean() >= 0.5
    assert run(*arguments) == 2
    assert_error("exists already")
