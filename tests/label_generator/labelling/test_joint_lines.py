"""Tables of labels as an input: labels_wide.csv and labels_long.csv as they are written, and others' long tables."""

import csv
import json

import numpy as np
import pytest

from label_generator.labelling import inputs as label_inputs
from label_generator.labelling.inputs import Spec
from tfrecords import schema
from tfrecords.exports import coco, tables
from tfrecords.exports import rows as label_rows
from tools.cli.errors import InputError
from tools.files.columns import LabelFiles
from tools.pose import joints
from tools.pose.joints import LABELLED, MADE, MISSING, POSE17

COUNT = 9
COCO_LABELS = "labels_coco.json"
COCO = joints.JOINT_SETS["coco17"].joints


@pytest.fixture(scope="module")
def labels(tmp_path_factory, people):
    """The folder of both tables of nine labels, with their 2D poses and what is known of each joint.

    Of the third row the wrist is missing and the thorax is made; the fifth has no label.
    """
    folder = tmp_path_factory.mktemp("tables")
    poses = people.pose_2d[:COUNT].astype(np.float64)
    given = poses.copy()
    given[2, [POSE17.index("LWrist"), POSE17.index("Thorax")]] = np.nan
    given, provenance = joints.convert(given, "pose17")
    reason = np.zeros(COUNT, int)
    reason[4] = 1
    numbers = np.arange(COUNT)
    files = LabelFiles(folder / "run", label_rows.COLUMNS, ("file", "sequence", "action"), {}, ["", "nobody"])
    files.append(
        {
            "poses_3d": people.pose_3d[:COUNT], "roots": people.root_3d[:COUNT], "coarse_3d": people.pose_3d[:COUNT],
            "poses_2d": given, "provenance": provenance, "quality": np.full(COUNT, 0.5),
            "expected_error_mm": np.full(COUNT, 69.0), "joint_quality": np.full((COUNT, 17), 0.5),
            "residual_mm": np.zeros(COUNT), "at_range_end": np.zeros(COUNT, bool),
            "depth_nominal": np.zeros(COUNT, bool), "reason": reason, "intrinsics": np.full((COUNT, 4), np.nan),
            "camera_kind": numbers % len(schema.CAMERA_KINDS), "frame": numbers // 2, "person": numbers % 2,
            "file": [f"walk/{number // 2}.jpg" for number in numbers], "sequence": ["walk, one"] * COUNT,
            "action": [""] * COUNT, "track": np.full(COUNT, -1), "interpolated": np.zeros((COUNT, 17), bool),
            "nominal_camera": np.full((COUNT, 4), np.nan), "image_size": np.tile([1000, 1000], (COUNT, 1)),
            "own_numbers": np.full((COUNT, 2), -1), "_points": given,
        }
    )  # fmt: skip
    files.checkpoint()
    assert tables.write_csv(files, folder) == COUNT - 1
    assert coco.write_coco(files, folder / COCO_LABELS, "weights") == COUNT - 1
    files.close()
    kept = numbers != 4
    return folder, given[kept], provenance[kept], numbers[kept]


@pytest.mark.parametrize("name", [tables.WIDE, tables.LONG])
def test_tables_of_labels_are_read_back(labels, name):
    folder, poses, provenance, numbers = labels
    opened = label_inputs.open_input(Spec(str(folder / name), "array"))
    assert len(opened) == COUNT - 1
    batch = next(opened.batches(0, 100))
    np.testing.assert_allclose(batch.poses_2d, poses, atol=0.001)
    np.testing.assert_array_equal(batch.provenance, provenance)
    assert {MISSING, MADE, LABELLED} == set(batch.provenance.ravel().tolist())
    assert batch.file == [f"walk/{number // 2}.jpg" for number in numbers]
    assert set(batch.sequence) == {"walk, one"}
    assert (batch.frame.tolist(), batch.person.tolist()) == ((numbers // 2).tolist(), (numbers % 2).tolist())
    rest = next(opened.batches(4, 3))
    np.testing.assert_array_equal(rest.poses_2d, batch.poses_2d[4:7])
    assert rest.file == batch.file[4:7]
    np.testing.assert_array_equal(next(opened.batches(0, 2)).poses_2d, batch.poses_2d[:2])


def test_joints_made_for_labels_in_cocos_layout_are_not_labelled_when_read_again(labels):
    folder, poses, provenance, _ = labels
    batch = next(label_inputs.open_input(Spec(str(folder / COCO_LABELS), "coco")).batches(0, 100))
    np.testing.assert_allclose(batch.poses_2d, poses, atol=0.001)
    np.testing.assert_array_equal(batch.provenance, provenance)
    made = POSE17.index("Thorax")
    person = json.loads((folder / COCO_LABELS).read_text())["annotations"][2]
    assert person["provenance_2d"][made] == MADE
    assert person["keypoints"][3 * made + 2] == 0
    np.testing.assert_allclose(person["keypoints"][3 * made : 3 * made + 2], poses[2, made], atol=0.001)
    assert person["num_keypoints"] == 15


def write(path, head, lines, separator=","):
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=separator).writerows([head, *lines])
    return str(path)


def test_other_programs_long_tables(tmp_path):
    """Joints by name in any order, some without a line; scores; a semicolon with decimal commas."""
    rng = np.random.default_rng(0)
    poses = rng.uniform(10, 900, (5, 17, 2)).round(2)
    lines = []
    for frame, pose in enumerate(poses):
        for j in rng.permutation(17):
            if (frame, COCO[j]) != (3, "LWrist"):
                cells = [*pose[j], 0.1 if COCO[j] == "RKnee" else 0.9]
                lines.append([frame, COCO[j], *(f"{value:.2f}".replace(".", ",") for value in cells)])
    path = write(tmp_path / "a.csv", ["frame", "keypoint", "x", "y", "score"], lines, ";")
    batch = next(label_inputs.open_input(Spec(path, "array", min_confidence=0.5)).batches(0, 100))
    hidden = poses.astype(np.float32)
    hidden[3, COCO.index("LWrist")] = hidden[:, COCO.index("RKnee")] = np.nan
    expected, provenance = joints.convert(hidden, "coco17")
    np.testing.assert_allclose(batch.poses_2d, expected, rtol=1e-6)
    np.testing.assert_array_equal(batch.provenance, provenance)
    assert batch.frame.tolist() == list(range(5))


@pytest.mark.parametrize(
    ("head", "lines", "message"),
    [
        (["frame", "joint", "x"], [[0, "nose", 1]], "needs a column 'y'"),
        (["joint", "x", "y"], [["nose", 1, 2], ["nose", 3, 4]], "row 1: the joint 'nose' is there twice in one pose"),
        (["frame", "joint", "x", "y", "speed"], [[0, "nose", 1, 2, 3]], "'speed': no names of columns that are known"),
        (["frame", "joint", "x", "y"], [[0, name, 1, "two"] for name in COCO], "pose 0, joint 'Nose': could not"),
        (["frame", "joint", "x", "y"], [[0, "nose", 1]], "row 0: too few cells"),
        (["frame", "joint", "x", "y"], [[0, "tail", 1, 2], [0, "nose", 1, 2]], "tail: not joints of a person"),
        (["joint", "x", "y"], [[f"j{i}", 1, 2] for i in range(1200)], "a pose of more than 1000 joints"),
        (["frame", "joint", "x", "y"], [[i, f"j{i}", 1, 2] for i in range(1200)], "names more than 1000 joints"),
    ],
)
def test_what_is_no_table_of_joints(tmp_path, head, lines, message):
    path = write(tmp_path / "a.csv", head, lines)
    with pytest.raises(InputError, match=message):
        next(label_inputs.open_input(Spec(path, "array")).batches(0, 100))
